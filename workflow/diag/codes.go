package diag

import "slices"

// Codes is the table of every kind of finding, in the order of the ids: WF1xx for the file and its
// YAML, WF2xx for expressions, WF3xx for schedules, WF4xx for limits and actions.
func Codes() []Code {
	return slices.Concat(fileCodes(), exprCodes(), scheduleCodes(), stepCodes())
}

// Find looks a code up by its id, such as WF110; the flag is false when there is none.
func Find(id string) (Code, bool) {
	for _, c := range Codes() {
		if c.ID == id {
			return c, true
		}
	}
	return Code{}, false
}

func fileCodes() []Code {
	return []Code{
		More, NotText, Invisible, TooLarge, Syntax, Tab, Empty, SecondDocument, NotPlain, TooDeep,
		UnknownKey, DuplicateKey, MissingKey, WrongType, NotBoolean, NotDecimal, NotAllowed, BadName,
		UnknownObject, NotList, NoTriggers, AlwaysTrue, NoValue, BadText, Repeated, NeverEnrolls, TooMany, ListReplaced, Altered,
	}
}

func scheduleCodes() []Code {
	return []Code{
		BadCron, ZoneInCron, NoFixedSlots, SecondsInCron, StepTooLarge, NeverFires, UnknownZone,
		NoSchedule, EitherDay, EveryMinute, UnevenStep, FixedOffset, MissingDay,
	}
}

func stepCodes() []Code {
	return []Code{BadMaxDeletions, BadMaxPercent, UnknownAction, RepeatedAction, NoActions, WrongObject, NoLimit, BadMaxPerSecond, AboveCeiling, AboveShare}
}

// The file as text.
var (
	More = Code{
		"WF100", "more findings than are shown", Error,
		"At most 100 findings are shown for one file; the rest are counted. Repair the first ones and check again: " +
			"one slip near the top often causes many below it.",
	}
	NotText = Code{
		"WF101", "a workflow file is text in UTF-8", Error,
		"The file holds bytes that are not UTF-8, so its words cannot be read with certainty. Save it as UTF-8; " +
			"a byte order mark at the start and Windows line ends are fine.",
	}
	Invisible = Code{
		"WF102", "no characters that cannot be seen", Error,
		"Control characters, characters that take no room (zero-width spaces, soft hyphens, fillers, tags) and characters that change the direction " +
			"of writing can make a file look different from what it does; a no-break space looks like a blank. A file or an expression that decides " +
			"who is deleted must read the same for everybody who reviews it. Emoji and the joiners of Persian or Hindi are fine in titles and comments. " +
			"To find records that hold such a character, write matches \"\\\\x{200B}\".",
	}
	TooLarge = Code{
		"WF103", "a workflow file is at most 1 MiB, and a line 10,000 bytes", Error,
		"Nobody can review more. Long lists of contacts belong in a static list, asked with inList(\"name\").",
	}
	Syntax = Code{
		"WF104", "the file is YAML", Error,
		"The file cannot be read as YAML from this place on. The usual causes are an indentation that does not fit, " +
			"a quote that is not closed, and text that needs quotes because it begins with one of * & ! @ % [ { or holds a colon and a space.",
	}
	Tab = Code{
		"WF105", "lines are indented with spaces", Error,
		"YAML does not allow tabs in indentation, because their width differs from editor to editor. Use two spaces for each level.",
	}
	Empty = Code{
		"WF106", "the file says something", Error,
		"The file is empty, or holds comments only. `workflow schema` and the examples show what a workflow file looks like.",
	}
	SecondDocument = Code{
		"WF107", "one file holds one workflow", Error,
		"A line of three dashes starts a second document, which many YAML readers drop in silence. Give each workflow a file of its own.",
	}
	NotPlain = Code{
		"WF108", "anchors, aliases, merge keys, tags and directives are not used", Error,
		"They let a value stand far away from where it counts, and can grow a small file to gigabytes. Write each value where it is used. " +
			"An expression that begins with ! or * needs quotes: YAML takes these characters for its own.",
	}
	TooDeep = Code{
		"WF109", "the file is not nested deeply", Error,
		"No workflow needs more than four levels. Deeper nesting is a slip in indentation, or an attempt to make the reader work.",
	}
)

