// rpc_methods_test.go holds the methods to their description: the OpenRPC document is valid, and each method answers as it says.

//go:build unix

package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// checker validates against the part of JSON Schema draft 07 that the documents here use.
type checker struct{ root any }

func (k checker) check(schema, v any, at string) error {
	s, ok := schema.(map[string]any)
	if !ok {
		return nil
	}
	if ref, ok := s["$ref"].(string); ok {
		if !strings.HasPrefix(ref, "#/") {
			return nil
		}
		target := k.root
		for _, part := range strings.Split(ref[2:], "/") {
			target = target.(map[string]any)[part]
		}
		if target == nil {
			return fmt.Errorf("%s: no %s", at, ref)
		}
		return k.check(target, v, at)
	}
	if one, ok := s["oneOf"].([]any); ok {
		var errs []error
		for _, alt := range one {
			if err := k.check(alt, v, at); err != nil {
				errs = append(errs, err)
			}
		}
		if len(one)-len(errs) != 1 {
			return fmt.Errorf("%s: %d of %d alternatives fit: %v", at, len(one)-len(errs), len(one), errs)
		}
	}
	if enum, ok := s["enum"].([]any); ok && !slices.ContainsFunc(enum, func(e any) bool { return reflect.DeepEqual(e, v) }) {
		return fmt.Errorf("%s: %v is none of %v", at, v, enum)
	}
	if !hasType(s["type"], v) {
		return fmt.Errorf("%s: %v is not %v", at, v, s["type"])
	}
	switch v := v.(type) {
	case map[string]any:
		return k.object(s, v, at)
	case []any:
		for i := range v {
			if err := k.check(s["items"], v[i], fmt.Sprintf("%s[%d]", at, i)); err != nil {
				return err
			}
		}
	}
	return nil
}

func (k checker) object(s, v map[string]any, at string) error {
	must, _ := s["required"].([]any)
	for _, m := range must {
		if _, ok := v[m.(string)]; !ok {
			return fmt.Errorf("%s: %s is missing", at, m)
		}
	}
	properties, _ := s["properties"].(map[string]any)
	patterns, _ := s["patternProperties"].(map[string]any)
	for name, value := range v {
		sub, known := properties[name]
		for p, ps := range patterns {
			if !known && regexp.MustCompile(p).MatchString(name) {
				sub, known = ps, true
			}
		}
		if more, isBool := s["additionalProperties"].(bool); !known && isBool && !more {
			return fmt.Errorf("%s: %s is not allowed", at, name)
		}
		if err := k.check(sub, value, at+"."+name); err != nil {
			return err
		}
	}
	return nil
}

func hasType(want, v any) bool {
	if list, ok := want.([]any); ok {
		return slices.ContainsFunc(list, func(w any) bool { return hasType(w, v) })
	}
	switch v := v.(type) {
	case nil:
		return want == nil || want == "null"
	case bool:
		return want == nil || want == "boolean"
	case string:
		return want == nil || want == "string"
	case float64:
		return want == nil || want == "number" || want == "integer" && v == math.Trunc(v)
	case []any:
		return want == nil || want == "array"
	}
	return want == nil || want == "object"
}

func parsed(t *testing.T, b []byte) (v any) {
	t.Helper()
	if err := json.Unmarshal(b, &v); err != nil {
		t.Fatalf("%v in %.200s", err, b)
	}
	return v
}

// TestDiscover: the document is valid OpenRPC, and lists each method of the table once.
func TestDiscover(t *testing.T) {
	doc := parsed(t, newTestDoor(t).dial(t).call("rpc.discover", "[]"))
	text, err := os.ReadFile("testdata/openrpc-1.3-schema.json")
	if err != nil {
		t.Fatal(err)
	}
	schema := parsed(t, text)
	if err := (checker{schema}).check(schema, doc, "document"); err != nil {
		t.Error(err)
	}
	for _, ref := range regexp.MustCompile(`"\$ref":"#/components/([^"]+)"`).FindAllStringSubmatch(string(mustJSON(doc)), -1) {
		room, name, _ := strings.Cut(ref[1], "/")
		if doc.(map[string]any)["components"].(map[string]any)[room].(map[string]any)[name] == nil {
			t.Errorf("%s refers to nothing", ref[0])
		}
	}
	names := map[string]bool{}
	for _, m := range doc.(map[string]any)["methods"].([]any) {
		names[m.(map[string]any)["name"].(string)] = true
	}
	if table := rpcMethods; len(names) != len(table) || len(names) < 44 {
		t.Errorf("%d methods in the document, %d in the table", len(names), len(table))
	}
}

