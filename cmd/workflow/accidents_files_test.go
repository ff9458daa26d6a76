package main

import (
	"bytes"
	"encoding/csv"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/crm-workflow/crm-workflow/crmstore/storetest"
)

// This file has the accidents that begin in a file: a workflow, a CSV file, a link, a pipe.

// textAccidents are workflow files of which YAML or the expression language makes something else than a reader expects.
func textAccidents() []accident {
	refused := func(name, code, trigger string) accident {
		return refusedFile(name, code, workflowFile("w", trigger, ""))
	}
	accidents := []accident{
		refused("a blank after !", "WF108", "! contact.hs_email_optout"),
		refused("! before a call", "WF108", "!known(contact.city)"),
		refused("! before a quoted text", "WF108", `! "contact.hs_email_optout"`),
		refusedFile("! in a flow list", "WF108", "workflow: w\nobject: contact\nenroll:\n  triggers: [! contact.hs_email_optout]\nactions: [delete_contact]\n"),
		refusedFile("! on a list", "WF108", "workflow: w\nobject: contact\nenroll:\n  triggers: !\n    - contact.hs_email_optout\nactions: [delete_contact]\n"),
		refusedFile("! on a key", "WF108", "workflow: w\nobject: contact\nenroll:\n  ! triggers:\n    - contact.hs_email_optout\nactions: [delete_contact]\n"),
		refusedFile("! on a boolean", "WF108", "workflow: w\nobject: contact\nenroll:\n  reenroll: ! false\n  triggers:\n    - contact.hs_email_optout\nactions: [delete_contact]\n"),
		refusedFile("! on a number", "WF108", workflowFile("w", "contact.hs_email_optout", "limits: {max_deletions: ! 5}")),
		refused("a type tag", "WF108", "!!str contact.hs_email_optout"),
		refused("an anchor", "WF108", "&x contact.hs_email_optout"),
		refused("a // note in a folded text", "WF221", ">\n      contact.hs_email_optout // note\n      && contact.city == \"Paris\""),
		refused("a // note in a plain text", "WF221", "contact.hs_email_optout // note\n      && contact.city == \"Paris\""),
		refused("a // note in a quoted text", "WF221", "'contact.hs_email_optout // note\n      && contact.city == \"Paris\"'"),
		refused("a /* note in a folded text", "WF221", ">\n      contact.hs_email_optout /* note\n      && contact.city == \"Paris\" */"),
		refused(`"\b" is a backspace`, "WF222", `contact.city not matches "\bBerlin\b"`),
		refused(`"\x42" is a letter`, "WF222", `contact.city == "\x42erlin"`),
		refused("an escape in YAML's quotes", "WF128", `"contact.city == '\x42erlin'"`),
		refused("a text over the end of a line", "WF222", ">\n      contact.city == \"New\n      York\""),
		refused("== null", "WF215", "contact.city == null"),
		refused("!= nil", "WF215", "contact.city != nil"),
		refused("a comma among numbers", "WF201", "contact.total_revenue < 1,000"),
		refused("an octal number", "WF223", "contact.total_revenue < 010"),
		refused("= for ==", "WF201", `contact.city = "Paris"`),
		refused("two texts and one property", "WF209", `contact.city == "Paris" || "Rome"`),
		refused("a list that is not there", "WF214", `'!inList("nobody")'`),
		refused("a trailing blank in a part of an address", "WF217", `'contact.email endsWith "@acme.example "'`),
		refused("two parts of addresses in one text", "WF217", `'contact.email contains "@a.example, @b.example"'`),
		refused("an empty text that is in all others", "WF217", `'contact.city contains ""'`),
		refused("an empty pattern", "WF217", `'contact.city matches ""'`),
		refused("a part of no option", "WF208", `'contact.lifecyclestage startsWith "Lead"'`),
		refused("a pattern of no option", "WF208", `'contact.lifecyclestage matches "^Lead$"'`),
		refused("a character that the editor lost", "WF101", `'contact.city == "M�nchen"'`),
		refusedFile("a key that stands twice", "WF111", "workflow: w\nobject: contact\nenroll:\n  suppress: [contact.city == \"Paris\"]\n  suppress: [contact.city == \"Rome\"]\n  triggers:\n    - known(contact.city)\nactions: [delete_contact]\n"),
		refusedFile("a merge key", "WF108", "<<: {object: contact}\n"+workflowFile("w", "contact.hs_email_optout", "")),
		refusedFile("a second document", "WF107", workflowFile("w", "contact.hs_email_optout", "")+"---\nworkflow: x\n"),
		refusedFile("a byte order mark of UTF-16", "WF101", "\xff\xfe"+workflowFile("w", "contact.hs_email_optout", "")),
		refusedFile("limits: 20%", "WF115", workflowFile("w", "contact.hs_email_optout", "limits: {max_percent: 20%}")),
		refusedFile("limits: octal", "WF115", workflowFile("w", "contact.hs_email_optout", "limits: {max_deletions: 010}")),
		refusedFile("limits: 0", "WF401", workflowFile("w", "contact.hs_email_optout", "limits: {max_deletions: 0}")),
		refusedFile("reenroll: no", "WF114", workflowFile("w", "contact.hs_email_optout", "")+"schedule: {cron: '@daily'}\nenroll2: {}\n"),
	}
	accidents[len(accidents)-1] = refusedFile("reenroll: no", "WF114", "workflow: w\nobject: contact\nenroll:\n  reenroll: no\n  triggers:\n    - contact.hs_email_optout\nactions: [delete_contact]\n")
	for _, mixed := range []string{
		"!contact.hs_email_optout ?? false", "-contact.num_notes ?? 0 > 1", "2 * contact.num_notes ?? 0 > 1", "contact.num_notes ?? 0 > 1", "contact.num_notes > 1 ?? 0",
		`contact.city == "Paris" ?? true`, "not contact.hs_email_optout ?? false", "contact.num_notes + 1 ?? 0 > 1", "contact.hs_email_optout ?? false ? true : false",
		`!contact.city == "Paris"`, `not contact.city contains "Par"`,
	} {
		accidents = append(accidents, refused("can be read in two ways: "+mixed, "WF201", "'"+strings.ReplaceAll(mixed, "'", "''")+"'"))
	}
	for name, unseen := range map[string]string{
		"U+200B": "\u200b", "U+00AD": "\u00ad", "U+E0041": "\U000e0041", "U+180E": "\u180e", "U+3164": "\u3164", "U+FE0F": "\ufe0f", "U+2065, which Unicode keeps for later": "\u2065",
		"U+00A0": "\u00a0", "U+2028": "\u2028", "U+202E": "\u202e", "U+FEFF": "\ufeff", "U+034F": "\u034f", "U+115F": "\u115f",
	} {
		accidents = append(accidents, refused("unseen "+name, "WF102", `contact.city == "Ber`+unseen+`lin"`))
	}
	return accidents
}

