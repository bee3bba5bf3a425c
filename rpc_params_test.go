// rpc_params_test.go tests the parameters of calls: by name, by position, and what is wrong with them.

//go:build unix

package main

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

// TestParams: by name, by position, and what each mistake is told.
func TestParams(t *testing.T) {
	c := newTestDoor(t).dial(t)
	c.call("service.add", `{"config":{"service":{"name":"web","exec":"/bin/true","status":"stop"}}}`)
	for _, ok := range []string{`{"name":"web"}`, `["web"]`, `{"n\u0061me":"we\u0062"}`} {
		if got := string(c.call("service.is_running", ok)); got != "false" {
			t.Errorf("%s: %s", ok, got)
		}
	}
	for _, r := range []struct{ method, params, param, text string }{
		{"service.status", `{}`, "name", "missing: it is a string"},
		{"service.status", `[]`, "name", "missing"},
		{"service.status", `{"name":null}`, "name", "missing"},
		{"service.status", `{"name":5}`, "name", `name: 5 is not a string`},
		{"service.status", `["web",1]`, "#2", "surplus: service.status takes name"},
		{"service.status", `{"nmae":"web"}`, "nmae", "did you mean name?"},
		{"service.status", `{"name":"web","colour":1}`, "colour", "unknown: service.status takes name"},
		{"service.status", `{"name":"web","name":"db"}`, "name", "given twice"},
		{"service.start", `{"name":"web","wait":"yes"}`, "wait", "not true or false"},
		{"service.start", `["web",false,false,-1]`, "timeout_ms", "not a whole number"},
		{"service.start", `["web",false,false,1.5]`, "timeout_ms", "not a whole number"},
		{"service.wait", `["web","up"]`, "state", "one of inactive, blocked"},
		{"service.add", `{"config":"x"}`, "config", "not an object"},
		{"events.subscribe", `{"services":"web"}`, "services", "not a list of strings"},
		{"events.subscribe", `{"types":["stat"]}`, "types", "did you mean state?"},
		{"system.ping", `[1]`, "#1", "takes no parameters"},
	} {
		_, fail := c.try(r.method, r.params)
		if fail == nil || fail.Code != -32602 || fail.Data["param"] != r.param || !strings.Contains(fail.Message, r.text) {
			t.Errorf("%s %s: got %+v, want -32602 for %s with %q", r.method, r.params, fail, r.param, r.text)
		}
	}
	if _, fail := c.try("service.status", `["wbe"]`); fail == nil || fail.Code != -32000 || fail.Data["kind"] != "service_not_found" || !strings.Contains(fail.Message, "did you mean web?") {
		t.Errorf("a near name: %+v", fail)
	}
	if _, fail := c.try("service.kill", `["web","SIGNOPE"]`); fail == nil || fail.Code != -32004 {
		t.Errorf("an unknown signal: %+v", fail)
	}
	if _, fail := c.try("service.kill", `["web",15]`); fail == nil || fail.Code != -32003 {
		t.Errorf("kill without a process: %+v", fail)
	}
	if _, fail := c.try("system.reboot", `{}`); fail == nil || fail.Code != -32015 {
		t.Errorf("reboot standalone: %+v", fail)
	}
}

// FuzzParams: every method answers any params exactly once.
func FuzzParams(f *testing.F) {
	table := rpcMethods
	for i := range table {
		for _, p := range []string{"[]", "{}", `["web"]`, `{"name":"web","wait":true,"timeout_ms":1}`, `[{"service":{"name":"web","exec":"x","status":"stop"}}]`, `[1,null,"x",[],{},true,5]`} {
			f.Add(i, p)
		}
	}
	d := newTestDoor(f)
	f.Fuzz(func(t *testing.T, i int, params string) {
		m := &table[uint(i)%uint(len(table))]
		if m.name == "system.shutdown" || !json.Valid([]byte(params)) || m.name == "service.wait" && !strings.Contains(params, "timeout_ms") {
			return
		}
		params = strings.Join(strings.Fields(params), " ")
		text := fmt.Sprintf(`{"jsonrpc":"2.0","id":"q","method":%q,"params":%s}`, m.name, params)
		c := d.dial(t)
		defer c.Close()
		var first map[string]any
		if err := json.Unmarshal([]byte(c.ask(text)), &first); err != nil || first["id"] != "q" && first["error"] == nil {
			t.Fatalf("%s: %v, %v", text, err, first)
		}
	})
}
