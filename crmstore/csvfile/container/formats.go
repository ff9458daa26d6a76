package container

import (
	"bytes"
	"compress/flate"
	"errors"
	"strings"
)

const exportHelp = "export the records as CSV or .xlsx, which every program that keeps them can"

// binaryFormats are formats by their first bytes.
var binaryFormats = []struct{ begin, what, help string }{
	{"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an old Excel workbook (.xls), or one with a password", "open it and save it as .xlsx without a password, or as CSV UTF-8"},
	{"7z\xbc\xaf\x27\x1c", "a 7-Zip archive", "unpack it, and import the file in it"},
	{"Rar!\x1a\x07", "a RAR archive", "unpack it, and import the file in it"},
	{"BZh", "a bzip2 file", "unpack it with bunzip2"},
	{"\xfd7zXZ\x00", "an xz file", "unpack it with unxz"},
	{"\x28\xb5\x2f\xfd", "a zstd file", "unpack it with unzstd"},
	{"%PDF-", "a PDF", exportHelp},
	{"!BDN", "an Outlook data file (.pst)", "export the contacts from Outlook as CSV"},
	{"SQLite format 3\x00", "an SQLite database", exportHelp},
	{"\x89PNG", "an image", exportHelp},
	{"\xff\xd8\xff", "an image", exportHelp},
	{"GIF8", "an image", exportHelp},
	{"PAR1", "a Parquet file", exportHelp},
	{"\x7fELF", "a program", exportHelp},
	{"MZ\x90", "a program", exportHelp},
}

// textFormats are formats by their first characters, after blanks and a byte order mark, in any case.
var textFormats = []struct{ begin, what, help string }{
	{"BEGIN:VCARD", "a vCard", "export the contacts as CSV, which every address book can"},
	{"BEGIN:VCALENDAR", "a calendar", "export contacts as CSV"},
	{"<!DOCTYPE", "a page or an XML document", exportHelp},
	{"<html", "a page", exportHelp + "; some programs name such a page .xls: open it in a spreadsheet and save it as .xlsx"},
	{"<?xml", "an XML document", exportHelp},
	{"<table", "a page", exportHelp},
	{"{\\rtf", "an RTF document", exportHelp},
	{"{\"", "JSON", exportHelp},
	{"[{", "JSON", exportHelp},
	{"dn: ", "an LDIF file", exportHelp},
}

// tarAt is where a tar archive says that it is one.
const tarAt = 257

// otherFormat is a file that is neither text with cells nor anything that is unpacked; nil when it may be one.
func otherFormat(head []byte) error {
	for _, f := range binaryFormats {
		if bytes.HasPrefix(head, []byte(f.begin)) {
			return &FormatError{"this is " + f.what + ", not a CSV file or an .xlsx workbook", f.help}
		}
	}
	if len(head) > tarAt+5 && string(head[tarAt:tarAt+5]) == "ustar" {
		return &FormatError{"this is a tar archive, not a CSV file or an .xlsx workbook", "unpack it, and import the file in it"}
	}
	text := string(bytes.TrimLeft(bytes.TrimPrefix(head, []byte(bom)), " \t\r\n"))
	for _, f := range textFormats {
		if len(text) >= len(f.begin) && strings.EqualFold(text[:len(f.begin)], f.begin) {
			return &FormatError{"this is " + f.what + ", not a CSV file", f.help}
		}
	}
	return nil
}

// isCorrupt reports whether what was packed cannot be unpacked.
func isCorrupt(err error) bool {
	var corrupt flate.CorruptInputError
	return errors.As(err, &corrupt)
}
