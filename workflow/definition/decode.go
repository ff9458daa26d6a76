package definition

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"gopkg.in/yaml.v3"

	"github.com/crm-workflow/crm-workflow/crmstore/spelling"
	"github.com/crm-workflow/crm-workflow/crmstore/unseen"
	"github.com/crm-workflow/crm-workflow/workflow/diag"
)

// decoder walks over the YAML of a workflow file by the table of keys. What it finds wrong it notes
// and steps over, so that one pass finds everything.
type decoder struct {
	source   *diag.Source
	findings diag.List
	values   map[string]value // by path, such as enroll.triggers; only those of the right kind
	met      map[string]bool  // paths of all keys that stand in the file, or that a misspelt one stands for
}

// value is what stands behind a key.
type value struct {
	key    diag.Text   // the key itself, for findings about the value as a whole
	text   diag.Text   // of a scalar
	number float64     // of a number
	yes    bool        // of a boolean
	items  []diag.Text // of a list; entries of the wrong kind are left out
	empty  bool        // of a list: it is written without entries
}

func (d *decoder) add(f diag.Finding) { d.findings = append(d.findings, f) }

// About is a finding that underlines a whole text.
func About(t diag.Text, code diag.Code, message, help string) diag.Finding {
	return t.Finding(code, 0, len(t.Value), message, help)
}

func (d *decoder) text(n *yaml.Node) diag.Text {
	return d.source.Scalar(diag.Pos{Line: n.Line, Col: n.Column}, styleOf(n), n.Value)
}

func styleOf(n *yaml.Node) diag.ScalarStyle {
	switch {
	case n.Style&yaml.SingleQuotedStyle != 0:
		return diag.SingleQuoted
	case n.Style&yaml.DoubleQuotedStyle != 0:
		return diag.DoubleQuoted
	case n.Style&yaml.LiteralStyle != 0:
		return diag.Literal
	case n.Style&yaml.FoldedStyle != 0:
		return diag.Folded
	}
	return diag.Plain
}

// tagged reports whether a tag stands before a value, which was found before.
func (d *decoder) tagged(n *yaml.Node) bool { return (&plainness{source: d.source}).tagged(n) }

// decides refuses characters in a text that decides something, also those that may stand in titles.
func (d *decoder) decides(t diag.Text) {
	if at, r, found := unseen.In(t.Value); found {
		d.add(t.Finding(diag.Invisible, at, at+utf8.RuneLen(r), fmt.Sprintf("character %U %s", r, unseen.Word(r)), unseen.Help(r)))
	}
}

// mapping walks over the keys of one level. In is the text of the key above them.
func (d *decoder) mapping(n *yaml.Node, in diag.Text, path string, keys []key) {
	seen := map[string]diag.Text{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		word, behind := n.Content[i], n.Content[i+1]
		if word.Kind != yaml.ScalarNode || word.Tag == "!!merge" {
			if word.Kind != yaml.ScalarNode && word.Kind != yaml.AliasNode {
				d.add(About(d.start(word), diag.UnknownKey, "a key is one word", "known keys are "+strings.Join(keyNames(keys), ", ")))
			}
			continue
		}
		name := d.text(word)
		at := slices.IndexFunc(keys, func(k key) bool { return k.name == name.Value })
		if first, twice := seen[name.Value]; twice {
			at := first.Pos(0)
			d.add(About(name, diag.DuplicateKey, fmt.Sprintf("key %q stands twice, first at %d:%d", shown(name.Value), at.Line, at.Col),
				"put everything under the first one"))
			continue
		}
		seen[name.Value] = name
		if at < 0 {
			d.met[path+d.unknownKey(name, keys)] = true
			continue
		}
		d.met[path+keys[at].name] = true
		d.read(behind, name, path+keys[at].name, keys[at])
	}
	for _, k := range keys {
		if k.required && !d.met[path+k.name] {
			d.missing(in, path+k.name, k)
		}
	}
}

// start is the place of a node that is not a scalar.
func (d *decoder) start(n *yaml.Node) diag.Text {
	return diag.NewText(d.source.File, "", func(int) diag.Pos { return diag.Pos{Line: n.Line, Col: n.Column} })
}

// longestKey is the length of the longest known key, about.
const longestKey = 15

