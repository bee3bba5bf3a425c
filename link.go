// link.go is the pair of sockets between keeper and server: records with descriptors, in order, and the words that both use. It knows nothing of what they mean.

//go:build !windows

package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"syscall"
	"time"
)

// packet is one record. It fits one datagram of a SOCK_SEQPACKET pair, so it arrives whole or not at all.
type packet struct {
	op   byte
	a, b int64
	text string
	fds  []int
	sent chan struct{} // closed once the record has left, or never will; nil: nobody waits. With op 0 there is no record
}

// What keeper and server tell each other. The keeper parses nothing else.
const (
	opStore   = 'P' // server: keep these descriptors under text. keeper: here they are
	opDrop    = 'D' // server: close what is kept under text
	opStarted = 'B' // server: process a was started for what is kept under text. keeper: the same to the next server
	opExits   = 'E' // keeper: exits, 20 bytes each in text: seq, pid, status
	opAck     = 'A' // server: exits that are saved, 8 bytes each in text: seq
	opLive    = 'L' // keeper: that was all. server: I have adopted everything
	opSync    = 'S' // server: say this back, so that I know that all exits until now have come
	opClosing = 'C' // server: a shutdown begins: a exit code, b time limit in ms, text kind. keeper: one is under way, b ms are left
	opDone    = 'X' // server: the shutdown is complete
	opDo      = 'G' // keeper: do text: reload, shutdown KIND, handover
	opCommand = 'M' // server: start CMD now. keeper: CMD has pid a (0: not started), status b once it ended
	opUpgrade = 'U' // server: go over to the binary text. keeper: the result, "" is success
	opFind    = 'F' // server: which children of yours lead sessions? keeper: their pids, 8 bytes each in text
	opAsk     = '?' // keeper: are you there? server: the same back
)

// powerKind is how a shutdown ends: with the exit of PID 1 of a container or of a server that is not PID 1, or with what the machine does.
type powerKind string

const (
	powerExit   powerKind = "exit"
	powerOff    powerKind = "poweroff"
	powerReboot powerKind = "reboot"
	powerHalt   powerKind = "halt"
)

// socketKey begins the name of the control socket among what the keeper keeps. The keeper looks at no other.
const socketKey = "control "

const packetHead = 17

func (p *packet) encode() []byte {
	b := make([]byte, packetHead, packetHead+len(p.text))
	b[0] = p.op
	binary.LittleEndian.PutUint64(b[1:], uint64(p.a))
	binary.LittleEndian.PutUint64(b[9:], uint64(p.b))
	return append(b, p.text...)
}

func decodePacket(b []byte, fds []int) (packet, bool) {
	if len(b) < packetHead {
		return packet{}, false
	}
	return packet{op: b[0], a: int64(binary.LittleEndian.Uint64(b[1:])), b: int64(binary.LittleEndian.Uint64(b[9:])), text: string(b[packetHead:]), fds: fds}, true
}

// exitRecord is one end of a child, kept until the server has saved what follows from it.
type exitRecord struct {
	seq    uint64
	pid    int
	status uint32
}

const sizeOfExit = 20

// leaderBit marks, in the status of an exit record, what led a session of its own, as the main process of every service does.
const leaderBit = 1 << 31

// encodeExits is the text of an opExits.
func encodeExits(list []exitRecord) string {
	b := make([]byte, 0, sizeOfExit*len(list))
	for _, e := range list {
		b = binary.LittleEndian.AppendUint64(b, e.seq)
		b = binary.LittleEndian.AppendUint64(b, uint64(e.pid))
		b = binary.LittleEndian.AppendUint32(b, e.status)
	}
	return string(b)
}

func parseExits(text string) []exitRecord {
	var list []exitRecord
	for b := []byte(text); len(b) >= sizeOfExit; b = b[sizeOfExit:] {
		list = append(list, exitRecord{binary.LittleEndian.Uint64(b), int(binary.LittleEndian.Uint64(b[8:])), binary.LittleEndian.Uint32(b[16:])})
	}
	return list
}

// link is one end of the pair. send never waits; one goroutine writes, in order.
type link struct {
	fd   int
	file *os.File
	raw  syscall.RawConn
	buf  []byte

	mu     sync.Mutex
	out    []packet
	closed bool
	wake   chan struct{} // there is something in out; closed with the link
}

// linkTime is how long a record may take to reach the other side.
const linkTime = 5 * time.Second

// maxPacket bounds a record: 1000 exits fit.
const maxPacket = 32 << 10

