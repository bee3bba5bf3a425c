// supervisor_journal_test.go holds the saved state against what it came from: after many turns, cut writes, full disks and damage.

//go:build linux

package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// stateFile is an open file for a journal.
func stateFile(t *testing.T) int {
	t.Helper()
	fd, err := unix.Open(filepath.Join(t.TempDir(), "state"), unix.O_RDWR|unix.O_CREAT|unix.O_CLOEXEC, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	return fd
}

func testJournal(t *testing.T, fd int) *journal {
	t.Helper()
	j, err := openJournal(fd)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(j.close)
	return j
}

// readBack reads a state as the next server would.
func readBack(t *testing.T, fd int) *graph {
	t.Helper()
	st, err := readState(testJournal(t, fd))
	if err != nil {
		t.Fatal(err)
	}
	g := newGraph(time.Minute)
	g.restore(st, clockNow())
	return g
}

// savingWorld is a world whose graph is saved to a file after each step.
func savingWorld(t *testing.T, seed int64) (w *world, s *supervisor, fd int) {
	w = newWorld(seed)
	s = newSupervisor(serverOptions{}, "standalone")
	s.logs = &logHub{}
	s.g = w.g
	fd = stateFile(t)
	s.saver.journal = testJournal(t, fd)
	return w, s, fd
}

// TestSavedState saves random graphs and reads them back: what comes back is what was there, also by a server that goes on with the same file.
func TestSavedState(t *testing.T) {
	for seed := int64(1); seed <= 30; seed++ {
		w, s, fd := savingWorld(t, seed)
		for i := range 300 {
			w.randomStep()
			s.save(s.g.takeChanged())
			if i%50 != 49 {
				continue
			}
			if got, want := describe(readBack(t, fd)), describe(w.g); got != want {
				t.Fatalf("seed %d, step %d:\n%s\nwant\n%s", seed, i, got, want)
			}
		}
		next := newSupervisor(serverOptions{}, "standalone")
		next.logs = &logHub{}
		next.saver.journal = testJournal(t, fd)
		st, err := readState(next.saver.journal)
		if err != nil {
			t.Fatal(err)
		}
		next.g.restore(st, clockNow())
		next.saver.keep(st, next.g)
		for _, n := range next.g.names() {
			next.g.mark(next.g.units[n])
		}
		next.save(next.g.takeChanged())
		if got, want := describe(readBack(t, fd)), describe(w.g); got != want {
			t.Errorf("seed %d, by the next server:\n%s\nwant\n%s", seed, got, want)
		}
	}
}

// TestStateIsProvenWhileItIsWritten: a new binary reads the state while the server that it belongs to goes on.
func TestStateIsProvenWhileItIsWritten(t *testing.T) {
	w, s, fd := savingWorld(t, 9)
	put := func(n, long int) {
		c := testUnit(fmt.Sprint("s", n))
		c.Service.Description = strings.Repeat("x", long)
		w.g.step(time.Now(), event{kind: eventPut, cfg: c, replace: true, to: &ticket{}})
		s.save(s.g.takeChanged())
	}
	for n := range 200 {
		put(n, 0)
	}
	stop, ended := make(chan struct{}), make(chan struct{})
	background("writing", func() {
		defer close(ended)
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
				put(199, i%700)
			}
		}
	})
	for i := range 100 {
		if err := proveState(fd); err != nil {
			t.Errorf("try %d: %v", i, err)
			break
		}
	}
	close(stop)
	<-ended
	copied, err := sysReadAll(fd)
	if err != nil {
		t.Fatal(err)
	}
	copy(copied, "zinit-state 1\n")
	old := stateFile(t)
	if err := sysPwrite(old, copied, 0); err != nil {
		t.Fatal(err)
	}
	if err := proveState(old); !errors.Is(err, errDamaged) {
		t.Errorf("a state of version 1: %v", err)
	}
}

