// logs_follow_test.go tests what followers get, and what slow ones lose.

//go:build !windows

package main

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
)

func TestFollowBeginsWithOldLines(t *testing.T) {
	h := testHub(t)
	for i := range 20 {
		h.add([]string{"a", "b"}[i%2], "stdout", strconv.Itoa(i))
	}
	f := h.follow([]string{"b"}, "stdout", 3)
	defer f.close()
	h.add("b", "stderr", "other stream")
	h.add("a", "stdout", "other service")
	h.add("b", "stdout", "new")
	<-f.wake
	lines, lost := f.all()
	wantTexts(t, lines, "15", "17", "19", "new")
	if lost != 0 {
		t.Fatalf("%d lost", lost)
	}
}

// all takes until there is nothing more.
func (f *follower) all() (lines []logLine, lost uint64) {
	for {
		some, missed := f.take(1 << 10)
		lines, lost = append(lines, some...), lost+missed
		if len(some) == 0 {
			return lines, lost
		}
	}
}

func TestRow10_SlowFollowerLosesTheOldest(t *testing.T) {
	h := testHub(t)
	h.add("s", "stdout", "before")
	f, named, other := h.follow(nil, "", 0), h.follow([]string{"s", "t"}, "stdout", 10), h.follow([]string{"quiet"}, "", 10)
	r := testPipes(t, h, "s")
	line := strings.Repeat("x", 1000)
	const total = 10_000
	for i := range total {
		fmt.Fprintf(r.stdout, "%s%d\n", line, i)
		if i%100 == 0 {
			h.add("s", "stderr", "an error")
		}
	}
	h.add("quiet", "stdout", "hm")
	r.end()
	r.drain()
	lines, lost := f.all()
	last := func(l logLine) bool { return l.Text == line+strconv.Itoa(total-1) }
	if len(lines)+int(lost) != total+101 || lost == 0 || (len(lines)-101)*len(line) > backlogBytes || !slices.ContainsFunc(lines, last) {
		t.Errorf("%d lines and %d lost of %d", len(lines), lost, total+101)
	}
	for i := range lines[1:] {
		if lines[i].Seq >= lines[i+1].Seq {
			t.Fatalf("seq %d, then %d", lines[i].Seq, lines[i+1].Seq)
		}
	}
	lines, lost = named.all()
	if len(lines)+int(lost) != total+1 || lost == 0 || lines[0].Text != "before" || !last(lines[len(lines)-1]) {
		t.Errorf("by name and stream: %d lines and %d lost of %d", len(lines), lost, total+1)
	}
	lines, lost = other.all()
	wantTexts(t, lines, "hm")
	if lost != 0 {
		t.Errorf("a follower of another service lost %d", lost)
	}
	for _, f := range []*follower{f, named, other} {
		f.close()
	}
	h.emit.Lock()
	defer h.emit.Unlock()
	if len(h.backlog.parts) != 0 || len(h.followers) != 0 {
		t.Error("something is left of the followers")
	}
}