// refusedFile is a workflow file that is not published, since it holds a finding.
func refusedFile(name, code, text string) accident {
	return accident{name: name, files: map[string]string{"w.yaml": text}, shared: true, steps: []step{do(1, "["+code+"]", "publish", "w.yaml", "--yes")}}
}

// personAccidents are people who were taken for others, in CSV files and in comparisons.
func personAccidents() []accident {
	keep := func(name, written string) accident { // is Ada, and no second person
		return accident{name: "an address with " + name, files: map[string]string{"keep.csv": "Email\n" + quotedCell(written) + "\n"}, shared: true, steps: []step{
			do(0, "1 as they were\n1 contact added to list", "records", "import", "keep.csv", "--list", "keep-"+strings.ToLower(strings.NewReplacer(" ", "-", ":", "").Replace(name))),
			do(0, "ada@x.example", "records", "get", written), do(1, "contact 1 has it", "blocklist", "add", written),
		}}
	}
	unclear := func(name, header, cell, says string) accident { // is refused, and the line is left out
		return accident{name: name, files: map[string]string{"x.csv": "Email," + header + "\nnew@x.example," + quotedCell(cell) + "\n"}, shared: true, steps: []step{
			do(1, says+"\n1 line was left out", "records", "import", "x.csv"),
		}}
	}
	imports := func(name, says string, exit int, stays string, files map[string]string, flags ...string) accident {
		a := accident{name: name, files: files, stays: stays}
		for _, file := range slices.Sorted(maps.Keys(files)) {
			a.steps = append(a.steps, do(0, "", append([]string{"records", "import", file}, flags...)...))
		}
		last := &a.steps[len(a.steps)-1]
		last.exit, last.says = exit, says
		return a
	}
	accidents := []accident{
		{name: "own people in capitals", people: "Email,Last Activity Date\nJANE@ACME.EXAMPLE,2020-01-01\njoe@Acme.example,2020-01-01\n", files: map[string]string{
			"own.yaml": "workflow: own\nobject: contact\nenroll:\n  triggers:\n    - daysSince(contact.last_activity_date) > 365\n  suppress:\n    - contact.email endsWith \"@acme.example\"\nlimits: {max_percent: 100}\nactions: [delete_contact]\n",
		}, stays: "jane@acme.example joe@acme.example", steps: []step{
			do(0, "", "publish", "own.yaml", "--yes"), do(0, "kept by a suppression", "run", "own"),
			do(0, "2", "records", "count", "--where", `contact.email matches "ACME" && contact.email in ["jane@ACME.example", "JOE@acme.example"]`),
		}},
		imports("HubSpot's Record ID of another system", "record 1 is ada@x.example, and the line says xavier@x.example", 1, "ada ben cy dee eve yvonne",
			map[string]string{"f.csv": "Record ID,Email,First Name\n1,xavier@x.example,Xavier\n51,yvonne@x.example,Yvonne\n"}),
		imports("a plain id of another system", "so it is not taken for the record id", 1, all, map[string]string{"f.csv": "id,Email,First Name\n1,xavier@x.example,Xavier\n"}),
		imports("hs_object_id of another system", "record 2 is ben@x.example", 1, all, map[string]string{"f.csv": "hs_object_id,Email\n2,xavier@x.example\n"}),
		imports("an id whose line has no address", "record 2 is ben@x.example, and the line has no e-mail address", 1, all, map[string]string{"f.csv": "Record ID,Email,First Name\n2,,Xavier\n"}),
		imports("ids in a file without addresses", "record 1 is ada@x.example, and the line has no e-mail address\n--trust-ids", 1, all, map[string]string{"f.csv": "Record ID,First Name\n1,Xavier\n2,Yvonne\n"}),
		imports("RecordID of another system", "record 2 is ben@x.example\n!new property", 1, all, map[string]string{"f.csv": "RecordID,Email\n2,xavier@x.example\n"}, "--create-properties"),
		imports("Hs Object Id of another system", "record 2 is ben@x.example\n!new property", 1, all, map[string]string{"f.csv": "Hs Object Id,Email\n2,xavier@x.example\n"}, "--create-properties"),
		imports("a header with a letter of another alphabet", "which looks like another one", 1, all, map[string]string{"f.csv": "Email,\u0421ountry\nf@x.example,Ulm\n"}, "--create-properties"),
		imports("addresses that changed, where ids are trusted", "2 contacts have another e-mail address than before", 0, "ada2 ben2 cy dee eve",
			map[string]string{"f.csv": "Record ID,Email\n1,ada2@x.example\n2,ben2@x.example\n"}, "--trust-ids"),
		keep("a character that nobody sees", "\u200bada@x.example"),
		keep("mailto:", "mailto:ada@x.example"),
		keep("mailto://", "mailto://ada@x.example"),
		keep("angle brackets", "Ada <ada@x.example>"),
		keep("quotes", "'ada@x.example'"),
		keep("a full stop at its end", "ada@x.example."),
		keep("a semicolon at its end", "ada@x.example;"),
		keep("a comma at its end", "ada@x.example,"),
		keep("bidi marks", "\u202aada@x.example\u202c"),
		keep("capitals", "ADA@X.Example"),
		keep("full-width letters", "ａｄａ＠x.example"),
		imports("two addresses in one cell", "it has more than one @", 1, all, map[string]string{"f.csv": "Email\nada@x.example; ben@x.example\n"}),
		imports("no address in the cell", "is not an e-mail address", 1, all, map[string]string{"f.csv": "Email\nada(at)x.example\n"}),
		imports("a twin of a standard property", "!new property", 0, "ada ben cy dee eve f g",
			map[string]string{"f.csv": "Email,Country\nf@x.example,Ulm\n", "g.csv": "Email,COUNTRY,State,Zip\ng@x.example,Ulm,BW,01234\n"}, "--create-properties"),
		{name: "properties of an import that failed", files: map[string]string{"f.csv": "Email,Shoe Size\nnobody,38\n"}, stays: all, steps: []step{
			do(1, "!new property", "records", "import", "f.csv", "--create-properties"), do(0, "!shoe_size", "properties", "list"),
		}},
		unclear("a compact timestamp", "Last Activity Date", "202611201030", "may be 2026-11-20 10:30 or milliseconds since 1970"),
		unclear("eight digits for a date", "Last Activity Date", "20261120", "may be a date without dashes or milliseconds"),
		unclear("seconds for milliseconds", "Last Activity Date", "1704448800", "may be seconds or milliseconds"),
		unclear("the order of day and month", "Last Activity Date", "01/02/2024", "does not say which number is the day"),
		unclear("a stand-in for no date", "Last Activity Date", "0001-01-01T00:00:00Z", "stands for no date"),
		unclear("the first day of a computer", "Last Activity Date", "1970-01-01", "stands for no date"),
		unclear("the first second of a computer in Amsterdam", "Last Activity Date", "1970-01-01T01:00:00+01:00", "stands for no date"),
		unclear("the first second of a computer in New York", "Last Activity Date", "1969-12-31 19:00:00", "stands for no date"),
		unclear("no milliseconds", "Last Activity Date", "0000000000000", "stands for no date"),
		unclear("the first day of a spreadsheet", "Last Activity Date", "30.12.1899", "stands for no date"),
		unclear("a year with two digits missing", "Last Activity Date", "0024-01-05", "stands for no date"),
		unclear("the zeroth day of January", "Last Activity Date", "1900-01-00", "stands for no date"),
		unclear("leading zeros", "Total Revenue", "0815", "would lose the zero"),
		{name: "1.234 in a European file", files: map[string]string{"f.csv": "Email;Total Revenue\nnew@x.example;1.234\n"}, stays: all, steps: []step{do(1, "can be read in two ways\n--decimal comma", "records", "import", "f.csv")}},
		{name: "1.234 among numbers with commas", files: map[string]string{"f.csv": "Email;Total Revenue\nf@x.example;1.234\ng@x.example;1.234,56\n"}, stays: "ada ben cy dee eve f g", steps: []step{
			do(0, "", "records", "import", "f.csv"), do(0, "2", "records", "count", "--where", "contact.total_revenue > 1000"),
		}},
		imports("a code with leading zeros becomes a property", "(string)", 0, "ada ben cy dee eve f", map[string]string{"f.csv": "Email,Branch Code\nf@x.example,0123\n"}, "--create-properties"),
		imports("two stray quotes", "a quoted cell holds 2 line breaks", 1, "ada ben cy dee eve k", map[string]string{"f.csv": "Email,First Name\nf@x.example,\"F\ng@x.example,G\nh@x.example,H\"\nk@x.example,K\n"}),
		imports("a broken quote", "4 lines from this one on are left out\n4 lines were left out", 1, all, map[string]string{"f.csv": "Email,First Name\nf@x.example,\"F\ng@x.example,G\nh@x.example,H\nk@x.example,K\n"}),
		{name: "an own export with the largest ids", people: "Record ID,Email\n9007199254740991,ada@x.example\n", stays: "ada ben", steps: []step{
			do(0, "", "records", "create", "email=ben@x.example"), do(0, "", "records", "export", "--out", "out.csv"),
			do(0, "2 as they were", "records", "import", "out.csv"),
		}},
		{name: "an export with the largest ids in another account", people: "Email\nada@x.example\n", files: map[string]string{"f.csv": "Record ID,Email\n9007199254740992,ben@x.example\n"}, stays: "ada ben", steps: []step{
			do(1, "--id-column email", "records", "import", "f.csv", "--trust-ids"), do(0, "1 new", "records", "import", "f.csv", "--id-column", "email"),
		}},
	}
	for _, written := range []string{"=ada@x.example", "*ada@x.example", "ada@x.example-", "\U0001F4E7ada@x.example", "\u0430da@x.example", "ada@x\u2010y.example", "ada@x.example (work)", "ada@x.example!"} {
		accidents = append(accidents, accident{name: "no address: " + written, files: map[string]string{"f.csv": "Email\n" + quotedCell(written) + "\n"}, shared: true, steps: []step{
			do(1, "is not an e-mail address\n1 line was left out", "records", "import", "f.csv"),
		}})
	}
	return accidents
}

