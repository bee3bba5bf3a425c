// soak.go is what the services of the soak test do: they prove that they are alone, number what they print, and leave strays behind.
package main

import (
	"fmt"
	"math/rand/v2"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"
)

func init() {
	words["sole"] = sole
	words["serial"] = serial
	words["doze"] = doze
	words["maybe"] = func(s string) {
		if rand.IntN(100) < number(s) {
			os.Exit(1)
		}
	}
	words["port"] = listen
	words["stray"] = stray
	words["leave"] = leave
	words["mark"] = func(string) {}
}

// sole=DIR/NAME locks DIR/NAME.lock until we end, and adds this start's id to DIR/NAME.ids. When somebody has the lock there are two of us, and
// DIR/NAME.double says so.
func sole(path string) {
	id := os.Getenv("ZINIT_INVOCATION_ID")
	fd, err := syscall.Open(path+".lock", syscall.O_CREAT|syscall.O_RDWR|syscall.O_CLOEXEC, 0o666)
	if err == nil {
		err = syscall.Flock(fd, syscall.LOCK_EX|syscall.LOCK_NB)
	}
	if err != nil {
		holder, _ := os.ReadFile(path + ".lock")
		appendTo(path+".double", fmt.Sprintf("%s %s pid %d: %v, beside %s\n", os.Getenv("ZINIT_SERVICE"), id, os.Getpid(), err, holder))
		os.Exit(98)
	}
	text := fmt.Sprintf("%s %s pid %d ", os.Getenv("ZINIT_SERVICE"), id, os.Getpid())
	_, _ = syscall.Pwrite(fd, []byte(text), 0)
	appendTo(path+".ids", id+"\n")
}

// serial=DIR/NAME:MICROSECONDS:LINES prints so many lines "ID NUMBER" at once in that pace, for ever, in writes that are whole or not there at all.
// DIR/NAME-ID.last holds the last number that was printed for certain. SIGTERM ends it with 0.
func serial(arg string) {
	f := strings.Split(arg, ":")
	id, many := os.Getenv("ZINIT_INVOCATION_ID"), number(f[2])
	fd, err := syscall.Open(f[0]+"-"+id+".last", syscall.O_CREAT|syscall.O_RDWR|syscall.O_CLOEXEC, 0o666)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(97)
	}
	end := make(chan os.Signal, 1)
	signal.Notify(end, syscall.SIGTERM)
	for n := 0; ; {
		text := make([]byte, 0, 4096)
		for range many {
			n++
			text = append(append(append(text, id...), ' '), strconv.Itoa(n)...)
			text = append(text, '\n')
		}
		if wrote, err := os.Stdout.Write(text); err != nil || wrote != len(text) || len(text) > 4096 {
			os.Exit(96)
		}
		_, _ = syscall.Pwrite(fd, fmt.Appendf(nil, "%-10d", n), 0)
		select {
		case <-end:
			os.Exit(0)
		case <-time.After(time.Duration(number(f[1])) * time.Microsecond):
		}
	}
}

// doze=MIN:MAX sleeps for some milliseconds in between.
func doze(s string) {
	least, most, _ := strings.Cut(s, ":")
	time.Sleep(time.Duration(number(least)+rand.IntN(number(most)-number(least)+1)) * time.Millisecond)
}

// listen=PORT accepts and closes connections of 127.0.0.1 for ever.
func listen(s string) {
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err == nil {
		_ = syscall.SetsockoptInt(fd, syscall.SOL_SOCKET, syscall.SO_REUSEADDR, 1)
		err = syscall.Bind(fd, &syscall.SockaddrInet4{Port: number(s), Addr: [4]byte{127, 0, 0, 1}})
	}
	if err == nil {
		err = syscall.Listen(fd, 16)
	}
	for err == nil {
		var conn int
		if conn, _, err = syscall.Accept(fd); err == nil {
			syscall.Close(conn)
		}
	}
	fmt.Fprintln(os.Stderr, err)
	os.Exit(96)
}

// stray=DIR:MS makes, by a double fork, a process in a session of its own that ignores SIGTERM and stays for so long; 0: for ever. DIR is
// seen in its command line. stray=DIR:MS:clean takes its environment from it, too.
func stray(arg string) {
	env := os.Environ()
	if strings.HasSuffix(arg, ":clean") {
		env = []string{}
	}
	pid, err := syscall.ForkExec("/proc/self/exe", []string{os.Args[0], "setsid", "leave=" + arg}, &syscall.ProcAttr{Env: env, Files: []uintptr{0, 1, 2}})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(95)
	}
	_, _ = syscall.Wait4(pid, nil, 0, nil)
}

func leave(arg string) {
	f := strings.Split(arg, ":")
	rest := "sleep=" + f[1]
	if f[1] == "0" {
		rest = "block"
	}
	_, _ = syscall.ForkExec("/proc/self/exe", []string{os.Args[0], "mark=" + f[0], "ignore=15", rest}, &syscall.ProcAttr{Env: os.Environ(), Files: []uintptr{0, 1, 2}})
	os.Exit(0)
}
