// rpc_limits_test.go tests what clients cannot make the server hold, and that nobody uses up what others need.

//go:build unix

package main

import (
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"time"
)

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
