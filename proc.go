// proc.go starts, signals, reaps, measures and adopts processes; it knows no graph, no states and no restart policy.

package main

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

const (
	// leftoverPace is how often what is left of an ended service is looked at again. Nothing ticks while nothing is left.
	leftoverPace = 50 * time.Millisecond
	// adoptedPace is how often an adopted process is looked at whose end nobody tells.
	adoptedPace = 250 * time.Millisecond
	// leftoverLimit is how long a process may survive SIGKILL (uninterruptible sleep) before it is given up.
	leftoverLimit = 5 * time.Second
	// slowRead bounds every look at memory of a foreign process: environ and cmdline block on its mmap lock.
	slowRead = time.Second
	// strayReaders is how many processes are asked for their environment at once: few threads, and little delay by those that do not answer.
	strayReaders = 8
	// reapBatch is how many exits are taken in one hold of the lock, so that a storm of exits leaves room for starts and signals.
	reapBatch = 64
)

var (
	errGone         = errors.New("it has no process")
	errNotSupported = errors.New("not supported on this system")
)

// exit says how a main process ended. Known is false when nobody could learn it (an adopted process, or one that survived SIGKILL).
type exit struct {
	Known  bool
	Code   int
	Signal int // 0: it ended by itself, with Code
	Core   bool
	Left   int // processes that survive even SIGKILL
}

// String is the sentence for people: "exit code 1", "killed by SIGKILL".
func (e exit) String() string {
	switch {
	case !e.Known:
		return "exit status unknown"
	case e.Signal == 0:
		return "exit code " + strconv.Itoa(e.Code)
	case e.Core:
		return "killed by " + signalName(e.Signal) + " (core dumped)"
	}
	return "killed by " + signalName(e.Signal)
}

// decodeStatus reads a wait status as wait(2) of Linux and of the BSDs encodes it: low 7 bits the signal, bit 7 the core flag, then the code.
func decodeStatus(status uint32) exit {
	return exit{Known: true, Code: int(status >> 8 & 0xff), Signal: int(status & 0x7f), Core: status&0x80 != 0}
}

// kin is a process that we know to descend from a service; the start time tells it from a later one with the same pid.
type kin struct {
	pid   int
	start uint64
}

// process is one started or adopted main process and what is left of it. It leads its own session and process group.
type process struct {
	t          *procs
	name       string // for whoever reads a dump
	invocation string
	pid        int
	started    time.Time
	adopted    bool // taken over from an earlier server: its orphans may be children of somebody else
	gone       func(exit)

	// guarded by t.mu
	pidfd    int    // -1: none: the pid is safe where only we reap it, else it goes with the start time
	start    uint64 // start time in ticks; 0 = not asked for yet
	ended    bool   // reaped, or seen to be gone
	stopping bool   // stop was called: the group may take its time
	killed   bool   // whatever is left gets SIGKILL
	killedAt time.Time
	queued   bool // the sweeper has it
	told     bool // gone was called
	result   exit

	kinMu sync.Mutex
	kin   []kin
}

// procs is the table of the processes that we started or adopted, with the only reaper.
//
// A pid is signalled only under mu and only while it is in live: there it has not been reaped, so that the kernel cannot have given
// the number away. Exits come in through reaped alone, from our own wait loop or (parent false) from the process that is our parent and theirs.
type procs struct {
	parent bool // we are the parent of what we start, and reap; false: our own parent is, and reports through reaped
	root   int  // whose children services and orphans are
	alone  bool // that parent has died; under mu

	reaping atomic.Bool  // run was called, and we reap
	birth   sync.Mutex   // held from a fork until its child is in live, and while reaping: no exit comes before its process is known
	forking atomic.Int32 // forks under way

	mu      sync.Mutex
	live    map[int]*process
	pending []*process // ended or killed, something may be left

	wake   chan struct{}
	events chan os.Signal
	closed chan struct{}
	watch  *pidWatch // adopted processes that are no children of root
	owned  map[int]*process
	polled []*process // those for which there is no pidfd
	spent  []int      // pidfds to close

	execute func(p *process, sp *spec) error // begin, on the thread that forks; nil: here
	handOff func(pid, pidfd int) bool        // brings a pidfd of that thread to our table; nil: it is there
}

// newProcs makes an empty table and registers for SIGCHLD, but reaps only from run (or the first start) on: in between,
// whoever took over the children of an earlier image can adopt them without losing an exit.
func newProcs() *procs { return newProcsOf(true) }

// newProcsOf with parent false makes a table whose processes are children of our own parent, which reaps them and reports through reaped.
func newProcsOf(parent bool) *procs {
	t := &procs{
		parent: parent, root: os.Getpid(),
		live: map[int]*process{}, owned: map[int]*process{},
		wake: make(chan struct{}, 1), events: make(chan os.Signal, 1), closed: make(chan struct{}),
	}
	if !parent {
		t.root = os.Getppid()
	}
	sysChildDefaults()
	if parent {
		sysReaper(t.events)
	}
	background("reaper", t.loop)
	return t
}

// run begins to reap. It is called by the first start; a process that starts nothing (PID 1 with orphans only) calls it itself.
func (t *procs) run() {
	if t.parent && !t.reaping.Swap(true) {
		t.poke()
	}
}

// close ends the reaper; processes stay as they are. It is for tests and for handing over.
func (t *procs) close() {
	close(t.closed)
	sysReaperEnd(t.events)
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.watch != nil {
		t.watch.close()
	}
	for _, p := range t.live {
		p.closePidfd()
	}
	closeAll(t.spent)
	t.spent = nil
}

// loop reaps when a child has ended, and looks after what is left of those that ended: at once then, else every leftoverPace while there is something.
func (t *procs) loop() {
	timer := time.NewTimer(time.Hour)
	timer.Stop()
	for more := false; ; {
		if !more {
			select {
			case <-t.events:
			case <-t.wake:
			case <-timer.C:
			case <-t.closed:
				return
			}
		}
		more = t.reaping.Load() && t.reapSome()
		t.closeSpent()
		polls := t.poll()
		switch {
		case t.sweep(time.Now()):
			timer.Reset(leftoverPace)
		case polls:
			timer.Reset(adoptedPace)
		}
	}
}

// reapSome takes the exits that there are, up to reapBatch, and says whether there may be more: SIGCHLD is one bit, however many children ended.
func (t *procs) reapSome() (more bool) {
	t.birth.Lock()
	defer t.birth.Unlock()
	t.mu.Lock()
	defer t.mu.Unlock()
	for range reapBatch {
		pid, status := sysWait()
		if pid <= 0 {
			return false
		}
		t.took(pid, status)
	}
	return true
}

// reaped is told that pid was waited for with this status (as wait(2) encodes it). Unknown pids are orphans.
func (t *procs) reaped(pid int, status uint32) {
	t.mu.Lock()
	known := t.took(pid, status)
	t.mu.Unlock()
	if known {
		t.poke()
	}
}

// took files one exit, under mu, and says whether it is of a process in the table.
func (t *procs) took(pid int, status uint32) bool {
	p := t.live[pid]
	if p != nil {
		t.end(p, decodeStatus(status))
	}
	return p != nil
}

