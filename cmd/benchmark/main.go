// Command benchmark prints how fast crm-workflow is on this machine, how close to what the wire allows, and how much
// faster than what a person would use instead: see `make bench`.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"regexp"
	"runtime"
	"runtime/pprof"
	"strings"
	"syscall"
	"time"

	"github.com/crm-workflow/crm-workflow/cmd/benchmark/internal/suite"
	"github.com/crm-workflow/crm-workflow/cmd/benchmark/internal/table"
)

// The exit codes, as those of the workflow program.
const (
	exitGood     = 0
	exitUsage    = 2
	exitCouldNot = 3
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// run measures and prints the table, also what there is of it when it could not go on to the end.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("benchmark", flag.ContinueOnError)
	flags.SetOutput(stderr)
	o := suite.Options{Progress: stderr}
	flags.IntVar(&o.Contacts, "contacts", 1_000_000, "contacts in the large store; 10000000 needs about 14 GB")
	flags.IntVar(&o.Rounds, "rounds", 5, "rounds of each comparison")
	flags.StringVar(&o.Program, "program", "", "the workflow program; without it, what needs a whole process is left out")
	flags.BoolVar(&o.Postgres, "postgres", true, "compare with PostgreSQL where it is installed")
	profile := flags.String("cpuprofile", "", "write a profile of this process; a tag act that ends in #0 is our own side")
	only := flags.String("only", "", "sections to measure, a regular expression; there are "+strings.Join(suite.Names(), ", "))
	markdown := flags.Bool("markdown", false, "print the table as Markdown")
	if err := flags.Parse(args); err != nil {
		return exitUsage
	}
	pattern, err := regexp.Compile(*only)
	if err != nil || o.Contacts < 1000 || o.Rounds < 1 || flags.NArg() > 0 {
		fmt.Fprintln(stderr, "benchmark: want -only to be a regular expression, -contacts at least 1000, -rounds at least 1, and nothing else")
		return exitUsage
	}
	o.Only = pattern
	end, err := startProfile(*profile)
	if err != nil {
		fmt.Fprintln(stderr, "benchmark:", err)
		return exitCouldNot
	}
	result, err := suite.Run(ctx, o)
	err = errors.Join(err, end())
	fmt.Fprintf(stdout, "%d contacts, %d rounds, %d cores, %s/%s, %s\n\n", o.Contacts, o.Rounds, runtime.NumCPU(), runtime.GOOS, runtime.GOARCH,
		time.Now().UTC().Format(time.DateOnly))
	table.Print(stdout, result.Rows, *markdown)
	for _, note := range result.Notes {
		fmt.Fprintln(stdout, note)
	}
	if err != nil {
		fmt.Fprintln(stderr, "benchmark:", err)
		return exitCouldNot
	}
	return exitGood
}

// startProfile profiles the processor into a file until end is called; "" = no profile.
func startProfile(path string) (end func() error, err error) {
	if path == "" {
		return func() error { return nil }, nil
	}
	file, err := os.Create(path)
	if err != nil {
		return nil, fmt.Errorf("make the profile: %w", err)
	}
	if err := pprof.StartCPUProfile(file); err != nil {
		return nil, errors.Join(fmt.Errorf("start the profile: %w", err), file.Close())
	}
	return func() error {
		pprof.StopCPUProfile()
		return file.Close()
	}, nil
}
