package outbox_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/mail"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/emersion/go-smtp"
	"go.uber.org/goleak"

	"github.com/crm-workflow/crm-workflow/crmstore"
	"github.com/crm-workflow/crm-workflow/crmstore/record"
	"github.com/crm-workflow/crm-workflow/crmstore/storetest"
	"github.com/crm-workflow/crm-workflow/workflow/outbox"
)

// desk is a store with one mail in its outbox and a sender that knows one server.
type desk struct {
	*outbox.Sender
	t        *testing.T
	settings outbox.Server
	log      bytes.Buffer
	mu       sync.Mutex
	counted  []string
}

func newDesk(t *testing.T, settings outbox.Server) *desk {
	t.Helper()
	d := &desk{t: t, settings: settings}
	d.Sender = &outbox.Sender{
		Store:   storetest.Open(t),
		Server:  func(context.Context) (outbox.Server, error) { return d.settings, nil },
		Count:   func(o string) { d.mu.Lock(); d.counted = append(d.counted, o); d.mu.Unlock() },
		Log:     slog.New(slog.NewTextHandler(&d.log, nil)),
		Silence: 10 * time.Second,
	}
	d.queue("delete@1/ann")
	return d
}

func (d *desk) queue(id string) {
	d.t.Helper()
	m := crmstore.Mail{ID: id, To: "ann@example.com", Subject: "Contact 7 is gone\r\nBcc: x@example.com", Text: "It is — for good.\n.\nbye\n"}
	due := time.Now().Add(-time.Second) // the store's time, by which mails are due, may be measured a little behind this process's
	if queued, err := d.Store.QueueMail(d.t.Context(), m, "example.com", due); !queued || err != nil {
		d.t.Fatalf("QueueMail gives %v, %v", queued, err)
	}
}

// expect looks at the mail and at what was counted.
func (d *desk) expect(state crmstore.MailState, outcomes ...string) crmstore.Mail {
	d.t.Helper()
	m, err := d.Store.Mail(d.t.Context(), "delete@1/ann")
	if err != nil {
		d.t.Fatal(err)
	}
	if m.State != state {
		d.t.Errorf("the mail is %s (%s), want %s", m.State, m.LastError, state)
	}
	if got := strings.Join(d.counted, " "); got != strings.Join(outcomes, " ") {
		d.t.Errorf("counted %q, want %q", got, outcomes)
	}
	return m
}

func messageID(t *testing.T, text string) string {
	t.Helper()
	m, err := mail.ReadMessage(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	return m.Header.Get("Message-Id")
}

func TestSender_Accepted(t *testing.T) {
	t.Parallel()
	p := &post{}
	d := newDesk(t, p.serve(t))
	if err := d.Round(t.Context()); err != nil {
		t.Fatal(err)
	}
	m := d.expect(crmstore.MailSent, outbox.OutcomeSent)
	got := p.mails()
	if len(got) != 1 {
		t.Fatalf("the server has %d mails", len(got))
	}
	read, err := mail.ReadMessage(strings.NewReader(got[0]))
	if err != nil {
		t.Fatal(err)
	}
	for header, want := range map[string]string{
		"Message-Id": "<" + m.MessageID + ">", "To": "<ann@example.com>", "From": `"CRM" <crm@example.com>`,
		"Auto-Submitted": "auto-generated", "Bcc": "",
	} {
		if got := read.Header.Get(header); got != want {
			t.Errorf("%s: %q, want %q", header, got, want)
		}
	}
	if date, err := read.Header.Date(); err != nil || date.Unix() != m.CreatedAt.Unix() {
		t.Errorf("Date: %v, %v; want %v", date, err, m.CreatedAt)
	}
	if text := d.log.String(); !strings.Contains(text, "outcome=sent") || strings.Contains(text, "ann@example.com") {
		t.Errorf("log:\n%s", text)
	}
	// The process is killed here; others look for mail.
	if err := d.Round(t.Context()); err != nil {
		t.Error(err)
	}
	if _, err := d.Send(t.Context(), m.ID); !errors.Is(err, record.ErrExists) {
		t.Errorf("sending it by hand: %v", err)
	}
	if n := len(p.mails()); n != 1 {
		t.Errorf("the server has %d mails after its acceptance was recorded", n)
	}
}

func TestSender_Encryption(t *testing.T) {
	t.Parallel()
	pair, pool := certificate(t)
	config := &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}
	withStartTLS := func(s *smtp.Server) { s.TLSConfig = config }
	withTLS := func(l net.Listener) net.Listener { return tls.NewListener(l, config) }
	for name, c := range map[string]struct {
		post    *post
		mode    string
		trusted bool
		want    crmstore.MailState
		words   string
	}{
		"starttls":                    {&post{tune: withStartTLS}, outbox.StartTLS, true, crmstore.MailSent, ""},
		"starttls is the default":     {&post{tune: withStartTLS}, "", true, crmstore.MailSent, ""},
		"starttls with a login":       {&post{tune: withStartTLS, login: true}, outbox.StartTLS, true, crmstore.MailSent, ""},
		"starttls, unknown authority": {&post{tune: withStartTLS}, outbox.StartTLS, false, crmstore.MailWaiting, "certificate"},
		"the server has no starttls":  {&post{}, outbox.StartTLS, true, crmstore.MailWaiting, "STARTTLS"},
		"tls":                         {&post{line: withTLS}, outbox.TLS, true, crmstore.MailSent, ""},
		"tls with a login":            {&post{line: withTLS, login: true}, outbox.TLS, true, crmstore.MailSent, ""},
		"tls, unknown authority":      {&post{line: withTLS}, outbox.TLS, false, crmstore.MailWaiting, "certificate"},
		"the server has no tls":       {&post{}, outbox.TLS, true, crmstore.MailWaiting, "tls"},
		"login on this machine":       {&post{login: true}, outbox.NoTLS, true, crmstore.MailSent, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := newDesk(t, c.post.serve(t))
			if d.settings.TLS = c.mode; c.trusted {
				d.settings.Roots = pool
			}
			if c.post.login {
				d.settings.User, d.settings.Password = mailUser, password
			}
			err := d.Round(t.Context())
			m, _ := d.Store.Mail(t.Context(), "delete@1/ann")
			if m.State != c.want || !strings.Contains(m.LastError, c.words) || (err == nil) != (c.want == crmstore.MailSent) {
				t.Errorf("the mail is %s (%s), the round says %v; want %s", m.State, m.LastError, err, c.want)
			}
			if n := len(c.post.mails()); (n == 1) != (c.want == crmstore.MailSent) {
				t.Errorf("the server has %d mails", n)
			}
		})
	}
}

