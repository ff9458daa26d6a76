package triggers

import "testing"

// TestNormal holds the guards of the normal form: a value is asked whether it is known where it can be unknown, and only there.
func TestNormal(t *testing.T) {
	t.Parallel()
	for source, want := range map[string]string{
		`contact.num_associated_deals != 1`:                                        `known(contact.num_associated_deals) && contact.num_associated_deals != 1`,
		`(contact.email ?? "ANN@x.example") contains "ANN"`:                        `(contact.email ?? "ann@x.example") contains "ann"`,
		`lower(contact.email ?? "mailto:Ann@X.example") == "ANN@x.example"`:        `lower(contact.email ?? "ann@x.example") == "ann@x.example"`,
		`(contact.total_revenue ?? 0) > 3`:                                         `(contact.total_revenue ?? 0) > 3`,
		`(contact.total_revenue ?? 0) * 2 > 3`:                                     `known((contact.total_revenue ?? 0) * 2) && ((contact.total_revenue ?? 0) * 2) > 3`, // twice the largest number is none
		`((contact.bounced ? 1 < 2 : contact.hs_email_optout) ?? false)`:           `((contact.bounced ? (1 < 2) : contact.hs_email_optout) ?? false)`,
		`((contact.bounced ? 1 < 2 : contact.hs_email_optout) ?? contact.bounced)`: `((known(contact.bounced) && contact.bounced) || (known(contact.bounced) && !contact.bounced && known(contact.hs_email_optout)) || known(contact.bounced)) && ((contact.bounced ? (1 < 2) : contact.hs_email_optout) ?? contact.bounced)`,
	} {
		v := testVocabulary()
		e := mustCompile(t, source, v)
		if got := e.Normal(); got != want {
			t.Errorf("%s\nhas the normal form %s\nwant %s", source, got, want)
		}
		mustCompile(t, e.Normal(), v)
	}
}
