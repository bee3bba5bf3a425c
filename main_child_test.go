// main_child_test.go is the program that tests run as a service: it does one word after the other. It never looks at what the test does.

//go:build unix

package main

import (
	"fmt"
	"net"
	"os"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// childArgv is the command line of a child that obeys words:
//
//	print=TEXT      a line to stdout                     eprint=TEXT    a line to stderr
//	write=TEXT      to stdout without a newline          lines=N        the lines 1 … N to stdout
//	flood=N         N bytes to stdout without a newline
//	steady=RATE:MS  the lines 1, 2, … at that pace (lines a second) for so long, then "end" and how many ms it was behind at worst
//	fill            print lines for ever                 pid            print our pid
//	exit=CODE       end with that code                   die=SIGNAL     end by that signal (number or name without SIG)
//	sleep=MS        wait                                 block          wait for ever (signals keep their effect)
//	ignore=SIGNAL   from now on                          on=SIGNAL:CODE exit with CODE when the signal comes, from now on
//	await=FILE      wait until the file exists           touch=FILE     create it, with our pid as its text
//	env=NAME        print the variable (NAME=VALUE, or NAME unset)
//	fds             print the open descriptors: "fd 0 /dev/null" …
//	sigs            print SigBlk, SigIgn of /proc/self/status (the Go runtime of the child has changed them and the limit
//	                of descriptors by then: what was inherited is seen better by a shell)
//	ids             print "uid gid groups"               cwd            print the working directory
//	session         print "pid pgid sid"
//	stdin           read stdin to its end, print how many bytes came
//	closeout        close stdout and stderr
//	screen-panic    take the terminal as the full screen does, and panic
//	listen=PORT     accept and close TCP connections of 127.0.0.1 in the background; 0 = any, printed
//	echo=ADDRESS    listen on a TCP address and send back what comes, in the background; 96: somebody does already
//	fork=W,W…       start a child in our group that obeys these words (commas between), and go on
//	setsid=W,W…     the same in a session of its own, still our child
//	runaway=W,W…    the same by a double fork: nobody's child in a session of its own
//	clean-runaway=W,W…  the same with an empty environment
//	sibling=W,W…    start a child of our parent (CLONE_PARENT) by a process table that does not reap, print its pid or the error
//	crowd=N         have at least N descriptors open from now on; a sibling gets one of the last as its stdout
//	notify=TEXT     send TEXT to NOTIFY_SOCKET; @FILE at its end is the text of a file
//	tellfd=N:TEXT   write TEXT to descriptor N             closefd=N       close it
//	spawn=PROGRAM,ARG…  run another program and wait for its end
//
// After its last word a child exits with 0. The text file of touch appears complete (by rename).
func childArgv(words ...string) []string {
	return append([]string{childProgram(), "@child"}, words...)
}

// init keeps children that were built with the race detector from waiting a second before they end.
func init() {
	if os.Getenv("GORACE") == "" {
		os.Setenv("GORACE", "atexit_sleep_ms=0")
	}
}

func childProgram() string {
	exe, err := os.Executable()
	if err != nil {
		panic(err)
	}
	return exe
}

// childMain obeys its words in order; childArgv describes them.
func childMain(words []string) {
	for _, word := range words {
		verb, arg, _ := strings.Cut(word, "=")
		if !childSays(verb, arg) && !childActs(verb, arg) && !childForks(verb, arg) {
			fmt.Fprintln(os.Stderr, "unknown word", word)
			os.Exit(99)
		}
	}
}

// childSays obeys words that print.
func childSays(verb, arg string) bool {
	switch verb {
	case "print":
		fmt.Println(arg)
	case "eprint":
		fmt.Fprintln(os.Stderr, arg)
	case "write":
		fmt.Print(arg)
	case "lines":
		for i := range number(arg) {
			fmt.Println(i + 1)
		}
	case "flood":
		block := []byte(strings.Repeat("x", 1<<20))
		for n := number(arg); n > 0; n -= len(block) {
			_, _ = os.Stdout.Write(block[:min(n, len(block))])
		}
	case "steady":
		rate, ms, _ := strings.Cut(arg, ":")
		childSteady(number(rate), time.Duration(number(ms))*time.Millisecond)
	case "fill":
		block := []byte(strings.Repeat("the quick brown fox jumps over the lazy dog\n", 1000))
		for {
			if _, err := os.Stdout.Write(block); err != nil {
				os.Exit(98)
			}
		}
	case "pid":
		fmt.Println(os.Getpid())
	case "env":
		if v, ok := os.LookupEnv(arg); ok {
			fmt.Println(arg + "=" + v)
		} else {
			fmt.Println(arg, "unset")
		}
	case "fds":
		entries, _ := os.ReadDir("/proc/self/fd")
		for _, e := range entries {
			if to, err := os.Readlink("/proc/self/fd/" + e.Name()); err == nil && !strings.HasPrefix(to, "/proc/") && !strings.HasPrefix(to, "anon_inode:[event") {
				fmt.Println("fd", e.Name(), to)
			}
		}
	case "sigs":
		status, _ := os.ReadFile("/proc/self/status")
		for line := range strings.Lines(string(status)) {
			if strings.HasPrefix(line, "SigBlk:") || strings.HasPrefix(line, "SigIgn:") {
				fmt.Print(line)
			}
		}
	case "ids":
		groups, _ := os.Getgroups()
		fmt.Println(os.Geteuid(), os.Getegid(), groups)
	case "cwd":
		dir, _ := os.Getwd()
		fmt.Println(dir)
	case "stdin":
		n, buf := 0, make([]byte, 512)
		for {
			got, err := os.Stdin.Read(buf)
			n += got
			if err != nil {
				break
			}
		}
		fmt.Println("stdin", n)
	case "session":
		sid, _, _ := syscall.RawSyscall(syscall.SYS_GETSID, 0, 0, 0)
		fmt.Println(os.Getpid(), syscall.Getpgrp(), sid)
	default:
		return false
	}
	return true
}

// childSteady prints lines one by one as they fall due. It is behind by what its log made it wait.
func childSteady(rate int, long time.Duration) {
	began, worst, n := time.Now(), time.Duration(0), 0
	for all := int(long * time.Duration(rate) / time.Second); n < all; {
		past := time.Since(began)
		due := min(all, int(past*time.Duration(rate)/time.Second))
		if n >= due {
			time.Sleep(100 * time.Microsecond)
			continue
		}
		worst = max(worst, past-time.Duration(n)*time.Second/time.Duration(rate))
		for end := min(due, n+100); n < end; n++ {
			_, _ = os.Stdout.WriteString(strconv.Itoa(n+1) + " is the number of this line, which is as long as the lines of a log\n")
		}
	}
	fmt.Println("end", worst.Milliseconds())
}

// childActs obeys words that wait, end or change something.
func childActs(verb, arg string) bool {
	switch verb {
	case "exit":
		os.Exit(number(arg))
	case "die":
		signal.Reset()
		_ = syscall.Kill(os.Getpid(), childSignal(arg))
		select {}
	case "sleep":
		time.Sleep(time.Duration(number(arg)) * time.Millisecond)
	case "block":
		for {
			time.Sleep(time.Hour)
		}
	case "ignore":
		signal.Ignore(childSignal(arg))
	case "on":
		name, code, _ := strings.Cut(arg, ":")
		c := make(chan os.Signal, 1)
		signal.Notify(c, childSignal(name))
		go func() {
			<-c
			os.Exit(number(code))
		}()
	case "await":
		for _, err := os.Stat(arg); err != nil; _, err = os.Stat(arg) {
			time.Sleep(2 * time.Millisecond)
		}
	case "touch":
		if err := os.WriteFile(arg+".new", []byte(strconv.Itoa(os.Getpid())), 0o644); err != nil || os.Rename(arg+".new", arg) != nil {
			os.Exit(97)
		}
	case "screen-panic":
		t := new(terminal)
		if t.take(true) == nil {
			background("screen", func() { defer t.guard(); panic("boom") })
		}
		select {}
	case "crowd":
		for childOut < number(arg) {
			fd, err := syscall.Dup(1)
			if err != nil {
				os.Exit(94)
			}
			syscall.CloseOnExec(fd)
			childOut = fd
		}
	case "notify":
		if text, file, found := strings.Cut(arg, "@"); found {
			data, _ := os.ReadFile(file)
			arg = text + string(data)
		}
		c, err := net.Dial("unixgram", os.Getenv("NOTIFY_SOCKET"))
		if err == nil {
			_, err = c.Write([]byte(arg))
			c.Close()
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(93)
		}
	case "tellfd":
		fd, text, _ := strings.Cut(arg, ":")
		if _, err := syscall.Write(number(fd), []byte(text)); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(92)
		}
	case "closefd":
		_ = syscall.Close(number(arg))
	case "closeout":
		os.Stdout.Close()
		os.Stderr.Close()
	case "listen":
		l, err := net.Listen("tcp", "127.0.0.1:"+arg)
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(96)
		}
		if arg == "0" {
			fmt.Println(l.Addr().(*net.TCPAddr).Port)
		}
		go func() {
			for c, err := l.Accept(); err == nil; c, err = l.Accept() {
				c.Close()
			}
		}()
	case "echo":
		l, err := net.Listen("tcp", arg)
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(96)
		}
		go func() {
			for c, err := l.Accept(); err == nil; c, err = l.Accept() {
				go echo(c)
			}
		}()
	default:
		return false
	}
	return true
}

