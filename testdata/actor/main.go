// The actor is a static program that tests run as a service where there is nothing else: in empty images. It does one word after the other.
package main

import (
	"fmt"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"
	"unsafe"
)

func main() {
	for _, word := range os.Args[1:] {
		verb, arg, _ := strings.Cut(word, "=")
		act, known := words[verb]
		if !known {
			fmt.Fprintln(os.Stderr, "unknown word", word)
			os.Exit(99)
		}
		act(arg)
	}
}

var words = map[string]func(string){
	"print":  func(s string) { fmt.Println(s) },
	"eprint": func(s string) { fmt.Fprintln(os.Stderr, s) },
	"ids":    func(string) { fmt.Println("ids", os.Getuid(), os.Getgid()) },
	"exit":   func(s string) { os.Exit(number(s)) },
	"sleep":  func(s string) { time.Sleep(time.Duration(number(s)) * time.Millisecond) },
	"block":  func(string) { rest() },
	"ignore": func(s string) { signal.Ignore(syscall.Signal(number(s))) },
	"lock":   lock,
	"once":   once,
	"tick":   func(s string) { appendTo(s, os.Getenv("ZINIT_INVOCATION_ID")+"\n") },
	"touch":  func(s string) { appendTo(s, "") },
	"await":  await,
	"pings":  pings,
	// die ends by a signal.
	"die": func(s string) {
		signal.Reset()
		_ = syscall.Kill(os.Getpid(), syscall.Signal(number(s)))
		rest()
	},
	// on=SIGNAL:CODE exits with CODE when the signal comes.
	"on": func(s string) {
		sig, code, _ := strings.Cut(s, ":")
		c := make(chan os.Signal, 1)
		signal.Notify(c, syscall.Signal(number(sig)))
		go func() {
			<-c
			os.Exit(number(code))
		}()
	},
	// sign=SIGNAL:FILE appends the name of the service to a file and exits.
	"sign": func(s string) {
		sig, file, _ := strings.Cut(s, ":")
		c := make(chan os.Signal, 1)
		signal.Notify(c, syscall.Signal(number(sig)))
		go func() {
			<-c
			appendTo(file, os.Getenv("ZINIT_SERVICE")+"\n")
			os.Exit(0)
		}()
	},
	"signals": echo,
	"orphans": orphans,
	"count":   count,
	"fork":    func(s string) { fork(strings.Split(s, ","), false) },
	"daemon":  func(s string) { fork(strings.Split(s, ","), true) },
	"stop":    func(s string) { _ = syscall.Kill(os.Getpid(), syscall.Signal(number(s))) },
	"syslog":  func(s string) { syslog("<13>Nov 23 04:00:00 " + s) },
	"rawlog":  syslog,
	// syslogs=N:MICROSECONDS sends the numbers from 1 to N in that pace.
	"syslogs": func(s string) {
		n, pace, _ := strings.Cut(s, ":")
		for i := range number(n) {
			syslog("<13>Nov 23 04:00:00 " + strconv.Itoa(i+1))
			time.Sleep(time.Duration(number(pace)) * time.Microsecond)
		}
	},
	// uptime prints how long the kernel has been running, in milliseconds.
	"uptime": func(string) {
		var ts syscall.Timespec
		_, _, _ = syscall.Syscall(syscall.SYS_CLOCK_GETTIME, 7, uintptr(unsafe.Pointer(&ts)), 0)
		fmt.Println("uptime", ts.Nano()/1e6)
	},
	"setsid": func(string) { _, _ = syscall.Setsid() },
	// long=LETTER:N prints N lines of 300 times that letter.
	"long": func(s string) {
		letter, n, _ := strings.Cut(s, ":")
		line := []byte(strings.Repeat(letter, 300) + "\n")
		for range number(n) {
			_, _ = os.Stdout.Write(line)
		}
	},
	"tty": func(string) {
		var pgrp int32
		_, _, e := syscall.Syscall(syscall.SYS_IOCTL, 0, syscall.TIOCGPGRP, uintptr(unsafe.Pointer(&pgrp)))
		fmt.Println("tty", e == 0, "foreground", int(pgrp) == syscall.Getpgrp())
	},
	"eat": func(s string) {
		b := make([]byte, number(s)<<20)
		for i := range b {
			b[i] = 1
		}
		fmt.Println("ate", len(b))
	},
}

func rest() {
	for {
		time.Sleep(time.Hour)
	}
}

func number(s string) int {
	n, err := strconv.Atoi(s)
	if err != nil {
		fmt.Fprintln(os.Stderr, "not a number:", s)
		os.Exit(99)
	}
	return n
}

func appendTo(file, text string) {
	f, err := os.OpenFile(file, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o666)
	if err == nil {
		_, err = f.WriteString(text)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(97)
	}
	f.Close()
}

func await(file string) {
	for _, err := os.Stat(file); err != nil; _, err = os.Stat(file) {
		time.Sleep(2 * time.Millisecond)
	}
}

// lock holds a lock on FILE until we end. When somebody has it there are two of us, and FILE.double says so.
func lock(file string) {
	fd, err := syscall.Open(file, syscall.O_CREAT|syscall.O_RDWR|syscall.O_CLOEXEC, 0o666)
	if err == nil {
		err = syscall.Flock(fd, syscall.LOCK_EX|syscall.LOCK_NB)
	}
	if err != nil {
		appendTo(file+".double", err.Error()+"\n")
		os.Exit(98)
	}
}