// end notes, under mu, that the main process is no more. From here on its number may belong to anybody.
func (t *procs) end(p *process, how exit) {
	delete(t.live, p.pid)
	p.ended, p.result = true, how
	p.closePidfd()
	if !p.stopping && !p.killed {
		p.killed, p.killedAt = true, time.Now()
	}
	t.queue(p)
}

// queue hands p to the sweeper, under mu.
func (t *procs) queue(p *process) {
	if !p.queued && !p.told {
		p.queued = true
		t.pending = append(t.pending, p)
	}
}

func (t *procs) poke() {
	select {
	case t.wake <- struct{}{}:
	default:
	}
}

// process makes the record of a process that is about to be started. gone is called exactly once, from a goroutine of ours that it must not hold up, when the
// main process has ended and nothing is left of it. invocation is the value of ZINIT_INVOCATION_ID by which strays are found; "" = do not look for any.
func (t *procs) process(name, invocation string, gone func(exit)) *process {
	return &process{t: t, name: name, invocation: invocation, gone: gone, pidfd: -1}
}

// start is process and begin, for whoever is not the thread that forks.
func (t *procs) start(sp *spec, name, invocation string, gone func(exit)) (*process, error) {
	p := t.process(name, invocation, gone)
	begin := t.begin
	if t.execute != nil {
		begin = t.execute
	}
	if err := begin(p, sp); err != nil {
		return nil, err
	}
	return p, nil
}

// begin executes sp as the leader of a new session and returns once the kernel has (so a program that cannot be executed is an error
// here, with errno, never an exit code).
func (t *procs) begin(p *process, sp *spec) error {
	t.run()
	t.forking.Add(1)
	defer t.forking.Add(-1)
	t.birth.Lock()
	defer t.birth.Unlock()
	ticks := sysTicks()
	pid, pidfd, err := sysFork(sp, !t.parent)
	if err != nil {
		return explainExec(sp, err)
	}
	if ticks != sysTicks() {
		ticks = 0 // it could be either: ask when needed
	}
	t.mu.Lock()
	p.started, p.pid, p.start = time.Now(), pid, ticks
	t.live[pid] = p
	if pidfd >= 0 && (t.handOff == nil || !t.handOff(pid, pidfd)) {
		p.pidfd = pidfd
	}
	if t.alone {
		t.follow(p)
	}
	t.mu.Unlock()
	return nil
}

// pidfdOf takes the pidfd of a process that the thread that forks has started.
func (t *procs) pidfdOf(pid, fd int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if p := t.live[pid]; p != nil && p.pidfd < 0 {
		p.pidfd = fd
		return
	}
	_ = sysClose(fd)
}

// adopt takes over a process that an earlier server started. startTicks (from ticks) guards against a number that was reused; 0 is not known.
// If it is a child of ours (or of our parent, which reports), its exit comes as always; else its end is all that can be learned:
// gone gets Known = false. That is also what happens when the process is not there any more; what it left behind is still removed.
// Where the kernel refuses a pidfd, or descriptors are short, the pid and its start time must do.
func (t *procs) adopt(pid int, name string, startTicks uint64, invocation string, gone func(exit)) (*process, error) {
	p := t.process(name, invocation, gone)
	p.pid, p.adopted, p.start, p.started = pid, true, startTicks, time.Now()
	if pid <= 1 {
		return nil, fmt.Errorf("pid %d cannot be adopted", pid)
	}
	if fd, err := sysPidfd(pid); err == nil {
		p.pidfd = fd
	}
	st, err := readStat(pid)
	t.mu.Lock()
	defer t.mu.Unlock()
	if !p.there() {
		p.closePidfd()
		t.endUnknown(p)
		return p, nil
	}
	if err == nil {
		p.start, p.started = st.Start, time.Now().Add(-st.Age())
	}
	t.live[pid] = p
	if err != nil || st.PPID != t.root {
		t.follow(p)
	}
	return p, nil
}

// there says whether the process is still the one that was started. Without /proc the number must do, and that it leads a session as services do.
func (p *process) there() bool {
	st, err := readStat(p.pid)
	if err == nil {
		return p.start == 0 || st.Start == p.start
	}
	return !errors.Is(sysKill(p.pid, 0), syscall.ESRCH) && !haveProc() && sysLeads(p.pid)
}

// haveProc says whether there is a /proc of this pid namespace.
func haveProc() bool {
	_, err := readStat(os.Getpid())
	return err == nil
}

// follow has the end of a process noticed that is nobody's child who would tell, under mu: by its pidfd, or else by looking again and again.
func (t *procs) follow(p *process) {
	if p.pidfd < 0 || t.watchPid(p) != nil {
		t.polled = append(t.polled, p)
		t.poke()
	}
}

// poll looks whether those that can only be looked at are still there, and says whether there are such.
func (t *procs) poll() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.polled = slices.DeleteFunc(t.polled, func(p *process) bool {
		if st, err := readStat(p.pid); !p.ended && (!p.there() || err == nil && st.dead()) {
			t.end(p, exit{})
		}
		return p.ended
	})
	return len(t.polled) > 0
}

// adoptReported takes over a process whose exit our parent reports: alive, or ended with a status that is known already.
func (t *procs) adoptReported(pid int, name, invocation string, status *uint32, gone func(exit)) *process {
	p := &process{t: t, name: name, pid: pid, invocation: invocation, gone: gone, pidfd: -1, started: time.Now()}
	if fd, err := sysPidfd(pid); err == nil && status == nil {
		p.pidfd = fd
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if status != nil {
		t.end(p, decodeStatus(*status))
		t.poke()
		return p
	}
	t.live[pid] = p
	return p
}

// has says whether pid is the live main process of a service; helpers are none.
func (t *procs) has(pid int) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.live[pid] != nil && t.live[pid].name != ""
}

// owner names the service that a process belongs to, "" if none: by its pid, session and group, by those of its ancestors, and by the
// invocation id in its environment. Only the last two need /proc. What has just been started may not be in the table yet: it is waited for a little.
func (t *procs) owner(pid int) string {
	for i := 0; ; i++ {
		starting := t.forking.Load() > 0
		if name := t.ownerNow(pid); name != "" || !starting || i == 20 {
			return name
		}
		time.Sleep(time.Millisecond)
	}
}

func (t *procs) ownerNow(pid int) string {
	for p, depth := pid, 0; p > 1 && p != t.root && depth < 64; depth++ {
		if name := t.service(p, sysSession(p), sysGroup(p)); name != "" {
			return name
		}
		st, err := readStat(p)
		if err != nil {
			return ""
		}
		p = st.PPID
	}
	env, _ := foreignMemory(pid, sysEnviron)
	id := envValue(env, "ZINIT_INVOCATION_ID")
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, p := range t.live {
		if id != "" && p.invocation == id {
			return p.name
		}
	}
	return ""
}

