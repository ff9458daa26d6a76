package triggers

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/parser/lexer"
	"golang.org/x/text/unicode/norm"

	"github.com/crm-workflow/crm-workflow/crmstore/unseen"
	"github.com/crm-workflow/crm-workflow/workflow/diag"
)

// This file finds what a reader takes for something else than the parser does, although both can read it.

// unreadable finds, before the parser sees the text: characters that are not seen, comments that swallow what follows,
// and texts in quotes that are not what they look like.
func unreadable(text diag.Text) diag.List {
	var findings diag.List
	for from := 0; len(findings) < diag.MaxPerFile; {
		at, r, found := unseen.In(text.Value[from:])
		if !found {
			break
		}
		at += from
		from = at + utf8.RuneLen(r)
		if r != '\r' {
			findings = append(findings, text.Finding(diag.Invisible, at, from, fmt.Sprintf("character %U %s", r, unseen.Word(r)), unseen.Help(r)))
		}
	}
	if len(findings) > 0 {
		return findings
	}
	source := text.Value
	for i := 0; i < len(source); {
		switch rest := source[i:]; {
		case rest[0] == '"' || rest[0] == '\'' || rest[0] == '`':
			end := i + quotedLength(rest)
			findings = append(findings, quotedText(text, i, end)...)
			i = end
		case strings.HasPrefix(rest, "//"):
			end := i + len(rest)
			if n := strings.IndexByte(rest, '\n'); n >= 0 {
				end = i + n
			}
			findings = append(findings, comment(text, i, end)...)
			i = end
		case strings.HasPrefix(rest, "/*"):
			end := i + len(rest)
			if n := strings.Index(rest[2:], "*/"); n >= 0 {
				end = i + 2 + n + 2
			}
			findings = append(findings, comment(text, i, end)...)
			i = end
		default:
			i++
		}
	}
	return findings
}

// quotedLength is how many bytes the text in quotes takes that s begins with, as expr's lexer reads it.
func quotedLength(s string) int {
	quote := s[0]
	for i := 1; i < len(s); i++ {
		switch {
		case quote != '`' && s[i] == '\\':
			i++
		case quote != '`' && s[i] == '\n': // not closed, which the parser tells
			return i
		case s[i] == quote && quote == '`' && strings.HasPrefix(s[i+1:], "`"):
			i++
		case s[i] == quote:
			return i + 1
		}
	}
	return len(s)
}

func comment(text diag.Text, from, to int) diag.List {
	if text.KeepsLines() {
		return nil
	}
	written := strings.TrimSpace(strings.ReplaceAll(text.Value[from:to], "\n", " "))
	if text.Pos(from).Line == text.Pos(to-1).Line {
		return diag.List{text.Finding(diag.ExprComment, from, to, fmt.Sprintf("%q is a comment in a text whose lines YAML joins", short(written)),
			"write it as a YAML comment (#) on a line above, or write the expression below a |")}
	}
	return diag.List{text.Finding(diag.ExprComment, from, to, fmt.Sprintf("YAML joins the lines of this text, and so %q is one comment", short(written)),
		"write the expression below a |, which keeps lines, or take the comment out")}
}

func short(s string) string {
	const most = 60
	if r := []rune(s); len(r) > most {
		return string(r[:most]) + "…"
	}
	return s
}

// quotedText finds what is wrong with a text in quotes at from ≤ i < to, whose value is another one than readers see.
func quotedText(text diag.Text, from, to int) diag.List {
	written := text.Value[from:to]
	if len(written) < 2 || written[len(written)-1] != written[0] {
		return nil // not closed, which the parser tells
	}
	find := func(message, help string) diag.List {
		return diag.List{text.Finding(diag.ExprEscape, from, to, message, help)}
	}
	if !text.KeepsLines() && text.Pos(from).Line != text.Pos(to-1).Line {
		return find("a text goes over the end of a line, and YAML makes one blank of it", "write "+written+", on one line")
	}
	if written[0] != '`' {
		if message, help := escapes(written); message != "" {
			return find(message, help)
		}
	}
	if strings.ContainsFunc(written, func(r rune) bool { return unicode.Is(unicode.Mn, r) }) && !norm.NFC.IsNormalString(written) {
		return find("the accents of this text are characters of their own, and the text is another one than that with accented letters", "write "+norm.NFC.String(written))
	}
	return nil
}