func quotedCell(s string) string { return `"` + strings.ReplaceAll(s, `"`, `""`) + `"` }

// scriptAccidents are about the log and about scripts that stopped half-way.
func scriptAccidents() []accident {
	return []accident{
		{name: "erasing a contact with the name of an actor", people: "Email,First Name,Last Name\nada@x.example,Ada,A\nx@x.example,storetest,delete\n", stays: "", steps: []step{
			do(0, "", "delete", "1", "--yes"), do(0, "permanently", "delete", "--permanent", "2", "--confirm", "1"),
			do(0, "delete\nstoretest", "audit", "--record", "1"),
		}},
		{name: "a log stream that takes no event", files: map[string]string{"all.yaml": workflowFile("all", "daysSince(contact.last_activity_date) > 365", "limits: {max_percent: 100}")}, stays: all, steps: []step{
			redisStep("XADD", "crm:{$ACCOUNT/contact/0}:log", "18446744073709551615-18446744073709551615", "x", "y"),
			do(3, "", "delete", "1", "--yes"), do(0, "", "publish", "all.yaml", "--yes"), do(3, "", "run", "all"),
		}},
		{name: "a stranger acts", stays: all, steps: []step{
			do(1, "is not a user", "delete", "1", "--yes", "--as", "stranger"), do(1, "is not a user", "records", "export", "--as", "stranger"),
			do(1, "is not a user", "purge", "--expired", "--as", "stranger"), do(1, "is not a user", "account", "clock", "--accept", "--as", "stranger"),
		}},
	}
}

