package examples_test

import (
	"bytes"
	"context"
	"io/fs"
	"os"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/crm-workflow/crm-workflow/crmstore"
	"github.com/crm-workflow/crm-workflow/crmstore/csvfile"
	"github.com/crm-workflow/crm-workflow/crmstore/record"
	"github.com/crm-workflow/crm-workflow/crmstore/storetest"
	"github.com/crm-workflow/crm-workflow/examples"
	"github.com/crm-workflow/crm-workflow/workflow"
	"github.com/crm-workflow/crm-workflow/workflow/definition"
)

func TestMain(m *testing.M) { os.Exit(storetest.Main(m)) }

// importCSV brings a file of the package into the store; every line of it must go in.
func importCSV(t *testing.T, store *crmstore.Store, file string, o csvfile.Options) *csvfile.Report {
	t.Helper()
	text, err := examples.Files.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	o.Object, o.At, o.Cause = record.Contact, storetest.Time, record.Cause{Actor: "test"}
	report, err := csvfile.Import(t.Context(), store, bytes.NewReader(text), o)
	if err != nil {
		t.Fatal(err)
	}
	if report.FindingsTotal > 0 {
		t.Fatalf("%s: %d findings, the first: %+v", file, report.FindingsTotal, report.Findings[0])
	}
	return report
}

// load loads a workflow of the package, which must have no finding, not even a warning.
func load(t *testing.T, store *crmstore.Store, file string) *definition.Definition {
	t.Helper()
	source, err := examples.Files.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	vocabulary, err := definition.AccountVocabulary(t.Context(), store)
	if err != nil {
		t.Fatal(err)
	}
	d, findings := definition.Load(file, source, vocabulary)
	if len(findings) > 0 {
		t.Fatalf("%s: %+v", file, findings)
	}
	if d.Name+".yaml" != file {
		t.Errorf("%s holds workflow %s", file, d.Name)
	}
	if d.Title == "" || d.Description == "" || d.Schedule == nil || len(d.Trigger.Suppress) == 0 && d.Limits == (definition.Limits{}) {
		t.Errorf("%s: an example has a title, a description, a schedule, and a suppression or limits of its own", file)
	}
	return d
}

// chosen is who each workflow chooses among contacts.csv, worked out by hand from the file. The comments say why their
// neighbours in the file stay.
var chosen = map[string]struct {
	enroll     []record.ID
	matched    int64
	suppressed int64
}{
	// 1026: exactly 365 days, not more. 1030: another stage. 1031: no stage. 1032: no activity known. Suppressed: 1027 has a
	// deal, 1028 is at acme.example, 1029 is on the keep list.
	"stale-leads.yaml": {[]record.ID{1021, 1022, 1023, 1024, 1025}, 8, 3},
	// 1039, 1040: full mailbox and policy. Suppressed: 1006 in talks, 1037 on the phone last month, 1041 a customer.
	"hard-bounces.yaml": {[]record.ID{1033, 1034, 1035, 1036, 1038}, 8, 3},
	// 1046: not yet 90 days. Suppressed: 1005 a customer, 1047 and 1049 have deals, 1048 has revenue.
	"unsubscribed-never-customer.yaml": {[]record.ID{1042, 1043, 1044, 1045}, 8, 4},
	// 1036, 1056: too few e-mails. 1055: exactly 180 days. 1057: number of e-mails not known. 1058: a visit. 1060: too new.
	// Suppressed: 1059 a customer, 1061 on the keep list.
	"never-engaged.yaml": {[]record.ID{1050, 1051, 1052, 1053, 1054}, 7, 2},
	// 1065: info@, and reads our mail. 1068, 1069, 1070: only look like it. 1071: info@ of a customer who reads our mail.
	"test-and-role-addresses.yaml": {[]record.ID{1062, 1063, 1064, 1066, 1067}, 5, 0},
}

// sampleNow is the day of contacts.csv.
var sampleNow = time.Date(2026, 11, 23, 3, 0, 0, 0, time.UTC)

