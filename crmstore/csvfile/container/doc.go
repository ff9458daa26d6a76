// Package container turns the files that people have into plain text with one record a line: UTF-8 whatever the file's encoding
// was, out of gzip, and out of the workbook of a spreadsheet. What is none of these is named for what it is.
//
// # Encodings
//
// A byte order mark decides; without one, a file that is UTF-8 is UTF-8. Else the whole file is looked at: where its
// letters make words in Windows-1252 it is that, where they make words in Mac Roman it is that, and where neither is plain the
// caller is asked. A file that is UTF-8 but for few places stays UTF-8, and those places are left for the caller to find.
//
// # Workbooks
//
// One sheet of an .xlsx becomes lines of cells with commas between them, each row of the sheet one record. A date is
// written 2006-01-02 or 2006-01-02T15:04:05, yes and no as true and false; a cell of a number begins with [Number], so that its
// point is never taken for a separator of thousands; a cell that holds an error begins with [Fault]. Quoted cells never do.
//
// # Bounds
//
// Memory stays within some 200 MiB however large a file is; what is unpacked goes to a temporary file that is gone when the
// process is. A file that unpacks to far more than it is, is refused.
package container
