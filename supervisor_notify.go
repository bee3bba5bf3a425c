// supervisor_notify.go gives services the means to say that they are ready, decides who may say what, and turns it into events of the graph.

//go:build !windows

package main

import (
	"errors"
	"fmt"
	"os"
	"path"
	"strconv"
	"strings"
	"time"
)

// notifyKey names the socket or pipe over which one start speaks in the keeper's store.
func notifyKey(name string, gen uint64) string { return fmt.Sprintf("notify %s %d", name, gen) }

// saveTime bounds the wait of a reader until what it has read is saved.
const saveTime = time.Second

// messageTime is how long after the end of its main process the messages that a service had sent may take to be read.
const messageTime = time.Second

// notifyDirName is where the directory of the sockets would be; "": nowhere.
func (s *supervisor) notifyDirName() string {
	if s.opts.socket == "" || strings.HasPrefix(s.opts.socket, "@") {
		return ""
	}
	return s.opts.socket + ".notify"
}

// notifyDir makes the directory of the sockets if need be, and returns it; "" if it cannot be made.
func (s *supervisor) notifyDir() string {
	dir := s.notifyDirName()
	if dir == "" || os.Mkdir(dir, 0o711) != nil && !sysOwnedDir(dir) {
		return ""
	}
	_ = os.Chmod(dir, 0o711) // whatever our umask is: services of other users pass through
	return dir
}

// notifyPath is where a start finds its socket: a file if possible, else, and for who has another root directory, an abstract name (unix(7)). The
// invocation in it is random, so that nobody else can have taken it.
func (s *supervisor) notifyPath(c *config, invocation string) string {
	const longest = 107 // of sun_path, and its NUL
	dir := s.notifyDir()
	file := path.Join(dir, invocation)
	if dir == "" || len(file) > longest || c.Limits != nil && c.Limits.Chroot != nil {
		return "@zinit/" + invocation
	}
	return file
}

// equip gives a start what its readiness needs: entries in its environment, or a descriptor for the child.
func (s *supervisor) equip(st *start) (err error) {
	h := st.cfg.Health
	if !h.tells() {
		return nil
	}
	sp := &speaker{name: st.name, invocation: st.invocation, gen: st.gen, uid: st.sp.UID, fd: -1}
	if sp.uid < 0 {
		sp.uid = os.Geteuid()
	}
	switch h.Type {
	case healthLog:
		text, err := st.cfg.Service.expanded("target", h.Target, st.sp.Env)
		if err == nil {
			st.pipes.await(s.lineAwaited(st.name, st.gen, text))
		}
		return err
	case healthFD:
		sp.pipe = true
		var child int
		if sp.fd, child, err = s.logs.newPipe(fifoName(st.name, st.gen, readyStream), st.sp.UID, st.sp.GID); err == nil {
			st.sp.giveAt(h.descriptor(), child)
		}
	case healthNotify:
		sp.path = s.notifyPath(st.cfg, st.invocation)
		sp.fd, err = sysListenNotify(sp.path)
		st.sp.Env = setEnv(st.sp.Env, "NOTIFY_SOCKET="+sp.path)
		if h.Interval > 0 {
			st.sp.Env = setEnv(st.sp.Env, "WATCHDOG_USEC="+strconv.FormatInt(h.Interval.Microseconds(), 10))
			if st.sp.stage == nil { // only the process itself knows its pid
				st.sp.stage = &stageStart{}
			}
			st.sp.stage.order.SetPID = append(st.sp.stage.order.SetPID, "WATCHDOG_PID")
		}
	}
	if err == nil {
		s.ear.add(sp)
		if err = s.ear.listen(sp); err != nil {
			s.ear.forget(sp)
		}
	}
	if err != nil {
		closeAll(present(st.sp.Extra))
		st.sp.Extra = nil
		return fmt.Errorf("cannot hear when it is ready (type = %q): %w", h.Type, err)
	}
	if s.keeper != nil {
		s.keeper.send(packet{op: opStore, text: notifyKey(st.name, st.gen), fds: []int{sp.fd}})
	}
	return nil
}

