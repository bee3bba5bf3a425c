// logs_linux_test.go tests of logs what needs Linux: full disks, terminals, owners of pipes, kills in the middle.

//go:build unix

package main

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// testDupOver makes the descriptor over a duplicate of fd.
func testDupOver(fd, over int) error { return unix.Dup3(fd, over, 0) }

// inMountNamespace runs the calling test again in a mount namespace of its own. It returns true in there.
func inMountNamespace(t *testing.T) bool {
	t.Helper()
	if os.Getenv("ZINIT_TEST_MOUNTS") == t.Name() {
		return true
	}
	if os.Getuid() != 0 {
		skip(t, "a mount needs root")
	}
	cmd := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v")
	cmd.Env = append(os.Environ(), "ZINIT_TEST_MOUNTS="+t.Name())
	cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS}
	out, err := cmd.CombinedOutput()
	if err != nil && strings.Contains(err.Error(), "operation not permitted") {
		skip(t, "unshare is not permitted here")
	}
	if err != nil {
		t.Fatalf("in a mount namespace: %v\n%s", err, out)
	}
	return false
}

func TestRow09_FullDisk(t *testing.T) {
	if !inMountNamespace(t) {
		return
	}
	for _, format := range []string{"raw", "json", "time"} {
		dir := filepath.Join(t.TempDir(), format)
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=64k"); err != nil {
			t.Fatal(err)
		}
		fullDisk(t, dir, format)
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Fatal(err)
		}
	}
}

// fullDisk fills dir by a service that logs, makes room, and sees that the file goes on.
func fullDisk(t *testing.T, dir, format string) {
	h := testHub(t)
	said := captureServerLog(t)
	path := filepath.Join(dir, "app.log")
	ballast := filepath.Join(dir, "ballast")
	if err := os.WriteFile(ballast, make([]byte, 32<<10), 0o600); err != nil {
		t.Fatal(err)
	}
	h.configure("s", loggingDef{BufferLines: 100, File: path, MaxSize: 1 << 20, Keep: 1, Format: logFormat(format)}, false)
	r := testPipes(t, h, "s")
	for i := range 5000 {
		fmt.Fprintf(r.stdout, "this is line %d\n", i)
	}
	eventually(t, "the ring has all", func() bool { l := h.tail("s", 1); return len(l) == 1 && l[0].Text == "this is line 4999" })
	eventually(t, "the trouble is said", func() bool { return strings.Contains(said(), "no space left on device") })
	if text := h.trouble("s"); !strings.HasPrefix(text, "no space left on device; ") || !strings.HasSuffix(text, " lines lost") {
		t.Errorf("its status says %q", text)
	}
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	last := 5000
	eventually(t, format+" file goes on", func() bool {
		fmt.Fprintf(r.stdout, "this is line %d\n", last)
		last++
		return strings.Contains(said(), "works again:")
	})
	if text := h.trouble("s"); text != "" {
		t.Errorf("its status says %q still", text)
	}
	r.end()
	r.drain()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	log := said()
	var lines, bytes int
	if _, err := fmt.Sscanf(log[strings.Index(log, "works again:"):], "works again: %d lines lost (%d bytes)", &lines, &bytes); err != nil {
		t.Fatalf("%v in %q", err, log)
	}
	have := strings.Count(string(b), "\n")
	if strings.Count(log, "no space left") != 1 || have == 0 || have+lines < last-1 || have+lines > last {
		t.Fatalf("%s: %d lines in the file and %d lost of %d; the server says %q", format, have, lines, last, log)
	}
	if format != "raw" {
		for line := range strings.Lines(string(b)) {
			if !strings.Contains(line, "this is line ") || !strings.HasSuffix(line, "\n") {
				t.Fatalf("%s: torn line %q", format, line)
			}
		}
	}
}

func TestRow17_ConsoleHangup(t *testing.T) {
	master, terminal := openPTY(t)
	slave := int(terminal.Fd())
	w := newLineWriter(slave)
	lines := make(chan string, 64)
	go func() {
		buf := make([]byte, 4096)
		for {
			n, err := master.Read(buf)
			if err != nil {
				close(lines)
				return
			}
			lines <- string(buf[:n])
		}
	}()
	w.add([]byte("before\n"))
	if got := <-lines; got != "before\r\n" {
		t.Fatalf("the terminal shows %q", got)
	}
	// Keep the pair alive through another descriptor, as the terminal's owner does, then hang up what we have.
	if os.Getuid() != 0 {
		skip(t, "vhangup of a terminal needs root")
	}
	if err := unix.IoctlSetInt(slave, unix.TIOCVHANGUP, 0); err != nil {
		skip(t, "TIOCVHANGUP is not permitted: "+err.Error())
	}
	if _, err := unix.Write(slave, []byte("x")); err != unix.EIO {
		t.Fatalf("a write after the hang-up: %v, want EIO", err)
	}
	w.add([]byte("after\n"))
	select {
	case got := <-lines:
		if !strings.HasPrefix(got, "after") {
			t.Fatalf("the terminal shows %q", got)
		}
	case <-time.After(patience):
		t.Fatal("nothing arrives after the hang-up")
	}
}

