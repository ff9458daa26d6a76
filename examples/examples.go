// Package examples holds workflows that people really want, contacts to try them on, and what watches them in
// production. Each workflow is loaded, explained and reviewed by a test that knows who it should choose.
//
// The files are embedded, so that the demo needs nothing beside the program. The package only holds them: it never reads
// or writes a file, and knows nothing of what is in them.
package examples

import "embed"

// Files holds the workflows (*.yaml) and the contacts (*.csv) under their plain names.
//
//go:embed *.yaml *.csv
var Files embed.FS

// Monitoring holds the alert rules, their unit tests, the scrape configuration and the dashboard under monitoring/.
//
//go:embed monitoring
var Monitoring embed.FS
