package crmstore

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/crm-workflow/crm-workflow/crmstore/record"
)

// schemaCache holds the schemas as last read; its zero value is ready.
type schemaCache struct {
	mu   sync.Mutex
	seen map[record.ObjectType]*record.Schema
}

func (c *schemaCache) get(o record.ObjectType) *record.Schema {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.seen[o]
}

// put keeps the newer of s and what is there.
func (c *schemaCache) put(s *record.Schema) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.seen == nil {
		c.seen = make(map[record.ObjectType]*record.Schema)
	}
	if old := c.seen[s.Object]; old == nil || old.Version < s.Version {
		c.seen[s.Object] = s
	}
}

// Schema reads an object type's schema. It asks the store for the version each time and reads the schema itself
// only when that has changed. ErrNoAccount; ErrNotFound for an object type the account does not have.
// Every user of the account may.
func (s *Store) Schema(ctx context.Context, o record.ObjectType) (*record.Schema, error) {
	if err := s.require(ctx, ""); err != nil {
		return nil, err
	}
	return s.schema(ctx, o)
}

func (s *Store) schema(ctx context.Context, o record.ObjectType) (*record.Schema, error) {
	if _, err := s.Partitions(ctx); err != nil { // so that the layout has been checked
		return nil, err
	}
	if seen := s.schemas.get(o); seen != nil {
		version, err := s.db.Redis.HGet(ctx, s.keySchema(), string(o)+":v").Uint64()
		if err != nil && !errors.Is(err, redis.Nil) {
			return nil, fmt.Errorf("read version of schema of %s: %w", o, s.db.Explain(err))
		}
		if err == nil && version == seen.Version {
			return seen, nil
		}
	}
	fields, err := s.db.Redis.HMGet(ctx, s.keySchema(), string(o), string(o)+":v").Result()
	if err != nil {
		return nil, fmt.Errorf("read schema of %s: %w", o, s.db.Explain(err))
	}
	text, ok := fields[0].(string)
	if !ok {
		return nil, fmt.Errorf("schema of %s: %w", o, record.ErrNotFound)
	}
	versionText, _ := fields[1].(string)
	version, err := strconv.ParseUint(versionText, 10, 64)
	if err != nil {
		return nil, fmt.Errorf("read schema of %s: its version is damaged: %w", o, err)
	}
	var properties []record.Property
	if err := json.Unmarshal([]byte(text), &properties); err != nil {
		return nil, fmt.Errorf("read schema of %s: %w", o, err)
	}
	fresh := record.NewSchema(o, version, properties)
	s.schemas.put(fresh)
	return fresh, nil
}

// schemaChange is one change of a schema: from the properties as they are to those that shall be.
type schemaChange struct {
	object record.ObjectType
	op     string // audit event; "" = none, for what no person needs to know
	detail string
	cause  record.Cause
	at     time.Time
	apply  func(*record.Schema) ([]record.Property, error) // must not change what it gets; errUnchanged = leave it
}

// errUnchanged says that a schema is already as it shall be.
var errUnchanged = errors.New("the schema is so already")

// How often a change of a schema is tried again when somebody else changed it in between.
const schemaTries = 20

var scriptSaveSchema = mustLuaScript("save_schema")

// changeSchema reads, applies and writes, again when another process was faster.
func (s *Store) changeSchema(ctx context.Context, ch schemaChange) (*record.Schema, error) {
	for range schemaTries {
		old, err := s.schema(ctx, ch.object)
		if err != nil {
			return nil, err
		}
		properties, err := ch.apply(old)
		if errors.Is(err, errUnchanged) {
			return old, nil
		}
		if err != nil {
			return nil, fmt.Errorf("change schema of %s: %w", ch.object, err)
		}
		text, err := json.Marshal(properties)
		if err != nil {
			return nil, fmt.Errorf("change schema of %s: %w", ch.object, err)
		}
		reply, err := s.db.Run(ctx, scriptSaveSchema, []string{s.keySchema(), s.keyAccountLog()},
			string(ch.object), strconv.FormatUint(old.Version, 10), text, s.wall(), record.AppendFacts(nil, ch.at, s.by(ch.cause)), ch.op, ch.detail)
		if err != nil {
			return nil, fmt.Errorf("change schema of %s: %w", ch.object, err)
		}
		if version, _ := reply.(int64); version > 0 {
			fresh := record.NewSchema(ch.object, uint64(version), properties)
			s.schemas.put(fresh)
			return fresh, nil
		}
	}
	return nil, fmt.Errorf("change schema of %s: %w", ch.object, record.ErrConflict)
}

// AddProperties adds properties, giving them numbers (and numbers to options that have none); ErrExists names a
// taken name. A name that was removed may be used again: the new property has a number of its own. All or none
// are added. Returns the new schema.
func (s *Store) AddProperties(ctx context.Context, o record.ObjectType, add []record.Property, c record.Cause, at time.Time) (*record.Schema, error) {
	if err := s.require(ctx, o, CanEdit); err != nil {
		return nil, err
	}
	return s.addProperties(ctx, o, add, nil, c, at)
}