// service names the first service whose main process has one of these numbers.
func (t *procs) service(pids ...int) string {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, pid := range pids {
		if p := t.live[pid]; p != nil && p.name != "" {
			return p.name
		}
		for _, p := range t.pending { // its end is being told
			if p.pid == pid && p.name != "" {
				return p.name
			}
		}
	}
	return ""
}

// orphaned is told that our parent, which reaped and reported, has died: from now on an end is seen by the pidfd, and its status by nobody.
func (t *procs) orphaned() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.root, t.alone = os.Getppid(), true
	for pid, p := range t.live {
		p.adopted = true
		if p.pidfd < 0 {
			p.pidfd, _ = sysPidfd(pid)
		}
		t.follow(p)
	}
}

// lost ends an adopted process that was gone before it was adopted and whose exit nobody has.
func (t *procs) lost(p *process) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !p.ended {
		t.endUnknown(p)
	}
}

// watchPid has the end of an adopted process reported by its pidfd, under mu.
func (t *procs) watchPid(p *process) error {
	if t.watch == nil {
		w, err := newPidWatch(func(fd int) {
			t.mu.Lock()
			if p := t.owned[fd]; p != nil && !sysPidfdAlive(fd) {
				t.endUnknown(p)
			}
			t.mu.Unlock()
		})
		if err != nil {
			return err
		}
		t.watch = w
	}
	t.owned[p.pidfd] = p
	return t.watch.add(p.pidfd)
}

// endUnknown files, under mu, an end whose status nobody could learn.
func (t *procs) endUnknown(p *process) {
	t.end(p, exit{})
	t.poke()
}

// closePidfd gives the pidfd up, under mu. The loop closes it: the caller may be the thread that forks, in whose table the number belongs to something else.
func (p *process) closePidfd() {
	if p.pidfd >= 0 {
		delete(p.t.owned, p.pidfd)
		p.t.spent = append(p.t.spent, p.pidfd)
		p.pidfd = -1
		p.t.poke()
	}
}

func (t *procs) closeSpent() {
	t.mu.Lock()
	spent := t.spent
	t.spent = nil
	t.mu.Unlock()
	closeAll(spent)
}

// ticks is the start time of the process as the kernel counts it, for adopt; 0 when it has gone.
func (p *process) ticks() uint64 {
	p.t.mu.Lock()
	defer p.t.mu.Unlock()
	if p.start == 0 && !p.ended {
		if st, err := readStat(p.pid); err == nil {
			p.start = st.Start
		}
	}
	return p.start
}

// stop sends sig to the group, after it has listed who descends from the main process. From here on members of the group have time until
// kill; what left the group is killed when the main process ends.
func (p *process) stop(sig int) { p.t.stop([]*process{p}, []int{sig}) }

// stop stops many, each with its own signal.
func (t *procs) stop(all []*process, sigs []int) {
	t.listKin(all)
	const atOnce = 32 // who reaps has much to do meanwhile
	for len(all) > 0 {
		n := min(atOnce, len(all))
		t.mu.Lock()
		for i, p := range all[:n] {
			p.stopping = true
			_ = p.send(sigs[i])
		}
		t.mu.Unlock()
		all, sigs = all[n:], sigs[n:]
	}
}

// signal sends sig to the group; errGone when there is no process any more.
func (p *process) signal(sig int) error {
	p.t.mu.Lock()
	defer p.t.mu.Unlock()
	return p.send(sig)
}

// kill sends SIGKILL to everything that is left, and goes on doing so until nothing is.
func (p *process) kill() { p.t.kill([]*process{p}) }

func (t *procs) kill(all []*process) {
	t.listKin(all)
	t.mu.Lock()
	for _, p := range all {
		if !p.killed {
			p.killed, p.killedAt = true, time.Now()
		}
		_ = p.send(sigKill)
		t.queue(p)
	}
	t.mu.Unlock()
	t.poke()
}

// send signals the group, under mu, and only while the main process has not been reaped.
func (p *process) send(sig int) error {
	if p.ended || p.adopted && p.pidfd < 0 && !p.there() {
		return errGone
	}
	err := sysKillGroup(p.pid, p.pidfd, sig)
	if errors.Is(err, syscall.ESRCH) {
		return errGone
	}
	return err
}

func (p *process) addKin(found []kin) {
	if len(found) == 0 {
		return
	}
	p.kinMu.Lock()
	defer p.kinMu.Unlock()
	for _, k := range found {
		if !slices.Contains(p.kin, k) {
			p.kin = append(p.kin, k)
		}
	}
}

// descendants lists who descends from the main process now; none once it was reaped.
func (p *process) descendants() []kin {
	p.t.mu.Lock()
	ended := p.ended
	p.t.mu.Unlock()
	if ended {
		return nil
	}
	return kinOf(p.pid)
}

// listKin notes who descends from these processes now. For many that is one look at all processes: /proc takes longer to tell the children of one
// than a process takes to end.
func (t *procs) listKin(all []*process) {
	const many = 16
	var families map[int][]kin
	if len(all) >= many {
		families = t.families(8 * len(all))
	}
	if families == nil {
		for _, p := range all {
			p.addKin(p.descendants())
		}
		return
	}
	for _, p := range all {
		found := slices.Clone(families[p.pid])
		for i := 0; i < len(found); i++ {
			found = append(found, families[found[i].pid]...)
		}
		p.addKin(found)
	}
}

// families lists all processes that are no main processes of ours, by parent; nil where there are more than most.
func (t *procs) families(most int) map[int][]kin {
	pids := sysAllPids()
	t.mu.Lock()
	pids = slices.DeleteFunc(pids, func(pid int) bool { return t.live[pid] != nil })
	t.mu.Unlock()
	if len(pids) > most {
		return nil
	}
	families := map[int][]kin{}
	for _, pid := range pids {
		if st, err := readStat(pid); err == nil {
			families[st.PPID] = append(families[st.PPID], kin{pid, st.Start})
		}
	}
	return families
}

// kinOf lists all descendants of pid with their start times.
func kinOf(pid int) []kin {
	pids := sysChildren(nil, pid)
	var all []kin
	for i := 0; i < len(pids); i++ {
		if st, err := readStat(pids[i]); err == nil {
			all = append(all, kin{st.PID, st.Start})
			pids = sysChildren(pids, st.PID)
		}
	}
	return all
}

// sweep takes one look at everything pending, tells who is done, and says whether anything remains. A process is done when nothing known
// of it was left and a scan that began after that finds nothing either: whatever its last members had for children is ours by then.
// One scan serves the whole batch, so that a thousand stops cost few scans.
func (t *procs) sweep(now time.Time) bool {
	t.mu.Lock()
	batch := slices.Clone(t.pending)
	looks := make([]look, len(batch))
	for i, p := range batch {
		looks[i] = look{p.ended, p.killed, p.killedAt}
	}
	t.mu.Unlock()
	if len(batch) == 0 {
		return false
	}
	left := make([]int, len(batch))
	for i, p := range batch {
		left[i] = p.clear(looks[i])
	}
	strays := t.strays(batch)
	var done []*process
	for i, p := range batch {
		for _, pid := range strays[p] {
			p.adoptStray(pid)
		}
		if len(strays[p]) > 0 {
			left[i] += p.settleKin(looks[i])
		}
		if left[i]+len(strays[p]) == 0 || t.givenUp(p, looks[i], now) {
			done = append(done, p)
		}
	}
	t.mu.Lock()
	for _, p := range done {
		p.told = true
	}
	t.pending = slices.DeleteFunc(t.pending, func(p *process) bool { return p.told })
	rest := len(t.pending) > 0
	t.mu.Unlock()
	for _, p := range done {
		p.gone(p.result)
	}
	return rest
}

