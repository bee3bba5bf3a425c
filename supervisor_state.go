// supervisor_state.go says what of the graph is saved for the next server, saves what a turn has changed, and reads it back; where it is kept is the journal's concern.

//go:build !windows

package main

import (
	"encoding/json"
	"fmt"
	"slices"
	"sort"
	"time"
)

// savedRecord is one record of the journal: exactly one of its fields is there.
type savedRecord struct {
	Unit   *savedUnit   `json:"unit,omitempty"`
	Server *savedServer `json:"server,omitempty"`
	Start  *savedStart  `json:"start,omitempty"`
	Proxy  *savedProxy  `json:"proxy,omitempty"`
}

// savedUnit is one unit. Times are CLOCK_MONOTONIC nanoseconds, 0 for none; states and reasons have their names, so that a later version may order them anew.
type savedUnit struct {
	Name         string         `json:"name"`
	State        state          `json:"state"`
	Up           bool           `json:"up,omitempty"`
	Leave        string         `json:"leave,omitempty"`
	Again        bool           `json:"again,omitempty"`
	Forced       bool           `json:"forced,omitempty"`
	ByItself     bool           `json:"by_itself,omitempty"`
	KilledFor    string         `json:"killed_for,omitempty"`
	Undoing      bool           `json:"undoing,omitempty"`
	Prevented    bool           `json:"prevented,omitempty"`
	Skipped      string         `json:"skipped,omitempty"`
	Cause        *failureReason `json:"cause,omitempty"`
	Reason       *failureReason `json:"reason,omitempty"`
	Gen          uint64         `json:"gen,omitempty"`
	PID          int            `json:"pid,omitempty"`
	Forks        bool           `json:"forks,omitempty"` // its pid_file has not named the main process yet
	Ticks        uint64         `json:"ticks,omitempty"`
	Invocation   string         `json:"invocation,omitempty"`
	Started      int64          `json:"started,omitempty"`
	RunningAt    int64          `json:"running_at,omitempty"`
	LastStart    int64          `json:"last_start,omitempty"`
	LastStop     int64          `json:"last_stop,omitempty"`
	ExitCode     *int           `json:"exit_code,omitempty"`
	Tries        int            `json:"tries,omitempty"`
	RestartCount int            `json:"restart_count,omitempty"`
	Pending      bool           `json:"pending,omitempty"`
	RestartDue   int64          `json:"restart_due,omitempty"`
	StartDue     int64          `json:"start_due,omitempty"`
	StopDue      int64          `json:"stop_due,omitempty"`
	HealthOK     bool           `json:"health_ok,omitempty"`
	HealthError  string         `json:"health_error,omitempty"`
	Checks       int            `json:"checks,omitempty"`
	Failures     int            `json:"failures,omitempty"`
	Said         *savedSaid     `json:"said,omitempty"`
	BootBlocked  int64          `json:"boot_blocked,omitempty"`
	BootStarting int64          `json:"boot_starting,omitempty"`
	BootReady    int64          `json:"boot_ready,omitempty"`

	Exit   uint64 `json:"exit,omitempty"`   // the keeper's record of its last end
	Staged int    `json:"staged,omitempty"` // the process that is about to execute the program; its start time is Ticks
	Config int    `json:"config"`           // the blocks of its configuration …
	Next   int    `json:"next,omitempty"`   // … and of the changed one
}

// savedConfig is the configuration of one unit, as text of a service file.
type savedConfig struct {
	Name    string `json:"name"`
	Path    string `json:"path,omitempty"`
	System  bool   `json:"system,omitempty"`
	Persist bool   `json:"persist,omitempty"`
	Text    string `json:"text"`
}

// savedServer is the saved state that belongs to no single unit.
type savedServer struct {
	Boot    string    `json:"boot"` // boot id: the state is void on another one
	Loaded  bool      `json:"loaded,omitempty"`
	Gen     uint64    `json:"gen"`
	Seq     uint64    `json:"seq"`
	Started int64     `json:"started"`
	Closing powerKind `json:"closing,omitempty"`
	Code    int       `json:"code,omitempty"`
	Began   int64     `json:"began,omitempty"`
	Limit   int64     `json:"limit,omitempty"` // its time, ms; 0: that of the options
	Asked   bool      `json:"asked,omitempty"`
	Killed  bool      `json:"killed,omitempty"`
}

