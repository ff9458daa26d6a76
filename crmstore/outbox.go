package crmstore

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/crm-workflow/crm-workflow/crmstore/record"
)

// MailState is where an entry of the outbox stands.
type MailState string

// The states of an entry. A mail that waits or is being sent may still go out; one that was sent or given up does not
// by itself.
const (
	MailWaiting MailState = "waiting"
	MailSending MailState = "sending"
	MailSent    MailState = "sent"
	MailGivenUp MailState = "given-up"
)

// MailStates lists the states in the order in which a mail passes them.
func MailStates() []MailState {
	return []MailState{MailWaiting, MailSending, MailSent, MailGivenUp}
}

// Over reports whether no sender takes the mail by itself any more.
func (s MailState) Over() bool { return s == MailSent || s == MailGivenUp }

// Mail is one entry of the outbox: a mail that a server shall accept once.
type Mail struct {
	ID        string    `json:"id"` // says what it is about; the outbox holds one mail with it
	To        string    `json:"to"`
	Subject   string    `json:"subject"`
	Text      string    `json:"text"`
	MessageID string    `json:"message_id"` // without brackets; the same at each attempt, so that a second copy is known as one
	State     MailState `json:"state"`
	Attempts  int       `json:"attempts"`
	CreatedAt time.Time `json:"created_at"`
	NextAt    time.Time `json:"next_at,omitzero"`  // waiting: when it is tried next; sending: when its sender counts as dead
	EndedAt   time.Time `json:"ended_at,omitzero"` // when it was sent or given up
	LastError string    `json:"last_error,omitempty"`
	Version   uint64    `json:"-"`
}

var scriptSaveMail = mustLuaScript("save_mail")

// QueueMail puts a mail into the outbox; its ID, To, Subject and Text are given, domain is what its Message-ID ends
// in. false: a mail with this id was put there before, and stays as it is, whatever became of it. The outbox is for
// super admins, and for the program itself.
func (s *Store) QueueMail(ctx context.Context, m Mail, domain string, at time.Time) (bool, error) {
	if err := s.require(ctx, "", IsSuperAdmin); err != nil {
		return false, err
	}
	return s.queueMail(ctx, m, domain, at)
}

func (s *Store) queueMail(ctx context.Context, m Mail, domain string, at time.Time) (bool, error) {
	if m.ID == "" || m.To == "" {
		return false, errors.New("queue mail: it needs an id and an address")
	}
	sum := sha256.Sum256([]byte(s.account + "\x00" + m.ID))
	at = time.UnixMilli(at.UnixMilli()).UTC()
	m = Mail{
		ID: m.ID, To: m.To, Subject: m.Subject, Text: m.Text, MessageID: hex.EncodeToString(sum[:16]) + "@" + domain,
		State: MailWaiting, CreatedAt: at, NextAt: at,
	}
	err := s.saveMail(ctx, &m)
	if errors.Is(err, record.ErrConflict) {
		return false, nil
	}
	return err == nil, err
}

// saveMail writes m if its Version is current, and gives it the new one; ErrConflict.
func (s *Store) saveMail(ctx context.Context, m *Mail) error {
	text, err := json.Marshal(m)
	if err != nil {
		return fmt.Errorf("save mail %s: %w", m.ID, err)
	}
	due := ""
	if !m.State.Over() {
		due = strconv.FormatInt(m.NextAt.UnixMilli(), 10)
	}
	reply, err := s.db.Run(ctx, scriptSaveMail, []string{s.keyOutbox(), s.keyOutboxQueue()},
		m.ID, strconv.FormatUint(m.Version, 10), text, due)
	if err != nil {
		return fmt.Errorf("save mail %s: %w", m.ID, err)
	}
	version, _ := reply.(int64)
	if version == 0 {
		return fmt.Errorf("save mail %s: %w", m.ID, record.ErrConflict)
	}
	m.Version = uint64(version)
	return nil
}

func parseMail(id, text string) (Mail, error) {
	var m Mail
	version, err := parseVersioned(text, &m)
	if err != nil {
		return Mail{}, fmt.Errorf("read mail %s: %w", id, err)
	}
	m.Version = version
	return m, nil
}

// Mail reads one entry of the outbox; ErrNotFound.
func (s *Store) Mail(ctx context.Context, id string) (Mail, error) {
	if err := s.require(ctx, "", IsSuperAdmin); err != nil {
		return Mail{}, err
	}
	return s.mail(ctx, id)
}

func (s *Store) mail(ctx context.Context, id string) (Mail, error) {
	text, err := s.db.Redis.HGet(ctx, s.keyOutbox(), id).Result()
	switch {
	case errors.Is(err, redis.Nil):
		return Mail{}, fmt.Errorf("mail %s: %w", id, record.ErrNotFound)
	case err != nil:
		return Mail{}, fmt.Errorf("read mail %s: %w", id, s.db.Explain(err))
	}
	return parseMail(id, text)
}

// mailsAtOnce is how many entries one round trip over the whole outbox reads, roughly.
const mailsAtOnce = 500

// Mails lists the outbox, oldest first; state "" = all.
func (s *Store) Mails(ctx context.Context, state MailState) ([]Mail, error) {
	if err := s.require(ctx, "", IsSuperAdmin); err != nil {
		return nil, err
	}
	found := map[string]Mail{}
	err := s.eachMail(ctx, func(m Mail) error {
		if state == "" || m.State == state {
			found[m.ID] = m
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	mails := make([]Mail, 0, len(found))
	for _, m := range found {
		mails = append(mails, m)
	}
	slices.SortFunc(mails, func(a, b Mail) int {
		if c := a.CreatedAt.Compare(b.CreatedAt); c != 0 {
			return c
		}
		return strings.Compare(a.ID, b.ID)
	})
	return mails, nil
}

// eachMail calls fn for every entry, in any order; one that is written meanwhile may come twice.
func (s *Store) eachMail(ctx context.Context, fn func(Mail) error) error {
	for cursor := uint64(0); ; {
		pairs, next, err := s.db.Redis.HScan(ctx, s.keyOutbox(), cursor, "", mailsAtOnce).Result()
		if err != nil {
			return fmt.Errorf("read outbox: %w", s.db.Explain(err))
		}
		for i := 0; i+1 < len(pairs); i += 2 {
			m, err := parseMail(pairs[i], pairs[i+1])
			if err == nil {
				err = fn(m)
			}
			if err != nil {
				return err
			}
		}
		if cursor = next; cursor == 0 {
			return nil
		}
	}
}

// MailsWaiting is how many mails wait or are being sent.
func (s *Store) MailsWaiting(ctx context.Context) (int64, error) {
	if err := s.require(ctx, "", IsSuperAdmin); err != nil {
		return 0, err
	}
	n, err := s.db.Redis.ZCard(ctx, s.keyOutboxQueue()).Result()
	if err != nil {
		return 0, fmt.Errorf("count mails that wait: %w", s.db.Explain(err))
	}
	return n, nil
}
