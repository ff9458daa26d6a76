package definition

import (
	"fmt"

	"gopkg.in/yaml.v3"

	"github.com/crm-workflow/crm-workflow/crmstore/record"
	"github.com/crm-workflow/crm-workflow/triggers"
	"github.com/crm-workflow/crm-workflow/workflow/diag"
)

// Load checks a workflow file and finds everything that is wrong with it at once. The definition is
// nil exactly when the findings hold an error; they are tidied ([diag.List.Tidy]). file is the name
// that findings carry. The definition keeps source.
func Load(file string, source []byte, v Vocabulary) (*Definition, diag.List) {
	if len(source) > largestFile {
		return nil, diag.List{diag.Whole(diag.TooLarge, file, "the file has more than 1 MiB", "")}
	}
	l := loader{decoder: decoder{source: diag.NewSource(file, source), values: map[string]value{}, met: map[string]bool{}}, vocabulary: v}
	root, findings := parseYAML(l.source)
	l.findings = findings
	if root != nil {
		l.load(root)
	}
	findings = l.findings.Tidy()
	if findings.HasErrors() {
		return nil, findings
	}
	l.def.File, l.def.Source = file, source
	return &l.def, findings
}

// loader turns the decoded values into a definition.
type loader struct {
	decoder
	vocabulary Vocabulary
	def        Definition
}

func (l *loader) load(root *yaml.Node) {
	if root.Kind != yaml.MappingNode {
		l.add(About(l.start(root), diag.WrongType, "a workflow file is keys and values, found "+found(root), "begin with `workflow: its-name`"))
		return
	}
	l.mapping(root, diag.Text{}, "", fileKeys())
	l.checkWords()
	l.checkEnroll()
	l.checkSchedule()
	l.checkLimits()
	object := l.checkObject()
	l.checkActions(object)
	l.compile(object)
}

// compile compiles the expressions, when it is known what they may speak of.
func (l *loader) compile(object record.ObjectType) {
	if object == "" {
		return
	}
	v := l.vocabulary(object)
	if v.Schema == nil {
		t := l.values["object"].text
		l.add(About(t, diag.UnknownObject, fmt.Sprintf("the account has no %s", object.Plural()), ""))
		return
	}
	if l.def.Schedule != nil {
		v.Zone = l.def.Schedule.Location()
	}
	l.def.Trigger = triggers.Trigger{
		Object: object, Vocabulary: v,
		Any:      l.compileList("enroll.triggers", v),
		Suppress: l.compileList("enroll.suppress", v),
	}
}

func (l *loader) compileList(path string, v triggers.Vocabulary) []*triggers.Expr {
	var list []*triggers.Expr
	for _, text := range l.values[path].items {
		e, findings := triggers.Compile(text, v)
		l.findings = append(l.findings, findings...)
		if e == nil {
			continue
		}
		list = append(list, e)
		if always, constant := e.Constant(); constant {
			l.checkConstant(path, text, always)
		}
	}
	return list
}
