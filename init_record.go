// init_record.go is what the keeper hands to the next image of itself, and how that takes it over; when it does is decided in init_upgrade.go.

//go:build linux

package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"
)

// resumeVar names the descriptor with what an earlier image of this keeper held.
const resumeVar = "ZINIT_RESUME"

// keeperVersion is that of keeperRecord: it grows with every change of its meaning. A binary reads its own version and no other.
const keeperVersion = 2

// keeperRecord is all that the keeper holds. Numbers of descriptors are those of this process, which stay over an execve. Times are sysMono; 0 is none.
type keeperRecord struct {
	Version int
	Args    []string // behind `zinit init`
	One     bool
	Self    []byte // a path may be any bytes
	State   int
	Seq     uint64
	Panics  int
	BrokeAt int64
	Server  *serverRecord
	Closing *closingRecord
	Later   *laterRecord `json:",omitempty"` // so that an earlier version reads what has none
	Exits   []byte       // as in a packet
	Store   map[string][]int
	Procs   map[string]int
	Command commandRecord
}

type serverRecord struct {
	PID, Link     int
	Live, Planned bool
	KillAt        int64
	Told          uint64
}

type closingRecord struct {
	Kind                 powerKind
	Code                 int
	At, KillAt           int64
	Fixed, Taken, Forced bool
}

type laterRecord struct {
	Kind powerKind
	At   int64
}

type commandRecord struct {
	PID                 int
	Started, Ended, TTY bool
	Asked               bool // it has got the signal that began the shutdown: it gets no other for that
	Status              uint32
}

func monoOf(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return sysMono() + int64(time.Until(t))
}

func timeOf(mono int64) time.Time {
	if mono == 0 {
		return time.Time{}
	}
	return time.Now().Add(time.Duration(mono - sysMono()))
}

// record is what the next image needs; self is the path of its program.
func (k *keeper) record(self string) keeperRecord {
	r := keeperRecord{Version: keeperVersion, Args: k.args, One: k.one, Self: []byte(self), State: k.memo, Seq: k.seq, Panics: k.panics, BrokeAt: k.brokeAt,
		Exits: []byte(encodeExits(k.exits)), Store: k.store, Procs: k.procs, Command: k.cmd.commandRecord}
	if s := &k.server; s.link != nil {
		r.Server = &serverRecord{PID: s.pid, Link: s.link.fd, Live: s.live, Planned: s.planned, KillAt: monoOf(s.killAt), Told: k.told}
	}
	if c := k.closing; c != nil {
		r.Closing = &closingRecord{Kind: c.kind, Code: c.code, At: monoOf(c.at), KillAt: monoOf(c.killAt), Fixed: c.fixed, Taken: c.taken, Forced: c.forced}
	}
	if l := k.later; l != nil {
		r.Later = &laterRecord{l.kind, monoOf(l.at)}
	}
	return r
}

// recordMemo puts the record into memory that survives an execve.
func (k *keeper) recordMemo(path string) (int, error) {
	self := k.self
	if !strings.HasPrefix(path, "/proc/") {
		self = path
	}
	text, err := json.Marshal(k.record(self))
	if err != nil {
		return -1, err
	}
	return sysMemfdWith("zinit-keeper", text)
}

// readRecord is the opposite of recordMemo. Whatever it does not know, in whatever place, is an error.
func readRecord(fd int) (r keeperRecord, err error) {
	text, err := sysReadAll(fd)
	if err != nil {
		return r, err
	}
	var head struct{ Version int }
	if err := json.Unmarshal(text, &head); err != nil {
		return r, fmt.Errorf("it is damaged: %w", err)
	}
	if head.Version != keeperVersion {
		return r, fmt.Errorf("it has version %d, this binary reads version %d", head.Version, keeperVersion)
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(&r); err != nil {
		return r, fmt.Errorf("it is damaged: %w", err)
	}
	if _, err := d.Token(); err != io.EOF {
		return r, errors.New("it is damaged: something follows it")
	}
	return r, nil
}

// checkRecord proves that this binary can take over what the keeper holds: it reads the record, and the command line of PID 1.
func checkRecord(fd int, flags []*commandFlag) error {
	r, err := readRecord(fd)
	if err == nil {
		_, err = parseInit(r.Args, flags, !r.One)
	}
	if err != nil {
		return fmt.Errorf("what PID 1 holds cannot be read: %w", err)
	}
	return nil
}

// held lists the descriptors that the next image needs.
func (k *keeper) held(memo int) []int {
	fds := []int{memo}
	if k.memo >= 0 {
		fds = append(fds, k.memo)
	}
	if k.server.link != nil {
		fds = append(fds, k.server.link.fd)
	}
	for _, list := range k.store {
		fds = append(fds, list...)
	}
	return fds
}

// resume takes over what an earlier image of this process held; false if there was none or it cannot be read.
func (k *keeper) resume() bool {
	fd, err := strconv.Atoi(os.Getenv(resumeVar))
	os.Unsetenv(resumeVar)
	if err != nil {
		return false
	}
	r, err := readRecord(fd)
	_ = sysClose(fd)
	if err != nil { // the image before us was told that we can read it
		logf(logError, "cannot take over what the last image of PID 1 held: %v", err)
		return false
	}
	if r.State >= 0 {
		_ = sysClose(k.memo)
		k.memo = r.State
		sysCloexec(k.memo)
	}
	k.self, k.seq, k.panics, k.brokeAt = string(r.Self), r.Seq, r.Panics, r.BrokeAt
	k.exits = parseExits(string(r.Exits))
	for key, fds := range r.Store {
		for _, fd := range fds {
			sysCloexec(fd)
		}
		k.store[key] = fds
		k.watchSocket(key)
	}
	for key, pid := range r.Procs {
		k.procs[key] = pid
	}
	if c := r.Closing; c != nil {
		k.closing = &keeperClosing{kind: c.Kind, code: c.Code, at: timeOf(c.At), killAt: timeOf(c.KillAt), fixed: c.Fixed, taken: c.Taken, forced: c.Forced}
	}
	if l := r.Later; l != nil {
		k.later = &laterShutdown{l.Kind, timeOf(l.At)}
	}
	k.cmd.commandRecord = r.Command
	if r.Server != nil && r.Server.PID != 0 {
		k.resumeServer(r.Server)
	}
	logf(logInfo, "PID %d is version %s now", os.Getpid(), version)
	return true
}

// resumeServer goes on with the server; one whose link cannot be read is replaced when it has ended.
func (k *keeper) resumeServer(r *serverRecord) {
	sysCloexec(r.Link)
	k.server.pid = r.PID
	l, err := newLink(r.Link)
	if err != nil {
		logf(logError, "cannot go on with the server: %v", err)
		_ = sysKill(r.PID, sigKill)
		return
	}
	k.server = serverChild{pid: r.PID, link: l, live: r.Live, liveAt: time.Now(), planned: r.Planned, killAt: timeOf(r.KillAt), starved: sysOutOfMemory()}
	k.told = r.Told
	k.listen()
	if r.Live {
		k.expectAcks()
	} else {
		k.server.answer.begin(sysComputed(r.PID), time.Now())
	}
}