// fileAccidents are files that others planted, devices, pipes, secrets, and characters that drive a terminal.
func fileAccidents() []accident {
	at := func(store, exit string, says string, args ...string) step {
		code := 0
		if exit != "" {
			code = int(exit[0] - '0')
		}
		return do(code, says, append(args, "--store", store)...)
	}
	return []accident{
		{name: "a planted store whose log is a link", files: map[string]string{"victim": "before"}, before: func(t *testing.T, s *scene) {
			if err := errorsOf(os.Mkdir(s.path("planted"), 0o700), os.Symlink(s.path("victim"), s.path("planted/redis.log"))); err != nil {
				t.Fatal(err)
			}
		}, stays: all, steps: []step{
			at("dir:planted", "3", "redis.log is a link", "account", "create"),
			{call: func(t *testing.T, s *scene) {
				if text, err := os.ReadFile(s.path("victim")); err != nil || string(text) != "before" {
					t.Errorf("%q, %v", text, err)
				}
			}},
		}},
		{name: "a store that others may look into", before: func(t *testing.T, s *scene) {
			if err := errorsOf(os.Mkdir(s.path("open"), 0o700), os.WriteFile(s.path("open/redis.log"), nil, 0o600), os.Chmod(s.path("open"), 0o755)); err != nil {
				t.Fatal(err)
			}
		}, stays: all, steps: []step{at("dir:open", "3", "chmod 700", "account", "create")}},
		{name: "--out to a device", stays: all, steps: []step{
			do(3, "no space left on device", "records", "export", "--out", "/dev/full"),
			{call: func(t *testing.T, _ *scene) {
				if info, err := os.Stat("/dev/full"); err != nil || info.Mode()&os.ModeCharDevice == 0 {
					t.Errorf("/dev/full is %v, %v", info, err)
				}
			}},
		}},
		{name: "passwords in addresses of stores", stays: all, steps: []step{
			at("redis+sentinel://127.0.0.1:1/m?sentinel_password=hunter2&x=1", "2", "!hunter2", "account", "show"),
			at("redis://u:hun/ter2@127.0.0.1:1", "2", "!ter2", "account", "show"), at("redis://u:hunter2@127.0.0.1:x", "2", "!hunter2", "account", "show"),
			at("redis://:hunter2@127.0.0.1:1/%zz", "2", "!hunter2", "account", "show"), at("rediss+cluster://u:hunter2@[::1", "2", "!hunter2", "account", "show"),
			at("redis//u:hunter2@h", "2", "!hunter2", "account", "show"), at("redis://u:hunter2@127.0.0.1:1?db=x&password=hunter2", "2", "!hunter2", "account", "show"),
		}},
		{name: "characters that drive a terminal", people: "Email,First Name,Last Name,City\nada@x.example,\"\x1b[31mRed\",\"\nA\",\u009b2J\n", stays: "ada", files: map[string]string{
			"w.yaml": workflowFile("w", `contact.city != "x"`, ""),
		}, steps: []step{
			do(0, "!\x1b\n!\u009b", "records", "list"), do(0, "!\x1b\n!\u009b", "records", "get", "1"), do(0, "!\x1b\n!\u009b", "records", "list", "--format", "json"),
			do(0, "!\x1b\n!\u009b", "review", "w.yaml"), do(0, "!\x1b\n!\u009b", "why", "w.yaml", "1"), do(1, "!\x1b", "show", "w\x1b[2J"), do(2, "!\u009b", "records", "lost\u009b"),
		}},
		{name: "a cell that a spreadsheet would run", people: "Email,First Name,Last Name\nada@x.example,=A1+1,\"\n@SUM(A1)\"\n", stays: "ada", files: map[string]string{"w.yaml": workflowFile("w", `contact.firstname != "x"`, "")}, steps: []step{
			do(0, "", "review", "w.yaml", "--csv", "who.csv"),
			{call: func(t *testing.T, s *scene) {
				rows := readCSV(t, s.path("who.csv"))
				for _, cell := range rows[1] {
					if strings.ContainsAny(cell[:min(len(cell), 1)], "=+@\n\r\t-") {
						t.Errorf("cell %q", cell)
					}
				}
			}},
			do(0, "", "records", "export", "--out", "out.csv"), do(0, "1 as they were", "records", "import", "out.csv"),
		}},
		{name: "SIGTERM while a pipe gives nothing", stays: all, before: func(t *testing.T, s *scene) {
			if err := syscall.Mkfifo(s.path("pipe"), 0o600); err != nil {
				t.Fatal(err)
			}
		}, steps: []step{{call: func(t *testing.T, s *scene) {
			for _, args := range [][]string{{"validate", "pipe"}, {"records", "import", "pipe"}} {
				cmd := s.command(args...)
				if err := cmd.Start(); err != nil {
					t.Fatal(err)
				}
				if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
					t.Fatal(err)
				}
				_ = cmd.Wait() // that it ends is the test
			}
		}}}},
	}
}

