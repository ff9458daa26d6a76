package triggers

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/crm-workflow/crm-workflow/workflow/diag"
)

// findingCase is an expression and what is found in it: "CODE marked text | message | help".
type findingCase struct {
	source string
	want   []string
}

func findingCases() []findingCase {
	return []findingCase{
		{`contact.email ==`, []string{`WF201  | the expression breaks off here | something is missing: a value, or a closing bracket`}},
		{`(contact.bounced`, []string{`WF201  | the expression breaks off here | something is missing: a value, or a closing bracket`}},
		{`   `, []string{`WF201     | the expression is empty | write true if every record is meant`}},
		{`contact.city = "x"`, []string{`WF201 = | unexpected "=" | write == to compare`}},
		{`contact.bounced AND contact.hs_email_optout`, []string{`WF201 AND | unexpected "AND" | write &&, || and !, or and, or and not in lower case`}},
		{`contact.city == "x`, []string{`WF201  | a text is not closed | put a quote at its end`}},
		{`contact.city == “x”`, []string{`WF201 “ | unexpected "“" | texts stand in straight quotes: "lead"`}},
		{`daysSince(contact.createdate) > 365d`, []string{`WF201 d | a number goes on with letters | a length of time is written duration("365d"), a day date("2026-01-31")`}},
		{`contact.city ?? "x" == "x"`, []string{`WF201 == | "==" beside ?? can be read in two ways | put brackets around the part with ??, as in (contact.city ?? "none") == "none"`}},
		{"contact.city == \"\xff\"", []string{"WF201 contact.city == \"\xff\" | the expression is not text in UTF-8 | save the file as UTF-8"}},

		{`contact.lifecyclestge == "lead"`, []string{`WF202 contact.lifecyclestge | contact has no property "lifecyclestge" | did you mean contact.lifecyclestage?`}},
		{`daysSince(contact.last_activty_date) > 3`, []string{`WF202 contact.last_activty_date | contact has no property "last_activty_date" | did you mean contact.last_activity_date?`}},
		{`known(contact["zzzzzzzzzzz"])`, []string{"WF202 contact[\"zzzzzzzzzzz\"] | contact has no property \"zzzzzzzzzzz\" | `workflow properties list --object contact` shows them all"}},
		{`contact.gone > 3`, []string{`WF202 contact.gone | the property "gone" was removed from contact | `}},
		{`known(contact.phone)`, []string{`WF203 contact.phone | "phone" is the label of 2 properties | write contact.phone_home or contact.phone_work`}},
		{`lifecyclestage == "lead"`, []string{`WF204 lifecyclestage | unknown name "lifecyclestage" | did you mean contact.lifecyclestage?`}},
		{`contact.lifecyclestage == lead`, []string{`WF204 lead | unknown name "lead" | write "lead" for a text, or contact.NAME for a property`}},
		{`company.name == "x"`, []string{`WF204 company | the workflow is about the object contact, and companies are associated with it | ask any(companies, .name ...)`}},
		{`known(contact)`, []string{`WF204 contact | contact is the whole record | name a property, as in contact.email`}},
		{`contact.createdate < nwo`, []string{`WF204 nwo | unknown name "nwo" | did you mean now?`}},

		{`days_since(contact.createdate) > 3`, []string{`WF205 days_since(contact.createdate) | unknown function "days_since" | did you mean daysSince(date)?`}},
		{`len(contact.email) > 3`, []string{`WF205 len(contact.email) | unknown function "len" | the functions are known, unknown, now, today, daysSince, daysUntil, daysAgo, monthsSince, monthsAgo, yearsAgo, daysBetween, dayOf, date, duration, inList, lower, domain, number`}},
		{`daysSince() > 3`, []string{`WF206 daysSince() | daysSince takes 1 argument, not 0 | write daysSince(date)`}},
		{`daysSince(contact.email) > 3`, []string{`WF206 contact.email | daysSince wants a date, and contact.email is a text | as in daysSince(contact.last_activity_date) > 365`}},
		{`monthsAgo() < now`, []string{`WF206 monthsAgo() | monthsAgo takes 1 argument, not 0 | write monthsAgo(n)`}},
		{`contact.createdate < monthsAgo(1.5)`, []string{`WF206 monthsAgo(1.5) | monthsAgo counts whole months | the number of them is whole, as in contact.createdate < monthsAgo(24)`}},
		{`contact.createdate < yearsAgo(1.5)`, []string{`WF206 yearsAgo(1.5) | yearsAgo counts whole years | write monthsAgo(18)`}},
		{`contact.createdate < yearsAgo(99999)`, []string{`WF207 yearsAgo(99999) | yearsAgo(99999) has no finite result | `}},
		{`daysBetween(contact.createdate) > 3`, []string{`WF206 daysBetween(contact.createdate) | daysBetween takes 2 arguments, not 1 | write daysBetween(from, to)`}},
		{`dayOf(contact.city) == today`, []string{`WF206 contact.city | dayOf wants a date, and contact.city is a text | as in dayOf(contact.createdate) == date("2026-01-31")`}},
		{`number(contact.city, "comma", 3) > 3`, []string{`WF206 number(contact.city, "comma", 3) | number takes 1 or 2 arguments, not 3 | write number(text, "comma")`}},
		{`number(contact.city, ",") > 3`, []string{`WF206 number(contact.city, ",") | the second value of number is "comma" or "point" | write number(contact.city, "comma")`}},
		{`number(contact.total_revenue) > 3`, []string{`WF206 contact.total_revenue | number wants a text, and contact.total_revenue is a number | as in number(contact.zip) < 20000`}},
		{`number("5") > contact.total_revenue`, []string{`WF206 number("5") | number("5") asks nothing about the record | as in number(contact.zip) < 20000`}},
		{`domain("a@b.example") == contact.city`, []string{`WF206 domain("a@b.example") | domain("a@b.example") asks nothing about the record | as in domain(contact.email) in ["acme.example", "acme.test"]`}},
		{`daysSince > 3`, []string{`WF206 daysSince | daysSince is a function | write its arguments in brackets: daysSince(date)`}},
		{`known("x")`, []string{`WF206 known("x") | known("x") asks nothing about the record | as in known(contact.email)`}},
		{`inList(contact.city)`, []string{`WF206 inList(contact.city) | the name of a list is written out | as in inList("keep")`}},

		{`contact.createdate > "2026-01-31"`, []string{`WF207 contact.createdate > "2026-01-31" | contact.createdate is a date, and "2026-01-31" is a text | write a date as date("2026-01-31")`}},
		{`contact.createdate > 365`, []string{`WF207 contact.createdate > 365 | contact.createdate is a date, and 365 is a number | an age in days is daysSince(contact.createdate)`}},
		{`now - contact.createdate > 365`, []string{`WF207 now - contact.createdate > 365 | now - contact.createdate is a duration, and 365 is a number | write a length of time as duration("365d")`}},
		{`daysSince(contact.createdate) > duration("9d")`, []string{`WF207 daysSince(contact.createdate) > duration("9d") | daysSince(contact.createdate) is a number, and duration("9d") is a duration | write the number of days without duration`}},
		{`contact.total_revenue == "5"`, []string{`WF207 contact.total_revenue == "5" | contact.total_revenue is a number, and "5" is a text | write the number without quotes`}},
		{`contact.company == 5`, []string{`WF207 contact.company == 5 | contact.company is a text, and 5 is a number | the number in a text is number(contact.company)`}},
		{`contact.bounced == "true"`, []string{`WF207 contact.bounced == "true" | contact.bounced is a yes or no, and "true" is a text | write true or false without quotes`}},
		{`contact.bounced > false`, []string{`WF207 contact.bounced > false | a yes or no has no order, so > cannot be asked | write the condition itself, or ! before it`}},
		{`(contact.total_revenue > 3) == false`, []string{`WF207 (contact.total_revenue > 3) == false | == compares conditions | write the condition itself, or ! before it`}},
		{`contact.lifecyclestage > "lead"`, []string{`WF207 contact.lifecyclestage > "lead" | options have no order, so > cannot be asked | ask for options with == or in`}},
		{`contact.city in ["a", 5]`, []string{`WF207 5 | contact.city is a text, and 5 is a number | the number in a text is number(contact.city)`}},
		{`contact.city in []`, []string{`WF207 [] | the list is empty | nothing is in an empty list`}},
		{`"x" in contact.city`, []string{`WF207 contact.city | in wants a list in square brackets | write in ["one", "two"]; a part of a text is asked with contains`}},
		{`contact.total_revenue contains "x"`, []string{`WF207 contact.total_revenue | contains tests texts, and contact.total_revenue is a number | `}},
		{`contact.createdate + 5 > now`, []string{`WF207 contact.createdate + 5 | + between a date and a number has no meaning | days are added as a duration: now - duration("365d"), or write daysAgo(365)`}},
		{`contact.total_revenue / 0 > 1`, []string{`WF207 contact.total_revenue / 0 | a division by zero has no result | `}},
		{`contact.total_revenue > 1e308 * 10`, []string{`WF207 1e308 * 10 | 1e308 * 10 has no finite result | `}},
		{`("x" ?? "y") == contact.city`, []string{`WF207 "x" ?? "y" | "x" is never unknown, so ?? does nothing | take ?? and what follows out`}},
		{`contact.bounced in [true]`, []string{`WF207 contact.bounced in [true] | a yes or no is not looked up in a list | write the condition itself, or ! before it`}},
		{`-contact.email == "x"`, []string{`WF207 contact.email | - wants a number, and contact.email is a text | `}},

		{`contact.lifecyclestage == "laed"`, []string{`WF208 "laed" | contact.lifecyclestage has no option "laed" | did you mean "lead"?`}},
		{`contact.lifecyclestage in ["lead", "Label customer", "zzzzzz"]`, []string{
			`WF208 "Label customer" | contact.lifecyclestage has no option "Label customer" | write "customer", the internal value`,
			`WF208 "zzzzzz" | contact.lifecyclestage has no option "zzzzzz" | its options are subscriber, lead, customer, marketingqualifiedlead`,
		}},
		{`"Lead" != contact.lifecyclestage`, []string{`WF208 "Lead" | contact.lifecyclestage has no option "Lead" | write "lead", the internal value`}},

		{`contact.email`, []string{`WF209 contact.email | a trigger is a condition, and contact.email is a text | ask for a part of it, as in contact.email endsWith "@example.com", or ask known(contact.email)`}},
		{`contact.createdate && !contact.total_revenue`, []string{
			`WF209 contact.createdate | && joins conditions, and contact.createdate is a date | compare it, as in daysSince(contact.createdate) > 365`,
			`WF209 contact.total_revenue | ! joins conditions, and contact.total_revenue is a number | compare it, as in contact.total_revenue > 0`,
		}},

		{`any([1, 2], # > 1)`, []string{`WF210 [1, 2] | any goes through associated records alone | name their object type in the plural, as in any(deals, .amount > 1000)`}},
		{`contact.total_revenue in 1..5`, []string{`WF210 1..5 | .. is not part of the language | write a range with >= and <=`}},
		{`contact.city + contact.company == "x"`, []string{`WF210 contact.city + contact.company | texts are not joined | test the parts one by one, with startsWith, endsWith or contains`}},
		{`let a = contact.city; a == "x"`, []string{`WF210 a = contact.city; a == "x" | let is not part of the language | write the value where it is used`}},
		{`contact?.city == "x"`, []string{`WF210 contact?.city | ?. is not part of the language | write contact.name; a missing value is unknown, never a failure`}},
		{`contact.city[1:2] == "x"`, []string{`WF210 contact.city[1:2] | a part of a value, [from:to], is not part of the language | use startsWith, endsWith, contains or matches`}},
		{`contact.city.name == "x"`, []string{`WF210 contact.city.name | contact.city has no parts | `}},
		{`contact.city.lower() == "x"`, []string{`WF210 contact.city.lower() | a value has no functions of its own | write the function first, as in lower(contact.email)`}},
		{`contact[contact.city] == "x"`, []string{`WF210 contact[contact.city] | the name of a property is written out | write contact.NAME`}},
		{`contact.city in [contact.company]`, []string{`WF210 contact.company | a list holds fixed values | write contact.city == contact.company || ...`}},
		{`{"a": 1} == {"a": 1}`, []string{`WF210 {"a": 1} | a map is not part of the language | `, `WF210 {"a": 1} | a map is not part of the language | `}},
		{`if contact.bounced { true } else { false }`, []string{`WF210 contact.bounced { true } else { false | if is not part of the language | write condition ? this : that, or join conditions with && and ||`}},
		{`contact.bounced; contact.bounced`, []string{`WF210 contact.bounced; contact.bounced | a sequence with ; is not part of the language | join conditions with && or ||`}},
		{`contact.total_revenue ** 2 > 3`, []string{`WF210 contact.total_revenue ** 2 | ** is not part of the language | write a range with >= and <=`}},

		{`contact.createdate > date("2026-02-30")`, []string{`WF211 date("2026-02-30") | "2026-02-30" is not in the calendar | write date("2026-01-31"), or date("2026-01-31T10:00:00Z") for an instant`}},
		{`contact.createdate > date("31/01/2026")`, []string{`WF211 date("31/01/2026") | "31/01/2026" is not a date | write date("2026-01-31"), or date("2026-01-31T10:00:00Z") for an instant`}},
		{`contact.createdate > date("2026-01-31T10:00:00")`, []string{`WF211 date("2026-01-31T10:00:00") | "2026-01-31T10:00:00" does not say in which zone | add Z for UTC, or an offset: date("2026-01-31T10:00:00Z")`}},
		{`now - contact.createdate > duration("1y")`, []string{`WF211 duration("1y") | "1y" has the unknown unit "y" | write duration("365d"), with w, d, h, m, s or ms`}},
		{`contact.createdate > date(contact.city)`, []string{`WF211 date(contact.city) | date takes a text that is written out | a date property needs no function around it`}},
		{`contact.city matches "("`, []string{"WF212 \"(\" | the pattern cannot be read: missing closing ): `(` | "}},
		{`contact.city matches contact.company`, []string{`WF212 contact.company | the pattern of matches is written out | use contains, startsWith or endsWith with a property`}},
		{`contact.city matches "(a{1000}){1000}"`, []string{"WF212 \"(a{1000}){1000}\" | the pattern cannot be read: invalid repeat count: `{1000}` | "}},
		{`contact.city matches "(abcdefghij){900}"`, []string{`WF212 "(abcdefghij){900}" | the pattern is too large | use smaller counts in {}`}},
		{`inList("kep")`, []string{`WF214 inList("kep") | there is no list "kep" | did you mean inList("keep")?`}},
		{`inList("something")`, []string{`WF214 inList("something") | there is no list "something" | the lists are keep, vip`}},
		{`contact.email == nil`, []string{`WF215 contact.email == nil | nil is no value here | write unknown(contact.email)`}},
		{`nil != contact.email`, []string{`WF215 nil != contact.email | nil is no value here | write known(contact.email)`}},
		{`(contact.city ?? nil) == "x"`, []string{`WF215 nil | nil is no value here | ask known(...) or unknown(...), or give a stand-in with ??`}},
		{`now > date("2026-01-01")`, []string{`WF216 now > date("2026-01-01") | nothing is asked about the contact | name a property, or write true if every record is meant`}},
		{`contact.city == null`, []string{`WF215 contact.city == null | null is no value here | write unknown(contact.city)`}},
		{`NULL != contact.city`, []string{`WF215 NULL != contact.city | NULL is no value here | write known(contact.city)`}},
		{`undefined == contact.city`, []string{`WF215 undefined == contact.city | undefined is no value here | write unknown(contact.city)`}},
		{`contact.city in [null]`, []string{`WF215 contact.city in [null] | null is no value here | write unknown(contact.city)`}},
		{`contact.city not in [nil]`, []string{`WF215 contact.city not in [nil] | nil is no value here | write known(contact.city)`}},
		{`contact.city in ["a", null, "b"]`, []string{`WF215 contact.city in ["a", null, "b"] | null is no value here | write (unknown(contact.city) || contact.city in ["a", "b"])`}},
		{`contact.city not in ["a", null]`, []string{`WF215 contact.city not in ["a", null] | null is no value here | write (known(contact.city) && contact.city not in ["a"])`}},
		{`contact.city == ""`, []string{`WF215 contact.city == "" | "" is no value here: a text that is empty is unknown | write unknown(contact.city)`}},
		// nothing that can never be true
		{`lower(contact.city) == "Jürgen"`, []string{`WF217 "Jürgen" | lower(contact.city) is in lower case, and "Jürgen" is not | write "jürgen"`}},
		{`"JÜRGEN" != lower(contact.city)`, []string{`WF217 "JÜRGEN" | lower(contact.city) is in lower case, and "JÜRGEN" is not | write "jürgen"`}},
		{`lower(contact.city) in ["köln", "Bonn"]`, []string{`WF217 "Bonn" | lower(contact.city) is in lower case, and "Bonn" is not | write "bonn"`}},
		{`lower(contact.city) startsWith "Sankt"`, []string{`WF217 "Sankt" | lower(contact.city) is in lower case, and "Sankt" is not | write "sankt"`}},
		{`lower(contact.city ?? "none") contains "Bad "`, []string{`WF217 "Bad " | lower(contact.city ?? "none") is in lower case, and "Bad " is not | write "bad "`}},
		{`lower(contact.city) matches "^Bad|[A-Z]x"`, []string{`WF217 "^Bad|[A-Z]x" | lower(contact.city) is in lower case, and the pattern wants a capital letter | write "(?i)^Bad|[A-Z]x"`}},
		{`upper(contact.city) == "a"`, []string{`WF205 upper(contact.city) | unknown function "upper" | did you mean lower(text)?`}},
		{`contact.email == ""`, []string{`WF215 contact.email == "" | "" is no value here: a text that is empty is unknown | write unknown(contact.email)`}},
		{`lower(contact.city) == ""`, []string{`WF215 lower(contact.city) == "" | "" is no value here: a text that is empty is unknown | write unknown(lower(contact.city))`}},
		{`domain(contact.email) == ""`, []string{`WF215 domain(contact.email) == "" | "" is no value here: a text that is empty is unknown | write unknown(domain(contact.email))`}},
		{`contact.city in ["", "x"]`, []string{`WF215 "" | "" is no value here: a text that is empty is unknown | take it out, and ask unknown(contact.city) beside it`}},
		{`contact.city matches "^$"`, []string{`WF215 contact.city matches "^$" | only the empty text matches, and a text that is empty is unknown | write unknown(contact.city)`}},
		{`contact.zip < "20000"`, []string{`WF207 contact.zip < "20000" | texts are compared letter by letter ("10" comes before "9"), so < is not what it seems | write number(contact.zip) < 20000`}},
		{`"100" >= contact.zip`, []string{`WF207 "100" >= contact.zip | texts are compared letter by letter ("10" comes before "9"), so >= is not what it seems | write 100 >= number(contact.zip)`}},
		{`contact.city > contact.company`, []string{`WF207 contact.city > contact.company | texts are compared letter by letter ("10" comes before "9"), so > is not what it seems | write number(contact.city) > number(contact.company), if they are numbers`}},
		{`contact.city < "2026-01-31"`, []string{`WF207 contact.city < "2026-01-31" | texts are compared letter by letter ("10" comes before "9"), so < is not what it seems | a text is no date; add a date property with ` + "`" + `workflow properties add NAME --type date` + "`" + `, import its values into it, and compare that`}},
		{`lower(contact.city) > "m"`, []string{`WF207 lower(contact.city) > "m" | texts are compared letter by letter ("10" comes before "9"), so > is not what it seems | ask for texts with ==, in, startsWith, endsWith, contains or matches`}},
		{`contact.email < "m"`, []string{`WF207 contact.email < "m" | texts are compared letter by letter ("10" comes before "9"), so < is not what it seems | ask for texts with ==, in, startsWith, endsWith, contains or matches`}},
		{`contact.zip > 500`, []string{`WF207 contact.zip > 500 | contact.zip is a text, and 500 is a number | the number in a text is number(contact.zip)`}},
		{`lower(contact.status) == "opne"`, []string{`WF208 "opne" | lower(contact.status) has no option "opne" | did you mean "open"?`}},
		{`lower(contact.status) == "Open"`, []string{`WF208 "Open" | lower(contact.status) has no option "Open" | write "open", in lower case`}},
		{`lower(contact.lifecyclestage) in ["lead", "Label customer"]`, []string{`WF208 "Label customer" | lower(contact.lifecyclestage) has no option "Label customer" | write "customer", in lower case`}},
		{`domain(contact.email) == "@acme.example"`, []string{`WF217 "@acme.example" | "@acme.example" is no domain: what stands after the @ of an address, with a dot in it | write "acme.example"`}},
		{`domain(contact.email) != "ann@acme.example"`, []string{`WF217 "ann@acme.example" | "ann@acme.example" is no domain: what stands after the @ of an address, with a dot in it | write "acme.example"`}},
		{`domain(contact.email) in ["acme.example", "acme"]`, []string{`WF217 "acme" | "acme" is no domain: what stands after the @ of an address, with a dot in it | name the whole domain, such as "acme.example", or ask domain(contact.email) startsWith "acme."`}},
		{`domain(contact.email) == "acme example"`, []string{`WF217 "acme example" | "acme example" is no domain: what stands after the @ of an address, with a dot in it | name a whole domain, such as "acme.example"`}},
		{`domain(contact.email) endsWith "@acme.example"`, []string{`WF217 "@acme.example" | no domain endsWith "@acme.example" | write "acme.example"`}},
		{`lower(domain(contact.email)) startsWith ".acme"`, []string{`WF217 ".acme" | no domain startsWith ".acme" | write a part of a domain, such as "acme.example"`}},
		{`contact.total_revenue in []`, []string{`WF207 [] | the list is empty | nothing is in an empty list`}},
		{`daysSince(contact.createdate) == 0.5`, []string{`WF217 daysSince(contact.createdate) == 0.5 | daysSince(contact.createdate) == 0.5 is never true | write daysSince(contact.createdate) == 0`}},
		{`!(monthsSince(contact.createdate) != 2.5)`, []string{`WF217 monthsSince(contact.createdate) != 2.5 | monthsSince(contact.createdate) == 2.5 is never true | take it out`}},
		{`daysSince(contact.createdate) > 4000000`, []string{`WF217 daysSince(contact.createdate) > 4000000 | daysSince(contact.createdate) > 4000000 is never true | take it out`}},
		{`daysSince(contact.createdate) > -4000000`, []string{`WF217 daysSince(contact.createdate) > -4000000 | daysSince(contact.createdate) > (-4000000) is true of every value of contact.createdate | write known(contact.createdate), if every value is meant`}},
		{`contact.closedate == date("2026-01-31T10:00:00Z")`, []string{`WF217 contact.closedate == date("2026-01-31T10:00:00Z") | contact.closedate == date("2026-01-31T10:00:00Z") is never true | write contact.closedate == date("2026-01-31")`}},
		{`dayOf(contact.createdate) == date("2026-01-31T10:00:00Z")`, []string{`WF217 dayOf(contact.createdate) == date("2026-01-31T10:00:00Z") | dayOf(contact.createdate) == date("2026-01-31T10:00:00Z") is never true | write dayOf(contact.createdate) == date("2026-01-31")`}},
		{`contact.createdate < date("0001-01-01")`, []string{`WF217 contact.createdate < date("0001-01-01") | contact.createdate < date("0001-01-01") is never true | take it out`}},
		{`contact.lifecyclestage == "lead" && contact.lifecyclestage == "customer"`, []string{`WF225 contact.lifecyclestage == "lead" && contact.lifecyclestage == "customer" | contact.lifecyclestage == "lead" and contact.lifecyclestage == "customer" are never true together | write contact.lifecyclestage in ["lead", "customer"], if either is meant`}},
		{`contact.city == "x" && known(contact.email) && contact.city == "y"`, []string{`WF225 contact.city == "y" | contact.city == "x" and contact.city == "y" are never true together | take out what is not meant, or join with || what may be true by itself`}},
		{`contact.city in ["x", "y"] and "z" == contact.city`, []string{`WF225 contact.city in ["x", "y"] and "z" == contact.city | contact.city in ["x", "y"] and "z" == contact.city are never true together | write contact.city in ["x", "y", "z"], if either is meant`}},
		{`contact.city == "x" && contact.city startsWith "y"`, []string{`WF225 contact.city == "x" && contact.city startsWith "y" | contact.city == "x" and contact.city startsWith "y" are never true together | take out what is not meant, or join with || what may be true by itself`}},
		{`contact.city startsWith "x" && contact.city startsWith "y"`, []string{`WF225 contact.city startsWith "x" && contact.city startsWith "y" | contact.city startsWith "x" and contact.city startsWith "y" are never true together | take out what is not meant, or join with || what may be true by itself`}},
		{`contact.email endsWith "@x.example" && contact.email endsWith "@Y.example"`, []string{`WF225 contact.email endsWith "@x.example" && contact.email endsWith "@Y.example" | contact.email endsWith "@x.example" and contact.email endsWith "@y.example" are never true together | take out what is not meant, or join with || what may be true by itself`}},
		{`contact.total_revenue > 10 && contact.total_revenue < 5`, []string{`WF225 contact.total_revenue > 10 && contact.total_revenue < 5 | contact.total_revenue > 10 and contact.total_revenue < 5 are never true together | write contact.total_revenue > 5 && contact.total_revenue < 10, if what lies between is meant`}},
		{`10 < contact.total_revenue < 5`, []string{`WF225 10 < contact.total_revenue < 5 | 10 < contact.total_revenue and contact.total_revenue < 5 are never true together | write contact.total_revenue > 5 && contact.total_revenue < 10, if what lies between is meant`}},
		{`daysSince(contact.createdate) < 30 && daysSince(contact.createdate) > 365`, []string{`WF225 daysSince(contact.createdate) < 30 && daysSince(contact.createdate) > 365 | daysSince(contact.createdate) < 30 and daysSince(contact.createdate) > 365 are never true together | write daysSince(contact.createdate) < 365 && daysSince(contact.createdate) > 30, if what lies between is meant`}},
		{`contact.createdate > now && daysSince(contact.createdate) > 3`, []string{`WF225 contact.createdate > now && daysSince(contact.createdate) > 3 | contact.createdate > now and daysSince(contact.createdate) > 3 are never true together | take out what is not meant, or join with || what may be true by itself`}},
		{`contact.createdate > date("2026-01-31") && contact.createdate < date("2026-01-01")`, []string{`WF225 contact.createdate > date("2026-01-31") && contact.createdate < date("2026-01-01") | contact.createdate > date("2026-01-31") and contact.createdate < date("2026-01-01") are never true together | write contact.createdate > date("2026-01-01") && contact.createdate < date("2026-01-31"), if what lies between is meant`}},
		{`monthsSince(contact.createdate) > 24 && contact.createdate > yearsAgo(1)`, []string{`WF225 monthsSince(contact.createdate) > 24 && contact.createdate > yearsAgo(1) | monthsSince(contact.createdate) > 24 and contact.createdate > yearsAgo(1) are never true together | take out what is not meant, or join with || what may be true by itself`}},
		{`contact.total_revenue == 3 && contact.total_revenue in [1, 2]`, []string{`WF225 contact.total_revenue == 3 && contact.total_revenue in [1, 2] | contact.total_revenue == 3 and contact.total_revenue in [1, 2] are never true together | write contact.total_revenue in [3, 1, 2], if either is meant`}},
		{`contact.total_revenue > 3 && unknown(contact.total_revenue)`, []string{`WF225 contact.total_revenue > 3 && unknown(contact.total_revenue) | contact.total_revenue > 3 and unknown(contact.total_revenue) are never true together | take out what is not meant, or join with || what may be true by itself`}},
		{`known(contact.city) && unknown(contact.city)`, []string{`WF225 known(contact.city) && unknown(contact.city) | known(contact.city) and unknown(contact.city) are never true together | take out what is not meant, or join with || what may be true by itself`}},
		{`!contact.bounced && contact.bounced == true`, []string{`WF225 contact.bounced && contact.bounced == true | !contact.bounced and contact.bounced == true are never true together | take out what is not meant, or join with || what may be true by itself`}},
		{`inList("keep") && !inList("keep")`, []string{`WF225 inList("keep") | inList("keep") and !inList("keep") are never true together | take out what is not meant, or join with || what may be true by itself`}},
		{`contact.city == contact.company && contact.city != contact.company`, []string{`WF225 contact.city == contact.company && contact.city != contact.company | contact.city == contact.company and contact.city != contact.company are never true together | take out what is not meant, or join with || what may be true by itself`}},
		{`contact.bounced || contact.total_revenue > 10 && contact.hs_email_optout && contact.total_revenue < 5`, []string{`WF225 contact.total_revenue < 5 | contact.total_revenue > 10 and contact.total_revenue < 5 are never true together | take out what is not meant, or join with || what may be true by itself`}},
		{`(contact.status == "open" || contact.status == "closed") && contact.status not in ["open", "closed"]`, []string{`WF225 contact.status not in ["open", "closed"] | (contact.status == "open" || contact.status == "closed") and contact.status not in ["open", "closed"] are never true together | take out what is not meant, or join with || what may be true by itself`}},
		{`contact.total_revenue > 1 && contact.total_revenue < 3 && contact.total_revenue not in [2] && (contact.total_revenue == 2 || contact.total_revenue == 5)`, []string{`WF225 contact.total_revenue > 1 && contact.total_revenue < 3 && contact.total_revenue not in [2] && (contact.total_revenue == 2 || contact.total_revenue == 5 | these conditions are never true together | take out what is not meant, or join with || what may be true by itself`}},
		{`!(contact.total_revenue <= 10 || contact.total_revenue >= 5)`, []string{`WF225 contact.total_revenue >= 5 | contact.total_revenue > 10 and contact.total_revenue < 5 are never true together | take out what is not meant, or join with || what may be true by itself`}},
		{`contact.city is null`, []string{`WF201 is | unexpected "is" | a missing value is asked with unknown(contact.city), one that is there with known(contact.city)`}},

		{`!contact.bounced ?? false`, []string{`WF201 !contact.bounced ?? false | "!" beside ?? can be read in two ways | write !(contact.bounced ?? false), or (!contact.bounced) ?? false`}},
		{`not contact.bounced ?? false`, []string{`WF201 not contact.bounced ?? false | "not" beside ?? can be read in two ways | write not (contact.bounced ?? false), or (not contact.bounced) ?? false`}},
		{`-contact.total_revenue ?? 0 < 3`, []string{`WF201 -contact.total_revenue ?? 0 | "-" beside ?? can be read in two ways | write -(contact.total_revenue ?? 0), or ((-contact.total_revenue) ?? 0)`}},
		{`contact.total_revenue ?? 0 < 3`, []string{`WF201 < | "<" beside ?? can be read in two ways | put brackets around the part with ??, as in (contact.city ?? "none") == "none"`}},
		{`3 > -contact.total_revenue ?? 0`, []string{`WF201 -contact.total_revenue ?? 0 | "-" beside ?? can be read in two ways | write -(contact.total_revenue ?? 0), or ((-contact.total_revenue) ?? 0)`}},
		{`(2 * contact.total_revenue ?? 0) > 3`, []string{`WF201 2 * contact.total_revenue ?? 0 | "*" beside ?? can be read in two ways | write 2 * (contact.total_revenue ?? 0), or ((2 * contact.total_revenue) ?? 0)`}},
		{`3 < 2 + contact.total_revenue ?? 0`, []string{`WF201 2 + contact.total_revenue ?? 0 | "+" beside ?? can be read in two ways | write 2 + (contact.total_revenue ?? 0), or ((2 + contact.total_revenue) ?? 0)`}},
		{`"a" == contact.city ?? "b"`, []string{`WF201 "a" == contact.city ?? "b" | "==" beside ?? can be read in two ways | write "a" == (contact.city ?? "b"), or ("a" == contact.city) ?? "b"`}},
		{`contact.bounced && contact.hs_email_optout ?? true`, []string{`WF201 contact.bounced && contact.hs_email_optout ?? true | "&&" beside ?? can be read in two ways | write contact.bounced && (contact.hs_email_optout ?? true), or (contact.bounced && contact.hs_email_optout) ?? true`}},
		{`contact.bounced or contact.hs_email_optout ?? true`, []string{`WF201 contact.bounced or contact.hs_email_optout ?? true | "or" beside ?? can be read in two ways | write contact.bounced or (contact.hs_email_optout ?? true), or (contact.bounced or contact.hs_email_optout) ?? true`}},
		{`contact.hs_email_optout ?? true && contact.bounced`, []string{`WF201 && | "&&" beside ?? can be read in two ways | put brackets around the part with ??, as in (contact.city ?? "none") == "none"`}},
		{`contact.bounced ?? true ? contact.bounced : contact.hs_email_optout`, []string{`WF201 contact.bounced ?? true ? contact.bounced : contact.hs_email_optout | "?" beside ?? can be read in two ways | write (contact.bounced ?? true) ? contact.bounced : contact.hs_email_optout`}},
		{`contact.bounced ? contact.bounced : contact.hs_email_optout ?? true`, []string{`WF201 contact.bounced ? contact.bounced : contact.hs_email_optout ?? true | ":" beside ?? can be read in two ways | write contact.bounced ? contact.bounced : (contact.hs_email_optout ?? true)`}},
		{`contact.city ?? "x" in ["x"]`, []string{`WF201 in | "in" beside ?? can be read in two ways | put brackets around the part with ??, as in (contact.city ?? "none") == "none"`}},
		{`contact.city ?? "x" contains "y"`, []string{`WF201 contains | "contains" beside ?? can be read in two ways | put brackets around the part with ??, as in (contact.city ?? "none") == "none"`}},
		{`contact.city contains contact.company ?? "y"`, []string{`WF201 contact.city contains contact.company ?? "y" | "contains" beside ?? can be read in two ways | write contact.city contains (contact.company ?? "y"), or (contact.city contains contact.company) ?? "y"`}},
		{`!contact.city == "x"`, []string{`WF201 !contact.city == "x" | "!" before == can be read in two ways | write !(contact.city == "x")`}},
		{`not contact.city in ["x"]`, []string{`WF201 not contact.city in ["x"] | "not" before in can be read in two ways | write not (contact.city in ["x"])`}},
		{`!contact.bounced == true`, []string{`WF201 !contact.bounced == true | "!" before == can be read in two ways | write !(contact.bounced == true)`}},

		{"contact.city not matches \"\\bBerlin\\b\"", []string{`WF222 "\bBerlin\b" | "\b" is a backspace here | write "\\bBerlin\\b"`}},
		{`contact.city == "\x41\u00e9\U0001F600\101\u{e9}"`, []string{`WF222 "\x41\u00e9\U0001F600\101\u{e9}" | "\x41" is "A" here | write "Aé😀Aé"`}},
		{`contact.city == "\x22\x5c"`, []string{`WF222 "\x22\x5c" | "\x22" is "\"" here | write "\"\\"`}},
		{`contact.city contains "\u200b"`, []string{`WF222 "\u200b" | "\u200b" is the character U+200B here, which nobody sees | to find it, write matches "\\x{200B}"`}},
		{`contact.city matches "\d+"`, []string{`WF222 "\d+" | "\d" means nothing here | write "\\d+"`}},
		{"contact.city == \"Zu\u0308rich\"", []string{"WF222 \"Zu\u0308rich\" | the accents of this text are characters of their own, and the text is another one than that with accented letters | write \"Zürich\""}},
		{`contact.total_revenue == 010`, []string{`WF223 010 | 010 is not a number in plain decimal | write 10`}},
		{`contact.total_revenue == 0x10`, []string{`WF223 0x10 | 0x10 is not a number in plain decimal | write 16`}},
		{`contact.total_revenue == 1_00`, []string{`WF223 1_00 | 1_00 is not a number in plain decimal | write 100`}},
		{`contact.total_revenue == 9007199254740993`, []string{`WF223 9007199254740993 | 9007199254740993 is too large to be kept exactly | `}},
		{"contact.city == \"B\u0435rlin\"", []string{"WF224 \"B\u0435rlin\" | \"B\u0435rlin\" mixes scripts: its 'е' is U+0435, not the letter that it looks like | "}},
		{"contact.em\u0430il == \"x\"", []string{"WF202 contact.em\u0430il | contact has no property \"em\u0430il\": its 'а' is U+0430, not the letter that it looks like | did you mean contact.email?"}},
		{"contact.city == \"Ber\u200blin\"", []string{"WF102 \u200b | character U+200B cannot be seen | take it out"}},
		{"contact.city\u00a0== \"x\u3000\"", []string{"WF102 \u00a0 | character U+00A0 looks like a blank and is none | write a blank", "WF102 \u3000 | character U+3000 looks like a blank and is none | write a blank"}},
		{`known(contact.city) # note`, []string{`WF201 # | unexpected "#" | a comment stands above the expression, on a line of its own; inside it is // in a text below a |`}},

		{`contact.bounced || true`, []string{`WF217 true | true beside || decides for every record | take it out`}},
		{`!false`, []string{`WF217 false | false beside ! decides for every record | take it out`}},

		{`contact.a1 == 1 && daysSinc(contact.email) > 3 || contact.total_revenue == "x" and inList("nope")`, []string{
			"WF202 contact.a1 | contact has no property \"a1\" | `workflow properties list --object contact` shows them all",
			`WF205 daysSinc(contact.email) | unknown function "daysSinc" | did you mean daysSince(date)?`,
			`WF207 contact.total_revenue == "x" | contact.total_revenue is a number, and "x" is a text | write the number without quotes`,
			`WF214 inList("nope") | there is no list "nope" | the lists are keep, vip`,
		}},
		{"contact.city == \"ü\" && contact.statu == 1", []string{"WF202 contact.statu | contact has no property \"statu\" | did you mean contact.status?"}},
	}
}

