package main

import (
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/crm-workflow/crm-workflow/crmstore"
	"github.com/crm-workflow/crm-workflow/crmstore/storetest"
)

// toldStore is an account with one contact and all that a confirmation needs.
func toldStore(t *testing.T, p *post) program {
	t.Helper()
	store := storetest.OpenWith(t, storetest.Options{Partitions: 4})
	run := program{t: t, store: store}
	for key, value := range map[string]string{"smtp_host": "127.0.0.1", "smtp_port": p.port, "smtp_tls": "none", "smtp_from": "crm@example.com"} {
		run.must("account", "set", key, value)
	}
	run.must("users", "email", storetest.User, "anna@example.com")
	run.must("records", "create", "email=ada@example.com")
	return run
}

// The process is killed after the server accepted the mail and before it could record that: the mail goes out again
// with the same Message-ID, and then never again. Killed after the recording: it never goes out again.
func TestMail_KilledAroundTheAcceptance(t *testing.T) {
	t.Parallel()
	for name, recorded := range map[string]bool{"before it is recorded": false, "after it is recorded": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p, stop, err := startPost("accept")
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(stop)
			run := toldStore(t, p)
			cmd := run.command("delete", "--permanent", "1", "--confirm", "1")
			started, dead := make(chan *exec.Cmd, 1), make(chan struct{})
			kill := func() {
				if one, first := <-started; first { // later conversations are left alone
					close(started)
					_ = one.Process.Kill()
					<-dead
				}
			}
			p.mu.Lock()
			if recorded {
				p.leaves = kill
			} else {
				p.accepted = kill
			}
			p.mu.Unlock()
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			started <- cmd
			_ = cmd.Wait() // it was killed, or had just ended
			close(dead)
			mails, err := run.store.Mails(t.Context(), "")
			if err != nil || len(mails) != 1 {
				t.Fatalf("mails %+v, %v; want one", mails, err)
			}
			copies := 1
			if !recorded {
				if mails[0].State != crmstore.MailSending {
					t.Fatalf("the mail is %s, want sending", mails[0].State)
				}
				copies = 2
				passLease(t, run.store)
			} else if mails[0].State != crmstore.MailSent {
				t.Fatalf("the mail is %s, want sent", mails[0].State)
			}
			for range 2 {
				if out := run.must("outbox", "send", mails[0].ID); !strings.Contains(out, string(crmstore.MailSent)) {
					t.Errorf("outbox send says:\n%s", out)
				}
				run.must("outbox", "send")
				checkOneMail(t, p, copies)
			}
		})
	}
}

// passLease is what time does: the sender that died does not hold its mail any more.
func passLease(t *testing.T, store *crmstore.Store) {
	t.Helper()
	now := time.Now()
	m, err := store.TakeMail(t.Context(), now.Add(time.Hour), time.Minute)
	if err == nil {
		_, err = store.MailRefused(t.Context(), m, "the sender died", now, now)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// The daemon sends a confirmation that did not get through at first, without being asked.
func TestMail_DaemonSendsWhatWaits(t *testing.T) {
	t.Parallel()
	p, stop, err := startPost("4xx")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(stop)
	run := toldStore(t, p)
	if out := run.must("delete", "--permanent", "1", "--confirm", "1"); !strings.Contains(out, "waits in the outbox") {
		t.Errorf("the deletion says:\n%s", out)
	}
	p.mu.Lock()
	p.mode = "accept"
	p.mu.Unlock()
	passLease(t, run.store)
	d := startDaemon(t, run)
	d.eventually("/metrics", 200, `workflow_mails_total{outcome="sent"} 1`)
	checkOneMail(t, p, 1)
}
