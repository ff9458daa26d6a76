package definition

import (
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/crm-workflow/crm-workflow/workflow/diag"
)

// replacements are the forms of a help text that say what to write instead; the groups are what to write, each on its own.
var replacements = []*regexp.Regexp{
	regexp.MustCompile(`^did you mean (?:"([^"]*)"|([^"]*))\?$`),
	regexp.MustCompile(`^for example "([a-z0-9-]+)"$`),
	regexp.MustCompile(`^write (.+\?\? .+), or (\(.+)$`),
	regexp.MustCompile(`^write (\S+), or (?:UTC) if no place is meant$`),
	regexp.MustCompile(`^write (.+), (?:on one line|without anything around it|without quotes|the internal value)$`),
	regexp.MustCompile(`^write (\d+) if that is meant$`),
	regexp.MustCompile(`^if \d+ is meant, write (\d+)$`),
	regexp.MustCompile(`^once an hour is "(\d+) `),
	regexp.MustCompile(`^take it out()$`),
	regexp.MustCompile(`^write ("[^"]+"|'.+'|known\(.+\)|unknown\(.+\)|\S+|a blank|two ranges: (\S+))$`),
}

// additions are help texts that say what to add at the end of the file.
var additions = regexp.MustCompile(`^write\n((?s:.+))$`)

// advice is the beginnings of help texts that leave the words to the author. A help text that is neither fails the test.
var advice = []string{
	"a bare", "a colon", "a key is followed", "a list begins", "a fixed offset", "a zone is named", "ask for", "begin with", "break it", "close the", "contact ", "day of", "did you mean the", "each entry", "entries of one",
	"expected", "for the end of each month", "give one of the two", "give each", "if the ! means not", "in single quotes", "it belongs", "it wants", "it is", "its options", "keys of one", "known ", "leave it out", "leave the",
	"minute is", "hour is", "month is", "move it", "only contacts", "put ", "save ", "something is missing", "take it out,", "take it out;", "take it out, and", "take out the dash", "take one of them out", "take the line out", "text that holds", "texts stand", "the lists are",
	"the functions are", "to delete as fast", "to stop a workflow", "use ", "write ==", "write &&", "write a city's zone", "write a number", "write a whole number", "write five fields", "write it ", "write one ", "write on the next", "write the ", "write true if", "write true, without", "write false, without",
	"write two ranges", "write which", "write what", "write `object", "YAML takes a leading zero", "an expression that holds", "a workflow needs", "a step is", "Sunday", "`workflow", "write the zone", "a workflow runs", "a length of time", "a YAML", "the text", "write \"@", "write \"*/", "write \"0",
}

// Whoever does what a help text says gets rid of the finding, and of nothing else.
func TestLoad_HelpTextsHelp(t *testing.T) {
	t.Parallel()
	applied := 0
	for _, path := range goldens(t, "testdata/bad/*.yaml") {
		file, source := filepath.Base(path), readFile(t, path)
		_, before := Load(file, source, defaultVocabulary)
		for _, f := range before {
			texts, added := suggested(f.Help)
			if f.Help == "" || f.Code.ID == diag.More.ID {
				continue
			}
			if texts == nil && !added {
				if !slices.ContainsFunc(advice, func(begin string) bool { return strings.HasPrefix(f.Help, begin) }) {
					t.Errorf("%s: the help of [%s] %q is neither a replacement nor known advice", file, f.Code.ID, f.Help)
				}
				continue
			}
			for _, text := range texts {
				applied++
				changed := apply(t, file, source, f, text, added)
				_, after := Load(file, changed, defaultVocabulary)
				if count(before, f)-count(after, f) < 1 {
					t.Errorf("%s: after %q the finding is still there: %s", file, f.Help, f)
				}
				for _, a := range after {
					if a.Code.Severity == diag.Error && !hides(f) && count(before, a) == 0 {
						t.Errorf("%s: after %q there is a new finding:\n%s\n%s", file, f.Help, rendered(t, file, changed, diag.List{a}), changed)
					}
				}
			}
		}
	}
	if applied < 60 {
		t.Errorf("only %d help texts were applied", applied)
	}
}

// hides reports whether a finding keeps others from being found, so that they appear once it is gone.
func hides(f diag.Finding) bool {
	return f.Code.ID < "WF120" || f.Code.ID == diag.ExprSyntax.ID
}

func suggested(help string) (texts []string, added bool) {
	if m := additions.FindStringSubmatch(help); m != nil {
		return m[1:], true
	}
	for _, form := range replacements {
		m := form.FindStringSubmatch(help)
		if m == nil || slices.ContainsFunc(advice, func(begin string) bool { return strings.HasPrefix(help, begin) }) {
			continue
		}
		for _, text := range m[1:] {
			if text != "" || strings.HasPrefix(help, "take") {
				texts = append(texts, text)
			}
		}
		return texts, false
	}
	return nil, false
}

// apply writes a text in the place of what a finding underlines.
func apply(t *testing.T, file string, source []byte, f diag.Finding, text string, added bool) []byte {
	t.Helper()
	s := diag.NewSource(file, source)
	body := string(s.Text())
	if key, _, _ := strings.Cut(text, "\n"); added {
		body = regexp.MustCompile(`(?m)^`+key+`.*\n`).ReplaceAllString(body, "")
		return []byte(strings.TrimRight(body, "\n") + "\n" + text + "\n")
	}
	if text == "a blank" {
		text = " "
	}
	from, to := s.Offset(f.Pos), s.Offset(f.End)
	if strings.HasPrefix(body[from:to], `"`) && strings.HasPrefix(f.Help, "did you mean \"") {
		text = `"` + text + `"`
	}
	if strings.Contains(f.Help, "without anything around it") && from > 0 && strings.ContainsAny(body[from-1:from], `"'`) {
		from, to = from-1, to+1
	}
	if text == "" && f.Code.ID != diag.Invisible.ID { // an entry of a list goes with its line
		from, to = s.Offset(diag.Pos{Line: f.Pos.Line, Col: 1}), s.Offset(diag.Pos{Line: f.End.Line + 1, Col: 1})
		if f.Code.ID == diag.NotPlain.ID || f.Code.ID == diag.BadText.ID || f.Code.ID == diag.Altered.ID {
			from, to = s.Offset(f.Pos), s.Offset(f.End)
		}
	}
	return []byte(body[:from] + text + body[to:])
}

func count(l diag.List, f diag.Finding) int {
	n := 0
	for _, x := range l {
		if x.Code.ID == f.Code.ID && x.Message == f.Message {
			n++
		}
	}
	return n
}