// readyStream names the pipe of s6's protocol among those of a start.
const readyStream logStream = "ready"

// stillAwaited is the wait for a line of a service that an earlier server has started; nil: it waits for none.
func (s *supervisor) stillAwaited(u *unit) *logAwait {
	if u == nil || u.state != starting || u.cfg.Health == nil || u.cfg.Health.Type != healthLog {
		return nil
	}
	text, err := expandedFor(u.cfg, "target", u.cfg.Health.Target)
	if err != nil {
		return nil
	}
	return s.lineAwaited(u.name, u.gen, text)
}

// lineAwaited is the wait for a line of a start that says that it is ready.
func (s *supervisor) lineAwaited(name string, gen uint64, text string) *logAwait {
	return &logAwait{text: []byte(text), found: func() {
		s.speaker(gen)
		s.told([]event{{kind: eventReady, name: name, gen: gen}}, saveTime)
	}}
}

// told hands events to the owner and waits until they are saved, at most limit (0: for ever).
func (s *supervisor) told(list []event, limit time.Duration) {
	saved := make(chan struct{})
	s.inbox.put(note{said: list, saved: saved})
	if limit == 0 {
		<-saved
		return
	}
	waitFor(saved, limit)
}

// heardOf takes what services have said, and returns when it is saved.
func (s *supervisor) heardOf(list []spoken) {
	var events []event
	for i := range list {
		events = append(events, s.eventsOf(&list[i])...)
	}
	if len(events) > 0 {
		s.told(events, 0)
	}
	for i := range list {
		if m := &list[i]; m.by.pipe && (m.ended || m.newline()) {
			s.ear.forget(m.by)
		}
	}
}

// eventsOf are the events of one message.
func (s *supervisor) eventsOf(m *spoken) []event {
	name, gen := m.by.name, m.by.gen
	s.speaker(gen)
	switch {
	case m.by.pipe && m.newline():
		return []event{{kind: eventReady, name: name, gen: gen}}
	case m.by.pipe && m.ended:
		return []event{{kind: eventSick, name: name, gen: gen, text: "closed before it was ready"}}
	case m.by.pipe:
		return nil
	case m.long:
		s.complainOf(m, "a message of sd_notify is longer than %d bytes and is not read", notifyLimit)
		return nil
	case !s.maySpeak(m):
		s.complainOf(m, "a message of sd_notify came from process %d of uid %d, which is not of this service; it is not read", m.pid, m.uid)
		return nil
	}
	n := parseNotice(m.text)
	var list []event
	add := func(is bool, ev event) {
		if is {
			ev.name, ev.gen = name, gen
			list = append(list, ev)
		}
	}
	add(n.mainPID != 0 && s.follows(m.by, n.mainPID), event{kind: eventMainPID, pid: n.mainPID})
	if n.status != nil {
		add(true, event{kind: eventSays, text: *n.status})
	}
	add(n.errno != 0, event{kind: eventErrno, sig: n.errno})
	add(n.watchdog != 0, event{kind: eventWatchdog, timeout: n.watchdog})
	add(n.extend != 0, event{kind: eventExtend, timeout: n.extend})
	add(n.reloading, event{kind: eventReloading})
	add(n.ready, event{kind: eventReady})
	add(n.alive, event{kind: eventAlive})
	add(n.stopping, event{kind: eventQuitting})
	add(n.trigger, event{kind: eventSick, text: "it has triggered its watchdog"})
	if n.store || m.fds > 0 && !n.barrier {
		s.complainOf(m, "descriptors are not kept for services (FDSTORE=1); they are closed")
	}
	return list
}

// complainOf says once for each start what is wrong with its messages.
func (s *supervisor) complainOf(m *spoken, format string, args ...any) {
	if m.by.first(format) {
		logf(logWarn, m.by.name+": "+format, args...)
	}
}