func TestRow17_NoConsole(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	r.Close() // every write fails with EPIPE, and the signal must not kill us
	lw := newLineWriter(int(w.Fd()))
	for range 100 {
		lw.add([]byte("nobody reads\n"))
		lw.flush(patience)
	}
	lw.mu.Lock()
	defer lw.mu.Unlock()
	if lw.lost != 100 || lw.idle != nil {
		t.Fatalf("%d lost, want 100 and no writer that tries for ever", lw.lost)
	}
}

// openPTY makes a pseudo-terminal: our side, and that of a program.
func openPTY(t *testing.T) (master, slave *os.File) {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		skip(t, "no pseudo-terminals here: "+err.Error())
	}
	t.Cleanup(func() { master.Close() })
	n, err := unix.IoctlGetInt(int(master.Fd()), unix.TIOCGPTN)
	if err == nil {
		err = unix.IoctlSetPointerInt(int(master.Fd()), unix.TIOCSPTLCK, 0)
	}
	if err != nil {
		t.Fatal(err)
	}
	slave, err = os.OpenFile("/dev/pts/"+strconv.Itoa(n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		skip(t, "no pseudo-terminals here: "+err.Error())
	}
	t.Cleanup(func() { slave.Close() })
	return master, slave
}

func TestPipesBelongToTheServicesUser(t *testing.T) {
	if os.Getuid() != 0 {
		skip(t, "giving a pipe away needs root")
	}
	h := testHub(t)
	lp, err := h.pipes("s", 1, 65534, 65533)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("/bin/sh", "-c", "echo again >/dev/stdout; echo other >/dev/stderr")
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65533}}
	cmd.Stdout, cmd.Stderr = os.NewFile(uintptr(testDup(t, lp.Out)), "o"), os.NewFile(uintptr(testDup(t, lp.Err)), "e")
	err = cmd.Run()
	cmd.Stdout.(*os.File).Close()
	cmd.Stderr.(*os.File).Close()
	lp.closeWriteEnds()
	lp.drain()
	if err != nil {
		t.Fatal(err)
	}
	got := h.tail("s", 9)
	wantTexts(t, got, "again", "other")
	if got[1].Stream != "stderr" {
		t.Fatalf("got %+v", got)
	}
}

// TestRawFileExactlyOnceOverKill kills a process that pumps a pipe into a raw file again and again; the pipe is held here, as a keeper does.
func TestRawFileExactlyOnceOverKill(t *testing.T) {
	if fd := os.Getenv("ZINIT_TEST_PUMP"); fd != "" {
		h := newLogHub(1)
		h.configure("s", loggingDef{BufferLines: 10, File: os.Getenv("ZINIT_TEST_LOG"), MaxSize: 100_000, Keep: 1000, Format: "raw"}, false)
		if _, err := h.adopt("s", 1, []logEnd{{Stream: "stdout", FD: 3}}, nil); err != nil {
			t.Fatal(err)
		}
		select {}
	}
	path := filepath.Join(t.TempDir(), "app.log")
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	const total = 100_000
	done := make(chan struct{})
	go func() {
		for i := range total {
			fmt.Fprintf(w, "line %d\n", i)
		}
		close(done)
	}()
	pump := func() *exec.Cmd {
		cmd := exec.Command(os.Args[0], "-test.run=^TestRawFileExactlyOnceOverKill$")
		cmd.Env = append(os.Environ(), "ZINIT_TEST_PUMP=3", "ZINIT_TEST_LOG="+path)
		cmd.ExtraFiles = []*os.File{r}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		return cmd
	}
	size := func() (n int64) {
		names, _ := filepath.Glob(path + "*")
		for _, name := range names {
			if fi, err := os.Stat(name); err == nil {
				n += fi.Size()
			}
		}
		return n
	}
	kills := 0
	for finished := false; !finished; kills++ {
		cmd := pump()
		before := size()
		eventually(t, "the pump works", func() bool {
			select {
			case <-done:
				finished = true
			default:
			}
			return finished || size() > before+20_000
		})
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}
	cmd := pump()
	want := 0
	for i := range total {
		want += len(fmt.Sprintf("line %d\n", i))
	}
	eventually(t, "all is in the files", func() bool { return size() >= int64(want) })
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
	next := 0
	for _, part := range readAllParts(t, path) {
		for line := range strings.Lines(string(part)) {
			if line != fmt.Sprintf("line %d\n", next) {
				t.Fatalf("%q where line %d should be, after %d kills", line, next, kills)
			}
			next++
		}
	}
	if next != total || kills < 2 {
		t.Fatalf("%d lines of %d after %d kills", next, total, kills)
	}
}

func TestNoDescriptorStaysOpen(t *testing.T) {
	h := testHub(t)
	testPipes(t, h, "warm up")
	before := sysFDs(os.Getpid())
	for range 300 {
		r := testPipes(t, h, "s")
		io.WriteString(r.stdout, "x\n")
		r.end()
		r.drain()
	}
	noMoreThan(t, before)
}