func TestSender_PasswordIsNowhere(t *testing.T) {
	t.Parallel()
	p := &post{login: true}
	d := newDesk(t, p.serve(t))
	d.settings.User, d.settings.Password = mailUser, "wrong-"+password
	err := d.Round(t.Context())
	m := d.expect(crmstore.MailWaiting, outbox.OutcomeRetry) // a login is repaired by a person, and then the mail goes out
	if err == nil || !strings.Contains(m.LastError, "535") && !strings.Contains(m.LastError, "no such login") {
		t.Errorf("%v; %s", err, m.LastError)
	}
	for what, text := range map[string]string{"error": err.Error(), "entry": m.LastError, "log": d.log.String()} {
		if strings.Contains(text, password) {
			t.Errorf("the %s holds the password: %s", what, text)
		}
	}
	d.settings.Password = password
	if m, err = d.Send(t.Context(), m.ID); err != nil || m.State != crmstore.MailSent {
		t.Errorf("with the right password: %s, %v", m.State, err)
	}
}

func TestSender_Refused(t *testing.T) {
	t.Parallel()
	answer := func(code int) func() error {
		return func() error { return &smtp.SMTPError{Code: code, Message: "because"} }
	}
	late := func(code int) func(*smtp.Conn) error {
		return func(*smtp.Conn) error { return &smtp.SMTPError{Code: code, Message: "because"} }
	}
	for name, c := range map[string]struct {
		post    *post
		want    crmstore.MailState
		outcome string
	}{
		"4xx to the recipient":        {&post{rcpt: answer(451)}, crmstore.MailWaiting, outbox.OutcomeRetry},
		"5xx to the recipient":        {&post{rcpt: answer(550)}, crmstore.MailGivenUp, outbox.OutcomeGivenUp},
		"wants a login at last":       {&post{rcpt: answer(530)}, crmstore.MailWaiting, outbox.OutcomeRetry},
		"4xx to the mail":             {&post{data: late(452)}, crmstore.MailWaiting, outbox.OutcomeRetry},
		"5xx to the mail":             {&post{data: late(554)}, crmstore.MailGivenUp, outbox.OutcomeGivenUp},
		"5xx to the mail, unlettered": {&post{data: late(599)}, crmstore.MailGivenUp, outbox.OutcomeGivenUp},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := newDesk(t, c.post.serve(t))
			before := time.Now()
			m, err := d.Send(t.Context(), "delete@1/ann")
			if err != nil {
				t.Error(err)
			}
			if kept := d.expect(c.want, c.outcome); kept.LastError != m.LastError || !strings.Contains(m.LastError, "because") || strings.Contains(m.LastError, "affected") {
				t.Errorf("the mail says %q, the caller hears %q", kept.LastError, m.LastError)
			}
			switch wait := m.NextAt.Sub(before); {
			case c.want == crmstore.MailGivenUp && !m.NextAt.IsZero():
				t.Errorf("it is given up, but due at %v", m.NextAt)
			case c.want == crmstore.MailWaiting && (wait < time.Minute-time.Second || wait > 2*time.Minute):
				t.Errorf("it is due in %v, want a minute", wait)
			}
			if text := d.log.String(); !strings.Contains(text, c.outcome) || strings.Contains(text, "ann@example.com") {
				t.Errorf("log:\n%s", text)
			}
		})
	}
}

