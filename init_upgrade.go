// init_upgrade.go goes over to a new binary: it proves first that it reads what we hold, then its server adopts everything, then PID 1 executes it.

//go:build linux

package main

import (
	"errors"
	"os"
	"strconv"
	"syscall"
	"time"
)

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
	err = sysExecKeeping(path, os.Args, append(os.Environ(), resumeVar+"="+strconv.Itoa(memo)), k.held(memo))
	_ = sysClose(memo)
	return err
}

// trial is what a new binary said of our state.
type trial struct {
	path    string
	version string
	err     error
}

func (k *keeper) upgraded(r trial) {
	p := packet{op: opUpgrade, text: r.version}
	if r.err != nil {
		p.a, p.text = 1, r.err.Error()
		logf(logError, "no upgrade to %s: %v; the present version goes on", r.path, r.err)
	}
	if k.server.link != nil {
		k.server.link.send(p)
	}
}

// onTried replaces the server by one of the new binary. PID 1 itself goes over when that one has adopted everything.
func (k *keeper) onTried(r trial) {
	k.trying = false
	if r.err == nil && k.closing != nil {
		r.err = errors.New("a shutdown is under way")
	}
	k.upgraded(r)
	if r.err != nil {
		return
	}
	logf(logInfo, "going over to version %s of %s", r.version, r.path)
	k.newPath, k.newBy = r.path, time.Now().Add(upgradeTime+handoverTime)
	k.server.planned = true
	k.server.killAt = time.Now().Add(handoverTime)
	if k.server.pid == 0 {
		k.startAt = time.Now()
		return
	}
	k.server.link.flush(linkTime) // it answers before it goes
	_ = sysKill(k.server.pid, sigTerm)
}

// upgradeLate takes the old binary back when the new server has not adopted everything in time. On a busy machine it is slow, but it computes: then it
// gets more.
func (k *keeper) upgradeLate(now time.Time) {
	if a := k.server.answer; !a.next.IsZero() && a.still == 0 && now.Before(k.downAt.Add(3*upgradeTime)) {
		k.newBy = now.Add(answerStep)
		return
	}
	logf(logError, "the new binary %s did not adopt the services in %s; the old one takes over again", k.newPath, span(upgradeTime))
	k.newPath, k.newBy, k.tries = "", time.Time{}, 0
	if k.server.pid != 0 {
		k.server.planned = true
		_ = sysKill(k.server.pid, sigKill)
	}
}

// confirmUpgrade is the last step: PID 1 executes the new binary and goes on with all that it holds.
func (k *keeper) confirmUpgrade() {
	if k.newPath == "" || k.server.pid == 0 || k.server.planned { // planned: it is the old server, which was late
		return
	}
	path := k.newPath
	k.newPath, k.newBy = "", time.Time{}
	if k.closing != nil || k.emergency {
		return // the old binary knows how to end this
	}
	l := k.server.link
	k.quiesce()
	if k.server.link != l {
		logf(logError, "the new server has died just now; PID 1 stays with the old binary")
	}
	if k.closing != nil || k.server.link != l {
		k.goOn()
		return
	}
	err := k.goOver(path)
	logf(logError, "PID 1 cannot go over to %s: %v; it stays with the old binary", path, err)
	k.goOn()
}

// survive goes on after a panic of ours: this process executes its program again, with all that it holds. When even that does not help, a
// machine offers the emergency for ever and a container ends.
func (k *keeper) survive() int {
	if now := sysMono(); now-k.brokeAt > int64(time.Minute) {
		k.panics, k.brokeAt = 0, now
	}
	err := errors.New("it happens again and again")
	if k.panics++; k.panics <= 3 {
		bounded("go on after a panic", 2*time.Second, nil, k.quiesce)
		err = guarded(func() error { return k.goOver(k.program()) })
	}
	why := "a defect of PID 1 itself (see above): " + err.Error()
	if k.one && !k.opts.container {
		return emergencyForEver(why)
	}
	logf(logError, "%s", why)
	return exitLost
}

// goOn reads the link again after quiesce.
func (k *keeper) goOn() {
	k.catch()
	if k.server.link != nil {
		k.server.link.goOn()
		k.listen()
	}
}

// quiesce brings the link to rest before an execve: what was read from it has been taken, what was sent has left, and the rest stays
// in the socket for the next image. A server that dies meanwhile may have been followed by another one.
func (k *keeper) quiesce() {
	for {
		l := k.server.link
		k.takeRead()
		for more := true; more; {
			select {
			case <-k.children:
				k.reap()
			case s := <-k.signals:
				k.onSignal(int(s.(syscall.Signal)))
			default:
				more = false
			}
		}
		if k.server.link == l {
			if l != nil {
				l.flush(time.Second)
			}
			return
		}
	}
}

// takeRead ends the reading of the link, after what was read has been taken. That may be the end of the server, so that there is no link any more.
func (k *keeper) takeRead() {
	if k.server.link == nil {
		return
	}
	read := k.server.read
	k.server.link.pause()
	for {
		select {
		case f := <-k.packets:
			k.onPacket(f)
		case <-read:
			return
		}
	}
}

// lastWords takes what the server sent before it died: pipes of what it was just starting, pids, ends that are saved.
func (k *keeper) lastWords() {
	l := k.server.link
	k.takeRead()
	for {
		n, fds, err := sysRecvPacket(l.fd, l.buf)
		p, ok := decodePacket(l.buf[:max(n, 0)], fds)
		if err != nil || !ok {
			break
		}
		k.onPacket(from{link: l, p: p})
	}
	l.close()
}
