package cli

import "github.com/crm-workflow/crm-workflow/workflow/diag"

// findingDocument is a finding for programs.
type findingDocument struct {
	Code     string `json:"code"`
	Severity string `json:"severity"` // error, warning
	File     string `json:"file"`
	Line     int    `json:"line"` // from 1; 0 = the file as a whole
	Col      int    `json:"col"`
	EndLine  int    `json:"end_line,omitempty"`
	EndCol   int    `json:"end_col,omitempty"` // one past the last character
	Message  string `json:"message"`
	Help     string `json:"help,omitempty"`
}

func findingDocuments(l diag.List) []findingDocument {
	docs := make([]findingDocument, 0, len(l))
	for _, f := range l {
		severity := "error"
		if f.Code.Severity == diag.Warning {
			severity = "warning"
		}
		docs = append(docs, findingDocument{
			Code: f.Code.ID, Severity: severity, File: f.File, Line: f.Pos.Line, Col: f.Pos.Col,
			EndLine: f.End.Line, EndCol: f.End.Col, Message: f.Message, Help: f.Help,
		})
	}
	return docs
}