// look is what was true of a process when a sweep began.
type look struct {
	ended, killed bool
	killedAt      time.Time
}

// clear kills what must be killed of p and counts what is left.
func (p *process) clear(l look) int {
	left := p.settleKin(l)
	switch {
	case !l.ended:
		left++
	case p.groupLeft():
		left++
		if l.killed {
			_ = sysKillGroup(p.pid, -1, sigKill)
		}
	}
	return left
}

// adoptStray counts a process that carries our invocation id, and who descends from it, among the descendants.
func (p *process) adoptStray(pid int) {
	if st, err := readStat(pid); err == nil {
		p.addKin(append(kinOf(pid), kin{pid, st.Start}))
	}
}

// killOrphans ends what services left behind so that nothing shows whose it was: children that we inherited, but for those to spare.
func (t *procs) killOrphans(spare []kin) {
	for end := time.Now().Add(time.Second); time.Now().Before(end); time.Sleep(leftoverPace / 10) {
		left := 0
		for _, pid := range sysOrphans(os.Getpid()) {
			if st, err := readStat(pid); err == nil && !st.dead() && !slices.Contains(spare, kin{pid, st.Start}) {
				left++
				_ = sysKillOne(kin{pid, st.Start}, sigKill)
			}
		}
		if left == 0 {
			return
		}
	}
}

// givenUp says whether what is left of p has survived SIGKILL for too long, and notes how many that are.
func (t *procs) givenUp(p *process, l look, now time.Time) bool {
	if !l.killed || now.Sub(l.killedAt) < leftoverLimit {
		return false
	}
	left := p.survivors(l.ended)
	t.mu.Lock()
	p.result.Left = left
	t.mu.Unlock()
	return true
}

// settleKin forgets descendants that ended, kills those whose time has come, and counts the rest that keeps p from being done.
func (p *process) settleKin(l look) int {
	p.kinMu.Lock()
	defer p.kinMu.Unlock()
	left := 0
	p.kin = slices.DeleteFunc(p.kin, func(k kin) bool {
		st, err := readStat(k.pid)
		if err != nil || st.Start != k.start || st.dead() {
			return true
		}
		left++
		if l.killed || l.ended && st.PGID != p.pid {
			_ = sysKillOne(k, sigKill)
		}
		return false
	})
	return left
}

// groupLeft says whether the process group outlives its reaped leader. The number stays reserved while the group has members;
// a process that has the number as its pid means that the group was empty and the number went to somebody else.
func (p *process) groupLeft() bool {
	if errors.Is(sysKill(-p.pid, 0), syscall.ESRCH) {
		return false
	}
	if errors.Is(sysKill(p.pid, 0), syscall.ESRCH) {
		return true
	}
	// An adopted leader may wait as a zombie for its own parent: then the number is still ours.
	p.t.mu.Lock()
	start := p.start
	p.t.mu.Unlock()
	st, err := readStat(p.pid)
	return err == nil && start != 0 && st.Start == start && len(groupMembers(p.pid)) > 0
}

// survivors counts what is given up: group members and descendants that are no zombies, and the main process itself.
func (p *process) survivors(ended bool) int {
	var all []int
	if !ended || p.groupLeft() {
		all = groupMembers(p.pid)
	}
	p.kinMu.Lock()
	defer p.kinMu.Unlock()
	for _, k := range p.kin {
		if !slices.Contains(all, k.pid) {
			all = append(all, k.pid)
		}
	}
	return len(all)
}

// writesBelow says whether stdout or stderr of a process is a file of this directory.
func writesBelow(pid int, dir string) bool {
	for _, fd := range []string{"1", "2"} {
		if to, err := os.Readlink("/proc/" + strconv.Itoa(pid) + "/fd/" + fd); err == nil && path.Dir(to) == dir {
			return true
		}
	}
	return false
}

// groupMembers lists the processes of a group that still run.
func groupMembers(pgid int) []int {
	var members []int
	for _, pid := range sysAllPids() {
		if st, err := readStat(pid); err == nil && st.PGID == pgid && !st.dead() {
			members = append(members, pid)
		}
	}
	return members
}

// strays finds, for the processes of batch, children of ours that carry their invocation id: what escaped by a double fork.
// Main processes in the table are none. After an adoption without parenthood orphans belong to somebody else, so all processes are looked at.
func (t *procs) strays(batch []*process) map[*process][]int {
	ids := make(map[string]*process, len(batch))
	wide := false
	for _, p := range batch {
		if p.invocation != "" {
			ids[p.invocation] = p
			wide = wide || p.adopted
		}
	}
	if len(ids) == 0 {
		return nil
	}
	pids := sysOrphans(t.root)
	if wide {
		pids = sysAllPids()
	}
	t.mu.Lock()
	pids = slices.DeleteFunc(pids, func(pid int) bool { return t.live[pid] != nil || pid == t.root || pid == os.Getpid() })
	t.mu.Unlock()
	found := map[*process][]int{}
	for chunk := range slices.Chunk(pids, strayReaders) {
		envs := make([][]byte, len(chunk))
		var read sync.WaitGroup
		for i, pid := range chunk[1:] {
			read.Add(1)
			background("looking for strays", func() {
				envs[i+1], _ = foreignMemory(pid, sysEnviron)
				read.Done()
			})
		}
		envs[0], _ = foreignMemory(chunk[0], sysEnviron)
		read.Wait()
		for i, pid := range chunk {
			if p := ids[envValue(envs[i], "ZINIT_INVOCATION_ID")]; p != nil {
				found[p] = append(found[p], pid)
			}
		}
	}
	return found
}

// envValue reads one variable from a NUL-separated block as /proc/PID/environ has it.
func envValue(block []byte, name string) string {
	for len(block) > 0 {
		entry, rest, _ := bytes.Cut(block, []byte{0})
		if v, ok := strings.CutPrefix(string(entry), name+"="); ok {
			return v
		}
		block = rest
	}
	return ""
}

// memoryReads holds the reads under way of the memory of each process; one that has not answered in time is not asked again.
var memoryReads struct {
	sync.Mutex
	busy map[int]*memoryRead
}

type memoryRead struct {
	count int
	late  bool
}

const memoryReadsMax = 8 // of one process, for as many clients that ask at the same time

