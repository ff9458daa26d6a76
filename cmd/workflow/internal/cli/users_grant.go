package cli

import (
	"context"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/crm-workflow/crm-workflow/crmstore"
	"github.com/crm-workflow/crm-workflow/crmstore/spelling"
)

const permissionsHelp = "view, edit and delete are given for object types (--object contact, --object all) and do not include each other.\n" +
	"bulk-delete, restore, permanently-delete, manage-workflows, legal-hold and super-admin (everything) hold for the whole\naccount. "

// grantDocument is a user after a change of permissions.
type grantDocument struct {
	userDocument
	Changed bool `json:"changed"`
}

func usersChange(s *session, verb, short string, give bool) *cobra.Command {
	var objects []string
	long := permissionsHelp + "What is granted counts from the user's next command on, and from the next batch of a run."
	example := "  workflow users grant eve view edit delete --object contact --object company\n  workflow users grant eve bulk-delete restore"
	if !give {
		long = permissionsHelp + "What is revoked counts at once: a run that acts as the user stops at its next batch. The last super admin stays."
		example = "  workflow users revoke eve delete --object contact\n  workflow users revoke eve bulk-delete"
	}
	cmd := &cobra.Command{
		Use: verb + " NAME PERMISSION... [--object TYPE]...", Short: short, Long: long, Example: example,
		Args: args(2, -1, "a user's name and one or more permissions"), ValidArgsFunction: completeGrant(s),
	}
	cmd.Flags().StringArrayVar(&objects, "object", nil, "an object type for view, edit and delete, or all; repeat it")
	_ = cmd.RegisterFlagCompletionFunc("object", completeObjects(s))
	cmd.RunE = func(cmd *cobra.Command, words []string) error {
		return changeGrants(cmd.Context(), s, give, words, objects)
	}
	return cmd
}

func changeGrants(ctx context.Context, s *session, give bool, words, objects []string) error {
	g, err := parseGrants(ctx, s, words[1:], objects)
	if err != nil {
		return err
	}
	store, err := s.open(ctx)
	if err != nil {
		return err
	}
	change, reason := store.Revoke, "users revoke"
	if give {
		change, reason = store.Grant, "users grant"
	}
	before, err := findUser(ctx, s, store, words[0])
	if err != nil {
		return err
	}
	u, err := change(ctx, words[0], g, s.cause(reason), s.now())
	if err != nil {
		return orUnknownUser(ctx, s, store, words[0], err)
	}
	doc := grantDocument{Changed: u.Version != before.Version}
	if doc.userDocument, err = newUserDocument(ctx, s, store, u); err != nil {
		return err
	}
	s.emit(doc, func(o *output) {
		if doc.Changed {
			o.printf("%s may do from now on: %s\n", clean(u.Name), u.Rights())
		} else {
			o.printf("nothing changed; %s may do: %s\n", clean(u.Name), u.Rights())
		}
	})
	noteRefused(s, doc.userDocument)
	return nil
}

// parseGrants reads permissions and the object types that they are for.
func parseGrants(ctx context.Context, s *session, words, objects []string) (crmstore.Grants, error) {
	var g crmstore.Grants
	for _, word := range words {
		p, err := crmstore.ParsePermission(word)
		if err != nil {
			help := "one of: " + strings.Join(permissionNames(), ", ")
			if near := spelling.Nearest(word, permissionNames()); near != "" {
				help = "did you mean " + near + "?"
			}
			return g, usagef(help, "permission %q is not known", word)
		}
		g.Permissions = append(g.Permissions, p)
	}
	ofObject := slices.IndexFunc(g.Permissions, crmstore.Permission.OfObject)
	switch {
	case ofObject >= 0 && len(objects) == 0:
		return g, usagef("such as --object contact, or --object all", "permission %s is for an object type, and none is given", g.Permissions[ofObject])
	case ofObject < 0 && len(objects) > 0:
		return g, usagef("leave --object out", "permission %s holds for the whole account", g.Permissions[0])
	}
	for _, word := range objects {
		if word == allObjects {
			store, err := s.open(ctx)
			if err != nil {
				return g, err
			}
			if g.Objects, err = store.ObjectTypes(ctx); err != nil {
				return g, err
			}
			break
		}
		o, err := parseObject(ctx, s, "--object", word)
		if err != nil {
			return g, err
		}
		g.Objects = append(g.Objects, o)
	}
	return g, nil
}

func permissionNames() []string {
	var names []string
	for _, p := range crmstore.Permissions() {
		names = append(names, string(p))
	}
	return names
}

// completeUsers offers the account's users as the first argument.
func completeUsers(s *session) completer {
	return func(cmd *cobra.Command, done []string, _ string) ([]string, cobra.ShellCompDirective) {
		var names []string
		if len(done) == 0 {
			completeFrom(s, cmd, func(ctx context.Context, store *crmstore.Store) error {
				all, err := store.Users(ctx)
				for i := range all {
					names = append(names, all[i].Name+"\t"+all[i].Rights())
				}
				return err
			})
		}
		return names, cobra.ShellCompDirectiveNoFileComp
	}
}

// completeGrant offers a user, then permissions that were not typed yet.
func completeGrant(s *session) completer {
	users := completeUsers(s)
	return func(cmd *cobra.Command, done []string, typed string) ([]string, cobra.ShellCompDirective) {
		if len(done) == 0 {
			return users(cmd, done, typed)
		}
		left := slices.DeleteFunc(permissionNames(), func(name string) bool { return slices.Contains(done[1:], name) })
		return left, cobra.ShellCompDirectiveNoFileComp
	}
}