// childOut is what a sibling gets as its stdout.
var childOut = 1

// childForks obeys words that start children.
func childForks(verb, arg string) bool {
	words, env := strings.Split(arg, ","), os.Environ()
	sys := &syscall.SysProcAttr{}
	argv := childArgv(words...)
	switch verb {
	case "fork":
	case "setsid":
		sys.Setsid = true
	case "clean-runaway":
		env = []string{}
		fallthrough
	case "runaway":
		sys.Setsid = true
		argv = childArgv("setsid=" + arg)
	case "spawn":
		argv = words
	case "sibling":
		p, err := newProcs(false).start(&spec{Path: argv[0], Argv: argv, Env: env, Stdin: -1, Stdout: childOut, Stderr: 2, UID: -1, GID: -1}, "", "", func(exit) {})
		if err != nil {
			fmt.Println(err)
			return true
		}
		fmt.Println(p.pid)
		return true
	default:
		return false
	}
	pid, err := syscall.ForkExec(argv[0], argv, &syscall.ProcAttr{Env: env, Files: []uintptr{0, 1, 2}, Sys: sys})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(95)
	}
	if strings.HasSuffix(verb, "runaway") || verb == "spawn" {
		_, _ = syscall.Wait4(pid, nil, 0, nil)
	}
	return true
}

func number(s string) int {
	n, err := strconv.Atoi(s)
	if err != nil {
		fmt.Fprintln(os.Stderr, "not a number:", s)
		os.Exit(99)
	}
	return n
}

func childSignal(s string) syscall.Signal {
	names := []string{"HUP:1", "INT:2", "QUIT:3", "ABRT:6", "KILL:9", "USR1:10", "SEGV:11", "USR2:12", "PIPE:13", "TERM:15", "CHLD:17", "CONT:18"}
	if i := slices.IndexFunc(names, func(n string) bool { return strings.HasPrefix(n, s+":") }); i >= 0 {
		_, s, _ = strings.Cut(names[i], ":")
	}
	return syscall.Signal(number(s))
}