// The keys and values of the file.
var (
	UnknownKey = Code{
		"WF110", "every key is known", Error,
		"A key that is not known would be ignored, and the workflow would do something else than its author meant. " +
			"`workflow schema` gives editors the list of keys.",
	}
	DuplicateKey = Code{
		"WF111", "every key stands once", Error,
		"Of two equal keys one would silently win. When it is `triggers`, other contacts would be deleted than those the first one names.",
	}
	MissingKey = Code{
		"WF112", "every required key is there", Error,
		"A workflow needs a name (`workflow`), what it enrolls (`object`), which of them (`enroll` with `triggers`) and what to do (`actions`).",
	}
	WrongType = Code{
		"WF113", "every value is of the right kind", Error,
		"The value is a number, a text, a list or a mapping where another kind is wanted. Nothing is converted by guessing.",
	}
	NotBoolean = Code{
		"WF114", "yes and no are written true and false", Error,
		"YAML readers do not agree on what yes, no, on and off mean. Only true and false are accepted, without quotes.",
	}
	NotDecimal = Code{
		"WF115", "numbers are written in plain decimal", Error,
		"A leading zero, 0x, an underscore or an exponent make a number look like another one: YAML reads 010 as 8. " +
			"Write digits only, and for a percentage a decimal point if it is needed.",
	}
	NotAllowed = Code{
		"WF116", "a value is one of those allowed", Error,
		"The key takes one of a few words, and this is none of them.",
	}
	BadName = Code{
		"WF117", "a workflow's name is a-z, 0-9 and -", Error,
		"The name is the workflow's identity in the store, in metrics and on the command line: 1 to 63 lower-case letters, digits and " +
			"dashes, with a letter or digit first and last. What people read goes into `title`.",
	}
	UnknownObject = Code{
		"WF118", "`object` is a type that the account has", Error,
		"The object type says which records enroll: contact, company, deal, ticket or call, in the singular.",
	}
	NotList = Code{
		"WF119", "a list is written as a list", Error,
		"A list has one entry per line, each with a dash before it, also when there is only one. One way to write it keeps changes easy to review.",
	}
	NoTriggers = Code{
		"WF120", "`triggers` says which records enroll", Error,
		"A list without triggers would match everyone. If that is what you want, say so outright with the trigger `true`.",
	}
	AlwaysTrue = Code{
		"WF121", "a trigger is not true for everyone", Warning,
		"The trigger `true` enrolls every live record. That is allowed, because it is written outright; the review shows how many that is, " +
			"and the limits hold the run when it is too many.",
	}
	NoValue = Code{
		"WF122", "every key has a value", Error,
		"The key is there and nothing stands behind it. Leave the key out to get its default.",
	}
	BadText = Code{
		"WF123", "a title is one line, a description is short", Error,
		"Titles stand in tables and logs: one line of at most 200 characters. A description has at most 4,000. " +
			"Neither holds control characters, which could rewrite a terminal's screen.",
	}
	Repeated = Code{
		"WF124", "no expression stands twice", Warning,
		"The same expression twice in a list changes nothing. It is usually a copy that somebody meant to change.",
	}
	NeverEnrolls = Code{
		"WF125", "the workflow can enroll somebody", Warning,
		"A trigger that is false for everyone, or a suppression that is true for everyone, does nothing or stops everything.",
	}
	TooMany = Code{
		"WF126", "a list has at most 100 entries", Error,
		"Nobody can review more. Put related conditions into one expression, and long lists of contacts into a static list.",
	}
	ListReplaced = Code{
		"WF127", "a published workflow asks the lists it was published with", Error,
		"A list that the published revision asks was deleted, and perhaps another one made under its name since. It has other members than those " +
			"that were reviewed; an empty list that was meant to keep records safe would keep nobody. Review the workflow and publish it again.",
	}
	Altered = Code{
		"WF128", "every value is what stands in the file", Error,
		"YAML makes another text of some values than their readers see: escape sequences in double quotes (\"\\b\" is a backspace), a backslash that " +
			"joins two lines, a # that ends a value. Such a text is refused, since those who review a file read what stands there. Escaped quotes and backslashes are " +
			"fine, and so are \\n and \\t in a description.",
	}
)