// unknownKey notes an unknown key and says which known one is near.
func (d *decoder) unknownKey(name diag.Text, keys []key) (near string) {
	known := keyNames(keys)
	if len(d.findings) > 2*diag.MaxPerFile {
		// It will be counted, not shown.
		d.add(About(name, diag.UnknownKey, "unknown key", ""))
		return ""
	}
	if len(name.Value) <= 2*longestKey {
		// A dash and an underscore are not told apart by people.
		near = spelling.Nearest(strings.ReplaceAll(name.Value, "-", "_"), known)
	}
	help := "known keys here are " + strings.Join(known, ", ")
	if parent := parentOf(name.Value); parent != "" {
		help = fmt.Sprintf("it belongs under %q", parent)
	} else if near != "" {
		help = fmt.Sprintf("did you mean %q?", near)
	} else if slices.Contains(keyNames(fileKeys()), name.Value) {
		help = "it belongs at the left margin"
	}
	d.add(About(name, diag.UnknownKey, fmt.Sprintf("unknown key %q", shown(name.Value)), help))
	return near
}

// missing notes that a required key is not there.
func (d *decoder) missing(in diag.Text, path string, k key) {
	f := diag.Finding{File: d.source.File}
	if in.Value != "" {
		f = About(in, diag.Code{}, "", "")
	}
	switch path {
	case "enroll", "enroll.triggers":
		f.Code, f.Message = diag.NoTriggers, "no triggers: everyone would match"
		f.Help = "write which records enroll under `enroll:` and `triggers:`; if everyone is meant, write the trigger `true`"
	case "actions":
		f.Code, f.Message, f.Help = diag.NoActions, "no actions: nothing would be done", "write\nactions:\n  - delete_contact"
	default:
		f.Code, f.Message, f.Help = diag.MissingKey, fmt.Sprintf("key %q is missing", k.name), "it wants "+k.wants()
	}
	d.add(f)
}

// read checks what stands behind a known key, and keeps it when it is of the right kind.
func (d *decoder) read(n *yaml.Node, name diag.Text, path string, k key) {
	v := value{key: name}
	ok := false
	switch {
	case n.Kind == yaml.AliasNode || d.tagged(n): // found before
		return
	case isNull(n):
		d.empty(name, path, k)
	case k.kind == mappingKind && n.Kind == yaml.MappingNode:
		d.mapping(n, name, path+".", k.keys)
		ok = true
	case (k.kind == expressionsKind || k.kind == namesKind) && n.Kind == yaml.SequenceNode:
		v.items, v.empty = d.items(n, k), len(n.Content) == 0
		ok = true
	case (k.kind == expressionsKind || k.kind == namesKind) && n.Kind == yaml.ScalarNode:
		d.add(About(d.text(n), diag.NotList, fmt.Sprintf("%q wants a list, found %s", k.name, found(n)), "write it on the next line, with a dash before it"))
	case n.Kind != yaml.ScalarNode || k.kind == mappingKind:
		d.add(About(name, diag.WrongType, fmt.Sprintf("%q wants %s, found %s", k.name, k.wants(), found(n)), ""))
	default:
		v.text = d.text(n)
		if k.name != "title" && k.name != "description" {
			d.decides(v.text)
		}
		ok = d.scalar(n, &v, k)
	}
	if ok {
		d.values[path] = v
	}
}

// empty notes that nothing stands behind a key.
func (d *decoder) empty(name diag.Text, path string, k key) {
	switch path {
	case "enroll", "enroll.triggers", "actions":
		d.missing(name, path, k)
	default:
		d.add(About(name, diag.NoValue, fmt.Sprintf("%q has no value", k.name), "it wants "+k.wants()))
	}
}

// items checks the entries of a list.
func (d *decoder) items(n *yaml.Node, k key) []diag.Text {
	if len(n.Content) > longestList {
		d.add(About(d.start(n.Content[longestList]), diag.TooMany, fmt.Sprintf("%d entries, more than %d", len(n.Content), longestList), ""))
	}
	items := make([]diag.Text, 0, len(n.Content))
	for _, item := range n.Content[:min(len(n.Content), longestList)] {
		switch {
		case item.Kind == yaml.AliasNode || d.tagged(item):
		case isNull(item) || (item.Kind == yaml.ScalarNode && strings.TrimSpace(item.Value) == ""):
			d.add(About(d.start(item), diag.NoValue, fmt.Sprintf("an entry of %q is empty", k.name), "take out the dash, or write something behind it"))
		case item.Kind != yaml.ScalarNode && k.kind == namesKind:
			d.add(About(d.start(item), diag.WrongType, fmt.Sprintf("an entry of %q is a name, found %s", k.name, found(item)), "write the name alone: `- delete_contact`"))
		case item.Kind != yaml.ScalarNode:
			d.add(About(d.start(item), diag.WrongType, fmt.Sprintf("an entry of %q is an expression, found %s", k.name, found(item)),
				"an expression that holds a colon and a space, or begins with [ or {, needs quotes, or a | with the expression on the next line"))
		default:
			text := d.text(item)
			if k.kind == namesKind {
				d.decides(text)
			}
			items = append(items, text)
		}
	}
	return items
}