// A mail that the server refuses does not keep back the next one.
func TestSender_RefusedMailLetsOthersPass(t *testing.T) {
	t.Parallel()
	var asked atomic.Int32
	p := &post{rcpt: func() error {
		if asked.Add(1) == 1 {
			return &smtp.SMTPError{Code: 550, Message: "no such mailbox"}
		}
		return nil
	}}
	d := newDesk(t, p.serve(t))
	d.queue("delete@2/ann")
	if err := d.Round(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n, err := d.Store.MailsWaiting(t.Context()); n != 0 || err != nil || len(p.mails()) != 1 {
		t.Errorf("%d wait (%v), the server has %d", n, err, len(p.mails()))
	}
}

func TestSender_SilentServer(t *testing.T) {
	t.Parallel()
	const silence = 200 * time.Millisecond
	hold := func(c *smtp.Conn) error { _, err := io.Copy(io.Discard, c.Conn()); return err } // until we hang up
	closes := func(l net.Listener) net.Listener { return &doorkeeper{Listener: l} }
	mute := func(l net.Listener) net.Listener { return &doorkeeper{Listener: l, keep: true} }
	for name, p := range map[string]*post{
		"says nothing at all":             {line: mute},
		"hangs up at once":                {line: closes},
		"hangs when it has read the mail": {data: hold},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := newDesk(t, p.serve(t))
			d.queue("delete@2/ann")
			d.Silence = silence
			started := time.Now()
			if err := d.Round(t.Context()); err == nil {
				t.Error("the round says nothing about it")
			}
			if took := time.Since(started); took > 5*time.Second {
				t.Errorf("the server was left after %v only", took)
			}
			d.expect(crmstore.MailWaiting, outbox.OutcomeRetry) // and the second mail was not tried with that server
		})
	}
	t.Run("is not there", func(t *testing.T) {
		t.Parallel()
		d := newDesk(t, outbox.Server{Host: "127.0.0.1", Port: 1, TLS: outbox.NoTLS, From: "crm@example.com"})
		if m, err := d.Send(t.Context(), "delete@1/ann"); err != nil || m.State != crmstore.MailWaiting || m.LastError == "" {
			t.Errorf("%+v, %v", m, err)
		}
	})
}

// doorkeeper takes connections and never lets them in; keep leaves them open.
type doorkeeper struct {
	net.Listener
	keep bool
	mu   sync.Mutex
	kept []net.Conn
}

// Accept never gives a connection to the server behind.
func (d *doorkeeper) Accept() (net.Conn, error) {
	for {
		conn, err := d.Listener.Accept()
		if err != nil {
			d.mu.Lock()
			defer d.mu.Unlock()
			for _, c := range d.kept {
				_ = c.Close()
			}
			return nil, err
		}
		if !d.keep {
			_ = conn.Close()
			continue
		}
		d.mu.Lock()
		d.kept = append(d.kept, conn)
		d.mu.Unlock()
	}
}

// A connection that breaks before the answer leaves in doubt whether the mail was accepted: it goes out again, as the
// same mail.
func TestSender_InDoubt(t *testing.T) {
	t.Parallel()
	var times atomic.Int32
	p := &post{data: func(c *smtp.Conn) error {
		if times.Add(1) == 1 {
			_ = c.Conn().Close()
		}
		return nil
	}}
	d := newDesk(t, p.serve(t))
	if err := d.Round(t.Context()); err == nil {
		t.Error("the round says nothing about it")
	}
	d.expect(crmstore.MailWaiting, outbox.OutcomeRetry)
	if m, err := d.Send(t.Context(), "delete@1/ann"); err != nil || m.State != crmstore.MailSent || m.Attempts != 2 {
		t.Errorf("the second attempt: %+v, %v", m, err)
	}
	got := p.mails()
	if len(got) != 2 {
		t.Fatalf("the server has %d mails", len(got))
	}
	if messageID(t, got[0]) != messageID(t, got[1]) {
		t.Errorf("Message-ID %q, then %q", messageID(t, got[0]), messageID(t, got[1]))
	}
}

