// proc_adopt_test.go tries processes that this table did not start, or whose exits another one reports.

//go:build linux

package main

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

func TestAdoption(t *testing.T) {
	tab := newTestProcs(t)
	adopted := func(pid int, start uint64) (*process, chan exit) {
		t.Helper()
		end := make(chan exit, 4)
		p := tab.process("a", "", killGroup, func(e exit) { end <- e })
		if err := tab.adopt(p, pid, start); err != nil {
			t.Fatal(err)
		}
		return p, end
	}
	file := filepath.Join(t.TempDir(), "pid")
	owner := startChild(t, tab, "setsid=touch="+file+",block", "block") // the parent of the process to adopt is not us
	pid := pidIn(t, file)
	st, err := readStat(pid)
	if err != nil {
		t.Fatal(err)
	}
	p, end := adopted(pid, st.Start)
	if p.ticks(p.pid) != st.Start {
		t.Errorf("start time %d, want %d", p.ticks(p.pid), st.Start)
	}
	if err := p.signal(0, false); err != nil {
		t.Error(err)
	}
	_, other := adopted(pid, st.Start+1)
	if e := <-other; e.Known {
		t.Errorf("a number that was reused: %+v", e)
	}
	if !alive(pid) {
		t.Error("adopting another process with its number hurt this one")
	}
	p.stop(sigTerm)
	eventually(t, "the adopted process is a zombie of its own parent", func() bool { return !alive(pid) })
	if e := <-end; e != (exit{}) {
		t.Errorf("the end of an adopted process: %+v", e)
	}
	owner.p.kill()
	owner.ended()
	_, gone := adopted(pid, st.Start)
	if e := <-gone; e.Known {
		t.Errorf("adopting what has ended: %+v", e)
	}
}

func TestAdoptionOfOurOwnChildKeepsItsStatus(t *testing.T) {
	first := newProcs(true) // never reaps, as an image that is replaced
	defer first.close()
	dir := t.TempDir()
	pid, _, err := sysFork(childSpec(-1, nil, childArgv("await="+dir+"/go", "exit=6")...), false)
	if err != nil {
		t.Fatal(err)
	}
	st, err := readStat(pid)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(dir+"/go", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it is a zombie", func() bool { return !alive(pid) })
	second := newProcs(true)
	defer second.close()
	end := make(chan exit, 1)
	if err := second.adopt(second.process("a", "", killGroup, func(e exit) { end <- e }), pid, st.Start); err != nil {
		t.Fatal(err)
	}
	second.run()
	if e := <-end; e != (exit{Known: true, Code: 6}) {
		t.Errorf("its status is lost: %+v", e)
	}
}

func TestExitsReportedByAnotherReaper(t *testing.T) {
	tab := newProcs(false)
	defer tab.close()
	tab.root = os.Getpid()
	end := make(chan exit, 1)
	pid, _, err := sysFork(childSpec(-1, nil, childArgv("block")...), false) // stands for a sibling: the reaper is the test
	if err != nil {
		t.Fatal(err)
	}
	st, err := readStat(pid)
	if err != nil {
		t.Fatal(err)
	}
	p := tab.process("a", "", killGroup, func(e exit) { end <- e })
	if err := tab.adopt(p, pid, st.Start); err != nil {
		t.Fatal(err)
	}
	p.stop(sigKill)
	var status syscall.WaitStatus
	if _, err := syscall.Wait4(pid, &status, 0, nil); err != nil {
		t.Fatal(err)
	}
	if err := p.signal(sigTerm, false); !errors.Is(err, errGone) {
		t.Errorf("signal between the reaping and its report: %v, want errGone", err)
	}
	tab.reaped(pid, uint32(status))
	if e := <-end; e != (exit{Known: true, Signal: 9}) {
		t.Errorf("reported as %+v", e)
	}
}

func TestServicesCanBeSiblings(t *testing.T) {
	for name, words := range map[string][]string{"few descriptors": {"sibling=exit=9"}, "many descriptors": {"crowd=500", "sibling=exit=9"}} {
		t.Run(name, func(t *testing.T) { testSibling(t, words...) })
	}
}

func testSibling(t *testing.T, words ...string) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	server, _, err := sysFork(childSpec(int(w.Fd()), nil, childArgv(words...)...), false)
	if err != nil {
		t.Fatal(err)
	}
	w.Close()
	out, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	var status syscall.WaitStatus
	if _, err := syscall.Wait4(server, &status, 0, nil); err != nil || status != 0 {
		t.Errorf("the server: %v, %v", status, err)
	}
	if _, err := syscall.Wait4(number(strings.TrimSpace(string(out))), &status, 0, nil); err != nil || status.ExitStatus() != 9 {
		t.Errorf("the service is not our child: %v, %v", status, err)
	}
}
