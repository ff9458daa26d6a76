package main

import (
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/crm-workflow/crm-workflow/crmstore/storetest"
)

// This file holds docs/OPERATING.md to its words: backup and restore, TLS with a certificate of one's own, systemd units.

// A copy of the append-only files of a running server, or of a snapshot, is a whole backup: a server that starts from it
// has the same records, in the recycle bin too, and doctor finds nothing.
func TestOperating_BackupAndRestore(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		args []string // of both servers
		save []string // commands before the copy
		copy string   // file or directory that is the backup
	}{
		"append-only files": {
			args: []string{"--appendonly", "yes", "--appendfsync", "always"},
			save: []string{"CONFIG SET auto-aof-rewrite-percentage 0"}, copy: "appendonlydir",
		},
		"snapshot": {save: []string{"SAVE"}, copy: "dump.rdb"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			from, to, file := t.TempDir(), t.TempDir(), filepath.Join(t.TempDir(), "stale.yaml")
			if err := os.WriteFile(file, []byte(killWorkflow), 0o600); err != nil {
				t.Fatal(err)
			}
			at := storetest.StartServer(t, append([]string{"--dir", from}, c.args...)...)
			before := program{t: t, url: "redis://" + at}
			before.must("account", "create", "--partitions", "16")
			before.must("records", "import", "../../examples/contacts.csv")
			before.must("publish", file, "--yes")
			before.must("run", "stale", "--now", killedNow)
			for _, command := range c.save {
				if reply := ask(t, "tcp", at, strings.Fields(command)...); reply != "+OK" {
					t.Fatalf("%s: %s", command, reply)
				}
			}
			kept := filepath.Join(from, c.copy)
			if _, err := os.Stat(kept); c.copy == "appendonlydir" && errors.Is(err, os.ErrNotExist) {
				kept = filepath.Join(from, "appendonly.aof") // before Redis 7.0
			}
			if out, err := exec.CommandContext(t.Context(), "cp", "-r", kept, to).CombinedOutput(); err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			after := program{t: t, url: "redis://" + storetest.StartServer(t, append([]string{"--dir", to}, c.args...)...)}
			for _, look := range [][]string{
				{"records", "export"}, {"bin", "--format", "json"}, {"audit", "--format", "json"}, {"runs", "--format", "json"},
			} {
				if d := cmp.Diff(before.must(look...), after.must(look...)); d != "" {
					t.Errorf("workflow %s (-before +restored):\n%s", strings.Join(look, " "), d)
				}
			}
			if out := after.must("doctor"); !strings.Contains(out, "everything agrees") {
				t.Errorf("doctor says of the restored store:\n%s", out)
			}
			if out := after.must("undo", "stale@"+killedNow+".1"); !strings.Contains(out, "restored") {
				t.Errorf("undo of the run before the backup says:\n%s", out)
			}
		})
	}
}

// A certificate that the machine does not know is refused, and accepted from the file that SSL_CERT_FILE names.
func TestOperating_TLS(t *testing.T) {
	t.Parallel()
	dir, port := t.TempDir(), storetest.FreePort(t)
	storetest.WriteCertificate(t, dir)
	cert := filepath.Join(dir, "cert")
	storetest.StartServerAt(t, port, "--port", "0", "--tls-port", port, "--tls-auth-clients", "no",
		"--tls-cert-file", cert, "--tls-key-file", filepath.Join(dir, "key"), "--tls-ca-cert-file", cert)
	p := program{t: t, url: "rediss://" + net.JoinHostPort("127.0.0.1", port)}
	out, err := p.command("account", "create").CombinedOutput()
	if err == nil || !strings.Contains(string(out), "certificate is not trusted") {
		t.Errorf("an unknown certificate: %v\n%s", err, out)
	}
	cmd := p.command("account", "create")
	cmd.Env = append(cmd.Env, "SSL_CERT_FILE="+cert)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("a certificate that SSL_CERT_FILE names: %v\n%s", err, out)
	}
}

// A server that wants a certificate of its client says so, and takes the one that the address names. TLS against a plain server,
// and the reverse, are told apart.
func TestOperating_ClientCertificate(t *testing.T) {
	t.Parallel()
	dir, port, plain := t.TempDir(), storetest.FreePort(t), storetest.StartServer(t)
	storetest.WriteCertificate(t, dir)
	cert, key := filepath.Join(dir, "cert"), filepath.Join(dir, "key")
	storetest.StartServerAt(t, port, "--port", "0", "--tls-port", port, "--tls-auth-clients", "yes",
		"--tls-cert-file", cert, "--tls-key-file", key, "--tls-ca-cert-file", cert)
	at := net.JoinHostPort("127.0.0.1", port)
	for _, c := range []struct {
		url  string
		code int
		want string
	}{
		{"rediss://" + at + "?tls_ca=" + cert, 3, "wants a certificate of its client (in the address: ?tls_cert=FILE&tls_key=FILE)"},
		{"redis://" + at, 3, "the server speaks TLS (write rediss:// instead of redis://)"},
		{"rediss://" + plain, 3, "the server does not speak TLS (write redis:// instead of rediss://"},
		{"rediss://" + at + "?tls_cert=" + cert, 2, "tls_cert and tls_key go together"},
		{"redis://" + at + "?tls_ca=" + cert, 2, "are for rediss://"},
		{"rediss://" + at + "?tls_ca=" + filepath.Join(dir, "none"), 2, "read tls_ca"},
	} {
		if out := (program{t: t, url: c.url}).fails(c.code, "account", "create"); !strings.Contains(out, c.want) || strings.Contains(out, "create it") {
			t.Errorf("%s says:\n%s\nwant %q", c.url, out, c.want)
		}
	}
	p := program{t: t, url: "rediss://" + at + "?tls_ca=" + cert + "&tls_cert=" + cert + "&tls_key=" + key}
	p.must("account", "create")
	if out := p.must("account", "show"); !strings.Contains(out, at) {
		t.Errorf("account show says:\n%s", out)
	}
}

// systemd reads the units without a complaint. The program's place is another one here.
func TestOperating_Units(t *testing.T) {
	t.Parallel()
	verify, err := exec.LookPath("systemd-analyze")
	if err != nil {
		t.Skip("SKIPPED: systemd-analyze is not on PATH")
	}
	units, err := filepath.Glob("../../examples/operating/*.service")
	if err != nil || len(units) == 0 {
		t.Fatalf("no units in examples/operating: %v", err)
	}
	for _, unit := range units {
		text, err := os.ReadFile(unit)
		if err != nil {
			t.Fatal(err)
		}
		name := filepath.Join(t.TempDir(), strings.Replace(filepath.Base(unit), "@.", "@1.", 1))
		if err := os.WriteFile(name, []byte(strings.ReplaceAll(string(text), "/usr/local/bin/workflow", "/bin/true")), 0o600); err != nil {
			t.Fatal(err)
		}
		if out, err := exec.CommandContext(t.Context(), verify, "verify", "--man=no", name).CombinedOutput(); err != nil || len(out) > 0 {
			t.Errorf("%s: %v\n%s", unit, err, out)
		}
	}
}
