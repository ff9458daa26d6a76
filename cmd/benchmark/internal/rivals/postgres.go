package rivals

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
)

// ErrNoPostgres says that PostgreSQL is not installed, or not usable here; the rows that need it are left out.
var ErrNoPostgres = errors.New("PostgreSQL is not available")

// Postgres is a server of our own in a directory of its own.
type Postgres struct {
	bin    string // directory of its programs
	dir    string // its socket and data
	prefix []string
}

// StartPostgres makes a cluster below dir and starts it: on a socket alone, without waiting for the disk, because the
// Redis that it is compared with keeps nothing on disk either. Root starts it as the user postgres or nobody.
func StartPostgres(ctx context.Context, dir string) (*Postgres, error) {
	p := &Postgres{dir: filepath.Join(dir, "pg")}
	if err := p.find(); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(p.dir, 0o777); err != nil {
		return nil, fmt.Errorf("make directory for PostgreSQL: %w", err)
	}
	if len(p.prefix) > 0 { // another user must be able to write there, and to get there
		for _, d := range []string{dir, p.dir} {
			if err := os.Chmod(d, 0o777); err != nil {
				return nil, fmt.Errorf("open directory for PostgreSQL: %w", err)
			}
		}
	}
	if _, err := p.run(ctx, nil, "initdb", "-D", p.data(), "-U", "bench", "-A", "trust", "--no-sync", "-E", "UTF8", "--locale=C"); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNoPostgres, err)
	}
	settings := "-c listen_addresses='' -c unix_socket_directories=" + p.dir + " -c fsync=off -c synchronous_commit=off -c full_page_writes=off" +
		" -c shared_buffers=2GB -c work_mem=64MB -c max_wal_size=8GB -c autovacuum=off -c jit=off -c random_page_cost=1.1"
	if _, err := p.run(ctx, nil, "pg_ctl", "-D", p.data(), "-l", filepath.Join(p.dir, "log"), "-w", "-o", settings, "start"); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNoPostgres, err)
	}
	return p, nil
}

func (p *Postgres) data() string { return filepath.Join(p.dir, "data") }

// find looks for the programs on PATH and where Debian puts them.
func (p *Postgres) find() error {
	if _, err := exec.LookPath("psql"); err != nil {
		return fmt.Errorf("%w: psql is not installed", ErrNoPostgres)
	}
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	if path, lookErr := exec.LookPath("initdb"); lookErr == nil {
		if target, err := filepath.EvalSymlinks(path); err == nil {
			found = append(found, target)
		}
	}
	if err != nil || len(found) == 0 {
		return fmt.Errorf("%w: initdb is not installed", ErrNoPostgres)
	}
	p.bin = filepath.Dir(found[len(found)-1])
	if os.Geteuid() != 0 {
		return nil
	}
	if _, err := exec.LookPath("runuser"); err != nil {
		return fmt.Errorf("%w: it does not run as root, and runuser is not installed", ErrNoPostgres)
	}
	for _, user := range []string{"postgres", "nobody"} {
		if exec.Command("id", "-u", user).Run() == nil { //nolint:noctx // answers at once
			p.prefix = []string{"runuser", "-u", user, "--"}
			return nil
		}
	}
	return fmt.Errorf("%w: it does not run as root, and there is no other user", ErrNoPostgres)
}

// run runs one of its programs. Output goes through a file: pg_ctl leaves a server behind that would hold a pipe open.
func (p *Postgres) run(ctx context.Context, in io.Reader, program string, args ...string) (string, error) {
	path := filepath.Join(p.bin, program)
	if program == "psql" {
		path = program
	}
	line := append(append([]string{}, p.prefix...), path)
	if program == "psql" {
		line = []string{path}
	}
	line = append(line, args...)
	out, err := os.CreateTemp("", "pg")
	if err != nil {
		return "", fmt.Errorf("make file for the output of %s: %w", program, err)
	}
	defer os.Remove(out.Name()) //nolint:errcheck // a temporary file
	defer out.Close()           //nolint:errcheck // it is read, not kept
	cmd := exec.CommandContext(ctx, line[0], line[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr, cmd.Dir = in, out, out, p.dir
	runErr := cmd.Run()
	text, err := os.ReadFile(out.Name())
	if runErr != nil {
		return "", fmt.Errorf("%s: %w: %s", program, runErr, bytes.TrimSpace(text))
	}
	return string(text), err
}

// Stop ends the server at once; its data are of no use afterwards.
func (p *Postgres) Stop(ctx context.Context) error {
	_, err := p.run(ctx, nil, "pg_ctl", "-D", p.data(), "-m", "immediate", "stop")
	return err
}

// Do carries statements out, one after the other on one connection.
func (p *Postgres) Do(ctx context.Context, statements ...string) error {
	_, err := p.psql(ctx, strings.NewReader(strings.Join(statements, ";\n")+";\n"))
	return err
}

func (p *Postgres) psql(ctx context.Context, in io.Reader) (string, error) {
	return p.run(ctx, in, "psql", "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-h", p.dir, "-U", "bench", "postgres")
}

// Copy fills a table from CSV without a header.
func (p *Postgres) Copy(ctx context.Context, table string, csv io.Reader) error {
	head := strings.NewReader("\\copy " + table + " from pstdin with (format csv)\n")
	_, err := p.psql(ctx, io.MultiReader(head, csv))
	return err
}

var timing = regexp.MustCompile(`(?m)^Time: ([0-9.]+) ms`)

// Timed carries statements out and returns how many seconds they took together, as the client on their connection sees
// it, and the first line that they printed. The first statements, in before, are not counted.
func (p *Postgres) Timed(ctx context.Context, before, statements []string) (seconds float64, first string, err error) {
	var script strings.Builder
	for _, s := range before {
		script.WriteString(s + ";\n")
	}
	script.WriteString("\\timing on\n")
	for _, s := range statements {
		script.WriteString(s + ";\n")
	}
	out, err := p.psql(ctx, strings.NewReader(script.String()))
	if err != nil {
		return 0, "", err
	}
	for _, m := range timing.FindAllStringSubmatch(out, -1) {
		ms, err := strconv.ParseFloat(m[1], 64)
		if err != nil {
			return 0, "", fmt.Errorf("read the time that psql took: %w", err)
		}
		seconds += ms / 1000
	}
	first, _, _ = strings.Cut(out, "\n")
	return seconds, first, nil
}