// escapeNames are the escape sequences of expr that stand for something that is not visible.
var escapeNames = map[byte]string{'a': "a bell", 'b': "a backspace", 'f': "a form feed", 'v': "a vertical tab", '?': "a question mark"}

// escapes looks through a text in quotes for escape sequences that readers take for something else. Help is the text as they read it.
func escapes(written string) (message, help string) {
	var right strings.Builder
	for i := 0; i < len(written); i++ {
		if written[i] != '\\' || i+1 >= len(written) {
			right.WriteByte(written[i])
			continue
		}
		sequence, means := sequenceAt(written[i:])
		i += len(sequence) - 1
		var say string
		switch {
		case strings.ContainsRune("\\\"'`nrt", rune(sequence[1])):
			right.WriteString(sequence)
			continue
		case escapeNames[sequence[1]] != "":
			say = `"` + sequence + `" is ` + escapeNames[sequence[1]] + " here"
			right.WriteString(`\` + sequence)
		case means < 0:
			say = `"` + sequence + `" means nothing here`
			right.WriteString(`\` + sequence)
		default:
			shown := string(means)
			if _, _, hidden := unseen.In(shown); hidden || means < ' ' {
				// A regular expression can name it, and anybody can see that it does.
				return fmt.Sprintf("%s is the character %U here, which nobody sees", `"`+sequence+`"`, means), fmt.Sprintf(`to find it, write matches "\\x{%04X}"`, means)
			}
			say = `"` + sequence + fmt.Sprintf(`" is %q here`, shown)
			if means == rune(written[0]) || means == '\\' {
				shown = `\` + shown
			}
			right.WriteString(shown)
		}
		if message == "" {
			message = say
		}
	}
	if message == "" {
		return "", ""
	}
	return message, "write " + right.String()
}

// sequenceAt is the escape sequence that s begins with, and the character that a number in it stands for; -1 when there is none.
func sequenceAt(s string) (sequence string, means rune) {
	number := func(digits string, base int) (string, rune) {
		n, err := strconv.ParseUint(digits, base, 32)
		if err != nil || n > unicode.MaxRune {
			return s[:2], -1
		}
		return "", rune(n)
	}
	take := func(from, to, end, base int) (string, rune) {
		if end > len(s) {
			return s[:2], -1
		}
		if bad, r := number(s[from:to], base); bad == "" {
			return s[:end], r
		}
		return s[:2], -1
	}
	switch c := s[1]; {
	case c == 'u' && strings.HasPrefix(s[2:], "{") && strings.Contains(s, "}"):
		end := strings.IndexByte(s, '}')
		return take(3, end, end+1, 16)
	case c == 'x' || c == 'X':
		return take(2, min(4, len(s)), 4, 16)
	case c == 'u':
		return take(2, min(6, len(s)), 6, 16)
	case c == 'U':
		return take(2, min(10, len(s)), 10, 16)
	case c >= '0' && c <= '3':
		return take(1, min(4, len(s)), 4, 8)
	case c >= utf8.RuneSelf:
		_, n := utf8.DecodeRuneInString(s[1:])
		return s[:1+n], -1
	}
	return s[:2], -1
}

var (
	plainNumber   = regexp.MustCompile(`^((0|[1-9][0-9]*|[1-9][0-9]{0,2}(_[0-9]{3})+)(\.[0-9]+)?|\.[0-9]+)([eE][+-]?[0-9]+)?$`)
	decimalNumber = regexp.MustCompile(`^[0-9_]*(\.[0-9]*)?$`)
)

// exactly is the first whole number that 64-bit floating point takes for its neighbour, less one.
const exactly = 1 << 53

// tokens finds numbers that are read in two ways or cannot be kept, and words that mix scripts.
func (c *checker) tokens() {
	for _, t := range c.spans.tokens {
		find := func(code diag.Code, message, help string) {
			c.findings = append(c.findings, c.text.Finding(code, t.From, t.To, message, help))
		}
		switch {
		case t.Kind == lexer.Number && !plainNumber.MatchString(t.Value):
			find(diag.ExprNumber, t.Value+" is not a number in plain decimal", numberHelp(t.Value))
		case t.Kind == lexer.Number:
			if n, err := strconv.ParseInt(strings.ReplaceAll(t.Value, "_", ""), 10, 64); err == nil && n > exactly {
				find(diag.ExprNumber, t.Value+" is too large to be kept exactly", "")
			}
		case t.Kind == lexer.String:
			if from, to, r, mixed := unseen.Mixed(t.Value); mixed {
				find(diag.ExprMixedScripts, fmt.Sprintf("%q mixes scripts: its %q is %U, not the letter that it looks like", t.Value[from:to], r, r), "")
			}
		}
	}
}

func numberHelp(written string) string {
	bare := strings.ReplaceAll(written, "_", "")
	if decimalNumber.MatchString(written) {
		whole, part, pointed := strings.Cut(strings.TrimLeft(bare, "0"), ".")
		if whole == "" {
			whole = "0"
		}
		if pointed && part != "" {
			whole += "." + part
		}
		return "write " + whole
	}
	if n, err := strconv.ParseInt(bare, 0, 64); err == nil {
		return fmt.Sprintf("write %d", n)
	}
	return ""
}

// brackets finds operators beside each other that bind otherwise than readers expect: ?? binds closest of all,
// closer than ! and -, and ! closer than a comparison. It looks through all nodes below n.
func (c *checker) brackets(n ast.Node, seen map[ast.Node]bool) {
	if n == nil || seen[n] {
		return
	}
	seen[n] = true
	switch n := n.(type) {
	case *ast.UnaryNode:
		if c.prefix(n) {
			c.coalesceBeside(n, n.Node, n.Operator, true)
		}
	case *ast.BinaryNode:
		if n.Operator != "??" {
			c.coalesceBeside(n, n.Left, n.Operator, false)
			c.coalesceBeside(n, n.Right, n.Operator, true)
		}
		c.notBeside(n)
	case *ast.ConditionalNode:
		c.coalesceBeside(n, n.Cond, "?", false)
		c.coalesceBeside(n, n.Exp2, ":", false)
	}
	for _, below := range children(n) {
		c.brackets(below, seen)
	}
}

// prefix reports whether an operator of one value stands before it: the not of `x not in [...]` does not.
func (c *checker) prefix(n *ast.UnaryNode) bool {
	i, ok := c.spans.index[n.Location().From]
	return ok && c.spans.tokens[i].Value == n.Operator
}

// inBrackets reports whether brackets stand around a node.
func (c *checker) inBrackets(n ast.Node) bool {
	span := c.spans.of(n)
	return c.spans.bracketed(span) != span
}

// around is the range of a node with the brackets around it.
func (c *checker) around(n ast.Node) (from, to int) {
	span := c.spans.bracketed(c.spans.of(n))
	return c.spans.tokens[span[0]].From, c.spans.tokens[span[1]].To
}

// coalesceBeside finds a ?? without brackets that is an operand of n. Last says that n ends with it.
func (c *checker) coalesceBeside(n, operand ast.Node, operator string, last bool) {
	inner, ok := operand.(*ast.BinaryNode)
	if !ok || inner.Operator != "??" || c.inBrackets(inner) {
		return
	}
	source := c.text.Value
	from, to := c.spans.bytes(n)
	innerFrom, innerTo := c.spans.bytes(inner)
	help := "write " + source[from:innerFrom] + "(" + source[innerFrom:innerTo] + ")" + source[innerTo:to]
	if last {
		_, leftTo := c.around(inner.Left)
		other := "(" + source[from:leftTo] + ")" + source[leftTo:innerTo]
		if from > 0 || to < len(source) { // what stands beside it would meet the ?? again
			other = "(" + other + ")"
		}
		help += ", or " + other
	}
	c.find(diag.ExprSyntax, n, fmt.Sprintf("%q beside ?? can be read in two ways", operator), help)
}

// notBeside finds a ! without brackets before a comparison, which belongs to the first value alone.
func (c *checker) notBeside(n *ast.BinaryNode) {
	unary, ok := n.Left.(*ast.UnaryNode)
	if !ok || unary.Operator == "-" || unary.Operator == "+" || !c.prefix(unary) || c.inBrackets(unary) {
		return
	}
	switch n.Operator {
	case "==", "!=", "<", "<=", ">", ">=", "in", "contains", "startsWith", "endsWith", "matches":
	default:
		return
	}
	innerFrom, _ := c.around(unary.Node)
	from, to := c.spans.bytes(n)
	c.find(diag.ExprSyntax, n, fmt.Sprintf("%q before %s can be read in two ways", unary.Operator, n.Operator),
		fmt.Sprintf("write %s(%s)", c.text.Value[from:innerFrom], c.text.Value[innerFrom:to]))
}
