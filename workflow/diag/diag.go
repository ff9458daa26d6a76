// Package diag holds findings: what is wrong with an author's file, where exactly, and what to write
// instead. A finding is not an error: errors are for machines that failed, findings for files.
//
// The package knows nothing of workflows. It never prints by itself and never guesses a place: a
// finding without a place says that it is about the file as a whole.
package diag

// Pos is a place in a file, counted from 1 in lines and in characters; the zero Pos means the file as a whole.
type Pos struct{ Line, Col int }

// Severity says whether a finding stops the file.
type Severity uint8

// The severities. An error stops the file; a warning does not.
const (
	Error Severity = iota
	Warning
)

// Code names one kind of finding. Every code is declared in codes.go.
type Code struct {
	ID       string // stable, such as WF201
	Title    string // the rule in one line
	Severity Severity
	Explain  string // why the rule is there and what to do, a short paragraph
}

// Finding is one thing that is wrong in one place.
type Finding struct {
	Code    Code
	File    string
	Pos     Pos    // first character of the offending text
	End     Pos    // one past its last character; zero when unknown
	Message string // one line, lower case, quoting what was found
	Help    string // what to write instead; may be empty
}

// List is the findings of one file.
type List []Finding
