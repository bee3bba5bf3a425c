// init_cmd.go runs CMD, the main program of a container, and passes signals on to it; it knows nothing of services.

//go:build linux

package main

import (
	"cmp"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// mainProgram is CMD: what runs in the foreground of the container.
type mainProgram struct {
	commandRecord
	startAt time.Time // at the latest
}

func (k *keeper) commandState() packet {
	p := packet{op: opCommand, a: int64(k.cmd.PID)}
	switch {
	case k.cmd.Ended:
		p.text, p.b = "ended", int64(k.cmd.Status)
	case k.cmd.Started:
		p.text = "running"
	}
	p.text += "\x00" + strings.Join(k.opts.cmd, "\x00")
	return p
}

// startCommand runs CMD, once. One that cannot be executed ends the container: 127 when it is not there, else 126.
func (k *keeper) startCommand() {
	k.cmd.startAt = time.Time{}
	if k.cmd.Started || len(k.opts.cmd) == 0 || k.closing != nil {
		if k.server.link != nil {
			k.server.link.send(k.commandState())
		}
		return
	}
	k.cmd.Started = true
	path, err := lookCommand(k.opts.cmd[0])
	if err == nil {
		k.cmd.PID, k.cmd.TTY, err = sysForkCommand(path, k.opts.cmd)
	}
	if err != nil {
		code := 126
		if os.IsNotExist(err) {
			code = 127
		}
		logf(logError, "cannot run %s: %v", visible(k.opts.cmd[0]), err)
		k.cmd.Ended, k.cmd.Status = true, uint32(code)<<8
		k.shutdown(powerExit, code, false)
	}
	if k.server.link != nil {
		k.server.link.send(k.commandState())
	}
}

// lookCommand finds a program as execvp(3) does: through PATH unless its name has a slash.
func lookCommand(name string) (string, error) {
	if strings.ContainsRune(name, '/') {
		return name, nil
	}
	for _, dir := range filepath.SplitList(os.Getenv("PATH")) {
		p := path.Join(cmp.Or(dir, "."), name)
		if st, err := os.Stat(p); err == nil && !st.IsDir() && st.Mode()&0o111 != 0 {
			return p, nil
		}
	}
	return "", os.ErrNotExist
}

// commandEnded is the end of the container: the services are stopped, and its code counts.
func (k *keeper) commandEnded(status uint32) {
	how := decodeStatus(status)
	code := how.Code
	if how.Signal != 0 {
		code = 128 + how.Signal
	}
	if slices.Contains(k.opts.okCodes, code) {
		code = 0
	}
	k.cmd.PID, k.cmd.Ended, k.cmd.Status = 0, true, status
	if k.cmd.TTY {
		sysTakeTerminal()
	}
	if k.closing != nil && !k.closing.fixed {
		k.closing.code = code
	}
	if k.server.link != nil {
		k.server.link.send(k.commandState())
	}
	k.shutdown(powerExit, code, false)
}

// signalForCommand passes a signal on to CMD, as --rewrite says, as often as it comes.
func (k *keeper) signalForCommand(n int) {
	stop := n == sigTerm || n == sigInt
	if to, mapped := k.opts.rewrite[n]; mapped {
		if n = to; n == 0 {
			return
		}
	}
	if k.cmd.PID == 0 {
		if stop || k.cmd.Ended {
			k.shutdown(powerExit, 0, stop)
		}
		return
	}
	k.signalCommand(n)
	if stop {
		k.cmd.Asked = true
		k.shutdown(powerExit, 0, false)
	}
}

func (k *keeper) signalCommand(n int) {
	if k.cmd.PID == 0 {
		return
	}
	pid := k.cmd.PID
	if k.opts.group {
		pid = -pid
	}
	if err := sysKill(pid, n); err != nil {
		logf(logWarn, "cannot send %s to CMD: %v", signalName(n), err)
	}
}

// commandStopped continues a CMD that a terminal signal stopped, for nobody else would. When we are not PID 1 there is a shell above us:
// then we stop too, and CMD goes on when we are continued.
func (k *keeper) commandStopped(pid, sig int) {
	if pid != k.cmd.PID || pid == 0 {
		return
	}
	switch sig {
	case sigTstp, sigTtin, sigTtou:
	default:
		return
	}
	if !k.one {
		sysTakeTerminal()
		_ = sysKill(os.Getpid(), sigStop)
		if k.cmd.TTY {
			sysGiveTerminal(k.cmd.PID)
		}
	}
	_ = sysKill(-k.cmd.PID, sigCont)
}
