// rpc_feed_linux_test.go tests many followers of one service at once.

//go:build linux

package main

import (
	"bufio"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"
)

// TestRow10_TwoHundredFollowers: fifty of them read, the others do not. The service prints as fast as with none, the server answers as quickly, each
// follower gets every line or is told how many it lost, and the memory is bounded.
func TestRow10_TwoHundredFollowers(t *testing.T) {
	s := startServer(t, map[string]string{"chat": playing(waiting+once, "steady=100000:2000", "exit=0")})
	c := s.dial()
	c.SetDeadline(time.Now().Add(2 * time.Minute))
	const lines = 200_000
	run := func() (behind int, slowest time.Duration) {
		t.Helper()
		c.call("service.start", `["chat"]`)
		for done := false; !done; {
			began := time.Now()
			done = strings.Contains(string(c.call("service.status", `["chat"]`)), `"state":"exited"`)
			slowest = max(slowest, time.Since(began))
		}
		out := s.ok("logs", "chat", "-n", "1")
		if _, err := fmt.Sscanf(out, "end %d", &behind); err != nil {
			t.Fatalf("%v in %q", err, out)
		}
		return behind, slowest
	}
	behindAlone, slowestAlone := run()
	var followers []*testClient
	for range 200 {
		f := s.dial()
		f.SetDeadline(time.Now().Add(2 * time.Minute))
		f.in = bufio.NewReaderSize(f.Conn, 256<<10)
		f.call("logs.follow", `[["chat"],"stdout",0]`)
		followers = append(followers, f)
	}
	type heard struct {
		lines, lost int
		err         error
	}
	results := make(chan heard)
	listen := func(all []*testClient) {
		for _, f := range all {
			go func() {
				n, lost, err := f.hear()
				results <- heard{n, lost, err}
			}()
		}
	}
	listen(followers[:50])
	behind, slowest := run()
	t.Logf("alone at most %d ms behind, an answer after at most %v; with 200 followers %d ms, %v", behindAlone, slowestAlone, behind, slowest)
	if behind > 2*behindAlone+2000 { // it was fifty times that when each line was given to each follower
		t.Error("the followers slow the service down")
	}
	if slowest > 2*slowestAlone+time.Second {
		t.Error("the followers slow the server down")
	}
	least, most := lines, 0
	for n := range 60 {
		if n == 50 { // some of those that did not read begin to
			listen(followers[n:60])
		}
		h := <-results
		if h.err != nil || h.lines+h.lost != lines || n >= 50 && h.lost == 0 {
			t.Fatalf("a follower got %d lines and lost %d of %d: %v", h.lines, h.lost, lines, h.err)
		}
		least, most = min(least, h.lines), max(most, h.lines)
	}
	peak := memoryPeak(t, s.cmd.Process.Pid)
	t.Logf("a follower got from %d to %d lines; the server had %d MB at most", least, most, peak>>20)
	if peak > 100<<20 {
		t.Error("that is too much memory")
	}
}

// hear reads the notifications of a child's numbered lines (steady) up to "end": each number must follow the one before and what was lost.
func (c *testClient) hear() (lines, lost int, err error) {
	for {
		text, err := c.in.ReadString('\n')
		if err != nil {
			return lines, lost, err
		}
		_, line, _ := strings.Cut(text, `"text":"`)
		if _, count, some := strings.Cut(text, `"lost":`); some {
			var n int
			if _, err := fmt.Sscan(strings.TrimRight(count, "}\n"), &n); err != nil {
				return lines, lost, err
			}
			lost += n
		}
		if strings.HasPrefix(line, "end") {
			return lines, lost, nil
		}
		if !strings.HasPrefix(line, strconv.Itoa(lines+lost+1)+" is") {
			return lines, lost, fmt.Errorf("line %d is expected after %d lines and %d lost ones: %s", lines+lost+1, lines, lost, text)
		}
		lines++
	}
}
