package definition

import (
	"bytes"
	"encoding/json"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/santhosh-tekuri/jsonschema/v6"
	"gopkg.in/yaml.v3"
)

func compiledSchema(t *testing.T) *jsonschema.Schema {
	t.Helper()
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(JSONSchema()))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("workflow.json", document); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile("workflow.json")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// asJSON is what an editor's language server makes of a YAML file; the flag is false when it can make nothing.
func asJSON(source []byte) (any, bool) {
	var v any
	if yaml.Unmarshal(source, &v) != nil {
		return nil, false
	}
	b, err := json.Marshal(v)
	if err != nil {
		return nil, false
	}
	v, err = jsonschema.UnmarshalJSON(bytes.NewReader(b))
	return v, err == nil
}

func TestJSONSchema_TakesGoodFiles(t *testing.T) {
	t.Parallel()
	schema := compiledSchema(t)
	for _, path := range goldens(t, "testdata/good/*.yaml") {
		v, ok := asJSON(readFile(t, path))
		if !ok {
			t.Errorf("%s does not become JSON", path)
			continue
		}
		if err := schema.Validate(v); err != nil {
			t.Errorf("%s: %v", path, err)
		}
	}
}

// What the table of keys says, the schema finds too: an editor shows it while the file is written.
func TestJSONSchema_RefusesBadFiles(t *testing.T) {
	t.Parallel()
	schema := compiledSchema(t)
	seen := []string{"WF110", "WF112", "WF113", "WF114", "WF116", "WF117", "WF119", "WF120", "WF122", "WF126", "WF401", "WF402", "WF403", "WF404", "WF405"}
	for _, path := range goldens(t, "testdata/bad/*.yaml") {
		file := filepath.Base(path)
		code, _, _ := strings.Cut(file, "_")
		v, ok := asJSON(readFile(t, path))
		if !ok || !slices.Contains(seen, code) {
			continue
		}
		if schema.Validate(v) == nil {
			t.Errorf("the schema finds nothing wrong with %s", file)
		}
	}
}

// The decoder and the schema read one table. This test reads the schema as an editor does and compares.
func TestJSONSchema_AgreesWithTheLoader(t *testing.T) {
	t.Parallel()
	var document map[string]any
	if err := json.Unmarshal(JSONSchema(), &document); err != nil {
		t.Fatal(err)
	}
	var compare func(path string, schema map[string]any, keys []key)
	compare = func(path string, schema map[string]any, keys []key) {
		properties, ok := schema["properties"].(map[string]any)
		if !ok || len(properties) != len(keys) || schema["additionalProperties"] != false {
			t.Fatalf("%s: properties %v, additional %v; want those of %v alone", path, properties, schema["additionalProperties"], keyNames(keys))
		}
		for _, k := range keys {
			p, ok := properties[k.name].(map[string]any)
			if !ok {
				t.Errorf("%s%s is not in the schema", path, k.name)
				continue
			}
			required, _ := schema["required"].([]any)
			if slices.Contains(required, any(k.name)) != k.required {
				t.Errorf("%s%s: required is %v, want %v", path, k.name, !k.required, k.required)
			}
			if p["description"] != k.doc || k.doc == "" {
				t.Errorf("%s%s: description %q, want %q", path, k.name, p["description"], k.doc)
			}
			if k.kind == mappingKind {
				compare(path+k.name+".", p, k.keys)
			}
		}
	}
	compare("", document, fileKeys())
}

// The defaults that editors show are those of a file that does not write them.
func TestJSONSchema_DefaultsAreTheLoaders(t *testing.T) {
	t.Parallel()
	d := mustLoad(t, minimal+"schedule: {cron: '@daily'}\n")
	got := map[string]any{}
	var collect func(keys []key)
	collect = func(keys []key) {
		for _, k := range keys {
			if k.usual != nil {
				got[k.name] = k.usual
			}
			collect(k.keys)
		}
	}
	collect(fileKeys())
	want := map[string]any{
		"reenroll": d.Reenroll, "existing": d.Existing, "missed": string(d.Missed), "timezone": d.Schedule.Location().String(),
		"max_deletions": d.Limits.MaxDeletions, "max_percent": int(d.Limits.MaxPercent),
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// Every key of the table is one that the loader takes over: a file with another value has another definition.
func TestLoad_EveryKeyCounts(t *testing.T) {
	t.Parallel()
	source := string(readFile(t, "testdata/good/everything.yaml"))
	d := mustLoad(t, source)
	for from, to := range map[string]string{
		"workflow: delete": "workflow: remove", "title: Delete": "title: Remove", "Contacts nobody": "People nobody",
		"- inList(\"keep\")": "- unknown(contact.email)", "reenroll: true": "reenroll: false", "existing: false": "existing: true", "0 3 * * *": "0 4 * * *",
		"Europe/Amsterdam": "Europe/Berlin", "missed: skip": "missed: once", "250": "251", "2.5": "2.6", "40": "41", "> 365": "> 366",
	} {
		changed := strings.Replace(source, from, to, 1)
		if changed == source {
			t.Fatalf("%q is not in the file", from)
		}
		other, findings := Load("changed.yaml", []byte(changed), defaultVocabulary)
		if other == nil {
			t.Errorf("%q: %v", to, findings)
			continue
		}
		if other.Same(d) {
			t.Errorf("%q instead of %q makes no difference", to, from)
		}
	}
}