// newLink owns fd from here on, also when it fails.
func newLink(fd int) (*link, error) {
	l := &link{fd: fd, file: os.NewFile(uintptr(fd), "link"), buf: make([]byte, maxPacket), wake: make(chan struct{}, 1)}
	if l.file == nil {
		return nil, fmt.Errorf("%d is no descriptor", fd)
	}
	raw, err := l.file.SyscallConn()
	if err == nil {
		err = l.file.SetDeadline(time.Time{}) // the poller could not take it
	}
	if err != nil {
		l.file.Close()
		return nil, err
	}
	l.raw = raw
	background("link", l.write)
	return l, nil
}

func (l *link) send(p packet) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		if p.sent != nil {
			close(p.sent)
		}
		return
	}
	l.out = append(l.out, p)
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// flush waits until what was sent has left, at most limit.
func (l *link) flush(limit time.Duration) { l.sendNow(packet{}, limit) }

// sendNow sends a record and waits until it has left, at most limit.
func (l *link) sendNow(p packet, limit time.Duration) {
	p.sent = make(chan struct{})
	l.send(p)
	wait := time.NewTimer(limit)
	defer wait.Stop()
	select {
	case <-p.sent:
	case <-wait.C:
	}
}

func (l *link) write() {
	broken := false
	for range l.wake {
		l.mu.Lock()
		list := l.out
		l.out = nil
		l.mu.Unlock()
		for _, p := range list {
			if p.op != 0 && !broken {
				broken = !l.put(p)
			}
			if p.sent != nil {
				close(p.sent)
			}
		}
	}
}

// put writes one record; false when there will never be a reader again. Descriptors on their way count against a limit of the
// kernel's (unix(7), ETOOMANYREFS): then the reader needs a moment.
func (l *link) put(p packet) bool {
	data := p.encode()
	for {
		var err error
		if e := l.raw.Write(func(fd uintptr) bool {
			err = sysSendPacket(int(fd), data, p.fds)
			return err != syscall.EAGAIN
		}); e != nil || err == syscall.EPIPE || err == syscall.ECONNRESET {
			return false
		}
		if err == nil {
			return true
		}
		if err != syscall.ETOOMANYREFS && err != syscall.ENOBUFS && err != syscall.ENOMEM && err != syscall.EINTR {
			logf(logError, "a record between keeper and server is lost: %v", err)
			return true
		}
		time.Sleep(time.Millisecond)
	}
}

// recv waits for the next record; an error means that the other side is gone.
func (l *link) recv() (packet, error) {
	var p packet
	var n int
	var fds []int
	var err error
	if e := l.raw.Read(func(fd uintptr) bool {
		n, fds, err = sysRecvPacket(int(fd), l.buf)
		return err != syscall.EAGAIN
	}); e != nil {
		return p, e
	}
	if err != nil {
		return p, err
	}
	p, ok := decodePacket(l.buf[:n], fds)
	if !ok {
		return p, errors.New("the other side of the link has gone")
	}
	return p, nil
}

// close ends the link; what was not sent yet is dropped.
func (l *link) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return
	}
	l.closed = true
	for _, p := range l.out {
		if p.sent != nil {
			close(p.sent)
		}
	}
	l.out = nil
	close(l.wake)
	l.file.Close()
}

// pause has recv return an error, without taking anything more, until goOn.
func (l *link) pause() { _ = l.file.SetReadDeadline(time.Unix(1, 0)) }
func (l *link) goOn()  { _ = l.file.SetReadDeadline(time.Time{}) }

// planWord begins a message about a scheduled shutdown: planWord KIND MS, or planWord alone if none is scheduled.
const planWord = "plan"

// ownTime is how long before the deadline of a shutdown the keeper takes over.
const ownTime = 500 * time.Millisecond

// upgradeTime is how long a new binary has to read the state, and then its server to adopt everything.
const upgradeTime = 10 * time.Second

// becauseCritical follows the kind of a shutdown that the end of a critical service caused; its exit code is then used.
const becauseCritical = "critical"

// What a binary prints that has read the state of the server, and what the keeper holds.
const stateProven, keeperProven = "state ok ", "keeper ok"

// provenVersion is the version of a binary that has printed the proof, with that of the keeper if keeper is set.
func provenVersion(out string, keeper bool) (version string, err error) {
	for _, line := range strings.Split(out, "\n") {
		if v, ok := strings.CutPrefix(line, stateProven); ok {
			version = v
		}
		keeper = keeper && line != keeperProven
	}
	if version == "" || keeper {
		return "", fmt.Errorf("it does not say that it can read the state, but `%s`", visible(strings.TrimSpace(out)))
	}
	return version, nil
}