// maySpeak says whether a message counts: its sender is of the service, or has ended already, as systemd-notify(1) does, and was of its user or root.
func (s *supervisor) maySpeak(m *spoken) bool {
	if m.pid > 0 {
		if owner := s.procs.owner(m.pid); owner != "" {
			return owner == m.by.name
		}
		if st, err := readStat(m.pid); err == nil && !st.dead() {
			return false
		}
	}
	return m.uid == 0 || m.uid == m.by.uid
}

// follows makes the process that a service names its main process, and says whether that succeeded. A refusal is logged once for each start.
func (s *supervisor) follows(by *speaker, pid int) bool {
	l := s.speaker(by.gen)
	if l == nil {
		return false
	}
	err := errors.New("it is no process of this service")
	if s.procs.owner(pid) == by.name {
		err = l.proc.become(pid)
	}
	if err != nil && by.first("MAINPID") {
		logf(logWarn, "%s: process %d cannot become its main process (MAINPID=): %v", by.name, pid, err)
	}
	return err == nil
}

// listenTo has what a service says belong to its process.
func (s *supervisor) listenTo(l *life) {
	if l.cfg.Health.tells() {
		s.speaking.Store(l.gen, l)
	}
}

// speaker is the life of a service that has said something; nil: it is over. What comes out of a stage waits until the graph has been told that the program runs.
func (s *supervisor) speaker(gen uint64) *life {
	v, _ := s.speaking.Load(gen)
	l, _ := v.(*life)
	if l != nil && l.staged != nil {
		waitFor(l.staged, saveTime)
	}
	return l
}

// mayBeFollowed says whether a service whose main process has ended may get another one: it has sent a message that is not read yet, or its pid_file is awaited.
func (s *supervisor) mayBeFollowed(p *process) bool {
	if s.wentIntoBackground(p) {
		return true
	}
	by := s.ear.of(p.invocation)
	if by == nil || by.pipe || !by.unread() {
		return false
	}
	background("last words", func() {
		for end := time.Now().Add(messageTime); by.unread() && time.Now().Before(end); {
			time.Sleep(time.Millisecond)
		}
		p.conclude()
	})
	return true
}

// silence ends what one start may say; nothing where it never could.
func (s *supervisor) silence(name string, gen uint64) {
	s.speaking.Delete(gen)
	by := s.ear.has(gen)
	if by == nil {
		return
	}
	if s.keeper != nil {
		s.keeper.send(packet{op: opDrop, text: notifyKey(name, gen)})
	}
	background("end of a socket", func() { // its descriptor is in the table of the process, not in the owner's
		s.ear.forget(by)
		if by.pipe && s.logs.fifos != "" {
			sysRemoveAt(s.logs.fifoAt, fifoName(name, gen, readyStream))
		}
		if by.path != "" && by.path[0] != '@' {
			_ = os.Remove(by.path)
		}
	})
}

// adoptSpeakers takes over the sockets and pipes of readiness of an earlier server; where they could not be handed over, those of standalone servers are made again
// under their old names. They are listened to once the owner's services are adopted.
func (s *supervisor) adoptSpeakers(st *savedState, store map[string][]int, live []*unit) {
	for _, u := range live {
		h := u.cfg.Health
		if !h.tells() || h.Type == healthLog {
			continue
		}
		key := notifyKey(u.name, u.gen)
		fds := store[key]
		delete(store, key)
		by := &speaker{name: u.name, invocation: u.invocation, gen: u.gen, uid: os.Geteuid(), pipe: h.Type == healthFD, fd: -1}
		if uid, _, _, _, err := lookupUser(u.cfg.Service.User, u.cfg.Service.Group); err == nil && uid >= 0 {
			by.uid = uid
		}
		if !by.pipe {
			by.path = s.notifyPath(u.cfg, u.invocation)
		}
		var err error
		switch {
		case len(fds) == 1:
			by.fd = fds[0]
		case s.keeper != nil || !u.spawned && (u.name != st.start.Name || u.gen != st.start.Gen) && st.units[u.name].Staged == 0 || by.pipe && u.state != starting:
			closeAll(fds)
			continue
		case by.pipe:
			by.fd, err = sysOpenFifo(s.logs.fifoAt, fifoName(u.name, u.gen, readyStream))
		default:
			by.fd, err = sysListenNotify(by.path)
		}
		if err != nil {
			logf(logWarn, "%s: cannot hear any more what it says of itself: %v", u.name, err)
			continue
		}
		s.ear.add(by)
	}
	for key, fds := range store {
		if strings.HasPrefix(key, "notify ") {
			closeAll(fds)
			delete(store, key)
			if s.keeper != nil {
				s.keeper.send(packet{op: opDrop, text: key})
			}
		}
	}
}

