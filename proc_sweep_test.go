// proc_sweep_test.go tries what is left of a service when its main process has ended, with real processes that escape.

//go:build linux

package main

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

func TestRow05_DoubleForkEscapes(t *testing.T) {
	for _, c := range []struct {
		name, fork string
		stop       bool
	}{
		{"found by its invocation id after a death", "runaway", false},
		{"found by its invocation id after a stop", "runaway", true},
		{"still a descendant in a session of its own after a stop", "setsid", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			tab := newTestProcs(t)
			file := filepath.Join(t.TempDir(), "stray")
			r := startChild(t, tab, c.fork+"=ignore=TERM,touch="+file+",block", "await="+file, "touch="+file+".main", "block")
			stray := pidIn(t, file)
			pidIn(t, file+".main")
			if c.stop {
				r.p.stop(sigTerm)
				eventually(t, "the main process has ended", func() bool { return errors.Is(r.p.signal(0, false), errGone) })
				r.p.kill() // its time is over
			} else if err := r.p.signal(sigKill, false); err != nil {
				t.Fatal(err)
			}
			r.ended()
			if alive(stray) {
				t.Error("a process that left the session outlived its service")
			}
		})
	}
}

func TestRow05_CleanDescendantFoundByTheList(t *testing.T) {
	tab := newTestProcs(t)
	file := filepath.Join(t.TempDir(), "stray")
	// The child of the main process leaves the session and starts a grandchild; nobody's environment has the id.
	r := startArgv(t, tab, append([]string{shell(t), "-c", `env -i "$@" & wait`, "sh"}, childArgv("setsid=touch="+file+",ignore=TERM,block", "ignore=TERM", "block")...)...)
	stray := pidIn(t, file)
	r.p.stop(sigTerm)
	r.p.kill()
	r.ended()
	if alive(stray) {
		t.Error("a listed descendant outlived its service")
	}
}

func TestRow06_LeaderDiesChildIgnoresTerm(t *testing.T) {
	tab := newTestProcs(t)
	file := filepath.Join(t.TempDir(), "child")
	r := startChild(t, tab, "fork=ignore=TERM,touch="+file+",block", "await="+file, "on=TERM:0", "touch="+file+".main", "block")
	child := pidIn(t, file)
	pidIn(t, file+".main")
	r.p.stop(sigTerm)
	eventually(t, "the leader has ended", func() bool { return errors.Is(r.p.signal(0, false), errGone) })
	if !alive(child) || !r.still(t) {
		t.Fatal("the group must have time until kill")
	}
	r.p.kill()
	if e := r.ended(); e != (exit{Known: true}) {
		t.Errorf("ended with %+v", e)
	}
	if alive(child) {
		t.Error("the child outlived kill")
	}
}

func TestRow06_GroupEndsByItselfAfterStop(t *testing.T) {
	tab := newTestProcs(t)
	dir := t.TempDir()
	r := startChild(t, tab, "fork=ignore=TERM,touch="+dir+"/child,await="+dir+"/go", "await="+dir+"/child", "on=TERM:0", "touch="+dir+"/main", "block")
	pidIn(t, dir+"/main")
	r.p.stop(sigTerm)
	eventually(t, "the leader has ended", func() bool { return errors.Is(r.p.signal(0, false), errGone) })
	r.still(t)
	if err := os.WriteFile(dir+"/go", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	r.ended()
}

func TestDeathOfTheLeaderEndsTheGroup(t *testing.T) {
	tab := newTestProcs(t)
	file := filepath.Join(t.TempDir(), "child")
	r := startChild(t, tab, "fork=ignore=TERM,touch="+file+",block", "await="+file, "exit=3")
	if e := r.ended(); e != (exit{Known: true, Code: 3}) {
		t.Errorf("ended with %+v", e)
	}
	if alive(pidIn(t, file)) {
		t.Error("the child outlived the main process")
	}
}

func TestRow18_WhatSurvivesSigkillIsGivenUp(t *testing.T) {
	tab := newTestProcs(t)
	by := startChild(t, tab, "block")
	end := make(chan exit, 1)
	stuck := &process{t: tab, pid: 0x3ffffff0, pidfd: -1, gone: func(e exit) { end <- e }} // a number above pid_max: nothing that we send arrives
	stuck.addRelatives([]procID{{by.p.pid, by.p.ticks(by.p.pid)}})
	begin := time.Now()
	if left := stuck.survivors(); left != 1 {
		t.Errorf("%d survivors, want 1", left)
	}
	stuck.relatives = nil
	tab.mu.Lock()
	stuck.killed, stuck.killedAt = true, begin
	tab.pending = append(tab.pending, stuck)
	tab.mu.Unlock()
	tab.sweep(begin.Add(leftoverLimit - time.Millisecond))
	if len(end) != 0 {
		t.Fatal("given up too early")
	}
	tab.sweep(begin.Add(leftoverLimit))
	if e := <-end; e.Known {
		t.Errorf("the end of a process that did not end is known: %+v", e)
	}
}

func TestDescendantsWithoutTheChildrenFile(t *testing.T) {
	tab := newTestProcs(t)
	var want []int
	for range 3 {
		want = append(want, startChild(t, tab, "block").p.pid)
	}
	slices.Sort(want)
	for how, got := range map[string][]int{"the children file": sysChildren(nil, os.Getpid()), "a scan": childrenByScan(nil, os.Getpid())} {
		if slices.Sort(got); !slices.Equal(got, want) {
			t.Errorf("by %s: %v, want %v", how, got, want)
		}
	}
}