// savedStart is the start that is about to be forked, or was last. It is open as long as the unit's record has that generation and no pid: then the
// process may be there, and no other start can be in doubt.
type savedStart struct {
	Name string `json:"name"`
	Gen  uint64 `json:"gen"`
	At   int64  `json:"at"`   // CLOCK_MONOTONIC, ns
	Exit uint64 `json:"exit"` // the newest exit record of the keeper by then
}

// saver writes what changes into the journal. It belongs to the owner. Without a journal it does nothing.
type saver struct {
	journal       *journal
	places        map[string]*savedPlace
	proxies       map[string]proxyPlace
	server, start int // their blocks
	said          savedServer
	late          []*unit // could not be saved yet
	complained    bool
}

// savedPlace is where a unit is saved, and what of its configurations has been.
type savedPlace struct {
	u            *unit
	at           int
	cfg, next    *config
	cfgAt, nxtAt int
	exit         uint64 // the keeper's record of its last end
}

// seqGap is how far the numbers of log lines jump when a server died: more than can have come since the last save.
const seqGap = 1 << 21

// monoClock turns times into CLOCK_MONOTONIC nanoseconds and back.
type monoClock struct {
	now  time.Time
	mono int64
}

func clockNow() monoClock { return monoClock{time.Now(), sysMono()} }

func (c monoClock) save(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return max(1, c.mono-int64(c.now.Sub(t)))
}

func (c monoClock) load(n int64) time.Time {
	if n == 0 {
		return time.Time{}
	}
	return c.now.Add(time.Duration(n - c.mono))
}

// leaveNames are what the state calls the reasons to stop.
var leaveNames = [...]string{staying: "", leaveCascade: "cascade", leaveBound: "bound", leaveStop: "stop", leaveRestart: "restart", leaveDelete: "delete", leaveShutdown: "shutdown"}

func (u *unit) saved(c monoClock, ticks uint64) *savedUnit {
	s := &savedUnit{Name: u.name, State: u.state, Up: u.up, Leave: leaveNames[u.leave], Again: u.restartAfterStop, Forced: u.forced, ByItself: u.byItself, KilledFor: u.killedFor, Undoing: u.undoing, Prevented: u.prevented, Skipped: u.skipped,
		Cause: u.cause, Reason: u.reason, Gen: u.gen, Invocation: u.invocation, ExitCode: u.exitCode, Tries: u.tries,
		RestartCount: u.restartCount, Pending: u.pending, HealthOK: u.health.ok, HealthError: u.health.lastError,
		Checks: u.health.checks, Failures: u.health.failures,
		Started: c.save(u.started), RunningAt: c.save(u.runningAt), LastStart: c.save(u.lastStart), LastStop: c.save(u.lastStop),
		StartDue: c.save(u.startDue), StopDue: c.save(u.stopDue), Said: u.savedSaid(c),
		BootBlocked: c.save(u.bootBlocked), BootStarting: c.save(u.bootStarting), BootReady: c.save(u.bootReady)}
	if u.spawned {
		s.PID, s.Ticks, s.Forks = u.pid, ticks, u.forks
	}
	if u.pending {
		s.RestartDue = c.save(u.restartDue)
	}
	return s
}

// place is where a unit is saved; a unit that had the name before is no more.
func (v *saver) place(u *unit) *savedPlace {
	p := v.places[u.name]
	if p != nil && p.u != u {
		v.remove(p)
		p = nil
	}
	if p == nil {
		p = &savedPlace{u: u}
		v.places[u.name] = p
	}
	return p
}

func (v *saver) remove(p *savedPlace) {
	for _, at := range []int{p.at, p.cfgAt, p.nxtAt} {
		v.journal.release(at)
	}
	delete(v.places, p.u.name)
}

