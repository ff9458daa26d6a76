package queue

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"
)

// quietFor is how long the library's complaints are kept back after one was written. While Redis is away each of its loops
// complains every second, and the scheduler has logged it already.
const quietFor = 30 * time.Second

// quiet writes what the library has to say, rarely.
type quiet struct {
	log *slog.Logger // nil = nothing is written

	mu   sync.Mutex
	last time.Time
}

// Debug writes nothing.
func (*quiet) Debug(...any) {}

// Info writes nothing.
func (*quiet) Info(...any) {}

// Warn writes a line, unless there was one lately.
func (l *quiet) Warn(words ...any) { l.write(words) }

// Error writes a line, unless there was one lately.
func (l *quiet) Error(words ...any) { l.write(words) }

// Fatal writes a line: nothing that a queue meets ends the process.
func (l *quiet) Fatal(words ...any) { l.write(words) }

func (l *quiet) write(words []any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now() //nolint:forbidigo // the library calls this from its loops, and gives no time
	if l.log == nil || now.Sub(l.last) < quietFor {
		return
	}
	l.last = now
	//nolint:forbidigo // the library gives no context
	l.log.LogAttrs(context.Background(), slog.LevelWarn, "queue", slog.String("says", fmt.Sprint(words...)))
}
