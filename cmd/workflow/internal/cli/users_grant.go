package cli

import (
	"context"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/crm-workflow/crm-workflow/crmstore"
	"github.com/crm-workflow/crm-workflow/crmstore/record"
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
	var permissions []crmstore.Permission
	check := func(words []string) (err error) {
		permissions, err = parsePermissions(words[1:], len(objects) > 0)
		return err
	}
	cmd.RunE = s.work(needs{check: check}, func(ctx context.Context, w *work) error {
		types, err := parseGrantObjects(ctx, w, objects)
		if err != nil {
			return err
		}
		return changeGrants(ctx, w, w.words[0], crmstore.Grants{Permissions: permissions, Objects: types}, give)
	})
	return cmd
}

func changeGrants(ctx context.Context, w *work, name string, g crmstore.Grants, give bool) error {
	change, reason := w.store.Revoke, "users revoke"
	if give {
		change, reason = w.store.Grant, "users grant"
	}
	before, err := findUser(ctx, w, name)
	if err != nil {
		return err
	}
	u, err := change(ctx, name, g, w.cause(reason), w.now())
	if err != nil {
		return orUnknownUser(ctx, w, name, err)
	}
	doc := grantDocument{Changed: u.Version != before.Version}
	if doc.userDocument, err = newUserDocument(ctx, w, u); err != nil {
		return err
	}
	w.emit(doc, func(o *output) {
		if doc.Changed {
			o.printf("%s may do from now on: %s\n", clean(u.Name), u.Rights())
		} else {
			o.printf("nothing changed; %s may do: %s\n", clean(u.Name), u.Rights())
		}
	})
	noteRefused(w.session, doc.userDocument)
	return nil
}

// parsePermissions reads permissions, which are either for object types or for the whole account.
func parsePermissions(words []string, withObjects bool) ([]crmstore.Permission, error) {
	var list []crmstore.Permission
	for _, word := range words {
		p, err := crmstore.ParsePermission(word)
		if err != nil {
			help := "one of: " + strings.Join(permissionNames(), ", ")
			if near := spelling.Nearest(word, permissionNames()); near != "" {
				help = "did you mean " + near + "?"
			}
			return nil, usagef(help, "permission %q is not known", word)
		}
		list = append(list, p)
	}
	ofObject := slices.IndexFunc(list, crmstore.Permission.OfObject)
	switch {
	case ofObject >= 0 && !withObjects:
		return nil, usagef("such as --object contact, or --object all", "permission %s is for an object type, and none is given", list[ofObject])
	case ofObject < 0 && withObjects:
		return nil, usagef("leave --object out", "permission %s holds for the whole account", list[0])
	}
	return list, nil
}

// parseGrantObjects reads the object types that permissions are for.
func parseGrantObjects(ctx context.Context, w *work, words []string) ([]record.ObjectType, error) {
	var types []record.ObjectType
	for _, word := range words {
		if word == allObjects {
			return w.store.ObjectTypes(ctx)
		}
		o, err := parseObject(ctx, w.session, "--object", word)
		if err != nil {
			return nil, err
		}
		types = append(types, o)
	}
	return types, nil
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
