// rpc_answer_test.go tests that answers are cut where they would be too large, and say so.

//go:build unix

package main

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
)

// TestAnswersAreCut: an answer is never larger than is promised, stays JSON of its type, and says how much it lacks.
func TestAnswersAreCut(t *testing.T) {
	const many = 40000
	long := strings.Repeat("x", 200)
	names := make([]string, many)
	for i := range names {
		names[i] = fmt.Sprint(long, i)
	}
	full := serviceStatusFull{serviceStatus: serviceStatus{Name: long, BlockedBy: []string{}}, Description: "<\x01>"}
	texts := strings.Repeat(long+"\n", many)
	lines := make([]logLine, many)
	for i := range lines {
		lines[i] = logLine{Seq: uint64(i), Text: long + "\x00"}
	}
	for what, c := range map[string]struct {
		result any
		count  func(v any) int
	}{
		"service.list_full": {ptrTo(repeated(full, many)), lengthOf("")},
		"service.list":      {ptrTo(slices.Clone(names)), lengthOf("")},
		"logs.get":          {ptrTo(textList(names)), lengthOf("")},
		"logs.filter":       {&lines, lengthOf("")},
		"service.children":  {ptrTo(repeated(childProcess{Command: long}, many)), lengthOf("")},
		"service.stats":     {&statsResult{Children: repeated(childProcess{Command: long}, many)}, lengthOf("children")},
		"debug.state":       {&debugResult{Text: texts, Services: repeated(debugService{Status: full}, many)}, lengthOf("services")},
		"process_tree":      {&processResult{Text: texts, Roots: repeated(processNode{Command: long, Children: []processNode{}}, many)}, lengthOf("roots")},
		"boot.analyze":      {&bootResult{Services: repeated(bootUnit{Name: long}, many), Chain: []string{}}, lengthOf("services")},
		"stop_all":          {&bulkResult{Services: names, Skipped: []string{}, Errors: []bulkFailure{}}, lengthOf("services")},
		"reload":            {&reloadResult{Errors: repeated(problem{Message: long}, many)}, lengthOf("errors")},
		"why":               {&whyResult{Text: texts, Reasons: repeated(whyReason{Detail: long}, many)}, lengthOf("reasons")},
	} {
		b := appendAnswer([]byte("before"), []byte(`"id"`), c.result)[len("before"):]
		var a struct {
			ID      string
			Result  any
			LeftOut int `json:"left_out"`
			Error   any
		}
		if err := json.Unmarshal(b, &a); err != nil || a.Error != nil || len(b) > rpcAnswerMax || len(b) < rpcAnswerMax/2 {
			t.Errorf("%s: %d bytes, %v, %.200s", what, len(b), err, b)
			continue
		}
		if n := c.count(a.Result); n == 0 || n+a.LeftOut != many {
			t.Errorf("%s: %d are there, %d are left out, of %d", what, n, a.LeftOut, many)
		}
	}
	if last := lines[len(lines)-1].Seq; last != many-1 {
		t.Errorf("the newest line is left out: %d is the last", last)
	}
	for begin, end := range map[string]string{"digraph zinit {\n": "}\n", "flowchart LR\n": " lines more\n", "": " lines more\n"} {
		r := &textResult{Text: begin + texts}
		if b := appendAnswer(nil, nil, r); len(b) > rpcAnswerMax || !strings.HasSuffix(r.Text, end) || !strings.Contains(r.Text, "lines more") || !strings.HasPrefix(r.Text, begin) {
			t.Errorf("%d bytes, %.100q ... %q", len(b), r.Text, r.Text[len(r.Text)-80:])
		}
	}
	b := appendAnswer(nil, []byte("1"), strings.Repeat("x", rpcAnswerMax))
	if len(b) > 1000 || !strings.Contains(string(b), "would be larger") {
		t.Errorf("what cannot be cut: %.200s", b)
	}
	b = appendFailure(nil, []byte("1"), &rpcError{Data: errorData{Errors: repeated(problem{Message: long}, many)}})
	if len(b) > rpcAnswerMax || !strings.Contains(string(b), "39000 more errors are left out") {
		t.Errorf("an error of %d bytes", len(b))
	}
}

func ptrTo[T any](v T) *T { return &v }

func repeated[T any](v T, n int) []T {
	list := make([]T, n)
	for i := range list {
		list[i] = v
	}
	return list
}

// lengthOf counts the elements of a list, or of the member of an object.
func lengthOf(member string) func(any) int {
	return func(v any) int {
		if m, is := v.(map[string]any); is {
			v = m[member]
		}
		list, _ := v.([]any)
		return len(list)
	}
}

// TestLeftOutStandsBesideTheResult: also what a result lacks from the beginning, and the schema says so.
func TestLeftOutStandsBesideTheResult(t *testing.T) {
	for what, result := range map[string]any{
		"why":   &whyResult{partial: partial{7}},
		"tree":  &treeResult{partial: partial{7}},
		"graph": &textResult{partial: partial{7}},
	} {
		var a struct {
			Result  map[string]any
			LeftOut int `json:"left_out"`
		}
		if err := json.Unmarshal(appendAnswer(nil, []byte("1"), result), &a); err != nil || a.LeftOut != 7 || a.Result["left_out"] != nil {
			t.Errorf("%s: %+v, %v", what, a, err)
		}
	}
	var doc struct {
		Components struct {
			Schemas map[string]struct{ Properties map[string]any }
		}
	}
	d := newTestDoor(t)
	if err := json.Unmarshal(mustJSON(d.r.openRPC("/run/z")), &doc); err != nil {
		t.Fatal(err)
	}
	for schema, member := range map[string]string{"Answer": "left_out", "TreeNode": "truncated"} {
		if doc.Components.Schemas[schema].Properties[member] == nil {
			t.Errorf("%s of %s is not described", member, schema)
		}
	}
}