func TestExamples_ChooseExactlyWhomTheyShould(t *testing.T) {
	t.Parallel()
	store := storetest.Open(t)
	if r := importCSV(t, store, "contacts.csv", csvfile.Options{}); r.Created != 75 {
		t.Errorf("contacts.csv made %d contacts, want 75", r.Created)
	}
	if r := importCSV(t, store, "keep.csv", csvfile.Options{List: "keep"}); r.Unchanged != 3 || r.Listed != 3 {
		t.Errorf("keep.csv: %d unchanged, %d listed; want 3 and 3", r.Unchanged, r.Listed)
	}
	for file, want := range chosen {
		t.Run(file, func(t *testing.T) {
			t.Parallel()
			d := load(t, store, file)
			review, err := workflow.MakeReview(t.Context(), store, d, sampleNow)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want.enroll, review.Contacts); diff != "" {
				t.Errorf("who would be deleted (-want +got):\n%s", diff)
			}
			if review.Live != 75 || review.Matched != want.matched || review.Suppressed != want.suppressed {
				t.Errorf("of %d live, %d matched and %d were suppressed; want 75, %d, %d",
					review.Live, review.Matched, review.Suppressed, want.matched, want.suppressed)
			}
			if review.OverLimit != "" || len(review.Warnings) > 0 {
				t.Errorf("over the limit: %q; warnings: %v", review.OverLimit, review.Warnings)
			}
			checkExplained(t, store, d, sampleNow, want.matched)
		})
	}
}

// checkExplained explains d and holds the counts against each other and against the review's.
func checkExplained(t *testing.T, store *crmstore.Store, d *definition.Definition, now time.Time, matched int64) {
	t.Helper()
	m, err := d.Trigger.At(now)
	if err != nil {
		t.Fatal(err)
	}
	partitions, err := store.Partitions(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	e, err := m.Explain(t.Context(), store, d.Object, 0, partitions)
	if err != nil {
		t.Fatal(err)
	}
	if len(e.Expressions) != len(d.Trigger.Any)+len(d.Trigger.Suppress) {
		t.Errorf("explained %d expressions of %d", len(e.Expressions), len(d.Trigger.Any)+len(d.Trigger.Suppress))
	}
	var most, sum int64
	for _, x := range e.Expressions {
		if len(x.Conditions) == 0 {
			t.Errorf("%s: no conditions explained", x.Source)
		}
		if !x.Suppress {
			most, sum = max(most, x.Keeps), sum+x.Keeps
		}
	}
	if matched < most || matched > sum {
		t.Errorf("%d matched, yet the triggers keep from %d to %d", matched, most, sum)
	}
}

// TestExamples_AllAreTested fails when a workflow is added without saying whom it should choose.
func TestExamples_AllAreTested(t *testing.T) {
	t.Parallel()
	files, err := fs.Glob(examples.Files, "*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if len(files) < 6 {
		t.Errorf("%d workflows, want at least 6", len(files))
	}
	for _, file := range files {
		if _, known := chosen[file]; !known && file != cdnowWorkflow {
			t.Errorf("%s is not in the table of who it should choose", file)
		}
	}
}

// TestExamples_RunDeletesWhomReviewShowed carries one example through: what the review listed is what goes, and a second
// run finds nobody.
func TestExamples_RunDeletesWhomReviewShowed(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	store := storetest.Open(t)
	importCSV(t, store, "contacts.csv", csvfile.Options{})
	d := load(t, store, "hard-bounces.yaml")
	if _, err := workflow.Publish(ctx, store, d, sampleNow); err != nil {
		t.Fatal(err)
	}
	runner := &workflow.Runner{Store: store, Owner: "test"}
	for i, want := range []int64{int64(len(chosen["hard-bounces.yaml"].enroll)), 0} {
		run, err := runner.Run(ctx, workflow.RunRequest{Name: d.Name, Now: sampleNow.Add(time.Duration(i) * time.Minute)})
		if err != nil {
			t.Fatal(err)
		}
		if run.State != crmstore.RunDone || run.Deleted != want {
			t.Errorf("run %d: %s, deleted %d, want %d", i+1, run.State, run.Deleted, want)
		}
	}
	for _, r := range get(ctx, t, store, chosen["hard-bounces.yaml"].enroll) {
		if r.Deletion == nil || r.Deletion.Workflow != d.Name {
			t.Errorf("contact %s: deletion %+v", r.ID, r.Deletion)
		}
	}
}

func get(ctx context.Context, t *testing.T, store *crmstore.Store, ids []record.ID) []*record.Record {
	t.Helper()
	records, err := store.Get(ctx, record.Contact, ids)
	if err != nil {
		t.Fatal(err)
	}
	if len(records) != len(ids) {
		t.Errorf("found %d of %d contacts", len(records), len(ids))
	}
	return records
}
