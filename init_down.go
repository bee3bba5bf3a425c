// init_down.go ends everything: the shutdown as the keeper sees it, then unmounting and the power of a machine; it stops no single service.

//go:build linux

package main

import (
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// keeperClosing is a shutdown under way, as the keeper must be able to end it without a server.
type keeperClosing struct {
	kind   powerKind
	code   int
	at     time.Time // when its time is over
	fixed  bool      // the code counts, whatever CMD answers: it began the end
	taken  bool      // the keeper does it by itself
	killAt time.Time
	forced bool
}

// onClosing ends a shutdown whose time is over, with or without a server.
func (k *keeper) onClosing(now time.Time) (code int, done bool) {
	c := k.closing
	if c == nil {
		return 0, false
	}
	if !c.taken && over(c.at.Add(-k.ownTime()), now) {
		logf(logWarn, "the server has not finished the shutdown; stopping everything that is left")
		k.takeOver(k.ownTime())
	}
	if c.taken && (over(c.killAt, now) || !k.anythingLeft()) {
		if over(c.killAt, now) {
			logf(logWarn, "killing what has not ended")
			sysKillAll(k.one, sigKill)
			k.reapFor(2 * time.Second)
		}
		return k.end()
	}
	return 0, false
}

// takeOver stops everything without the server's help: what is left is asked to end, and killed after that time.
func (k *keeper) takeOver(wait time.Duration) {
	c := k.closing
	c.taken = true
	if k.server.pid != 0 {
		_ = sysKill(k.server.pid, sigKill)
	}
	sig := sigTerm
	if c.forced {
		sig = sigKill
	}
	sysKillAll(k.one, sig)
	sysKillAll(k.one, sigCont) // what is stopped ends only when it goes on
	if c.killAt.IsZero() {
		c.killAt = time.Now().Add(wait)
	}
}

// ownTime is how long before the end of a shutdown's time the keeper no longer waits for the server.
func (k *keeper) ownTime() time.Duration { return min(ownTime, k.opts.limit/16) }

// anythingLeft says whether there is a process besides us that we must wait for.
func (k *keeper) anythingLeft() bool { return k.server.pid != 0 || k.cmd.PID != 0 || sysAnyChild() }

// end finishes a shutdown: in a container it returns the exit code; on a machine machineDown does not return.
func (k *keeper) end() (int, bool) {
	c := k.closing
	if k.opts.container || !k.one {
		return c.code, true
	}
	k.flush()
	k.letGo()
	machineDown(c.kind, k.watchdog)
	return c.code, true
}

// shutdown begins to stop everything; a second SIGTERM or SIGINT kills at once.
func (k *keeper) shutdown(kind powerKind, code int, again bool) {
	if k.opts.container || !k.one {
		kind = powerExit
	}
	if c := k.closing; c != nil {
		if again && !c.forced {
			c.forced = true
			logf(logWarn, "killing what is left")
			k.tell("kill")
			c.at = time.Now().Add(time.Second)
			if c.taken {
				c.killAt = time.Now()
			}
		}
		return
	}
	k.closing = &keeperClosing{kind: kind, code: code, at: time.Now().Add(k.opts.limit)}
	if k.server.pid == 0 && k.startAt.IsZero() {
		k.takeOver(k.ownTime())
		return
	}
	k.tell("shutdown " + string(kind))
}

// toUnmount picks what must go before power-off, last mount first: all that is below the root, but not /proc, /sys and /dev, which no disk
// has to do with and which are needed until the end.
func (b *boot) toUnmount(mounts []mountEntry) (targets []string) {
	for _, m := range slices.Backward(mounts) {
		rel, below := strings.CutPrefix(m.target, strings.TrimSuffix(b.root, "/")+"/")
		top, _, _ := strings.Cut(rel, "/")
		if below && !slices.Contains([]string{"", "proc", "sys", "dev"}, top) {
			targets = append(targets, m.target)
		}
	}
	return targets
}

// unmountAll leaves no file system below the root that could lose something: unmounted, or, what is busy, read-only, or else detached.
// Then the root becomes read-only. It touches nothing if it cannot see what is mounted.
func (b *boot) unmountAll(list func() []mountEntry) {
	for range 3 { // one that goes may free another
		for _, t := range b.toUnmount(list()) {
			_ = sysUnmount(t, false)
		}
	}
	left := list()
	for _, t := range b.toUnmount(left) {
		err := sysMount("", t, "", unix.MS_REMOUNT|unix.MS_RDONLY, "")
		if err == nil {
			continue
		}
		logf(logWarn, "%s is busy and cannot be made read-only: %v", t, err)
		_ = sysUnmount(t, true)
	}
	if len(left) == 0 {
		return
	}
	if err := sysMount("", b.root, "", unix.MS_REMOUNT|unix.MS_RDONLY, ""); err != nil && !sysVolatile(b.root) {
		logf(logWarn, "cannot make / read-only: %v", err)
	}
}

// swapOff gives all swap spaces back, as far as memory allows.
func (b *boot) swapOff() {
	text, _ := b.read("/proc/swaps")
	_, list, _ := strings.Cut(text, "\n") // behind the heading
	for _, line := range strings.Split(list, "\n") {
		name, _, _ := strings.Cut(line, " ")
		if name == "" {
			continue
		}
		if err := sysSwapOff(unescapeOctal(name)); err != nil {
			logf(logWarn, "cannot turn off swap on %s: %v", name, err)
		}
	}
}

// onMachine says whether it is for us to power off: PID 1, and not in a pid namespace of a container. The first namespace has a fixed
// number (PROC_PID_INIT_INO of linux/proc_ns.h). Without /proc nobody knows; then reboot(2) ends the namespace, which is as good.
func onMachine() bool {
	ns, err := os.Readlink("/proc/self/ns/pid")
	return os.Getpid() == 1 && (err != nil || ns == "pid:[4026531836]")
}

// machineDown is the end, after all processes are gone: kind is poweroff, reboot or halt. Every part of it is limited in time, because a
// disk may be dead. It returns at once where the machine is not ours; on a real machine it never returns.
func machineDown(kind powerKind, w *watchdog) {
	if !onMachine() {
		return
	}
	b := newBoot("/")
	doParts([]downPart{
		{"go on from memory", func() {
			if err := leaveProgram(kind, w); err != nil {
				logf(logWarn, "the file of this program was deleted and may keep its file system from becoming read-only: %v", err)
			}
		}},
		{"note the shutdown in " + wtmpFile, func() {
			if err := b.noteDown(); err != nil {
				logf(logWarn, "cannot note the shutdown in %s: %v", wtmpFile, err)
			}
		}},
		{"save the random seed", func() {
			if err := b.saveSeed(); err != nil {
				logf(logWarn, "cannot save the random seed: %v", err)
			}
		}},
		{"write all to disk", sysSync},
		{"turn off swap", b.swapOff},
		{"unmount file systems", func() { b.unmountAll(b.mounts) }},
		{"write all to disk", sysSync},
	}, 15*time.Second, w)
	w.close()
	logf(logInfo, "%s", kind)
	serverLog.flush(time.Second)
	err := sysReboot(kind)
	for ; ; time.Sleep(time.Minute) {
		logf(logError, "the kernel does not do it (%s: %v); the machine can be switched off", kind, err)
	}
}

// downVar tells the next image of PID 1 that all is stopped, and what remains to be done: poweroff, reboot or halt, and the device of the watchdog.
const downVar = "ZINIT_DOWN"

// leaveProgram goes on from a copy in memory where the file of this program was deleted, as by an upgrade of its package: as long as we execute it, the kernel
// does not make its file system read-only (sb_prepare_remount_readonly in fs/namespace.c). It does not return where that was needed and could be done.
func leaveProgram(kind powerKind, w *watchdog) error {
	const own = "/proc/self/exe"
	var st unix.Stat_t
	if unix.Stat(own, &st) != nil || st.Nlink > 0 || sysVolatile(own) {
		return nil
	}
	program, err := os.ReadFile(own)
	if err != nil {
		return err
	}
	fd, err := sysMemfdWith("zinit", program)
	if err != nil {
		return err
	}
	next, format := string(kind), ownLogFormats[0]
	if w != nil {
		next += " " + w.file.Name()
	}
	if serverLogJSON.Load() {
		format = ownLogFormats[1]
	}
	serverLog.flush(time.Second)
	argv := []string{"init", "--log-level", logLevel(serverLogLevel.Load()).String(), "--log-format", format}
	return sysExec("/proc/self/fd/"+strconv.Itoa(fd), argv, append(os.Environ(), downVar+"="+next))
}

// goOnDown is the rest of machineDown in the next image.
func goOnDown(next string) {
	kind, dog, _ := strings.Cut(next, " ")
	var w *watchdog
	if dog != "" {
		w, _ = openWatchdog(dog, watchdogSeconds)
	}
	machineDown(powerKind(kind), w)
}

// downPart is a part of going down.
type downPart struct {
	what string
	do   func()
}

// doParts does each within the limit. The watchdog is fed meanwhile: together they may take longer than its time, but not for ever.
func doParts(parts []downPart, limit time.Duration, w *watchdog) {
	for _, part := range parts {
		_ = w.feed()
		if !bounded(part.what, limit, w, part.do) {
			logf(logError, "gave up trying to %s", part.what)
		}
	}
}

// bounded says whether do was done within the limit. It goes on in the background if not. The watchdog is fed meanwhile.
func bounded(what string, limit time.Duration, w *watchdog, do func()) bool {
	done := make(chan struct{})
	background(what, func() {
		defer close(done)
		if err := guarded(func() error { do(); return nil }); err != nil {
			logf(logError, "cannot %s: %v", what, err)
		}
	})
	return w.feedUntil(done, limit)
}
