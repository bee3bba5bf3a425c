// sys_linux.go has the calls of Linux that are in none of the parts sys_*_linux.go; no decisions are made there.

package main

import (
	"errors"
	"os"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// sysMakeRoom has the kernel enlarge the table of descriptors for n more, at once and ahead of time: each time that it doubles the table
// of a process with threads, whoever needed the next descriptor waits some 10 ms (expand_fdtable in fs/file.c, synchronize_rcu).
func sysMakeRoom(n int) {
	const others = 1000
	var limit unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &limit) != nil {
		return
	}
	if fd, err := unix.FcntlInt(uintptr(nullFile()), unix.F_DUPFD_CLOEXEC, int(min(uint64(n+others), limit.Cur-1))); err == nil {
		unix.Close(fd)
	}
}

// peerOf asks the kernel who is at the other end of a Unix socket: SO_PEERCRED and SO_PEERGROUPS of socket(7).
func peerOf(sock syscall.Conn) (p peer) {
	raw, err := sock.SyscallConn()
	if err != nil {
		return p
	}
	raw.Control(func(fd uintptr) {
		cred, err := unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
		if err != nil {
			return
		}
		p = peer{known: true, pid: int(cred.Pid), uid: int(cred.Uid), groups: []int{int(cred.Gid)}}
		var groups [1024]uint32
		size := uint32(unsafe.Sizeof(groups))
		_, _, errno := unix.Syscall6(unix.SYS_GETSOCKOPT, fd, unix.SOL_SOCKET, unix.SO_PEERGROUPS,
			uintptr(unsafe.Pointer(&groups)), uintptr(unsafe.Pointer(&size)), 0)
		if errno != 0 {
			return
		}
		for _, g := range groups[:size/4] {
			p.groups = append(p.groups, int(g))
		}
	})
	return p
}

// sysWaitFor is sysWait for one pid: 0 it runs, negative it is no child.
func sysWaitFor(pid int) (int, uint32) {
	var status uint32
	for {
		got, _, errno := unix.RawSyscall6(unix.SYS_WAIT4, uintptr(pid), uintptr(unsafe.Pointer(&status)), unix.WNOHANG, 0, 0, 0)
		switch errno {
		case 0:
			return int(got), status
		case unix.EINTR:
		default:
			return -1, 0
		}
	}
}

func sysKill(pid, sig int) error { return unix.Kill(pid, syscall.Signal(sig)) }

func sysClose(fd int) error { return unix.Close(fd) }

// pidfdGroup is PIDFD_SIGNAL_PROCESS_GROUP (Linux 6.9): the signal goes to the group, and to no later one with the same number.
const pidfdGroup = 1 << 2

// sysKillGroup signals the process group pgid. With the pidfd of its leader it cannot meet a reused number.
func sysKillGroup(pgid, pidfd, sig int) error {
	if pidfd >= 0 {
		err := unix.PidfdSendSignal(pidfd, syscall.Signal(sig), nil, pidfdGroup)
		if err == nil || err == unix.ESRCH {
			return err
		}
		if err := unix.PidfdSendSignal(pidfd, 0, nil, 0); err == unix.ESRCH {
			return err
		}
	}
	return unix.Kill(-pgid, syscall.Signal(sig))
}

// sysKillMain signals the leader of a group alone.
func sysKillMain(pid, pidfd, sig int) error {
	if pidfd >= 0 {
		if err := unix.PidfdSendSignal(pidfd, syscall.Signal(sig), nil, 0); err == nil || err == unix.ESRCH {
			return err
		}
	}
	return unix.Kill(pid, syscall.Signal(sig))
}

// sysKillOne signals one process if it is still the one we know; kernels without pidfd leave a window of microseconds.
func sysKillOne(k procID, sig int) error {
	fd, err := unix.PidfdOpen(k.pid, 0)
	if err == unix.ESRCH {
		return err
	}
	if err == nil {
		defer unix.Close(fd)
	}
	st, statErr := readStat(k.pid)
	if statErr != nil || st.Start != k.start {
		return unix.ESRCH
	}
	if err == nil {
		return unix.PidfdSendSignal(fd, syscall.Signal(sig), nil, 0)
	}
	return unix.Kill(k.pid, syscall.Signal(sig))
}

// sysPidfd opens a descriptor that means this process and no later one with its pid.
func sysPidfd(pid int) (int, error) {
	fd, err := unix.PidfdOpen(pid, unix.PIDFD_NONBLOCK)
	if err == unix.EINVAL { // before Linux 5.10
		fd, err = unix.PidfdOpen(pid, 0)
	}
	if err != nil {
		return -1, err
	}
	return fd, nil
}

