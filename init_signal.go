// init_signal.go says what each signal to the keeper means (an upgrade goes on in init_upgrade.go); signals to services are in supervisor_kill.go.

//go:build linux

package main

import (
	"os"
	"os/signal"
	"syscall"
)

// catch has all signals reported that can be caught, but for those that the runtime uses itself. Those that report a fault (SEGV and its like) come here only
// when somebody sent them. One that finds its channel full is dropped (os/signal), so those that come as often
// as children end have one of their own, where one stands for many.
func (k *keeper) catch() {
	var all []os.Signal
	for n := 1; n <= 64; n++ {
		switch n {
		case sigKill, sigStop, sigUrg, sigProf, sigChld, 32, 33, 34:
			continue
		}
		all = append(all, syscall.Signal(n))
	}
	signal.Notify(k.signals, all...)
	signal.Notify(k.children, syscall.SIGCHLD)
	sysShield()
}

// onSignal does what a signal to PID 1 means: the tables are in docs/container.md and docs/machine.md.
func (k *keeper) onSignal(s int) {
	if s == sigPipe && (sysUnread(1) || sysUnread(2)) {
		return // of a write of our own
	}
	if len(k.opts.cmd) > 0 {
		k.signalForCommand(s)
		return
	}
	var kind powerKind
	switch {
	case s == sigTerm, s == sigQuit:
		kind = powerOff
	case s == sigInt:
		kind = powerReboot
	case s == sigPwr, s == sigRtmin+4:
		kind = powerOff
	case s == sigRtmin+3:
		kind = powerHalt
	case s == sigRtmin+5:
		kind = powerReboot
	case s == sigUsr1:
		logf(logInfo, "replacing the server; services run on")
		k.handover()
		return
	case s == sigUsr2:
		k.tryUpgrade("")
		return
	case s == sigHup:
		k.tell("reload")
		return
	case s == sigWinch && k.opts.container && !k.winched:
		k.winched = true
		logf(logWarn, "SIGWINCH stops nothing here; if it is the STOPSIGNAL of the image, as it is in those of some web servers, set STOPSIGNAL SIGTERM in its Dockerfile")
		return
	default:
		return
	}
	k.shutdown(kind, 0, s == sigTerm || s == sigInt || s == sigQuit)
}
