// client_wait_test.go says what a waiting command asks for, shows meanwhile, and leaves alone when it is interrupted.

//go:build unix

package main

import (
	"bufio"
	"bytes"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
)

func TestStartWaitAsksForAllAtOnce(t *testing.T) {
	s := fakeServe(t, map[string]string{
		`service.start {"name":"db","timeout_ms":9000,"tree":false,"wait":true}`:  `{"ok":true,"state":"failed"}`,
		`service.start {"name":"web","timeout_ms":9000,"tree":false,"wait":true}`: `{"ok":true,"state":"running"}`,
		`service.start {"name":"app","timeout_ms":9000,"tree":false,"wait":true}`: `{"ok":true,"state":"blocked","blocked_by":["db"]}`,
		"service.status": dbFull,
		"service.wait":   `{"state":"blocked","blocked_by":["db"]}`,
		"service.why":    `{"todo":["zinit start db"],"text":"app is blocked:\n  requires db, which is exited: it was stopped\nwhat to do:\n  zinit start db\n"}`,
	})
	r := s.via(t, "start", "--wait", "--timeout=9000", "db", "web", "app").exits(t, exitNotRunning)
	expect(t, "stdout", r.out, "web: running\n")
	expect(t, "stderr", r.err, `
zinit: db is failed (exit code 1; restart in 4s; restarted 2×)
hint: zinit why db
zinit: app is blocked, waits for db
hint: zinit start app --tree
hint: zinit why app
`)
}

// TestHintsAboutTargets: a start names the one command that starts all of it, and a stop those that run on.
func TestHintsAboutTargets(t *testing.T) {
	s := fakeServe(t, map[string]string{
		"service.start": `{"ok":true,"state":"blocked"}`,
		"service.stop":  `{"ok":true,"state":"exited"}`,
		"service.wait":  `{"state":"blocked","blocked_by":["a","b"]}`,
		"service.why":   `{"todo":["zinit start a","zinit logs b    (what it said before it failed), then zinit start b"],"text":""}`,
		"service.tree":  `{"text":"","roots":[{"name":"site","kind":"target","state":"exited","children":[{"name":"a","state":"running"},{"name":"b","state":"failed"},{"name":"c","state":"starting"}]}]}`,
	})
	expect(t, "start", s.via(t, "start", "site").exits(t, exitDone).err, "hint: zinit start site --tree\nhint: zinit why site\n")
	expect(t, "start --tree", s.via(t, "start", "--tree", "site").exits(t, exitDone).err, "hint: zinit why site\n")
	expect(t, "wait", s.via(t, "wait", "site").exits(t, exitNotRunning).err,
		"zinit: site is blocked, waits for a, b\nhint: zinit start a\nhint: zinit logs b    (what it said before it failed), then zinit start b\nhint: zinit why site\n")
	r := s.via(t, "stop", "site").exits(t, exitDone)
	expect(t, "stop", r.out+r.err, "site: exited\nhint: what the target requires runs on; zinit stop a c\n")
}

// web is asked for before db is: its first answer is "blocked", and it is waited for again, but not started again.
func TestStartWaitInAnyOrder(t *testing.T) {
	s := fakeServe(t, map[string]string{
		`service.start {"name":"web","tree":false,"wait":true}`: `{"ok":true,"state":"blocked","blocked_by":["db"]}`,
		`service.start {"name":"db","tree":false,"wait":true}`:  `{"ok":true,"state":"running"}`,
		`service.wait {"name":"web","state":"running"}`:         `{"state":"running"}`,
	})
	expect(t, "stdout", s.via(t, "start", "--wait", "web", "db").exits(t, exitDone).out, "web: running\ndb: running\n")
	if n := len(s.requests()); n != 3 {
		t.Errorf("%d requests: %q", n, s.requests())
	}
}

func TestWaitingShowsWhoIsToGo(t *testing.T) {
	s := fakeServe(t, map[string]string{"service.start": "", "service.status": appFull})
	var errs lockedBuffer
	old := stderr
	stderr = &errs
	defer func() { stderr = old }()
	c := newCLI()
	c.out, c.progress, c.width, c.color = bufio.NewWriter(&bytes.Buffer{}), true, 50, false
	code := make(chan int, 1)
	go func() { code <- c.dispatch([]string{"--socket", s.path, "start", "--wait", "web", "app"}) }()
	eventually(t, "the line says what app waits for", func() bool {
		return strings.Contains(errs.String(), "2 to go: web waits for a-service-with-a-rather")
	})
	s.mu.Lock()
	s.conn.Close()
	s.mu.Unlock()
	if got := <-code; got != exitNoServer {
		t.Errorf("exit code %d after the server was lost", got)
	}
	for _, line := range strings.Split(errs.String(), "\r\x1b[K") {
		if first, _, _ := strings.Cut(line, "\n"); columns(first) > 80 {
			t.Errorf("a progress line wraps: %q", first)
		}
	}
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// Ctrl-C leaves with 130 and asks the server for nothing more.
func TestInterruptedWaitLeavesTheServerAlone(t *testing.T) {
	s := fakeServe(t, map[string]string{"service.stop": ""})
	cmd := exec.Command(zinitBinary(t), "--socket", s.path, "stop", "--wait", "web")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the request has come", func() bool { return len(s.requests()) == 1 })
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		skip(t, "no signals here: "+err.Error())
	}
	_ = cmd.Wait()
	if got := cmd.ProcessState.ExitCode(); got != exitInterrupted {
		t.Errorf("exit code %d", got)
	}
	if got := s.requests(); len(got) != 1 {
		t.Errorf("more was asked: %q", got)
	}
}
