package crmstore_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/crm-workflow/crm-workflow/crmstore"
	"github.com/crm-workflow/crm-workflow/crmstore/record"
	"github.com/crm-workflow/crm-workflow/crmstore/storetest"
)

func TestSettings(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, o storetest.Options) {
		s := storetest.OpenWith(t, o)
		set := func(key, value string) {
			t.Helper()
			if _, err := s.SetSetting(t.Context(), key, value, someone, noon); err != nil {
				t.Fatal(err)
			}
		}
		set(crmstore.SettingMailHost, "mail.example.com")
		set(crmstore.SettingMailPort, "2525")
		set(crmstore.SettingMailPort, "2525") // no change, no event
		set(crmstore.SettingMailTLS, "none")
		set(crmstore.SettingMailTLS, "")
		got, err := s.MailSettings(t.Context())
		want := crmstore.MailSettings{Host: "mail.example.com", Port: 2525}
		if d := cmp.Diff(want, got); d != "" || err != nil {
			t.Errorf("%v, -want +got:\n%s", err, d)
		}
		var details []string
		err = s.Audit(t.Context(), crmstore.AuditFilter{}, func(e record.Event) error {
			if e.Op == "set-setting" {
				details = append(details, e.Detail)
			}
			return nil
		})
		log := []string{
			"smtp_host: from the default to mail.example.com", "smtp_port: from the default to 2525",
			"smtp_tls: from the default (starttls) to none", "smtp_tls: from none to the default (starttls)",
		}
		if d := cmp.Diff(log, details); d != "" || err != nil {
			t.Errorf("%v, events -want +got:\n%s", err, d)
		}
	})
}

func TestSetSettingRefuses(t *testing.T) {
	t.Parallel()
	empty := storetest.OpenEmpty(t)
	if _, err := empty.SetSetting(t.Context(), crmstore.SettingMailHost, "a.example.com", someone, noon); !errors.Is(err, record.ErrNoAccount) {
		t.Errorf("without an account: %v", err)
	}
	s := storetest.Open(t)
	for key, values := range map[string][]string{
		crmstore.SettingAuditDays: {"0", "-1", "36501", "1.5", " 7", "+7", "007", "x"},
		crmstore.SettingMailPort:  {"0", "65536", "smtp"},
		crmstore.SettingMailTLS:   {"STARTTLS", "ssl"},
		crmstore.SettingDeletions: {"0", "-5", "0.5", "1000001", "10/s", "none"},
		crmstore.SettingMailHost:  {"a b", "a:25", "a\r\nb", "-a", "a..b", strings.Repeat("a", 254), "http://a"},
		crmstore.SettingMailUser:  {"a\r\nb", " a", "a\x00"},
		crmstore.SettingMailFrom:  {"nobody", "a@b, c@d", "a@b\r\nBcc: c@d"},
		"smtp_password":           {"secret"},
	} {
		for _, value := range values {
			var refused *crmstore.SettingError
			if _, err := s.SetSetting(t.Context(), key, value, someone, noon); !errors.As(err, &refused) {
				t.Errorf("%s %q: %v, want a *SettingError", key, value, err)
			}
		}
	}
	all, err := s.Settings(t.Context())
	if d := cmp.Diff(crmstore.SettingDefaults(), all); d != "" || err != nil {
		t.Errorf("%v, a refused value was kept (-want +got):\n%s", err, d)
	}
}
