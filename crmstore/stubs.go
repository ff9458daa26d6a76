package crmstore

import (
	"context"
	"errors"
)

var errStub = errors.New("crmstore: not built yet")

// ---- doctor.go ----

// Problem is one thing Doctor found.
type Problem struct {
	Code     string `json:"code"` // column, slot, count, archived, email, list, enrollment, record
	Object   ObjectType
	ID       ID     `json:"id,omitempty"`
	Detail   string `json:"detail"`
	Repaired bool   `json:"repaired"`
}

// Doctor compares derived data with records over all partitions and repairs it when asked.
func (s *Store) Doctor(ctx context.Context, o ObjectType, repair bool, fn func(Problem) error) error {
	return errStub
}
