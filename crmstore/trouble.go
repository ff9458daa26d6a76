package crmstore

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"

	"github.com/redis/go-redis/v9"
)

// trouble puts the errors of the client into words that say what to do. The original stays wrapped; errors that
// need no words (nil, a context's end, our own) come back as they are. Every error of the client passes here once.
func (s *Store) trouble(err error) error {
	if err == nil || errors.Is(err, context.Canceled) || errors.Is(err, redis.Nil) {
		return err
	}
	if words := serverTrouble(err.Error()); words != "" {
		return fmt.Errorf("%s: %w", words, err)
	}
	var op *net.OpError
	var dns *net.DNSError
	switch {
	case errors.Is(err, redis.ErrClosed):
		return fmt.Errorf("the store is closed: %w", err)
	case errors.As(err, &dns):
		return fmt.Errorf("the store's host name is not known (check the address %s): %w", s.place, err)
	case errors.As(err, &op) && op.Op == "dial":
		return fmt.Errorf("the store at %s cannot be reached (is the server up, and the address right?): %w", s.place, err)
	case errors.As(err, &op), errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return fmt.Errorf("the connection to the store broke off (what was under way may or may not be done; repeat the command): %w", err)
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, redis.ErrPoolTimeout):
		return fmt.Errorf("the store at %s does not answer in time: %w", s.place, err)
	}
	return err
}

// serverTrouble knows the errors that servers report; a script's error holds the original in its text.
func serverTrouble(text string) string {
	for _, known := range []struct{ mark, words string }{
		{"READONLY ", "the store is a read-only replica (open the primary, or use redis+sentinel://)"},
		{"OOM ", "the store is out of memory (raise its maxmemory; the eviction policy must be noeviction)"},
		{"LOADING ", "the store is still loading its data (try again in a moment)"},
		{"MISCONF ", "the store refuses writes since it cannot save to disk (see the server's log; often the disk is full)"},
		{"NOAUTH", "the store asks for a password (put it into the address: redis://USER:PASSWORD@HOST)"},
		{"WRONGPASS", "the store refuses the user name or the password"},
		{"invalid password", "the store refuses the password"},
		{"NOPERM", "the store's ACL does not allow this user what is needed"},
		{"CLUSTERDOWN", "the cluster is down (see CLUSTER INFO on a node)"},
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
