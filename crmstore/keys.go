package crmstore

import (
	"strconv"

	"github.com/crm-workflow/crm-workflow/crmstore/record"
)

// partitionKeys builds the keys of one partition of an object type; see the package comment for what they hold.
// All of them carry the same hash tag, so one script may touch any of them.
type partitionKeys string

// partition names the keys of partition p of an object type.
func (s *Store) partition(o record.ObjectType, p int) partitionKeys {
	return partitionKeys("crm:{" + s.account + "/" + string(o) + "/" + strconv.Itoa(p) + "}:")
}

func (k partitionKeys) rec() string             { return string(k) + "rec" }
func (k partitionKeys) ids() string             { return string(k) + "ids" }
func (k partitionKeys) arch() string            { return string(k) + "arch" }
func (k partitionKeys) cnt() string             { return string(k) + "cnt" }
func (k partitionKeys) log() string             { return string(k) + "log" }
func (k partitionKeys) assoc() string           { return string(k) + "assoc" }
func (k partitionKeys) free() string            { return string(k) + "free" }
func (k partitionKeys) tomb() string            { return string(k) + "tomb" }
func (k partitionKeys) hold() string            { return string(k) + "hold" }
func (k partitionKeys) spare() string           { return string(k) + "spare" }
func (k partitionKeys) bad() string             { return string(k) + "bad" }
func (k partitionKeys) col(property int) string { return string(k) + "col:" + strconv.Itoa(property) }

func (k partitionKeys) list(number int) string     { return string(k) + "list:" + strconv.Itoa(number) }
func (k partitionKeys) enr(workflow string) string { return string(k) + "enr:" + workflow }
func (k partitionKeys) run(run string) string      { return string(k) + "run:" + run }

// keyLists is the hash of an object type's lists: name → number, and after a blank the expression of an active one; the
// field with the empty name counts them.
func (s *Store) keyLists(o record.ObjectType) string { return s.accountKey("lists:" + string(o)) }

// keyUnlisted is the set of the numbers of deleted lists whose bits are not all gone.
func (s *Store) keyUnlisted(o record.ObjectType) string { return s.accountKey("unlisted:" + string(o)) }

// keyNextID is the highest id that an object type has given out or was given.
func (s *Store) keyNextID(o record.ObjectType) string { return s.accountKey("id:" + string(o)) }
