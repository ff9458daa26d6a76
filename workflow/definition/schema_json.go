package definition

import (
	"encoding/json"
	"fmt"

	"github.com/crm-workflow/crm-workflow/actions"
)

// JSONSchema is the JSON Schema (draft 7, which editors' YAML language servers read) of a workflow
// file. It is made from the table that the loader reads, and ends with a line break. It knows keys,
// kinds and ranges; expressions, schedules and what depends on the account only Load checks.
func JSONSchema() []byte {
	schema := mappingSchema(fileKeys())
	schema["$schema"] = "http://json-schema.org/draft-07/schema#"
	schema["title"] = "crm-workflow: a workflow file"
	b, err := json.MarshalIndent(schema, "", "  ")
	if err != nil {
		panic(fmt.Sprintf("the table of keys does not encode: %v", err))
	}
	return append(b, '\n')
}

type jsonObject = map[string]any

func mappingSchema(keys []key) jsonObject {
	properties, required := jsonObject{}, []string{}
	for _, k := range keys {
		properties[k.name] = keySchema(k)
		if k.required {
			required = append(required, k.name)
		}
	}
	schema := jsonObject{"type": "object", "additionalProperties": false, "properties": properties}
	if len(required) > 0 {
		schema["required"] = required
	}
	return schema
}

func keySchema(k key) jsonObject {
	var s jsonObject
	switch k.kind {
	case mappingKind:
		s = mappingSchema(k.keys)
	case textKind:
		s = jsonObject{"type": "string", "pattern": `\S`}
		if k.pattern != "" {
			s["pattern"] = k.pattern
		}
		if k.longest > 0 {
			s["maxLength"] = k.longest
		}
	case booleanKind:
		s = jsonObject{"type": "boolean"}
	case wholeKind:
		s = jsonObject{"type": "integer"}
	case decimalKind:
		s = jsonObject{"type": "number"}
	case choiceKind:
		s = jsonObject{"type": "string", "enum": k.choices}
	case expressionsKind:
		// The trigger `true` is a boolean to YAML.
		s = listSchema(jsonObject{"anyOf": []jsonObject{{"type": "string", "pattern": `\S`}, {"type": "boolean"}}})
	case namesKind:
		s = listSchema(jsonObject{"type": "string", "enum": k.choices})
		s["uniqueItems"] = true
		s["examples"] = [][]string{actions.Names()[:1]}
	}
	if k.required && (k.kind == expressionsKind || k.kind == namesKind) {
		s["minItems"] = 1
	}
	if k.above != nil {
		s["exclusiveMinimum"] = *k.above
	}
	if k.most != nil {
		s["maximum"] = *k.most
	}
	s["description"] = k.doc
	if k.usual != nil {
		s["default"] = k.usual
	}
	return s
}

func listSchema(items jsonObject) jsonObject {
	return jsonObject{"type": "array", "items": items, "maxItems": longestList}
}