// TestNotifications: each subscription sends the notification that its method names, and that is as x-notifications says.
func TestNotifications(t *testing.T) {
	d := newTestDoor(t)
	c := d.dial(t)
	doc := parsed(t, c.call("rpc.discover", "[]")).(map[string]any)
	c.call("service.add", `{"config":{"target":{"name":"base","status":"stop"}}}`)
	params := map[string]any{}
	for _, n := range doc["x-notifications"].([]any) {
		params[n.(map[string]any)["name"].(string)] = n.(map[string]any)["params"]
	}
	for _, m := range doc["methods"].([]any) {
		m := m.(map[string]any)
		name, sends := m["x-notification"].(string)
		if !sends {
			continue
		}
		if params[name] == nil {
			t.Errorf("%v sends %s, which is not described", m["name"], name)
		}
		heard := d.dial(t)
		heard.call(m["name"].(string), "[]")
		d.s.logs.add("base", "stdout", "hello")
		c.call("service.restart", `["base"]`)
		note := parsed(t, []byte(heard.line())).(map[string]any)
		if err := (checker{doc}).check(params[name], note["params"], name); err != nil || note["method"] != name {
			t.Errorf("%v sends %v: %v", m["name"], note, err)
		}
		delete(params, name)
	}
	if len(params) != 0 {
		t.Errorf("no method sends %v", params)
	}
}

// TestAnswers: each method answers what rpc.discover says of it, or an error that it lists.
func TestAnswers(t *testing.T) {
	d := newTestDoor(t)
	c := d.dial(t)
	doc := parsed(t, c.call("rpc.discover", "[]")).(map[string]any)
	c.call("service.add", `{"config":{"service":{"name":"web","exec":"/bin/true","status":"stop"},"dependencies":{"requires":["base"]},"health":{"type":"tcp","target":"localhost:1"}}}`)
	c.call("service.add", `{"config":{"target":{"name":"base","status":"stop"},"dependencies":{"wants":["web"]}}}`)
	d.s.logs.add("web", "stdout", "hello")
	d.pretend("web")
	args := map[string]string{
		"service.create": `{"config":{"target":{"name":"n1"}}}`, "service.add": `{"config":{"target":{"name":"n2"}}}`, "service.register": `{"config":{"target":{"name":"n3"}}}`,
		"service.monitor": `{"config":{"target":{"name":"n4"}}}`, "service.set": `{"config":{"target":{"name":"n5"}}}`, "service.update": `{"config":{"target":{"name":"n4","status":"stop"}}}`,
		"service.check": `{"config":{"service":{"name":"x"}}}`, "service.delete": `["n1"]`, "service.remove": `["n2"]`, "events.unsubscribe": `[1]`,
		"service.start": `["base"]`, "service.stop": `["base"]`, "service.restart": `["base"]`, "service.wait": `["base","blocked",1]`,
		"service.kill": `["base"]`, "system.shutdown": "", "service.delete_all": "", "service.stop_all": "",
		"xinet.create": `{"config":{}}`, "xinet.register": `{"config":{}}`,
	}
	for _, m := range doc["methods"].([]any) {
		m := m.(map[string]any)
		name := m["name"].(string)
		params, known := args[name]
		if known && params == "" {
			continue
		}
		if list := m["params"].([]any); !known {
			params = "[]"
			if len(list) > 0 && list[0].(map[string]any)["name"] == "name" {
				params = `["web"]`
			}
		}
		byName, byPosition := bothWays(t, m, params)
		for _, params := range []string{byName, byPosition} {
			result, fail := d.dial(t).try(name, params)
			if fail != nil {
				if !slices.ContainsFunc(m["errors"].([]any), func(e any) bool { return e.(map[string]any)["code"] == float64(fail.Code) }) {
					t.Errorf("%s %s: %+v, which it does not list", name, params, fail)
				}
				continue
			}
			if err := (checker{doc}).check(m["result"].(map[string]any)["schema"], parsed(t, result), name); err != nil {
				t.Errorf("%v\nin %s", err, result)
			}
		}
	}
	for _, format := range []string{"dot", "mermaid", "json"} {
		if got := string(c.call("service.graph", `["`+format+`"]`)); !strings.Contains(got, "web") {
			t.Errorf("graph as %s: %s", format, got)
		}
	}
	if got := string(c.call("boot.analyze", `["text"]`)); !strings.Contains(got, "ready after") {
		t.Errorf("boot.analyze as text: %s", got)
	}
}