// storeAccidents are losses and damages of the store itself.
func storeAccidents() []accident {
	kept := map[string]string{"w.yaml": "workflow: w\nobject: contact\nenroll:\n  triggers:\n    - daysSince(contact.last_activity_date) > 365\n  suppress:\n    - inList(\"keep\")\nlimits: {max_percent: 100}\nactions: [delete_contact]\n"}
	return []accident{
		{name: "a keep-list that the server lost", files: kept, stays: all, steps: []step{
			do(0, "", "lists", "create", "keep"), do(0, "", "lists", "add", "keep", "1", "2"), do(0, "", "publish", "w.yaml", "--yes"),
			redisStep("DEL", "crm:{$ACCOUNT/contact/0}:list:1"),
			do(3, `list "keep" of contacts has lost 2 of its 2 members`, "run", "w"), do(1, "lost\n!good", "doctor"), do(1, "!good", "doctor", "--repair"),
		}},
		{name: "enrollments that the server lost after an undo", files: map[string]string{"w.yaml": workflowFile("w", "daysSince(contact.last_activity_date) > 365", "limits: {max_percent: 100}")}, stays: all, steps: []step{
			do(0, "", "publish", "w.yaml", "--yes"), do(0, "", "run", "w", "--now", "2026-07-01"), do(0, "5 contacts restored", "undo", "w@2026-07-01T00:00:00Z.1"),
			redisStep("DEL", "crm:{$ACCOUNT/contact/0}:enr:w"), do(3, "has lost 5 of its 5 enrollments", "run", "w"),
		}},
		{name: "one damaged record", stays: "ada cy dee eve", steps: []step{
			redisStep("EVAL", `local id=string.char(2,0,0,0,0,0,0,0) local r=redis.call("HGET",KEYS[1],id) return redis.call("HSET",KEYS[1],id,(string.gsub(r,"ben","bem")))`, "1", "crm:{$ACCOUNT/contact/0}:rec"),
			do(1, "contact 2: damaged\nada@x.example", "records", "export"), do(1, "!good", "doctor", "--repair"), do(0, "", "doctor", "--quarantine"), do(0, "quarantined", "doctor"),
		}},
		{name: "the account is gone", stays: "*", files: map[string]string{
			"f.csv": "Email\nfay@x.example\n", "w.yaml": workflowFile("w", "daysSince(contact.last_activity_date) > 365", "limits: {max_percent: 100}"),
		}, steps: []step{{call: func(t *testing.T, s *scene) { accountGone(t, s) }}}},
	}
}

