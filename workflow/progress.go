package workflow

import (
	"sync"

	"github.com/crm-workflow/crm-workflow/crmstore"
)

// progress is how far a run is: what its signs of life and Runner.Progress say. It is safe for concurrent use.
type progress struct {
	report func(stage string, done, total int64) // Runner.Progress; nil = none

	mu         sync.Mutex // guards what follows, and keeps calls about settled matches apart
	scanned    int64      // partitions that the evaluation has read
	partitions int64      // partitions that it reads in all
	settled    int64      // matches that got an outcome from this process
	others     int64      // matches that got an outcome in ranges of other processes
}

// of is the progress of a run in its stage; the zero value for a stage without any.
func (p *progress) of(run crmstore.Run) crmstore.Progress {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch run.Stage {
	case stageEvaluate:
		return crmstore.Progress{Done: p.scanned, Of: p.partitions}
	case stageAct:
		return crmstore.Progress{Done: p.settled + p.others, Of: enrolling(run.Totals)}
	}
	return crmstore.Progress{}
}

// scan sets how many of the partitions the evaluation has read.
func (p *progress) scan(done, partitions int64) {
	p.mu.Lock()
	p.scanned, p.partitions = done, partitions
	p.mu.Unlock()
	if p.report != nil { // the scan keeps its calls apart
		p.report(stageEvaluate, done, partitions)
	}
}

// restart begins the count of settled matches anew.
func (p *progress) restart() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.settled, p.others = 0, 0
}

// settle adds matches that this process settled, of so many in all; below 0 it takes some back.
func (p *progress) settle(matches, total int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.settled += matches
	p.reportActed(total)
}

// setOthers sets how many matches other processes have settled.
func (p *progress) setOthers(settled, total int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.others != settled {
		p.others = settled
		p.reportActed(total)
	}
}

// reportActed needs the lock. It must not read the run: a sign of life holds the lock of the run when it asks for this one.
func (p *progress) reportActed(total int64) {
	if p.report != nil {
		p.report(stageAct, p.settled+p.others, total)
	}
}
