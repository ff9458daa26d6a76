package definition

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"

	"gopkg.in/yaml.v3"

	"github.com/crm-workflow/crm-workflow/crmstore/unseen"
	"github.com/crm-workflow/crm-workflow/workflow/diag"
)

const (
	largestFile = 1 << 20 // bytes; a larger file is refused unread
	longestLine = 10_000  // bytes; far more than the longest expression and the longest description
)

// parseYAML turns a file into YAML nodes. The node is nil when the file cannot be read at all.
func parseYAML(source *diag.Source) (*yaml.Node, diag.List) {
	if findings := checkCharacters(source); findings != nil {
		return nil, findings
	}
	if findings := checkLines(source); findings != nil {
		return nil, findings
	}
	documents, err := decodeAll(source.Text())
	if err != nil {
		return nil, syntaxFindings(source, err)
	}
	var findings diag.List
	if len(documents) > 1 {
		second := documents[1]
		findings = append(findings, diag.Finding{
			Code: diag.SecondDocument, File: source.File,
			Pos: diag.Pos{Line: second.Line, Col: 1}, End: diag.Pos{Line: second.Line, Col: 1 + utf8.RuneCount(source.Line(second.Line))},
			Message: "a second document begins here", Help: "move it to a file of its own",
		})
	}
	if len(documents) == 0 || len(documents[0].Content) == 0 || isNull(documents[0].Content[0]) {
		return nil, append(findings, diag.Whole(diag.Empty, source.File, "the file holds no workflow", "begin with `workflow: its-name`; `workflow schema` lists the keys"))
	}
	plain := plainness{source: source}
	plain.check(documents[0].Content[0], 1, "")
	return documents[0].Content[0], append(findings, plain.findings...)
}

// decodeAll reads up to two documents.
func decodeAll(text []byte) (documents []*yaml.Node, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("yaml: %v", r)
		}
	}()
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	for len(documents) < 2 {
		var n yaml.Node
		if err := decoder.Decode(&n); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return documents, err //nolint:wrapcheck // its text becomes a finding
		}
		documents = append(documents, &n)
	}
	return documents, nil
}

// checkCharacters refuses bytes that are not text, and characters that nobody can see.
func checkCharacters(source *diag.Source) diag.List {
	b := source.Text()
	if bytes.HasPrefix(b, []byte("\xff\xfe")) || bytes.HasPrefix(b, []byte("\xfe\xff")) {
		return diag.List{diag.Whole(diag.NotText, source.File, "the file is in UTF-16", "save it as UTF-8")}
	}
	var findings diag.List
	for i := 0; i < len(b) && len(findings) <= diag.MaxPerFile; {
		r, n := utf8.DecodeRune(b[i:])
		if r == utf8.RuneError && n == 1 {
			return append(findings, source.Range(diag.NotText, i, i, fmt.Sprintf("byte %#02x is not UTF-8", b[i]), "save the file as UTF-8"))
		}
		if r == utf8.RuneError {
			findings = append(findings, source.Range(diag.NotText, i, i+n, "this stands for a character that was lost when the file was saved", "write the character that was here"))
		}
		i += n
	}
	return append(findings, checkSeen(source)...)
}

// checkSeen refuses characters that nobody can see, line by line. What joins emoji, or the letters of Persian, may stand
// in titles and comments; where it decides something, [decoder.decides] and the compiler of expressions refuse it.
func checkSeen(source *diag.Source) diag.List {
	var findings diag.List
	for n := 1; n <= source.Lines() && len(findings) <= diag.MaxPerFile; n++ {
		line, begin := string(source.Line(n)), source.Offset(diag.Pos{Line: n, Col: 1})
		for from := 0; len(findings) <= diag.MaxPerFile; {
			at, r, found := unseen.InProse(line[from:])
			if !found {
				break
			}
			at += from
			from = at + utf8.RuneLen(r)
			findings = append(findings, source.Range(diag.Invisible, begin+at, begin+from, fmt.Sprintf("character %U cannot be seen", r), "take it out"))
		}
	}
	return findings
}

