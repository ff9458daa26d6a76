// Package definition turns a workflow file into a [Definition], or into findings. It reads YAML, checks every key and value, and
// has triggers and actions read their parts.
//
// # Promises
//
//   - What is loaded means what its author sees: the source bytes of every text are compared with what YAML made of them.
//   - All findings come at once, each with its code, its place, and what to write instead. A file with an error has no Definition.
//   - [Load] is pure, but for what the vocabulary of the account is asked.
//
// # Never
//
// It never opens a store, never runs anything, and never asks for the time.
package definition
