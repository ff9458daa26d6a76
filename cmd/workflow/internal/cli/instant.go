package cli

import (
	"strings"
	"time"

	"github.com/spf13/cobra"
)

// nowFlag adds --now.
func nowFlag(cmd *cobra.Command, text *string) {
	cmd.Flags().StringVar(text, "now", "", "the instant to look from: 2026-11-23T03:00:00Z, or 2026-11-23 for midnight UTC (default: now)")
}

// instant reads --now; "" is this moment.
func (s *session) instant(text string) (time.Time, error) {
	if text == "" {
		return s.now(), nil
	}
	return parseTime("--now", text)
}

// wrap breaks text into lines of at most n characters, at spaces.
func wrap(text string, n int) string {
	var b strings.Builder
	line := 0
	for word := range strings.FieldsSeq(text) {
		w := textWidth(word)
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
