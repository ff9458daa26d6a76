package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/crm-workflow/crm-workflow/crmstore"
	"github.com/crm-workflow/crm-workflow/crmstore/record"
	"github.com/crm-workflow/crm-workflow/workflow"
	"github.com/crm-workflow/crm-workflow/workflow/diag"
)

// The exit codes; everything a call can end in is one of them.
const (
	exitGood    = 0
	exitRefused = 1 // findings in a file, or a refusal: nothing was changed, or a limit held a run
	exitUsage   = 2 // the call itself was wrong
	exitFailed  = 3 // the store, a file or the machine did not do its part
)

// problem is a failure as a person reads it and as a program sees it.
type problem struct {
	code     int
	message  string
	help     string    // what to do; may be empty
	reason   string    // a stable word for programs, such as "tier"; may be empty
	findings diag.List // of the file that was refused; for people they were shown when they were found
	said     bool      // the verb has printed its result, and only the exit code is left to set
}

func (p *problem) Error() string { return p.message }

// usagef is a wrong call.
func usagef(help, format string, args ...any) error {
	return &problem{code: exitUsage, help: help, message: fmt.Sprintf(format, args...)}
}

// refusedf is a call that was understood and is not carried out.
func refusedf(help, format string, args ...any) error {
	return &problem{code: exitRefused, help: help, message: fmt.Sprintf(format, args...)}
}

// failedf is work that the machine could not do.
func failedf(help, format string, args ...any) error {
	return &problem{code: exitFailed, help: help, message: fmt.Sprintf(format, args...)}
}

// said ends the call with a code and no further words: the verb's result says it all.
func said(code int) error { return &problem{code: code, said: true} }

// explain turns any error into a problem. It is the only place that knows which error means which exit code.
func (s *session) explain(ctx context.Context, err error) *problem {
	var p *problem
	var taken *record.EmailTakenError
	var blocked *record.BlockedError
	var active *record.ActiveRunError
	var denied *crmstore.PermissionError
	var refused *workflow.RefusedError
	var stale *workflow.FindingsError
	var undeletable *workflow.UndeletableError
	var held *crmstore.HeldError
	trouble := troubleProblem(err)
	var clock *crmstore.ClockError
	switch {
	case errors.As(err, &p):
		return p
	case trouble != nil:
		return trouble
	case ctx.Err() != nil && errors.Is(err, context.Canceled):
		return &problem{
			code: exitFailed, reason: "interrupted", message: "stopped before the end: " + err.Error(),
			help: "what was done stays done; the same command goes on from there",
		}
	case errors.As(err, &refused):
		return &problem{code: exitRefused, reason: refused.Reason, message: refused.Message, help: refused.Help}
	case errors.As(err, &held):
		help := heldHelp
		if len(held.Ties) > 0 {
			help = tiesHelp
		}
		return &problem{code: exitRefused, reason: "legal-hold", message: "nothing was deleted: " + held.Error(), help: help}
	case errors.As(err, &undeletable):
		return undeletableProblem(undeletable)
	case errors.As(err, &stale):
		showFindings(s, stale.List, nil)
		return &problem{
			code: exitRefused, message: err.Error(), findings: stale.List,
			help: "properties or lists changed since it was published: repair the file and publish it again",
		}
	case errors.As(err, &denied):
		return &problem{code: exitRefused, reason: workflow.RefusedPermission, message: denied.Message(), help: denied.Help()}
	case errors.As(err, &clock):
		return &problem{code: exitFailed, reason: "clock-" + clock.Clock.State, message: clock.Error(), help: clock.Help()}
	case errors.Is(err, crmstore.ErrAddress):
		return &problem{code: exitUsage, reason: "store-address", message: err.Error()}
	case errors.Is(err, record.ErrNoAccount):
		return &problem{
			code: exitFailed, reason: "no-account", message: err.Error(),
			help: "create it: workflow account create" + s.repeatFlags(),
		}
	case errors.As(err, &taken):
		return &problem{code: exitRefused, reason: "email-taken", message: err.Error(), help: "see it: workflow records get " + taken.Holder.String()}
	case errors.Is(err, record.ErrDamaged):
		return &problem{code: exitRefused, reason: "damaged", message: err.Error()}
	case errors.As(err, &blocked):
		return &problem{
			code: exitRefused, reason: "email-blocked", message: err.Error(),
			help: "somebody may take the block away: workflow blocklist remove " + blocked.Email,
		}
	case errors.Is(err, record.ErrNoAddress):
		return &problem{code: exitUsage, message: err.Error()}
	case errors.As(err, &active):
		return &problem{code: exitRefused, reason: "active-run", message: err.Error(), help: "see it: workflow runs " + active.Run}
	}
	return byName(err)
}

