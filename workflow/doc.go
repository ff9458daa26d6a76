// Package workflow carries a workflow from a file to deleted contacts, and back again.
//
// # Five words
//
// A [definition.Definition] is a checked workflow file. Its Trigger says which records enroll, and when to look.
// Its Actions say what to do with them. The Store remembers. The [Runner] carries a run through.
//
// # Life of a definition
//
//  1. [definition.Load] turns bytes into a Definition, or into findings.
//  2. [MakeReview] lists the contacts that a run would delete now, and writes nothing.
//  3. [Publish] freezes the file as a numbered revision and switches the workflow on.
//  4. [Scheduler.Run] starts a run for each slot of the schedule; [Runner.Run] starts one by hand.
//  5. [Switch] turns the workflow off and on. A run that is under way when it is switched off is
//     held: when Switch has returned nothing more is deleted, until a user approves the run.
//
// # Life of a run
//
//  1. evaluate: read-only, partition by partition; the matching ids, without those enrolled before, are saved with the run.
//  2. guard: the number of matches against the limits. Over a limit the run is held and nothing is touched.
//  3. act: per partition in bounded batches. Each record is read and tested again immediately before it is
//     deleted; the store refuses a record that changed in between. Gate, switch and ownership are asked
//     again before each round of batches.
//  4. close: totals are summed over the partitions, so that any number of crashes gives the same totals.
//
// A large run's third stage is cut into ranges, which helpers in other processes carry out too ([Runner.Help]). The carrier
// takes the ranges that have no owner or a silent one, and closes the run.
//
// A run is running, then done, held, failed or cancelled. A held run goes on with [Runner.Approve] or ends
// with [Runner.Cancel]. A failed or interrupted run goes on where it stopped with [Runner.Resume].
// [Runner.Undo] restores all that an ended run deleted.
//
// # Promises
//
//   - A review and a run at the same instant choose the same contacts.
//   - A run stopped at any moment and resumed deletes exactly the right contacts, each with one audit event.
//   - A run has one instant, now, from its evaluation to its last test, also when it is resumed days later.
//   - An approval acts on the contacts that were shown, never on more.
//   - One workflow has at most one run at a time, and one slot at most one run.
//
// # Never
//
// A run never acts on a record that it has not just tested. The package logs ids and counts, never a property's value.
package workflow
