package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// openFile opens a file to read. A pipe, a terminal or a device is opened and read so that the end of ctx ends the wait:
// a FIFO that nobody writes to would otherwise keep the process from hearing SIGTERM. size is 0 when it is not known.
func openFile(ctx context.Context, path string) (in io.ReadCloser, size int64, err error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, 0, err
	}
	if mode := info.Mode(); !mode.IsRegular() && !mode.IsDir() {
		return &patientReader{ctx: ctx, open: func() (io.Reader, error) { return os.Open(path) }}, 0, nil
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, 0, err
	}
	return f, info.Size(), nil
}

// patient is a reader, such as stdin, whose waiting ends with ctx.
func patient(ctx context.Context, in io.Reader) io.Reader {
	if f, ok := in.(*os.File); ok {
		if info, err := f.Stat(); err == nil && info.Mode().IsRegular() {
			return in
		}
		return &patientReader{ctx: ctx, in: in}
	}
	return in
}

// patientReader reads what may keep it waiting for ever. The read that waits when ctx ends goes on in a goroutine of its own
// until the process ends, which is next: the operating system has no way to take it back.
type patientReader struct {
	ctx  context.Context //nolint:containedctx // io.Reader takes none
	open func() (io.Reader, error)
	in   io.Reader
	rest []byte
	err  error
}

const patientBuffer = 64 << 10

// Read gives what the source has, or the context's error when that ends first.
func (p *patientReader) Read(b []byte) (int, error) {
	if len(p.rest) == 0 && p.err == nil {
		type result struct {
			in   io.Reader
			part []byte
			err  error
		}
		done := make(chan result, 1)
		in, open := p.in, p.open
		go func() {
			if in == nil {
				opened, err := open()
				if err != nil {
					done <- result{err: err}
					return
				}
				in = opened
			}
			part := make([]byte, patientBuffer)
			n, err := in.Read(part)
			done <- result{in, part[:n], err}
		}()
		select {
		case r := <-done:
			p.in, p.rest, p.err = r.in, r.part, r.err
		case <-p.ctx.Done():
			return 0, p.ctx.Err()
		}
	}
	n := copy(b, p.rest)
	p.rest = p.rest[n:]
	if len(p.rest) == 0 && p.err != nil {
		return n, p.err
	}
	return n, nil
}

// Close closes the source if it was opened here and nothing waits for it.
func (p *patientReader) Close() error {
	if c, ok := p.in.(io.Closer); ok && p.ctx.Err() == nil {
		return c.Close()
	}
	return nil
}

// writeFile writes a file whole or not at all: beside its place first, then in its place. What is no file (a device, a pipe,
// /dev/stdout) is written to and stays what it is, and a link keeps leading to its file.
func writeFile(ctx context.Context, path string, write func(io.Writer) error) error {
	err := func() error {
		info, err := os.Stat(path)
		link, isLink := os.Lstat(path)
		switch {
		case err == nil && (!info.Mode().IsRegular() || strings.HasPrefix(path, "/dev/") || strings.HasPrefix(path, "/proc/")):
			return writeThrough(ctx, path, write)
		case err == nil:
			target, err := filepath.EvalSymlinks(path)
			if err != nil {
				return err
			}
			return replaceFile(target, info.Mode().Perm(), write)
		case !errors.Is(err, fs.ErrNotExist):
			return err
		case isLink == nil && link.Mode()&fs.ModeSymlink != 0:
			return errors.New("it is a link that leads nowhere")
		}
		return replaceFile(path, 0, write)
	}()
	if err != nil {
		return fmt.Errorf("write %s: %w", path, withoutPath(err))
	}
	return nil
}

// withoutPath is the reason of an error about a path that is told anyway.
func withoutPath(err error) error {
	if at, ok := errors.AsType[*fs.PathError](err); ok {
		return at.Err
	}
	return err
}

// writeThrough writes to what is no regular file, from its end on where it has one.
func writeThrough(ctx context.Context, path string, write func(io.Writer) error) error {
	type opened struct {
		f   *os.File
		err error
	}
	done := make(chan opened, 1)
	go func() { // a FIFO is open when somebody reads it
		f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0)
		done <- opened{f, err}
	}()
	select {
	case o := <-done:
		if o.err != nil {
			return o.err
		}
		return errors.Join(write(o.f), o.f.Close())
	case <-ctx.Done():
		return ctx.Err()
	}
}

// replaceFile puts a new file into the place of path; mode 0 leaves it to its owner alone.
func replaceFile(path string, mode fs.FileMode, write func(io.Writer) error) error {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-*")
	if err != nil {
		return err
	}
	if mode != 0 {
		err = f.Chmod(mode)
	}
	if err = errors.Join(err, write(f), f.Close()); err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		_ = os.Remove(f.Name()) // the first error counts
	}
	return err
}
