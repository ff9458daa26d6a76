package crmstore

import (
	"context"
	"fmt"

	"github.com/redis/go-redis/v9"

	"github.com/crm-workflow/crm-workflow/crmstore/internal/redisdb"
	"github.com/crm-workflow/crm-workflow/crmstore/record"
)

// examineEmails checks that each live contact with an e-mail has the claim to it.
func (d *doctor) examineEmails(ctx context.Context, records []*record.Record) error {
	var list []*address
	var contacts []*record.Record
	places := d.store.placer(d.partitions)
	for _, r := range records {
		text := d.address(r)
		if text == "" {
			continue
		}
		list = append(list, &address{text: text, place: places.place(text)})
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
func (d *doctor) address(r *record.Record) string {
	if r == nil || r.Deletion != nil {
		return ""
	}
	return normalAddress(r.Value(d.email.Number).Text())
}

// examineClaim looks into a claim that is not the contact's own, unless the contact has changed meanwhile.
func (d *doctor) examineClaim(ctx context.Context, r *record.Record, a *address) error {
	again, err := d.store.Get(ctx, d.object, []record.ID{r.ID})
	if err != nil {
		return err
	}
	if len(again) == 0 || again[0].Version != r.Version {
		return nil
	}
	p := Problem{Code: problemEmail, ID: r.ID, Detail: "nobody has the claim to its e-mail"}
	if isBlock(a.claim) {
		p.Detail = "its e-mail is on the block list; give it another one, delete it, or take the block away"
		return d.report(p)
	}
	var seen uint64 // the claimant's version
	if a.claimant != 0 {
		others, err := d.store.Get(ctx, d.object, []record.ID{a.claimant})
		if err != nil {
			return err
		}
		if len(others) == 1 {
			if seen = others[0].Version; d.address(others[0]) == a.text {
				p.Detail = fmt.Sprintf("contact %s has the same e-mail; change or delete one of the two", a.claimant)
				return d.report(p)
			}
		}
		p.Detail = fmt.Sprintf("the claim to its e-mail is contact %s's", a.claimant)
	}
	now := d.store.wall()
	if d.repair && (a.claimant == 0 || !undecided(a.claim, seen, now)) {
		swaps := []swap{{place: a.place, old: a.claim, new: newClaim(r.ID, r.Version-1, now)}} // as if it had just been written
		if err := d.store.swapClaims(ctx, d.partitions, swaps); err != nil {
			return err
		}
		p.Repaired = swaps[0].done
	}
	return d.report(p)
}

// dropDeadClaims removes the claims of contacts that do not hold the address any more.
func (d *doctor) dropDeadClaims(ctx context.Context) error {
	load := func(ctx context.Context, bucket int) ([]*redis.MapStringStringCmd, error) {
		parts := make([]*redis.MapStringStringCmd, claimParts)
		_, err := d.store.db.Redis.Pipelined(ctx, func(pipe redis.Pipeliner) error {
			for part := range parts {
				parts[part] = pipe.HGetAll(ctx, d.store.keyClaims(bucket, part))
			}
			return nil
		})
		if err != nil {
			return nil, fmt.Errorf("read e-mail claims: %w", d.store.db.Explain(err))
		}
		return parts, nil
	}
	bucket := 0
	return redisdb.Prefetch(ctx, d.partitions, load, func(parts []*redis.MapStringStringCmd) error {
		var claims []standing
		for part, claim := range parts {
			for field, text := range claim.Val() {
				claims = append(claims, standing{claimPlace{bucket, part, field}, text})
			}
		}
		bucket++
		return d.dropDead(ctx, claims)
	})
}

// standing is a claim where it stands.
type standing struct {
	place claimPlace
	claim string
}

// claimant is what is known of a contact that claims stand for.
type claimant struct {
	version uint64
	field   string // of the claim to the address that it holds; "" = it holds none
	damaged bool   // it was reported; its claims stay
}

func (d *doctor) dropDead(ctx context.Context, claims []standing) error {
	var ids []record.ID
	for _, c := range claims {
		if id := claimantOf(c.claim); id != 0 {
			ids = append(ids, id)
		}
	}
	claimants, places := make(map[record.ID]claimant, len(ids)), d.store.placer(d.partitions)
	want, _ := byPartition(ids, d.partitions)
	err := d.store.fetch(ctx, d.object, want, func(i int, values []any) error {
		for j, v := range values {
			bytes, ok := v.(string)
			if !ok {
				continue
			}
			id := want[i].IDs[j]
			r, err := record.ParseRecord(d.schema, id, bytes)
			if err != nil {
				claimants[id] = claimant{damaged: true}
				continue
			}
			c := claimant{version: r.Version}
			if text := d.address(r); text != "" {
				c.field = places.place(text).field
			}
			claimants[id] = c
		}
		return nil
	})
	if err != nil {
		return err
	}
	now := d.store.wall()
	var swaps []swap
	for _, c := range claims {
		if isBlock(c.claim) {
			continue
		}
		id := claimantOf(c.claim)
		who := claimants[id]
		if alive := who.damaged || who.field == c.place.field; !alive && (id == 0 || !undecided(c.claim, who.version, now)) {
			swaps = append(swaps, swap{place: c.place, old: c.claim})
		}
	}
	return d.store.swapClaims(ctx, d.partitions, swaps)
}