// The schedule.
var (
	BadCron = Code{
		"WF301", "`cron` has five fields", Error,
		"The fields are minute (0-59), hour (0-23), day of month (1-31), month (1-12 or jan-dec) and day of week (0-7 or sun-sat; 0 and 7 are Sunday). " +
			"Each is *, a number, a range such as 1-5, a step such as */15 or 10-40/10, or several of these with commas between.",
	}
	ZoneInCron = Code{
		"WF302", "the time zone is not part of `cron`", Error,
		"Some programs take TZ= or CRON_TZ= before the five fields. Here the zone has a key of its own, `timezone`, which expressions use too.",
	}
	NoFixedSlots = Code{
		"WF303", "a schedule has fixed slots", Error,
		"A slot, such as 03:00 each night, is what keeps two daemons from running it twice and what a missed run is caught up for. " +
			"@every counts from whenever the program started, and @reboot from when the machine did: they have no slots. " +
			"@hourly, @daily, @weekly, @monthly and @yearly do.",
	}
	SecondsInCron = Code{
		"WF304", "`cron` has no field for seconds", Error,
		"Six fields mean a field for seconds in some programs and for years in others. Leave it out: a workflow runs at most once a minute.",
	}
	StepTooLarge = Code{
		"WF305", "a step fits its field", Error,
		"A step such as */70 in minutes never means every 70 minutes: fields start afresh each hour, day or month, so it would " +
			"run at the first value only.",
	}
	NeverFires = Code{
		"WF306", "the schedule has a next run", Error,
		"No day fits, such as 31 February. The workflow would never run, and nobody would notice.",
	}
	UnknownZone = Code{
		"WF307", "`timezone` is an IANA name", Error,
		"Zones are named after a city, such as Europe/Amsterdam, so that daylight saving is right. Abbreviations and fixed offsets are not accepted; UTC is.",
	}
	NoSchedule = Code{
		"WF308", "the workflow has a schedule", Warning,
		"Without `schedule` the daemon never runs it: it runs only by hand, with `workflow run`.",
	}
	EitherDay = Code{
		"WF309", "day of month and day of week are not both restricted", Warning,
		"With both given, cron runs when either fits: `0 3 13 * 5` is every Friday and every 13th, not Friday the 13th.",
	}
	EveryMinute = Code{
		"WF310", "a fixed hour has a fixed minute", Warning,
		"`* 3 * * *` runs sixty times between 03:00 and 03:59. Once at three is `0 3 * * *`.",
	}
	UnevenStep = Code{
		"WF311", "a step divides its field evenly", Warning,
		"Fields start afresh: */45 in minutes runs at :00 and :45 of each hour, so the gaps are 45 and 15 minutes in turn. Months have 28 to 31 days and a week 7, " +
			"so no step of days is even: */2 as day of month runs on the 31st and on the 1st.",
	}
	FixedOffset = Code{
		"WF312", "the time zone is a place", Warning,
		"EST, MST, HST and GMT have no summer time: 03:00 EST is 04:00 in New York from March to November. Etc/GMT+5 is five hours *behind* UTC, since POSIX counts " +
			"west of Greenwich as positive. A city's zone, such as America/New_York, follows the clock that people there read; UTC says that none is meant.",
	}
	MissingDay = Code{
		"WF313", "every month has the day", Warning,
		"Five months have no 31st, and February has no 30th and seldom a 29th. The schedule passes them over. For the end of each month, write the first day of the next.",
	}
)

// Limits and actions.
var (
	BadMaxDeletions = Code{
		"WF401", "`max_deletions` is at least 1", Error,
		"The limit is a whole number of records that one run may delete, at most 1,000,000,000. Zero or less would hold every run; " +
			"to stop a workflow, switch it off with `publish --off`.",
	}
	BadMaxPercent = Code{
		"WF402", "`max_percent` is over 0 and at most 100", Error,
		"The limit is a percentage of the live records that one run may delete, such as 10 or 0.5.",
	}
	UnknownAction = Code{
		"WF403", "every action is known", Error,
		"Actions are an explicit list in the program; a file cannot name another one.",
	}
	RepeatedAction = Code{
		"WF404", "no action stands twice", Error,
		"Doing the same thing twice to the same record is never meant.",
	}
	NoActions = Code{
		"WF405", "`actions` says what to do", Error,
		"A workflow without actions does nothing. To see who would enroll, use `workflow review`: it only reads.",
	}
	WrongObject = Code{
		"WF406", "the action is meant for the object", Error,
		"Only contacts can be deleted by a workflow. Companies, deals, tickets and calls are what others in the team work on, " +
			"and are deleted by a person who looks at them.",
	}
	NoLimit = Code{
		"WF407", "the limits limit something", Warning,
		"At 100 percent one run may delete every record of the account, and only `max_deletions` stands in between.",
	}
	BadMaxPerSecond = Code{
		"WF408", "`max_per_second` is at least 1", Error,
		"The limit is a whole number of records that the workflow's runs may delete in a second, at most 1,000,000, so that they leave " +
			"Redis to others. Fewer than one in a second would take a day for 40,000 records and spare nobody anything; zero would never end. Leave it out for no limit.",
	}
	AboveCeiling = Code{
		"WF409", "no limit is above the account's", Error,
		"A super admin has set how many records may be deleted in 24 hours, by all workflows and people together: deletions_per_day. A workflow " +
			"that may delete more says something that never happens. Found where there is an account: validate with a store, review, publish.",
	}
	AboveShare = Code{
		"WF410", "no limit is above what the account allows by default", Warning,
		"Unless a super admin sets deletions_per_day, 20 % of the live records may be deleted in 24 hours, and at least 1,000. A limit above " +
			"that holds nothing: the account's ceiling does it before, and only a super admin can approve the run. Found where there is an account.",
	}
)
