package crmstore

import "github.com/crm-workflow/crm-workflow/crmstore/record"

// Keys of the account as a whole: all under the hash tag {account}, so that one script may touch several.
//
//	crm:{account}:account          hash    layout, tier, partitions, created, key (32 bytes)
//	crm:{account}:schema           hash    <object> → properties (JSON); <object>:v → version
//	crm:{account}:users            hash    name → "<version> <JSON>"
//	crm:{account}:settings         hash    setting → value, of those that were set
//	crm:{account}:refusals         hash    permission → how often it was missing
//	crm:{account}:objects          hash    object type that the account defined → JSON
//	crm:{account}:log              stream  audit events of the account
//	crm:{account}:cnt              hash    log: how many events that stream holds
//	crm:{account}:clock            hash    what the account knows of its store's time; see clock_record.go
//	crm:{account}:erasing          hash    contact → permanent deletion that was begun and is not finished (JSON)
//	crm:{account}:workflows        hash    name → "<version> <JSON>"
//	crm:{account}:rev:<workflow>   hash    revision number → JSON
//	crm:{account}:run:<run>        string  "<version> <JSON>"
//	crm:{account}:run:<run>:fence  string  highest fencing number that was taken; none = the run's own
//	crm:{account}:run:<run>:ranges hash    range of a large run that acts → who is at work on it; see ranges.go
//	crm:{account}:runs             zset    run → when it started (ms)
//	crm:{account}:runs:<workflow>  zset    the same, of one workflow
//	crm:{account}:active           hash    workflow → its run that is not over; a deletion by hand → itself
//	crm:{account}:lists:<object>   hash    list → number, and after a blank an active list's expression; the empty name counts them
//	crm:{account}:unlisted:<object> set    numbers of deleted lists whose bits are not removed from all partitions yet
//	crm:{account}:id:<object>      string  highest record id so far
//	crm:{account}:pace             hash    limit (w:<workflow>, or all) → when what it let through is paid for (ms); see pace.go
//	crm:{account}:deleted:<object> hash    minute since 1970 → records deleted in it, and their sum; see lately.go
//	crm:{account}:deleted:<object>:<workflow> hash the same, of one workflow; without a name, by hand
//	crm:{account}:aside:<object>   hash    run that acts → "<records> <workflow>": deletions set aside for it
//	crm:{account}:counted          hash    run that stopped before its end → how many of its deletions are counted
//	crm:{account}:daemons          hash    daemon → its last sign of life (JSON)
//	crm:{account}:outbox           hash    id of a mail → "<version> <JSON>"
//	crm:{account}:outbox:queue     zset    mails that are not over → when a sender may take them (ms)
//	crm:{account}:ledger           hash    <object>/<window of partitions> → how many records each held; see ledger.go
//	crm:{account}:health           hash    what was found wrong with the store, or accepted by a person; see health.go

func (s *Store) accountKey(name string) string { return "crm:{" + s.account + "}:" + name }

func (s *Store) keyAccount() string            { return s.accountKey("account") }
func (s *Store) keySchema() string             { return s.accountKey("schema") }
func (s *Store) keyUsers() string              { return s.accountKey("users") }
func (s *Store) keySettings() string           { return s.accountKey("settings") }
func (s *Store) keyRefusals() string           { return s.accountKey("refusals") }
func (s *Store) keyObjects() string            { return s.accountKey("objects") }
func (s *Store) keyAccountLog() string         { return s.accountKey("log") }
func (s *Store) keyWorkflows() string          { return s.accountKey("workflows") }
func (s *Store) keyRevisions(wf string) string { return s.accountKey("rev:" + wf) }
func (s *Store) keyRun(run string) string      { return s.accountKey("run:" + run) }
func (s *Store) keyFence(run string) string    { return s.accountKey("run:" + run + ":fence") }

func (s *Store) keyRanges(run string) string           { return s.accountKey("run:" + run + ":ranges") }
func (s *Store) keyRuns() string                       { return s.accountKey("runs") }
func (s *Store) keyRunsOf(workflow string) string      { return s.accountKey("runs:" + workflow) }
func (s *Store) keyActive() string                     { return s.accountKey("active") }
func (s *Store) keyPace() string                       { return s.accountKey("pace") }
func (s *Store) keyDeleted(o record.ObjectType) string { return s.accountKey("deleted:" + string(o)) }
func (s *Store) keyAside(o record.ObjectType) string   { return s.accountKey("aside:" + string(o)) }
func (s *Store) keyCounted() string                    { return s.accountKey("counted") }
func (s *Store) keyDaemons() string                    { return s.accountKey("daemons") }
func (s *Store) keyOutbox() string                     { return s.accountKey("outbox") }
func (s *Store) keyOutboxQueue() string                { return s.accountKey("outbox:queue") }

// keyDeletedBy is a workflow's; "" = deletions by hand.
func (s *Store) keyDeletedBy(o record.ObjectType, workflow string) string {
	return s.keyDeleted(o) + ":" + workflow
}
