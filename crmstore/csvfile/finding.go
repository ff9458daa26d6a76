package csvfile

import (
	"fmt"
	"sort"
	"unicode/utf8"
)

// Code names one kind of finding; codes are stable.
type Code string

// The codes. Those of the file and the header stop the import before anything is written, except
// QuoteOpen and LineTooLong, which stop it where they are found. The others concern one line.
const (
	FileEmpty       Code = "file-empty"
	FileEncoding    Code = "file-encoding"
	QuoteOpen       Code = "quote-open"
	LineTooLong     Code = "line-too-long"
	HeaderEmpty     Code = "header-empty"
	HeaderTwice     Code = "header-twice"
	HeaderUnknown   Code = "header-unknown"
	HeaderAmbiguous Code = "header-ambiguous"
	HeaderText      Code = "header-text"
	IDColumn        Code = "id-column"
	NoKeyColumn     Code = "no-key-column"
	CellCount       Code = "cell-count"
	QuoteBare       Code = "quote-bare"
	NulByte         Code = "nul-byte"
	BadText         Code = "bad-text"
	BadID           Code = "bad-id"
	BadEmail        Code = "bad-email"
	BadNumber       Code = "bad-number"
	BadDate         Code = "bad-date"
	StandInDate     Code = "stand-in-date"
	LinesInCell     Code = "lines-in-cell"
	BadBool         Code = "bad-bool"
	BadOption       Code = "bad-option"
	TextTooLong     Code = "text-too-long"
	KeyMissing      Code = "key-missing"
	OtherContact    Code = "other-contact"
	OnHold          Code = "on-hold"
	DuplicateID     Code = "duplicate-id"
	DuplicateEmail  Code = "duplicate-email"
	EmailTaken      Code = "email-taken"
	EmailBlocked    Code = "email-blocked"
	Erased          Code = "erased"
	InBin           Code = "in-bin"
	NotThere        Code = "not-there"
	ThereAlready    Code = "there-already"
	StoreRefused    Code = "store-refused"
)

// Finding is one thing that is wrong with the file.
type Finding struct {
	Code    Code   `json:"code"`
	Line    int    `json:"line,omitempty"`   // line of the file, from 1, on which the cell or the record begins; 0 = the file as a whole
	Column  string `json:"column,omitempty"` // header as it stands in the file; "" = the line as a whole
	Message string `json:"message"`          // one line, quoting what was found
	Help    string `json:"help,omitempty"`   // what to write or do instead
}

// String is the finding on one line, for people.
func (f Finding) String() string {
	s := ""
	if f.Line > 0 {
		s = fmt.Sprintf("line %d: ", f.Line)
	}
	if f.Column != "" {
		s += quote(f.Column) + ": "
	}
	s += f.Message
	if f.Help != "" {
		s += " (" + f.Help + ")"
	}
	return s
}

// problem is what is wrong with one cell, before it is known where the cell stands.
type problem struct {
	code          Code
	message, help string
	once          bool // said for the first such cell of a column; the message counts the others
}

// findings counts all and keeps the first few.
type findings struct {
	keep  int
	list  []Finding
	total int
}

func (f *findings) add(x Finding) {
	f.total++
	if len(f.list) < f.keep {
		f.list = append(f.list, x)
	}
}

// merge takes over the findings of later lines, in order of lines.
func (f *findings) merge(later findings) {
	sort.SliceStable(later.list, func(i, j int) bool { return later.list[i].Line < later.list[j].Line })
	room := max(0, f.keep-len(f.list))
	f.list = append(f.list, later.list[:min(room, len(later.list))]...)
	f.total += later.total
}

// quotedLength is how many characters of a cell a finding shows.
const quotedLength = 60

// quote shows a cell in a message: on one line and not too long.
func quote(s string) string {
	if utf8.RuneCountInString(s) > quotedLength {
		r := []rune(s[:min(len(s), 4*quotedLength)])
		s = string(r[:quotedLength-1]) + "…"
	}
	return fmt.Sprintf("%q", s)
}
