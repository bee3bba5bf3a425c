// proc_main_test.go tries processes that become the main process of a service, by what the service says.

//go:build linux

package main

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// childOf starts a service whose child obeys words, by the verb fork, setsid or runaway, while the service goes on with more; it returns the pid of the child.
func childOf(t *testing.T, tab *procs, verb, words string, more ...string) (*run1, int) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "child")
	r := startChild(t, tab, append([]string{verb + "=touch=" + file + "," + words, "await=" + file}, more...)...)
	return r, pidIn(t, file)
}

// TestBecome: the end of a service is the end of the process that became its main one, wherever that lives.
func TestBecome(t *testing.T) {
	for _, verb := range []string{"fork", "setsid", "runaway"} {
		t.Run(verb, func(t *testing.T) {
			tab := newTestProcs(t)
			dir := t.TempDir()
			r, child := childOf(t, tab, verb, "await="+dir+"/go,exit=7", "await="+dir+"/leave", "exit=0")
			old := r.p.mainPID()
			if err := r.p.become(child); err != nil {
				t.Fatal(err)
			}
			touch(t, dir+"/leave")
			eventually(t, "the first process has ended", func() bool { return !alive(old) })
			if len(r.end) > 0 {
				t.Fatalf("the end of the former main process was that of the service: %v", <-r.end)
			}
			touch(t, dir+"/go")
			if e := r.ended(); e != (exit{Known: true, Code: 7}) {
				t.Errorf("the end is %+v, want code 7 of the new main process", e)
			}
		})
	}
}

// TestBecomeAfterTheEnd: a service may name its new main process just before the old one ends; what is asked then decides.
func TestBecomeAfterTheEnd(t *testing.T) {
	leave := func(t *testing.T) (r *run1, child int, left chan *process, dir string) {
		tab := newTestProcs(t)
		left, dir = make(chan *process, 1), t.TempDir()
		tab.succession = func(p *process) bool { left <- p; return true }
		r, child = childOf(t, tab, "fork", "await="+dir+"/go,exit=7", "exit=3")
		if p := <-left; p != r.p {
			t.Fatal("somebody else has ended")
		}
		return r, child, left, dir
	}
	t.Run("another follows", func(t *testing.T) {
		r, child, left, dir := leave(t)
		if err := r.p.become(child); err != nil {
			t.Fatal(err)
		}
		r.p.conclude() // too late
		touch(t, dir+"/go")
		<-left
		r.p.conclude()
		if e := r.ended(); e != (exit{Known: true, Code: 7}) {
			t.Errorf("the end is %+v, want code 7 of the new main process", e)
		}
	})
	t.Run("nobody follows", func(t *testing.T) {
		r, child, _, _ := leave(t)
		r.p.conclude()
		if e := r.ended(); e != (exit{Known: true, Code: 3}) {
			t.Errorf("the end is %+v, want code 3", e)
		}
		if alive(child) {
			t.Error("what was left was not killed")
		}
		if err := r.p.become(child); !errors.Is(err, errGone) {
			t.Errorf("a process of a service that has ended became its main one: %v", err)
		}
	})
}

// TestBecomeChildOfAnother: whose parent lives on is waited for by that one: its exit code is unknown to us, its end is not. The parent goes with it.
func TestBecomeChildOfAnother(t *testing.T) {
	tab := newTestProcs(t)
	dir := t.TempDir()
	r, child := childOf(t, tab, "fork", "await="+dir+"/go,exit=7", "block")
	old := r.p.mainPID()
	if err := r.p.become(child); err != nil {
		t.Fatal(err)
	}
	touch(t, dir+"/go")
	if e := r.ended(); e.Known {
		t.Errorf("the end is %+v; who could know?", e)
	}
	if alive(old) {
		t.Error("the former main process outlived the service")
	}
}

// TestBecomeStops: a stop reaches the new main process in a group of its own, and the former one does not outlive it.
func TestBecomeStops(t *testing.T) {
	for _, verb := range []string{"fork", "setsid", "runaway"} {
		t.Run(verb, func(t *testing.T) {
			tab := newTestProcs(t)
			dir := t.TempDir()
			r, child := childOf(t, tab, verb, "on=TERM:5,touch="+dir+"/ready,block", "ignore=TERM", "block")
			pidIn(t, dir+"/ready")
			old := r.p.mainPID()
			if err := r.p.become(child); err != nil {
				t.Fatal(err)
			}
			r.p.stop(sigTerm)
			eventually(t, "the new main process has ended", func() bool { return !alive(child) })
			r.p.kill() // members of its group have time until then
			r.ended()
			if alive(child) || alive(old) {
				t.Error("something outlived a stop")
			}
		})
	}
}

// TestBecomeNobody: what has ended, or is the main process of another service, is refused, and nothing changes.
func TestBecomeNobody(t *testing.T) {
	tab := newTestProcs(t)
	r, other := startChild(t, tab, "on=TERM:4", "block"), startChild(t, tab, "block")
	if err := r.p.become(other.p.mainPID()); !errors.Is(err, errOtherMain) {
		t.Errorf("the main process of another service: %v", err)
	}
	if err := r.p.become(1 << 22); !errors.Is(err, errGone) {
		t.Errorf("a pid that does not exist: %v", err)
	}
	if err := r.p.become(r.p.mainPID()); err != nil {
		t.Errorf("itself: %v", err)
	}
	other.p.kill()
	other.ended()
	r.p.kill()
	r.ended()
}

// TestAdoptOtherMain: the next server adopts a main process that does not lead its group, and stops the group.
func TestAdoptOtherMain(t *testing.T) {
	tab := newTestProcs(t)
	dir := t.TempDir()
	r, child := childOf(t, tab, "fork", "on=TERM:5,touch="+dir+"/ready,block", "fork=ignore=TERM,touch="+dir+"/third,sleep=60000", "await="+dir+"/leave", "exit=0")
	pidIn(t, dir+"/ready")
	third := pidIn(t, dir+"/third")
	if err := r.p.become(child); err != nil {
		t.Fatal(err)
	}
	touch(t, dir+"/leave")
	eventually(t, "the first process has ended", func() bool { return !alive(r.p.group.pid) })
	end := make(chan exit, 1)
	tab.mu.Lock()
	delete(tab.live, child)
	tab.mu.Unlock()
	p := tab.process("test", "", killGroup, func(e exit) { end <- e })
	if err := tab.adopt(p, child, r.p.ticks(child)); err != nil {
		t.Fatal(err)
	}
	p.stop(sigTerm)
	p.kill()
	select {
	case <-end:
	case <-time.After(patience):
		t.Fatal("no end")
	}
	if alive(third) {
		t.Error("a member of the group outlived the service")
	}
}

// touch makes a file for which a child waits.
func touch(t *testing.T, path string) {
	t.Helper()
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
}
