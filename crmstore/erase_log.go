package crmstore

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/redis/go-redis/v9"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/crm-workflow/crm-workflow/crmstore/internal/redisdb"
	"github.com/crm-workflow/crm-workflow/crmstore/record"
)

// eventsPerRewrite is how many events one stretch of a rewrite copies.
const eventsPerRewrite = 500

var scriptRewriteLog = mustLuaScript("rewrite_log")

// clean takes the contacts out of all that is not their own: audit events about one of them alone go, and their addresses
// and whole names in the texts of other events, in the reasons for other deletions and in ended runs are overwritten.
func (e *erasure) clean(ctx context.Context, there []*record.Record) error {
	if len(there) == 0 {
		return nil
	}
	n, wide := narrowNeedles(e.schema, there), newNeedles(e.schema, there)
	if err := e.sparesUsers(ctx, n, wide); err != nil {
		return err
	}
	if err := e.cleanLogs(ctx, n); err != nil {
		return err
	}
	if err := e.cleanReasons(ctx, n); err != nil {
		return err
	}
	if err := e.cleanRuns(ctx, n); err != nil {
		return err
	}
	if err := e.cleanMails(ctx, n); err != nil {
		return err
	}
	return e.noteMentions(ctx, wide)
}

// sparesUsers drops what is a user's name or address as well: who did what stays in the log.
func (e *erasure) sparesUsers(ctx context.Context, n, wide *needles) error {
	users, err := e.store.users(ctx)
	if err != nil {
		return err
	}
	for _, u := range users {
		n.without([]string{u.Name, u.Email})
		if wide.without([]string{u.Name, u.Email}) {
			e.mentions = addMentions(e.mentions, []Mention{{"user", u.Name}})
		}
	}
	return nil
}

// logPlace is a stream of audit events, with the keys that a rewrite needs.
type logPlace struct {
	log, fresh, turn string
	counters         string
	own              map[string]bool // contacts (8 bytes of id) whose own events stand there and go; may be nil
}

func newLogPlace(key string) logPlace {
	return logPlace{log: key, fresh: key + ":fresh", turn: key + ":turn", counters: countersOf(key)}
}

// logs are all streams of the account.
func (e *erasure) logs(ctx context.Context) ([]logPlace, error) {
	partitions, err := e.store.Partitions(ctx)
	if err != nil {
		return nil, err
	}
	list := []logPlace{newLogPlace(e.store.keyAccountLog())}
	objects, err := e.store.objectTypes(ctx)
	if err != nil {
		return nil, err
	}
	for _, o := range objects {
		for p := range partitions {
			place := newLogPlace(e.store.partition(o, p).log())
			if o == record.Contact {
				for _, id := range e.ids {
					if id.Partition(partitions) == p {
						if place.own == nil {
							place.own = map[string]bool{}
						}
						b := id.Bytes()
						place.own[string(b[:])] = true
					}
				}
			}
			list = append(list, place)
		}
	}
	return list, nil
}

// cleanLogs looks through all streams, many at a time, and rewrites those in which something must go.
func (e *erasure) cleanLogs(ctx context.Context, n *needles) error {
	logs, err := e.logs(ctx)
	if err != nil {
		return err
	}
	ed := newEditor(n)
	from := make([]string, len(logs)) // where the next page of each begins
	todo := make([]int, len(logs))
	for i := range logs {
		from[i], todo[i] = "-", i
	}
	for len(todo) > 0 {
		var rest []int
		for part := range slices.Chunk(todo, redisdb.ReadsPerWindow) {
			pages, err := e.pages(ctx, logs, from, part)
			if err != nil {
				return err
			}
			for j, i := range part {
				edits, err := ed.edits(pages[j], logs[i].own)
				if err != nil {
					return fmt.Errorf("look through %s: %w", logs[i].log, err)
				}
				switch {
				case len(edits) > 0:
					if err := e.rewrite(ctx, logs[i], ed); err != nil {
						return err
					}
				case len(pages[j]) == eventsPerRewrite:
					from[i] = "(" + pages[j][len(pages[j])-1].ID
					rest = append(rest, i)
				}
			}
		}
		todo = rest
	}
	return nil
}

// pages reads the next page of the streams that part names.
func (e *erasure) pages(ctx context.Context, logs []logPlace, from []string, part []int) ([][]redis.XMessage, error) {
	pipe := e.store.db.Redis.Pipeline()
	commands := make([]*redis.XMessageSliceCmd, len(part))
	for j, i := range part {
		commands[j] = pipe.XRangeN(ctx, logs[i].log, from[i], "+", eventsPerRewrite)
	}
	if _, err := pipe.Exec(ctx); err != nil {
		return nil, fmt.Errorf("read audit log: %w", e.store.db.Explain(err))
	}
	pages := make([][]redis.XMessage, len(part))
	for j := range part {
		pages[j] = commands[j].Val()
	}
	return pages, nil
}

