package csvfile_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/crm-workflow/crm-workflow/crmstore"
	"github.com/crm-workflow/crm-workflow/crmstore/csvfile"
	"github.com/crm-workflow/crm-workflow/crmstore/record"
	"github.com/crm-workflow/crm-workflow/crmstore/storetest"
)

// shoe is the property that the killed imports of these tests have made.
func shoe() []record.Property {
	return []record.Property{{Name: "shoe_size", Label: "Shoe Size", Type: record.Number}}
}

// killedImport leaves in the store what an import leaves that is killed before its first line.
func killedImport(t *testing.T, s *crmstore.Store) *record.Schema {
	t.Helper()
	schema, err := s.AddForImport(t.Context(), record.Contact, shoe(), "killed", record.Cause{}, storetest.Time)
	if err != nil {
		t.Fatal(err)
	}
	silence(t, s)
	return schema
}

// silence makes the last signs of life of all imports a minute older.
func silence(t *testing.T, s *crmstore.Store) {
	t.Helper()
	ctx, key := t.Context(), "crm:{"+s.AccountName()+"}:schema"
	text, err := s.Client().HGet(ctx, key, string(record.Contact)).Bytes()
	if err != nil {
		t.Fatal(err)
	}
	var properties []record.Property
	if err := json.Unmarshal(text, &properties); err != nil {
		t.Fatal(err)
	}
	for i := range properties {
		if p := properties[i].Pending; p != nil {
			p.Seen = p.Seen.Add(-time.Minute)
		}
	}
	if text, err = json.Marshal(properties); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(s.Client().HSet(ctx, key, string(record.Contact), text).Err(), s.Client().HIncrBy(ctx, key, "contact:v", 1).Err()); err != nil {
		t.Fatal(err)
	}
}

// shoes is the property as the store offers it; nil when it does not.
func shoes(t *testing.T, s *crmstore.Store) *record.Property {
	t.Helper()
	schema, err := s.Schema(t.Context(), record.Contact)
	if err != nil {
		t.Fatal(err)
	}
	return schema.Named("shoe_size")
}

// editor is a user who may edit contacts, and nothing else.
func editor(t *testing.T, s *crmstore.Store) *crmstore.Store {
	t.Helper()
	if _, err := s.AddUser(t.Context(), "eve", "", false, record.Cause{}, storetest.Time); err != nil {
		t.Fatal(err)
	}
	grants := crmstore.Grants{Permissions: []crmstore.Permission{crmstore.CanView, crmstore.CanEdit}, Objects: []record.ObjectType{record.Contact}}
	if _, err := s.Grant(t.Context(), "eve", grants, record.Cause{}, storetest.Time); err != nil {
		t.Fatal(err)
	}
	return s.As("eve")
}

// The next import takes away what a killed one had made, whoever runs it; a dry run only says so.
func TestImport_takesBackWhatAKilledOneMade(t *testing.T) {
	t.Parallel()
	s := storetest.Open(t)
	eve := editor(t, s)
	killedImport(t, s)
	const file = "Email\nann@a.example\n"
	dry := mustImport(t, eve, file, options(func(o *csvfile.Options) { o.DryRun = true }))
	if cmp.Diff([]string{"shoe_size"}, dry.TakenBack) != "" || shoes(t, s) == nil {
		t.Errorf("the dry run says %v, and the property is there: %t", dry.TakenBack, shoes(t, s) != nil)
	}
	if got := mustImport(t, eve, file, options()); cmp.Diff([]string{"shoe_size"}, got.TakenBack) != "" || shoes(t, s) != nil {
		t.Errorf("the import says %v, and the property is there: %t", got.TakenBack, shoes(t, s) != nil)
	}
	if got := mustImport(t, eve, file, options()); got.TakenBack != nil {
		t.Errorf("the import after it says %v", got.TakenBack)
	}
	r := mustImport(t, eve, "Email,Shoe Size\nbob@b.example,brown\n", options(creating))
	if len(r.CreatedProperties) != 1 || shoes(t, s).Type != record.String || shoes(t, s).Pending != nil {
		t.Errorf("the same column in a later import: %+v, %+v", r.CreatedProperties, shoes(t, s))
	}
}

