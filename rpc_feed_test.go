// rpc_feed_test.go tests subscriptions to events and logs.

//go:build unix

package main

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
)

// TestSubscriptions: events and log lines come after the answer, only what was asked for, and end when told.
func TestSubscriptions(t *testing.T) {
	d := newTestDoor(t)
	c, other := d.dial(t), d.dial(t)
	for _, n := range []string{"a", "b"} {
		other.call("service.add", `{"config":{"target":{"name":"`+n+`","status":"stop"}}}`)
	}
	var sub subscribeResult
	json.Unmarshal(c.call("events.subscribe", `{"services":["b"],"types":["state"]}`), &sub)
	other.call("service.start", `["a"]`)
	other.call("service.start", `["b",false,true]`)
	var to []string
	for slices.Index(to, "running") < 0 {
		var note struct {
			Method string
			Params serviceEvent
		}
		text := c.line()
		if err := json.Unmarshal([]byte(text), &note); err != nil || note.Method != "event" || note.Params.Service != "b" || note.Params.Subscription != sub.Subscription || note.Params.Type != "state" {
			t.Fatalf("%v: %s", err, text)
		}
		to = append(to, note.Params.To.String())
	}
	if got := string(c.call("events.unsubscribe", fmt.Sprintf("[%d]", sub.Subscription))); got != `{"ok":true}` {
		t.Errorf("unsubscribe: %s", got)
	}
	if _, fail := c.try("events.unsubscribe", fmt.Sprintf("[%d]", sub.Subscription)); fail == nil || fail.Code != -32602 {
		t.Errorf("unsubscribe again: %+v", fail)
	}
	d.s.logs.add("a", "stdout", "first")
	follow := d.dial(t)
	json.Unmarshal(follow.call("logs.follow", `{}`), &sub)
	for _, want := range []string{"first", "second"} {
		text := follow.line()
		var note struct {
			Method string
			Params struct {
				logLine
				Subscription int64
			}
		}
		if err := json.Unmarshal([]byte(text), &note); err != nil || note.Method != "log" || note.Params.Text != want || note.Params.Subscription != sub.Subscription {
			t.Fatalf("%v: %s, want %s", err, text, want)
		}
		d.s.logs.add("a", "stdout", "second")
	}
}

// TestEventFeedDropsOldest: who tells never waits for a slow subscriber; the newest events stay and the lost ones are counted.
func TestEventFeedDropsOldest(t *testing.T) {
	h := newEventHub()
	f := h.subscribe(nil, nil)
	for range eventFeedMax + 5 {
		h.tell(&effect{kind: effectMoved, name: "x", from: starting, to: running})
	}
	var text []byte
	for take := eventNotes(f); len(f.ring) > 0; {
		text = append(text, take(nil, 3)...)
	}
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	if len(lines) != eventFeedMax || !strings.Contains(lines[0], `"seq":6,`) || !strings.Contains(lines[0], `"lost":5`) || strings.Contains(lines[1], "lost") {
		t.Errorf("%d events, first %s", len(lines), lines[0])
	}
	f.close()
	h.tell(&effect{kind: effectMoved})
	if len(f.ring) != 0 {
		t.Error("a closed feed got an event")
	}
}
