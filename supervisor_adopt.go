// supervisor_adopt.go goes on with the services of an earlier server: from what is saved, what the keeper handed over and what runs, before the owner takes its first event.

//go:build !windows

package main

import (
	"encoding/binary"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// adoption is what is known while the services of an earlier server are adopted.
type adoption struct {
	st    *savedState
	known map[int]bool       // pids of units
	gone  map[int]bool       // those that were not there when we looked
	dead  map[int]exitRecord // by pid, of any process
	saved map[uint64]bool    // the records of ends that the state has already
	cmd   packet             // what the keeper says of CMD
}

// takeOver adopts what an earlier server left, if there was one, and removes unused control groups, which may exist even without its state.
func (s *supervisor) takeOver(st *savedState, h handed) {
	if st != nil {
		s.adoptAll(st, h)
	}
	used := map[leaf]bool{}
	for _, l := range s.lives {
		if l.proc != nil {
			used[l.proc.leaf] = true
		}
	}
	s.cgroups.tidy(used)
}

// adoptAll goes on with the services of an earlier server. Afterwards every unit of the state has its process, or an event is on its way that says what became of it.
func (s *supervisor) adoptAll(st *savedState, h handed) {
	c := clockNow()
	s.logs.seqAtLeast(st.server.Seq + seqGap)
	if st.server.Started != 0 {
		s.begun = c.load(st.server.Started)
	}
	live := s.g.restore(st, c)
	s.saver.keep(st, s.g)
	for _, e := range s.g.out {
		if e.kind == effectConfigure {
			s.adoptLogging(e.cfg)
		}
	}
	s.restoreProxies(st)
	s.adoptSpeakers(st, h.store, live)
	s.adoptLogs(h.store, live)
	s.adoptLive(st, live, h)
	s.hearAdopted()
	if g := s.g; g.closing != nil && h.closing == nil && s.keeper != nil {
		s.perform(&effect{kind: effectClosing, text: string(g.closing.kind), sig: g.closing.code, limit: g.limit})
	}
	if len(live) > 0 {
		logf(logInfo, "adopted %d running services", len(live))
	}
}

// adoptLive goes on with the units that have, or may have, a process. The order matters: first it is seen which processes there are,
// then the keeper is asked for every end until now, so that what was not seen has ended with a known status or has never been.
func (s *supervisor) adoptLive(st *savedState, live []*unit, h handed) {
	a := &adoption{st: st, known: map[int]bool{}, gone: map[int]bool{}, dead: map[int]exitRecord{}, saved: map[uint64]bool{}, cmd: h.cmd}
	for _, u := range st.units {
		a.saved[u.Exit] = true
	}
	var doubtful *unit
	for _, u := range live {
		switch {
		case u.spawned:
			a.known[u.pid] = true
			a.gone[u.pid] = sysKill(u.pid, 0) == syscall.ESRCH
		case st.units[u.name].Staged != 0:
			pid := st.units[u.name].Staged
			a.known[pid] = true
			a.gone[pid] = sysKill(pid, 0) == syscall.ESRCH
		case u.name == st.start.Name && u.gen == st.start.Gen && !s.isMain(u.name):
			doubtful = u
		}
	}
	var found procID
	exits := h.exits
	if doubtful != nil {
		found = s.findStarted(doubtful, st.start.At, a.known, outputOf(h.store[logKey(doubtful.name, doubtful.gen)]), &exits)
		a.known[found.pid] = true
	}
	if s.keeper != nil {
		s.askKeeper(opSync, &exits) // all that have happened until now and were not handed over yet
	}
	for _, e := range exits {
		a.dead[e.pid] = e
		s.acks.last = e.seq
	}
	found = a.firstProcess(doubtful, found)
	for _, u := range live {
		pid, ticks := u.pid, st.units[u.name].Ticks
		if !u.spawned {
			pid = st.units[u.name].Staged
		}
		switch {
		case u == doubtful && found.pid != 0:
			pid, ticks = found.pid, found.start
		case s.isMain(u.name) && !u.spawned && a.cmd.a > 0:
			pid = int(a.cmd.a)
		}
		if u.undoing {
			s.perform(&effect{kind: effectUndo, name: u.name, gen: u.gen, cfg: u.cfg, text: u.invocation}) // once more
		} else if pid != 0 {
			s.adoptProcess(a, u, pid, ticks)
		} else {
			s.adoptStart(a, u, u == doubtful)
		}
	}
	for _, e := range exits {
		if !a.known[e.pid] {
			s.acks.ready = append(s.acks.ready, e.seq)
		}
	}
}

// outputOf are the read ends of the output, of what is kept of one start.
func outputOf(fds []int) []int { return fds[:min(2, len(fds))] }

// askKeeper waits for the answer to a question. Exits that come before it go to exits; whatever else comes is kept for follow.
func (s *supervisor) askKeeper(op byte, exits *[]exitRecord) packet {
	s.keeper.send(packet{op: op})
	for {
		p, err := s.keeper.recv()
		switch {
		case err != nil, p.op == op:
			return p // without a keeper follow finds the same error
		case p.op == opExits:
			*exits = append(*exits, parseExits(p.text)...)
		default:
			s.early = append(s.early, p)
		}
	}
}

// adoptLogs takes the read ends of the services' pipes over, also those of starts that have ended: what is in them still counts.
func (s *supervisor) adoptLogs(store map[string][]int, live []*unit) {
	byGen := map[uint64]*unit{}
	for _, u := range live {
		byGen[u.gen] = u
	}
	for _, key := range sortedKeys(store) {
		words := strings.Fields(key)
		if len(words) != 3 || words[0] != "log" {
			continue
		}
		name := words[1]
		gen, _ := strconv.ParseUint(words[2], 10, 64)
		fds := store[key]
		if len(fds) != 2 && len(fds) != 3 {
			closeAll(fds)
			continue
		}
		var stdin *stdinPipe
		if len(fds) == 3 {
			stdin = adoptStdin(fds[2])
		}
		u := byGen[gen]
		pipes, err := s.logs.adopt(name, gen, []logEnd{{streamStdout, fds[0], s.partial[logSource{name, streamStdout}]}, {streamStderr, fds[1], s.partial[logSource{name, streamStderr}]}}, s.stillAwaited(u))
		if err != nil {
			logf(logError, "cannot go on with the output of %s: %v", name, err)
		}
		if u != nil && u.name == name {
			s.lives[gen] = newLife(name, gen, u.cfg, pipes)
			s.lives[gen].stdin = stdin
			continue
		}
		s.closeStdin(stdin, name, gen)
		background("drain", func() {
			pipes.drain()
			s.logs.removeFifos(name, gen)
			s.release(name, gen)
		})
	}
}

// adoptedLife is the life of a unit, with the pipes that were handed over, if any.
func (s *supervisor) adoptedLife(u *unit) *life {
	l := s.lives[u.gen]
	if l == nil {
		l = newLife(u.name, u.gen, u.cfg, &logPipes{Out: -1, Err: -1, gen: u.gen})
		s.lives[u.gen] = l
	}
	return l
}

// adoptProcess goes on with the process of a unit, alive or ended.
func (s *supervisor) adoptProcess(a *adoption, u *unit, pid int, ticks uint64) {
	l := s.adoptedLife(u)
	a.known[pid] = true
	l.proc = s.procs.process(u.name, u.invocation, u.cfg.Lifecycle.KillMode, func(e exit) { s.ended(l, e) })
	if u.cfg.wantsCgroup() {
		l.proc.leaf = s.cgroups.find(u.name, pid)
	}
	l.proc.stopping, l.proc.stopSig = u.state == stopping && !u.forced, u.cfg.Lifecycle.StopSignal
	s.listenTo(l)
	if u.forks || !u.spawned {
		s.expectFork(l, u.invocation)
	}
	if !u.spawned {
		s.submit(event{kind: eventSpawned, name: u.name, gen: u.gen, pid: pid})
	}
	if s.keeper == nil {
		if err := s.procs.adopt(l.proc, pid, ticks); err != nil {
			logf(logError, "%s: %v", u.name, err)
			s.submit(event{kind: eventExited, name: u.name, gen: u.gen})
			return
		}
	} else {
		var status *uint32
		if e, ok := a.dead[pid]; ok {
			code := e.status &^ leaderBit
			status = &code
			s.acks.byPID[pid] = e.seq
		}
		s.procs.adoptReported(l.proc, pid, status)
		if status == nil && a.gone[pid] {
			logf(logError, "%s: process %d has gone, and nobody knows how it ended", u.name, pid)
			s.procs.lost(l.proc)
		}
	}
	if u.spawned && u.state == stopping {
		kind := effectStop
		if u.forced {
			kind = effectKill
		}
		s.signalJobs.put(signalJob{effect{kind: kind, name: u.name, gen: u.gen, cfg: u.cfg}, l})
	}
}

// adoptStart decides what became of a start under way of which there is no process. Only the one that was just being forked is in doubt: it may have run and ended.
// Any other never happened; it is called back where the unit is to stop, and else done now.
func (s *supervisor) adoptStart(a *adoption, u *unit, doubtful bool) {
	if l := s.lives[u.gen]; l != nil {
		delete(s.lives, u.gen)
		s.closeStdin(l.stdin, u.name, u.gen)
		background("drain", func() {
			l.pipes.drain()
			s.logs.removeFifos(u.name, u.gen)
		})
	}
	var e exitRecord
	n := 0
	if doubtful {
		e, n = a.exitOfStart()
	}
	switch {
	case n > 0:
		var how exit // of several nobody knows which it was
		if n == 1 {
			how = decodeStatus(e.status &^ leaderBit)
		}
		a.known[e.pid] = true
		s.acks.byPID[e.pid] = e.seq
		s.submit(event{kind: eventSpawned, name: u.name, gen: u.gen, pid: e.pid})
		s.submit(event{kind: eventExited, name: u.name, gen: u.gen, pid: e.pid, exit: how})
	case u.state == stopping:
		s.release(u.name, u.gen)
		s.submit(event{kind: eventSpawnFailed, name: u.name, gen: u.gen, text: "called back"})
	default:
		s.release(u.name, u.gen)       // the start to come makes pipes of its own
		u.invocation = newInvocation() // the one in doubt may have run
		s.g.mark(u)
		s.perform(&effect{kind: effectSpawn, name: u.name, gen: u.gen, cfg: u.cfg, text: u.invocation})
	}
}

// firstProcess is the first process of a start in doubt. With a pid_file, the process that was found may be one that the first process left in the background.
func (a *adoption) firstProcess(u *unit, found procID) procID {
	if u == nil || u.cfg.Service.PIDFile == "" {
		return found
	}
	if e, n := a.exitOfStart(); n == 1 {
		return procID{pid: e.pid}
	}
	return found
}

// exitOfStart is the first exit that can be that of the start in doubt, and how many such there are: later than the start, of a process that
// nobody knows and that led a session, as services do and as orphans and helpers do not.
func (a *adoption) exitOfStart() (one exitRecord, n int) {
	for pid, e := range a.dead {
		if !a.known[pid] && e.seq > a.st.start.Exit && !a.saved[e.seq] && e.status&leaderBit != 0 && decodeStatus(e.status&^leaderBit).Code != execFailed {
			if n++; n == 1 || e.seq < one.seq {
				one = e
			}
		}
	}
	return one, n
}

// startSlack is how much earlier than it was saved a start may seem to be: the kernel counts start times in hundredths of a second.
const startSlack = 30 * time.Millisecond

// findStarted looks for the process of the start that was being forked; a pid of 0: there is none. Under the keeper a process whose environment does not say whose it
// is may be a fork that has not executed yet: a single one that leads a session must be it; of several none may live on.
func (s *supervisor) findStarted(u *unit, since int64, known map[int]bool, pipes []int, exits *[]exitRecord) procID {
	if !haveProc() {
		if s.keeper == nil {
			return findByOutput(pipes, known)
		}
		return s.findBlindly(pipes, known, exits)
	}
	var nameless []procID
	for range 20 {
		nameless = nil
		for _, p := range sysAllPids() {
			st, err := readStat(p)
			if known[p] || p == os.Getpid() || err != nil || s.keeper != nil && st.PPID != os.Getppid() || sysMono()-int64(st.Age()) < since-int64(startSlack) {
				continue
			}
			env := foreignMemory(p, sysEnviron)
			switch id := envValue(env, "ZINIT_INVOCATION_ID"); {
			case id == u.invocation:
				return procID{p, st.Start}
			case id == "" && s.keeper != nil && envValue(env, "ZINIT_SERVICE") == "":
				nameless = append(nameless, procID{p, st.Start})
			}
		}
		if len(nameless) == 0 {
			return procID{}
		}
		time.Sleep(5 * time.Millisecond) // a fork that has not executed yet gets its environment in a moment
	}
	nameless = slices.DeleteFunc(nameless, func(k procID) bool { return !sysLeads(k.pid) })
	if len(nameless) == 1 {
		return nameless[0]
	}
	for _, k := range nameless {
		logf(logWarn, "killing process %d: it may be a half-started %s", k.pid, u.name)
		_ = sysKill(-k.pid, sigKill)
		_ = sysKillOne(k, sigKill)
	}
	return procID{}
}

// findBlindly is findStarted without /proc: when somebody still writes into the pipes of the start, it is the youngest child of the keeper that leads
// a session and that nobody knows. (A child that has been forked once the pids have begun anew from 2 is not the youngest; then an older one is taken for it.)
// A child that on a busy machine does not lead one yet has the pipes already, and is waited for.
func (s *supervisor) findBlindly(pipes []int, known map[int]bool, exits *[]exitRecord) procID {
	const pause, patience = 5 * time.Millisecond, time.Second
	for end := time.Now().Add(patience); ; time.Sleep(pause) {
		if !slices.ContainsFunc(pipes, func(fd int) bool { return !sysHungUp(fd) }) {
			return procID{}
		}
		youngest := 0
		for b := []byte(s.askKeeper(opFind, exits).text); len(b) >= 8; b = b[8:] {
			if pid := int(binary.LittleEndian.Uint64(b)); !known[pid] && pid != os.Getpid() {
				youngest = pid
			}
		}
		if youngest != 0 || time.Now().After(end) {
			return procID{pid: youngest}
		}
	}
}

// findByOutput is findStarted for a standalone server without /proc: of all that lead a session it is the one that has a pipe of the start as its stdout or stderr. The
// pids above those that are known come first; there it is, unless the pids have begun anew since.
func findByOutput(pipes []int, known map[int]bool) procID {
	first := 2
	for pid := range known {
		first = max(first, pid+1)
	}
	for range 2 { // a fork that has not executed yet has them in a moment
		for n := range sysMaxPid {
			pid := (first + n) % sysMaxPid
			if pid > 1 && !known[pid] && sysLeads(pid) && (sysHasOpen(pid, 1, pipes) || sysHasOpen(pid, 2, pipes)) {
				return procID{pid: pid}
			}
		}
	}
	return procID{}
}

func firstError(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// checkState is `zinit server --check-state`: it proves that this binary reads the state on descriptor 3, and says its version. keeper: that it reads
// what the keeper holds has been proven before.
func checkState(keeper bool) int {
	if err := proveState(3); err != nil {
		fmt.Println("state bad", err)
		return exitRefused
	}
	if keeper {
		fmt.Println(keeperProven)
	}
	fmt.Println(stateProven + version)
	return exitDone
}

// proveState says why this binary cannot read the state in the file fd; nil: it can. The server that it belongs to goes on writing, and a copy of it may be
// torn: what is damaged is read again, for at least proveTries * proveEvery.
func proveState(fd int) (err error) {
	for range proveTries {
		var j *journal
		if j, err = copyJournal(fd); err == nil {
			if _, err = readState(j); err == nil {
				return nil
			}
		}
		time.Sleep(proveEvery)
	}
	return err
}

const (
	proveTries = 20
	proveEvery = 10 * time.Millisecond
)