// checkLines refuses lines that are too long, and lines that begin with %: those change what the rest
// of the file means, and the YAML reader's time grows with the square of their number.
func checkLines(source *diag.Source) diag.List {
	var findings diag.List
	for n := 1; n <= source.Lines() && len(findings) <= diag.MaxPerFile; n++ {
		line := source.Line(n)
		f := diag.Finding{File: source.File, Pos: diag.Pos{Line: n, Col: 1}}
		switch {
		case len(line) > longestLine:
			f.Code, f.Message, f.Help = diag.TooLarge, fmt.Sprintf("the line has %d bytes, more than %d", len(line), longestLine), "break it into several lines, below a |"
		case bytes.HasPrefix(line, []byte("%")):
			f.Code, f.Message, f.Help = diag.NotPlain, "a YAML directive (%) is not used in workflow files", "take the line out"
			f.End = diag.Pos{Line: n, Col: 1 + utf8.RuneCount(line)}
		default:
			continue
		}
		findings = append(findings, f)
	}
	return findings
}

var tabIndent = regexp.MustCompile(`^ *\t[ \t]*[^ \t\r]`)

// syntaxFindings says where and why a file is not YAML.
func syntaxFindings(source *diag.Source, err error) diag.List {
	var tabs diag.List
	for n := 1; n <= source.Lines() && len(tabs) <= diag.MaxPerFile; n++ {
		line := string(source.Line(n))
		if tabIndent.MatchString(line) {
			at := strings.IndexByte(line, '\t') + 1
			tabs = append(tabs, diag.Finding{
				Code: diag.Tab, File: source.File, Pos: diag.Pos{Line: n, Col: at}, End: diag.Pos{Line: n, Col: at + 1},
				Message: "a tab in the indentation", Help: "use two spaces for each level",
			})
		}
	}
	if tabs != nil {
		return tabs
	}
	reason := reported.ReplaceAllString(err.Error(), "")
	code, message, help := diag.Syntax, "this cannot be read as YAML: "+reason, ""
	for _, e := range syntaxErrors() {
		if strings.Contains(reason, e.reason) {
			code, message, help = e.code, e.message, e.help
			break
		}
	}
	n := brokenLine(source, err)
	line := source.Line(n)
	from := len(line) - len(bytes.TrimLeft(line, " "))
	if above := source.Line(n - 1); strings.HasPrefix(reason, "mapping values") && bareWords.Match(above) {
		// The reader took the line above for a text that goes on here.
		n, line = n-1, above
		from = len(line) - len(bytes.TrimLeft(line, " "))
		message, help = "a colon is missing", "a key is followed by a colon"
	} else if m := specialValue.FindSubmatchIndex(line); m != nil {
		from = m[2]
		if code.ID == diag.Syntax.ID {
			message, help = special(line[from:], message, help)
		}
	}
	return diag.List{{
		Code: code, File: source.File, Pos: diag.Pos{Line: n, Col: utf8.RuneCount(line[:from]) + 1},
		End: diag.Pos{Line: n, Col: utf8.RuneCount(line) + 1}, Message: message, Help: help,
	}}
}

var (
	reported     = regexp.MustCompile(`^yaml: (line (\d+): )?`)
	bareWords    = regexp.MustCompile(`^ *[A-Za-z_-][^:#]*$`)
	specialValue = regexp.MustCompile("^ *(?:- +|[A-Za-z_-]+: +)+([!&*@`%\"'].*)$")
)

// special says what is wrong with a value that begins with a character that YAML takes for its own.
func special(value []byte, message, help string) (newMessage, newHelp string) {
	quote := value[0]
	switch {
	case quote != '"' && quote != '\'':
		return fmt.Sprintf("a value that begins with %c needs quotes", quote), "put quotes around all of it, or write it on the next line below a |"
	case bytes.Count(value, value[:1])%2 == 1:
		return "a quote is not closed", fmt.Sprintf("close the %c that begins here", quote)
	case strings.Contains(message, "fit"):
		return "text follows after the closing quote", "put quotes of the other kind around all of it, or write it on the next line below a |"
	}
	return message, help
}

// syntaxError is one complaint of the YAML reader in our words.
type syntaxError struct {
	reason        string
	code          diag.Code
	message, help string
}

