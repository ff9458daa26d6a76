package diag

// exprCodes is the part of the table that is about expressions, WF2xx.
func exprCodes() []Code { return nil }