// hearAdopted begins to listen to the services that were adopted.
func (s *supervisor) hearAdopted() {
	for _, by := range s.ear.all() {
		if err := s.ear.listen(by); err != nil {
			logf(logWarn, "%s: cannot hear any more what it says of itself: %v", by.name, err)
		}
	}
}

// speakersVar names the descriptors over which services speak, and their keys, one a line, for the next image of this process.
const speakersVar = "ZINIT_SPEAKERS"

// speakersForNext gives copies of them, and what tells the next image of this process of them. What does not fit into an entry of the environment (execve(2)) is made
// again there.
func (s *supervisor) speakersForNext() (env string, fds []int) {
	const most = 100 << 10
	env = speakersVar + "="
	for _, by := range s.ear.all() {
		if fd, err := by.copy(); err == nil && len(env) < most {
			env += fmt.Sprintf("%d %s\n", fd, notifyKey(by.name, by.gen))
			fds = append(fds, fd)
		}
	}
	return env, fds
}

// readTime is how long a limit lasts at least after an adoption, so that what the service said while no server lived is read before.
const readTime = 2 * time.Second

// savedSaid is what the state keeps of what a service has said, and of the deadlines of that.
type savedSaid struct {
	ReadyDue  int64  `json:"ready_due,omitempty"`
	AliveDue  int64  `json:"alive_due,omitempty"`
	QuitDue   int64  `json:"quit_due,omitempty"`
	Text      string `json:"text,omitempty"`
	Errno     int    `json:"errno,omitempty"`
	Reloading bool   `json:"reloading,omitempty"`
	Quitting  bool   `json:"quitting,omitempty"`
	Watchdog  int64  `json:"watchdog,omitempty"` // ns
}

// savedSaid is nil where there is nothing to keep.
func (u *unit) savedSaid(c monoClock) *savedSaid {
	s := savedSaid{c.save(u.readyDue), c.save(u.aliveDue), c.save(u.quitDue), u.said.text, u.said.errno, u.said.reloading, u.said.quitting, int64(u.said.watchdog)}
	if s == (savedSaid{}) {
		return nil
	}
	return &s
}

func (u *unit) restoreSaid(s *savedSaid, c monoClock) {
	if s != nil {
		u.readyDue, u.aliveDue, u.quitDue = c.load(s.ReadyDue), c.load(s.AliveDue), c.load(s.QuitDue)
		u.said = unitSaid{s.Text, s.Errno, s.Reloading, s.Quitting, time.Duration(s.Watchdog)}
	}
	u.extendUnheard(c.now)
}

// extendUnheard moves the limits of a service that reports its own state to readTime from now, where they are earlier.
func (u *unit) extendUnheard(now time.Time) {
	if !u.cfg.Health.tells() {
		return
	}
	for _, due := range []*time.Time{&u.startDue, &u.aliveDue, &u.stopDue, &u.quitDue} {
		if !due.IsZero() && due.Before(now.Add(readTime)) {
			*due = now.Add(readTime)
		}
	}
}
