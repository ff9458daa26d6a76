package redisdb

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"
)

// The settings of an address that name files for TLS.
const (
	setCert = "tls_cert" // certificate that the program shows, PEM
	setKey  = "tls_key"  // its private key, PEM
	setCA   = "tls_ca"   // authorities that the server's certificate is checked against instead of the machine's, PEM
)

func tlsSettings() []string { return []string{setCert, setKey, setCA} }

// withoutTLSSettings takes the settings that the client library does not know out of an address.
func withoutTLSSettings(address string) (string, url.Values, error) {
	before, query, ok := strings.Cut(address, "?")
	if !ok {
		return address, url.Values{}, nil
	}
	var rest []string
	ours := url.Values{}
	for part := range strings.SplitSeq(query, "&") {
		name, value, _ := strings.Cut(part, "=")
		if !slices.Contains(tlsSettings(), name) {
			rest = append(rest, part)
			continue
		}
		value, err := url.QueryUnescape(value)
		if err != nil {
			return "", nil, fmt.Errorf("%s: it cannot be read as a part of an address", name)
		}
		ours.Set(name, value)
	}
	if len(rest) == 0 {
		return before, ours, nil
	}
	return before + "?" + strings.Join(rest, "&"), ours, nil
}

// useTLSFiles reads the files that an address names into a client's settings; nil settings are those of a client without TLS.
func useTLSFiles(c *tls.Config, q url.Values) error {
	cert, key, ca := q.Get(setCert), q.Get(setKey), q.Get(setCA)
	switch {
	case cert == "" && key == "" && ca == "":
		return nil
	case c == nil:
		return errors.New("tls_cert, tls_key and tls_ca are for rediss://")
	case (cert == "") != (key == ""):
		return errors.New("tls_cert and tls_key go together")
	}
	if cert != "" {
		pair, err := tls.LoadX509KeyPair(cert, key)
		if err != nil {
			return fmt.Errorf("read tls_cert and tls_key: %w", err)
		}
		c.Certificates = []tls.Certificate{pair}
	}
	if ca != "" {
		text, err := os.ReadFile(ca)
		if err != nil {
			return fmt.Errorf("read tls_ca: %w", err)
		}
		c.RootCAs = x509.NewCertPool()
		if !c.RootCAs.AppendCertsFromPEM(text) {
			return fmt.Errorf("tls_ca %s holds no certificate in PEM", ca)
		}
	}
	return nil
}

// transportTime is how long it may take to find out what a server speaks.
const transportTime = 3 * time.Second

// ExplainTransport finds out, after a server could not be opened, whether it speaks TLS where the address does not, or the other way
// round; "" when that is not it.
func ExplainTransport(ctx context.Context, address string) string {
	scheme, _, _ := strings.Cut(address, "://")
	scheme, _, _ = strings.Cut(scheme, "+")
	if scheme != "redis" && scheme != "rediss" {
		return ""
	}
	u, hosts, err := parseMany(address)
	if err != nil || u.Port() == "" {
		return ""
	}
	ctx, cancel := context.WithTimeout(ctx, transportTime)
	defer cancel()
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", hosts[0])
	if err != nil {
		return ""
	}
	defer func() { _ = conn.Close() }() // it was only asked
	if deadline, ok := ctx.Deadline(); ok {
		_ = conn.SetDeadline(deadline)
	}
	if scheme == "redis" {
		// No secret is sent: it only matters whether there is an answer in TLS.
		err := tls.Client(conn, &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS12}).HandshakeContext(ctx)
		if err == nil || strings.Contains(err.Error(), "remote error: tls") {
			return "the server speaks TLS (write rediss:// instead of redis://)"
		}
		return ""
	}
	if _, err := conn.Write([]byte("PING\r\n")); err != nil {
		return ""
	}
	first, err := bufio.NewReader(conn).ReadByte()
	if err == nil && (first == '+' || first == '-') {
		return "the server does not speak TLS (write redis:// instead of rediss://, or its TLS port)"
	}
	return ""
}
