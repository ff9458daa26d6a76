// Package csvfile moves records between CSV files and the store.
//
// # Import
//
// [Import] reads a file record by record, so memory does not grow with the file, except for the check
// against duplicates: 25 to 45 bytes for each record id and each e-mail address in the file. What a file may be says
// package container: CSV in any encoding, or a workbook. Cells are separated by commas, semicolons, tabs or pipes,
// whichever the header uses most; lines end in LF, CRLF or CR; a quoted cell may hold line breaks,
// which are kept as they are.
//
// What it promises:
//
//   - The header is settled before anything is written. A header that names nothing, one property twice,
//     or a property that nobody knows is a finding, and then no line is imported.
//   - A line goes in whole or not at all. What is wrong with it is a [Finding] with its line, its column,
//     what was found and what is expected; the other lines go in.
//   - Nothing is lost silently: a record id or e-mail address that an earlier line of the file has is a
//     finding, unless [Options.AllowDuplicates] says that the later line wins.
//   - Where a file has record ids and e-mail addresses, a line changes the contact that has its id only if both have the
//     same address, unless [Options.TrustIDs] says that the ids are this account's.
//   - Properties are made only when a line goes in.
//   - A line must say which record it is about: by record id, or for contacts by e-mail address. Without
//     either it is a finding, since a second import would make the record again; with
//     [crmstore.CreateOnly] it makes a new record.
//   - So importing a file again changes nothing.
//   - A dry run does all of that and writes nothing.
//
// How cells are read:
//
//   - An empty cell leaves the property as it is. An import never clears a value.
//   - Text is kept exactly, spaces and all; an e-mail address is brought to its normal form. Texts have up to 65,536 characters.
//   - A number is written like -1234.5 or 1.5e3. With other signs, the cells of a column decide together which sign is the
//     decimal one; what can still be read in two ways is refused unless [Options.Decimal] says it. A currency and a percent
//     sign are left out, and the report says so: 12 % is 12. Numbers that begin with
//     a zero, and whole numbers with more digits than a number holds, are refused.
//   - A date is written 2006-01-02, 2006/01/02, Jan 2, 2006, 2 January 2006 or 2-Jan-2006; a time may follow (15:04,
//     15:04:05, 3:04 PM, RFC 3339 with or without a zone), and 11 to 13 digits are milliseconds since 1970,
//     and 14 are 20060102150405. 01/02/2006 is refused unless another date of the column or [Options.DateOrder] says which
//     number is the day. Dates that stand for none, such as 0001-01-01, are refused unless [Options.StandIns] says more. A time without a zone is in
//     [Options.Zone]. A property that is a day keeps the day as it is written (in UTC for milliseconds).
//   - Yes and no are true, false, yes, no, 1, 0 in any case; an option is its internal value or its label.
//
// # Export
//
// [Export] writes what [Import] reads back as the same records. Values stand in the file exactly as they
// are: a text that begins with =, +, - or @ is not changed, though a spreadsheet may take it for a formula.
//
// # Never
//
// The package never logs. Findings quote the cell they are about, cut to 60 characters.
package csvfile
