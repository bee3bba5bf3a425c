// logs_test.go has what the tests of logs share: a hub, the pipes of a service as it has them, and what the server says meanwhile.

//go:build !windows

package main

import (
	"os"
	"slices"
	"testing"

	"golang.org/x/sys/unix"
)

// testHub makes a hub whose console goes nowhere.
func testHub(t testing.TB) *logHub {
	t.Helper()
	null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	h := newLogHub(int(null.Fd()))
	t.Cleanup(func() {
		if h.poller != nil {
			h.poller.close()
		}
		h.consoles[0].flush(patience)
		null.Close()
	})
	return h
}

// testRun is one run of a service: its two streams, and what the server holds of it.
type testRun struct {
	*logPipes
	stdout, stderr *os.File
}

// testPipes begins a run; the write ends are ours as they would be the child's.
func testPipes(t testing.TB, h *logHub, name string) *testRun {
	t.Helper()
	lp, err := h.pipes(name, 1, -1, -1)
	if err != nil {
		t.Fatal(err)
	}
	r := &testRun{lp, os.NewFile(uintptr(lp.Out), "stdout"), os.NewFile(uintptr(lp.Err), "stderr")}
	lp.Out, lp.Err = -1, -1
	t.Cleanup(func() {
		r.end()
		r.drain()
	})
	return r
}

// end is the end of the child: all its descriptors close.
func (r *testRun) end() {
	r.stdout.Close()
	r.stderr.Close()
}

func testDup(t testing.TB, fd int) int {
	t.Helper()
	n, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func testFIFO(path string) error { return unix.Mkfifo(path, 0o600) }

// captureServerLog leads descriptor 2 into a file for the time of the test; the function returns what was written so far.
func captureServerLog(t *testing.T) func() string {
	t.Helper()
	f, err := os.CreateTemp(t.TempDir(), "stderr")
	if err != nil {
		t.Fatal(err)
	}
	old := testDup(t, 2)
	if err := testDupOver(int(f.Fd()), 2); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		serverLog.flush(patience)
		_ = testDupOver(old, 2)
		unix.Close(old)
		f.Close()
	})
	return func() string {
		serverLog.flush(patience)
		b, _ := os.ReadFile(f.Name())
		return string(b)
	}
}

func texts(lines []logLine) []string {
	out := []string{}
	for _, l := range lines {
		out = append(out, l.Text)
	}
	return out
}

func wantTexts(t testing.TB, got []logLine, want ...string) {
	t.Helper()
	if !slices.Equal(texts(got), want) {
		t.Fatalf("lines are %q, want %q", texts(got), want)
	}
}

// keepLines is the default [logging] with n lines.
func keepLines(n int) loggingDef {
	return loggingDef{BufferLines: n, MaxSize: 10 << 20, Keep: 3, Format: "raw"}
}