// foreignMemory runs read(pid) for at most slowRead, on a goroutine that may stay behind.
func foreignMemory(pid int, read func(int) []byte) ([]byte, bool) {
	memoryReads.Lock()
	if memoryReads.busy == nil {
		memoryReads.busy = map[int]*memoryRead{}
	}
	r := memoryReads.busy[pid]
	if r == nil {
		r = &memoryRead{}
		memoryReads.busy[pid] = r
	}
	hung := r.late || r.count == memoryReadsMax
	if !hung {
		r.count++
	}
	memoryReads.Unlock()
	if hung {
		return nil, false
	}
	answer := make(chan []byte, 1)
	background("reading /proc", func() {
		data := read(pid)
		memoryReads.Lock()
		r.late = false
		if r.count--; r.count == 0 {
			delete(memoryReads.busy, pid)
		}
		memoryReads.Unlock()
		answer <- data
	})
	limit := time.NewTimer(slowRead)
	defer limit.Stop()
	select {
	case data := <-answer:
		return data, true
	case <-limit.C:
		memoryReads.Lock()
		defer memoryReads.Unlock()
		r.late = true
		return nil, false
	}
}

// helper runs a program that serves a service (an exec check, stop_exec) to its end, in a group of its own, and returns the newest
// output bytes that it wrote to stdout or stderr. At the timeout, or when over is closed,
// its group is killed and the error says so; a helper never leaves a zombie.
func (t *procs) helper(sp *spec, timeout time.Duration, output int, over <-chan struct{}) (exit, []byte, error) {
	r, w, err := os.Pipe()
	if err != nil {
		return exit{}, nil, fmt.Errorf("no pipe for its output: %w", err)
	}
	defer r.Close()
	mine := *sp
	mine.helper = true
	mine.Stdout, mine.Stderr = int(w.Fd()), int(w.Fd())
	ended := make(chan exit, 1)
	p, err := t.start(&mine, "", "", func(e exit) { ended <- e })
	w.Close()
	if err != nil {
		return exit{}, nil, err
	}
	kept := &tail{limit: output}
	read := make(chan struct{})
	background("helper output", func() {
		_, _ = io.Copy(kept, r)
		close(read)
	})
	limit := time.NewTimer(timeout)
	defer limit.Stop()
	var how exit
	select {
	case how = <-ended:
	case <-over:
		err = errors.New("its service has ended")
	case <-limit.C:
		err = fmt.Errorf("no end within %v, killed", timeout.Round(time.Millisecond))
	}
	if err != nil {
		p.kill()
		limit.Reset(slowRead)
		select {
		case how = <-ended:
		case <-limit.C:
			how.Left = 1
		}
	}
	// What escaped may hold the pipe for ever: take what is there now.
	_ = r.SetReadDeadline(time.Now().Add(leftoverPace))
	<-read
	return how, kept.data, err
}

// tail keeps the newest bytes written to it.
type tail struct {
	data  []byte
	limit int
}

func (k *tail) Write(b []byte) (int, error) {
	k.data = append(k.data, b...)
	if over := len(k.data) - k.limit; over > 0 {
		k.data = append(k.data[:0], k.data[over:]...)
	}
	return len(b), nil
}

// probe runs ex in the surroundings of service c; nil when it exits 0 in time, else an error with the last thing that it said.
func (t *procs) probe(c *config, ex execDef, invocation string, timeout time.Duration, over <-chan struct{}) error {
	due := time.Now().Add(timeout)
	sp, err := resolve(c, ex, invocation, func(string) {})
	if err != nil {
		return err
	}
	how, out, err := t.helper(sp, time.Until(due), 512, over)
	if err == nil && how.Known && how.Signal == 0 && how.Code == 0 {
		return nil
	}
	text := how.String()
	if err != nil {
		text = err.Error()
	}
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	if last := lines[len(lines)-1]; last != "" {
		text += ": " + visible(strings.ToValidUTF8(last, "\uFFFD"))
	}
	return errors.New(text)
}

// procStat is what the kernel tells about any process without asking the process.
type procStat struct {
	PID, PPID, PGID, Session int
	Comm                     string
	State                    byte // R S D Z X T …
	Start                    uint64
	CPU                      time.Duration
	Threads                  int
	Memory                   int64 // resident bytes
	Kernel                   bool  // a kernel thread
}

// dead says that the process has ended and only its parent does not know yet.
func (st *procStat) dead() bool { return st.State == 'Z' || st.State == 'X' }

// Age is how long the process lives.
func (st *procStat) Age() time.Duration { return sysAge(st.Start) }

// usage is what one process takes.
type usage struct {
	PID, PPID  int
	Command    string
	CPUPercent float64
	Memory     int64
	Threads    int
	FDs        int // 0: not allowed to look
}

// cpuSamples holds the last CPU reading of each process that was asked about; percentages are between two looks. There are two generations of
// readings: once the newer one is old or large it takes the place of the older one, so that readings nobody asked for again go all at once.
var cpuSamples struct {
	sync.Mutex
	last, older map[kin]cpuSample
	since       time.Time // last was begun then
}

type cpuSample struct {
	cpu     time.Duration
	at      time.Time
	percent float64
}

const (
	cpuSampleGap = 100 * time.Millisecond // below it the previous percentage is more exact than a new one
	cpuSampleAge = 2 * time.Minute        // a look after that long begins anew
	cpuSampleMax = 1 << 16                // of a generation
)

// cpuPercent is the share of one CPU since the last look, or over the lifetime at the first.
func cpuPercent(st *procStat, now time.Time) float64 {
	cpuSamples.Lock()
	defer cpuSamples.Unlock()
	key := kin{st.PID, st.Start}
	last, seen := cpuSamples.last[key]
	if !seen {
		last, seen = cpuSamples.older[key]
	}
	span := now.Sub(last.at)
	if seen && span < cpuSampleGap {
		return last.percent
	}
	used := st.CPU - last.cpu
	if !seen || span > cpuSampleAge {
		used, span = st.CPU, max(st.Age(), cpuSampleGap)
	}
	if cpuSamples.last == nil || now.Sub(cpuSamples.since) > cpuSampleAge || len(cpuSamples.last) >= cpuSampleMax {
		cpuSamples.older, cpuSamples.last, cpuSamples.since = cpuSamples.last, map[kin]cpuSample{}, now
	}
	percent := float64(used) / float64(span) * 100
	cpuSamples.last[key] = cpuSample{st.CPU, now, percent}
	return percent
}

// procStats measures one process. It may wait up to slowRead for a process whose memory is locked.
func procStats(pid int) (usage, error) {
	st, err := readStat(pid)
	if err != nil {
		return usage{}, fmt.Errorf("pid %d: %w", pid, errnoOf(err))
	}
	return st.usage(), nil
}

func (st *procStat) usage() usage {
	return usage{
		PID: st.PID, PPID: st.PPID, Command: commandOf(st), CPUPercent: cpuPercent(st, time.Now()),
		Memory: st.resident(true), Threads: st.Threads, FDs: sysFDs(st.PID),
	}
}

