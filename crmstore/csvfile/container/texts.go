package container

import (
	"encoding/xml"
	"fmt"
	"os"
)

// Bounds of the texts that cells share.
const (
	textsInMemory = 64 << 20 // bytes; beyond, they go to a temporary file
	maxTexts      = 16 << 20
)

// texts are the texts that cells of a workbook share, by number.
type texts struct {
	ends   []uint64 // where each text ends
	memory []byte
	disk   *os.File // what is beyond memory, from its beginning
	onDisk []byte   // not written yet
	kept   uint64   // bytes in memory and on disk, without onDisk
}

func (b *book) readTexts() error {
	x := &b.texts
	err := b.elements(b.types["sharedStrings"], func(e xml.StartElement, t *tokens) error {
		if e.Name.Local != "si" {
			return nil
		}
		s, err := t.text("si")
		if err != nil {
			return fmt.Errorf("read shared texts: %w", err)
		}
		if len(x.ends) == maxTexts {
			return &FormatError{fmt.Sprintf("this workbook has more than %d texts", maxTexts), "save the sheet as CSV UTF-8"}
		}
		return x.add(b.file, s)
	})
	if err != nil {
		return err
	}
	return x.flush()
}

func (x *texts) add(f *File, s string) error {
	if x.disk == nil && len(x.memory)+len(s) <= textsInMemory {
		x.memory = append(x.memory, s...)
		x.ends = append(x.ends, uint64(len(x.memory)))
		return nil
	}
	if x.disk == nil {
		temp, err := f.temporary("workflow-import-*.texts")
		if err != nil {
			return err
		}
		x.disk, x.kept = temp, uint64(len(x.memory))
	}
	x.onDisk = append(x.onDisk, s...)
	x.ends = append(x.ends, x.kept+uint64(len(x.onDisk)))
	if len(x.onDisk) < 1<<20 {
		return nil
	}
	return x.flush()
}

func (x *texts) flush() error {
	if x.disk == nil {
		return nil
	}
	if _, err := x.disk.Write(x.onDisk); err != nil {
		return fmt.Errorf("write a temporary file: %w", err)
	}
	x.kept += uint64(len(x.onDisk))
	x.onDisk = x.onDisk[:0]
	return nil
}

// get is the text of that number; false when there is none.
func (x *texts) get(n int) (string, bool, error) {
	if n < 0 || n >= len(x.ends) {
		return "", false, nil
	}
	from, to := uint64(0), x.ends[n]
	if n > 0 {
		from = x.ends[n-1]
	}
	if to <= uint64(len(x.memory)) {
		return string(x.memory[from:to]), true, nil
	}
	text := make([]byte, to-from)
	if _, err := x.disk.ReadAt(text, int64(from)-int64(len(x.memory))); err != nil {
		return "", false, fmt.Errorf("read a temporary file: %w", err)
	}
	return string(text), true, nil
}