func syntaxErrors() []syntaxError {
	const quote = "text that holds a colon and a space needs quotes, or a | with the text on the next line; or a colon is missing on the line above"
	return []syntaxError{
		{"exceeded max depth", diag.TooDeep, "the file is nested too deeply", ""},
		{"unknown anchor", diag.NotPlain, "an alias (*) is not used in workflow files", "write the value where it is used"},
		{"mapping values are not allowed", diag.Syntax, "a colon is not expected here", quote},
		{"could not find expected ':'", diag.Syntax, "a colon is missing", "a key is followed by a colon and a space; or the line should be indented"},
		{"did not find expected key", diag.Syntax, "this line does not fit those above it", "keys of one level have the same indentation"},
		{"did not find expected '-' indicator", diag.Syntax, "this line does not fit the list above it", "entries of one list have the same indentation, each with a dash"},
		{"block sequence entries are not allowed", diag.Syntax, "a list entry is not expected here", "a list begins on the line below its key"},
		{"block mapping entries", diag.Syntax, "a key is not expected here", "keys of one level have the same indentation"},
		{"cannot start any token", diag.Syntax, "no value begins with this character", "put the value in quotes"},
		{"unexpected end of stream", diag.Syntax, "a quote is not closed", "close the quote that begins here"},
		{"expected ',' or ']'", diag.Syntax, "a list in brackets is not closed", "write one entry per line, each with a dash before it"},
		{"expected ',' or '}'", diag.Syntax, "a mapping in braces is not closed", "write one key per line"},
		{"unknown escape character", diag.Syntax, "this backslash means nothing in double quotes", "use single quotes: nothing but the quote itself is special in them"},
		{"alphabetic or numeric character", diag.Syntax, "a name is missing after * or &", "put the value in quotes"},
		{"expected <document start>", diag.Syntax, "nothing may follow here", "take it out, or move it to a file of its own"},
	}
}

// brokenLine is the line at which a file stops being YAML: the one after the longest beginning that
// can be read. The reader's own line numbers are those of the construct around it, or missing; they
// serve only for a file so large that the search would take long.
//
// A beginning that ends inside a multi-line text cannot be read either, so the search goes from the
// end of the file backwards; first over lines that begin a top-level key, then over those between.
func brokenLine(source *diag.Source, err error) int {
	budget := 4 * largestFile
	reads := func(lines int) bool {
		end := source.Offset(diag.Pos{Line: lines + 1, Col: 1})
		budget -= end + 1
		_, err := decodeAll(source.Text()[:end])
		return err == nil
	}
	low, high := 0, source.Lines()
	for n := source.Lines(); n >= 1 && budget > 0; n-- {
		if line := source.Line(n); len(line) == 0 || strings.IndexByte(" \t#-", line[0]) >= 0 {
			continue
		}
		if reads(n - 1) {
			low = n - 1
			break
		}
		high = n - 1
	}
	for n := high - 1; n > low && budget > 0; n-- {
		if reads(n) {
			low = n
		}
	}
	if m := reported.FindStringSubmatch(err.Error()); budget <= 0 && m != nil {
		if line, err := strconv.Atoi(m[2]); err == nil {
			low = line - 1
		}
	}
	n := min(max(low, 0)+1, source.Lines())
	for n < source.Lines() && len(bytes.TrimSpace(source.Line(n))) == 0 {
		n++
	}
	return n
}

// plainness finds what YAML has and workflow files do not use.
type plainness struct {
	source   *diag.Source
	findings diag.List
}

// deepest is the deepest nesting of a file that is walked; a workflow needs four levels.
const deepest = 8

// check goes through the nodes below n; under is the key that n stands under.
func (p *plainness) check(n *yaml.Node, depth int, under string) {
	if len(p.findings) > diag.MaxPerFile {
		return
	}
	if depth > deepest {
		p.add(diag.TooDeep, n, 1, "the file is nested too deeply", "a workflow needs no more than four levels")
		return
	}
	switch {
	case n.Kind == yaml.AliasNode:
		p.add(diag.NotPlain, n, 1+len([]rune(n.Value)), fmt.Sprintf("alias *%s", shown(n.Value)), "write the value where it is used")
		return
	case n.Anchor != "":
		p.add(diag.NotPlain, n, 1+len([]rune(n.Anchor)), fmt.Sprintf("anchor &%s", shown(n.Anchor)), "take it out, and write values where they are used")
	case p.tagged(n):
		p.tag(n, under)
	case n.Tag == "!!merge":
		p.add(diag.NotPlain, n, 2, "merge key <<", "write the keys where they are used")
	case n.Kind == yaml.ScalarNode && (n.Value != "" || n.Style != 0):
		p.differences(n, under == "description") // in which line breaks and tabs may be escape sequences
	}
	for i, c := range n.Content {
		switch {
		case n.Kind == yaml.SequenceNode:
			p.check(c, depth+1, under)
		case i%2 == 1:
			p.check(c, depth+1, n.Content[i-1].Value)
		default:
			p.check(c, depth+1, "")
		}
	}
}

// tagged reports whether a tag stands before the value. The reader says nothing of a ! that stands alone, so the file is asked.
func (p *plainness) tagged(n *yaml.Node) bool {
	at := p.source.Offset(diag.Pos{Line: n.Line, Col: n.Column})
	return n.Style&yaml.TaggedStyle != 0 || bytes.HasPrefix(p.source.Text()[at:], []byte("!"))
}

