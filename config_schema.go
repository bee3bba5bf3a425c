// config_schema.go makes the JSON Schema of CONFIG from the table of keys.

package main

import (
	"fmt"
	"strings"
)

// configSchema is the JSON Schema of CONFIG, from the same table as everything else.
func configSchema() map[string]any {
	sections := map[string]any{}
	for _, s := range allSections {
		keys, must := map[string]any{}, []string{}
		for _, f := range fieldsOf(s) {
			keys[f.key] = f.schema()
			if f.must {
				must = append(must, f.key)
			}
		}
		section := map[string]any{"type": "object", "properties": keys, "additionalProperties": false}
		if len(must) > 0 {
			section["required"] = must
		}
		sections[s] = section
	}
	return map[string]any{"type": "object", "properties": sections, "additionalProperties": false}
}

// kindSchemas are the schemas of the kinds of keys. NUMBER is an integer within the limits of the key.
var kindSchemas = [...]string{
	kindText:      `{"type": "string"}`,
	kindFlag:      `{"type": "boolean"}`,
	kindNumber:    `NUMBER`,
	kindTexts:     `{"type": "array", "items": {"type": "string"}}`,
	kindOneOrMore: `{"oneOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]}`,
	kindNumbers:   `{"type": "array", "items": NUMBER}`,
	kindTable:     `{"type": "object", "additionalProperties": {"type": "string"}}`,
	kindCommand:   `{"oneOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]}`,
	kindProbe:     `{"oneOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}, {"type": "integer"}]}`,
	kindIdentity:  `{"type": ["string", "integer"]}`,
	kindSignal:    `{"type": ["string", "integer"]}`,
	kindEndings:   `{"type": "array", "items": {"oneOf": [NUMBER, {"type": "string"}]}}`,
	kindRlimit:    `{"oneOf": [NUMBER, {"enum": ["unlimited", "infinity"]}]}`,
}

func (f *field) schema() (s map[string]any) {
	number := fmt.Sprintf(`{"type": "integer", "minimum": %d`, f.min)
	if f.max > 0 {
		number += fmt.Sprintf(`, "maximum": %d`, f.max)
	}
	_ = decodeJSON([]byte(strings.ReplaceAll(kindSchemas[f.kind], "NUMBER", number+"}")), &s)
	if len(f.oneOf) > 0 {
		s["enum"] = f.oneOf
	}
	if f.def != nil {
		s["default"] = f.value(blank())
	}
	s["description"] = f.doc
	return s
}
