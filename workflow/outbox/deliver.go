package outbox

import (
	"context"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"net/textproto"
	"strings"
	"time"

	"github.com/wneessen/go-mail"

	"github.com/crm-workflow/crm-workflow/crmstore"
)

// refusal is why an attempt came to nothing.
type refusal struct {
	text  string // for people; without the password
	code  int    // the server's answer; 0 = it gave none
	final bool   // no later attempt can end otherwise
	early bool   // not about this mail: the server was not reached, or did not let us in
}

// away reports whether an attempt with another mail would fail too.
func (r *refusal) away() bool { return r.early || r.code == 0 && !r.final }

// lastWords is how long a conversation may go on once the process was told to stop: a mail that is almost accepted
// had better be accepted.
const lastWords = 2 * time.Second

// deliver hands one mail to the server, and calls accepted as soon as the server has accepted it; otherwise it says why
// not. silence is how long the server may take for each step: to be reached, to let us in, and to accept the mail.
func deliver(ctx context.Context, s Server, m crmstore.Mail, silence time.Duration, accepted func()) *refusal {
	message, r := compose(s, m)
	if r != nil {
		return r
	}
	line := dialer{server: s}
	client, err := line.client(silence)
	if err != nil {
		return s.refuse(err, true)
	}
	defer line.hangUp()
	conversation, err := client.DialToSMTPClientWithContext(ctx)
	if err != nil {
		return s.refuse(fmt.Errorf("reach mail server %s: %w", s.Host, err), true)
	}
	stop := context.AfterFunc(ctx, func() { line.limit(lastWords) })
	defer stop()
	err = client.SendWithSMTPClient(conversation, message)
	if message.IsDelivered() {
		accepted()
		_ = client.CloseWithSMTPClient(conversation) // what comes after the acceptance is of no interest
		return nil
	}
	return s.refuse(err, false)
}

// compose writes the mail as it is written at each attempt.
func compose(s Server, m crmstore.Mail) (*mail.Msg, *refusal) {
	message := mail.NewMsg(mail.WithNoDefaultUserAgent())
	if err := message.From(s.From); err != nil {
		return nil, s.refuse(fmt.Errorf("sender's address %q: %w", s.From, err), true)
	}
	if err := message.To(m.To); err != nil {
		return nil, &refusal{text: "recipient's address: " + err.Error(), final: true}
	}
	message.Subject(m.Subject)
	message.SetMessageIDWithValue(m.MessageID)
	message.SetDateWithValue(m.CreatedAt)
	message.SetGenHeader("Auto-Submitted", "auto-generated")
	message.SetBodyString(mail.TypeTextPlain, m.Text)
	return message, nil
}

// dialer connects, and keeps the connection, so that it is closed whatever the library makes of it.
type dialer struct {
	server Server
	conn   net.Conn
}

func (d *dialer) client(silence time.Duration) (*mail.Client, error) {
	s := d.server
	policy := mail.TLSMandatory
	switch s.TLS {
	case TLS:
		policy = mail.TLSOpportunistic // the connection is encrypted already; the library looks whether it is
	case NoTLS:
		policy = mail.NoTLS
	}
	options := []mail.Option{
		mail.WithPort(s.port()), mail.WithTimeout(silence), mail.WithTLSPolicy(policy), mail.WithTLSConfig(d.tls()),
		mail.WithDialContextFunc(d.dial), mail.WithoutNoop(), mail.WithoutRset(),
	}
	if s.User != "" {
		options = append(options, mail.WithUsername(s.User), mail.WithPassword(s.Password), mail.WithSMTPAuth(s.login()))
	}
	return mail.NewClient(s.Host, options...)
}

// login picks the safest way that the server offers. Without encryption that leaves ways which do not show the
// password, but a server on this machine may see it.
func (s Server) login() mail.SMTPAuthType {
	if s.TLS == NoTLS && isLocal(s.Host) {
		return mail.SMTPAuthPlain
	}
	return mail.SMTPAuthAutoDiscover
}

func isLocal(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

func (d *dialer) tls() *tls.Config {
	return &tls.Config{ServerName: d.server.Host, MinVersion: tls.VersionTLS12, RootCAs: d.server.Roots}
}

func (d *dialer) dial(ctx context.Context, network, address string) (net.Conn, error) {
	conn, err := new(net.Dialer).DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	d.conn = conn
	if d.server.TLS != TLS {
		return conn, nil
	}
	encrypted := tls.Client(conn, d.tls())
	if err := encrypted.HandshakeContext(ctx); err != nil {
		d.hangUp()
		return nil, err
	}
	return encrypted, nil
}

func (d *dialer) limit(t time.Duration) { _ = d.conn.SetDeadline(time.Now().Add(t)) }

func (d *dialer) hangUp() {
	if d.conn != nil {
		_ = d.conn.Close() // it is of no use any more, however it closes
	}
}

// refuse turns an error of the library into a refusal. early: the error came before the server heard of the mail.
func (s Server) refuse(err error, early bool) *refusal {
	r := &refusal{early: early, text: err.Error()}
	var answer *textproto.Error
	if errors.As(err, &answer) {
		r.code = answer.Code
	}
	var failed *mail.SendError
	if errors.As(err, &failed) {
		r.code = failed.ErrorCode()
		r.text, _, _ = strings.Cut(r.text, ", affected")
	}
	r.early = r.early || wantsLogin(r.code)
	r.final = !r.early && r.code >= 500 && r.code < 600
	r.text = s.withoutPassword(strings.ToValidUTF8(r.text, "?"))
	return r
}

// wantsLogin reports whether the answer is about us and not about the mail: it may change with the settings.
func wantsLogin(code int) bool { return code == 530 || code == 534 || code == 535 || code == 538 }

// withoutPassword takes the password out of what a server said, which may repeat what we said.
func (s Server) withoutPassword(text string) string {
	if s.Password == "" {
		return text
	}
	for _, secret := range []string{
		s.Password, base64.StdEncoding.EncodeToString([]byte(s.Password)),
		base64.StdEncoding.EncodeToString([]byte("\x00" + s.User + "\x00" + s.Password)),
	} {
		text = strings.ReplaceAll(text, secret, "***")
	}
	return text
}
