// proc_table_test.go tries the thread that forks, whose table of descriptors is its own.

//go:build linux

package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"
	"testing"
)

// TestRow12_TheThreadThatForks has a table of descriptors of its own: what the rest of us opens is not in it, a service sees no difference, and what is handed over
// is closed again.
func TestRow12_TheThreadThatForks(t *testing.T) {
	tab := newTestProcs(t)
	jobs := make(chan func(table *forkTable))
	defer close(jobs)
	made := make(chan *forkTable)
	go func() {
		table := newForkTable(tab.pidfdOf)
		made <- table
		for f := range jobs {
			f(table)
		}
	}()
	table := <-made
	if !table.apart {
		skip(t, "unshare(CLONE_FILES) is not permitted here")
	}
	id := uint64(0)
	tab.execute = func(p *process, sp *spec) (err error) {
		mine := *sp
		id++
		if err := table.give(id, []int{sp.Stdout, sp.Stderr}); err != nil {
			return err
		}
		done := make(chan struct{})
		jobs <- func(table *forkTable) {
			fds := table.take(id)
			mine.Stdout, mine.Stderr = fds[0], fds[1]
			err = tab.begin(p, &mine)
			closeAll(fds)
			close(done)
		}
		<-done
		return err
	}
	for range 500 {
		f, err := os.Open(os.DevNull)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
	}
	before := -1
	for range 3 {
		r := startChild(t, tab, "fds", "session", "exit=7")
		if e := r.ended(); e.Code != 7 {
			t.Errorf("it ended by %v", e)
		}
		if want := "fd 0 /dev/null\nfd 1 " + r.out + "\nfd 2 " + r.out + "\n"; !strings.HasPrefix(r.text(), want) {
			t.Errorf("the child has\n%swant\n%s", r.text(), want)
		}
		null, err := os.Open(os.DevNull)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := tab.start(childSpec(int(null.Fd()), nil, "/no/such"), "", "", func(exit) {}); !errors.Is(err, syscall.ENOENT) {
			t.Errorf("a missing program: %v", err)
		}
		null.Close()
		if before < 0 {
			before = sysFDs(os.Getpid())
		}
	}
	noMoreThan(t, before)
	own := make(chan int)
	jobs <- func(table *forkTable) {
		n := len(numericNames("/proc/thread-self/fd"))
		own <- n
	}
	if n := <-own; n > 100 {
		t.Errorf("the thread that forks has %d descriptors", n)
	}
	jobs <- func(table *forkTable) { own <- len(table.take(id + 1)) }
	if n := <-own; n != 0 {
		t.Errorf("of what was not given %d descriptors came", n)
	}
}

// TestAnEndOnTheThreadThatForks gives back the pidfd in the table of the process, and nothing in the thread's own.
func TestAnEndOnTheThreadThatForks(t *testing.T) {
	r := startChild(t, newTestProcs(t), "block")
	tab := newProcs(false)
	t.Cleanup(tab.close)
	p := tab.process("", "", killGroup, func(exit) {})
	tab.adoptReported(p, r.p.pid, nil)
	pidfd := p.pidfd
	if pidfd < 0 {
		skip(t, "pidfd_open is not permitted here")
	}
	type seen struct{ apart, there bool }
	done := make(chan seen)
	background("forking thread", func() {
		table := newForkTable(tab.pidfdOf)
		tab.reaped(p.pid, 0)
		fd, err := sysDup(pidfd)
		_ = sysClose(fd)
		done <- seen{table.apart, err == nil}
	})
	s := <-done
	if !s.apart {
		skip(t, "unshare(CLONE_FILES) is not permitted here")
	}
	if !s.there {
		t.Error("a descriptor in the table of the thread that forks was closed")
	}
	eventually(t, "the pidfd is closed", func() bool {
		to, _ := os.Readlink(fmt.Sprint("/proc/self/fd/", pidfd))
		return !strings.Contains(to, "pidfd")
	})
}

// noMoreThan waits until we have as many descriptors as before, at most: the sweeper of a table opens files of /proc for a moment.
func noMoreThan(t testing.TB, before int) {
	t.Helper()
	eventually(t, fmt.Sprintf("no more than %d descriptors are open", before), func() bool { return sysFDs(os.Getpid()) <= before })
}

func TestNoDescriptorIsLeftBehind(t *testing.T) {
	tab := newTestProcs(t)
	before := -1
	for range 3 {
		r := startChild(t, tab, "block")
		p := tab.process("a", "", killGroup, func(exit) {})
		if err := tab.adopt(p, r.p.pid, r.p.ticks(r.p.pid)); err != nil {
			t.Fatal(err)
		}
		tab.mu.Lock()
		p.closePidfd()
		tab.live[r.p.pid] = r.p
		tab.mu.Unlock()
		r.p.kill()
		r.ended()
		if _, err := tab.helper(childSpec(-1, nil, childArgv("exit=0")...), patience, io.Discard, nil); err != nil {
			t.Fatal(err)
		}
		if _, err := tab.start(childSpec(-1, nil, "/no/such"), "", "", func(exit) {}); err == nil {
			t.Fatal("it started")
		}
		if before < 0 {
			before = sysFDs(os.Getpid())
		}
	}
	noMoreThan(t, before)
}
