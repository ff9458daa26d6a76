package crmstore

import (
	"context"

	"github.com/crm-workflow/crm-workflow/crmstore/record"
)

// block puts the contacts' e-mail addresses onto the block list. An address that another, live contact has stays that
// contact's.
func (e *erasure) block(ctx context.Context, there []*record.Record) error {
	texts := make([]string, 0, len(there))
	for _, r := range there {
		if text := normalAddress(r.Value(record.PropertyEmail).Text()); text != "" {
			texts = append(texts, text)
		}
	}
	if len(texts) == 0 {
		return nil
	}
	found, err := e.store.setBlocks(ctx, texts, blockChange{add: true, cause: e.cause(), at: e.at()})
	if err != nil {
		return err
	}
	for _, r := range there {
		one := found[normalAddress(r.Value(record.PropertyEmail).Text())]
		e.results[r.ID] = EraseResult{ID: r.ID, Blocked: one.Blocked, Holder: one.Holder}
	}
	return nil
}
