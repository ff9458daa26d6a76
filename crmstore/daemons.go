package crmstore

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"
)

// Daemon is one process that runs the account's workflows, as it told last.
type Daemon struct {
	Name     string    `json:"name"` // the owner of the runs that it carries
	Host     string    `json:"host"`
	Process  int       `json:"process"` // its number on the host
	Version  string    `json:"version"`
	Since    time.Time `json:"since"`
	Beat     time.Time `json:"last_seen"`
	Stopping bool      `json:"stopping"` // it was told to stop and takes nothing new
}

// SaveDaemon writes a daemon's sign of life. It is for the program itself, see [Store.AsSystem].
func (s *Store) SaveDaemon(ctx context.Context, d Daemon) error {
	if err := s.require(ctx, "", IsSuperAdmin); err != nil {
		return err
	}
	text, err := json.Marshal(d)
	if err != nil {
		return fmt.Errorf("note daemon %s: %w", d.Name, err)
	}
	if err := s.db.Redis.HSet(ctx, s.keyDaemons(), d.Name, text).Err(); err != nil {
		return fmt.Errorf("note daemon %s: %w", d.Name, s.db.Explain(err))
	}
	return nil
}

// DropDaemons forgets daemons that ended, or that were silent for too long.
func (s *Store) DropDaemons(ctx context.Context, names ...string) error {
	if err := s.require(ctx, "", IsSuperAdmin); err != nil || len(names) == 0 {
		return err
	}
	if err := s.db.Redis.HDel(ctx, s.keyDaemons(), names...).Err(); err != nil {
		return fmt.Errorf("forget daemons: %w", s.db.Explain(err))
	}
	return nil
}

// Daemons lists the account's daemons, the oldest first; also silent ones, until somebody drops them.
func (s *Store) Daemons(ctx context.Context) ([]Daemon, error) {
	if err := s.require(ctx, ""); err != nil {
		return nil, err
	}
	texts, err := s.db.Redis.HVals(ctx, s.keyDaemons()).Result()
	if err != nil {
		return nil, fmt.Errorf("list daemons: %w", s.db.Explain(err))
	}
	all := make([]Daemon, len(texts))
	for i, text := range texts {
		if err := json.Unmarshal([]byte(text), &all[i]); err != nil {
			return nil, fmt.Errorf("list daemons: %w", err)
		}
	}
	slices.SortFunc(all, func(a, b Daemon) int { return cmp.Or(a.Since.Compare(b.Since), cmp.Compare(a.Name, b.Name)) })
	return all, nil
}
