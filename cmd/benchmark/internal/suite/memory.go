package suite

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/crm-workflow/crm-workflow/cmd/benchmark/internal/people"
	"github.com/crm-workflow/crm-workflow/cmd/benchmark/internal/table"
	"github.com/crm-workflow/crm-workflow/crmstore/record"
)

// memories measures what a contact takes in Redis, by kind of key, against one hash for each contact; also when one
// of the texts is longer than 64 bytes, which makes Redis store such a hash in a larger form.
func (b *bench) memories(ctx context.Context) error {
	hash, err := b.hashMemory(ctx, b.crowd)
	if err != nil {
		return err
	}
	took, freed, err := b.compact(ctx)
	if err != nil {
		return err
	}
	b.add(
		table.Row{
			What: "memory: 25 properties", Unit: table.Bytes, Samples: []table.Sample{{Amount: b.memory - freed, Units: float64(b.Contacts)}},
			Against: []table.Against{{Name: "one hash for each", Samples: hash, AtMost: 0.6}},
			Note: fmt.Sprintf("After the columns' spare room was given back, as an import does at its end; it was %.0f B for each contact.",
				freed/float64(b.Contacts)),
		},
		table.Row{What: "memory: giving back spare room", Samples: []table.Sample{took}},
	)
	if err := b.memoryByKind(ctx); err != nil {
		return err
	}
	long := b.crowd
	long.Long = true
	if hash, err = b.hashMemory(ctx, long); err != nil {
		return err
	}
	before, err := b.scratch.direct.UsedMemory(ctx)
	if err != nil {
		return err
	}
	contacts := min(b.Contacts, 5*hashSample)
	store, err := b.fill(ctx, b.scratch, "long", long, contacts)
	if err != nil {
		return err
	}
	defer store.Close() //nolint:errcheck // nothing is written any more
	after, err := b.scratch.direct.UsedMemory(ctx)
	if err != nil {
		return err
	}
	b.add(table.Row{
		What: "memory: one text of 80 to 200 bytes", Unit: table.Bytes, Samples: []table.Sample{{Amount: after - before, Units: float64(contacts)}},
		Against: []table.Against{{Name: "one hash for each", Samples: hash, AtMost: 0.25}},
		Note:    fmt.Sprintf("In an account of %d contacts; the share of the partitions' own keys is larger in a small account.", contacts),
	})
	return b.scratch.empty(ctx)
}

// compact gives the columns' spare room back in the large store.
func (b *bench) compact(ctx context.Context) (took table.Sample, freed float64, err error) {
	before, err := b.large.direct.UsedMemory(ctx)
	if err != nil {
		return took, 0, err
	}
	if took, err = timed(b.Contacts, func() error { return b.store.Compact(ctx, record.Contact) }); err != nil {
		return took, 0, err
	}
	after, err := b.large.direct.UsedMemory(ctx)
	return took, before - after, err
}

// hashMemory is what a sample of contacts takes as one hash each.
func (b *bench) hashMemory(ctx context.Context, crowd people.Crowd) ([]table.Sample, error) {
	if err := b.scratch.empty(ctx); err != nil {
		return nil, err
	}
	before, err := b.scratch.direct.UsedMemory(ctx)
	if err != nil {
		return nil, err
	}
	contacts := min(hashSample, b.Contacts)
	if err := b.fillHashes(ctx, b.scratch, crowd, contacts); err != nil {
		return nil, err
	}
	after, err := b.scratch.direct.UsedMemory(ctx)
	if err != nil {
		return nil, err
	}
	return []table.Sample{{Amount: after - before, Units: float64(contacts)}}, b.scratch.empty(ctx)
}

// memoryByKind adds a row for each kind of key of the large store.
func (b *bench) memoryByKind(ctx context.Context) error {
	sums, err := b.large.direct.MemoryByKind(ctx, "crm:", kindOfKey)
	if err != nil {
		return err
	}
	kinds := make([]string, 0, len(sums))
	for kind := range sums {
		kinds = append(kinds, kind)
	}
	slices.SortFunc(kinds, func(a, b string) int { return int(sums[b] - sums[a]) })
	for _, kind := range kinds {
		b.add(table.Row{What: "memory:   " + kind, Unit: table.Bytes, Samples: []table.Sample{{Amount: sums[kind], Units: float64(b.Contacts)}}})
	}
	return nil
}

// kindOfKey says what a key of the store holds, as the comment of package crmstore has it.
func kindOfKey(key string) string {
	_, kind, _ := strings.Cut(key, "}:")
	kind, _, _ = strings.Cut(kind, ":")
	switch kind {
	case "rec":
		return "records"
	case "col":
		return "columns"
	case "ids", "arch":
		return "slots: ids and archived-at"
	case "claims":
		return "e-mail addresses"
	case "log":
		return "audit log"
	default:
		return "everything else"
	}
}