// resident is the resident memory of a process (Rss of proc_pid_smaps(5)), in bytes. exact: counted page by page, which takes the longer the more
// there is of it. Else that is done only where the kernel's counters may be far off, for small processes. Who may not look, and whom the
// process does not answer, gets what the counters say.
func (st *procStat) resident(exact bool) int64 {
	counted := max(st.Memory, sysStatmResident(st.PID))
	if !exact && (counted >= lateMemory() || sysStatmExact()) {
		return counted
	}
	rollup, _ := foreignMemory(st.PID, sysSmapsRollup)
	if rss := rollupRss(rollup); rss > 0 {
		return rss
	}
	return counted
}

// lateMemory is the memory from which on the counters of a process are right within a factor of two. Before Linux 6.2 the last 64 page faults of a thread,
// each for up to 16 pages, are not in them yet; since then each processor keeps up to 32 pages back, or twice as many as there are processors.
func lateMemory() int64 {
	cpus := runtime.NumCPU()
	return 2 * int64(os.Getpagesize()) * int64(max(64*16, cpus*max(32, 2*cpus)))
}

// rollupRss finds the resident bytes in a smaps_rollup file; 0: it has none.
func rollupRss(text []byte) int64 {
	_, rest, _ := strings.Cut(string(text), "\nRss:")
	line, _, _ := strings.Cut(rest, "\n")
	kb, _ := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(line, "kB")), 10, 64)
	return kb << 10
}

// childrenOf measures all descendants of pid, parents before children.
func childrenOf(pid int) []usage {
	var all []usage
	for _, k := range kinOf(pid) {
		if st, err := readStat(k.pid); err == nil && st.Start == k.start && !st.dead() {
			all = append(all, st.usage())
		}
	}
	return all
}

// commandOf is the command line of a process with spaces between its words, or [comm] where there is none (ps(1)).
func commandOf(st *procStat) string {
	line, _ := foreignMemory(st.PID, sysCmdline)
	if line = bytes.TrimRight(line, "\x00"); len(line) == 0 {
		return "[" + st.Comm + "]"
	}
	return strings.ToValidUTF8(string(bytes.ReplaceAll(line, []byte{0}, []byte{' '})), "\uFFFD")
}

// --- spec: turns a configuration into what the kernel must be told to execute it, says in sentences for people what stands in the way, and can clear foreign processes out of it; it starts nothing.

// spec is everything that the kernel must be told to execute a program.
type spec struct {
	Path                  string
	Argv, Env             []string
	Dir                   string // "" = the server's own
	Stdin, Stdout, Stderr int    // descriptors; -1 = /dev/null
	UID, GID              int    // -1 = keep
	Groups                []int  // supplementary groups; used when UID or GID is not -1
	helper                bool   // serves a service, and leads no session
}

// files are the descriptors 0 to 2 of the child.
func (sp *spec) files() []uintptr {
	fds := []uintptr{0, 0, 0}
	for i, fd := range [3]int{sp.Stdin, sp.Stdout, sp.Stderr} {
		if fd < 0 {
			fd = nullFile()
		}
		fds[i] = uintptr(fd)
	}
	return fds
}

// ids are the user to become; switched is false when we stay who we are. What is not given stays as it is.
func (sp *spec) ids() (uid, gid uint32, groups []uint32, switched bool) {
	if sp.UID < 0 && sp.GID < 0 {
		return 0, 0, nil, false
	}
	uid, gid = uint32(os.Geteuid()), uint32(os.Getegid())
	if sp.UID >= 0 {
		uid = uint32(sp.UID)
	}
	if sp.GID >= 0 {
		gid = uint32(sp.GID)
	}
	for _, g := range sp.Groups {
		groups = append(groups, uint32(g))
	}
	return uid, gid, groups, true
}

// file is the program as we see it: a relative path counts from the working directory that the child will have.
func (sp *spec) file() string {
	if sp.Dir == "" || path.IsAbs(sp.Path) {
		return sp.Path
	}
	return path.Join(sp.Dir, sp.Path)
}

// defaultPath is where programs are looked for when the service has no PATH.
const defaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// resolve turns ex, a program of service c, into a spec: environment, program file, user. It checks with ordinary blocking calls all that
// can be checked before a fork, so it may hang on a dead mount for as long as that is dead: call it on a goroutine and bound how many.
// at is told, before each, which path it looks at. Every error is a spawn error for people.
func resolve(c *config, ex execDef, invocation string, at func(string)) (*spec, error) {
	s := &c.Service
	sp := &spec{Dir: s.Dir, Stdin: -1, Stdout: -1, Stderr: -1, UID: -1, GID: -1}
	home, err := resolveUser(sp, s)
	if err != nil {
		return nil, err
	}
	if s.EnvFile != "" {
		at(strings.TrimPrefix(s.EnvFile, "-"))
	}
	if sp.Env, err = serviceEnv(s, invocation, home); err != nil {
		return nil, err
	}
	shell := false
	if sp.Argv = ex.Argv; len(ex.Argv) == 0 {
		if sp.Argv, shell, err = splitExec(ex.Line); err != nil {
			return nil, &spawnError{"exec: " + err.Error(), err}
		}
	}
	if shell {
		sp.Argv = []string{"/bin/sh", "-c", ex.Line}
		if _, err := os.Stat("/bin/sh"); err != nil {
			return nil, &spawnError{fmt.Sprintf("exec needs a shell (%s) and this system has no /bin/sh: write it as an array, exec = [\"/path/to/program\", \"argument\"]", visible(ex.Line)), errnoOf(err)}
		}
	}
	if len(sp.Argv) == 0 || sp.Argv[0] == "" {
		return nil, &spawnError{"exec is empty", syscall.EINVAL}
	}
	if sp.Dir != "" {
		at(sp.Dir)
		if err := checkDir(sp.Dir); err != nil {
			return nil, err
		}
	}
	if sp.Path, err = lookProgram(sp, at); err != nil {
		return nil, err
	}
	return sp, nil
}

// resolveUser fills in the ids of user and group; the home directory is "" when no user is given. No switch is needed to become who we are.
func resolveUser(sp *spec, s *serviceDef) (string, error) {
	if s.User == "" && s.Group == "" {
		return "", nil
	}
	uid, gid, groups, home, err := lookupUser(s.User, s.Group)
	if err != nil {
		return "", &spawnError{err.Error(), err}
	}
	if uid == os.Geteuid() && (gid == os.Getegid() || gid < 0) || uid < 0 && gid == os.Getegid() {
		return home, nil
	}
	sp.UID, sp.GID, sp.Groups = uid, gid, groups
	return home, nil
}

// lookProgram finds the program file: a name without / in the PATH of the service, a relative one below its directory.
func lookProgram(sp *spec, at func(string)) (string, error) {
	name := sp.Argv[0]
	if strings.Contains(name, "/") {
		at(name)
		return name, checkProgram((&spec{Path: name, Dir: sp.Dir}).file())
	}
	search := defaultPath
	for _, entry := range sp.Env {
		if v, ok := strings.CutPrefix(entry, "PATH="); ok {
			search = v
		}
	}
	var found error
	for _, dir := range strings.Split(search, ":") {
		file := path.Join(dir, name)
		if !path.IsAbs(file) {
			file = path.Join(sp.Dir, file)
		}
		at(file)
		err := checkProgram(file)
		if err == nil {
			return file, nil
		}
		if found == nil && !errors.Is(err, syscall.ENOTDIR) {
			if _, statErr := os.Stat(file); statErr == nil {
				found = err
			}
		}
	}
	if found != nil {
		return "", found
	}
	return "", &spawnError{fmt.Sprintf("%s was not found in PATH (%s): %v; give its full path", visible(name), visible(search), syscall.ENOENT), syscall.ENOENT}
}