// tag notes a tag. Most authors who write one meant an expression that begins with !.
func (p *plainness) tag(n *yaml.Node, under string) {
	line := p.source.Line(n.Line)
	from := p.source.Offset(diag.Pos{Line: n.Line, Col: n.Column}) - p.source.Offset(diag.Pos{Line: n.Line, Col: 1})
	text := bytes.TrimRight(line[min(from, len(line)):], " \t")
	if comment := bytes.Index(text, []byte(" #")); comment > 0 {
		text = bytes.TrimRight(text[:comment], " \t")
	}
	tag, rest, _ := strings.Cut(string(text), " ")
	rest = strings.TrimSpace(rest)
	message := fmt.Sprintf("YAML takes %s for a tag, and drops it", shown(tag))
	negates := !strings.HasPrefix(tag, "!!") && !strings.HasPrefix(tag, "!<")
	switch {
	case !negates:
		p.add(diag.NotPlain, n, len([]rune(tag)), message, "take it out; quotes make a text of a value, and nothing else is converted")
	case under != "triggers" && under != "suppress":
		p.add(diag.NotPlain, n, len([]rune(tag)), message, "take it out")
	case n.Kind != yaml.ScalarNode || rest != "" && strings.ContainsAny(rest[:1], "\"'|>[{") || bytes.ContainsAny(text, ",]}"):
		p.add(diag.NotPlain, n, len([]rune(tag)), message, "if the ! means not, it stands inside the quotes: - '! known(contact.email)'")
	default:
		p.add(diag.NotPlain, n, len([]rune(string(text))), message, "write "+singleQuoted(string(text)))
	}
}

func singleQuoted(s string) string { return "'" + strings.ReplaceAll(s, "'", "''") + "'" }

// differences notes where the value is something else than what stands in the file.
func (p *plainness) differences(n *yaml.Node, prose bool) {
	for _, d := range p.source.Differences(diag.Pos{Line: n.Line, Col: n.Column}, styleOf(n), n.Value) {
		written := string(p.source.Text()[d.From:d.To])
		var message, help string
		switch {
		case d.Comment && n.Tag != "!!str":
			continue
		case d.Comment:
			message, help = fmt.Sprintf("YAML takes %s for a comment, and drops it", shown(written)), "put the value in quotes if this belongs to it; a comment has a blank after #"
		case d.Escape && prose && (d.Means == "\n" || d.Means == "\t") && len(written) == 2:
			continue
		case d.Escape && written == "\\":
			message, help = "a backslash at the end of a line joins it with the next one", "take it out, or write the text below a |"
		case d.Escape:
			message, help = fmt.Sprintf("%s in double quotes is %s here", written, escapeWord(d.Means)), escapeHelp(written, d.Means)
		default:
			message, help = "YAML makes something else of this than what stands here", "put it in single quotes, or write it below a |"
		}
		p.findings = append(p.findings, p.source.Range(diag.Altered, d.From, d.To, message, help))
	}
}

// escapeWord names the character that an escape sequence stands for.
func escapeWord(means string) string {
	switch means {
	case "\b":
		return "a backspace"
	case "\n":
		return "a line break"
	case "\t":
		return "a tab"
	case " ":
		return "a blank"
	}
	r, _ := utf8.DecodeRuneInString(means)
	if _, _, hidden := unseen.In(means); hidden {
		return fmt.Sprintf("the character %U", r)
	}
	return strconv.Quote(means)
}

func escapeHelp(written, means string) string {
	if _, _, hidden := unseen.In(means); !hidden && strings.TrimSpace(means) != "" && means != `\` && means != `"` {
		return "write " + means
	}
	return fmt.Sprintf(`in single quotes a backslash is a backslash; in double quotes that is \%s`, written)
}

func (p *plainness) add(code diag.Code, n *yaml.Node, length int, message, help string) {
	p.findings = append(p.findings, diag.Finding{
		Code: code, File: p.source.File, Pos: diag.Pos{Line: n.Line, Col: n.Column},
		End: diag.Pos{Line: n.Line, Col: n.Column + length}, Message: message, Help: help,
	})
}

func isNull(n *yaml.Node) bool { return n.Kind == yaml.ScalarNode && n.Tag == "!!null" }

// shown is a piece of the file short enough for a message.
func shown(s string) string {
	const most = 60
	if r := []rune(s); len(r) > most {
		return string(r[:most]) + "…"
	}
	return s
}