// byName explains the errors of the store that are told apart by name; any other one is a failure.
func byName(err error) *problem {
	switch {
	case errors.Is(err, record.ErrAccountGone), errors.Is(err, record.ErrOtherAccount):
		return &problem{
			code: exitFailed, reason: crmstore.TroubleAccountGone, message: err.Error(),
			help: "find out what emptied the store, and bring a backup back",
		}
	case errors.Is(err, record.ErrNotInSync):
		return &problem{
			code: exitFailed, reason: crmstore.TroubleNotInSync, message: err.Error(),
			help: "open the primary, or use redis+sentinel://",
		}
	case errors.Is(err, crmstore.ErrArchived):
		return &problem{code: exitRefused, reason: "archived", message: err.Error()}
	case errors.Is(err, record.ErrNotFound):
		return &problem{code: exitRefused, reason: "not-found", message: err.Error()}
	case errors.Is(err, record.ErrExists):
		return &problem{code: exitRefused, reason: "exists", message: err.Error()}
	case errors.Is(err, record.ErrConflict):
		return &problem{
			code: exitRefused, reason: "conflict", message: err.Error(),
			help: "somebody else changed it in the meantime; look again and repeat the command",
		}
	}
	return &problem{code: exitFailed, message: err.Error()}
}

// heldHelp says what to do about a legal hold.
const heldHelp = "whoever may end it: workflow legal-hold remove ID --reason TEXT"

// tiesHelp is heldHelp where it is an association that a legal hold keeps.
const tiesHelp = heldHelp + "; or take the association away first: workflow associations remove"

// undeletableProblem says what to do about ids that cannot be deleted.
func undeletableProblem(e *workflow.UndeletableError) *problem {
	p := &problem{code: exitRefused, reason: "not-found", message: e.Error()}
	switch {
	case len(e.Elsewhere) > 0:
		for _, other := range e.Elsewhere {
			p.help = "name the object type: --object " + string(other)
		}
	case len(e.Held) > 0:
		p.reason, p.help = "legal-hold", heldHelp
		if e.Asked > 1 {
			p.help += "; to delete the others: --skip-missing"
		}
	case e.Asked > 1:
		p.help = "to delete the others: --skip-missing"
	case len(e.Deleted) > 0:
		p.reason = "archived"
	}
	return p
}

// repeatFlags is the part of a suggested command that leads to the same store and account.
func (s *session) repeatFlags() string {
	var b strings.Builder
	if s.flags.store != "" {
		b.WriteString(" --store " + crmstore.PublicAddress(s.flags.store))
	}
	if s.flags.account != "" {
		b.WriteString(" --account " + s.flags.account)
	}
	return b.String()
}

// finish says what went wrong, if anything, and gives the exit code.
func (s *session) finish(ctx context.Context, err error) int {
	code := exitGood
	if err != nil && !errors.Is(err, errClosed) {
		p := s.explain(ctx, err)
		code = p.code
		s.sayProblem(p)
	}
	// A reader that has seen enough (`| head`) closes our stdout: not a failure. A full disk is one.
	if e := s.out.flush(); e != nil && !errors.Is(e, errClosed) && code == exitGood {
		s.err.printf("workflow: write the result: %v\n", e)
		code = exitFailed
	}
	_ = s.err.flush() // there is nobody left to tell
	return code
}

// kinds are the exit codes as words for programs; findings are a kind of refusal of their own.
var kinds = map[int]string{exitRefused: "refused", exitUsage: "usage", exitFailed: "failed"}

func (s *session) sayProblem(p *problem) {
	if p.said {
		return
	}
	// One document on stdout, also when it is a refusal; unless half of another one is there already.
	if s.json() && !s.out.started() {
		s.out.json(errorDocument{newErrorBody(p)})
		return
	}
	s.err.printf("%s %s\n", s.err.paint(red, "workflow:"), clean(strings.ReplaceAll(p.message, "\n", "; ")))
	if p.help != "" {
		s.err.printf("  %s\n", p.help)
	}
}

// errorDocument is what a program gets instead of a result.
type errorDocument struct {
	Error errorBody `json:"error"`
}

type errorBody struct {
	Kind     string    `json:"kind"` // findings, refused, usage, failed
	Exit     int       `json:"exit_code"`
	Reason   string    `json:"reason,omitempty"` // a stable word, such as tier or not-found
	Message  string    `json:"message"`
	Help     string    `json:"help,omitempty"`
	Findings diag.List `json:"findings,omitempty"`
}

func newErrorBody(p *problem) errorBody {
	e := errorBody{
		Kind: kinds[p.code], Exit: p.code, Reason: p.reason, Message: p.message, Help: p.help, Findings: p.findings,
	}
	if len(p.findings) > 0 && p.code == exitRefused {
		e.Kind = "findings"
	}
	return e
}