var (
	wholeForm   = regexp.MustCompile(`^-?(0|[1-9][0-9]*)$`)
	decimalForm = regexp.MustCompile(`^-?(0|[1-9][0-9]*)(\.[0-9]+)?$`)
	octal       = regexp.MustCompile(`^0[0-9]+$`)
	nameForm    = regexp.MustCompile(namePattern)
)

// scalar checks a value that is no list and no mapping; it reports whether the value can be used.
func (d *decoder) scalar(n *yaml.Node, v *value, k key) bool {
	quoted := n.Style&(yaml.SingleQuotedStyle|yaml.DoubleQuotedStyle) != 0
	wrong := func(code diag.Code, help string) bool {
		d.add(About(v.text, code, fmt.Sprintf("%q wants %s, found %s", k.name, k.wants(), found(n)), help))
		return false
	}
	switch k.kind {
	case booleanKind:
		v.yes = n.Value == "true"
		if quoted || (n.Value != "true" && n.Value != "false") {
			return wrong(diag.NotBoolean, booleanHelp(n.Value))
		}
	case wholeKind, decimalKind:
		form := wholeForm
		if k.kind == decimalKind {
			form = decimalForm
		}
		if quoted || !form.MatchString(n.Value) {
			code, help := numberHelp(n.Value, k.kind)
			return wrong(code, help)
		}
		var err error
		if v.number, err = strconv.ParseFloat(n.Value, 64); err != nil {
			return wrong(diag.NotDecimal, "the number is too large")
		}
	default:
		if n.Tag == "!!int" || n.Tag == "!!float" || n.Tag == "!!bool" {
			return wrong(diag.WrongType, "put it in quotes if it is meant as text")
		}
		if strings.TrimSpace(n.Value) == "" {
			d.add(About(v.key, diag.NoValue, fmt.Sprintf("%q is empty", k.name), "it wants "+k.wants()))
			return false
		}
		if k.kind == choiceKind && !slices.Contains(k.choices, n.Value) {
			return d.notAllowed(v.text, k)
		}
	}
	return true
}

// notAllowed notes a word that is not among the choices.
func (d *decoder) notAllowed(t diag.Text, k key) bool {
	code := diag.NotAllowed
	if k.name == "object" {
		code = diag.UnknownObject
	}
	help := ""
	if near := spelling.Nearest(t.Value, k.choices); near != "" {
		help = fmt.Sprintf("did you mean %q?", near)
	}
	d.add(About(t, code, fmt.Sprintf("%q wants %s, found %q", k.name, k.wants(), shown(t.Value)), help))
	return false
}

func booleanHelp(s string) string {
	switch strings.ToLower(s) {
	case "true", "yes", "on", "y", "1":
		return "write true, without quotes"
	case "false", "no", "off", "n", "0":
		return "write false, without quotes"
	}
	return ""
}

// numberHelp tells a number in the wrong dress from something that is no number.
func numberHelp(s string, k kind) (diag.Code, string) {
	bare := strings.NewReplacer("_", "", ",", "", " ", "").Replace(strings.TrimSuffix(strings.TrimPrefix(s, "+"), "%"))
	if octal.MatchString(s) {
		return diag.NotDecimal, fmt.Sprintf("YAML takes a leading zero for octal: write %s", strings.TrimLeft(s[:len(s)-1], "0")+s[len(s)-1:])
	}
	if n, err := strconv.ParseFloat(bare, 64); err == nil && n > -1e15 && n < 1e15 && !strings.ContainsAny(bare, "xX") {
		if k == decimalKind || n == float64(int64(n)) {
			return diag.NotDecimal, "write " + strconv.FormatFloat(n, 'f', -1, 64) + ", without anything around it"
		}
		return diag.NotDecimal, "write a whole number"
	}
	if n, err := strconv.ParseInt(bare, 0, 64); err == nil {
		return diag.NotDecimal, fmt.Sprintf("if %d is meant, write %d", n, n)
	}
	return diag.WrongType, ""
}

// found is how a finding names what stands in the file.
func found(n *yaml.Node) string {
	switch {
	case n.Kind == yaml.MappingNode:
		return "keys and values"
	case n.Kind == yaml.SequenceNode:
		return "a list"
	case n.Tag == "!!int" || n.Tag == "!!float":
		return "the number " + shown(n.Value)
	case n.Tag == "!!bool":
		return n.Value
	}
	return fmt.Sprintf("the text %q", shown(strings.TrimSpace(n.Value)))
}
