// init_upgrade.go is what the keeper hands to the next image of itself, and how a new binary proves, before anything happens, that it can read that.

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
	Exits   []byte // as in a packet
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

type commandRecord struct {
	PID                        int
	Started, Ended, TTY, Asked bool
	Status                     uint32
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
		Exits: []byte(encodeExits(k.exits)), Store: k.store, Procs: k.procs}
	if s := &k.server; s.link != nil {
		r.Server = &serverRecord{PID: s.pid, Link: s.link.fd, Live: s.live, Planned: s.planned, KillAt: monoOf(s.killAt), Told: k.told}
	}
	if c := k.closing; c != nil {
		r.Closing = &closingRecord{Kind: c.kind, Code: c.code, At: monoOf(c.at), KillAt: monoOf(c.killAt), Fixed: c.fixed, Taken: c.taken, Forced: c.forced}
	}
	c := &k.cmd
	r.Command = commandRecord{PID: c.pid, Started: c.started, Ended: c.ended, TTY: c.tty, Asked: c.asked, Status: c.status}
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
func checkRecord(fd int) error {
	r, err := readRecord(fd)
	if err == nil {
		_, err = parseInit(r.Args, !r.One)
	}
	if err != nil {
		return fmt.Errorf("what PID 1 holds cannot be read: %w", err)
	}
	return nil
}

// What a binary prints that has read the state of the server, and what the keeper holds.
const stateProven, keeperProven = "state ok ", "keeper ok"

// provenVersion is the version of a binary that has printed the proof, with that of the keeper if keeper is set.
func provenVersion(out string, keeper bool) (version string, err error) {
	for line := range strings.Lines(out) {
		line = strings.TrimSuffix(line, "\n")
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

// proveKeeper has a binary prove that it reads both the state and what the keeper holds now, and returns its version.
func proveKeeper(path string, state, record int) (string, error) {
	out, err := sysTryBinary(path, []string{"zinit", "server", "--check-state", "--check-keeper"}, []int{state, record}, 2, upgradeTime)
	if err != nil {
		return "", err
	}
	return provenVersion(out, true)
}

// tryUpgrade has a new binary ("": the one on disk at our own path) prove that it runs and reads all there is, on a goroutine; the
// result comes to onTried. Nothing has changed until then.
func (k *keeper) tryUpgrade(path string) {
	if path == "" {
		path = k.self
	}
	if k.closing != nil || k.server.planned || k.trying {
		k.upgraded(trial{path: path, err: errors.New("a shutdown or another upgrade is under way")})
		return
	}
	record, err := k.recordMemo(path)
	if err != nil {
		k.upgraded(trial{path: path, err: err})
		return
	}
	k.trying = true
	memo := k.memo
	background("trying a new binary", func() {
		version, err := proveKeeper(path, memo, record)
		_ = sysClose(record)
		k.results <- trial{path, version, err}
	})
}

// goOver executes another image of this process, which goes on with all that we hold. It returns only on error.
func (k *keeper) goOver(path string) error {
	memo, err := k.recordMemo(path)
	if err != nil {
		return err
	}
	k.flush()
	ignoreForExec()
	err = sysExecKeeping(path, os.Args, append(os.Environ(), resumeVar+"="+strconv.Itoa(memo)), k.held(memo))
	_ = sysClose(memo)
	return err
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

// resume takes over what an earlier image of this process held; false when there was none.
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
	c := r.Command
	k.cmd = mainProgram{pid: c.PID, started: c.Started, ended: c.Ended, tty: c.TTY, asked: c.Asked, status: c.Status, startAt: k.cmd.startAt}
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
