package workflow

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/crm-workflow/crm-workflow/crmstore"
	"github.com/crm-workflow/crm-workflow/workflow/definition"
)

// ApprovalRules are the account's settings about the users that approve held runs.
type ApprovalRules struct {
	Needed       int  // how many different users must approve: 1 or 2
	NotPublisher bool // the publisher of the run's workflow may not approve it
}

// ReadApprovalRules reads them. Every user of the account may.
func ReadApprovalRules(ctx context.Context, store *crmstore.Store) (ApprovalRules, error) {
	settings, err := store.Settings(ctx)
	if err != nil {
		return ApprovalRules{}, err
	}
	rules := ApprovalRules{Needed: 1}
	for _, s := range settings {
		switch {
		case s.Key == crmstore.SettingApprovals && s.Value == "2":
			rules.Needed = 2
		case s.Key == crmstore.SettingApprover && s.Value == crmstore.ApprovalNotPublisher:
			rules.NotPublisher = true
		}
	}
	return rules, nil
}

// String says who must approve a held run; "" when anyone may.
func (a ApprovalRules) String() string {
	words := "2 different users approve a held run"
	if a.Needed < 2 {
		words = "one user approves a held run"
	}
	switch {
	case a.NotPublisher:
		return words + ", not who published the workflow"
	case a.Needed < 2:
		return ""
	}
	return words
}

// of are the rules for one run. A deletion by hand has no publisher, and the number that was typed is enough for it unless it is
// larger than a workflow's run could be without being held.
func (a ApprovalRules) of(run crmstore.Run, live int64) ApprovalRules {
	if run.Kind == crmstore.RunDelete {
		a.NotPublisher = false
		if !LargeByHand(enrolling(run.Totals), live) {
			a.Needed = 1
		}
	}
	return a
}

// LargeByHand reports whether a deletion by hand of count of live records is over the limits that a workflow has by default.
func LargeByHand(count, live int64) bool {
	return count > definition.DefaultMaxDeletions || float64(count)*100 > definition.DefaultMaxPercent*float64(live)
}

// seen is a held run as an approver sees it.
type seen struct {
	run     crmstore.Run
	left    int64
	current int // the workflow's revision
	rules   ApprovalRules
}

// rulesOf are the account's rules for a run.
func (r *Runner) rulesOf(ctx context.Context, run crmstore.Run) (ApprovalRules, error) {
	rules, err := ReadApprovalRules(ctx, r.system())
	if err != nil || run.Kind != crmstore.RunDelete || rules.Needed < 2 {
		return rules.of(run, 0), err
	}
	counts, err := r.system().Count(ctx, run.Object)
	return rules.of(run, counts.Live), err
}

// publishers are the users that published the run's revision, and the workflow last; none for a deletion by hand.
func (r *Runner) publishers(ctx context.Context, run crmstore.Run) ([]string, error) {
	if run.Kind == crmstore.RunDelete {
		return nil, nil
	}
	w, err := r.system().Workflow(ctx, run.Workflow)
	if err != nil {
		return nil, err
	}
	revision, err := r.system().Revision(ctx, run.Workflow, run.Revision)
	return []string{w.PublishedBy, revision.By}, err
}

// mayBeApprover is a *RefusedError when the rules want another user than the runner's.
func (r *Runner) mayBeApprover(ctx context.Context, run crmstore.Run, rules ApprovalRules) error {
	if !rules.NotPublisher {
		return nil
	}
	by, err := r.publishers(ctx, run)
	if err != nil || !slices.Contains(by, r.Store.User()) {
		return err
	}
	r.Metrics.refused(run.Workflow, RefusedApprover)
	return &RefusedError{
		Reason:  RefusedApprover,
		Message: fmt.Sprintf("%s published workflow %s, and this account wants another user to approve its runs (%s %s)", r.Store.User(), run.Workflow, crmstore.SettingApprover, crmstore.ApprovalNotPublisher),
		Help:    "have another user approve it: workflow approve " + run.ID,
	}
}

// validApprovals are the earlier approvals of a held run that still count. They were given for the same number of records
// and the same revision, since the run was last carried, by users that still may approve it.
func (r *Runner) validApprovals(ctx context.Context, s seen) ([]crmstore.Approval, error) {
	var barred []string
	if s.rules.NotPublisher {
		var err error
		if barred, err = r.publishers(ctx, s.run); err != nil {
			return nil, err
		}
	}
	var good []crmstore.Approval
	for _, a := range s.run.Approvals {
		if a.Count != s.left || a.Revision != s.current || a.Fence != s.run.Fence || slices.Contains(barred, a.By) {
			continue
		}
		may, err := r.system().As(a.By).May(ctx, s.run.Object, s.run.ApprovalPermissions()...)
		if err != nil {
			return nil, err
		}
		if may {
			good = append(good, a)
		}
	}
	return good, nil
}

// checkSecondApprover is a *RefusedError when another user must approve, since the runner's user has approved already.
func (r *Runner) checkSecondApprover(s seen, before []crmstore.Approval) error {
	if s.rules.Needed < 2 || !slices.ContainsFunc(before, func(a crmstore.Approval) bool { return a.By == r.Store.User() }) {
		return nil
	}
	return &RefusedError{
		Reason:  RefusedApprover,
		Message: fmt.Sprintf("%s approved run %s already, and this account wants 2 different users to approve a held run", r.Store.User(), s.run.ID),
		Help:    "have another user approve it: workflow approve " + s.run.ID,
	}
}

// lifted reports whether the approvals pass the account's ceiling: one of a super admin does.
func (r *Runner) lifted(ctx context.Context, approvals []crmstore.Approval) bool {
	for _, a := range approvals {
		if may, err := r.system().As(a.By).May(ctx, "", crmstore.IsSuperAdmin); may && err == nil {
			return true
		}
	}
	return r.liftsCeiling(ctx)
}

// WaitsForMore says in words what a held run still needs: "approved by theo; another user must approve it too". "" when it
// has no valid approval.
func (r *Runner) WaitsForMore(ctx context.Context, id string) (string, error) {
	run, err := r.Store.Run(ctx, id)
	if err != nil || run.State != crmstore.RunHeld || len(run.Approvals) == 0 {
		return "", err
	}
	s := seen{run: run}
	if s.left, err = r.left(ctx, run); err != nil {
		return "", err
	}
	if run.Kind != crmstore.RunDelete {
		w, err := r.system().Workflow(ctx, run.Workflow)
		if err != nil {
			return "", err
		}
		s.current = w.Revision
	}
	if s.rules, err = r.rulesOf(ctx, run); err != nil || s.rules.Needed < 2 {
		return "", err
	}
	good, err := r.validApprovals(ctx, s)
	if err != nil || len(good) == 0 {
		return "", err
	}
	var names []string
	for _, a := range good {
		names = append(names, a.By)
	}
	return fmt.Sprintf("approved by %s; another user must approve it too", strings.Join(names, ", ")), nil
}
