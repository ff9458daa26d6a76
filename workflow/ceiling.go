package workflow

import (
	"context"
	"fmt"

	"github.com/crm-workflow/crm-workflow/crmstore"
	"github.com/crm-workflow/crm-workflow/workflow/definition"
	"github.com/crm-workflow/crm-workflow/workflow/diag"
)

// CheckCeiling finds a limit that the file writes above what the account allows in 24 hours, which [definition.Load] cannot know. A
// revision that was published before the account's ceiling was lowered goes on: the ceiling holds its runs.
func CheckCeiling(ctx context.Context, store *crmstore.Store, d *definition.Definition) (diag.List, error) {
	if d.MaxDeletions.Value == "" {
		return nil, nil
	}
	account, err := store.DeletionLimits(ctx)
	if err != nil {
		return nil, fmt.Errorf("check the limits of workflow %s: %w", d.Name, err)
	}
	most := int64(d.Limits.MaxDeletions)
	if account.PerDay > 0 {
		return above(d, diag.AboveCeiling, most > account.PerDay, account.PerDay, "which a super admin has set"), nil
	}
	if most <= account.Ceiling(0) {
		return nil, nil
	}
	counts, err := store.Count(ctx, d.Object)
	if err != nil {
		return nil, fmt.Errorf("check the limits of workflow %s: %w", d.Name, err)
	}
	ceiling := account.Ceiling(counts.Live)
	from := fmt.Sprintf("the default for %s live", countedRecords(counts.Live, d.Object))
	return above(d, diag.AboveShare, most > ceiling, ceiling, from), nil
}

func above(d *definition.Definition, code diag.Code, is bool, ceiling int64, from string) diag.List {
	if !is {
		return nil
	}
	n := diag.Thousands(ceiling)
	return diag.List{definition.About(d.MaxDeletions, code,
		fmt.Sprintf("max_deletions is %s; the account allows %s in 24 hours (%s, %s)",
			diag.Thousands(int64(d.Limits.MaxDeletions)), n, crmstore.SettingPerDay, from),
		fmt.Sprintf("write at most %d, or have a super admin set: workflow account set %s N", ceiling, crmstore.SettingPerDay))}
}