// privateEnv are variables of the server that mean the server, not what it starts.
var privateEnv = []string{"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES", "ZINIT_SERVICE", "ZINIT_INVOCATION_ID"}

// serverEnv is the server's own environment as services inherit it, computed once.
var serverEnv = sync.OnceValue(func() []string {
	return slices.DeleteFunc(os.Environ(), func(entry string) bool {
		name, _, _ := strings.Cut(entry, "=")
		return slices.Contains(privateEnv, name)
	})
})

// serviceEnv is the environment of a service: the server's own, the user's HOME, USER and LOGNAME, env_file, env, and who it is.
// Later ones win. A variable appears once: programs differ in which of two they take.
func serviceEnv(s *serviceDef, invocation, home string) ([]string, error) {
	var own []string
	if home != "" && s.User != "" {
		own = append(own, "HOME="+home)
		if _, err := strconv.Atoi(s.User); err != nil {
			own = append(own, "USER="+s.User, "LOGNAME="+s.User)
		}
	}
	entries, err := s.envFile()
	if err != nil {
		return nil, &spawnError{err.Error(), nil}
	}
	own = append(own, entries...)
	for name, value := range s.Env {
		own = append(own, name+"="+value)
	}
	own = append(own, "ZINIT_SERVICE="+s.Name)
	if invocation != "" {
		own = append(own, "ZINIT_INVOCATION_ID="+invocation)
	}
	base := serverEnv()
	env := make([]string, 0, len(base)+len(own)+1)
	env = append(env, base...)
	for _, entry := range own {
		env = setEnv(env, entry)
	}
	return env, nil
}

// setEnv replaces or appends NAME=VALUE.
func setEnv(env []string, entry string) []string {
	name := entry[:strings.IndexByte(entry, '=')+1]
	for i, e := range env {
		if name != "" && strings.HasPrefix(e, name) {
			env[i] = entry
			return env
		}
	}
	return append(env, entry)
}

// nullFile is /dev/null for all services, opened once; where there is none, the read end of a closed pipe: reading ends at once, writing fails.
var nullFile = sync.OnceValue(func() int {
	if fd, err := sysOpenNull(); err == nil {
		return fd
	}
	r, w, err := os.Pipe()
	if err != nil {
		return -1
	}
	w.Close()
	keepOpen.Store(r)
	return int(r.Fd())
})

// keepOpen holds the file behind nullFile, which nobody else refers to.
var keepOpen atomic.Pointer[os.File]

// spawnError is why a program cannot be executed, for people; errors.Is finds the errno.
type spawnError struct {
	text string
	err  error
}

// Error is the sentence, with the words of the errno (errno(3)) where it lacks them.
func (e *spawnError) Error() string {
	errno, ok := e.err.(syscall.Errno)
	if !ok || e.text == "" || strings.Contains(e.text, errno.Error()) {
		return e.text
	}
	return e.text + " (" + errno.Error() + ")"
}
func (e *spawnError) Unwrap() error { return e.err }

// explainExec turns the errno of a failed start into a sentence that names what is missing: execve(2) answers ENOENT both for
// the program and for its interpreter.
func explainExec(sp *spec, err error) error {
	say := func(format string, args ...any) error {
		return &spawnError{fmt.Sprintf(format, args...), err}
	}
	if sp.Dir != "" {
		if dirErr := checkDir(sp.Dir); dirErr != nil {
			return dirErr
		}
	}
	switch {
	case errors.Is(err, syscall.ENOENT):
		if progErr := checkProgram(sp.file()); progErr != nil {
			return progErr
		}
		return say("%s exists, but something that it needs to be executed does not (its interpreter or dynamic loader)", sp.Path)
	case errors.Is(err, syscall.EPERM) && (sp.UID >= 0 || sp.GID >= 0):
		return say("not permitted to switch to uid %d, gid %d: zinit runs as uid %d (give it CAP_SETUID and CAP_SETGID, or remove user and group)", sp.UID, sp.GID, os.Geteuid())
	case errors.Is(err, syscall.EACCES):
		return say("%s is not executable for the user of the service: check its mode (chmod +x), its directories, and that its file system is not mounted noexec", sp.Path)
	case errors.Is(err, syscall.ENOEXEC):
		return say("%s: exec format error: no #! line or wrong architecture", sp.Path)
	case errors.Is(err, syscall.ETXTBSY):
		return say("%s: text file busy: somebody has it open for writing", sp.Path)
	case errors.Is(err, syscall.E2BIG):
		return say("%s: its arguments and environment are too long", sp.Path)
	case errors.Is(err, syscall.EAGAIN):
		return say("%s: no more processes allowed here (pids limit or RLIMIT_NPROC of the user)", sp.Path)
	case errors.Is(err, syscall.ENOMEM):
		return say("%s: not enough memory to start it", sp.Path)
	}
	return say("%s: %v", sp.Path, err)
}

// checkDir says why dir cannot be a working directory.
func checkDir(dir string) error {
	info, err := os.Stat(dir)
	switch {
	case errors.Is(err, syscall.ENOENT):
		return &spawnError{fmt.Sprintf("dir %s does not exist (%v)", dir, syscall.ENOENT), nil} // errors.Is ENOENT is for programs: it makes exit code 127
	case err != nil:
		return &spawnError{fmt.Sprintf("dir %s: %v", dir, errnoOf(err)), errnoOf(err)}
	case !info.IsDir():
		return &spawnError{"dir " + dir + " is not a directory", syscall.ENOTDIR}
	}
	return nil
}

// checkProgram reads the first bytes of a program, and looks for the interpreter that its #! line names (execve(2)).
// Ordinary blocking calls: on a dead mount it does not return, which is why it is done before a fork and on a goroutine.
func checkProgram(file string) error {
	info, err := os.Stat(file)
	if err != nil {
		return missing(file, err)
	}
	if info.IsDir() {
		return &spawnError{file + " is a directory, not a program", syscall.EACCES}
	}
	if !info.Mode().IsRegular() {
		return &spawnError{file + " is not a regular file", syscall.EACCES}
	}
	if info.Mode()&0o111 == 0 {
		return &spawnError{file + " is not executable: permission denied (chmod +x)", syscall.EACCES}
	}
	var head [4096]byte
	n, err := sysReadHead(file, head[:])
	if err != nil {
		return nil // execute permission without read permission is enough for execve
	}
	if loader := elfLoader(head[:n]); loader != "" {
		if _, err := os.Stat(loader); err != nil {
			return &spawnError{fmt.Sprintf("%s needs the dynamic loader %s, which does not exist here: link it statically or add the loader", file, visible(loader)), errnoOf(err)}
		}
		return nil
	}
	line, ok := bytes.CutPrefix(head[:n], []byte("#!"))
	if !ok {
		return nil
	}
	line, _, _ = bytes.Cut(line, []byte("\n"))
	name := string(line)
	if words := strings.FieldsFunc(name, func(r rune) bool { return r == ' ' || r == '\t' }); len(words) > 0 {
		name = words[0]
	}
	if strings.Trim(name, " \t") == "" {
		return &spawnError{file + ": its #! line names no interpreter", syscall.ENOEXEC}
	}
	if _, err := os.Stat(name); err != nil {
		hint := ""
		if strings.HasSuffix(name, "\r") {
			hint = " (the file has Windows line ends)"
		}
		return &spawnError{fmt.Sprintf("%s needs the interpreter %s, which does not exist%s", file, visible(name), hint), errnoOf(err)}
	}
	return nil
}

