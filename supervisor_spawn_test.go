// supervisor_spawn_test.go tries what may happen to a start between the graph that wants it and the kernel that executes it, and what a server makes of exits that it cannot save.

//go:build linux

package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"
)

// stagedStart puts a start of a service on its way in a queue of its own.
func stagedStart(name string, gen uint64) *start {
	return &start{name: name, gen: gen, cfg: testUnit(name + " start_timeout=2s"), since: time.Now()}
}

// TestLookThatHangs: while the look at a program does not come back, a later start of the same service waits for it, others do not; at its
// own limit each is told what does not answer, and nothing is told twice.
func TestLookThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := &startQueue{}
		hung, path := stagedStart("web", 1), "/net/web"
		hung.at.Store(&path)
		q.looking = append(q.looking, hung)
		q.waiting = append(q.waiting, stagedStart("other", 9))
		if due := q.nextDue(); time.Until(due) != slowLook {
			t.Errorf("a look that takes long is noticed in %v", time.Until(due))
		}
		time.Sleep(slowLook)
		if failed := q.late(time.Now()); len(failed) != 0 || !hung.slow {
			t.Errorf("after %v: %v, slow %v", slowLook, failed, hung.slow)
		}
		hung.over = true // it was called back, and another start of the service follows
		q.behind = append(q.behind, stagedStart("web", 2))
		time.Sleep(2 * time.Second)
		failed := q.late(time.Now())
		if len(failed) != 1 || failed[0].gen != 2 || failed[0].text != doesNotAnswer(path) {
			t.Errorf("at the limit: %+v", failed)
		}
		if due := q.nextDue(); !due.IsZero() {
			t.Errorf("there is something due: %v", due)
		}
		if failed := q.late(time.Now()); len(failed) != 0 || len(q.behind) != 0 {
			t.Errorf("told twice: %+v", failed)
		}
	})
}

// TestStartAfterOneThatWasCalledBack: a restart in the middle of a start is done when the look of the first comes back, which is no failure of anything.
func TestStartAfterOneThatWasCalledBack(t *testing.T) {
	s := newSupervisor(serverOptions{}, "standalone")
	first, second := stagedStart("web", 1), stagedStart("web", 2)
	s.starts.looking = []*start{first}
	s.callBack(1)
	notes := s.inbox.take()
	if len(notes) != 1 || notes[0].ev.kind != eventSpawnFailed || notes[0].ev.gen != 1 || !first.over {
		t.Fatalf("called back: %+v", notes)
	}
	s.starts.waiting = []*start{second}
	s.prepareMore(time.Now())
	if len(s.starts.behind) != 1 || len(s.starts.looking) != 1 {
		t.Fatalf("%d wait behind it, %d are looked at", len(s.starts.behind), len(s.starts.looking))
	}
	if failed := s.prepared(first); len(failed) != 0 {
		t.Errorf("the first start fails once more: %+v", failed)
	}
	if len(s.starts.waiting) != 1 || s.starts.waiting[0] != second || len(s.starts.behind) != 0 {
		t.Error("the second start does not come next")
	}
}

// TestCallBackDuringAPreparation does not look at what belongs to the preparation: its error is that of another goroutine, and not the reason.
func TestCallBackDuringAPreparation(t *testing.T) {
	s := newSupervisor(serverOptions{}, "standalone")
	called, limit := stagedStart("web", 1), stagedStart("db", 2)
	s.starts.looking = []*start{called, limit}
	wrote := make(chan struct{})
	background("preparation", func() {
		called.err, limit.err = syscall.ENOENT, syscall.ENOENT
		close(wrote)
	})
	s.callBack(1)
	failed := s.starts.late(time.Now().Add(time.Hour))
	<-wrote
	s.starts.looking[0].over, s.starts.looking[1].over = false, false
	s.callBack(1)
	for _, n := range s.inbox.take() {
		failed = append(failed, *n.ev)
	}
	if len(failed) != 3 {
		t.Errorf("told: %+v", failed)
	}
	for _, ev := range failed {
		if ev.missing {
			t.Errorf("a program is said to be missing: %+v", ev)
		}
	}
}

// TestRestartsDuringStarts has clients restart services all the time, in every moment of a start: none ever fails for that.
func TestRestartsDuringStarts(t *testing.T) {
	services := map[string]string{}
	for i := range 3 {
		services[fmt.Sprintf("s%d", i)] = playing("[lifecycle]\nrestart = \"never\"\n", "block")
	}
	s := newServer(t, services)
	s.run()
	var clients sync.WaitGroup
	for k := range 4 {
		c := s.dial()
		clients.Go(func() {
			for i := range 300 {
				method := []string{"service.restart", "service.restart", "service.stop", "service.start"}[(i+k)%4]
				if _, fail := c.try(method, fmt.Sprintf(`{"name":"s%d"}`, i%3)); fail != nil {
					t.Errorf("%s: %+v", method, fail)
				}
			}
		})
	}
	clients.Wait()
	for i := range 3 {
		s.ok("start", fmt.Sprintf("s%d", i), "--wait")
	}
	out, err := os.ReadFile(s.out.Name())
	if err != nil || strings.Contains(string(out), "does not answer") {
		t.Errorf("a start failed:\n%s", out)
	}
	s.stop()
}

