// Package schedule says when a workflow runs: a cron spec on the clock of a time zone.
//
//	s, findings := schedule.Parse(cron, zone)
//	next := s.Next(now)
//
// # Promises
//
//   - [Parse] reports every mistake at once, each with its place and, where one can be guessed, what to write instead.
//   - A spec with a fixed hour has one run for each slot of the local calendar, also on nights on which the clock is moved.
//     [Schedule] has the exact rules.
//   - A spec or a zone is right on every machine or on none: the package brings the list of zones and their data.
//
// # Never
//
// The package never asks the clock: the instant is an argument. It knows no store, no workflow and no runs.
package schedule