// TestFindings holds, for each kind of finding, its place (the text it points at), message and help.
func TestFindings(t *testing.T) {
	t.Parallel()
	covered := map[string]bool{}
	for _, test := range slices.Concat(findingCases(), associationFindings()) {
		_, findings := Compile(diag.NewText("f.yaml", test.source, func(offset int) diag.Pos { return diag.Pos{Line: 1, Col: offset + 1} }), testVocabulary())
		var got []string
		for _, f := range findings {
			covered[f.Code.ID] = true
			got = append(got, strings.Join([]string{f.Code.ID + " " + test.source[f.Pos.Col-1:f.End.Col-1], f.Message, f.Help}, " | "))
		}
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", test.source, diff)
		}
	}
	for _, elsewhere := range []diag.Code{diag.ExprTooLarge, diag.ExprBrokenList, diag.ExprListCycle, diag.ExprNestedList, diag.ExprComment} {
		covered[elsewhere.ID] = true // TestTooLarge, TestActiveListFindings, TestComments
	}
	for _, c := range diag.Codes() {
		if strings.HasPrefix(c.ID, "WF2") && !covered[c.ID] {
			t.Errorf("no test meets %s, %s", c.ID, c.Title)
		}
	}
}

var (
	instead = regexp.MustCompile(`^(?:did you mean (.+)\?|write (.+ \?\? .+), or (\(.+)|write (.+), (?:in quotes|the internal value|on one line|in lower case|if .+)|write (.+))$`)
	// notInstead is help that gives an example, or says how to go about it.
	notInstead = regexp.MustCompile(`^write (a part of|true if|== to|&&|a date|a length|a range|contact\.NAME|contact\.name|contact\.lifecyclestage in|condition|it |the (value|condition|number|function|expression)|their|its|date\(|duration\(|true or|in \[)|NAME|, for a text|for a text| or contact\.|\|\| \.\.\.|^did you mean [a-zA-Z]+\(date\)\?`)
)