// put writes a record.
func (v *saver) put(at int, r savedRecord) (int, error) {
	text, err := json.Marshal(r)
	if err != nil {
		return at, err
	}
	return v.journal.put(at, unitBlock, text)
}

// putConfig writes the text of a configuration, or forgets it where there is none any more. A text is never overwritten: the record of the unit goes on naming the old
// one until it names the new one.
func (v *saver) putConfig(c *config) (int, error) {
	if c == nil {
		return 0, nil
	}
	text := c.source
	if text == "" {
		text = string(c.toml())
	}
	record, err := json.Marshal(savedConfig{Name: c.Service.Name, Path: c.path, System: c.system, Persist: c.persist, Text: text})
	if err != nil {
		return 0, err
	}
	return v.journal.put(0, textBlock, record)
}

// unit saves one unit.
func (v *saver) unit(u *unit, c monoClock, ticks uint64, staged procID) error {
	p := v.place(u)
	cfgAt, nxtAt, err := p.cfgAt, p.nxtAt, error(nil)
	if p.cfg != u.cfg {
		if u.cfg == p.next {
			cfgAt = p.nxtAt // the changed one counts now
		} else if cfgAt, err = v.putConfig(u.cfg); err != nil {
			return err
		}
	}
	if p.next != u.next {
		if nxtAt, err = v.putConfig(u.next); err != nil {
			return err
		}
	}
	r := u.saved(c, ticks)
	r.Exit, r.Config, r.Next = p.exit, cfgAt, nxtAt
	if staged.pid != 0 {
		r.Staged, r.Ticks = staged.pid, staged.start
	}
	if p.at, err = v.put(p.at, savedRecord{Unit: r}); err != nil {
		return err
	}
	for _, old := range []int{p.cfgAt, p.nxtAt} {
		if old != cfgAt && old != nxtAt {
			v.journal.release(old)
		}
	}
	p.cfg, p.next, p.cfgAt, p.nxtAt = u.cfg, u.next, cfgAt, nxtAt
	return nil
}

// save writes what the last steps changed, before their effects: a process never exists without a record that it was to be. What could not be written is tried
// again with the next turn, and its exits are not acknowledged until then.
func (s *supervisor) save(changed []*unit) {
	v := &s.saver
	if v.journal == nil {
		return
	}
	todo := append(v.late, changed...)
	v.late = nil
	c := clockNow()
	err := guarded(func() error { return s.saveServer(c) })
	for _, u := range todo {
		if s.g.units[u.name] != u {
			if p := v.places[u.name]; p != nil && p.u == u {
				v.remove(p)
			}
			continue
		}
		if e := guarded(func() error { return v.unit(u, c, s.ticksOf(u), s.stagedOf(u)) }); e != nil {
			err = e
			if !slices.Contains(v.late, u) {
				v.late = append(v.late, u)
			}
		}
	}
	if err != nil && !v.complained {
		logf(logError, "cannot save the state: %v; if this server dies now, services may be started anew", err)
	}
	v.complained = err != nil
}

// saveServer saves what is not of one unit, when it has changed. The numbers of generations and lines need to be near only.
func (s *supervisor) saveServer(c monoClock) (err error) {
	r := savedServer{Boot: s.bootID, Loaded: s.loaded, Gen: s.g.gen, Seq: s.logs.lastSeq(), Started: c.save(s.begun)}
	if cl := s.g.closing; cl != nil {
		r.Closing, r.Code, r.Began, r.Limit, r.Asked, r.Killed = cl.kind, cl.code, c.save(cl.began), s.g.limit.Milliseconds(), cl.asked, cl.killed
	}
	about := r
	about.Gen, about.Seq, about.Started, about.Began = r.Gen>>6, r.Seq>>seqMark, 0, 0
	if about == s.saver.said && s.saver.server != 0 {
		return nil
	}
	if s.saver.server, err = s.saver.put(s.saver.server, savedRecord{Server: &r}); err == nil {
		s.saver.said = about
	}
	return err
}