// rewriteTries is how often a stream is rewritten from its start because another erasure rewrites it too.
const rewriteTries = 20

// rewrite copies a stream with its edits, and puts the copy in its place. An event that is taken off a stream in place
// would stay in the server's memory and on its disk, only marked.
func (e *erasure) rewrite(ctx context.Context, place logPlace, ed *editor) error {
	for range rewriteTries {
		done, err := e.rewriteOnce(ctx, place, ed)
		if err != nil {
			return fmt.Errorf("rewrite audit log: %w", err)
		}
		if done {
			return nil
		}
	}
	return fmt.Errorf("rewrite audit log: %w", record.ErrConflict)
}

func (e *erasure) rewriteOnce(ctx context.Context, place logPlace, ed *editor) (done bool, err error) {
	token, begin, from := rand.Text(), 1, "-"
	changed := 0
	for {
		page, err := e.store.db.Redis.XRangeN(ctx, place.log, from, "+", eventsPerRewrite).Result()
		if err != nil {
			return false, e.store.db.Explain(err)
		}
		edits, err := ed.edits(page, place.own)
		if err != nil {
			return false, err
		}
		to := ""
		if len(page) > 0 {
			to = page[len(page)-1].ID
		}
		args := append([]any{token, begin, from, to}, edits...)
		reply, err := e.store.db.Run(ctx, scriptRewriteLog, []string{place.log, place.fresh, place.turn, place.counters}, args...)
		if err != nil {
			return false, err
		}
		changed += countChanged(edits)
		switch reply {
		case int64(1):
			e.changed += changed
			return true, nil
		case int64(-1):
			return false, nil
		}
		if begin = 0; to != "" {
			from = "(" + to
		}
	}
}

// countChanged is how many events the edits change; those that are left out are not counted.
func countChanged(edits []any) (n int) {
	for at := 0; at+1 < len(edits); {
		fields, _ := edits[at+1].(int)
		if fields > 0 {
			n++
		}
		at += 2 + fields
	}
	return n
}

// editor says what becomes of audit events.
type editor struct {
	needles *needles
	mails   *needles        // of these, the addresses
	clean   map[string]bool // facts in which nothing was found; they repeat a lot
}

func newEditor(n *needles) *editor {
	return &editor{needles: n, mails: n.addresses(), clean: map[string]bool{}}
}

// cleanAtMost bounds the editor's memory.
const cleanAtMost = 1 << 16

// edits are the events of a page that do not stay as they are, as the script takes them.
func (ed *editor) edits(page []redis.XMessage, own map[string]bool) (edits []any, err error) {
	for _, event := range page {
		ids, _ := event.Values["i"].(string)
		if op, _ := event.Values["o"].(string); own[ids] && op != opErase {
			edits = append(edits, event.ID, 0)
			continue
		}
		fields := make([]any, 0, 2*len(event.Values))
		changed := false
		for _, name := range slices.Sorted(keysOf(event.Values)) {
			value, _ := event.Values[name].(string)
			after, found, err := ed.field(name, value)
			if err != nil {
				return nil, err
			}
			changed = changed || found
			fields = append(fields, name, after)
		}
		if changed {
			edits = append(append(edits, event.ID, len(fields)), fields...)
		}
	}
	return edits, nil
}

func keysOf(values map[string]any) func(yield func(string) bool) {
	return func(yield func(string) bool) {
		for name := range values {
			if !yield(name) {
				return
			}
		}
	}
}

// field is a field of an event without what must go. What, when, whom, by whom and in which run stays as it is: of the facts
// only the reason is looked at. What the program says of an act, and the values that another record had, lose e-mail
// addresses alone, and a value that is one stays: it is that record's own.
func (ed *editor) field(name, value string) (after string, found bool, err error) {
	switch {
	case name == "o" || name == "i" || ed.clean[value]:
		return value, false, nil
	case name == "f":
		after, found, err = ed.facts(value)
	case name == "c":
		after, found, err = ed.changes(value)
	default:
		after, found = ed.mails.overwrite(value)
	}
	if !found && len(ed.clean) < cleanAtMost {
		ed.clean[strings.Clone(value)] = true
	}
	return after, found, err
}