// Whoever writes what a help text says gets rid of the finding, and the result can be read.
func TestFindings_HelpTextsHelp(t *testing.T) {
	t.Parallel()
	applied := 0
	for _, test := range slices.Concat(findingCases(), associationFindings()) {
		_, findings := Compile(diag.NewText("", test.source, nil), testVocabulary())
		for _, f := range findings {
			m := instead.FindStringSubmatch(f.Help)
			if len(findings) != 1 || m == nil || notInstead.MatchString(f.Help) {
				continue
			}
			at := byteOffsets(test.source)
			for _, text := range m[1:] {
				if text == "" {
					continue
				}
				applied++
				if text == "a blank" {
					text = " "
				}
				changed := test.source[:at(f.Pos.Col-1)] + text + test.source[at(f.End.Col-1):]
				for _, after := range compileFindings(changed) {
					if after.Code.ID == f.Code.ID && after.Message == f.Message || after.Code.ID == diag.ExprSyntax.ID {
						t.Errorf("%s: %q gives %s, which is not better: %s", test.source, f.Help, changed, after)
					}
				}
			}
		}
	}
	if applied < 40 {
		t.Errorf("only %d help texts were applied", applied)
	}
}

func compileFindings(source string) diag.List {
	_, findings := Compile(diag.NewText("", source, nil), testVocabulary())
	return findings
}

