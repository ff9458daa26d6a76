package diag

// exprCodes is the part of the table that is about expressions, WF2xx.
func exprCodes() []Code {
	return []Code{
		ExprSyntax, ExprUnknownProperty, ExprSharedLabel, ExprUnknownName, ExprUnknownFunction, ExprArguments,
		ExprTypes, ExprUnknownOption, ExprNotCondition, ExprNotAllowed, ExprBadLiteral, ExprBadRegexp,
		ExprTooLarge, ExprUnknownList, ExprNil, ExprNoProperty, ExprPointless,
		ExprBrokenList, ExprListCycle, ExprNestedList, ExprComment, ExprEscape, ExprNumber, ExprMixedScripts, ExprExclude,
	}
}

// Expressions.
var (
	ExprSyntax = Code{
		"WF201", "an expression can be read", Error,
		"The text of the expression breaks off or goes on where it should not: a bracket that is not closed, two values with nothing between them, " +
			"= where == is meant, AND where && or and is meant. What can be read in two ways wants brackets: ?? beside any other operator, and ! before a comparison.",
	}
	ExprUnknownProperty = Code{
		"WF202", "every property is in the schema", Error,
		"An expression speaks of properties by their internal name, or by their label in snake case: Last Activity Date is " +
			"contact.last_activity_date. `workflow properties list` shows both; a removed property is not offered any more.",
	}
	ExprSharedLabel = Code{
		"WF203", "a property's name fits one property", Error,
		"Two properties carry the same label, so the label does not say which one is meant. Write the internal name.",
	}
	ExprUnknownName = Code{
		"WF204", "every name means something", Error,
		"An expression knows the record by the name of its object, as in contact.email, the moments now and today, and the functions. " +
			"A text stands in quotes.",
	}
	ExprUnknownFunction = Code{
		"WF205", "every function is one of ours", Error,
		"The functions are known, unknown, now, today, daysSince, daysUntil, daysAgo, monthsSince, monthsAgo, yearsAgo, daysBetween, dayOf, date, duration, " +
			"inList, lower, domain and number; " +
			"texts are tested with the words contains, startsWith, endsWith and matches.",
	}
	ExprArguments = Code{
		"WF206", "a function gets the arguments it wants", Error,
		"A function was given too few or too many values, or one of another kind: daysSince wants a date, daysAgo a number of days, inList a name in quotes.",
	}
	ExprTypes = Code{
		"WF207", "only like is compared with like", Error,
		"A number is compared with a number, a date with a date, a text with a text. A date is written date(\"2026-01-31\"); " +
			"an age in days is daysSince(contact.createdate). Texts have no order: \"10\" would come before \"9\"; the number in a text is number(contact.zip). " +
			"Nothing is converted by guessing, because a wrong guess deletes the wrong people.",
	}
	ExprUnknownOption = Code{
		"WF208", "an enumeration is compared with an option that it has", Error,
		"A comparison with an option that is not there is never true, or with != always: surely not what was meant. " +
			"Options are written with their internal value, not their label, and in the same case.",
	}
	ExprNotCondition = Code{
		"WF209", "a trigger is a condition", Error,
		"A trigger answers yes or no for each record. A number, a text or a date does not; compare it with something.",
	}
	ExprNotAllowed = Code{
		"WF210", "an expression keeps to the small language", Error,
		"Loops over lists, variables, ranges, joining of texts and access to parts of values are left out on purpose: they make an expression " +
			"hard to review, impossible to answer from columns, and able to use up the machine.",
	}
	ExprBadLiteral = Code{
		"WF211", "a date or a duration can be read", Error,
		"date(\"...\") takes a day (2026-01-31) or an instant with its offset (2026-01-31T10:00:00Z); duration(\"...\") takes whole or decimal numbers " +
			"with w, d, h, m, s or ms, such as 2w, 365d or 1h30m. Both are read when the file is loaded, not at three in the morning.",
	}
	ExprBadRegexp = Code{
		"WF212", "the pattern of matches is a regular expression", Error,
		"The pattern is written as a text, in the syntax of RE2 (no look-ahead, no back-references), so that testing it takes time in proportion to the text.",
	}
	ExprTooLarge = Code{
		"WF213", "an expression can be reviewed", Error,
		"An expression has at most 4,096 bytes, 1,000 parts and 64 levels of nesting. Split it into several triggers, or put the contacts into a static list.",
	}
	ExprUnknownList = Code{
		"WF214", "every list is there", Error,
		"inList(\"name\") asks a list of the account, static or active. A list that is not there has no members, so nobody would be kept out by it.",
	}
	ExprNil = Code{
		"WF215", "missing values are asked with known and unknown", Error,
		"A comparison with a missing value is neither true nor false. Write known(contact.email) or unknown(contact.email), or give a " +
			"stand-in: contact.email ?? \"none\".",
	}
	ExprNoProperty = Code{
		"WF216", "a condition asks something about the record", Error,
		"Without a property and without a list the answer is the same for every record, so either everybody or nobody enrolls. " +
			"If everybody is meant, write true.",
	}
	ExprPointless = Code{
		"WF217", "each part of an expression can be true of some and false of others", Error,
		"x || true is true for everybody, and x && false for nobody. Such a leftover of a trial run must not decide who is deleted. No e-mail " +
			"address holds a blank or a comma, and every text holds the empty one: a test for these keeps nobody, or everybody.",
	}
	ExprBrokenList = Code{
		"WF218", "the expression of an active list can be used", Error,
		"An active list is an expression, and who is on it is worked out when it is asked. Since the list was made, a property, an option or " +
			"a list that its expression speaks of was removed or renamed, so nobody can say any more who is on it.",
	}
	ExprListCycle = Code{
		"WF219", "active lists do not ask each other in a circle", Error,
		"The expression of an active list may ask other lists. When the way leads back to the first one, there is no answer.",
	}
	ExprNestedList = Code{
		"WF220", "active lists do not ask each other without end", Error,
		"A chain of active lists that ask each other has at most 8 of them: nobody can review more, and each one costs time for every record.",
	}
	ExprComment = Code{
		"WF221", "comments in expressions stand in texts that keep their lines", Error,
		"A // comment goes on to the end of its line. YAML joins the lines of plain, quoted and folded (>) texts, so that such a comment swallows all that follows: " +
			"conditions that a reader sees, and the program does not. Below a | lines stay lines. A YAML comment (#) above the expression is always fine.",
	}
	ExprEscape = Code{
		"WF222", "texts in expressions are what they look like", Error,
		"A backslash in a text begins an escape sequence: \"\\b\" is a backspace, not the end of a word, and \"\\x41\" is an A that nobody sees. Only \\\\, the quotes, \\n, \\r " +
			"and \\t are taken. A text does not go over the end of a line either, where YAML would make one blank of it, and its accents are part of their letters.",
	}
	ExprNumber = Code{
		"WF223", "numbers in expressions are written in plain decimal", Error,
		"A leading zero means octal to some readers, and 0x10 is 16. Numbers are counted in 64-bit floating point: whole numbers beyond 9,007,199,254,740,992 would become others.",
	}
	ExprExclude = Code{
		"WF225", "conditions that are joined with && can be true together", Error,
		"No value is both \"lead\" and \"customer\", below 10 and above 30, or known and unknown. Such conditions keep nobody: as a trigger they do nothing, " +
			"and as a suppression they protect no record. Where either is meant, join them with ||, or ask with in.",
	}
	ExprMixedScripts = Code{
		"WF224", "a word keeps to one script", Warning,
		"A Cyrillic or Greek letter among Latin ones looks like its Latin twin and is another character, so the comparison is true of nobody. Copied texts bring them along.",
	}
)
