// sys_term_unix.go reads and changes the state of a terminal, and stops this process as a terminal does.

//go:build unix

package main

import (
	"os"
	"os/signal"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// termState is how a terminal treats what is typed and written.
type termState = unix.Termios

// waitReadable waits until there is something to read, or the end of it; false after so many milliseconds. Less than 0 is for ever.
func waitReadable(fd, ms int) bool {
	for {
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, ms)
		if err != unix.EINTR {
			return n != 0
		}
	}
}

// terminalSignals tells of a new size, and of job control: isStop asks us to stop. From then on nothing else does so on our behalf: the
// runtime keeps its handler of SIGTSTP for as long as the program runs.
func terminalSignals(ch chan os.Signal) {
	signal.Notify(ch, unix.SIGWINCH, unix.SIGCONT, unix.SIGTSTP)
}

func isStop(sig os.Signal) bool { return sig == unix.SIGTSTP }

// suspend asks our process group to stop, as a terminal does for Ctrl-Z.
func suspend() { _ = unix.Kill(0, unix.SIGTSTP) }

// stopUntilContinued stops this process, unless its process group is orphaned: like the system we then ignore SIGTSTP, as nobody could
// continue us. A parent of our own group counts as one that has a shell above it, unless it leads the session.
func stopUntilContinued() {
	session, _ := unix.Getsid(0)
	parent := os.Getppid()
	theirs, err := unix.Getsid(parent)
	if parent <= 0 || err != nil || theirs != session {
		return
	}
	if group, err := unix.Getpgid(parent); err != nil || group == unix.Getpgrp() && parent == session {
		return
	}
	continued := make(chan os.Signal, 1)
	signal.Notify(continued, unix.SIGCONT)
	defer signal.Stop(continued)
	if unix.Kill(os.Getpid(), unix.SIGSTOP) == nil {
		<-continued
	}
}

// sysForeground runs a program on our terminal until it ends, and says how it failed, if so.
func sysForeground(path string, argv []string) (failure string, err error) {
	pid, err := syscall.ForkExec(path, argv, &syscall.ProcAttr{Env: os.Environ(), Files: []uintptr{0, 1, 2}})
	if err != nil {
		return "", &os.PathError{Op: "fork/exec", Path: path, Err: err}
	}
	var status syscall.WaitStatus
	for err = syscall.EINTR; err == syscall.EINTR; {
		_, err = syscall.Wait4(pid, &status, 0, nil)
	}
	switch {
	case status.Signaled():
		failure = "signal: " + status.Signal().String()
	case status != 0:
		failure = "exit status " + strconv.Itoa(status.ExitStatus())
	}
	return failure, err
}

// terminalSize gives the size of the terminal that fd is, 80×24 where it does not know its own; ok is false when it is none.
func terminalSize(fd int) (cols, rows int, ok bool) {
	if _, err := unix.IoctlGetTermios(fd, ioctlGetTermios); err != nil {
		return 0, 0, false
	}
	ws, err := unix.IoctlGetWinsize(fd, unix.TIOCGWINSZ)
	if err != nil || ws.Col == 0 || ws.Row == 0 {
		return 80, 24, true
	}
	return int(ws.Col), int(ws.Row), true
}

// terminalRaw makes a terminal hand over each key at once, unchanged and not shown (cfmakeraw of termios(3)), and returns how it was.
func terminalRaw(fd int) (*termState, error) {
	before, err := unix.IoctlGetTermios(fd, ioctlGetTermios)
	if err != nil {
		return nil, err
	}
	raw := *before
	raw.Iflag &^= unix.IGNBRK | unix.BRKINT | unix.PARMRK | unix.ISTRIP | unix.INLCR | unix.IGNCR | unix.ICRNL | unix.IXON
	raw.Oflag &^= unix.OPOST
	raw.Lflag &^= unix.ECHO | unix.ECHONL | unix.ICANON | unix.ISIG | unix.IEXTEN
	raw.Cflag = raw.Cflag&^(unix.CSIZE|unix.PARENB) | unix.CS8
	raw.Cc[unix.VMIN], raw.Cc[unix.VTIME] = 1, 0
	return before, unix.IoctlSetTermios(fd, ioctlSetTermios, &raw)
}

// terminalSet puts a terminal into a state that it had before.
func terminalSet(fd int, state *termState) error {
	return unix.IoctlSetTermios(fd, ioctlSetTermios, state)
}
