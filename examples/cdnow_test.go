package examples_test

import (
	"encoding/csv"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/crm-workflow/crm-workflow/crmstore"
	"github.com/crm-workflow/crm-workflow/crmstore/csvfile"
	"github.com/crm-workflow/crm-workflow/crmstore/record"
	"github.com/crm-workflow/crm-workflow/crmstore/storetest"
	"github.com/crm-workflow/crm-workflow/examples"
	"github.com/crm-workflow/crm-workflow/triggers"
	"github.com/crm-workflow/crm-workflow/workflow"
	"github.com/crm-workflow/crm-workflow/workflow/definition"
	"github.com/crm-workflow/crm-workflow/workflow/diag"
)

const cdnowWorkflow = "one-time-buyers.yaml"

// cdnowNow is the day after the last purchase of the data set.
var cdnowNow = time.Date(1998, 7, 1, 0, 0, 0, 0, time.UTC)

// customer is one line of cdnow-contacts.csv, read with the standard library alone.
type customer struct {
	id            record.ID
	email         string
	first, last   string // days, which sort as text
	orders, units int
	revenue       float64
}

func customers(t *testing.T) []customer {
	t.Helper()
	file, err := examples.Files.Open("cdnow-contacts.csv")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	lines, err := csv.NewReader(file).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	header := []string{"Record ID", "Email", "Create Date", "Last Activity Date", "Number of Orders", "Units Bought", "Total Revenue"}
	if diff := cmp.Diff(header, lines[0]); diff != "" {
		t.Fatalf("header (-want +got):\n%s", diff)
	}
	number := func(s string) int {
		n, err := strconv.Atoi(s)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	var all []customer
	for _, l := range lines[1:] {
		revenue, err := strconv.ParseFloat(l[6], 64)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, customer{record.ID(number(l[0])), l[1], l[2], l[3], number(l[4]), number(l[5]), revenue})
	}
	return all
}

// cdnowCases are expressions with the same question in plain Go, and the number that both must give: it was counted a third
// time with awk.
var cdnowCases = []struct {
	expression string
	plain      func(c customer) bool
	want       int
}{
	{
		`contact.number_of_orders == 1 && daysSince(contact.last_activity_date) > 365`,
		func(c customer) bool { return c.orders == 1 && c.last < "1997-07-01" }, 11908,
	},
	{
		`contact.number_of_orders == 1 && contact.last_activity_date < date("1997-07-01")`,
		func(c customer) bool { return c.orders == 1 && c.last < "1997-07-01" }, 11908,
	},
	{`contact.number_of_orders >= 10`, func(c customer) bool { return c.orders >= 10 }, 1154},
	{`contact.total_revenue == 0`, func(c customer) bool { return c.revenue == 0 }, 68},
	{
		`contact.total_revenue > 500 && contact.last_activity_date < date("1998-01-01")`,
		func(c customer) bool { return c.revenue > 500 && c.last < "1998-01-01" }, 93,
	},
	{
		`contact.createdate == contact.last_activity_date && contact.number_of_orders > 1`,
		func(c customer) bool { return c.first == c.last && c.orders > 1 }, 146,
	},
	{
		`contact.createdate >= date("1997-02-01") && contact.createdate < date("1997-03-01")`,
		func(c customer) bool { return c.first >= "1997-02-01" && c.first < "1997-03-01" }, 8476,
	},
	{
		`contact.units_bought / contact.number_of_orders >= 5`,
		func(c customer) bool { return float64(c.units)/float64(c.orders) >= 5 }, 1561,
	},
	{
		`contact.number_of_orders in [1, 2] && !(contact.createdate < date("1997-02-15"))`,
		func(c customer) bool { return (c.orders == 1 || c.orders == 2) && c.first >= "1997-02-15" }, 7788,
	},
	{
		`contact.email matches "000@"`,
		func(c customer) bool { return strings.Contains(c.email, "000@") }, 23,
	},
	{
		`contact.number_of_orders > 3 && (daysSince(contact.last_activity_date) > 180 || contact.email endsWith "7@cdnow.example")`,
		func(c customer) bool {
			return c.orders > 3 && (c.last < "1998-01-02" || strings.HasSuffix(c.email, "7@cdnow.example"))
		}, 1918,
	},
	{`unknown(contact.lifecyclestage) && known(contact.units_bought)`, func(customer) bool { return true }, 23570},
	{`contact.lifecyclestage != "customer"`, func(customer) bool { return false }, 0}, // unknown is not a match
}

func TestCDNOW_CountsAgreeWithPlainGo(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	all := customers(t)
	store := cdnowStore(t)
	vocabulary, err := definition.AccountVocabulary(ctx, store)
	if err != nil {
		t.Fatal(err)
	}
	partitions, err := store.Partitions(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range cdnowCases {
		t.Run(c.expression, func(t *testing.T) {
			t.Parallel()
			var want []record.ID
			for _, one := range all {
				if c.plain(one) {
					want = append(want, one.id)
				}
			}
			if len(want) != c.want {
				t.Fatalf("plain Go counts %d, awk counted %d", len(want), c.want)
			}
			v := vocabulary(record.Contact)
			e, findings := triggers.Compile(diag.NewText("", c.expression, nil), v)
			if len(findings) > 0 {
				t.Fatal(findings)
			}
			trigger := triggers.Trigger{Object: record.Contact, Any: []*triggers.Expr{e}, Vocabulary: v}
			m, err := trigger.At(cdnowNow)
			if err != nil {
				t.Fatal(err)
			}
			var got []record.ID
			err = m.Evaluate(ctx, store, record.Contact, 0, partitions, func(f triggers.Found) error {
				got = append(got, f.IDs...)
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
			slices.Sort(got)
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%d contacts, want %d (-want +got):\n%s", len(got), len(want), diff)
			}
		})
	}
}

func TestCDNOW_Workflow(t *testing.T) {
	t.Parallel()
	store := cdnowStore(t)
	d := load(t, store, cdnowWorkflow)
	review, err := workflow.MakeReview(t.Context(), store, d, cdnowNow)
	if err != nil {
		t.Fatal(err)
	}
	if review.Live != 23570 || review.WouldDelete != 11908 || review.OverLimit != "" {
		t.Errorf("of %d contacts %d would be deleted, over the limit: %q; want 23570, 11908 and none",
			review.Live, review.WouldDelete, review.OverLimit)
	}
	checkExplained(t, store, d, cdnowNow, 11908)

	d.Limits = definition.Limits{MaxDeletions: definition.DefaultMaxDeletions, MaxPercent: definition.DefaultMaxPercent}
	review, err = workflow.MakeReview(t.Context(), store, d, cdnowNow)
	if err != nil {
		t.Fatal(err)
	}
	if review.OverLimit == "" {
		t.Error("the default limits let half of all contacts go")
	}
}

// cdnowStore holds cdnow-contacts.csv, with the properties that its import makes.
func cdnowStore(t *testing.T) *crmstore.Store {
	t.Helper()
	store := storetest.Open(t)
	report := importCSV(t, store, "cdnow-contacts.csv", csvfile.Options{CreateProperties: true})
	if report.Created != 23570 {
		t.Fatalf("%d contacts were made, want 23570", report.Created)
	}
	want := []csvfile.CreatedProperty{
		{Name: "number_of_orders", Label: "Number of Orders", Type: record.Number, Values: 23570},
		{Name: "units_bought", Label: "Units Bought", Type: record.Number, Values: 23570},
	}
	if diff := cmp.Diff(want, report.CreatedProperties); diff != "" {
		t.Errorf("properties made by the import (-want +got):\n%s", diff)
	}
	return store
}
