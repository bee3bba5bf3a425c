// logs_syslog.go takes the messages of syslog(3) from their socket into the logs of the services that sent them.

//go:build !windows

package main

import (
	"errors"
	"os"
	"strings"
	"syscall"
	"time"
)

// syslogWait is how long a message may wait for the file that it goes into, before the next one is looked at.
const syslogWait = 100 * time.Millisecond

// serveSyslog reads the socket of syslog(3), fd in file, until it is closed; owner names the service of a process. A message leaves the socket when it has been
// written: a successor of ours, which gets the same socket, finds what we had not done.
func (h *logHub) serveSyslog(file *os.File, fd int, owner func(pid int) string) error {
	raw, err := file.SyscallConn()
	if err != nil {
		return err
	}
	for buf := make([]byte, 2<<10); ; {
		var n, pid int
		var failed error
		if err := raw.Read(func(fd uintptr) bool {
			n, pid, _, _, failed = sysPeekMessage(int(fd), buf)
			return failed != syscall.EAGAIN
		}); err != nil || failed != nil {
			return errors.Join(err, failed)
		}
		if n > len(buf) {
			buf = make([]byte, n)
			continue
		}
		name := owner(pid)
		if name == "" {
			name = syslogName
		}
		h.reading.RLock()
		h.add(name, streamSyslog, syslogText(buf[:n]))
		if f := h.service(name).sinks.Load().file; f != nil {
			f.flush(syslogWait)
		}
		sysDropMessage(fd)
		h.reading.RUnlock()
	}
}

// syslogName is where messages go whose sender belongs to no service.
const syslogName = "syslog"

// syslogText is a message of syslog(3) without its priority and time, which each line has of its own: <13>Nov  5 20:00:01 tag[77]: text
// (RFC 3164, as the C libraries send it). What looks otherwise stays as it is.
func syslogText(b []byte) string {
	text := strings.TrimRight(string(b), "\x00\n")
	rest := text
	if pri, after, found := strings.Cut(text, ">"); found && len(pri) > 1 && len(pri) <= 4 && pri[0] == '<' && strings.Trim(pri[1:], "0123456789") == "" {
		rest = after
	}
	if len(rest) >= 16 && rest[3] == ' ' && rest[6] == ' ' && rest[9] == ':' && rest[12] == ':' && rest[15] == ' ' {
		return rest[16:]
	}
	if strings.HasPrefix(rest, "1 ") { // RFC 5424
		return text
	}
	return rest
}
