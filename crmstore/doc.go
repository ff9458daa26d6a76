// Package crmstore remembers: accounts, property schemas, records, lists, the recycle bin,
// the audit log, workflows with their revisions, and runs. It keeps all of it in Redis (6.2 or
// later), Valkey or a Redis Cluster, and knows nothing of expressions, schedules or YAML.
//
// # Layout
//
// An account has P partitions for each object type. P is fixed when the account is created; a
// record's partition follows from its id ([record.ID.Partition]). All keys of one partition carry one hash
// tag, so every change to a record is one Lua script on one node, in a cluster too:
//
//	crm:{account/object/p}:rec          hash    id (8 bytes) → record bytes; the source of truth, live and archived
//	crm:{account/object/p}:ids          string  8 bytes per slot: the id in the slot, 0 = free
//	crm:{account/object/p}:arch         string  8 bytes per slot: archived-at, 0 = live
//	crm:{account/object/p}:col:<n>      string  8 bytes per slot: the cell of property n, 0 = unknown
//	crm:{account/object/p}:list:<n>     string  1 bit per slot: member of static list n
//	crm:{account/object/p}:assoc        hash    id (8 bytes) and another object type → the associated records; see associations.go
//	crm:{account/object/p}:enr:<wf>     hash    id (8 bytes) → enrollment in workflow wf
//	crm:{account/object/p}:back         hash    id (8 bytes) → when the record was restored; see repeated.go
//	crm:{account/object/p}:heir         hash    id (8 bytes) → when the contact was deleted whose address it took over
//	crm:{account/object/p}:run:<run>    hash    the run's matches in this partition and what became of them
//	crm:{account/object/p}:log          stream  audit events
//	crm:{account/object/p}:cnt          hash    live, archived; purged: how many were removed for good, ever; list:<n>, enr:<wf>, hold, log, and sum:<of the first three>: see counts.go
//	crm:{account/object/p}:tomb         hash    id (8 bytes) → facts: what stays of a contact that was deleted permanently
//	crm:{account/object/p}:hold         hash    id (8 bytes) → facts: when, by whom and why the record was put on legal hold
//	crm:{account/object/p}:free         list    slots that no record has; new records take them first
//
// Everything of the account as a whole (tier, schemas, lists, workflows, revisions, runs) is under
// the hash tag {account}; e-mail claims are in buckets of their own, {account/contact/email/b}, each cut into a
// few small hashes claims:<n>.
//
// # Promises
//
//   - A record, its column cells, its audit event and its enrollment change together or not at all.
//   - Columns and counts are derived: [Store.Doctor] compares and repairs. Lists, enrollments and the audit log are counted
//     in the scripts that change them: what the server lost is noticed, and nothing is deleted that would have asked it.
//   - A slot belongs to a record until the record is purged. Deleting moves no data, and restoring
//     gives back exactly what was there. A purged record's slot is emptied in the script that frees it.
//   - A permanent deletion that was begun is finished, whatever is killed meanwhile: its intent is saved first.
//   - An e-mail address belongs to at most one live contact.
//   - An association is seen from both of its records or from neither. It comes back when both are live again.
//   - No script reads a clock: every instant is an argument.
//
// # Never
//
// The package never logs, and no error text holds a property value other than the e-mail address
// that the caller itself passed in. It never removes a record for good that is live, or that has been in the bin for
// less than [Retention]; but [Store.Erase], which is told to, removes a contact at once and keeps nothing by which it
// could be known.
package crmstore
