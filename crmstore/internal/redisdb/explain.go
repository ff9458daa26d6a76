package redisdb

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"strings"

	"github.com/redis/go-redis/v9"
)

// Explain puts the errors of the client into words that say what to do. The original stays wrapped; errors that
// need no words (nil, a cancelled context, our own, those with words already) come back as they are. Every error of
// the client passes here.
func (d *DB) Explain(err error) error {
	if err == nil || errors.Is(err, context.Canceled) || errors.Is(err, redis.Nil) && !noSentinel(err) {
		return err
	}
	if _, known := errors.AsType[*troubleError](err); known {
		return err
	}
	if words := troubleWords(err); words != "" {
		return &troubleError{words: strings.ReplaceAll(words, "PLACE", d.Place), err: err}
	}
	return err
}

// troubleError is an error of the client with words in front.
type troubleError struct {
	words string
	err   error
}

// Error is the words, then what the client said.
func (e *troubleError) Error() string { return e.words + ": " + e.err.Error() }

// Unwrap gives the client's error.
func (e *troubleError) Unwrap() error { return e.err }

// troubleWords says what an error means and what to do; "" when it knows nothing better than the error.
// PLACE stands for the store's address.
func troubleWords(err error) string {
	if words := ExplainReply(err.Error()); words != "" {
		return words
	}
	var op *net.OpError
	var dns *net.DNSError
	var cert *tls.CertificateVerificationError
	switch {
	case errors.Is(err, redis.ErrClosed):
		return "the store is closed"
	case errors.As(err, &cert):
		return "the store's certificate is not trusted (SSL_CERT_FILE names further roots)"
	case errors.As(err, &dns):
		return "the store's host name is not known (check the address PLACE)"
	case noSentinel(err):
		return "no sentinel of PLACE answers or knows the master (are they up, and its name right?)"
	case errors.As(err, &op) && op.Op == "dial":
		return "the store at PLACE cannot be reached (is the server up, and the address right?)"
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, redis.ErrPoolTimeout):
		return "the store at PLACE does not answer in time"
	case errors.As(err, &op), errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return "the connection to the store broke off (what was under way may or may not be done; repeat the command)"
	}
	return ""
}

// noSentinel recognises that no sentinel helped. The client has no error value for it, and joins to it what the
// sentinels said, which for an unknown master is "nil".
func noSentinel(err error) bool {
	return strings.HasPrefix(err.Error(), "redis: all sentinels")
}

// ExplainReply knows the errors that servers report; a script's error holds the original in its text.
func ExplainReply(text string) string {
	for _, known := range []struct{ mark, words string }{
		{"READONLY ", "the store is a read-only replica (open the primary, or use redis+sentinel://)"},
		{"OOM ", "the store is out of memory (raise its maxmemory; the eviction policy must be noeviction)"},
		{"WRONGTYPE ", "a key of the store holds another type than it should, and nothing was changed"},
		{"LOGFULL ", "an audit log can take no more events, and nothing was changed (mend it with: workflow doctor --repair)"},
		{"DAMAGED ", "the store is damaged, and nothing was changed (see: workflow doctor)"},
		{"LOADING ", "the store is still loading its data (try again in a moment)"},
		{"BUSY ", "the store is busy with a script of somebody else's (SCRIPT KILL ends one that has written nothing yet)"},
		{"MISCONF ", "the store refuses writes since it cannot save to disk (see the server's log; often the disk is full)"},
		{"tls: certificate required", "the server wants a certificate of its client (in the address: ?tls_cert=FILE&tls_key=FILE)"},
		{"tls: bad certificate", "the server does not accept the certificate that it was shown (in the address: ?tls_cert=FILE&tls_key=FILE)"},
		{"tls: unknown certificate authority", "the server does not know who signed the certificate that it was shown (tls_cert in the address)"},
		{"NOAUTH", "the store asks for a password (put it into the address: redis://USER:PASSWORD@HOST)"},
		{"WRONGPASS", "the store refuses the user name or the password"},
		{"invalid password", "the store refuses the password"},
		{"NOPERM", "the store's ACL does not allow this user what is needed (examples/operating/workflow.acl has the line to give it)"},
		{"The user executing the script can't", "the store's ACL does not allow this user what is needed (examples/operating/workflow.acl has the line to give it)"},
		{"CLUSTERDOWN", "the cluster is down (see CLUSTER INFO on a node)"},
		{"TRYAGAIN ", "the cluster is moving what was asked for (try again in a moment)"},
		{"MOVED ", "the server belongs to a cluster (open it with redis+cluster://)"},
		{"CROSSSLOT", "the server belongs to a cluster (open it with redis+cluster://)"},
		{"MASTERDOWN", "the primary is down and its replica does not answer for it"},
		{"ERR max number of clients", "the store has no connection left (raise its maxclients)"},
	} {
		if strings.HasPrefix(text, known.mark) || strings.Contains(text, "-"+known.mark) || strings.Contains(text, ": "+known.mark) {
			return known.words
		}
	}
	return ""
}
