package cli

import (
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/crm-workflow/crm-workflow/workflow/terminal"
)

// progress is a bar on a terminal's stderr for work that takes over a second; elsewhere it is silent.
// It draws only when it is told of progress, so it needs no goroutine. Safe for concurrent use.
type progress struct {
	out *output
	now func() time.Time

	mu    sync.Mutex // guards what follows
	stage string
	began time.Time
	drawn time.Time
	dirty bool // a bar stands on the line
}

func (s *session) progress() *progress { return &progress{out: s.err, now: time.Now} }

const (
	barDelay    = time.Second
	barInterval = 100 * time.Millisecond
	barWidth    = 24
)

// update says that done of total is reached in a stage; total 0 means that the total is not known.
func (p *progress) update(stage string, done, total int64) {
	if !p.out.terminal {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	now := p.now()
	if stage != p.stage || p.began.IsZero() {
		p.wipe()
		p.stage, p.began = stage, now
	}
	if now.Sub(p.began) < barDelay || now.Sub(p.drawn) < barInterval {
		return
	}
	p.drawn, p.dirty = now, true
	line := barLine(stage, done, total, now.Sub(p.began))
	p.out.printf(terminal.ClearLine+"%s", terminal.Cut(line, p.out.width-1))
	_ = p.out.flush() // a bar that cannot be drawn is not missed
}

// end takes the bar off the screen.
func (p *progress) end() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.wipe()
	p.began = time.Time{}
}

func (p *progress) wipe() {
	if p.dirty {
		p.out.printf(terminal.ClearLine)
		_ = p.out.flush() // as above
		p.dirty = false
	}
}

func barLine(stage string, done, total int64, elapsed time.Duration) string {
	rate := float64(done) / elapsed.Seconds()
	line := fmt.Sprintf("%s %s", stage, count(done))
	if total > 0 {
		full := int(barWidth * min(done, total) / total)
		line = fmt.Sprintf("%s [%s%s] %s of %s", stage, strings.Repeat("=", full), strings.Repeat(" ", barWidth-full),
			count(done), count(total))
	}
	line += fmt.Sprintf("  %s/s", count(int64(rate)))
	if total > done && done > 0 {
		left := time.Duration(float64(total-done) / rate * float64(time.Second))
		line += "  " + took(left.Round(time.Second)) + " left"
	}
	return line
}
