package cli

import (
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/crm-workflow/crm-workflow/workflow/terminal"
)

// nowFlag adds --now.
func nowFlag(cmd *cobra.Command, text *string) {
	cmd.Flags().StringVar(text, "now", "", "the instant to look from: 2026-11-23T03:00:00Z, or 2026-11-23 for midnight UTC (default: now)")
}

// parseBound reads --since or --until; "" is the zero time: no bound.
func parseBound(flag, text string) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	return parseTime(flag, text)
}

// allowFutureFlag adds --allow-future.
func allowFutureFlag(cmd *cobra.Command, allow *bool) {
	cmd.Flags().BoolVar(allow, "allow-future", false, "delete also with a --now that is more than a day ahead")
}

// mayDeleteFrom refuses to delete as of an instant that is more than a day ahead, unless --allow-future asks for it: records
// that are not old enough today would be deleted all the same.
func mayDeleteFrom(s *session, at time.Time, allowed bool) error {
	if ahead := at.Sub(s.now()); ahead > 24*time.Hour && !allowed {
		return usagef("to look, take review or --dry-run; if it is meant, add --allow-future",
			"--now %s is %d days ahead: records would be deleted that are not old enough today", stamp(at), int(ahead/(24*time.Hour)))
	}
	return nil
}

// wrap breaks text into lines of at most n characters, at spaces.
func wrap(text string, n int) string {
	var b strings.Builder
	line := 0
	for word := range strings.FieldsSeq(text) {
		w := terminal.Width(word)
		switch {
		case line == 0:
		case line+1+w > n:
			b.WriteByte('\n')
			line = 0
		default:
			b.WriteByte(' ')
			line++
		}
		b.WriteString(word)
		line += w
	}
	return b.String()
}
