package crmstore

import (
	"context"
	"errors"
	"fmt"
	"net/mail"
	"strings"
	"time"

	"github.com/crm-workflow/crm-workflow/crmstore/record"
)

// Confirmation says which mail tells the user who ordered a permanent deletion, or why none does.
type Confirmation struct {
	Mail string // id of the mail in the outbox; "" = none
	Why  Unconfirmed
	User string // who ordered it
}

// Unconfirmed is why a permanent deletion is told to nobody; "" = it is told.
type Unconfirmed string

// The reasons.
const (
	NoMailServer  Unconfirmed = "no-server"  // the account has no smtp_host
	NoMailAddress Unconfirmed = "no-address" // the user has none, or is not a user any more
)

// confirm is the last step before the intents of an order are dropped: all of it is done. It is carried out again when
// the process dies between the two, and then finds the mail there. Neither a user nor a setting that is missing keeps
// the deletion from being finished.
func (e *erasure) confirm(ctx context.Context) (c Confirmation, err error) {
	tombs, err := e.store.tombstones(ctx, record.Contact, e.ids)
	if err != nil {
		return c, err
	}
	var gone []record.ID
	for _, id := range e.ids {
		if t, ok := tombs[id]; ok && t.Run == e.intent.Run {
			gone = append(gone, id)
		}
	}
	if len(gone) == 0 {
		return c, nil
	}
	c.User = e.intent.Actor
	set, err := e.store.db.Redis.HMGet(ctx, e.store.keySettings(), SettingMailHost, SettingMailFrom).Result()
	if err != nil {
		return c, fmt.Errorf("read mail settings: %w", e.store.db.Explain(err))
	}
	if host, _ := set[0].(string); host == "" {
		c.Why = NoMailServer
		return c, nil
	}
	user, err := e.store.userNamed(ctx, e.intent.Actor)
	if err != nil && !errors.Is(err, record.ErrNotFound) {
		return c, err
	}
	if user.Email == "" {
		c.Why = NoMailAddress
		return c, nil
	}
	m := Erasure{
		Account: e.store.account, Run: e.intent.Run, User: user.Name, To: user.Email, Order: e.intent.Order, IDs: gone, At: e.at(),
	}.Mail()
	c.Mail = m.ID
	from, _ := set[1].(string)
	_, err = e.store.queueMail(ctx, m, e.store.mailDomain(from), time.UnixMilli(e.store.wall()))
	return c, err
}

// mailDomain is what the Message-IDs of the account's mails end in.
func (s *Store) mailDomain(from string) string {
	if a, err := mail.ParseAddress(from); err == nil {
		return a.Address[strings.LastIndexByte(a.Address, '@')+1:]
	}
	return s.account + ".invalid"
}

// cleanMails removes mails that are over and hold what names one of the contacts: the address of somebody who was a
// user once, or what a mail server said. One that still is to go out is mentioned.
func (e *erasure) cleanMails(ctx context.Context, n *needles) error {
	return e.store.eachMail(ctx, func(m Mail) error {
		switch {
		case !n.found(m.To) && !n.found(m.LastError):
			return nil
		case !m.State.Over():
			e.mentions = addMentions(e.mentions, []Mention{{"mail", m.ID}})
			return nil
		}
		_, err := e.store.removeMail(ctx, &m)
		return err
	})
}
