package suite

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"github.com/crm-workflow/crm-workflow/cmd/benchmark/internal/table"
	"github.com/crm-workflow/crm-workflow/workflow"
)

// Of the sections scaling and process.
const (
	smallContacts = 5_000
	mostResident  = 150e6 // bytes
	resideEvery   = time.Millisecond
)

// used is what a process took.
type used struct {
	seconds  float64
	resident float64 // bytes at its peak; 0 where the system does not say
}

// workflowProcess runs the workflow program to its end.
func (b *bench) workflowProcess(ctx context.Context, args ...string) (used, error) {
	return process(ctx, b.Program, append(args, "--as", user)...)
}

func process(ctx context.Context, program string, args ...string) (used, error) {
	var out bytes.Buffer
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Stdout, cmd.Stderr = &out, &out
	cmd.Env = append(os.Environ(), "WORKFLOW_USER=benchmark") // who made the account
	began := time.Now()
	if err := cmd.Start(); err != nil {
		return used{}, fmt.Errorf("start %s: %w", program, err)
	}
	ended := make(chan struct{})
	peak := make(chan float64)
	go func() { peak <- watch(cmd.Process.Pid, ended) }()
	err := cmd.Wait()
	took := time.Since(began).Seconds()
	close(ended)
	u := used{seconds: took, resident: <-peak}
	if err != nil {
		err = fmt.Errorf("%s %s: %w: %s", program, strings.Join(args, " "), err, bytes.TrimSpace(out.Bytes()))
	}
	return u, err
}

// watch reads the peak of a process's resident memory until it ends. The figure that the system gives afterwards would
// include this process, which it began as.
func watch(pid int, ended <-chan struct{}) float64 {
	ticker := time.NewTicker(resideEvery)
	defer ticker.Stop()
	var peak float64
	for {
		select {
		case <-ended:
			return peak
		case <-ticker.C:
			peak = max(peak, resident(pid))
		}
	}
}

func resident(pid int) float64 {
	status, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/status")
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(status)) {
		if text, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			kib, err := strconv.ParseFloat(strings.TrimSuffix(strings.TrimSpace(text), " kB"), 64)
			if err == nil {
				return kib * 1024
			}
		}
	}
	return 0
}

// processor is the processor time that processes have used until now, in seconds; 0 where the system does not say.
func processor(pids ...int) (seconds float64) {
	const user, system, ticks = 13, 14, 100 // fields of stat, and of a second
	for _, pid := range pids {
		stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
		fields := strings.Fields(string(stat)) // neither name has a space
		if err != nil || len(fields) <= system {
			return 0
		}
		for _, field := range []int{user, system} {
			n, err := strconv.ParseFloat(fields[field], 64)
			if err != nil {
				return 0
			}
			seconds += n / ticks
		}
	}
	return seconds
}

// process measures `workflow run` over a small account, as a whole process, against the smallest process that asks
// Redis anything.
func (b *bench) process(ctx context.Context) error {
	cli, err := exec.LookPath("redis-cli")
	if err != nil {
		b.notef("section process was left out: redis-cli is not on PATH")
		return nil
	}
	store, err := b.fill(ctx, b.scratch, "small", b.crowd, smallContacts)
	if err != nil {
		return err
	}
	defer store.Close() //nolint:errcheck // the server is emptied anyway
	def, err := b.define(ctx, store, "bench", b.triggersAlike(1)[0])
	if err != nil {
		return err
	}
	if _, err := workflow.Publish(ctx, store, def, b.crowd.Now); err != nil {
		return err
	}
	if err := b.scratch.keep(ctx); err != nil {
		return err
	}
	now := b.crowd.Now.Format(time.RFC3339)
	run := func(args ...string) act {
		args = append(args, "--now", now, "--store", b.scratch.url(), "--account", "small")
		return func(ctx context.Context) (table.Sample, error) {
			if err := b.scratch.rewind(ctx); err != nil {
				return table.Sample{}, err
			}
			u, err := b.workflowProcess(ctx, args...)
			return table.Sample{Amount: u.seconds, Units: 1}, err
		}
	}
	ping := func(ctx context.Context) (table.Sample, error) {
		u, err := process(ctx, cli, "-s", b.scratch.socket, "ping")
		return table.Sample{Amount: u.seconds, Units: 1}, err
	}
	samples, err := b.rounds(ctx, "processes", run("run", "bench"), ping, run("run", "bench", "--dry-run"), run("review", "bench"))
	if err != nil {
		return err
	}
	against := []table.Against{{Name: "redis-cli ping", Samples: samples[1], Inverse: true}}
	whole, least := median(samples[0]), median(samples[1])
	b.add(
		table.Row{
			What: fmt.Sprintf("process: run, %d contacts", smallContacts), Samples: samples[0], Against: against,
			Bounds: []table.Bound{{Text: "≤ 3 × redis-cli ping + 50 ms", Met: whole <= 3*least+0.050}},
			Note:   fmt.Sprintf("The run deletes about 1 %%; redis-cli ping took %.1f ms.", 1000*least),
		},
		table.Row{What: "process: run --dry-run", Samples: samples[2], Against: against},
		table.Row{What: "process: review", Samples: samples[3], Against: against},
	)
	return b.scratch.empty(ctx)
}

func median(samples []table.Sample) float64 {
	var list []float64
	for _, s := range samples {
		list = append(list, s.Amount)
	}
	return table.Median(list)
}
