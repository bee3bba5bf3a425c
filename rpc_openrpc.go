// rpc_openrpc.go makes the OpenRPC document from the table of methods and the types of results. It knows no method by name.

//go:build !windows

package main

import (
	"encoding/json"
	"maps"
	"reflect"
	"slices"
	"strings"
)

// openRPC describes all methods as an OpenRPC 1.3 document (https://spec.open-rpc.org). Schemas are JSON Schema draft 07. What OpenRPC has no words
// for: the tags "reading" and "waits" of a method, and the notifications, which stand under x-notifications; x-notification of a method names the
// one that it sends. The clients in other languages are made from this document.
func (r *rpcServer) openRPC(socket string) document {
	config := configSchema()
	sections := config["properties"].(map[string]any)
	shared := document{"Config": config, "Proxy": sections[string(unitXinet)], "Answer": answerSchema()}
	sections[string(unitXinet)] = document{"$ref": proxySchema}
	schemaOf(reflect.TypeFor[errorData](), shared)
	var methods, notes []any
	for _, name := range r.names {
		methods = append(methods, describeMethod(r.byName[name], shared))
	}
	for _, n := range rpcNotes {
		notes = append(notes, document{"name": n.name, "summary": n.doc, "params": schemaOf(reflect.TypeOf(n.params), shared)})
	}
	errs := document{}
	for _, k := range errorKinds {
		errs[string(k.kind)] = k.describe()
	}
	return document{
		"openrpc": "1.3.2",
		"info":    document{"title": "zinit", "version": version, "description": "The control socket of the zinit supervisor: JSON-RPC 2.0, one JSON text per line over a Unix stream socket."},
		"servers": []any{document{"name": "local", "url": "unix://" + strings.ReplaceAll(socket, "@", "%40")}},
		"methods": methods,
		"components": document{
			"schemas": shared,
			"errors":  errs,
		},
		"x-notifications": notes,
	}
}

// proxySchema is where the schema of the keys of a proxy stands.
const proxySchema = "#/components/schemas/Proxy"

func (k *kindRow) describe() document {
	return document{"code": k.code, "message": k.doc, "data": document{"kind": k.kind}}
}

// answerSchema is what stands around a result.
func answerSchema() document {
	return document{"type": "object", "required": []string{"jsonrpc", "id", "result"}, "properties": document{
		"jsonrpc":  document{"const": rpcVersion},
		"id":       document{"description": "that of the request"},
		"result":   document{"description": "as the method says"},
		"left_out": document{"type": "integer", "minimum": 1, "description": "how many entries the result lacks, because it would have been too large; absent: it is whole"},
	}}
}

func describeMethod(m *rpcMethod, shared document) document {
	params := []any{}
	for _, p := range m.takes {
		params = append(params, document{"name": p.name, "description": p.doc, "required": p.required, "schema": p.schema()})
	}
	listed := slices.Clone(m.errors)
	if len(m.takes) > 0 {
		listed = append(listed, kindInvalidParams)
	}
	if !readsOnly(m.name) {
		listed = append(listed, kindPermissionDenied)
	}
	errs := []any{}
	for _, k := range errorKinds {
		if slices.Contains(listed, k.kind) {
			errs = append(errs, k.describe())
		}
	}
	d := document{"name": m.name, "summary": m.doc, "paramStructure": "either", "params": params, "errors": errs,
		"result": document{"name": strings.ReplaceAll(m.name, ".", "_") + "_result", "schema": resultSchema(m.result, shared)}}
	var tags []any
	if readsOnly(m.name) {
		tags = append(tags, document{"name": "reading", "description": "changes nothing: it may be called again when its answer was lost"})
	}
	if m.waits {
		d["description"] = "It may wait; requests behind it on the same connection do not wait for it."
		tags = append(tags, document{"name": "waits", "description": "may take long"})
	}
	if tags != nil {
		d["tags"] = tags
	}
	if m.sends != "" {
		d["x-notification"] = m.sends
	}
	return d
}

