package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/crm-workflow/crm-workflow/crmstore"
	"github.com/crm-workflow/crm-workflow/crmstore/record"
	"github.com/crm-workflow/crm-workflow/crmstore/spelling"
)

func usersCommand(s *session) *cobra.Command {
	return group("users", "who may do what in the account",
		"  workflow users add eve --email eve@example.com\n  workflow users grant eve view delete --object contact\n"+
			"  workflow users grant eve bulk-delete restore",
		usersList(s), usersShow(s), usersAdd(s),
		usersChange(s, "grant", "let a user do more", true), usersChange(s, "revoke", "take permissions away from a user", false),
		usersEmail(s), usersRemove(s))
}

func usersList(s *session) *cobra.Command {
	return &cobra.Command{
		Annotations: map[string]string{accessNote: reads},
		Use:         "list", Short: "users, and what each may do", Example: "  workflow users list --format json", Args: noArgs,
		RunE: s.work(needs{}, func(ctx context.Context, w *work) error {
			all, err := w.store.Users(ctx)
			if err != nil {
				return err
			}
			w.emit(map[string]any{"users": all}, func(o *output) {
				tb := &table{columns: []column{{head: "name"}, {head: "may", flex: true}, {head: "e-mail", flex: true}, {head: "added"}}}
				for i := range all {
					u := &all[i]
					tb.add(ink(bold, u.Name), txt(u.Rights()), txt(u.Email), txt(u.AddedAt.Format("2006-01-02")+" by "+u.AddedBy))
				}
				o.table(tb, 0)
			})
			return nil
		}),
	}
}

// userDocument is a user with the published workflows that act as that user.
type userDocument struct {
	crmstore.User
	Workflows []string `json:"workflows"` // by name
	Refused   []string `json:"refused"`   // those among them that are on and whose next run is refused, by name
}

// newUserDocument finds the workflows of a user.
func newUserDocument(ctx context.Context, w *work, u crmstore.User) (userDocument, error) {
	doc := userDocument{User: u, Workflows: []string{}, Refused: []string{}}
	all, err := w.store.Workflows(ctx)
	for i := range all {
		one := &all[i]
		if one.PublishedBy != u.Name {
			continue
		}
		doc.Workflows = append(doc.Workflows, one.Name)
		may := u.Has(one.Object, crmstore.CanManageWorkflows) && u.Has(one.Object, crmstore.CanView) && u.Has(one.Object, crmstore.CanDelete)
		if one.On && !may {
			doc.Refused = append(doc.Refused, one.Name)
		}
	}
	return doc, err
}

// noteRefused says which workflows will not run any more.
func noteRefused(s *session, doc userDocument) {
	for _, name := range doc.Refused {
		s.err.printf("note: workflow %s acts as %s, who may not do what it does: its next run is refused, until somebody who may publishes it again: workflow publish %s\n",
			name, clean(doc.Name), name)
	}
}

func usersShow(s *session) *cobra.Command {
	return &cobra.Command{
		Annotations: map[string]string{accessNote: reads},
		Use:         "show [NAME]", Short: "one user, what that user may do, and which workflows act as that user",
		Long:    "show shows one user; without a name, who acts now (--as, WORKFLOW_USER, or your login name).",
		Example: "  workflow users show\n  workflow users show eve", Args: args(0, 1, "a user's name"),
		ValidArgsFunction: completeUsers(s),
		RunE: s.work(needs{}, func(ctx context.Context, w *work) error {
			u, err := findUser(ctx, w, append(w.words, w.store.User())[0])
			if err != nil {
				return err
			}
			doc, err := newUserDocument(ctx, w, u)
			if err != nil {
				return err
			}
			w.emit(doc, func(o *output) {
				o.facts([2]string{"user", u.Name}, [2]string{"e-mail", u.Email}, [2]string{"may", u.Rights()},
					[2]string{"added", stamp(u.AddedAt) + " by " + u.AddedBy}, [2]string{"workflows", strings.Join(doc.Workflows, ", ")})
			})
			noteRefused(w.session, doc)
			return nil
		}),
	}
}

