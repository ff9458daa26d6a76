package triggers

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"unicode/utf8"

	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/conf"
	"github.com/expr-lang/expr/file"
	"github.com/expr-lang/expr/parser"
	"github.com/expr-lang/expr/parser/lexer"

	"github.com/crm-workflow/crm-workflow/workflow/diag"
)

// Limits of one expression. They are far above what a person can review.
const (
	maxSource = 4096
	maxNodes  = 1000
	maxDepth  = 64
)

// parse reads the text with expr's parser. The finding is nil exactly when the tree is not.
func parse(text diag.Text) (tree ast.Node, finding *diag.Finding) {
	found := func(code diag.Code, from, to int, message, help string) *diag.Finding {
		f := text.Finding(code, from, to, message, help)
		return &f
	}
	source := text.Value
	switch {
	case strings.TrimSpace(source) == "":
		return nil, found(diag.ExprSyntax, 0, len(source), "the expression is empty", "write true if every record is meant")
	case len(source) > maxSource:
		return nil, found(diag.ExprTooLarge, 0, len(source), fmt.Sprintf("the expression has %d bytes", len(source)),
			fmt.Sprintf("at most %d; split it into several triggers", maxSource))
	case !utf8.ValidString(source):
		return nil, found(diag.ExprSyntax, 0, len(source), "the expression is not text in UTF-8", "save the file as UTF-8")
	}
	// The parser is a library's and the text a stranger's: whatever it trips over is a finding, not the end of the daemon.
	defer func() {
		if r := recover(); r != nil {
			tree, finding = nil, found(diag.ExprSyntax, 0, len(source), "the expression cannot be read", "")
		}
	}()
	config := conf.CreateNew()
	config.MaxNodes = maxNodes
	parsed, err := parser.ParseWithConfig(source, config)
	if err != nil {
		f := syntaxFinding(text, err)
		return nil, &f
	}
	if depth(parsed.Node, map[ast.Node]int{}) > maxDepth {
		return nil, found(diag.ExprTooLarge, 0, len(source), fmt.Sprintf("the expression is nested more than %d levels deep", maxDepth),
			"split it into several triggers")
	}
	return parsed.Node, nil
}

// depth is how many levels of nodes there are from n down. Nodes may be shared, so it remembers what it measured.
func depth(n ast.Node, known map[ast.Node]int) int {
	if d, ok := known[n]; ok {
		return d
	}
	below := 0
	for _, c := range children(n) {
		below = max(below, depth(c, known))
	}
	known[n] = below + 1
	return below + 1
}

// children lists the nodes directly below n.
func children(n ast.Node) []ast.Node {
	var all []ast.Node
	switch n := n.(type) {
	case *ast.UnaryNode:
		all = []ast.Node{n.Node}
	case *ast.BinaryNode:
		all = []ast.Node{n.Left, n.Right}
	case *ast.ChainNode:
		all = []ast.Node{n.Node}
	case *ast.MemberNode:
		all = []ast.Node{n.Node, n.Property}
	case *ast.SliceNode:
		all = []ast.Node{n.Node, n.From, n.To}
	case *ast.CallNode:
		all = append([]ast.Node{n.Callee}, n.Arguments...)
	case *ast.BuiltinNode:
		all = n.Arguments
	case *ast.PredicateNode:
		all = []ast.Node{n.Node}
	case *ast.ConditionalNode:
		all = []ast.Node{n.Cond, n.Exp1, n.Exp2}
	case *ast.VariableDeclaratorNode:
		all = []ast.Node{n.Value, n.Expr}
	case *ast.SequenceNode:
		all = n.Nodes
	case *ast.ArrayNode:
		all = n.Nodes
	case *ast.MapNode:
		all = n.Pairs
	case *ast.PairNode:
		all = []ast.Node{n.Key, n.Value}
	}
	there := all[:0:0]
	for _, c := range all {
		if c != nil {
			there = append(there, c)
		}
	}
	return there
}

var unexpected = regexp.MustCompile(`^unexpected token \w+\((".*")\)$`)

// syntaxFinding puts the parser's complaint into the words of the house.
func syntaxFinding(text diag.Text, err error) diag.Finding {
	var e *file.Error
	if !errors.As(err, &e) {
		return text.Finding(diag.ExprSyntax, 0, len(text.Value), err.Error(), "")
	}
	at := byteOffsets(text.Value)
	from, to := at(e.From), at(e.To)
	switch m := e.Message; {
	case strings.Contains(m, "maximum allowed nodes"):
		return text.Finding(diag.ExprTooLarge, 0, len(text.Value), fmt.Sprintf("the expression has more than %d parts", maxNodes),
			"split it into several triggers, or put the contacts into a static list")
	case m == "unexpected token EOF", m == "unexpected end of expression":
		return text.Finding(diag.ExprSyntax, len(text.Value), len(text.Value), "the expression breaks off here", "something is missing: a value, or a closing bracket")
	case strings.HasPrefix(m, "expected at least 2 arguments"):
		start, help := conditionMissing(text.Value[:to])
		return text.Finding(diag.ExprSyntax, start, to, "a condition is missing", help)
	case strings.Contains(m, "not terminated"):
		return text.Finding(diag.ExprSyntax, from, to, "a text is not closed", "put a quote at its end")
	case strings.Contains(m, "coalesce"):
		return text.Finding(diag.ExprSyntax, from, to, fmt.Sprintf("%q beside ?? can be read in two ways", text.Value[from:to]),
			`put brackets around the part with ??, as in (contact.city ?? "none") == "none"`)
	case strings.HasPrefix(m, "bad number syntax"):
		return text.Finding(diag.ExprSyntax, from, to, "a number goes on with letters", `a length of time is written duration("365d"), a day date("2026-01-31")`)
	case strings.HasPrefix(m, "unrecognized character"):
		return text.Finding(diag.ExprSyntax, from, to, fmt.Sprintf("unexpected %q", text.Value[from:to]), `texts stand in straight quotes: "lead"`)
	case unexpected.MatchString(m):
		token := text.Value[from:to]
		return text.Finding(diag.ExprSyntax, from, to, fmt.Sprintf("unexpected %q", token), syntaxHelp(token))
	default:
		return text.Finding(diag.ExprSyntax, from, to, m, "")
	}
}