// sysPidfdAlive says whether the process has not ended.
func sysPidfdAlive(pidfd int) bool {
	fds := []unix.PollFd{{Fd: int32(pidfd), Events: unix.POLLIN}}
	n, err := unix.Poll(fds, 0)
	return err == nil && n == 0
}

// pidWatch waits for the end of any number of processes with one descriptor: an epoll instance that the Go poller waits for, so that no thread does.
type pidWatch struct {
	ep   int
	file *os.File
}

// newEpoll makes an epoll instance that is a file of the runtime's poller too: to wait for it takes no thread.
func newEpoll(name string) (fd int, file *os.File, err error) {
	fd, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return -1, nil, os.NewSyscallError("epoll_create1", err)
	}
	if err := unix.SetNonblock(fd, true); err != nil { // os.NewFile polls non-blocking descriptors only
		return -1, nil, errors.Join(err, unix.Close(fd))
	}
	return fd, os.NewFile(uintptr(fd), name), nil
}

// newPidWatch reports each pidfd whose process ended once, from one goroutine.
func newPidWatch(ended func(pidfd int)) (*pidWatch, error) {
	ep, file, err := newEpoll("pidfds")
	if err != nil {
		return nil, err
	}
	w := &pidWatch{ep: ep, file: file}
	raw, err := w.file.SyscallConn()
	if err != nil {
		return nil, errors.Join(err, w.file.Close())
	}
	background("pidfds", func() {
		events := make([]unix.EpollEvent, 64)
		_ = raw.Read(func(uintptr) bool {
			for {
				n, err := unix.EpollWait(ep, events, 0)
				if n <= 0 && err != unix.EINTR {
					return false // wait for more, until the file is closed
				}
				for _, e := range events[:max(n, 0)] {
					ended(int(e.Fd))
				}
			}
		})
	})
	return w, nil
}

func (w *pidWatch) add(pidfd int) error {
	return unix.EpollCtl(w.ep, unix.EPOLL_CTL_ADD, pidfd, &unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLONESHOT, Fd: int32(pidfd)})
}

func (w *pidWatch) close() { _ = w.file.Close() }

func sysOpenNull() (int, error) { return unix.Open("/dev/null", unix.O_RDWR|unix.O_CLOEXEC, 0) }

// sigRtmax is the last real-time signal (signal(7)).
var sigRtmax = func() int {
	if strings.HasPrefix(runtime.GOARCH, "mips") {
		return 127
	}
	return 64
}()

// sysKillAll signals everything that is not us: all processes as PID 1, else all that descend from us.
func sysKillAll(one bool, sig int) {
	if one {
		_ = unix.Kill(-1, syscall.Signal(sig))
		return
	}
	for _, k := range descendantsOf(os.Getpid()) {
		_ = unix.Kill(k.pid, syscall.Signal(sig))
	}
}

// sysMono is CLOCK_MONOTONIC in nanoseconds: it goes on over a restart of ours, not over one of the machine.
func sysMono() int64 {
	var ts unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts)
	return ts.Nano()
}

// sysSuspended is how long the system has been suspended since it was booted: CLOCK_MONOTONIC stands still then.
func sysSuspended() time.Duration {
	var ts unix.Timespec
	if unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts) != nil {
		return 0
	}
	return max(0, time.Duration(ts.Nano()-sysMono()))
}

// The calls by which the state of a terminal is read and set (termios(3)).
const ioctlGetTermios, ioctlSetTermios = unix.TCGETS, unix.TCSETS

// unescapeOctal undoes \040 and the like, by which fstab and /proc write blanks in names.
func unescapeOctal(s string) string {
	if strings.IndexByte(s, '\\') < 0 {
		return s
	}
	var out []byte
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+3 < len(s) {
			if n, err := strconv.ParseUint(s[i+1:i+4], 8, 8); err == nil && n != 0 {
				out = append(out, byte(n))
				i += 3
				continue
			}
		}
		out = append(out, s[i])
	}
	return string(out)
}

// sysMountPoints lists where something is mounted (proc_pid_mountinfo(5)). It touches none of them.
func sysMountPoints() ([]string, error) {
	text, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return nil, err
	}
	var points []string
	for _, line := range strings.Split(string(text), "\n") {
		if f := strings.Fields(line); len(f) > 4 {
			points = append(points, unescapeOctal(f[4]))
		}
	}
	return points, nil
}