// saveStart says that a start is about to be forked.
func (s *supervisor) saveStart(name string, gen uint64) {
	if s.saver.journal == nil {
		return
	}
	_ = guarded(func() (err error) {
		s.saver.start, err = s.saver.put(s.saver.start, savedRecord{Start: &savedStart{Name: name, Gen: gen, At: sysMono(), Exit: s.acks.last}})
		return err
	})
}

// unsaved says whether the present record of a unit could not be written.
func (v *saver) unsaved(name string) bool {
	return slices.ContainsFunc(v.late, func(u *unit) bool { return u.name == name })
}

// ticksOf is the start time of a unit's process, asked for once.
func (s *supervisor) ticksOf(u *unit) uint64 {
	if !u.spawned {
		return 0
	}
	l := s.lives[u.gen]
	if l == nil || l.proc == nil {
		return 0
	}
	return l.proc.ticks(u.pid)
}

// stagedOf is the process of a unit in its stage, if it is there.
func (s *supervisor) stagedOf(u *unit) procID {
	l := s.lives[u.gen]
	if u.spawned || l == nil || l.stage == nil {
		return procID{}
	}
	pid := l.proc.mainPID()
	return procID{pid, l.proc.ticks(pid)}
}

// savedState is a journal that was read.
type savedState struct {
	server savedServer
	start  savedStart
	units  map[string]savedUnit
	cfg    map[string]*config
	next   map[string]*config

	proxies map[string]proxyPlace

	at                map[string]int // blocks of units
	serverAt, startAt int
}

// readState understands a journal. It is nil where nothing was ever saved.
func readState(j *journal) (*savedState, error) {
	st := &savedState{units: map[string]savedUnit{}, cfg: map[string]*config{}, next: map[string]*config{}, proxies: map[string]proxyPlace{}, at: map[string]int{}}
	newest := map[string]uint64{}
	for _, c := range j.records() {
		var r savedRecord
		if err := json.Unmarshal(c.payload, &r); err != nil {
			return nil, fmt.Errorf("%w: %v", errDamaged, err)
		}
		switch {
		case r.Server != nil:
			st.server, st.serverAt = *r.Server, c.at
		case r.Start != nil:
			st.start, st.startAt = *r.Start, c.at
		case r.Proxy != nil:
			st.proxies[r.Proxy.Name] = proxyPlace{at: c.at, cfgAt: r.Proxy.Config}
		case r.Unit != nil && c.seq > newest[r.Unit.Name]:
			newest[r.Unit.Name] = c.seq
			st.units[r.Unit.Name], st.at[r.Unit.Name] = *r.Unit, c.at
		}
	}
	if st.serverAt == 0 {
		if len(st.units)+len(st.proxies) > 0 {
			return nil, errDamaged
		}
		return nil, nil
	}
	if err := st.readProxies(j); err != nil {
		return nil, err
	}
	for n, u := range st.units {
		var err error
		if st.cfg[n], err = loadConfig(j, u.Config); err != nil {
			return nil, fmt.Errorf("the saved configuration of %s: %w", n, err)
		}
		if u.Next != 0 {
			if st.next[n], err = loadConfig(j, u.Next); err != nil {
				return nil, fmt.Errorf("the saved change of %s: %w", n, err)
			}
		}
		if err := u.known(); err != nil {
			return nil, err
		}
	}
	return st, nil
}

// known says whether this version knows the words of a saved unit.
func (u *savedUnit) known() error {
	if _, ok := leaveNamed(u.Leave); !ok {
		return fmt.Errorf("%w: %s is stopped for %q", errDamaged, u.Name, u.Leave)
	}
	return nil
}

func leaveNamed(name string) (leave, bool) {
	for l, n := range leaveNames {
		if n == name {
			return leave(l), true
		}
	}
	return staying, false
}