var quantifierAlone = regexp.MustCompile(`(any|all|none)\(\s*(\w+)\s*\)$`)

// conditionMissing finds where any(deals) begins, which before ends with, and what is to be written instead.
func conditionMissing(before string) (start int, help string) {
	m := quantifierAlone.FindStringSubmatchIndex(before)
	if m == nil {
		return max(len(before)-1, 0), "as in any(deals, .amount > 1000)"
	}
	switch function, plural := before[m[2]:m[3]], before[m[4]:m[5]]; function {
	case "any":
		return m[0], fmt.Sprintf("write count(%s) > 0", plural)
	case "none":
		return m[0], fmt.Sprintf("write count(%s) == 0", plural)
	default:
		return m[0], fmt.Sprintf("say what is true for all, as in all(%s, .NAME ...)", plural)
	}
}

func syntaxHelp(token string) string {
	switch strings.ToLower(token) {
	case ".":
		return "write contact.NAME; only inside any(deals, ...) and its like a name begins with a dot"
	case "=":
		return "write == to compare"
	case "and", "or", "not", "&", "|":
		return "write &&, || and !, or and, or and not in lower case"
	case "#":
		return "a comment stands above the expression, on a line of its own; inside it is // in a text below a |"
	case "is":
		return "a missing value is asked with unknown(contact.city), one that is there with known(contact.city)"
	case "like", "between", "<>":
		return "write ==, !=, <, <=, >, >=, in, contains, startsWith, endsWith or matches"
	default:
		return "something is missing before it, such as && or ||"
	}
}

// byteOffsets turns offsets in characters, as expr counts, into offsets in bytes.
func byteOffsets(source string) func(char int) int {
	at := make([]int, 0, len(source))
	for i := range source {
		at = append(at, i)
	}
	return func(char int) int {
		if char < 0 {
			return 0
		}
		if char >= len(at) {
			return len(source)
		}
		return at[char]
	}
}

// spans finds the bytes of the source that a node stands on. expr keeps one token for each node (the
// operator, the name); the rest follows from the nodes below and from the brackets around.
type spans struct {
	tokens []lexer.Token // with Location in bytes
	index  map[int]int   // first character, as expr counts → token
	closes map[int]int   // token of an opening bracket → token of the closing one
	known  map[ast.Node][2]int
}

func newSpans(source string) *spans {
	tokens, err := lexer.Lex(file.NewSource(source))
	s := &spans{index: map[int]int{}, closes: map[int]int{}, known: map[ast.Node][2]int{}}
	if err != nil {
		return s // not after a parse that went well
	}
	at := byteOffsets(source)
	var open []int
	for i, t := range tokens {
		if _, taken := s.index[t.From]; !taken {
			s.index[t.From] = i
		}
		switch {
		case t.Is(lexer.Bracket, "(", "[", "{"):
			open = append(open, i)
		case t.Is(lexer.Bracket) && len(open) > 0:
			s.closes[open[len(open)-1]] = i
			open = open[:len(open)-1]
		}
		t.Location = file.Location{From: at(t.From), To: at(t.To)}
		s.tokens = append(s.tokens, t)
	}
	return s
}

// bytes is the range of the source that n stands on, without brackets around it.
func (s *spans) bytes(n ast.Node) (from, to int) {
	span := s.of(n)
	if span[1] >= len(s.tokens) {
		return 0, 0
	}
	return s.tokens[span[0]].From, s.tokens[span[1]].To
}

// of is the first and the last token of n.
func (s *spans) of(n ast.Node) [2]int {
	if span, ok := s.known[n]; ok {
		return span
	}
	span := [2]int{len(s.tokens), -1}
	cover := func(from, to int) { span = [2]int{min(span[0], from), max(span[1], to)} }
	own, hasOwn := s.index[n.Location().From]
	switch n.(type) {
	case *ast.ConditionalNode, *ast.ChainNode, *ast.SequenceNode, *ast.PairNode:
		hasOwn = false // their place is another node's
	}
	if hasOwn {
		cover(own, own)
		switch n.(type) {
		case *ast.CallNode, *ast.BuiltinNode:
			if end, ok := s.closes[own+1]; ok {
				cover(own, end)
			}
		default:
			if end, ok := s.closes[own]; ok {
				cover(own, end)
			}
		}
	}
	for _, c := range children(n) {
		inner := s.bracketed(s.of(c))
		cover(inner[0], inner[1])
	}
	if span[1] < 0 {
		span = [2]int{0, len(s.tokens) - 1}
	}
	s.known[n] = span
	return span
}

// bracketed widens a span by the brackets that stand around it, other than those of a call.
func (s *spans) bracketed(span [2]int) [2]int {
	for span[0] > 0 {
		open := span[0] - 1
		end, ok := s.closes[open]
		if !ok || end != span[1]+1 || s.tokens[open].Value != "(" || (open > 0 && s.tokens[open-1].Kind == lexer.Identifier) {
			break
		}
		span = [2]int{open, end}
	}
	return span
}
