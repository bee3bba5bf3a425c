// rpc_limits_test.go tests what clients cannot make the server hold, and that nobody uses up what others need.

//go:build unix

package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// TestAbstractNameIsForOwners: an abstract name has no mode that keeps others out, so they are answered by a refusal only, whatever they ask.
func TestAbstractNameIsForOwners(t *testing.T) {
	me := os.Geteuid()
	abstract, file := &rpcListener{path: "@x", gid: 50}, &rpcListener{path: "/x", gid: 50}
	file.file, _ = os.Lstat("/")
	for _, c := range []struct {
		l             *rpcListener
		who           peer
		all, answered bool
	}{
		{abstract, peer{known: true, pid: 1, uid: 0}, true, true},
		{abstract, peer{known: true, pid: 1, uid: me}, true, true},
		{abstract, peer{known: true, pid: 1, uid: me + 1, groups: []int{50}}, true, true},
		{abstract, peer{known: true, pid: 1, uid: me + 1, groups: []int{51}}, false, false},
		{abstract, peer{known: true, pid: 0, uid: 0}, false, false},
		{abstract, peer{}, false, false},
		{file, peer{known: true, pid: 1, uid: me + 1, groups: []int{51}}, false, true},
	} {
		all, refused := c.l.admits(c.who)
		if all != c.all || (refused == nil) != c.answered {
			t.Errorf("%+v at %s: all %v, %v", c.who, c.l.path, all, refused)
		}
	}
}

// TestParkedAnswersCount: the answers of batches that are not done count as what waits for the client, and so do the ids of waiting requests.
func TestParkedAnswersCount(t *testing.T) {
	discover := strings.Repeat(`,{"jsonrpc":"2.0","id":1,"method":"rpc.discover"}`, 10)
	for what, text := range map[string]string{
		"answers": `[{"jsonrpc":"2.0","id":1,"method":"service.wait","params":["t","failed"]}` + discover + "]\n",
		"ids":     `{"jsonrpc":"2.0","id":"` + strings.Repeat("x", 900_000) + `","method":"service.wait","params":["t","failed"]}` + "\n",
	} {
		d := newTestDoor(t)
		d.dial(t).call("service.add", `{"config":{"target":{"name":"t","status":"stop"}}}`)
		c := d.dialReader(t, nobody)
		over := make(chan struct{})
		go func() {
			defer close(over)
			for range 60 {
				if _, err := io.WriteString(c.Conn, text); err != nil {
					return
				}
			}
			c.Conn.(*net.UnixConn).CloseWrite()
			io.Copy(io.Discard, c.Conn)
		}()
		most := 0
		for done := false; !done; {
			select {
			case <-over:
				done = true
			case <-time.After(time.Millisecond):
			}
			most = max(most, d.r.budget.used().held)
			if what == "ids" && most > 0 && d.waitersOf("t") >= 4 { // the fifth is refused, and the client may go on
				done = true
			}
		}
		if t.Logf("%s: at most %d bytes", what, most); most > 3*rpcPendingMax {
			t.Errorf("%s: %d bytes were held for one connection", what, most)
		}
		c.Close()
		eventually(t, "all is given back", func() bool { return d.r.budget.used().held == 0 && d.waitersOf("t") == 0 })
	}
}

// TestReadersLeaveRoomForOwners: what users who may only read use up is missing to nobody but themselves.
func TestReadersLeaveRoomForOwners(t *testing.T) {
	d := newTestDoor(t)
	owner := d.dial(t)
	ask := []byte(strings.Repeat(`{"jsonrpc":"2.0","id":1,"method":"rpc.discover"}`+"\n", 30))
	for i := range 40 { // they do not read
		c := d.dialReader(t, nobody-i%8)
		go c.Conn.Write(ask)
	}
	other := d.dialReader(t, 5)
	for end := time.Now().Add(time.Second); time.Now().Before(end); {
		used := d.r.budget.used()
		if used.held > rpcStrangersHeld {
			t.Fatalf("%d bytes are held", used.held)
		}
		began := time.Now()
		if got := owner.ask(`{"jsonrpc":"2.0","id":1,"method":"service.list"}`); !strings.Contains(got, "[]") {
			t.Fatal(got)
		}
		if took := time.Since(began); took > 2*time.Second {
			t.Errorf("an owner waited %v", took)
		}
	}
	other.Close()

	b := rpcBudget{}
	for range rpcStrangerMax {
		if !b.take(nobody, 1, 0) {
			t.Fatal("a connection of a stranger is refused too early")
		}
	}
	if b.take(nobody, 1, 0) || !b.take(5, 1, 0) || !b.take(5, 0, rpcStrangerHeld) || b.take(5, 0, 1) || !b.take(6, 0, 1) {
		t.Error("one stranger is not kept within its share, or keeps others out")
	}
	for uid := range 100 {
		b.take(1000+uid, 0, rpcStrangerHeld)
		for range 100 {
			b.take(1000+uid, 1, 0)
		}
	}
	if b.strangers.conns > rpcStrangersMax || b.strangers.held > rpcStrangersHeld {
		t.Errorf("strangers use %+v", b.strangers)
	}
	for range rpcConnsMax - rpcStrangersMax {
		if !b.take(0, 1, 0) || !b.take(os.Geteuid(), 0, 1024) {
			t.Fatal("no room for an owner")
		}
	}
	if b.give(5, 1, rpcStrangerHeld); b.each[5] != nil {
		t.Error("the share of a user without a connection is kept")
	}
}

