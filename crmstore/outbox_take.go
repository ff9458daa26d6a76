package crmstore

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/crm-workflow/crm-workflow/crmstore/record"
)

// takeAtOnce is how many mails that are due a sender tries to take; other senders may be faster with some of them.
const takeAtOnce = 64

// mailAheadMost is how far ahead a mail may be due: twice the longest pause. One that is due later was put there by a wrong clock, and
// is due now.
const mailAheadMost = 48 * time.Hour

// TakeMail takes the mail that has been due longest at now, for one attempt that must end within lease: after that
// another sender may take it. ErrNotFound when none is due, or other senders were faster. Two senders never hold one
// mail at the same time, unless one of them outlives its lease.
func (s *Store) TakeMail(ctx context.Context, now time.Time, lease time.Duration) (Mail, error) {
	if err := s.require(ctx, "", IsSuperAdmin); err != nil {
		return Mail{}, err
	}
	ids, err := s.db.Redis.ZRangeByScore(ctx, s.keyOutboxQueue(), &redis.ZRangeBy{
		Min: "-inf", Max: strconv.FormatInt(now.UnixMilli(), 10), Count: takeAtOnce,
	}).Result()
	if err != nil {
		return Mail{}, fmt.Errorf("look for mail to send: %w", s.db.Explain(err))
	}
	lost, err := s.db.Redis.ZRangeByScore(ctx, s.keyOutboxQueue(), &redis.ZRangeBy{
		Min: strconv.FormatInt(now.Add(mailAheadMost).UnixMilli(), 10), Max: "+inf", Count: takeAtOnce,
	}).Result()
	if err != nil {
		return Mail{}, fmt.Errorf("look for mail to send: %w", s.db.Explain(err))
	}
	for _, id := range append(ids, lost...) {
		m, err := s.mail(ctx, id)
		if errors.Is(err, record.ErrNotFound) || err == nil && (m.State.Over() || m.NextAt.After(now) && m.NextAt.Before(now.Add(mailAheadMost))) {
			continue
		}
		if err == nil {
			err = s.startMail(ctx, &m, now, lease)
		}
		if !errors.Is(err, record.ErrConflict) {
			return m, err
		}
	}
	return Mail{}, fmt.Errorf("mail that is due: %w", record.ErrNotFound)
}

// TakeMailNow takes one mail whether it is due or not, also one that was given up. ErrNotFound, or ErrConflict when
// another sender holds it; ErrExists when it was sent already.
func (s *Store) TakeMailNow(ctx context.Context, id string, now time.Time, lease time.Duration) (Mail, error) {
	if err := s.require(ctx, "", IsSuperAdmin); err != nil {
		return Mail{}, err
	}
	m, err := s.mail(ctx, id)
	switch {
	case err != nil:
		return Mail{}, err
	case m.State == MailSent:
		return m, fmt.Errorf("mail %s was sent: %w", id, record.ErrExists)
	case m.State == MailSending && m.NextAt.After(now):
		return m, fmt.Errorf("mail %s is being sent: %w", id, record.ErrConflict)
	}
	err = s.startMail(ctx, &m, now, lease)
	return m, err
}

func (s *Store) startMail(ctx context.Context, m *Mail, now time.Time, lease time.Duration) error {
	m.State, m.NextAt, m.EndedAt = MailSending, time.UnixMilli(now.Add(lease).UnixMilli()).UTC(), time.Time{}
	m.Attempts++
	return s.saveMail(ctx, m)
}

// MailAccepted records that a server accepted the mail, whoever holds it by now: from then on nobody takes it again.
func (s *Store) MailAccepted(ctx context.Context, id string, at time.Time) (Mail, error) {
	if err := s.require(ctx, "", IsSuperAdmin); err != nil {
		return Mail{}, err
	}
	for {
		m, err := s.mail(ctx, id)
		if err != nil || m.State == MailSent {
			return m, err
		}
		m.State, m.NextAt, m.LastError = MailSent, time.Time{}, ""
		m.EndedAt = time.UnixMilli(at.UnixMilli()).UTC()
		if err := s.saveMail(ctx, &m); !errors.Is(err, record.ErrConflict) {
			return m, err
		}
	}
}

// MailRefused records why an attempt came to nothing, in words without secrets, and when the next one is due; a zero
// next gives the mail up. ErrConflict when another sender has taken m since.
func (s *Store) MailRefused(ctx context.Context, m Mail, why string, at, next time.Time) (Mail, error) {
	if err := s.require(ctx, "", IsSuperAdmin); err != nil {
		return Mail{}, err
	}
	m.LastError = why
	if next.IsZero() {
		m.State, m.NextAt, m.EndedAt = MailGivenUp, time.Time{}, time.UnixMilli(at.UnixMilli()).UTC()
	} else {
		m.State, m.NextAt = MailWaiting, time.UnixMilli(next.UnixMilli()).UTC()
	}
	err := s.saveMail(ctx, &m)
	return m, err
}

// trimMails removes mails that were sent or given up before an instant, and says how many.
func (s *Store) trimMails(ctx context.Context, before time.Time) (int, error) {
	removed := 0
	err := s.eachMail(ctx, func(m Mail) error {
		if !m.State.Over() || !m.EndedAt.Before(before) {
			return nil
		}
		gone, err := s.removeMail(ctx, &m)
		if gone {
			removed++
		}
		return err
	})
	return removed, err
}

// removeMail removes a mail that is still as it was read.
func (s *Store) removeMail(ctx context.Context, m *Mail) (bool, error) {
	reply, err := s.db.Run(ctx, scriptSaveMail, []string{s.keyOutbox(), s.keyOutboxQueue()},
		m.ID, strconv.FormatUint(m.Version, 10), "", "")
	if err != nil {
		return false, fmt.Errorf("remove mail %s: %w", m.ID, err)
	}
	return reply == int64(1), nil
}
