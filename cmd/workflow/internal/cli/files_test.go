package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

func hello(w io.Writer) error {
	_, err := io.WriteString(w, "hello")
	return err
}

func mustRead(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestWriteFile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	plain, link, lost := filepath.Join(dir, "plain"), filepath.Join(dir, "link"), filepath.Join(dir, "lost")
	err := errors.Join(os.WriteFile(plain, []byte("before"), 0o640), os.Symlink("plain", link), os.Symlink("nowhere", lost), os.Chmod(plain, 0o640))
	if err != nil {
		t.Fatal(err)
	}
	if err := writeFile(t.Context(), link, hello); err != nil || mustRead(t, plain) != "hello" {
		t.Errorf("through a link: %v, %q", err, mustRead(t, plain))
	}
	if info, err := os.Lstat(link); err != nil || info.Mode()&os.ModeSymlink == 0 {
		t.Errorf("the link is gone: %v", err)
	}
	if info, err := os.Stat(plain); err != nil || info.Mode().Perm() != 0o640 {
		t.Errorf("the file has another mode than before: %v, %v", info.Mode(), err)
	}
	broken := errors.New("broken")
	if err := writeFile(t.Context(), plain, func(io.Writer) error { return broken }); !errors.Is(err, broken) || mustRead(t, plain) != "hello" {
		t.Errorf("a failure left %q, %v", mustRead(t, plain), err)
	}
	for path, want := range map[string]string{"/dev/full": "no space left", lost: "leads nowhere", dir: "is a directory"} {
		before, _ := os.Lstat(path)
		if err := writeFile(t.Context(), path, hello); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", path, err, want)
		}
		if after, _ := os.Lstat(path); before == nil || after == nil || before.Mode() != after.Mode() {
			t.Errorf("%s is something else now", path)
		}
	}
	if entries, _ := os.ReadDir(dir); len(entries) != 3 {
		t.Errorf("%d entries are left, want 3", len(entries))
	}
}

func TestFIFOs(t *testing.T) {
	t.Parallel()
	pipe := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	stopped, stop := context.WithCancel(t.Context())
	stop()
	in, _, err := openFile(stopped, pipe)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadAll(in); !errors.Is(err, context.Canceled) {
		t.Errorf("nobody writes, and reading ends with %v", err)
	}
	if err := writeFile(stopped, pipe, hello); !errors.Is(err, context.Canceled) && err != nil {
		t.Errorf("writing ends with %v", err)
	}
	other := pipe + "2"
	if err := syscall.Mkfifo(other, 0o600); err != nil {
		t.Fatal(err)
	}
	wrote := make(chan error)
	go func() { wrote <- writeFile(t.Context(), other, hello) }()
	in, _, err = openFile(t.Context(), other)
	if err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(in)
	if err := errors.Join(err, in.Close(), <-wrote); err != nil || string(got) != "hello" {
		t.Errorf("through the pipe came %q, %v", got, err)
	}
	if info, err := os.Stat(other); err != nil || info.Mode()&os.ModeNamedPipe == 0 {
		t.Errorf("the pipe is something else now: %v", err)
	}
}

const nasty = "\n=A\x1b[2J\u009b1m\u202eB\u200bC\U000e0041"

func TestOutput_NothingUnseenPasses(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	o := newOutput(&b, true, true, 80)
	o.printf("%s %v %s\n", nasty, errors.New(nasty), o.paint(red, "red"))
	o.facts([2]string{"name", nasty})
	o.json(map[string]string{"name": nasty})
	if err := o.flush(); err != nil {
		t.Fatal(err)
	}
	text := strings.NewReplacer("\x1b[31m", "", "\x1b[0m", "", "\x1b[2m", "").Replace(b.String())
	if i := strings.IndexFunc(text, func(r rune) bool {
		return r != '\n' && r < ' ' || strings.ContainsRune("\u009b\u202e\u200b\U000e0041", r)
	}); i >= 0 {
		t.Errorf("unseen characters pass: %q", text)
	}
	var back map[string]string
	from := strings.Index(text, "{")
	if err := json.Unmarshal([]byte(text[from:]), &back); err != nil || back["name"] != nasty {
		t.Errorf("JSON gives back %q, %v", back["name"], err)
	}
	b.Reset()
	eyes := o.forEyes()
	for _, part := range []string{"a,\"b", "\x1b[1m\u202e\"\nc", "\n"} {
		if _, err := io.WriteString(eyes, part); err != nil {
			t.Fatal(err)
		}
	}
	if err := o.flush(); err != nil || b.String() != "a,\"b\ufffd[1m\ufffd\"\nc\n" {
		t.Errorf("a table on a terminal is %q, %v", b.String(), err)
	}
	for text, want := range map[string]string{
		nasty: "' =A�[2J�1m�B�C�", "=1+1": "'=1+1", "\t@x": "' @x", "+49 30": "'+49 30", "＝1": "'＝1", "-": "'-", "a=b": "a=b", "": "", "👩‍💻": "👩‍💻",
	} {
		if got := inert(text); got != want {
			t.Errorf("a cell for %q is %q, want %q", text, got, want)
		}
	}
}