func TestIdlePipesWakeNobody(t *testing.T) {
	h := testHub(t)
	for i := range 100 {
		testPipes(t, h, fmt.Sprint(i))
	}
	path := filepath.Join(t.TempDir(), "app.log")
	h.configure("0", loggingDef{BufferLines: 10, File: path, MaxSize: 1 << 20, Keep: 1, Format: "raw"}, true)
	h.add("0", "stdout", "one line")
	h.flushLogs(patience)
	f := h.service("0").sinks.Load().file
	f.flush(patience)
	eventually(t, "no worker runs", func() bool { f.mu.Lock(); defer f.mu.Unlock(); return !f.running })
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.watch.Stop() {
		t.Error("the timer of a worker that has ended runs on")
	}
}

// An event that the loop took for a pipe which was then closed must not end the next pipe with that number.
func TestAnOldEventDoesNotEndANewPipe(t *testing.T) {
	h := newLogHub(-1)
	if err := h.keepFifos(t.TempDir()); err != nil {
		t.Fatal(err)
	}
	lp, err := h.pipes("s", 1, -1, -1)
	if err != nil {
		t.Fatal(err)
	}
	h.ready(lp.read[0].fd, newScratch())
	logWrite(lp.Out, []byte("hello\n"))
	lp.closeWriteEnds()
	lp.drain()
	if lines := h.tail("s", 9); len(lines) != 1 || lines[0].Text != "hello" {
		t.Errorf("the service printed hello, the ring has %v", lines)
	}
}

// withSyscallRefused runs the calling test again, where the kernel refuses a system call with an error. It returns true in there.
func withSyscallRefused(t *testing.T, number uint32, errno syscall.Errno) bool {
	t.Helper()
	if os.Getenv("ZINIT_TEST_REFUSED") == "" {
		cmd := exec.Command(os.Args[0], "-test.run=^"+strings.ReplaceAll(t.Name(), "/", "$/^")+"$", "-test.v")
		cmd.Env = append(os.Environ(), "ZINIT_TEST_REFUSED="+t.Name())
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("with it refused: %v\n%s", err, out)
		}
		return false
	}
	filter := []unix.SockFilter{ // seccomp(2): compare the number of the call
		{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS},
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: number, Jf: 1},
		{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ERRNO | uint32(errno)},
		{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ALLOW},
	}
	program := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	runtime.LockOSThread() // no_new_privs belongs to a thread, until the filter is given to all of them
	defer runtime.UnlockOSThread()
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		t.Fatal(err)
	}
	if _, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, unix.SECCOMP_FILTER_FLAG_TSYNC, uintptr(unsafe.Pointer(&program))); errno != 0 {
		t.Fatal(errno)
	}
	return true
}

// TestRawFileWithoutSplice: where tee(2) or splice(2) is refused, a raw log file gets every byte by read and write.
func TestRawFileWithoutSplice(t *testing.T) {
	for name, number := range map[string]uint32{"tee": unix.SYS_TEE, "splice": unix.SYS_SPLICE} {
		for _, errno := range []syscall.Errno{unix.EINVAL, unix.ENOSYS, unix.EPERM, unix.EACCES} {
			t.Run(name+"-"+unix.ErrnoName(errno), func(t *testing.T) {
				if !withSyscallRefused(t, number, errno) {
					return
				}
				h := testHub(t)
				said := captureServerLog(t)
				path := filepath.Join(t.TempDir(), "app.log")
				h.configure("s", loggingDef{BufferLines: 100, File: path, MaxSize: 1 << 30, Keep: 1, Format: "raw"}, false)
				r := testPipes(t, h, "s")
				var want strings.Builder
				for i := range 20000 {
					line := fmt.Sprintf("this is line %d\n", i)
					want.WriteString(line)
					io.WriteString(r.stdout, line)
				}
				var got []byte
				eventually(t, "the file has all", func() bool { got, _ = os.ReadFile(path); return len(got) >= want.Len() })
				if string(got) != want.String() {
					t.Errorf("the file has %d bytes, not the %d that were written", len(got), want.Len())
				}
				if l := h.tail("s", 1); len(l) != 1 || l[0].Text != "this is line 19999" {
					t.Errorf("the ring ends with %v", l)
				}
				if text := said(); text != "" {
					t.Errorf("the server complains: %s", text)
				}
			})
		}
	}
}

// TestPipesOfACancelledStartEndOnce: the loop may see the end of pipes before whoever gives them up does.
func TestPipesOfACancelledStartEndOnce(t *testing.T) {
	h := newLogHub(-1)
	for gen := range uint64(200) {
		lp, err := h.pipes("s", gen, -1, -1)
		if err != nil {
			t.Fatal(err)
		}
		lp.closeWriteEnds() // from here on the loop may end them
		lp.drain()
		if lp.read[0].fd != -1 || lp.read[1].fd != -1 {
			t.Fatal("a pipe is left open")
		}
	}
}