// A sender that dies with a mail in its hands is replaced once its lease is over; the Message-ID stays.
func TestSender_DeadSenderIsReplaced(t *testing.T) {
	t.Parallel()
	p := &post{}
	d := newDesk(t, p.serve(t))
	taken, err := d.Store.TakeMail(t.Context(), time.Now(), 0) // its lease is over at once
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Round(t.Context()); err != nil {
		t.Fatal(err)
	}
	d.expect(crmstore.MailSent, outbox.OutcomeSent)
	if got := p.mails(); len(got) != 1 || messageID(t, got[0]) != "<"+taken.MessageID+">" {
		t.Errorf("mails: %q", got)
	}
	// It was not dead after all, and reports late.
	if _, err := d.Store.MailRefused(t.Context(), taken, "late", time.Now(), time.Now()); !errors.Is(err, record.ErrConflict) {
		t.Errorf("a late report: %v", err)
	}
	d.expect(crmstore.MailSent, outbox.OutcomeSent)
}

// The acceptance is recorded also when the process is told to stop at that moment.
func TestSender_StoppedWhileAccepted(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	p := &post{data: func(*smtp.Conn) error { cancel(); return nil }}
	d := newDesk(t, p.serve(t))
	_ = d.Round(ctx) // whatever it says: it was stopped
	d.expect(crmstore.MailSent, outbox.OutcomeSent)
}

func TestSender_SettingsAreNotUsable(t *testing.T) {
	t.Parallel()
	d := newDesk(t, outbox.Server{})
	if err := d.Round(t.Context()); err == nil || !strings.Contains(err.Error(), "smtp_host") {
		t.Errorf("without a server: %v", err)
	}
	d.settings = outbox.Server{Host: "mail.example.com", Port: 70000, TLS: "ssl", From: "x", User: "u"}
	err := d.Round(t.Context())
	for _, want := range []string{"70000", `"ssl"`, `"x"`, "WORKFLOW_SMTP_PASSWORD"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("nothing about %s in: %v", want, err)
		}
	}
	if m := d.expect(crmstore.MailWaiting); m.Attempts != 0 {
		t.Errorf("%d attempts were made", m.Attempts)
	}
}

// While the store is in trouble no mail is taken: it waits as it was. It goes out once when the trouble is over.
func TestSender_WaitsWhileTheStoreIsInTrouble(t *testing.T) {
	t.Parallel()
	p := &post{}
	d := newDesk(t, p.serve(t))
	trouble := errors.New("robot is no user of the account")
	d.May = func(context.Context) error { return trouble }
	for range 2 {
		if err := d.Round(t.Context()); !errors.Is(err, trouble) {
			t.Fatalf("the round says %v, want the trouble", err)
		}
	}
	if m := d.expect(crmstore.MailWaiting); m.Attempts != 0 || len(p.mails()) != 0 {
		t.Fatalf("%d attempts, and the server has %d mails; want none", m.Attempts, len(p.mails()))
	}
	d.May = func(context.Context) error { return nil }
	for range 2 {
		if err := d.Round(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	d.expect(crmstore.MailSent, outbox.OutcomeSent)
	if n := len(p.mails()); n != 1 {
		t.Errorf("the server has %d mails, want 1", n)
	}
}

// A trouble that comes between two mails of one round keeps the second one back. Run leaves the words to who forbids it.
func TestSender_TroubleBetweenTwoMails(t *testing.T) {
	t.Parallel()
	p := &post{}
	d := newDesk(t, p.serve(t))
	d.queue("delete@2/ann")
	ctx, cancel := context.WithCancel(t.Context())
	asked := 0
	d.May = func(context.Context) error {
		if asked++; asked == 1 {
			return nil
		}
		if asked > 2 {
			cancel() // Run has come round once more
		}
		return errors.New("the clock differs")
	}
	d.Poll = time.Millisecond
	if err := d.Run(ctx); err != nil {
		t.Fatal(err)
	}
	if n := len(p.mails()); n != 1 {
		t.Errorf("the server has %d mails, want 1", n)
	}
	if n, err := d.Store.MailsWaiting(t.Context()); n != 1 || err != nil {
		t.Errorf("%d mails wait, %v; want 1", n, err)
	}
	if text := d.log.String(); strings.Contains(text, "the clock differs") {
		t.Errorf("log:\n%s", text)
	}
}

// Not parallel: it looks for goroutines that are left over.
func TestSender_RunEnds(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	p := &post{data: func(*smtp.Conn) error { cancel(); return nil }}
	d := newDesk(t, p.serve(t))
	d.Poll = time.Millisecond
	before := goleak.IgnoreCurrent()
	if err := d.Run(ctx); err != nil {
		t.Error(err)
	}
	d.expect(crmstore.MailSent, outbox.OutcomeSent)
	goleak.VerifyNone(t, before)
}
