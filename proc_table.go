// proc_table.go hands descriptors to the thread that forks, whose table of descriptors is its own, and its pidfds back; it knows nothing of what they are for.

//go:build !windows

package main

import (
	"encoding/binary"
	"errors"
	"os"
	"sync"
	"syscall"
	"time"
)

// forkTable is the way between the table of descriptors of the process and that of the thread that forks. Where that one could not be had
// the descriptors are copies in the same table, and all else is the same.
type forkTable struct {
	apart bool
	there tablePair // for what is given …
	back  tablePair // … and for what comes back: the runtime waits for that, and would be woken by each taking were it one pair
	mu    sync.Mutex
	held  map[uint64][]int // sent and not taken yet
}

// tablePair is a pair of sockets, with an end in the table of the process and one in that of the thread.
type tablePair struct{ main, own int }

func newTablePairs() (there, back tablePair, err error) {
	if there.main, there.own, err = sysSocketPair(); err != nil {
		return there, back, err
	}
	if back.main, back.own, err = sysSocketPair(); err != nil {
		_, _ = sysClose(there.main), sysClose(there.own)
	}
	return there, back, err
}

// giveTime bounds the wait for room in the socket.
const giveTime = 5 * time.Second

// newForkTable is called by the goroutine that is to fork, before anything else is open: what is open goes into both tables.
// It stays on its thread from then on. pidfd is told of the descriptors that come back, in the table of the process.
func newForkTable(pidfd func(pid, fd int)) *forkTable {
	t := &forkTable{held: map[uint64][]int{}}
	if r, w, err := os.Pipe(); err == nil { // the runtime makes its epoll and event descriptors for the first such file: both tables need them
		r.Close()
		w.Close()
	}
	there, back, err := newTablePairs()
	if err != nil {
		return t
	}
	if !sysOwnTable() {
		closeAll([]int{there.main, there.own, back.main, back.own})
		return t
	}
	t.apart, t.there, t.back = true, there, back
	background("pidfds", func() { t.watch(pidfd) })
	return t
}

// give sends copies of descriptors to the thread that forks, under a number; the caller's stay open. It may wait a moment.
func (t *forkTable) give(id uint64, fds []int) error {
	if !t.apart {
		copies := make([]int, 0, len(fds))
		for _, fd := range fds {
			c, err := sysDup(fd)
			if err != nil {
				closeAll(copies)
				return err
			}
			copies = append(copies, c)
		}
		t.mu.Lock()
		defer t.mu.Unlock()
		t.held[id] = copies
		return nil
	}
	data := binary.LittleEndian.AppendUint64(nil, id)
	for end := time.Now().Add(giveTime); ; time.Sleep(time.Millisecond) {
		err := sysSendPacket(t.there.main, data, fds)
		wait := errors.Is(err, syscall.EAGAIN) || errors.Is(err, syscall.ETOOMANYREFS) || errors.Is(err, syscall.ENOBUFS) || errors.Is(err, syscall.ENOMEM)
		if !wait || time.Now().After(end) {
			return err
		}
	}
}

// take returns what was given under a number, for the thread that forks to use and close; nil where nothing was.
func (t *forkTable) take(id uint64) []int {
	t.mu.Lock()
	defer t.mu.Unlock()
	for t.apart && t.held[id] == nil {
		var data [8]byte
		n, fds, err := sysRecvPacket(t.there.own, data[:])
		if err == nil && n == len(data) {
			t.held[binary.LittleEndian.Uint64(data[:])] = fds
			continue
		}
		closeAll(fds)
		if !errors.Is(err, syscall.EINTR) {
			break
		}
	}
	fds := t.held[id]
	delete(t.held, id)
	return fds
}

// giveBack sends a pidfd from the thread that forks to the rest; false: it stays where it is.
func (t *forkTable) giveBack(pid, fd int) bool {
	if !t.apart {
		return false
	}
	_ = sysSendPacket(t.back.own, binary.LittleEndian.AppendUint64(nil, uint64(pid)), []int{fd})
	_ = sysClose(fd)
	return true
}

// watch brings the pidfds to the table of the process.
func (t *forkTable) watch(pidfd func(pid, fd int)) {
	raw, err := os.NewFile(uintptr(t.back.main), "pidfds").SyscallConn()
	for err == nil {
		var data [8]byte
		var fds []int
		var got error
		err = raw.Read(func(fd uintptr) bool {
			_, fds, got = sysRecvPacket(int(fd), data[:])
			return !errors.Is(got, syscall.EAGAIN)
		})
		for _, fd := range fds {
			pidfd(int(binary.LittleEndian.Uint64(data[:])), fd)
		}
		if err == nil && got != nil && !errors.Is(got, syscall.EINTR) {
			return
		}
	}
}