// elfLoader is the PT_INTERP of a little-endian ELF file (elf(5)) as far as its first bytes show it; "" for everything else.
func elfLoader(head []byte) string {
	if len(head) < 64 || string(head[:4]) != "\x7fELF" || head[5] != 1 {
		return ""
	}
	le := binary.LittleEndian
	table, size, count := int(le.Uint32(head[28:])), int(le.Uint16(head[42:])), int(le.Uint16(head[44:]))
	offset, length := 4, 16
	if head[4] == 2 { // 64 bit
		table, size, count = int(le.Uint32(head[32:])), int(le.Uint16(head[54:])), int(le.Uint16(head[56:]))
		offset, length = 8, 32
	}
	for i := range count {
		at := table + i*size
		if at < 0 || size < length+4 || at+size > len(head) {
			return ""
		}
		entry := head[at : at+size]
		if le.Uint32(entry) != 3 { // PT_INTERP
			continue
		}
		from := int(le.Uint32(entry[offset:]))
		to := from + int(le.Uint32(entry[length:]))
		if from < 0 || to > len(head) || to <= from {
			return ""
		}
		return string(bytes.TrimRight(head[from:to], "\x00"))
	}
	return ""
}

// missing explains a program file that cannot be reached.
func missing(file string, err error) error {
	if errors.Is(err, syscall.ENOENT) {
		return &spawnError{file + " does not exist", syscall.ENOENT}
	}
	return &spawnError{fmt.Sprintf("%s: %v", file, errnoOf(err)), errnoOf(err)}
}

// errnoOf strips the path and the call from an error of package os.
func errnoOf(err error) error {
	var errno syscall.Errno
	if errors.As(err, &errno) {
		return errno
	}
	return err
}

// portFree says whether a TCP port could be listened on, on all addresses of both families. A port that we may not bind (below 1024) counts as free:
// the service may be allowed to.
func portFree(port int) bool { return !errors.Is(sysBind(port), syscall.EADDRINUSE) }

// foreign lists the processes that a process_filter means: comm, base name of argv[0] or of an interpreter's script contain it, in any case.
// Never us, our ancestors, processes of our services, zinit clients, other pid namespaces and kernel threads.
func (t *procs) foreign(filter string) []int {
	filter = strings.ToLower(filter)
	all := map[int]*procStat{}
	for _, pid := range sysAllPids() {
		if st, err := readStat(pid); err == nil && !st.dead() && !st.Kernel {
			all[pid] = &st
		}
	}
	safe := map[int]bool{}
	for pid := os.Getpid(); pid > 0 && !safe[pid]; {
		safe[pid] = true
		if st := all[pid]; st != nil {
			pid = st.PPID
		}
	}
	mine := map[string]bool{}
	t.mu.Lock()
	for pid, p := range t.live {
		safe[pid], mine[p.invocation] = true, true
	}
	t.mu.Unlock()
	delete(mine, "")
	var found []int
	for pid, st := range all {
		if safe[pid] || t.ours(st, all) || !filterMatches(st, filter) || sysOtherNamespace(pid) || sysOurProgram(pid) {
			continue
		}
		if env, _ := foreignMemory(pid, sysEnviron); !mine[envValue(env, "ZINIT_INVOCATION_ID")] {
			found = append(found, pid)
		}
	}
	slices.Sort(found)
	return found
}

// ours says whether a process belongs to a service: by its session, its group, or its ancestors.
func (t *procs) ours(st *procStat, all map[int]*procStat) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	for range len(all) {
		if t.live[st.PID] != nil || t.live[st.PGID] != nil || t.live[st.Session] != nil {
			return true
		}
		if st = all[st.PPID]; st == nil {
			return false
		}
	}
	return false
}

// interpreters run a script that gives the process its name; a version may follow.
var interpreters = []string{"sh", "ash", "bash", "dash", "zsh", "ksh", "mksh", "fish", "python", "perl", "ruby", "node", "nodejs", "php", "lua", "tclsh", "guile", "env"}

// filterMatches compares the lower-case filter with the names that a process goes by.
func filterMatches(st *procStat, filter string) bool {
	if strings.Contains(strings.ToLower(st.Comm), filter) {
		return true
	}
	line, _ := foreignMemory(st.PID, sysCmdline)
	for _, name := range processNames(strings.Split(strings.TrimRight(string(line), "\x00"), "\x00")) {
		if strings.Contains(strings.ToLower(name), filter) {
			return true
		}
	}
	return false
}

// processNames are the base name of argv[0] and, when that is an interpreter, of the script it runs (none with -c or -e).
func processNames(argv []string) []string {
	names := []string{path.Base(argv[0])}
	tool := strings.TrimRight(strings.TrimPrefix(names[0], "-"), "0123456789.")
	if !slices.Contains(interpreters, tool) {
		return names
	}
	for _, arg := range argv[1:] {
		if arg == "-c" || arg == "-e" {
			return names
		}
		if arg != "" && arg[0] != '-' {
			return append(names, path.Base(arg))
		}
	}
	return names
}

// removeForeign ends the trees of these processes for kill_others: SIGTERM, up to patience, SIGKILL. It waits, and returns those that survived.
func removeForeign(pids []int, patience time.Duration) []int {
	var tree []kin
	for _, pid := range pids {
		if st, err := readStat(pid); err == nil {
			tree = append(append(tree, kin{pid, st.Start}), kinOf(pid)...)
		}
	}
	for _, phase := range []struct {
		sig   int
		limit time.Duration
	}{{sigTerm, patience}, {sigKill, leftoverLimit}} {
		for _, k := range tree {
			_ = sysKillOne(k, phase.sig)
		}
		for end := time.Now().Add(phase.limit); len(tree) > 0 && time.Now().Before(end); {
			tree = slices.DeleteFunc(tree, func(k kin) bool {
				st, err := readStat(k.pid)
				return err != nil || st.Start != k.start || st.dead()
			})
			if len(tree) > 0 {
				time.Sleep(leftoverPace / 5)
			}
		}
	}
	var left []int
	for _, k := range tree {
		left = append(left, k.pid)
	}
	return left
}