// loadConfig reads a configuration that was saved.
func loadConfig(j *journal, at int) (*config, error) {
	text, err := j.text(at)
	if err != nil {
		return nil, err
	}
	var sc savedConfig
	if err := json.Unmarshal(text, &sc); err != nil {
		return nil, err
	}
	c, errs, _ := parseTOML([]byte(sc.Text), sc.Path, sc.Name)
	if c == nil {
		return nil, fmt.Errorf("%v", errs)
	}
	c.path, c.system, c.persist = sc.Path, sc.System, sc.Persist
	if c.system {
		c.Service.Class = classSystem
	}
	return c, nil
}

// keep goes on with the journal that a state was read from: what it does not use is free.
func (v *saver) keep(st *savedState, g *graph) {
	used := map[int]bool{st.serverAt: true, st.startAt: true}
	v.server, v.start = st.serverAt, st.startAt
	for n, u := range g.units {
		s, at := st.units[n], st.at[n]
		v.places[n] = &savedPlace{u: u, at: at, cfg: u.cfg, next: u.next, cfgAt: s.Config, nxtAt: s.Next, exit: s.Exit}
		used[at], used[s.Config], used[s.Next] = true, true, true
	}
	for _, p := range st.proxies {
		used[p.at], used[p.cfgAt] = true, true
	}
	v.journal.sweep(used)
}

// restore puts saved units back as they were, links and counts included, and returns those that have, or may have, a process.
func (g *graph) restore(st *savedState, c monoClock) []*unit {
	g.now, g.out = c.now, nil
	g.gen = st.server.Gen
	if st.server.Closing != "" {
		g.closing = &closing{kind: st.server.Closing, code: st.server.Code, began: c.load(st.server.Began), asked: st.server.Asked, killed: st.server.Killed}
		if ms := st.server.Limit; ms > 0 {
			g.limit = millis(ms)
		}
	}
	var live []*unit
	for n := range st.units {
		u := g.add(st.cfg[n])
		if next := st.next[n]; next != nil {
			g.setNext(u, next)
		}
		g.restoring = true
		g.enter(u, st.units[n].State)
		g.restoring = false
		u.restoreFrom(st.units[n], c)
		g.gen = max(g.gen, u.gen)
		if u.state.live() && u.cfg.Kind != unitTarget {
			live = append(live, u)
		}
	}
	sort.Slice(live, func(i, j int) bool { return live[i].gen < live[j].gen })
	for _, n := range g.names() {
		g.publish(g.units[n])
	}
	g.booted = len(g.units) > 0
	return live
}

func (u *unit) restoreFrom(s savedUnit, c monoClock) {
	u.leave, _ = leaveNamed(s.Leave)
	u.up, u.restartAfterStop, u.forced, u.byItself, u.skipped = s.Up, s.Again, s.Forced, s.ByItself, s.Skipped
	u.killedFor, u.undoing, u.prevented = s.KilledFor, s.Undoing, s.Prevented
	u.cause, u.reason, u.gen, u.invocation, u.exitCode = s.Cause, s.Reason, s.Gen, s.Invocation, s.ExitCode
	u.pid, u.spawned = s.PID, s.PID != 0
	u.started, u.runningAt, u.lastStart, u.lastStop = c.load(s.Started), c.load(s.RunningAt), c.load(s.LastStart), c.load(s.LastStop)
	u.forks = s.Forks
	u.tries, u.restartCount, u.pending, u.restartDue = s.Tries, s.RestartCount, s.Pending, c.load(s.RestartDue)
	u.startDue, u.stopDue = c.load(s.StartDue), c.load(s.StopDue)
	u.restoreSaid(s.Said, c)
	u.health.ok, u.health.lastError, u.health.checks, u.health.failures = s.HealthOK, s.HealthError, s.Checks, s.Failures
	u.bootBlocked, u.bootStarting, u.bootReady = c.load(s.BootBlocked), c.load(s.BootStarting), c.load(s.BootReady)
	u.boots = s.BootBlocked != 0 || s.BootStarting != 0
	if h := u.cfg.Health; u.spawned && h.asked() && (u.state == starting || u.state == running && h.Interval > 0) {
		u.probeDue = c.now
	}
}