// TestUnsavedExitsAreNotAcknowledged: an exit whose effect could not be saved stays with the keeper, and is acknowledged as soon as it is. Ends of
// processes that are no service are acknowledged at once, also while a start hangs.
func TestUnsavedExitsAreNotAcknowledged(t *testing.T) {
	ours, theirs, err := sysSocketPair()
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(theirs)
	w, s, _ := savingWorld(t, 11)
	if s.keeper, err = newLink(ours); err != nil {
		t.Fatal(err)
	}
	defer s.keeper.close()
	s.procs = newProcs(false)
	defer s.procs.close()
	acks := func() (list []uint64) {
		s.keeper.flush(patience)
		for buf := make([]byte, maxPacket); ; {
			n, fds, err := sysRecvPacket(theirs, buf)
			if errors.Is(err, syscall.EAGAIN) {
				return list
			}
			p, ok := decodePacket(buf[:n], fds)
			if err != nil || !ok {
				t.Fatal(err)
			}
			for b := []byte(p.text); p.op == opAck && len(b) >= 8; b = b[8:] {
				list = append(list, binary.LittleEndian.Uint64(b))
			}
		}
	}
	s.starts.looking = append(s.starts.looking, stagedStart("hangs", 77))
	s.exited([]exitRecord{{seq: 5, pid: 4242}})
	s.sendAcks()
	if got := acks(); len(got) != 1 || got[0] != 5 {
		t.Errorf("the end of an orphan: acknowledged %v", got)
	}
	w.g.step(time.Now(), event{kind: eventPut, cfg: testUnit("web"), to: &ticket{}})
	u := w.g.units["web"]
	s.acks.byPID[99] = 6
	s.saver.late = []*unit{u} // as a full disk leaves it
	s.acks.settled = append(s.acks.settled, settledEnd{99, "web"})
	s.sendAcks()
	if got := acks(); len(got) != 0 {
		t.Errorf("acknowledged %v, which is not saved", got)
	}
	s.save(nil)
	s.sendAcks()
	if got := acks(); len(got) != 1 || got[0] != 6 {
		t.Errorf("saved, and acknowledged %v", got)
	}
}

// TestAdoptedPipesAreReadOrClosed: where one end cannot be gone on with the others are not left open and unread.
func TestAdoptedPipesAreReadOrClosed(t *testing.T) {
	h := newLogHub(-1)
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	fd, err := sysDup(int(r.Fd()))
	if err != nil {
		t.Fatal(err)
	}
	r.Close()
	if _, err := h.adopt("s", 1, []logEnd{{Stream: "stdout", FD: 1 << 20}, {Stream: "stderr", FD: fd}}, nil); err == nil {
		t.Fatal("a descriptor that is not open was adopted")
	}
	if _, err := sysFileSize(fd); !errors.Is(err, syscall.EBADF) {
		t.Errorf("the other end is still open: %v", err)
	}
}

// TestAdoptionWithoutPidfd: where the kernel refuses a pidfd a process is adopted by its number and start time: its end is seen, it can be
// signalled, and a number that went to somebody else is nobody.
func TestAdoptionWithoutPidfd(t *testing.T) {
	if !withSyscallRefused(t, unix.SYS_PIDFD_OPEN, unix.EPERM) {
		return
	}
	TestAdoption(t)
}

// TestEndedPipeDoesNotSpin: the loop goes to sleep although somebody else holds the read end of a pipe that it has closed, with bytes in it.
func TestEndedPipeDoesNotSpin(t *testing.T) {
	h := newLogHub(-1)
	lp, err := h.pipes("s", 1, -1, -1)
	if err != nil {
		t.Fatal(err)
	}
	other, err := sysDup(lp.read[0].fd)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(other)
	w, err := sysDup(lp.Out)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(w)
	lp.closeWriteEnds()
	lp.drain()
	logWrite(w, []byte("nobody reads this\n"))
	events := make([]unix.EpollEvent, 4)
	if n, err := unix.EpollWait(h.poller.fd, events, 200); n != 0 || err != nil {
		t.Errorf("the loop is woken by %d descriptors that it does not read: %v", n, err)
	}
}

// TestServersAdoptEachOther kills servers that are this very program, which the race detector looks at where the tests have it, in the middle of starts, stops and questions:
// each service runs once, and what each server does beside its owner touches nothing of it.
func TestServersAdoptEachOther(t *testing.T) {
	services := map[string]string{}
	const n = 20
	dir := shortDir(t)
	for i := range n {
		more := "[lifecycle]\nrestart_delay_ms = 5\n"
		if i%4 == 3 {
			more += fmt.Sprintf("[dependencies]\nrequires = [\"s%02d\"]\n", i-1)
		}
		services[fmt.Sprintf("s%02d", i)] = playing(more, fmt.Sprintf("lock=%s/s%02d", dir, i), "print=up", "block")
	}
	s := newServer(t, services)
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	s.prepare = func(cmd *exec.Cmd) { cmd.Path, cmd.Args[0] = program, "zinit" }
	for round := range 6 {
		s.run("--log-level", "debug")
		c := s.dial()
		for i := range n {
			for _, method := range []string{"restart", "stop", "start"}[:1+(i+round)%3] {
				c.send(fmt.Sprintf(`{"jsonrpc":"2.0","id":1,"method":"service.%s","params":{"name":"s%02d"}}`+"\n", method, i))
			}
			c.send(`{"jsonrpc":"2.0","id":1,"method":"service.list_full"}` + "\n" + `{"jsonrpc":"2.0","id":1,"method":"debug.state"}` + "\n")
		}
		c.line()
		_ = s.cmd.Process.Kill()
		<-s.ended
		s.ended <- nil
		if out, err := os.ReadFile(s.out.Name()); err != nil || strings.Contains(string(out), "DATA RACE") || strings.Contains(string(out), "panic") {
			t.Fatalf("round %d, %v:\n%s", round, err, out)
		}
	}
	s.run()
	s.ok("start-all")
	for i := range n {
		s.ok("start", fmt.Sprintf("s%02d", i), "--wait")
		if double, err := os.ReadFile(fmt.Sprintf("%s/s%02d.double", dir, i)); err == nil {
			t.Errorf("there were two of s%02d: %s", i, double)
		}
	}
	s.stop()
}
