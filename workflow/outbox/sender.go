package outbox

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/crm-workflow/crm-workflow/crmstore"
	"github.com/crm-workflow/crm-workflow/crmstore/record"
)

// How attempts follow each other.
const (
	againAfter  = time.Minute         // after the first attempt; twice as long each time …
	againAtMost = 24 * time.Hour      // … up to this
	giveUpAfter = 14 * 24 * time.Hour // from when the mail was queued

	defaultSilence = 10 * time.Second
	defaultPoll    = 15 * time.Second
	recordWithin   = 10 * time.Second // what the store may take to record what became of an attempt
)

// The outcomes of an attempt, as the metric has them.
const (
	OutcomeSent    = "sent"     // the server accepted the mail
	OutcomeRetry   = "retry"    // it did not, and is asked again
	OutcomeGivenUp = "given-up" // it did not, and is not asked again
)

// Sender sends what waits in the store's outbox. Several senders may work on one account.
type Sender struct {
	Store   *crmstore.Store
	Server  func(ctx context.Context) (Server, error) // asked before each round, since settings change
	May     func(ctx context.Context) error           // asked before Round takes each mail; its error leaves mails waiting; nil = always
	Count   func(outcome string)                      // called for each attempt; may be nil
	Log     *slog.Logger                              // nil: no lines
	Silence time.Duration                             // how long a server may take for a step of the conversation; 0 = 10 s
	Poll    time.Duration                             // how often Run looks for mail; 0 = every 15 s
}

// Run sends mail as it becomes due, until the context ends, and then returns nil. A store or a mail server that is
// away is waited for.
func (s *Sender) Run(ctx context.Context) error {
	poll := s.Poll
	if poll <= 0 {
		poll = defaultPoll
	}
	ticker := time.NewTicker(poll)
	defer ticker.Stop()
	reported := "" // the last trouble that was logged
	for {
		trouble := ""
		err := s.Round(ctx)
		var forbidden *forbiddenError // whoever forbids it says why
		if err != nil && ctx.Err() == nil && !errors.As(err, &forbidden) {
			trouble = err.Error()
			if trouble != reported {
				s.log().LogAttrs(ctx, slog.LevelWarn, "mail waits", slog.Any("error", err))
			}
		}
		reported = trouble
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
	}
}

// forbiddenError is May's answer. No mail was taken after it.
type forbiddenError struct{ error }

func (e *forbiddenError) Unwrap() error { return e.error }

// may asks whether mails may go out now.
func (s *Sender) may(ctx context.Context) error {
	if s.May == nil {
		return nil
	}
	if err := s.May(ctx); err != nil {
		return &forbiddenError{err}
	}
	return nil
}

// Round sends all mail that is due. It ends early, with an error, when May forbids it, the store or the mail server is away, or
// the settings are not usable: then the rest waits for the next round. A mail that the server refuses is no error here.
func (s *Sender) Round(ctx context.Context) error {
	if n, err := s.Store.MailsWaiting(ctx); n == 0 || err != nil {
		return err
	}
	server, err := s.server(ctx)
	if err != nil {
		return err
	}
	for ctx.Err() == nil {
		if err := s.may(ctx); err != nil {
			return err
		}
		m, err := s.Store.TakeMail(ctx, s.Store.Now(), s.lease())
		if errors.Is(err, record.ErrNotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		r, err := s.attempt(ctx, server, &m)
		if err != nil {
			return err
		}
		if r != nil && r.away() {
			return errors.New(r.text)
		}
	}
	return ctx.Err()
}

// Send makes one attempt with one mail now, whether it is due or not, and says what became of it; see LastError when it
// is not sent. *SettingsError: no attempt was made; crmstore.ErrExists: it was sent before; crmstore.ErrConflict: another sender holds it.
func (s *Sender) Send(ctx context.Context, id string) (crmstore.Mail, error) {
	server, err := s.server(ctx)
	if err != nil {
		return crmstore.Mail{}, err
	}
	m, err := s.Store.TakeMailNow(ctx, id, s.Store.Now(), s.lease())
	if err != nil {
		return m, err
	}
	_, err = s.attempt(ctx, server, &m)
	return m, err
}

func (s *Sender) server(ctx context.Context) (Server, error) {
	server, err := s.Server(ctx)
	if err != nil {
		return server, err
	}
	if err := server.Usable(); err != nil {
		return server, &SettingsError{err}
	}
	return server, nil
}

// attempt makes one attempt with a mail that was taken and records what became of it.
func (s *Sender) attempt(ctx context.Context, server Server, m *crmstore.Mail) (*refusal, error) {
	var failed error
	r := deliver(ctx, server, *m, s.silence(), func() { failed = s.accepted(ctx, m) })
	if r == nil {
		return nil, failed
	}
	at := s.Store.Now()
	next := nextAttempt(*m, at)
	if r.final {
		next = time.Time{}
	}
	rec, cancel := recording(ctx)
	defer cancel()
	refused, err := s.Store.MailRefused(rec, *m, r.text, at, next)
	if errors.Is(err, record.ErrConflict) {
		return r, nil // the sender that holds it by now records its outcome
	}
	if err != nil {
		return r, err
	}
	*m = refused
	if next.IsZero() {
		s.report(ctx, slog.LevelError, OutcomeGivenUp, m, r.code)
	} else {
		s.report(ctx, slog.LevelWarn, OutcomeRetry, m, r.code)
	}
	return r, nil
}

// accepted records that the server accepted the mail.
func (s *Sender) accepted(ctx context.Context, m *crmstore.Mail) error {
	record, cancel := recording(ctx)
	defer cancel()
	sent, err := s.Store.MailAccepted(record, m.ID, s.Store.Now())
	if err != nil {
		return fmt.Errorf("mail %s was accepted, but this could not be recorded; it may be sent once more with the same Message-ID: %w", m.ID, err)
	}
	*m = sent
	s.report(ctx, slog.LevelInfo, OutcomeSent, m, 0)
	return nil
}

// recording is the time for writing down what happened, which is done also when the process was told to stop meanwhile.
func recording(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), recordWithin)
}

// nextAttempt is when a mail is tried again that was not accepted at an instant; zero: it is given up.
func nextAttempt(m crmstore.Mail, at time.Time) time.Time {
	if at.Sub(m.CreatedAt) >= giveUpAfter {
		return time.Time{}
	}
	wait := againAfter
	for i := 1; i < m.Attempts && wait < againAtMost; i++ {
		wait *= 2
	}
	return at.Add(min(wait, againAtMost))
}

// report counts an attempt and writes its line: without addresses, and without what the server said, which may hold some.
func (s *Sender) report(ctx context.Context, level slog.Level, outcome string, m *crmstore.Mail, code int) {
	if s.Count != nil {
		s.Count(outcome)
	}
	attrs := []slog.Attr{slog.String("mail", m.ID), slog.String("outcome", outcome), slog.Int("attempts", m.Attempts)}
	if code != 0 {
		attrs = append(attrs, slog.Int("code", code))
	}
	if outcome != OutcomeSent {
		attrs = append(attrs, slog.String("see", "workflow outbox list"))
	}
	s.log().LogAttrs(ctx, level, "mail", attrs...)
}

func (s *Sender) log() *slog.Logger {
	if s.Log == nil {
		return slog.New(slog.DiscardHandler)
	}
	return s.Log
}

func (s *Sender) silence() time.Duration {
	if s.Silence <= 0 {
		return defaultSilence
	}
	return s.Silence
}

// lease is longer than the longest conversation: it has three steps.
func (s *Sender) lease() time.Duration { return 6*s.silence() + recordWithin }
