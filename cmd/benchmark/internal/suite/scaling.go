package suite

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"time"

	"github.com/crm-workflow/crm-workflow/cmd/benchmark/internal/table"
)

// sizes are the accounts whose evaluation is compared; those larger than the large store are left out.
func (b *bench) sizes() []int {
	var sizes []int
	for n := 10_000; n < b.Contacts; n *= 10 {
		sizes = append(sizes, n)
	}
	return append(sizes, b.Contacts)
}

// scaling measures an evaluating process, time and memory, against the size of the account.
func (b *bench) scaling(ctx context.Context) error {
	path := b.file("bench.yaml")
	if err := os.WriteFile(path, []byte(source("bench", b.triggersAlike(1)[0])), 0o600); err != nil {
		return fmt.Errorf("write the workflow file: %w", err)
	}
	sizes := b.sizes()
	acts := make([]act, len(sizes))
	peaks := make([][]float64, len(sizes))
	for i, n := range sizes {
		account, server := "main", b.large
		if n != b.Contacts {
			account, server = "size-"+strconv.Itoa(n), b.scratch
			store, err := b.fill(ctx, server, account, b.crowd, n)
			if err != nil {
				return err
			}
			if err := store.Close(); err != nil {
				return err
			}
		}
		acts[i] = func(ctx context.Context) (table.Sample, error) {
			u, err := b.workflowProcess(ctx, "run", path, "--dry-run", "--now", b.crowd.Now.Format(time.RFC3339),
				"--store", server.url(), "--account", account)
			peaks[i] = append(peaks[i], u.resident)
			return table.Sample{Amount: u.seconds, Units: 1}, err
		}
	}
	samples, err := b.rounds(ctx, "scaling", acts...)
	if err != nil {
		return err
	}
	for i, n := range sizes {
		row := table.Row{What: fmt.Sprintf("scaling: %d contacts, 1 %%, process", n), Samples: samples[i]}
		if peak := table.Median(peaks[i]); peak > 0 {
			row.Note = fmt.Sprintf("%.0f MB resident at the peak.", peak/1e6)
			row.Bounds = []table.Bound{{Text: fmt.Sprintf("≤ %.0f MB", mostResident/1e6), Met: peak <= mostResident}}
		}
		if i > 0 {
			against := table.Against{Name: strconv.Itoa(sizes[i-1]), Samples: samples[i-1], Inverse: true}
			if n == 10*sizes[i-1] {
				against.AtMost = 11
			}
			row.Against = []table.Against{against}
		}
		b.add(row)
	}
	return b.scratch.empty(ctx)
}
