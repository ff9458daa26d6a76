package definition

import (
	"strings"
	"testing"

	"gopkg.in/yaml.v3"
)

// seenBy is what the author of one list entry sees: the text between the dash and the end of the entry, without quotes, the block's
// indicator, comments after a blank and #, and with white space as one blank. It reads bytes, and knows nothing of YAML's escapes.
func seenBy(entry string) string {
	entry = strings.TrimSpace(entry)
	switch {
	case strings.HasPrefix(entry, `"`):
		end := strings.LastIndex(entry, `"`)
		entry = strings.NewReplacer(`\"`, `"`, `\\`, `\`, `\'`, `'`).Replace(entry[1:max(end, 1)])
	case strings.HasPrefix(entry, `'`):
		end := strings.LastIndex(entry, `'`)
		entry = strings.ReplaceAll(entry[1:max(end, 1)], `''`, `'`)
	case strings.HasPrefix(entry, "|"), strings.HasPrefix(entry, ">"):
		_, entry, _ = strings.Cut(entry, "\n")
	default:
		lines := strings.Split(entry, "\n")
		for i, line := range lines {
			if at := strings.Index(strings.ReplaceAll(" "+line, "\t", " "), " # "); at >= 0 {
				lines[i] = line[:max(at-1, 0)]
			} else if strings.HasSuffix(line, " #") || strings.Contains(line, " ##") {
				lines[i] = line[:strings.Index(line, " #")]
			}
		}
		entry = strings.Join(lines, "\n")
	}
	return strings.Join(strings.Fields(entry), " ")
}

// Whatever loads means exactly what its author sees: not one character of an expression is added, lost or turned into another one on the way.
func FuzzLoad_MeansWhatIsSeen(f *testing.F) {
	for _, entry := range []string{
		`! contact.hs_email_optout`, `"contact.city == \"Berlin\""`, `"contact.city == \"\x42erlin\""`, "'contact.city == \"O''Brien\"'", "|\n      known(contact.email)\n      && known(contact.city)",
		">-\n      known(contact.email) // note\n      && known(contact.city)", `known(contact.email) #1`, `known(contact.email) # one`, "\"contact.num_notes >= 1\\\n      0\"", "|2\n        known(contact.email)\n",
		"known(contact.email)\n      && known(contact.city)", `!!str known(contact.email)`, `&a known(contact.email)`, `"\u0063ontact.city == 'a'"`, "contact.city == \"a\u200bb\"", "\"known(contact\\\n      .email)\"",
	} {
		f.Add(entry)
	}
	f.Fuzz(func(t *testing.T, entry string) {
		if len(entry) > 300 || strings.Contains(entry, "\n") && strings.Contains(entry, "\n-") {
			t.Skip()
		}
		file := "workflow: a\nobject: contact\nenroll:\n  triggers:\n    - " + entry + "\nactions:\n  - delete_contact\n"
		d, _ := Load("f.yaml", []byte(file), defaultVocabulary)
		if d == nil || len(d.Trigger.Any) != 1 || !oneEntry(file) {
			return
		}
		if got, want := strings.Join(strings.Fields(d.Trigger.Any[0].Source()), " "), seenBy(entry); got != want {
			t.Fatalf("the author sees\n%s\nand the program reads\n%s\nin\n%s", want, got, file)
		}
	})
}

// oneEntry reports whether the file has the shape that was meant, and the entry brought no keys or entries of its own.
func oneEntry(file string) bool {
	var shape struct {
		Workflow, Object string
		Enroll           map[string][]string
		Actions          []string
	}
	return yaml.Unmarshal([]byte(file), &shape) == nil && len(shape.Enroll) == 1 && len(shape.Enroll["triggers"]) == 1 && len(shape.Actions) == 1
}