// changes overwrites addresses within longer texts among the values before and after; all sizes stay. See [record.ChangesOf].
func (ed *editor) changes(value string) (string, bool, error) {
	_, at := protowire.ConsumeVarint(record.BytesOf(value))
	if at < 0 {
		return "", false, record.ErrChanges
	}
	found := false
	for at < len(value) {
		n, typ, size := protowire.ConsumeTag(record.BytesOf(value)[at:])
		if size < 0 {
			return "", false, record.ErrChanges
		}
		length := protowire.ConsumeFieldValue(n, typ, record.BytesOf(value)[at+size:])
		if length < 0 {
			return "", false, record.ErrChanges
		}
		end := at + size + length
		if typ == protowire.BytesType {
			text, _ := protowire.ConsumeString(record.BytesOf(value)[at+size:])
			if after, here := ed.mails.overwrite(text); here && !slices.Contains(ed.mails.texts, fold(strings.TrimSpace(text))) {
				value, found = value[:end-len(text)]+after+value[end:], true
			}
		}
		at = end
	}
	return value, found, nil
}

// facts overwrites within the reason; all sizes stay.
func (ed *editor) facts(value string) (string, bool, error) {
	for at := 0; at < len(value); {
		n, typ, size := protowire.ConsumeTag(record.BytesOf(value)[at:])
		if size < 0 {
			return "", false, record.ErrFacts
		}
		length := protowire.ConsumeFieldValue(n, typ, record.BytesOf(value)[at+size:])
		if length < 0 {
			return "", false, record.ErrFacts
		}
		if n == record.FactReason && typ == protowire.BytesType {
			text, _ := protowire.ConsumeString(record.BytesOf(value)[at+size:])
			end := at + size + length
			after, found := ed.needles.overwrite(text)
			return value[:end-len(text)] + after + value[end:], found, nil
		}
		at += size + length
	}
	return value, false, nil
}

// cleanRuns overwrites what names the contacts in what people wrote about ended runs. A run that is not over is left to
// its owner, and mentioned.
func (e *erasure) cleanRuns(ctx context.Context, n *needles) error {
	runs, err := e.store.Runs(ctx, RunFilter{})
	if err != nil {
		return err
	}
	for _, r := range runs {
		if !r.overwrite(n) {
			continue
		}
		for range eraseTries {
			if !r.State.Over() {
				e.mentions = addMentions(e.mentions, []Mention{{"run", r.ID}})
				break
			}
			if _, err = e.store.SaveRun(ctx, r); !errors.Is(err, record.ErrConflict) {
				break
			}
			if r, err = e.store.Run(ctx, r.ID); err != nil || !r.overwrite(n) {
				break
			}
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// overwrite overwrites the texts that people wrote, and says whether there was anything.
func (r *Run) overwrite(n *needles) (changed bool) {
	texts := []*string{&r.Reason, &r.Why}
	if r.Selection != nil {
		own := *r.Selection
		r.Selection = &own
		texts = append(texts, &own.Where)
	}
	for _, text := range texts {
		after, found := n.overwrite(*text)
		*text, changed = after, changed || found
	}
	return changed
}

// noteMentions finds files of workflows and lists that name one of the contacts.
func (e *erasure) noteMentions(ctx context.Context, n *needles) error {
	workflows, err := e.store.Workflows(ctx)
	if err != nil {
		return err
	}
	for _, w := range workflows {
		revisions, err := e.store.db.Redis.HVals(ctx, e.store.keyRevisions(w.Name)).Result()
		if err != nil {
			return fmt.Errorf("read revisions of workflow %s: %w", w.Name, e.store.db.Explain(err))
		}
		for _, text := range revisions {
			var revision Revision
			if err := json.Unmarshal([]byte(text), &revision); err != nil {
				return fmt.Errorf("read revisions of workflow %s: %w", w.Name, err)
			}
			if n.found(string(revision.Source)) {
				e.mentions = addMentions(e.mentions, []Mention{{"workflow", w.Name}})
			}
		}
	}
	settings, err := e.store.Settings(ctx)
	if err != nil {
		return err
	}
	for _, one := range settings {
		if n.found(one.Value) {
			e.mentions = addMentions(e.mentions, []Mention{{"setting", one.Key}})
		}
	}
	objects, err := e.store.objectTypes(ctx)
	if err != nil {
		return err
	}
	for _, o := range objects {
		lists, err := e.store.Lists(ctx, o)
		if err != nil {
			return err
		}
		for _, l := range lists {
			if n.found(l.Name) || n.found(l.Where) {
				e.mentions = addMentions(e.mentions, []Mention{{"list", l.Name}})
			}
		}
	}
	return nil
}