// schema is the JSON Schema of a parameter.
func (p *rpcParam) schema() document {
	d := document{}
	_ = json.Unmarshal([]byte(p.row().schema), &d)
	switch {
	case p.key == "proxy_config":
		return document{"oneOf": []any{document{"$ref": proxySchema}, document{"$ref": "#/components/schemas/Config"}}}
	case p.among != nil && p.kind == "strings":
		d["items"] = document{"type": "string", "enum": p.among}
	case p.among != nil:
		d["enum"] = p.among
	}
	if p.preset != nil {
		d["default"] = p.preset
	}
	return d
}

// resultSchema is the JSON Schema of a result, given as a value of its type.
func resultSchema(result any, shared document) document {
	types, either := result.(eitherOf)
	if !either {
		return schemaOf(reflect.TypeOf(result), shared)
	}
	var schemas []any
	for _, one := range types {
		schemas = append(schemas, resultSchema(one, shared))
	}
	return document{"oneOf": schemas}
}

// schemaOf is the JSON Schema of a type. Types with a name in the documentation go to shared.
func schemaOf(t reflect.Type, shared document) document {
	words := wordsOf(t)
	switch {
	case t == reflect.TypeFor[configValue]():
		return document{"$ref": "#/components/schemas/Config"}
	case t.Kind() == reflect.Struct || words != nil:
		name := wireName(t)
		if shared[name] != nil {
			return document{"$ref": "#/components/schemas/" + name}
		}
		shared[name] = document{} // for what contains itself
		switch {
		case words != nil:
			shared[name] = document{"type": "string", "enum": words}
		case t == reflect.TypeFor[wireReason]():
			shared[name] = reasonSchema(shared)
		default:
			shared[name] = structSchema(t, shared)
		}
		return document{"$ref": "#/components/schemas/" + name}
	}
	switch t.Kind() {
	case reflect.Pointer:
		return document{"oneOf": []any{schemaOf(t.Elem(), shared), document{"type": "null"}}}
	case reflect.Slice:
		return document{"type": "array", "items": schemaOf(t.Elem(), shared)}
	case reflect.Bool:
		return document{"type": "boolean"}
	case reflect.Float64:
		return document{"type": "number"}
	case reflect.Int, reflect.Int64, reflect.Uint64:
		return document{"type": "integer"}
	case reflect.Map:
		return document{"type": "object"}
	}
	return document{"type": "string"}
}

// wireName is the name of a type in the documentation and in clients.
func wireName(t reflect.Type) string {
	if t == reflect.TypeFor[wireReason]() {
		return "Reason"
	}
	return strings.ToUpper(t.Name()[:1]) + t.Name()[1:]
}

func structSchema(t reflect.Type, shared document) document {
	members, must := document{}, []string{}
	for i := range t.NumField() {
		f := t.Field(i)
		if f.Anonymous {
			inner := structSchema(f.Type, shared)
			maps.Copy(members, inner["properties"].(document))
			must = append(must, inner["required"].([]string)...)
			continue
		}
		name, option, _ := strings.Cut(f.Tag.Get("json"), ",")
		if name == "" {
			continue
		}
		members[name] = schemaOf(f.Type, shared)
		if option != "omitempty" {
			must = append(must, name)
		}
	}
	return objectSchema(members, must)
}

func objectSchema(members document, must []string) document {
	return document{"type": "object", "properties": members, "required": must, "additionalProperties": false}
}

// reasonSchema is one alternative for each type of reason.
func reasonSchema(shared document) document {
	all := structSchema(reflect.TypeFor[failureReason](), shared)["properties"].(document)
	var types []any
	for _, row := range reasonRows {
		members, must := document{"type": document{"type": "string", "enum": []reasonType{row.kind}}}, append([]string{"type"}, row.members...)
		for _, m := range must[1:] {
			members[m] = all[m]
		}
		must = slices.DeleteFunc(must, func(m string) bool { return m == "oom" }) // only where it is true
		types = append(types, objectSchema(members, must))
	}
	return document{"oneOf": types}
}
