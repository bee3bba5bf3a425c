// proc_table.go hands descriptors to the thread that forks, whose table of descriptors is its own, and its pidfds back; it knows nothing of what they are for.

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
	apart     bool
	main, own int // ends of a pair of sockets: in the table of the process, and in that of the thread
	mu        sync.Mutex
	held      map[uint64][]int // sent and not taken yet
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
	ours, theirs, err := sysSocketPair()
	if err != nil {
		return t
	}
	if !sysOwnTable() {
		_, _ = sysClose(ours), sysClose(theirs)
		return t
	}
	t.apart, t.main, t.own = true, ours, theirs
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
		err := sysSendPacket(t.main, data, fds)
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
		n, fds, err := sysRecvPacket(t.own, data[:])
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
	_ = sysSendPacket(t.own, binary.LittleEndian.AppendUint64(nil, uint64(pid)), []int{fd})
	_ = sysClose(fd)
	return true
}

// watch brings the pidfds to the table of the process.
func (t *forkTable) watch(pidfd func(pid, fd int)) {
	raw, err := os.NewFile(uintptr(t.main), "pidfds").SyscallConn()
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

func closeAll(fds []int) {
	for _, fd := range fds {
		_ = sysClose(fd)
	}
}
