package main

import (
	"io"
	"net"
	"net/mail"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-smtp"
	"github.com/rogpeppe/go-internal/testscript"
)

// quiet drops what a mail server has to say.
type quiet struct{}

func (quiet) Printf(string, ...any) {}
func (quiet) Println(...any)        {}

// post is a mail server in the test's process that remembers what it accepted.
type post struct {
	port string
	over chan struct{} // closed when the server ends

	mu       sync.Mutex // guards what follows
	mode     string     // accept, hang, 4xx or 5xx
	mails    []string   // "recipient message-id"
	accepted func()     // called when a mail was accepted, before the answer goes out; may be nil
	leaves   func()     // called when a client says goodbye or is gone; may be nil
}

// startPost starts a server; stop ends it.
func startPost(mode string) (p *post, stop func(), err error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, nil, err
	}
	_, port, _ := net.SplitHostPort(l.Addr().String())
	p = &post{port: port, mode: mode, over: make(chan struct{})}
	server := smtp.NewServer(smtp.BackendFunc(func(*smtp.Conn) (smtp.Session, error) { return &letter{post: p}, nil }))
	server.Domain = "mail.test"
	server.ErrorLog = quiet{}
	server.ReadTimeout, server.WriteTimeout = 20*time.Second, 20*time.Second
	var served sync.WaitGroup
	served.Go(func() { _ = server.Serve(l) })
	return p, func() {
		close(p.over)
		_ = server.Close()
		served.Wait()
	}, nil
}

func (p *post) got() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]string(nil), p.mails...)
}

// letter is one conversation.
type letter struct {
	post *post
	to   string
}

func (l *letter) Reset() {}

func (l *letter) Logout() error {
	l.post.mu.Lock()
	leaves := l.post.leaves
	l.post.mu.Unlock()
	if leaves != nil {
		leaves()
	}
	return nil
}

func (l *letter) Mail(string, *smtp.MailOptions) error { return nil }

func (l *letter) Rcpt(to string, _ *smtp.RcptOptions) error {
	l.to = to
	return nil
}

func (l *letter) Data(r io.Reader) error {
	m, err := mail.ReadMessage(r)
	if err == nil {
		_, err = io.Copy(io.Discard, m.Body)
	}
	if err != nil {
		return err
	}
	p := l.post
	p.mu.Lock()
	mode := p.mode
	if mode == "accept" {
		p.mails = append(p.mails, l.to+" "+m.Header.Get("Message-Id"))
	}
	accepted := p.accepted
	p.mu.Unlock()
	switch mode {
	case "hang":
		<-p.over
	case "4xx":
		return &smtp.SMTPError{Code: 451, Message: "come back later"}
	case "5xx":
		return &smtp.SMTPError{Code: 554, Message: "no thanks"}
	}
	if accepted != nil {
		accepted()
	}
	return nil
}

// smtpCommand is the script command smtp: "smtp start" starts a mail server and puts its port into $SMTP_PORT, "smtp
// accept|hang|4xx|5xx" says what it does with mails, "smtp mails RECIPIENT..." wants exactly these mails accepted so
// far, each with another Message-ID.
func smtpCommand() func(*testscript.TestScript, bool, []string) {
	var posts sync.Map // of each script, by its account
	return func(ts *testscript.TestScript, neg bool, args []string) {
		if neg || len(args) == 0 {
			ts.Fatalf("usage: smtp start|accept|hang|4xx|5xx|mails [RECIPIENT...]")
		}
		account := ts.Getenv("WORKFLOW_ACCOUNT")
		if args[0] == "start" {
			p, stop, err := startPost("accept")
			ts.Check(err)
			ts.Defer(stop)
			ts.Setenv("SMTP_PORT", p.port)
			posts.Store(account, p)
			return
		}
		found, ok := posts.Load(account)
		if !ok {
			ts.Fatalf("no mail server was started")
		}
		p, _ := found.(*post)
		if args[0] != "mails" {
			p.mu.Lock()
			p.mode = args[0]
			p.mu.Unlock()
			return
		}
		ids, to := map[string]bool{}, []string{}
		for _, m := range p.got() {
			recipient, id, _ := strings.Cut(m, " ")
			ids[id], to = true, append(to, recipient)
		}
		if got, want := strings.Join(to, " "), strings.Join(args[1:], " "); got != want || len(ids) != len(to) {
			ts.Fatalf("mails to %q with %d Message-IDs, want %q", got, len(ids), want)
		}
	}
}

// checkOneMail wants so many copies of one mail accepted.
func checkOneMail(t *testing.T, p *post, copies int) {
	t.Helper()
	got := p.got()
	for _, m := range got {
		if m != got[0] {
			t.Errorf("a copy is %q, the first is %q", m, got[0])
		}
	}
	if len(got) != copies {
		t.Errorf("the server accepted %d copies, want %d: %v", len(got), copies, got)
	}
}