func usersAdd(s *session) *cobra.Command {
	var email string
	var superAdmin bool
	cmd := &cobra.Command{
		Use: "add NAME [--email ADDRESS] [--super-admin]", Short: "add a user, who may do nothing yet, or everything",
		Long: "add makes NAME a user of the account. A new user sees names (of workflows, runs, lists, properties, users), no record;\n" +
			"users grant gives more. It needs the permission super-admin, as every change of users does. The name is what --as,\n" +
			"WORKFLOW_USER or the login name says: the program believes it, so whoever reaches the store must be trusted.",
		Example: "  workflow users add eve --email eve@example.com\n  workflow users add root --super-admin",
		Args:    args(1, 1, "a user's name"),
		RunE: s.work(needs{}, func(ctx context.Context, w *work) error {
			u, err := w.store.AddUser(ctx, w.words[0], email, superAdmin, w.cause("users add"), w.now())
			if errors.Is(err, record.ErrExists) {
				return &problem{code: exitRefused, reason: "exists", message: err.Error(), help: "see: workflow users show " + w.words[0]}
			}
			if err != nil {
				return userProblem(err)
			}
			w.emit(u, func(o *output) {
				o.printf("%s is a user of account %s, and may do %s\n", clean(u.Name), w.store.AccountName(), u.Rights())
				if !u.SuperAdmin {
					o.printf("next: workflow users grant %s view --object contact\n", clean(u.Name))
				}
			})
			return nil
		}),
	}
	cmd.Flags().StringVar(&email, "email", "", "where confirmations of permanent deletions go")
	cmd.Flags().BoolVar(&superAdmin, "super-admin", false, "may do everything, and manage users and the account")
	return cmd
}

func usersEmail(s *session) *cobra.Command {
	return &cobra.Command{
		Use: "email NAME ADDRESS", Short: "change where a user's confirmations go",
		Long:    `email changes the address of a user; "" takes it away, and then no mail is sent.`,
		Example: "  workflow users email eve eve@example.com", Args: args(2, 2, "a user's name and an e-mail address"),
		ValidArgsFunction: completeUsers(s),
		RunE: s.work(needs{}, func(ctx context.Context, w *work) error {
			u, err := w.store.SetUserEmail(ctx, w.words[0], w.words[1], w.cause("users email"), w.now())
			if err != nil {
				return orUnknownUser(ctx, w, w.words[0], err)
			}
			w.emit(u, func(o *output) {
				if u.Email == "" {
					o.printf("%s has no e-mail address\n", clean(u.Name))
				} else {
					o.printf("confirmations for %s go to %s\n", clean(u.Name), u.Email)
				}
			})
			return nil
		}),
	}
}

func usersRemove(s *session) *cobra.Command {
	var yes bool
	cmd := &cobra.Command{
		Use: "remove NAME [--yes]", Short: "take a user off the account",
		Long: "remove takes a user off the account. What the user did stays in the audit log under the name. Workflows that the user\n" +
			"published are refused from then on, until somebody who may publishes them again. The last super admin stays.",
		Example: "  workflow users remove eve", Args: args(1, 1, "a user's name"),
		ValidArgsFunction: completeUsers(s),
	}
	cmd.Flags().BoolVar(&yes, "yes", false, "remove the user without asking")
	cmd.RunE = s.work(needs{}, func(ctx context.Context, w *work) error {
		name := w.words[0]
		if !yes {
			err := yesOrElse(w.session, fmt.Sprintf("Remove user %s?", clean(name)), "workflow users remove "+name+" --yes",
				"removing a user needs a yes, and there is no terminal to ask at; nobody was removed")
			if err != nil {
				return err
			}
		}
		if err := w.store.RemoveUser(ctx, name, w.cause("users remove"), w.now()); err != nil {
			return orUnknownUser(ctx, w, name, err)
		}
		w.emit(map[string]any{"user": name, "removed": true}, func(o *output) {
			o.printf("%s is not a user of account %s any more\n", clean(name), w.store.AccountName())
		})
		if name == w.store.User() {
			return nil // who may no longer ask about workflows
		}
		doc, err := newUserDocument(ctx, w, crmstore.User{Name: name})
		noteRefused(w.session, doc)
		return err
	})
	return cmd
}

// findUser reads one user, or says who may have been meant.
func findUser(ctx context.Context, w *work, name string) (crmstore.User, error) {
	u, err := w.store.UserNamed(ctx, name)
	return u, orUnknownUser(ctx, w, name, err)
}

// orUnknownUser says that there is no such user and who may have been meant, where err is that; else what err means.
func orUnknownUser(ctx context.Context, w *work, name string, err error) error {
	if !errors.Is(err, record.ErrNotFound) {
		return userProblem(err)
	}
	var names []string
	all, readErr := w.store.Users(ctx)
	for i := range all {
		names = append(names, all[i].Name)
	}
	if slices.Contains(names, name) {
		return err // something else was not found
	}
	help := "add it: workflow users add " + name
	if near := spelling.Nearest(name, names); readErr == nil && near != "" {
		help = "did you mean " + near + "?"
	}
	return &problem{code: exitRefused, reason: "not-found", help: help, message: fmt.Sprintf("account %s has no user %s", w.store.AccountName(), clean(name))}
}

// userProblem explains what only a change of users meets.
func userProblem(err error) error {
	switch {
	case errors.Is(err, crmstore.ErrLastSuperAdmin):
		return &problem{
			code: exitRefused, reason: "last-super-admin", message: err.Error(), help: "such as: workflow users grant NAME super-admin",
		}
	case errors.Is(err, crmstore.ErrUserName):
		return &problem{code: exitUsage, message: err.Error()}
	}
	return err
}
