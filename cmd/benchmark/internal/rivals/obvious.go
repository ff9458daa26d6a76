// Package rivals holds what a person would use instead: the obvious program over Redis (one hash for each contact,
// SCAN, pipelined HGETALL, the expr library on a map, deletes one by one or pipelined), and PostgreSQL.
//
// They are given every advantage that is not a second design: pipelines, string comparison of dates, the best index,
// no persistence. The package is no part of the product; nothing outside cmd/benchmark imports it.
package rivals

import (
	"context"
	"fmt"

	"github.com/expr-lang/expr"
	"github.com/expr-lang/expr/vm"
)

// Count reads every contact and counts those for which the condition is true. The condition speaks of contact.<name>;
// what a contact does not have is the empty text.
func (h *Hashes) Count(ctx context.Context, condition string) (matched, all int64, err error) {
	program, err := expr.Compile(condition, expr.Env(map[string]any{"contact": map[string]string{}}), expr.AsBool())
	if err != nil {
		return 0, 0, fmt.Errorf("compile %q: %w", condition, err)
	}
	var machine vm.VM
	env := map[string]any{}
	err = h.each(ctx, func(_ string, fields map[string]string) error {
		env["contact"] = fields
		yes, err := machine.Run(program, env)
		if err != nil {
			return err
		}
		all++
		if yes == true {
			matched++
		}
		return nil
	})
	if err != nil {
		return 0, 0, fmt.Errorf("evaluate hashes: %w", err)
	}
	return matched, all, nil
}
