package record

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// The numbers are in the bytes of every record there is. This list only ever grows, at its end.
var pinned = map[ObjectType]string{
	Contact: `createdate lastmodifieddate email firstname lastname phone mobilephone company jobtitle website address city state zip
		country lifecyclestage hs_lead_status hubspot_owner_id notes_last_updated notes_last_contacted notes_next_activity_date
		hs_last_sales_activity_timestamp num_notes num_contacted_notes num_associated_deals recent_deal_amount recent_deal_close_date
		total_revenue first_deal_created_date closedate hs_email_optout hs_email_hard_bounce_reason hs_email_bounce hs_email_delivered
		hs_email_open hs_email_click hs_email_last_open_date hs_email_last_click_date hs_email_last_send_date hs_email_first_send_date
		hs_email_quarantined hs_analytics_last_timestamp hs_analytics_last_visit_timestamp hs_analytics_num_page_views hs_analytics_source
		hs_marketable_status hs_language associatedcompanyid hs_email_hard_bounce_reason_enum hs_email_bad_address hs_analytics_num_visits
		num_conversion_events recent_conversion_date hs_job_change_detected_date`,
	Company: `createdate hs_lastmodifieddate domain name phone city state country industry numberofemployees annualrevenue lifecyclestage
		hubspot_owner_id notes_last_updated notes_last_contacted num_associated_contacts num_associated_deals`,
	Deal: `createdate hs_lastmodifieddate dealname amount closedate dealstage pipeline dealtype hubspot_owner_id notes_last_updated
		hs_is_closed hs_is_closed_won`,
	Ticket: `createdate hs_lastmodifieddate subject content hs_pipeline hs_pipeline_stage hs_ticket_priority closed_date hubspot_owner_id
		notes_last_updated`,
	Call: `createdate hs_lastmodifieddate hs_call_title hs_call_body hs_timestamp hs_call_direction hs_call_duration hs_call_status
		hubspot_owner_id`,
}

func TestDefaultNumbers(t *testing.T) {
	t.Parallel()
	for _, o := range StandardObjects() {
		want := map[string]int{}
		for i, name := range strings.Fields(pinned[o]) {
			want[name] = FirstProperty + i
		}
		got := map[string]int{}
		for _, p := range DefaultProperties(o) {
			got[p.Name] = p.Number
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("numbers of %s (-want +got):\n%s", o, diff)
		}
	}
	for number, name := range map[int]string{PropertyCreated: "createdate", PropertyModified: "lastmodifieddate", PropertyEmail: "email"} {
		if p := NewSchema(Contact, 1, DefaultProperties(Contact)).Number(number); p.Name != name {
			t.Errorf("property %d of contacts is %s, want %s", number, p.Name, name)
		}
	}
}

func TestDefaultProperties(t *testing.T) {
	t.Parallel()
	for _, o := range StandardObjects() {
		schema := NewSchema(o, 1, DefaultProperties(o))
		labels := map[string][]string{}
		for i := range schema.Properties {
			p := schema.Properties[i]
			labels[p.Label] = append(labels[p.Label], p.Name)
			if err := CheckNewProperty(&p); err != nil {
				t.Errorf("%s: %v", o, err)
			}
			for j, option := range p.Options {
				if option.Number != j+1 || option.Label == "" {
					t.Errorf("%s.%s: option %+v has no label or not number %d", o, p.Name, option, j+1)
				}
			}
		}
		for label, names := range labels {
			if len(names) > 1 && label != "Email hard bounce reason" {
				t.Errorf("%s: %v share the label %q", o, names, label)
			}
		}
	}
}

// Names that people and exports use lead to HubSpot's internal names.
func TestDefaultNamesOfContacts(t *testing.T) {
	t.Parallel()
	schema := NewSchema(Contact, 1, DefaultProperties(Contact))
	for name, want := range map[string]string{
		"Create Date": "createdate", "create_date": "createdate", "Last Activity Date": "notes_last_updated",
		"last_activity_date": "notes_last_updated", "LAST ACTIVITY DATE": "notes_last_updated", "First Name": "firstname",
		"Email": "email", "Lifecycle Stage": "lifecyclestage", "Contact owner": "hubspot_owner_id", "closedate": "closedate",
		"State/Region": "state", "state_region": "state", "Unsubscribed from all email": "hs_email_optout",
		"Email hard bounce reason":    "hs_email_hard_bounce_reason hs_email_hard_bounce_reason_enum",
		"hs_email_hard_bounce_reason": "hs_email_hard_bounce_reason", "nix": "",
	} {
		var got []string
		for _, p := range schema.Find(name) {
			got = append(got, p.Name)
		}
		if strings.Join(got, " ") != want {
			t.Errorf("Find(%q) = %v, want %s", name, got, want)
		}
	}
	if p := schema.Find("lifecyclestage")[0]; p.Option("marketingqualifiedlead").Label != "Marketing Qualified Lead" || len(p.Options) != 8 {
		t.Errorf("lifecyclestage has options %+v", p.Options)
	}
	types := map[PropertyType]bool{}
	for _, p := range schema.Properties {
		types[p.Type] = true
	}
	if len(types) != 6 {
		t.Errorf("contacts show %d of the 6 property types", len(types))
	}
}