// addProperties adds properties with a mark; nil = none.
func (s *Store) addProperties(ctx context.Context, o record.ObjectType, add []record.Property, mark *record.Pending, c record.Cause, at time.Time) (*record.Schema, error) {
	names := make([]string, len(add))
	for i := range add {
		names[i] = add[i].Name
	}
	return s.changeSchema(ctx, schemaChange{
		object: o, op: "add-property", detail: string(o) + ": " + strings.Join(names, ", "), cause: c, at: at,
		apply: func(old *record.Schema) ([]record.Property, error) { return withProperties(old, add, mark) },
	})
}

func withProperties(old *record.Schema, add []record.Property, mark *record.Pending) ([]record.Property, error) {
	next := record.FirstProperty
	for i := range old.Properties {
		next = max(next, old.Properties[i].Number+1)
	}
	properties := slices.Clone(old.Properties)
	taken := make(map[string]bool, len(old.Properties))
	for _, name := range old.Names() {
		taken[name] = true
	}
	for _, p := range add {
		if err := record.CheckNewProperty(&p); err != nil {
			return nil, err
		}
		if taken[p.Name] {
			return nil, fmt.Errorf("property %s: %w", p.Name, record.ErrExists)
		}
		taken[p.Name] = true
		p.Number, p.Removed, p.Pending = next, false, mark
		next++
		p.Options = slices.Clone(p.Options)
		for i := range p.Options {
			p.Options[i].Number = i + 1
			if p.Options[i].Label == "" {
				p.Options[i].Label = p.Options[i].Value
			}
		}
		properties = append(properties, p)
	}
	return properties, nil
}

// RemoveProperty takes a property off the schema; its values stay in the records, unseen. ErrNotFound.
// The store's own properties (e-mail, create and last modified date) stay.
func (s *Store) RemoveProperty(ctx context.Context, o record.ObjectType, name string, c record.Cause, at time.Time) (*record.Schema, error) {
	if err := s.require(ctx, "", IsSuperAdmin); err != nil {
		return nil, err
	}
	return s.changeSchema(ctx, schemaChange{
		object: o, op: "remove-property", detail: string(o) + ": " + name, cause: c, at: at,
		apply: func(old *record.Schema) ([]record.Property, error) {
			properties, p, err := withOwnCopy(old, name)
			if err != nil {
				return nil, err
			}
			if record.UsedByStore(o, p.Number) {
				return nil, fmt.Errorf("property %s is the store's own and cannot be removed", name)
			}
			p.Removed, p.Pending = true, nil
			return properties, nil
		},
	})
}

// RenameProperty gives a property a new name or label; "" leaves one as it is. ErrNotFound, ErrExists. A property that an import made
// stays from then on, since a person has taken it up.
// The store's own properties (e-mail, create and last modified date) keep their names.
func (s *Store) RenameProperty(ctx context.Context, o record.ObjectType, name, newName, newLabel string, c record.Cause, at time.Time) (*record.Schema, error) {
	if err := s.require(ctx, "", IsSuperAdmin); err != nil {
		return nil, err
	}
	detail := string(o) + ": " + name
	if newName != "" {
		detail += " to " + newName
	}
	if newLabel != "" {
		detail += fmt.Sprintf(", label %q", newLabel)
	}
	return s.changeSchema(ctx, schemaChange{
		object: o, op: "rename-property", detail: detail, cause: c, at: at,
		apply: func(old *record.Schema) ([]record.Property, error) { return renamed(old, name, newName, newLabel) },
	})
}

func renamed(old *record.Schema, name, newName, newLabel string) ([]record.Property, error) {
	properties, p, err := withOwnCopy(old, name)
	if err != nil {
		return nil, err
	}
	if newName != "" && newName != name {
		switch {
		case record.UsedByStore(old.Object, p.Number):
			return nil, fmt.Errorf("property %s is the store's own and keeps its name", name)
		case !record.PropertyName.MatchString(newName):
			return nil, fmt.Errorf("property name %q: want a lower-case letter, then letters, digits and _, up to 100", newName)
		case slices.Contains(old.Names(), newName):
			return nil, fmt.Errorf("property %s: %w", newName, record.ErrExists)
		}
		p.Name = newName
	}
	if newLabel = strings.TrimSpace(newLabel); newLabel != "" {
		if err := record.CheckSeen("property label", newLabel); err != nil {
			return nil, err
		}
		p.Label = newLabel
	}
	p.Pending = nil
	return properties, nil
}

// withOwnCopy copies the properties, so that one may be changed, and finds the one with the internal name.
func withOwnCopy(old *record.Schema, name string) ([]record.Property, *record.Property, error) {
	properties := slices.Clone(old.Properties)
	for i := range properties {
		if p := &properties[i]; p.Name == name && !p.Removed {
			return properties, p, nil
		}
	}
	return nil, nil, fmt.Errorf("property %s: %w", name, record.ErrNotFound)
}
