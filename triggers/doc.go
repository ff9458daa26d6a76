// Package triggers says which records a workflow enrolls; its package schedule says when it looks.
//
// An expression such as
//
//	contact.lifecyclestage in ["subscriber", "lead"] && daysSince(contact.last_activity_date) > 365
//
// goes through five steps. [Compile] parses it (expr-lang's grammar and syntax tree), checks it against
// the property schema and reports every finding at once. The checked tree is rewritten to a normal form:
// negations pushed down to the comparisons, each comparison guarded by "its properties are known"
// ([Expr.Normal]). [Trigger.At] fixes the run's instant and plans: a comparison of one column property
// with something fixed becomes a set of ranges of that column's cells. [Matcher.Evaluate] tests columns,
// fetches what survives and tests every survivor with the whole expression.
//
// # Semantics
//
//   - Unknown is not a match. A comparison with an unknown value is unknown, its negation too; a record
//     enrolls only where the whole is true (three-valued logic as in SQL). known(x), unknown(x) and ??
//     speak of missing values and are never unknown themselves (?? only if both sides are).
//   - Arithmetic whose result is not a finite number, such as a division by zero, is unknown.
//   - c ? a : b is a where c is true, b where c is false, and unknown where c is unknown.
//   - now is the run's instant. today is the first instant of that day in the workflow's zone.
//   - A date property, and date("2026-01-31"), stand for the first instant of that day in the workflow's
//     zone. date("2026-01-31T10:00:00Z") is that instant exactly.
//   - daysSince(d) is the number of whole days, of 24 hours each, from d until now, rounded down: daysSince(d) > 365
//     becomes true 366 days after d. daysUntil(d) is the same from now until d. daysAgo(n) is now minus n times 24 hours.
//   - monthsSince, monthsAgo, yearsAgo, daysBetween and dayOf go by the calendar of the workflow's zone. A day that a month lacks
//     becomes its last one. monthsSince(x) >= n and x <= monthsAgo(n) say the same. Yesterday is daysBetween(x, now) == 1.
//   - domain(s) is what stands after the @ of an e-mail address, and compared as addresses are. number(s) is unknown where the text is
//     no number.
//   - Texts are compared as they are, upper and lower case apart; lower(s) is there. E-mail addresses, and what is compared
//     with them, are compared in their normal form ([record.NormalAddress]): case does not count, in patterns neither.
//
// # Promises
//
//   - The plan never decides. Columns may keep records that do not match, never the other way round.
//   - An expression cannot loop, grow a text or fail: the time it takes is bounded by its length and by
//     the texts it reads. Regular expressions are RE2.
//   - Nothing here asks the clock: the instant is an argument.
//
// # Never
//
// The package never writes to the store, and never logs.
package triggers
