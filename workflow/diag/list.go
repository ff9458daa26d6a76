package diag

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// MaxPerFile is how many findings of one file Tidy keeps.
const MaxPerFile = 100

// HasErrors reports whether a finding of the list stops its file.
func (l List) HasErrors() bool {
	return slices.ContainsFunc(l, func(f Finding) bool { return f.Code.Severity == Error })
}

// Count says how many findings stop their file and how many only warn.
func (l List) Count() (errors, warnings int) {
	for _, f := range l {
		if f.Code.Severity == Error {
			errors++
		} else {
			warnings++
		}
	}
	return errors, warnings
}

// Sort orders the list by file, place, code and message. Findings about a file as a whole come first.
func (l List) Sort() {
	slices.SortStableFunc(l, func(a, b Finding) int {
		return cmp.Or(
			strings.Compare(a.File, b.File),
			cmp.Compare(a.Pos.Line, b.Pos.Line),
			cmp.Compare(a.Pos.Col, b.Pos.Col),
			strings.Compare(a.Code.ID, b.Code.ID),
			strings.Compare(a.Message, b.Message),
		)
	})
}

// Tidy is the list as people should get it: sorted, without repeats, and at most MaxPerFile findings
// for each file. What was left out is counted in a last finding of that file (More); it is an error
// when an error was left out, so HasErrors answers the same before and after. l itself stays as it is.
func (l List) Tidy() List {
	all := slices.Clone(l)
	all.Sort()
	all = slices.CompactFunc(all, func(a, b Finding) bool {
		return a.File == b.File && a.Pos == b.Pos && a.Code.ID == b.Code.ID && a.Message == b.Message
	})
	var tidy List
	for len(all) > 0 {
		n := slices.IndexFunc(all, func(f Finding) bool { return f.File != all[0].File })
		if n < 0 {
			n = len(all)
		}
		tidy = append(tidy, capped(all[:n])...)
		all = all[n:]
	}
	return tidy
}

func capped(one List) List {
	already := slices.IndexFunc(one, func(f Finding) bool { return f.Code.ID == More.ID })
	if len(one) <= MaxPerFile || already >= 0 {
		return one
	}
	kept, rest := one[:MaxPerFile], one[MaxPerFile:]
	more := Finding{Code: More, File: one[0].File, Pos: rest[0].Pos, Message: fmt.Sprintf("%d more findings are not shown", len(rest))}
	if len(rest) == 1 {
		more.Message = "1 more finding is not shown"
	}
	if !rest.HasErrors() {
		more.Code.Severity = Warning
	}
	return append(slices.Clone(kept), more)
}

// Whole is a finding about a file as a whole.
func Whole(code Code, file, message, help string) Finding {
	return Finding{Code: code, File: file, Message: message, Help: help}
}

// String is the word for the severity that people and programs see.
func (s Severity) String() string {
	if s == Warning {
		return "warning"
	}
	return "error"
}

// String is the finding in one line, without its source line and help.
func (f Finding) String() string {
	word := ""
	if f.Code.Severity == Warning {
		word = "warning: "
	}
	return place(f) + word + visible(f.Message) + " [" + f.Code.ID + "]"
}

func place(f Finding) string {
	at := visible(f.File)
	if f.Pos.Line > 0 {
		at = strings.TrimPrefix(fmt.Sprintf("%s:%d:%d", at, f.Pos.Line, f.Pos.Col), ":")
	}
	if at == "" {
		return ""
	}
	return at + ": "
}