// accountGone takes all keys of the account away. From then on every verb says so, and none makes anything in its place.
func accountGone(t *testing.T, s *scene) {
	t.Helper()
	keys := func(command string) string {
		t.Helper()
		script := `local n=0 for _,k in ipairs(redis.call("KEYS","crm:{"..ARGV[1].."}*")) do n=n+redis.call("` + command + `",k) end ` +
			`for _,k in ipairs(redis.call("KEYS","crm:{"..ARGV[1].."/*")) do n=n+redis.call("` + command + `",k) end return n`
		return strings.TrimSpace(ask(t, "unix", strings.TrimPrefix(storetest.URL(t), "unix://"), "EVAL", script, "0", s.account))
	}
	s.must("publish", "w.yaml", "--yes")
	if reply := keys("DEL"); reply == ":0" || !strings.HasPrefix(reply, ":") {
		t.Fatalf("the server took away %s keys", reply)
	}
	for _, args := range [][]string{
		{"records", "count"},
		{"records", "import", "f.csv"},
		{"records", "create", "email=gus@x.example"},
		{"review", "w.yaml"},
		{"publish", "w.yaml", "--yes"},
		{"run", "w"},
		{"daemon"},
		{"delete", "1", "--yes"},
		{"restore", "1"},
		{"lists", "create", "keep"},
		{"doctor", "--repair"},
		{"purge", "--expired"},
		{"legal-hold", "add", "1", "--reason", "lawsuit"},
		{"account", "set", "deletions_per_day", "5"},
	} {
		if code, says := s.do(args...); code != 3 || !strings.Contains(says, "no such account") {
			t.Errorf("workflow %s exits with %d and says\n%s", strings.Join(args, " "), code, says)
		}
	}
	if reply := keys("EXISTS"); reply != ":0" {
		t.Errorf("afterwards the account has %s keys", reply)
	}
	s.must("account", "create", "--partitions", "1")
	if got := s.live(); got != "" {
		t.Errorf("in the account that was made anew is %s", got)
	}
}

func errorsOf(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

func readCSV(t *testing.T, path string) [][]string {
	t.Helper()
	text, err := os.ReadFile(filepath.Clean(path))
	if err != nil {
		t.Fatal(err)
	}
	rows, err := csv.NewReader(bytes.NewReader(text)).ReadAll()
	if err != nil || len(rows) < 2 {
		t.Fatalf("%d rows, %v", len(rows), err)
	}
	return rows
}
