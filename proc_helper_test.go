// proc_helper_test.go tries helpers: their end, their output and their time.

//go:build linux

package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestHelper(t *testing.T) {
	tab := newTestProcs(t)
	file := filepath.Join(t.TempDir(), "child")
	said := &tail{limit: 10}
	e, err := tab.helper(childSpec(-1, nil, childArgv("lines=1000", "eprint=last", "exit=2")...), patience, said, nil)
	if err != nil || e.Code != 2 || string(said.data) != "1000\nlast\n"[len("1000\nlast\n")-10:] {
		t.Errorf("got %+v %q %v", e, said.data, err)
	}
	hung := childSpec(-1, nil, childArgv("ignore=TERM", "fork=ignore=TERM,touch="+file+",block", "await="+file, "print=here", "block")...)
	begin, limit := time.Now(), 300*time.Millisecond
	said = &tail{limit: 100}
	for e, err = tab.helper(hung, limit, said, nil); len(said.data) == 0 && limit < patience; e, err = tab.helper(hung, limit, said, nil) {
		begin, limit = time.Now(), 2*limit // it had no time to begin
	}
	if err == nil || err.Error() != fmt.Sprintf("no end within %v, killed", limit) || e.Signal != 9 || string(said.data) != "here\n" {
		t.Errorf("got %+v %q %v", e, said.data, err)
	}
	if took := time.Since(begin); took > limit+slack {
		t.Errorf("a helper with %v took %v", limit, took)
	}
	if alive(pidIn(t, file)) {
		t.Error("a child of the helper outlived it")
	}
	eventually(t, "no zombie is left", func() bool { return len(sysChildren(nil, os.Getpid())) == 0 })
}

func TestHelperWhosePipeIsHeldByAStray(t *testing.T) {
	tab := newTestProcs(t)
	file := filepath.Join(t.TempDir(), "stray")
	begin := time.Now()
	e, err := tab.helper(childSpec(-1, nil, childArgv("runaway=touch="+file+",block", "await="+file)...), 2*patience, io.Discard, nil)
	if err != nil || e.Code != 0 || time.Since(begin) > patience {
		t.Errorf("got %+v %v after %v", e, err, time.Since(begin))
	}
	_ = unix.Kill(pidIn(t, file), unix.SIGKILL)
}
