package crmstore

import (
	"sync"
)

// windowPools keep the memory of windows between readings; what is not used for a while is freed.
type windowPools struct{ rows, columns sync.Pool }

func (p *windowPools) row() *rowWindow {
	if w, ok := p.rows.Get().(*rowWindow); ok {
		return w
	}
	return &rowWindow{}
}

func (p *windowPools) column() *columnWindow {
	if w, ok := p.columns.Get().(*columnWindow); ok {
		return w
	}
	return &columnWindow{}
}
