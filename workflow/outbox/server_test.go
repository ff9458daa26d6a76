package outbox_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"io"
	"math/big"
	"net"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"

	"github.com/crm-workflow/crm-workflow/workflow/outbox"
)

const (
	mailUser = "mailer"
	password = "s3cret-Pass phrase"
)

// quiet drops what the mail server has to say.
type quiet struct{}

func (quiet) Printf(string, ...any) {}
func (quiet) Println(...any)        {}

// post is a mail server in this process that remembers what it accepted.
type post struct {
	login bool                            // wants a login
	rcpt  func() error                    // answers RCPT; nil: takes everything
	data  func(conn *smtp.Conn) error     // answers the mail once it was read; nil: accepts it
	tune  func(server *smtp.Server)       // last changes before it serves
	line  func(net.Listener) net.Listener // what it listens on

	mu   sync.Mutex
	seen []string // mails as they came, accepted or not
}

func (p *post) mails() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]string(nil), p.seen...)
}

// serve starts the server and returns the settings to reach it with.
func (p *post) serve(t *testing.T) outbox.Server {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	settings := settingsFor(l)
	if p.line != nil {
		l = p.line(l)
	}
	server := smtp.NewServer(smtp.BackendFunc(func(c *smtp.Conn) (smtp.Session, error) {
		s := &session{post: p, conn: c}
		if p.login {
			return &loginSession{session: s}, nil
		}
		return s, nil
	}))
	server.Domain = "mail.test"
	server.ErrorLog = quiet{}
	server.AllowInsecureAuth = true
	server.ReadTimeout, server.WriteTimeout = 20*time.Second, 20*time.Second
	if p.tune != nil {
		p.tune(server)
	}
	var served sync.WaitGroup
	served.Go(func() { _ = server.Serve(l) })
	t.Cleanup(func() {
		_ = server.Close()
		served.Wait()
	})
	return settings
}

func settingsFor(l net.Listener) outbox.Server {
	host, port, _ := net.SplitHostPort(l.Addr().String())
	number, _ := strconv.Atoi(port)
	return outbox.Server{Host: host, Port: number, TLS: outbox.NoTLS, From: "CRM <crm@example.com>"}
}

type session struct {
	post *post
	conn *smtp.Conn
	in   bool
}

func (s *session) Reset()        {}
func (s *session) Logout() error { return nil }

func (s *session) Mail(string, *smtp.MailOptions) error {
	if s.post.login && !s.in {
		return smtp.ErrAuthRequired
	}
	return nil
}

func (s *session) Rcpt(string, *smtp.RcptOptions) error {
	if s.post.rcpt != nil {
		return s.post.rcpt()
	}
	return nil
}

func (s *session) Data(r io.Reader) error {
	b, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	s.post.mu.Lock()
	s.post.seen = append(s.post.seen, string(b))
	s.post.mu.Unlock()
	if s.post.data != nil {
		return s.post.data(s.conn)
	}
	return nil
}

type loginSession struct{ *session }

func (s *loginSession) AuthMechanisms() []string { return []string{sasl.Plain} }

func (s *loginSession) Auth(string) (sasl.Server, error) {
	return sasl.NewPlainServer(func(_, user, pass string) error {
		if user != mailUser || pass != password {
			// Some servers repeat what they were given.
			return &smtp.SMTPError{Code: 535, Message: "no such login: " + user + " " + pass}
		}
		s.in = true
		return nil
	}), nil
}

// certificate is one for 127.0.0.1, and the pool that trusts it.
func certificate(t *testing.T) (tls.Certificate, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(leaf)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, pool
}