// What a killed import had made stays when something uses it, and when no import has made it.
func TestImport_keepsWhatIsUsed(t *testing.T) {
	t.Parallel()
	value := func(t *testing.T, s *crmstore.Store, schema *record.Schema) record.ID {
		t.Helper()
		u := crmstore.Upsert{ID: 7, Set: []record.Assignment{{Property: schema.Named("shoe_size").Number, Value: record.NumberValue(42)}}}
		results, err := s.Write(t.Context(), record.Contact, crmstore.UpsertAny, []crmstore.Upsert{u}, record.Cause{}, storetest.Time)
		if err = errors.Join(err, results[0].Err); err != nil {
			t.Fatal(err)
		}
		return results[0].ID
	}
	for name, use := range map[string]func(t *testing.T, s *crmstore.Store){
		"record": func(t *testing.T, s *crmstore.Store) { value(t, s, killedImport(t, s)) },
		"record in the bin": func(t *testing.T, s *crmstore.Store) {
			// The value was written by a process that was killed before it took the mark off.
			id := value(t, s, killedImport(t, s))
			recs, err := s.Get(t.Context(), record.Contact, []record.ID{id})
			if err != nil {
				t.Fatal(err)
			}
			batch := crmstore.Archive{Partition: id.Partition(16), Targets: []crmstore.Target{{ID: id, Slot: recs[0].Slot, Version: recs[0].Version}}}
			if _, err := s.Archive(t.Context(), crmstore.ArchiveOrder{Object: record.Contact, At: storetest.Time}, []crmstore.Archive{batch}); err != nil {
				t.Fatal(err)
			}
			markAgain(t, s)
		},
		"list": func(t *testing.T, s *crmstore.Store) {
			killedImport(t, s)
			_, err := s.AddList(t.Context(), crmstore.ListOrder{Object: record.Contact, Name: "big", Where: "contact.shoe_size > 45", At: storetest.Time})
			if err != nil {
				t.Fatal(err)
			}
		},
		"person": func(t *testing.T, s *crmstore.Store) {
			killedImport(t, s)
			if _, err := s.RenameProperty(t.Context(), record.Contact, "shoe_size", "", "Size of shoes", record.Cause{}, storetest.Time); err != nil {
				t.Fatal(err)
			}
		},
		"no import": func(t *testing.T, s *crmstore.Store) {
			if _, err := s.AddProperties(t.Context(), record.Contact, shoe(), record.Cause{}, storetest.Time); err != nil {
				t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := storetest.Open(t)
			use(t, s)
			r := mustImport(t, s, "Email\nann@a.example\n", options())
			if p := shoes(t, s); p == nil || p.Pending != nil || len(r.TakenBack) > 0 {
				t.Errorf("the property is %+v, and the import says %v", p, r.TakenBack)
			}
		})
	}
}

// markAgain gives the property the mark that it had before a value was written.
func markAgain(t *testing.T, s *crmstore.Store) {
	t.Helper()
	ctx, key := t.Context(), "crm:{"+s.AccountName()+"}:schema"
	text, err := s.Client().HGet(ctx, key, string(record.Contact)).Result()
	if err != nil {
		t.Fatal(err)
	}
	const label = `"label":"Shoe Size",`
	marked := strings.Replace(text, label, label+`"pending":{"import":"killed","seen":"2020-01-01T00:00:00Z"},`, 1)
	if marked == text || strings.Contains(text, `"pending"`) {
		t.Fatal("the mark was not taken off")
	}
	if err := errors.Join(s.Client().HSet(ctx, key, string(record.Contact), marked).Err(), s.Client().HIncrBy(ctx, key, "contact:v", 1).Err()); err != nil {
		t.Fatal(err)
	}
}

// An import whose column is of a property that another one has just made waits until that one is decided.
func TestImport_waitsForAnotherOnesProperty(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		decide func(s *crmstore.Store) error
		made   int
	}{
		"its line is in": {func(s *crmstore.Store) error {
			return s.KeepProperties(t.Context(), record.Contact, "other", record.Cause{}, storetest.Time)
		}, 0},
		"it fails": {func(s *crmstore.Store) error {
			_, err := s.TakeBackProperties(t.Context(), record.Contact, "other", record.Cause{}, storetest.Time)
			return err
		}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := storetest.Open(t)
			if _, err := s.AddForImport(t.Context(), record.Contact, shoe(), "other", record.Cause{}, storetest.Time); err != nil {
				t.Fatal(err)
			}
			waited := false
			r := mustImport(t, s, "Email,Shoe Size\nann@a.example,42\n", options(func(o *csvfile.Options) {
				o.CreateProperties = true
				o.Waiting = func() {
					waited = true
					if err := c.decide(s); err != nil {
						t.Error(err)
					}
				}
			}))
			if p := shoes(t, s); !waited || len(r.CreatedProperties) != c.made || r.Created != 1 || p == nil || p.Pending != nil {
				t.Errorf("waited %t, made %v, %s, property %+v", waited, r.CreatedProperties, tally(r), p)
			}
		})
	}
}