// What says which side binds first, and what is read in one way only, is let through.
func TestBracketsThatNobodyNeeds(t *testing.T) {
	t.Parallel()
	for _, source := range []string{
		`(contact.city ?? "x") == "x"`, `!(contact.bounced ?? false)`, `(!contact.bounced) ?? false`, `contact.bounced ?? contact.hs_email_optout ?? false`,
		`contact.bounced ?? !contact.hs_email_optout`, `lower(contact.city ?? contact.company) == "x"`, `2 * ((contact.total_revenue ?? 0)) > 3`, `(contact.total_revenue ?? -1) < 0`,
		`known(contact.email) && !known(contact.city) || contact.bounced`, `contact.city not in ["a"] && contact.city not contains "b"`, `!(contact.city == "x")`, `-contact.total_revenue < 3`,
		`1 < contact.total_revenue < 5`, `contact.bounced ? contact.hs_email_optout ?? true : false`, `(contact.city ?? "") == ""`, `contact.city != ""`, `contact.total_revenue > 1_000 + .5 + 1e3`,
		`contact.city matches "\\bBerlin\\b"`, "contact.city contains \"a\\n\\t\\\"\"", "contact.city == 'Zürich' || contact.city == \"москва\"", "contact.city == `a\\b`",
		"known(contact.email) // note\n&& contact.bounced", "known(contact.email) /* note\n*/ && contact.bounced", `contact.city == "http://x" || contact.city == "/* x */"`,
	} {
		if e, findings := Compile(diag.NewText("", source, nil), testVocabulary()); e == nil || len(findings) > 0 {
			t.Errorf("%s: %v", source, findings)
		}
	}
}

func TestTooLarge(t *testing.T) {
	t.Parallel()
	for name, source := range map[string]string{
		"bytes":      `contact.city == "` + strings.Repeat("x", maxSource) + `"`,
		"parts":      `contact.total_revenue in [1` + strings.Repeat(",1", maxNodes) + `]`,
		"levels":     strings.Repeat("!", maxDepth+5) + "contact.bounced",
		"normalized": nestedChoice(16),
	} {
		e, findings := Compile(diag.NewText("", source, nil), testVocabulary())
		if e != nil || len(findings) != 1 || findings[0].Code.ID != diag.ExprTooLarge.ID {
			t.Errorf("%s: got %v", name, findings)
		}
	}
}

// nestedChoice doubles its normal form with each level.
func nestedChoice(levels int) string {
	s := "contact.bounced"
	for range levels {
		s = "(" + s + " ? contact.hs_email_optout : contact.bounced)"
	}
	return s
}
