// health_notify.go reads what services say of their readiness: messages of sd_notify(3) on a socket of each start, and the newline of s6's protocol on a pipe. What
// follows from it, and who may say it, is decided elsewhere.
//
// One loop waits for all of them at once. A message leaves its socket only after what follows from it has been saved: were this server killed before, the next one,
// which gets the same socket, reads it again.

//go:build !windows

package main

import (
	"bytes"
	"errors"
	"math"
	"strconv"
	"strings"
	"sync"
	"time"
)

// speaker is the notification socket or pipe of one start of a service.
type speaker struct {
	name, invocation string
	gen              uint64
	uid              int    // whom the service runs as
	pipe             bool   // of s6's protocol: a newline, once
	path             string // of the socket; "": a pipe

	mu       sync.Mutex
	fd       int // -1: closed
	watched  bool
	reported map[string]bool // what has been complained about
}

// spoken is one message, or the newline, or the end of a pipe.
type spoken struct {
	by       *speaker
	pid, uid int    // who sent it; pid 0: nobody that can be seen
	fds      int    // descriptors that came with it
	text     []byte // of a pipe: what it holds
	ended    bool   // of a pipe: nobody has it open any more
	long     bool   // the message is too long to be read
}

// notifyLimit is the longest message that is read; sd_notify(3) promises no more (PIPE_BUF).
const notifyLimit = 4096

// ear holds the notification sockets and pipes of all services.
type ear struct {
	mu       sync.Mutex
	poll     *sysPoll
	byGen    map[uint64]*speaker
	byStart  map[string]*speaker // by invocation
	byNumber map[int]*speaker    // by descriptor

	heard func([]spoken) // returns when what follows is saved
}

func newEar(heard func([]spoken)) *ear {
	return &ear{byGen: map[uint64]*speaker{}, byStart: map[string]*speaker{}, byNumber: map[int]*speaker{}, heard: heard}
}

// add takes a speaker over. It is listened to from listen on.
func (e *ear) add(s *speaker) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.byGen[s.gen], e.byStart[s.invocation] = s, s
}

// listen begins to read a speaker.
func (e *ear) listen(s *speaker) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.poll == nil {
		poll, err := newSysPoll()
		if err != nil {
			return err
		}
		e.poll = poll
		background("readiness", func() { e.run(poll) })
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	e.byNumber[s.fd] = s
	s.watched = true
	return e.poll.add(s.fd)
}

// of finds the speaker of a start by its invocation; nil: it has none.
func (e *ear) of(invocation string) *speaker {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.byStart[invocation]
}

// has finds it by its generation.
func (e *ear) has(gen uint64) *speaker {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.byGen[gen]
}

// all lists the speakers.
func (e *ear) all() (list []*speaker) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, s := range e.byGen {
		list = append(list, s)
	}
	return list
}

// forget closes a speaker.
func (e *ear) forget(s *speaker) {
	e.mu.Lock()
	defer e.mu.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	if e.byGen[s.gen] == s {
		delete(e.byGen, s.gen)
	}
	if e.byStart[s.invocation] == s {
		delete(e.byStart, s.invocation)
	}
	if s.fd < 0 {
		return
	}
	if s.watched {
		e.poll.remove(s.fd)
	}
	if e.byNumber[s.fd] == s {
		delete(e.byNumber, s.fd)
	}
	_ = sysClose(s.fd)
	s.fd = -1
}

// run reads messages until the poller fails.
func (e *ear) run(poll *sysPoll) {
	for {
		fds, err := poll.wait()
		if err != nil {
			return
		}
		var list []spoken
		for _, fd := range fds {
			e.mu.Lock()
			s := e.byNumber[fd]
			e.mu.Unlock()
			if s == nil {
				continue
			}
			if m, ok := s.peek(); ok {
				list = append(list, m)
			}
		}
		if len(list) > 0 {
			e.heard(list)
		}
		for i := range list {
			list[i].by.drop()
		}
	}
}

// peek copies the next message without removing it.
func (s *speaker) peek() (m spoken, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fd < 0 {
		return m, false
	}
	m.by = s
	buf := make([]byte, notifyLimit)
	if s.pipe {
		b, eof, err := sysPeekPipe(s.fd, buf)
		m.text, m.ended = b, eof
		return m, err == nil && (eof || len(b) > 0)
	}
	n, pid, uid, fds, err := sysPeekMessage(s.fd, buf)
	if err != nil {
		return m, false
	}
	m.pid, m.uid, m.fds, m.long = pid, uid, fds, n > len(buf)
	m.text = buf[:min(n, len(buf))]
	return m, true
}

// drop removes the message that peek returned.
func (s *speaker) drop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.fd < 0:
	case s.pipe:
		logRead(s.fd, make([]byte, notifyLimit))
	default:
		sysDropMessage(s.fd)
	}
}

// unread says whether something was said that has not been read yet.
func (s *speaker) unread() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.fd >= 0 && sysReadable(s.fd)
}

// copy is another descriptor of its socket or pipe.
func (s *speaker) copy() (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fd < 0 {
		return -1, errors.New("it is closed")
	}
	return sysDup(s.fd)
}

// first says whether this is the first complaint of its kind about a speaker.
func (s *speaker) first(what string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.reported[what] {
		return false
	}
	if s.reported == nil {
		s.reported = map[string]bool{}
	}
	s.reported[what] = true
	return true
}

// newline says whether a pipe has brought what makes its service ready.
func (m *spoken) newline() bool { return bytes.IndexByte(m.text, '\n') >= 0 }

// notice is a message of sd_notify(3), understood. What is not there is zero; status is nil.
type notice struct {
	ready, stopping, reloading, alive, trigger, barrier, store bool
	status                                                     *string
	mainPID, errno                                             int
	watchdog, extend                                           time.Duration
}

// parseNotice reads lines VARIABLE=VALUE. Of one that comes twice the last counts; what is not known, or no number where one should be, is skipped, as systemd does.
func parseNotice(text []byte) (n notice) {
	for _, line := range strings.Split(strings.TrimRight(string(text), "\x00"), "\n") {
		key, value, _ := strings.Cut(line, "=")
		switch key {
		case "READY":
			n.ready = value == "1"
		case "STOPPING":
			n.stopping = value == "1"
		case "RELOADING":
			n.reloading = value == "1"
		case "STATUS":
			value = strings.ToValidUTF8(value, "\uFFFD")
			n.status = &value
		case "ERRNO":
			n.errno, _ = strconv.Atoi(value)
		case "MAINPID":
			n.mainPID, _ = strconv.Atoi(value)
		case "WATCHDOG":
			n.alive, n.trigger = value == "1", value == "trigger"
		case "WATCHDOG_USEC":
			n.watchdog = microseconds(value)
		case "EXTEND_TIMEOUT_USEC":
			n.extend = microseconds(value)
		case "BARRIER":
			n.barrier = value == "1"
		case "FDSTORE":
			n.store = value == "1"
		}
	}
	return n
}

// microseconds reads a time; 0 where it is none. The longest is that of the keys of a service file.
func microseconds(text string) time.Duration {
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		return 0
	}
	return time.Duration(min(n, uint64(math.MaxInt64/int64(time.Microsecond)), uint64(maxMillis)*1000)) * time.Microsecond
}
