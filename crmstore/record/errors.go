package record

import (
	"errors"
	"fmt"
)

// Errors that callers tell apart; compare with errors.Is.
var (
	ErrNotFound  = errors.New("not found")
	ErrExists    = errors.New("exists already")
	ErrConflict  = errors.New("changed since it was read")
	ErrNoAccount = errors.New("no such account")
	ErrLayout    = errors.New("store has another layout version")
	ErrFenced    = errors.New("another process has taken the run over")

	ErrAccountGone  = errors.New("the account is gone: it was there, and the store does not have it any more")
	ErrOtherAccount = errors.New("another account was made under the name of the one that this process began with")
	ErrNotInSync    = errors.New("the store is a replica that is not in sync with its primary: it cannot tell what is in the account")
)

// EmailTakenError refuses a change because a live contact holds the e-mail address.
type EmailTakenError struct {
	Email  string
	Holder ID
}

// Error names the address and the contact that holds it.
func (e *EmailTakenError) Error() string {
	return fmt.Sprintf("e-mail %s belongs to contact %s", e.Email, e.Holder)
}

// BlockedError refuses an e-mail address that is on the block list.
type BlockedError struct{ Email string }

// Error names the address.
func (e *BlockedError) Error() string { return fmt.Sprintf("e-mail %s is on the block list", e.Email) }

// ActiveRunError refuses a new run because another one of the same workflow is not over.
type ActiveRunError struct{ Run string }

// Error names the run that is not over.
func (e *ActiveRunError) Error() string { return "run " + e.Run + " is not over" }