// bothWays writes parameters by name and by position, whichever way they are written.
func bothWays(t *testing.T, m map[string]any, params string) (byName, byPosition string) {
	named, list := map[string]any{}, []any{}
	given := parsed(t, []byte(params))
	for i, p := range m["params"].([]any) {
		name := p.(map[string]any)["name"].(string)
		switch given := given.(type) {
		case []any:
			if i < len(given) {
				named[name] = given[i]
			}
		case map[string]any:
			if v, ok := given[name]; ok {
				named[name] = v
			}
		}
		list = append(list, named[name])
	}
	return string(mustJSON(named)), string(mustJSON(list))
}

// TestWrongParams: each method, by name and by position, names what is missing, surplus, or of a wrong type, and does nothing.
func TestWrongParams(t *testing.T) {
	c := newTestDoor(t).dial(t)
	wrong := map[string]any{"string": 5, "boolean": "true", "integer": 1.5, "array": "x", "object": []any{}}
	for _, m := range parsed(t, c.call("rpc.discover", "[]")).(map[string]any)["methods"].([]any) {
		m := m.(map[string]any)
		method, params := m["name"].(string), m["params"].([]any)
		refused := func(params any, names string) {
			t.Helper()
			_, fail := c.try(method, string(mustJSON(params)))
			if fail == nil || fail.Code != -32602 || fail.Data["kind"] != "invalid_params" || !strings.Contains(fail.Message, names) {
				t.Errorf("%s %s: %+v, want -32602 with %s", method, mustJSON(params), fail, names)
			}
		}
		good := map[string]any{"name": "x", "config": map[string]any{}, "subscription": 1, "text": "x"}
		named, list := map[string]any{"surplus": 1}, []any{}
		before := map[string]any{} // what is required and comes first is named first
		for _, p := range params {
			p := p.(map[string]any)
			name := p["name"].(string)
			value := good[name]
			if p["required"] == true {
				refused(before, name)
				refused(list, name)
				named[name] = value
			}
			kind, _ := p["schema"].(map[string]any)["type"].(string)
			bad := wrong[kind]
			if kind == "" {
				bad = []any{} // a config, or a signal
			}
			with := maps.Clone(before)
			with[name] = bad
			refused(with, name)
			refused(append(slices.Clone(list), bad), name)
			list = append(list, value)
			if p["required"] == true {
				before[name] = value
			}
		}
		refused(named, "surplus")
		refused(append(list, 1), fmt.Sprintf("#%d", len(params)+1))
	}
}

// pretend gives a unit the looks of one that runs and has failed before, without a process of its own.
func (d *testDoor) pretend(name string) {
	d.s.view(func(g *graph, now time.Time) {
		u, code := g.unit(name), 7
		u.pid, u.started, u.exitCode, u.lastStart = os.Getpid(), now, &code, now
		u.bootStarting, u.bootReady = now, now
		u.reason = &failureReason{Type: "exit_code", Code: &code}
		u.restartDue = now.Add(time.Hour)
	})
}

// TestReasons: each type of reason is written as its schema says.
func TestReasons(t *testing.T) {
	schema := parsed(t, mustJSON(reasonSchema(document{})))
	seven := 7
	for _, row := range reasonRows {
		kind := row.kind
		for _, code := range []*int{nil, &seven} {
			w := &wireReason{Type: kind, Code: code, Signal: 9, Name: "SIGKILL", Attempts: 3, LastError: "e", Service: "s", Message: "m", Dependency: "d"}
			if err := (checker{}).check(schema, parsed(t, mustJSON(w)), string(kind)); err != nil {
				t.Error(err)
			}
			var back wireReason
			if err := json.Unmarshal(mustJSON(w), &back); err != nil || back.String() != w.String() {
				t.Errorf("%s: %v: %q, want %q", kind, err, back.String(), w.String())
			}
		}
	}
}

func mustJSON(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return b
}

// TestReadMethodsExist: a method that is misspelt among those that only read would be refused to readers.
func TestReadMethodsExist(t *testing.T) {
	for _, name := range strings.Fields(readMethods) {
		if !slices.ContainsFunc(rpcMethods, func(m rpcMethod) bool { return m.name == name }) {
			t.Errorf("there is no method %s", name)
		}
	}
}