// TestTheStateDoesNotGrow: its size follows the number of services, not that of changes, however the configurations vary in length.
func TestTheStateDoesNotGrow(t *testing.T) {
	w, s, fd := savingWorld(t, 7)
	r := rand.New(rand.NewPCG(1, 2))
	size := func() int {
		n, err := sysFileSize(fd)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	for i := range 20000 {
		name := fmt.Sprintf("s%02d", r.IntN(20))
		if r.IntN(10) == 0 {
			w.g.step(time.Now(), event{kind: eventDelete, name: name, force: true, to: &ticket{}})
		} else {
			c := testUnit(name)
			c.Service.Description = strings.Repeat("x", r.IntN(900))
			w.g.step(time.Now(), event{kind: eventPut, cfg: c, replace: true, to: &ticket{}})
		}
		s.save(s.g.takeChanged())
		if i == 2000 && size() > 256<<10 {
			t.Fatalf("%d bytes for 20 services", size())
		}
	}
	if size() > 256<<10 {
		t.Errorf("%d bytes for 20 services after 20,000 changes", size())
	}
	if got, want := describe(readBack(t, fd)), describe(w.g); got != want {
		t.Errorf("read back:\n%s\nwant\n%s", got, want)
	}
}

// TestCutWrites cuts the writing of a record at every byte: the record before is what counts.
func TestCutWrites(t *testing.T) {
	j := testJournal(t, stateFile(t))
	at, err := j.put(0, unitBlock, []byte("one"))
	if err != nil {
		t.Fatal(err)
	}
	if at, err = j.put(at, unitBlock, []byte("the second")); err != nil {
		t.Fatal(err)
	}
	before := bytes.Clone(j.data)
	if at, err = j.put(at, unitBlock, []byte("number three")); err != nil {
		t.Fatal(err)
	}
	after := bytes.Clone(j.data)
	for cut := at; cut <= at+j.size(at); cut++ {
		copy(j.data, before)
		copy(j.data[at:cut], after[at:cut])
		payload, _, ok := j.newest(at)
		if !ok || string(payload) != "the second" && string(payload) != "number three" {
			t.Fatalf("cut at %d: %q, %v", cut-at, payload, ok)
		}
	}
}

// TestJournalOnAFullDisk: what does not fit is not saved and said so, what was there is still written in place, and all is saved when there is room again.
func TestJournalOnAFullDisk(t *testing.T) {
	w, s, fd := savingWorld(t, 3)
	put := func(name string) {
		c := testUnit(name)
		c.Service.Description = strings.Repeat("x", 4000)
		w.g.step(time.Now(), event{kind: eventPut, cfg: c, to: &ticket{}})
		s.save(s.g.takeChanged())
	}
	put("old")
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_FSIZE, &limit); err != nil {
		t.Fatal(err)
	}
	catchXFSZ(t)
	if err := unix.Setrlimit(unix.RLIMIT_FSIZE, &unix.Rlimit{Cur: 64, Max: limit.Max}); err != nil {
		t.Fatal(err)
	}
	defer unix.Setrlimit(unix.RLIMIT_FSIZE, &limit)
	for i := range 20 {
		put(fmt.Sprintf("new%d", i))
	}
	if !s.saver.unsaved("new19") || s.saver.unsaved("old") {
		t.Fatalf("unsaved are %d", len(s.saver.late))
	}
	w.g.step(time.Now(), event{kind: eventStop, name: "old"})
	s.save(s.g.takeChanged())
	if u := readBack(t, fd).units["old"]; u == nil || u.up {
		t.Error("a change of what was saved before is lost")
	}
	if err := unix.Setrlimit(unix.RLIMIT_FSIZE, &limit); err != nil {
		t.Fatal(err)
	}
	s.save(nil)
	if got, want := describe(readBack(t, fd)), describe(w.g); got != want {
		t.Errorf("with room again:\n%s\nwant\n%s", got, want)
	}
}

// TestStateOfAnotherVersion: a word that this version does not know, or bytes that are no state, are an error and never something else.
func TestStateOfAnotherVersion(t *testing.T) {
	w, s, fd := savingWorld(t, 5)
	w.g.step(time.Now(), event{kind: eventPut, cfg: testUnit("web"), to: &ticket{}})
	s.save(s.g.takeChanged())
	j := s.saver.journal
	p := s.saver.places["web"]
	for _, change := range [][2]string{
		{`"state":"`, `"state":"nearly `},
		{`"unit":{`, `"unit":{"leave":"bored",`},
		{fmt.Sprintf(`"config":%d`, p.cfgAt), `"config":17`},
		{`"unit":{`, `"unit":{"next":1073741824,`},
	} {
		u := *w.g.units["web"].saved(clockNow(), 0)
		u.Config = p.cfgAt
		text, err := json.Marshal(savedRecord{Unit: &u})
		if err != nil || !bytes.Contains(text, []byte(change[0])) {
			t.Fatalf("%s: %v", text, err)
		}
		text = bytes.Replace(text, []byte(change[0]), []byte(change[1]), 1)
		j.overwrite(p.at, text)
		if _, err := readState(testJournal(t, fd)); !errors.Is(err, errDamaged) {
			t.Errorf("%s: %v", text, err)
		}
	}
	copy(j.data, "zinit-state 1\n")
	if _, err := openJournal(fd); !errors.Is(err, errDamaged) {
		t.Errorf("a state of version 1: %v", err)
	}
}

// FuzzJournal reads damaged files: whatever is in them, it is an error or a state, and the journal can go on.
func FuzzJournal(f *testing.F) {
	f.Add([]byte(journalMagic), uint16(3), byte(1))
	f.Fuzz(func(t *testing.T, tail []byte, at uint16, with byte) {
		fd, err := unix.MemfdCreate("state", unix.MFD_CLOEXEC)
		if err != nil {
			t.Skip(err)
		}
		defer unix.Close(fd)
		j, err := openJournal(fd)
		if err != nil {
			t.Fatal(err)
		}
		for _, text := range []string{`{"server":{"boot":"x"}}`, `{"unit":{"name":"a","state":"running"}}`} {
			if _, err := j.put(0, unitBlock, []byte(text)); err != nil {
				t.Fatal(err)
			}
		}
		copy(j.data[j.end:], tail)
		j.data[at] = with
		j.close()
		if j, err = openJournal(fd); err != nil {
			return
		}
		defer j.close()
		_, _ = readState(j)
		j.sweep(map[int]bool{})
		if _, err := j.put(0, textBlock, bytes.Repeat([]byte("y"), 5000)); err != nil {
			t.Error(err)
		}
	})
}

// catchXFSZ keeps SIGXFSZ from ending the test.
func catchXFSZ(t *testing.T) {
	ch := make(chan os.Signal, 8)
	signal.Notify(ch, syscall.SIGXFSZ)
	t.Cleanup(func() { signal.Stop(ch) })
}
