package outbox

import (
	"crypto/x509"
	"errors"
	"fmt"
	"net/mail"
	"slices"
	"strings"
)

// The ways of encryption.
const (
	StartTLS = "starttls" // the connection is encrypted before anything is said; a server that cannot is refused
	TLS      = "tls"      // encrypted from the first byte
	NoTLS    = "none"     // readable on its way; a password is only sent to this machine itself
)

// TLSModes lists the ways of encryption, the usual one first.
func TLSModes() []string { return []string{StartTLS, TLS, NoTLS} }

// Server is the SMTP server that mail leaves through, and the name it leaves under.
type Server struct {
	Host     string // "" = there is none
	Port     int    // 0 = 587, or 465 with tls, or 25 with none
	TLS      string // see [TLSModes]; "" = starttls
	User     string // "" = no login
	Password string
	From     string         // address, or Name <address>
	Roots    *x509.CertPool // authorities that may vouch for the server; nil = those that this machine trusts
}

// SettingsError says that no mail can be sent before a user repairs the settings. Mail waits meanwhile.
type SettingsError struct{ err error }

// Error says all that is wrong, and how to set it.
func (e *SettingsError) Error() string { return e.err.Error() }

// Usable says what is wrong with the settings, all of it; nil when mail can be tried.
func (s Server) Usable() error {
	if s.Host == "" {
		return errors.New("no mail server is set (workflow account set smtp_host HOST)")
	}
	var wrong []error
	if s.Port < 0 || s.Port > 65535 {
		wrong = append(wrong, fmt.Errorf("mail server's port %d: want 1 to 65535", s.Port))
	}
	if s.TLS != "" && !slices.Contains(TLSModes(), s.TLS) {
		wrong = append(wrong, fmt.Errorf("encryption %q of the mail server: want %s", s.TLS, strings.Join(TLSModes(), ", ")))
	}
	if _, err := mail.ParseAddress(s.From); err != nil {
		wrong = append(wrong, fmt.Errorf("sender's address %q: want name@domain (workflow account set smtp_from ADDRESS)", s.From))
	}
	if s.User != "" && s.Password == "" {
		wrong = append(wrong, fmt.Errorf("no password for mail user %s (set WORKFLOW_SMTP_PASSWORD)", s.User))
	}
	return errors.Join(wrong...)
}

func (s Server) port() int {
	switch {
	case s.Port != 0:
		return s.Port
	case s.TLS == TLS:
		return 465
	case s.TLS == NoTLS:
		return 25
	}
	return 587
}