// TestUserOfMuchIsRefusedNotOthers: a partial line for which a user has no room ends that connection with a reason.
func TestUserOfMuchIsRefusedNotOthers(t *testing.T) {
	d := newTestDoor(t)
	if !d.r.budget.take(nobody, 0, rpcStrangerHeld) {
		t.Fatal("no room")
	}
	line := strings.Repeat(" ", 3*rpcBufferSize) + `{"jsonrpc":"2.0","id":1,"method":"service.list"}` + "\n"
	c := d.dialReader(t, nobody)
	go io.WriteString(c.Conn, line)
	if got := c.line(); !strings.Contains(got, "too much memory") {
		t.Error(got)
	}
	c = d.dialReader(t, nobody)
	if _, fail := c.try("events.subscribe", `[]`); fail == nil || fail.Data["kind"] != "internal_error" {
		t.Errorf("a subscription: %+v", fail)
	}
	for _, uid := range []int{0, os.Geteuid(), 5} {
		c := d.dialReader(t, uid)
		go io.WriteString(c.Conn, line)
		if got := c.line(); !strings.Contains(got, `"result":[]`) {
			t.Errorf("user %d: %s", uid, got)
		}
	}
}

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
	lines := make(lineList, many)
	for i := range lines {
		lines[i] = logLine{Seq: uint64(i), Text: long + "\x00"}
	}
	for what, c := range map[string]struct {
		result any
		count  func(v any) int
	}{
		"service.list_full": {ptrTo(serviceList(repeated(full, many))), lengthOf("")},
		"service.list":      {ptrTo(nameList(names)), lengthOf("")},
		"logs.get":          {ptrTo(textList(names)), lengthOf("")},
		"logs.filter":       {&lines, lengthOf("")},
		"service.children":  {ptrTo(childList(repeated(childProcess{Command: long}, many))), lengthOf("")},
		"service.stats":     {&statsResult{Children: repeated(childProcess{Command: long}, many)}, lengthOf("children")},
		"debug.state":       {&debugResult{Text: texts, Services: repeated(debugService{Status: &full}, many)}, lengthOf("services")},
		"process_tree":      {&processResult{Text: texts, Roots: repeated(processNode{Command: long, Children: []processNode{}}, many)}, lengthOf("roots")},
		"boot.analyze":      {&bootResult{Services: repeated(bootUnit{Name: long}, many), Chain: []string{}}, lengthOf("services")},
		"stop_all":          {&bulkResult{Services: names, Skipped: []string{}, Errors: []nameError{}}, lengthOf("services")},
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

// TestBatchIsOneAnswer: a batch whose answers would be larger than one answer may be says for each request that has none that it has none.
func TestBatchIsOneAnswer(t *testing.T) {
	d := newTestDoor(t)
	c := d.dial(t)
	one := `{"jsonrpc":"2.0","id":"a","method":"rpc.discover"}`
	size := len(c.ask(one))
	count := 3 * rpcAnswerMax / size
	text := "[" + one + strings.Repeat(","+one, count-1) + "]"
	got := c.ask(text)
	var all []struct {
		ID     string
		Result any
		Error  *testError
	}
	if err := json.Unmarshal([]byte(got), &all); err != nil || len(all) != count || len(got) > rpcAnswerMax {
		t.Fatalf("%d answers of %d in %d bytes: %v", len(all), count, len(got), err)
	}
	results := 0
	for i, a := range all {
		if a.ID != "a" || (a.Result == nil) == (a.Error == nil) {
			t.Fatalf("answer %d: %+v", i, a.Error)
		}
		if a.Result != nil {
			results++
		}
	}
	if results < count/4 {
		t.Errorf("only %d of %d requests have a result", results, count)
	}
	eventually(t, "nothing is held", func() bool { return d.r.budget.used().held == 0 })
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

// TestWhatFollowsAnAnswerThatWaitsIsDoneOnce: after an answer that comes later, not at once as well. An upgrade executed the new program twice.
func TestWhatFollowsAnAnswerThatWaitsIsDoneOnce(t *testing.T) {
	d := newTestDoor(t)
	var done atomic.Int32
	m := *d.r.byName["system.ping"]
	m.handle = func(q *rpcCall) (any, error) {
		if err := q.conn.reserve(len(q.id)); err != nil {
			return nil, err
		}
		q.then = func() { done.Add(1) }
		q.later = func() (any, error) {
			q.then = func() { done.Add(1) }
			return okResult{true}, nil
		}
		return nil, nil
	}
	d.r.byName["test.later"] = &m
	c := d.dial(t)
	one := `{"jsonrpc":"2.0","id":1,"method":"test.later"}`
	for n, text := range []string{one, "[" + one + "]"} {
		c.ask(text)
		c.ask(`{"jsonrpc":"2.0","id":2,"method":"system.ping"}`)
		eventually(t, "what follows is done", func() bool { return int(done.Load()) > n })
		if got := int(done.Load()); got != n+1 {
			t.Errorf("%s: done %d times", text, got-n)
		}
	}
}
