// Command workflow deletes stale CRM contacts on a schedule, safely: see `workflow help`.
package main

import (
	"context"
	"os"

	"github.com/crm-workflow/crm-workflow/cmd/workflow/internal/cli"
)

func main() {
	ctx, stop := cli.Interruptible(context.Background(), os.Stderr, os.Exit)
	code := cli.FromOS().Run(ctx)
	stop()
	os.Exit(code)
}