// once makes FILE; when it is there already FILE.double says so.
func once(file string) {
	if f, err := os.OpenFile(file, os.O_CREATE|os.O_EXCL, 0o666); err != nil {
		appendTo(file+".double", err.Error()+"\n")
	} else {
		f.Close()
	}
}

// echo prints each signal that comes, those that can be caught, and ends with 0 after the signal QUIT.
func echo(string) {
	c := make(chan os.Signal, 100)
	for n := 1; n < 65; n++ {
		if n != 17 && n != 23 {
			signal.Notify(c, syscall.Signal(n))
		}
	}
	fmt.Println("ready")
	for s := range c {
		fmt.Println("got", int(s.(syscall.Signal)))
		if s == syscall.SIGQUIT {
			os.Exit(0)
		}
	}
}

// orphans=N makes N processes that end, and whose parents end before anybody waited for them.
func orphans(s string) {
	for range number(s) / 100 {
		if pid := brood(100); pid > 0 {
			_, _ = syscall.Wait4(int(pid), nil, 0, nil)
		}
	}
	fmt.Println("orphaned", s)
}

// brood forks a process that forks n which end at once, and ends. In the copies only system calls are made: Go has one thread there.
//
//go:norace
//go:nosplit
func brood(n int) uintptr {
	pid, _, _ := syscall.RawSyscall6(syscall.SYS_CLONE, uintptr(syscall.SIGCHLD), 0, 0, 0, 0, 0)
	if pid != 0 {
		return pid
	}
	for i := 0; i < n; i++ {
		if pid, _, _ := syscall.RawSyscall6(syscall.SYS_CLONE, uintptr(syscall.SIGCHLD), 0, 0, 0, 0, 0); pid == 0 {
			syscall.RawSyscall(syscall.SYS_EXIT_GROUP, 7, 0, 0)
		}
	}
	syscall.RawSyscall(syscall.SYS_EXIT_GROUP, 0, 0, 0)
	return 0
}

// fork starts the actor with other words; wait: by way of a parent that has ended when this returns.
func fork(list []string, wait bool) {
	self := "/proc/self/exe"
	if _, err := os.Stat(self); err != nil {
		self = os.Args[0]
	}
	pid, err := syscall.ForkExec(self, append([]string{os.Args[0]}, list...), &syscall.ProcAttr{Env: os.Environ(), Files: []uintptr{0, 1, 2}})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(95)
	}
	if wait {
		_, _ = syscall.Wait4(pid, nil, 0, nil)
	}
}

// count=FILE:MICROSECONDS prints the numbers from 1 on, one a line, in that pace, for ever. FILE holds "LAST GAP": the last number that was
// printed whole, and the longest time in microseconds that a write has taken. SIGTERM ends it with 0.
func count(arg string) {
	file, pace, _ := strings.Cut(arg, ":")
	fd, err := syscall.Open(file, syscall.O_CREAT|syscall.O_RDWR|syscall.O_CLOEXEC, 0o666)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(97)
	}
	end := make(chan os.Signal, 1)
	signal.Notify(end, syscall.SIGTERM)
	tick := time.NewTicker(time.Duration(number(pace)) * time.Microsecond)
	var most time.Duration
	for n := 1; ; n++ {
		began := time.Now()
		if _, err := os.Stdout.WriteString(strconv.Itoa(n) + "\n"); err != nil {
			_, _ = syscall.Pwrite(fd, []byte("broken "+err.Error()), 0)
			os.Exit(96)
		}
		most = max(most, time.Since(began))
		_, _ = syscall.Pwrite(fd, fmt.Appendf(nil, "%-10d %-10d\n", n, most.Microseconds()), 0)
		select {
		case <-end:
			os.Exit(0)
		case <-tick.C:
		}
	}
}

// syslog sends one message as syslog(3) does.
func syslog(text string) {
	fd, err := syscall.Socket(syscall.AF_UNIX, syscall.SOCK_DGRAM, 0)
	if err == nil {
		err = syscall.Sendto(fd, []byte(text), 0, &syscall.SockaddrUnix{Name: "/dev/log"})
		syscall.Close(fd)
	}
	if err != nil {
		fmt.Println("syslog:", err)
	}
}

// pings=N asks the server of the machine so many times, one every 50 ms, and prints the longest that an answer took.
func pings(s string) {
	fd, err := syscall.Socket(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
	if err == nil {
		err = syscall.Connect(fd, &syscall.SockaddrUnix{Name: "/run/zinit.sock"})
	}
	var slowest time.Duration
	answer := make([]byte, 4096)
	for range number(s) {
		begin := time.Now()
		if err == nil {
			_, err = syscall.Write(fd, []byte(`{"jsonrpc":"2.0","id":1,"method":"system.ping"}`+"\n"))
		}
		if err == nil {
			_, err = syscall.Read(fd, answer)
		}
		slowest = max(slowest, time.Since(begin))
		time.Sleep(50 * time.Millisecond)
	}
	fmt.Println("slowest", slowest.Milliseconds(), "ms", err)
}
