// Package actions is the catalogue of what a workflow can do with the records it enrolled.
//
// An [Action] works on batches: the runner reads and tests records of some partitions, then hands
// all of them to the action in one [Call]. The action answers with one [Outcome] for each record.
//
// # Promises
//
//   - An action repeated with the same call by the same run does nothing more: every change and
//     the note that the run made it are one atomic act of the store.
//   - A record that changed after it was tested is left alone ([Stale]); the caller tests it again.
//   - An action refuses object types that its [Spec] does not name, also when it is called past the loader.
//
// # Never
//
// An action never chooses records, never asks for the clock and never retries by itself.
// The catalogue is one explicit list, [Builtin]; importing a package adds nothing to it.
package actions
