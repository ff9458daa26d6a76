package crmstore

import (
	"context"
	"fmt"

	"github.com/redis/go-redis/v9"
)

// examineEmails checks that each live contact with an e-mail has the claim to it.
func (d *doctor) examineEmails(ctx context.Context, records []*Record) error {
	var list []*address
	var contacts []*Record
	for _, r := range records {
		text := d.address(r)
		if text == "" {
			continue
		}
		a := &address{text: text}
		a.bucket, a.field = addressKey(text, d.partitions)
		list = append(list, a)
		contacts = append(contacts, r)
	}
	if err := d.store.readClaims(ctx, d.partitions, list); err != nil {
		return err
	}
	for i, a := range list {
		if a.claimant == contacts[i].ID {
			continue
		}
		if err := d.examineClaim(ctx, contacts[i], a); err != nil {
			return err
		}
	}
	return nil
}

// address is the normalised e-mail address that a record holds; "" when it has none or is in the bin.
func (d *doctor) address(r *Record) string {
	if r == nil || r.Deletion != nil {
		return ""
	}
	return normalAddress(r.Value(d.email.Number).Text())
}

// examineClaim looks into a claim that is not the contact's own, unless the contact has changed meanwhile.
func (d *doctor) examineClaim(ctx context.Context, r *Record, a *address) error {
	again, err := d.store.Get(ctx, d.object, []ID{r.ID})
	if err != nil {
		return err
	}
	if len(again) == 0 || again[0].Version != r.Version {
		return nil
	}
	p := Problem{Code: problemEmail, ID: r.ID, Detail: "nobody has the claim to its e-mail"}
	if a.claimant != 0 {
		others, err := d.store.Get(ctx, d.object, []ID{a.claimant})
		if err != nil {
			return err
		}
		if len(others) == 1 && d.address(others[0]) == a.text {
			p.Detail = fmt.Sprintf("contact %s has the same e-mail; change or delete one of the two", a.claimant)
			return d.report(p)
		}
		p.Detail = fmt.Sprintf("the claim to its e-mail is contact %s's", a.claimant)
	}
	now := wall()
	if d.repair && !undecided(a.claim, now) {
		swaps := []swap{{bucket: a.bucket, field: a.field, old: a.claim, new: settled(newClaim(r.ID, now))}}
		if err := d.store.swapClaims(ctx, d.partitions, swaps); err != nil {
			return err
		}
		p.Repaired = swaps[0].done
	}
	return d.report(p)
}

// dropDeadClaims removes the claims of contacts that do not hold the address any more.
func (d *doctor) dropDeadClaims(ctx context.Context) error {
	load := func(ctx context.Context, bucket int) (*redis.MapStringStringCmd, error) {
		command := d.store.rdb.HGetAll(ctx, d.store.keyClaims(bucket))
		if err := command.Err(); err != nil {
			return nil, fmt.Errorf("read e-mail claims: %w", d.store.trouble(err))
		}
		return command, nil
	}
	bucket := 0
	return ahead(ctx, d.partitions, load, func(claims *redis.MapStringStringCmd) error {
		bucket++
		return d.dropDead(ctx, bucket-1, claims.Val())
	})
}

func (d *doctor) dropDead(ctx context.Context, bucket int, claims map[string]string) error {
	var ids []ID
	for _, claim := range claims {
		if id, _, _ := readClaim(claim); id != 0 {
			ids = append(ids, id)
		}
	}
	type held struct {
		field string
		by    ID
	}
	alive := make(map[held]bool, len(ids))
	want, _ := byPartition(ids, d.partitions)
	err := d.store.fetch(ctx, d.object, want, func(i int, values []any) error {
		for j, v := range values {
			bytes, ok := v.(string)
			if !ok {
				continue
			}
			id := want[i].IDs[j]
			r, err := parseRecord(d.schema, id, bytes)
			if err != nil {
				for field, claim := range claims { // it was reported; its claims stay
					if claimant, _, _ := readClaim(claim); claimant == id {
						alive[held{field, id}] = true
					}
				}
				continue
			}
			if text := d.address(r); text != "" {
				_, field := addressKey(text, d.partitions)
				alive[held{field, id}] = true
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	now := wall()
	var swaps []swap
	for field, claim := range claims {
		if id, _, _ := readClaim(claim); !alive[held{field, id}] && !undecided(claim, now) {
			swaps = append(swaps, swap{bucket: bucket, field: field, old: claim})
		}
	}
	return d.store.swapClaims(ctx, d.partitions, swaps)
}