// onceMade is a file whose reading does something as soon as the property is there.
type onceMade struct {
	*strings.Reader
	store *crmstore.Store
	do    func()
}

func (f *onceMade) Read(p []byte) (int, error) {
	schema, err := f.store.Schema(context.Background(), record.Contact)
	if err == nil && schema.Named("shoe_size") != nil && f.do != nil {
		f.do()
		f.do = nil
	}
	n, rerr := f.Reader.Read(p)
	return n, errors.Join(err, rerr)
}

var _ io.ReadSeeker = (*onceMade)(nil)

// An import that was frozen for so long that others took its property back gets it again with its first line.
func TestImport_frozenFindsItsProperty(t *testing.T) {
	t.Parallel()
	s := storetest.Open(t)
	thaw := func() {
		silence(t, s)
		if r := mustImport(t, s, "Email\nann@a.example\n", options()); len(r.TakenBack) != 1 || shoes(t, s) != nil {
			t.Errorf("the other import says %v", r.TakenBack)
		}
	}
	file := &onceMade{Reader: strings.NewReader("Email,Shoe Size\nbob@b.example,42\n"), store: s, do: thaw}
	r, err := csvfile.Import(t.Context(), s, file, options(creating))
	if err != nil || len(r.CreatedProperties) != 1 || file.do != nil {
		t.Fatalf("%+v, %v", r, err)
	}
	if p := shoes(t, s); p == nil || p.Pending != nil {
		t.Fatalf("the property is %+v", p)
	}
	if out := export(t, s, csvfile.ExportOptions{}); !strings.Contains(out, "42") {
		t.Errorf("the value is not seen:\n%s", out)
	}
}

// When its name was given to another property meanwhile, the frozen import says so.
func TestImport_frozenFindsAnotherProperty(t *testing.T) {
	t.Parallel()
	s := storetest.Open(t)
	file := &onceMade{Reader: strings.NewReader("Email,Shoe Size\nbob@b.example,42\n"), store: s, do: func() {
		silence(t, s)
		mustImport(t, s, "Email,Shoe Size\nann@a.example,brown\n", options(creating))
	}}
	if _, err := csvfile.Import(t.Context(), s, file, options(creating)); !errors.Is(err, record.ErrExists) || !strings.Contains(err.Error(), "import the file again") {
		t.Errorf("the frozen import says %v", err)
	}
}

// Imports that make the same property at once all bring their lines in.
func TestImport_samePropertyAtOnce(t *testing.T) {
	t.Parallel()
	s := storetest.Open(t)
	const n = 4
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() {
			name := string(rune('a' + i))
			r, err := csvfile.Import(t.Context(), s, strings.NewReader("Email,Shoe Size\n"+name+"@a.example,42\n"), options(creating))
			if err != nil || r.Created != 1 {
				t.Errorf("%+v, %v", r, err)
			}
		})
	}
	all.Wait()
	schema, err := s.Schema(t.Context(), record.Contact)
	if err != nil {
		t.Fatal(err)
	}
	if p := shoes(t, s); p == nil || p.Pending != nil || len(schema.Find("Shoe Size")) != 1 {
		t.Errorf("the property is %+v", p)
	}
	if out := export(t, s, csvfile.ExportOptions{}); strings.Count(out, "42") != n {
		t.Errorf("want %d values in\n%s", n, out)
	}
}

// Doctor names what a killed import had made, and takes it away when it repairs; one that may still be alive is no problem.
func TestDoctor_killedImport(t *testing.T) {
	t.Parallel()
	s := storetest.Open(t)
	examine := func(repair bool) (found []crmstore.Problem) {
		t.Helper()
		if err := s.Doctor(t.Context(), record.Contact, repair, func(p crmstore.Problem) error { found = append(found, p); return nil }); err != nil {
			t.Fatal(err)
		}
		return found
	}
	if _, err := s.AddForImport(t.Context(), record.Contact, shoe(), "alive", record.Cause{}, storetest.Time); err != nil {
		t.Fatal(err)
	}
	if found := examine(true); len(found) > 0 || shoes(t, s) == nil {
		t.Errorf("of an import that is alive doctor says %v", found)
	}
	silence(t, s)
	for _, repair := range []bool{false, true} {
		found := examine(repair)
		if len(found) != 1 || found[0].Code != "property" || found[0].Repaired != repair || !strings.Contains(found[0].Detail, "shoe_size") || (shoes(t, s) == nil) != repair {
			t.Errorf("repair %t: doctor says %+v, and the property is %+v", repair, found, shoes(t, s))
		}
	}
	if found := examine(false); len(found) > 0 {
		t.Errorf("afterwards doctor says %v", found)
	}
}
