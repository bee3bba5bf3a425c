// pid1_test.go runs the real program as PID 1 of new namespaces: orphans, signals, shutdown, CMD, empty roots, and servers that die.

//go:build linux

package main

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// --- the box: namespaces with our program as their PID 1

// enterMain runs inside new namespaces and becomes the program behind "--". Words before it: proc, root=DIR, ro, uid=N, nocaps, hang=DIR.
func enterMain(words []string) {
	runtime.LockOSThread()
	must := func(what string, err error) {
		if err != nil {
			fmt.Fprintln(os.Stderr, "enter:", what, err)
			os.Exit(111)
		}
	}
	root, uid := "/", 0
	must("private mounts", unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""))
	for i, word := range words {
		verb, arg, _ := strings.Cut(word, "=")
		switch verb {
		case "root":
			root = arg
			must("bind", unix.Mount(root, root, "", unix.MS_BIND, ""))
			must("chdir", os.Chdir(root))
		case "tmpfs":
			must("tmpfs", unix.Mount("none", filepath.Join(root, arg), "tmpfs", 0, ""))
		case "dev":
			must("/dev", privateDev())
		case "proc":
			must("proc", unix.Mount("proc", filepath.Join(root, "proc"), "proc", 0, ""))
		case "hang":
			must("a mount that hangs", hangingMount(arg))
		case "ro":
			must("read-only", unix.Mount("", root, "", unix.MS_BIND|unix.MS_REMOUNT|unix.MS_RDONLY, ""))
		case "uid":
			uid = number(arg)
		case "nocaps":
			for c := uintptr(0); c <= 63; c++ {
				_ = unix.Prctl(unix.PR_CAPBSET_DROP, c, 0, 0, 0)
			}
		case "--":
			if root != "/" {
				must("chroot", unix.Chroot(root))
				must("chdir", os.Chdir("/"))
			}
			if uid != 0 {
				must("setgroups", syscall.Setgroups(nil))
				must("setgid", syscall.Setgid(uid))
				must("setuid", syscall.Setuid(uid))
			}
			argv := words[i+1:]
			must("exec "+argv[0], unix.Exec(argv[0], argv, os.Environ()))
		}
	}
}

// hangingMount puts a file system at dir that answers nothing as long as we live.
func hangingMount(dir string) error {
	cmd := exec.Command("/proc/self/exe", "@hang", dir)
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	_, err = out.Read(make([]byte, 1))
	return err
}

// hangMain is the server of that file system: it answers the greeting of the kernel (FUSE_INIT, linux/fuse.h) and nothing else.
func hangMain(dir string) {
	must := func(err error) {
		if err != nil {
			fmt.Fprintln(os.Stderr, "hang:", err)
			os.Exit(1)
		}
	}
	fd, err := unix.Open("/dev/fuse", unix.O_RDWR|unix.O_CLOEXEC, 0)
	must(err)
	must(unix.Mount("hang", dir, "fuse.hang", 0, fmt.Sprintf("fd=%d,rootmode=40000,user_id=0,group_id=0,allow_other", fd)))
	buf := make([]byte, 1<<20)
	_, err = unix.Read(fd, buf)
	must(err)
	le := binary.LittleEndian
	answer := make([]byte, 16+64) // fuse_out_header, fuse_init_out
	le.PutUint32(answer, uint32(len(answer)))
	copy(answer[8:16], buf[8:16]) // unique
	le.PutUint32(answer[16:], 7)  // major
	le.PutUint32(answer[20:], 31) // minor
	le.PutUint32(answer[36:], 4096)
	_, err = unix.Write(fd, answer)
	must(err)
	fmt.Println()
	for {
		if _, err := unix.Read(fd, buf); err != nil && err != unix.EINTR {
			os.Exit(0)
		}
	}
}

// privateDev puts a /dev of our own, in memory, in the place of the machine's, which is one for all namespaces.
func privateDev() error {
	dir, err := os.MkdirTemp("", "zinit-dev-")
	if err != nil {
		return err
	}
	if err := unix.Mount("dev", dir, "tmpfs", 0, "mode=755"); err != nil {
		return err
	}
	for _, name := range []string{"null", "zero", "full", "random", "urandom", "tty", "ptmx", "console", "pts", "shm"} {
		var st unix.Stat_t
		if unix.Stat("/dev/"+name, &st) != nil {
			continue
		}
		if st.Mode&unix.S_IFMT == unix.S_IFDIR {
			err = os.Mkdir(dir+"/"+name, 0o755)
		} else {
			err = os.WriteFile(dir+"/"+name, nil, 0o600)
		}
		if err == nil {
			err = unix.Mount("/dev/"+name, dir+"/"+name, "", unix.MS_BIND, "")
		}
		if err != nil {
			return err
		}
	}
	if err := unix.Mount(dir, "/dev", "", unix.MS_MOVE, ""); err != nil {
		return err
	}
	_ = os.Symlink("/proc/self/fd", "/dev/fd")
	return os.Remove(dir)
}

func init() { enterBox, enterPanics, hang = enterMain, panickingMain, hangMain }

var actorOnce built

// actorBinary builds, once, the program under testdata/actor, for images that hold nothing else.
func actorBinary(t testing.TB) string {
	t.Helper()
	return actorOnce.build(t, "actor", "./testdata/actor")
}

// box is `zinit init` in namespaces of its own.
type box struct {
	server
	root string // its root directory; "": ours
}

// boxOptions is how a box differs from the usual one: PID 1, our file system, a private /proc, root.
type boxOptions struct {
	flags  []string // of zinit init
	cmd    []string // CMD
	enter  []string // words for enterMain
	empty  bool     // an empty root: only the program, the actor and the services
	dirs   []string // in the empty root, open to all
	notOne bool     // no PID 1: an ordinary child
	system bool     // no -c
	env    []string
	stdin  *os.File
	tty    bool // stdin, stdout and stderr are this terminal
	binary string
	panics bool // panickingMain instead of initMain; binary is this test
}

// startInit runs `zinit init -c` on services, and waits until it answers unless there is a CMD or it may end at once.
func startInit(t *testing.T, services map[string]string, o boxOptions) *box {
	t.Helper()
	if os.Getuid() != 0 {
		skip(t, "new namespaces need root")
	}
	dir := shortDir(t)
	b := &box{server: server{t: t, dir: dir, socket: filepath.Join(dir, "s.sock")}}
	if err := os.MkdirAll(filepath.Join(dir, "services"), 0o755); err != nil {
		t.Fatal(err)
	}
	for name, text := range services {
		b.write(name, text)
	}
	binary := firstSet(o.binary, zinitBinary(t))
	argv := []string{binary, "init", "--socket", b.socket, "--config-dir", filepath.Join(dir, "services")}
	if o.empty {
		b.root = dir
		for from, to := range map[string]string{binary: "zinit", actorBinary(t): "actor"} {
			copyFile(t, from, filepath.Join(dir, to))
		}
		for _, d := range o.dirs {
			if err := os.MkdirAll(filepath.Join(dir, d), 0o755); err == nil {
				_ = os.Chmod(filepath.Join(dir, d), 0o777)
			}
		}
		argv = []string{"/zinit", "init", "--config-dir", "/services"}
		o.enter = append([]string{"root=" + dir}, o.enter...)
	} else {
		o.enter = append([]string{"dev"}, o.enter...)
	}
	if !o.empty && !o.notOne {
		o.enter = append([]string{"proc"}, o.enter...)
	}
	if o.panics {
		argv[1] = "@panics"
	}
	if !o.system {
		argv = slices.Insert(argv, 2, "-c")
	}
	argv = append(argv, o.flags...)
	if o.cmd != nil {
		argv = append(append(argv, "--"), o.cmd...)
	}
	out, err := os.Create(filepath.Join(dir, "server.log"))
	if err != nil {
		t.Fatal(err)
	}
	b.out = out
	b.cmd = exec.Command("/proc/self/exe", append(append([]string{"@pid1"}, o.enter...), append([]string{"--"}, argv...)...)...)
	b.cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS}
	if !o.notOne {
		b.cmd.SysProcAttr.Cloneflags |= syscall.CLONE_NEWPID | syscall.CLONE_NEWIPC
	}
	if o.empty { // abstract sockets belong to the network
		b.cmd.SysProcAttr.Cloneflags |= syscall.CLONE_NEWNET
	}
	b.cmd.SysProcAttr.Pdeathsig = syscall.SIGKILL // a test that is killed leaves no box behind
	b.cmd.Stdout, b.cmd.Stderr, b.cmd.Stdin = out, out, o.stdin
	if o.tty {
		b.cmd.Stdout, b.cmd.Stderr = o.stdin, o.stdin
		b.cmd.SysProcAttr.Setsid, b.cmd.SysProcAttr.Setctty = true, true
	}
	b.cmd.Env = append(append(os.Environ(), "NO_COLOR=1"), o.env...)
	if err := b.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	b.ended = make(chan error, 1)
	go func() { b.ended <- b.cmd.Wait() }()
	if o.empty {
		b.via = []string{"nsenter", "-t", strconv.Itoa(b.cmd.Process.Pid), "-p", "-m", "-n", "-r", "-w", "--", "/zinit"}
		if i := slices.IndexFunc(o.enter, func(w string) bool { return strings.HasPrefix(w, "uid=") }); i >= 0 {
			id := strings.TrimPrefix(o.enter[i], "uid=")
			b.via = slices.Insert(b.via, 1, "-S", id, "-G", id)
		}
	}
	t.Cleanup(func() {
		_ = b.cmd.Process.Kill()
		select {
		case <-b.ended:
		case <-time.After(patience):
			t.Error("PID 1 survives SIGKILL")
		}
		if t.Failed() {
			text, _ := os.ReadFile(out.Name())
			if len(text) > 20000 {
				text = text[len(text)-20000:]
			}
			t.Logf("the program said:\n%s", text)
		}
	})
	return b
}

// up waits until the server answers.
func (b *box) up() *box {
	b.t.Helper()
	eventually(b.t, "the server answers", func() bool { _, code := b.zinit("ping"); return code == 0 })
	return b
}

func copyFile(t testing.TB, from, to string) {
	t.Helper()
	data, err := os.ReadFile(from)
	if err == nil {
		err = os.WriteFile(to, data, 0o755)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// signal sends a signal to PID 1 from outside.
func (b *box) signal(n int) {
	b.t.Helper()
	if err := b.cmd.Process.Signal(syscall.Signal(n)); err != nil {
		b.t.Fatal(err)
	}
}

// ends waits for the end of PID 1 and returns its exit code.
func (b *box) ends(limit time.Duration) int {
	b.t.Helper()
	select {
	case <-b.ended:
		b.ended <- nil
	case <-time.After(limit):
		b.t.Fatalf("PID 1 did not end within %v", limit)
	}
	return b.cmd.ProcessState.ExitCode()
}

// output is what PID 1, the server and CMD have printed.
func (b *box) output() string {
	text, _ := os.ReadFile(b.out.Name())
	return string(text)
}

// says waits until a text has been printed.
func (b *box) says(text string) {
	b.t.Helper()
	eventually(b.t, "the output has "+strconv.Quote(text), func() bool { return strings.Contains("\n"+b.output(), text) })
}

// children are the children of PID 1, as seen from here.
func (b *box) children() []int { return sysChildren(nil, b.cmd.Process.Pid) }

// serverPID is the pid of the present server, as seen from here; 0: none.
func (b *box) serverPID() int {
	return serverBelow(b.cmd.Process.Pid)
}

// serverBelow is the server of a keeper; 0: none. A process that has not executed its program yet looks
// like the one that forked it, but has a single thread.
func serverBelow(keeper int) int {
	var server procStat
	for _, pid := range sysAllPids() {
		st, err := readStat(pid)
		if err == nil && st.PPID == keeper && st.Threads > 1 && (server.PID == 0 || st.Start < server.Start) && strings.Contains(commandLine(pid), "server --keeper") {
			server = st
		}
	}
	return server.PID
}

// newServer waits until there is a server other than old that answers.
func (b *box) newServer(old int) int {
	b.t.Helper()
	now := 0
	eventually(b.t, "another server", func() bool {
		now = b.serverPID()
		return now != 0 && now != old
	})
	return now
}

// service is a file whose program is the actor with words, in array form.
func service(t testing.TB, words string, more ...string) string {
	var argv []string
	for _, w := range append([]string{actorBinary(t)}, strings.Fields(words)...) {
		argv = append(argv, strconv.Quote(w))
	}
	return "[service]\nexec = [" + strings.Join(argv, ", ") + "]\n" + strings.Join(more, "\n") + "\n"
}

// --- reaping

func TestRow01_TenThousandOrphans(t *testing.T) {
	t.Parallel()
	b := startInit(t, map[string]string{"brood": service(t, "orphans=10000 block")}, boxOptions{}).up()
	b.says("brood | orphaned 10000")
	eventually(t, "only the server and the service are left", func() bool { return len(b.children()) == 2 })
	b.is("running", "brood")
	b.signal(sigTerm)
	if code := b.ends(patience); code != 0 {
		t.Errorf("exit code %d after SIGTERM", code)
	}
}

func TestRow05_DoubleForkEndsWithItsService(t *testing.T) {
	t.Parallel()
	mark := filepath.Join(shortDir(t), "mark")
	child := strings.Join(childArgv("runaway=ignore=TERM,touch="+mark+",block", "block"), `", "`)
	b := startInit(t, map[string]string{"forker": "[service]\nexec = [\"" + child + "\"]\n"}, boxOptions{}).up()
	eventually(t, "the runaway runs", func() bool { _, err := os.Stat(mark); return err == nil })
	b.ok("stop", "forker", "--wait")
	eventually(t, "nothing is left of it", func() bool { return len(b.children()) == 1 })
}

// --- signals

func TestRow44_SignalTable(t *testing.T) {
	t.Parallel()
	b := func(t *testing.T) *box {
		t.Parallel()
		return startInit(t, map[string]string{"web": service(t, "print=hello block")}, boxOptions{}).up()
	}
	for _, row := range []struct {
		name string
		n    int
	}{{"SIGTERM", sigTerm}, {"SIGINT", sigInt}, {"SIGPWR", sigPwr}, {"SIGRTMIN+3", sigRtmin + 3}, {"SIGRTMIN+4", sigRtmin + 4}, {"SIGRTMIN+5", sigRtmin + 5}} {
		t.Run(row.name+" ends the container", func(t *testing.T) {
			b := b(t)
			b.is("running", "web")
			b.signal(row.n)
			if code := b.ends(patience); code != 0 {
				t.Errorf("exit code %d", code)
			}
		})
	}
	t.Run("SIGHUP reloads", func(t *testing.T) {
		b := b(t)
		b.write("late", service(t, "block"))
		b.signal(sigHup)
		eventually(t, "late runs", func() bool { out, _ := b.zinit("list"); return strings.Contains(out, "late") })
		b.is("running", "late", "web")
	})
	t.Run("SIGUSR1 replaces the server", func(t *testing.T) {
		b := b(t)
		b.is("running", "web")
		pid, old := b.status("web").PID, b.serverPID()
		b.signal(sigUsr1)
		b.newServer(old)
		b.up()
		if st := b.status("web"); st.PID != pid || st.State != running || st.RestartCount != 0 {
			t.Errorf("web was pid %d and is %+v", pid, st)
		}
		if out := b.ok("logs", "web"); !strings.Contains(out, "hello") {
			t.Errorf("the log lines did not survive a planned restart: %q", out)
		}
	})
	t.Run("SIGUSR2 goes over to the binary on disk", func(t *testing.T) {
		b := b(t)
		b.is("running", "web")
		pid, old := b.status("web").PID, b.serverPID()
		b.signal(sigUsr2)
		b.newServer(old)
		b.says("PID 1 is version " + version + " now")
		b.up()
		if st := b.status("web"); st.PID != pid || st.State != running {
			t.Errorf("web was pid %d and is %+v", pid, st)
		}
		b.signal(sigTerm)
		if code := b.ends(patience); code != 0 {
			t.Errorf("exit code %d after the upgrade and SIGTERM", code)
		}
	})
	t.Run("others do nothing", func(t *testing.T) {
		b := b(t)
		b.is("running", "web")
		pid, old := b.status("web").PID, b.serverPID()
		meaning := []int{sigHup, sigInt, sigKill, sigUsr1, sigUsr2, sigTerm, sigStop, sigPwr, sigRtmin + 3, sigRtmin + 4, sigRtmin + 5}
		for n := 1; n <= 64; n++ {
			if !slices.Contains(meaning, n) {
				b.signal(n)
			}
		}
		b.write("late", service(t, "block"))
		b.signal(sigHup)
		b.is("running", "web", "late")
		if b.status("web").PID != pid || b.serverPID() != old {
			t.Error("a signal without a meaning did something")
		}
		// Those of the C library would kill a PID 1 that blocks them for a moment: it ignores them, and nobody else does.
		private := func(pid int) uint64 {
			data, _ := os.ReadFile(procPath(pid, "/status"))
			_, ignored, _ := strings.Cut(string(data), "SigIgn:\t")
			mask, _, _ := strings.Cut(ignored, "\n")
			n, err := strconv.ParseUint(mask, 16, 64)
			if err != nil {
				t.Fatal(err)
			}
			return n >> 31 & 7
		}
		if got := private(b.cmd.Process.Pid); got&5 != 5 {
			t.Errorf("of the signals 32 to 34 PID 1 ignores %b", got)
		}
		children := sysChildren(nil, b.cmd.Process.Pid)
		for _, pid := range children {
			if got := private(pid); got != 0 {
				t.Errorf("of the signals 32 to 34 process %d ignores %b", pid, got)
			}
		}
		if len(children) != 3 { // the server and two services
			t.Errorf("PID 1 has the children %v", children)
		}
	})
}

// --- shutdown

func TestRow21_ShutdownOrder(t *testing.T) {
	t.Parallel()
	dir := shortDir(t)
	word := "sign=15:" + dir + "/order print=up block"
	requires := func(n string) string { return "[dependencies]\nrequires = [\"" + n + "\"]" }
	b := startInit(t, map[string]string{"db": service(t, word), "app": service(t, word, requires("db")), "web": service(t, word, requires("app"))}, boxOptions{}).up()
	for _, name := range []string{"db", "app", "web"} { // a signal would find no handler before
		b.says(name + " | up")
	}
	b.signal(sigTerm)
	if code := b.ends(patience); code != 0 {
		t.Errorf("exit code %d", code)
	}
	order, _ := os.ReadFile(dir + "/order")
	if string(order) != "web\napp\ndb\n" {
		t.Errorf("they stopped in the order %q", order)
	}
}

// TestRow19_ShutdownTime: 8 s are the default in a container; at three quarters even what waits for its turn is asked to stop.
func TestRow19_ShutdownTime(t *testing.T) {
	t.Parallel()
	dir := shortDir(t)
	b := startInit(t, map[string]string{
		"db":       service(t, "sign=15:"+dir+"/order block"),
		"stubborn": service(t, "ignore=15 print=up block", "[lifecycle]\nstop_timeout_ms = 60000\n[dependencies]\nrequires = [\"db\"]"),
	}, boxOptions{}).up()
	b.says("stubborn | up")
	began := time.Now()
	b.signal(sigTerm)
	code := b.ends(patience)
	if took := time.Since(began); code != 0 || took < 6*time.Second || took > 8*time.Second+slack {
		t.Errorf("exit code %d after %v", code, took)
	}
	if order, _ := os.ReadFile(dir + "/order"); string(order) != "db\n" {
		t.Errorf("db was killed without having been asked: %q", order)
	}
}

// TestKeeperEndsAShutdown: a server that hangs does not keep the container from ending in time.
func TestKeeperEndsAShutdown(t *testing.T) {
	t.Parallel()
	dir := shortDir(t)
	b := startInit(t, map[string]string{
		"db":       service(t, "sign=15:"+dir+"/order print=up block"),
		"stubborn": service(t, "ignore=15 print=up block"),
	}, boxOptions{flags: []string{"--shutdown-timeout-ms", "6000"}}).up()
	b.says("db | up")
	b.says("stubborn | up")
	_ = syscall.Kill(b.serverPID(), syscall.SIGSTOP)
	began := time.Now()
	b.signal(sigTerm)
	code := b.ends(patience)
	if took := time.Since(began); code != 0 || took > 6*time.Second+slack {
		t.Errorf("exit code %d after %v", code, took)
	}
	if order, _ := os.ReadFile(dir + "/order"); string(order) != "db\n" {
		t.Errorf("db was not asked to stop: %q", order)
	}
}

func TestRow42_SecondSIGTERMKills(t *testing.T) {
	t.Parallel()
	for _, hung := range []bool{false, true} {
		t.Run(fmt.Sprintf("server hung %v", hung), func(t *testing.T) {
			t.Parallel()
			b := startInit(t, map[string]string{"stubborn": service(t, "ignore=15 print=up block", "[lifecycle]\nstop_timeout_ms = 60000")},
				boxOptions{flags: []string{"--shutdown-timeout-ms", "60000"}}).up()
			b.says("stubborn | up")
			if hung {
				_ = syscall.Kill(b.serverPID(), syscall.SIGSTOP)
			}
			b.signal(sigTerm)
			if !hung {
				eventually(t, "it stops", func() bool { return b.status("stubborn").State == stopping })
			}
			b.signal(sigInt)
			if hung {
				b.signal(sigTerm) // two that came at once may be seen as one
			}
			if code := b.ends(patience); code != 0 {
				t.Errorf("exit code %d", code)
			}
		})
	}
}

// --- exit codes

func TestCriticalExitCodes(t *testing.T) {
	t.Parallel()
	noexec := filepath.Join(shortDir(t), "noexec")
	if err := os.WriteFile(noexec, []byte("#!/bin/sh\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	never := "critical = true\n[lifecycle]\nrestart = \"never\"\n"
	for _, row := range []struct {
		name, text string
		code       int
	}{
		{"its exit code", service(t, "exit=3", never), 3},
		{"ended by itself with 0", service(t, "exit=0", never), 0},
		{"128+9", service(t, "die=9", never), 137},
		{"128+11", "[service]\nexec = [\"/bin/sh\", \"-c\", \"kill -11 $$\"]\n" + never, 139},
		{"not found", "[service]\nexec = \"/no/such\"\n" + never, 127},
		{"not executable", "[service]\nexec = \"" + noexec + "\"\n" + never, 126},
		{"after its last restart", service(t, "exit=4", "critical = true\n[lifecycle]\nmax_restarts = 1\nrestart_delay_ms = 10"), 4},
		{"health", service(t, "block", never, "[health]\ntype = \"exec\"\ntarget = \"mkdir "+filepath.Dir(noexec)+"/once\"\ninterval_ms = 20\nretries = 2"), 1},
		{"start timeout", service(t, "block", never, "start_timeout_ms = 100\n[health]\ntype = \"exec\"\ntarget = \"/bin/false\""), 1},
		{"missing dependency", service(t, "block", "critical = true\n[dependencies]\nrequires = [\"nothing\"]"), 1},
		{"a oneshot that fails", service(t, "exit=5", "oneshot = true", never), 5},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			b := startInit(t, map[string]string{"main": row.text, "side": service(t, "block")}, boxOptions{})
			if code := b.ends(patience); code != row.code {
				t.Errorf("exit code %d, not %d", code, row.code)
			}
		})
	}
	t.Run("a oneshot that is done, and one that a person stops, end nothing", func(t *testing.T) {
		t.Parallel()
		b := startInit(t, map[string]string{"done": service(t, "exit=0", "oneshot = true", never), "stopped": service(t, "block", never)}, boxOptions{}).up()
		b.is("exited", "done")
		b.ok("stop", "stopped", "--wait")
		b.is("exited", "stopped")
		if b.serverPID() == 0 {
			t.Error("the server has ended")
		}
	})
}

func TestCommandExitCodes(t *testing.T) {
	t.Parallel()
	actor := actorBinary(t)
	noexec := filepath.Join(shortDir(t), "noexec")
	if err := os.WriteFile(noexec, []byte("\x7fELFnothing"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, row := range []struct {
		name  string
		cmd   []string
		flags []string
		code  int
		says  string
	}{
		{"0", []string{actor, "exit=0"}, nil, 0, ""},
		{"its code", []string{actor, "print=hello", "exit=42"}, nil, 42, "hello"},
		{"128+9", []string{actor, "die=9"}, nil, 137, ""},
		{"128+15", []string{actor, "die=15"}, nil, 143, ""},
		{"not found", []string{"/no/such"}, nil, 127, "cannot run /no/such"},
		{"not in PATH", []string{"no-such-program"}, nil, 127, "cannot run no-such-program"},
		{"not executable", []string{noexec}, nil, 126, "cannot run " + noexec},
		{"-e", []string{actor, "exit=42"}, []string{"-e", "143", "-e", "42"}, 0, ""},
		{"-e of a signal", []string{actor, "die=15"}, []string{"-e", "143"}, 0, ""},
		{"found through PATH", []string{"sh", "-c", "exit 9"}, nil, 9, ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			b := startInit(t, map[string]string{"side": service(t, "block")}, boxOptions{cmd: row.cmd, flags: row.flags})
			if code := b.ends(patience); code != row.code {
				t.Errorf("exit code %d, not %d", code, row.code)
			}
			if !strings.Contains(b.output(), row.says) {
				t.Errorf("it does not say %q", row.says)
			}
		})
	}
}

// --- CMD

// TestRow43_CommandGetsEverySignal as often as it comes. CMD is the only one who knows what they mean.
func TestRow43_CommandGetsEverySignal(t *testing.T) {
	t.Parallel()
	b := startInit(t, nil, boxOptions{cmd: []string{actorBinary(t), "signals"}, flags: []string{"--rewrite", "SIGWINCH:SIGALRM", "--rewrite", "1:0", "--shutdown-timeout-ms", "60000"}})
	b.says("\nready\n")
	count := func(n int) int { return strings.Count(b.output(), fmt.Sprintf("got %d\n", n)) }
	for n := 2; n <= 64; n++ {
		switch n {
		case 3, sigKill, sigStop, sigChld, sigUrg, sigProf, int(syscall.SIGWINCH), 32, 33, 34: // URG, PROF and the first of the real-time ones are for the Go runtime alone
			continue
		}
		for times := 1; times <= 3; times++ {
			before := count(n)
			b.signal(n)
			eventually(t, fmt.Sprintf("CMD has got signal %d for the %d. time", n, times), func() bool { return count(n) > before })
		}
	}
	before := count(14)
	b.signal(1)
	b.signal(28)
	eventually(t, "SIGWINCH came as SIGALRM", func() bool { return count(14) == before+1 })
	if count(1)+count(28) > 0 {
		t.Error("CMD has got what --rewrite takes away")
	}
	b.signal(3)
	if code := b.ends(patience); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

// TestCommandGetsOneSignalForOne: the shutdown that SIGTERM or SIGINT begins brings no second signal to CMD.
func TestCommandGetsOneSignalForOne(t *testing.T) {
	t.Parallel()
	for _, row := range []struct{ sent, got int }{{sigInt, sigInt}, {sigTerm, 3}} {
		t.Run(signalName(row.sent), func(t *testing.T) {
			t.Parallel()
			b := startInit(t, nil, boxOptions{cmd: []string{actorBinary(t), "signals"}, flags: []string{"--rewrite", "15:QUIT", "--shutdown-timeout-ms", "4000"}}).up()
			b.says("\nready\n")
			b.signal(row.sent)
			if row.got != 3 { // at which it ends
				b.is("stopping", "cmd")
			}
			code := b.ends(patience)
			if want := map[int]int{sigInt: 128 + sigKill, 3: 0}[row.got]; code != want {
				t.Errorf("exit code %d, not %d", code, want)
			}
			if got := strings.Count(b.output(), "got "); got != 1 || !strings.Contains(b.output(), fmt.Sprintf("got %d\n", row.got)) {
				t.Errorf("CMD has got %d signals:\n%s", got, b.output())
			}
		})
	}
}

func TestCommandGroup(t *testing.T) {
	t.Parallel()
	for _, group := range []bool{false, true} {
		t.Run(fmt.Sprint(group), func(t *testing.T) {
			t.Parallel()
			dir := shortDir(t)
			o := boxOptions{cmd: []string{actorBinary(t), "fork=sign=10:" + dir + "/got,touch=" + dir + "/ready,block", "await=" + dir + "/ready", "signals"}}
			if group {
				o.flags = []string{"-g"}
			}
			b := startInit(t, nil, o)
			b.says("\nready\n")
			b.signal(sigUsr1)
			b.says("got 10\n")
			if group {
				eventually(t, "the child has got it too", func() bool { _, err := os.Stat(dir + "/got"); return err == nil })
			} else if _, err := os.Stat(dir + "/got"); err == nil {
				t.Error("without -g the child of CMD has got the signal")
			}
		})
	}
}

// TestCommandIsAService: it is listed, it comes after the services, and what would make no sense is refused.
func TestCommandIsAService(t *testing.T) {
	t.Parallel()
	dir := shortDir(t)
	b := startInit(t, map[string]string{
		"slow": service(t, "touch="+dir+"/slow block", "[health]\ntype = \"exec\"\ntarget = \"test -e "+dir+"/healthy\"\nstart_interval_ms = 20"),
		"cmd":  service(t, "block"),
	}, boxOptions{cmd: []string{actorBinary(t), "touch=" + dir + "/cmd", "print=here", "on=15:7", "block"}, flags: []string{"--cmd-wait-ms", "60000"}}).up()
	eventually(t, "slow starts", func() bool { _, err := os.Stat(dir + "/slow"); return err == nil })
	if _, err := os.Stat(dir + "/cmd"); err == nil {
		t.Error("CMD did not wait for slow")
	}
	if err := os.WriteFile(dir+"/healthy", nil, 0o644); err != nil {
		t.Fatal(err)
	}
	b.says("\nhere\n") // no prefix: it has the container's own stdout
	b.says("cmd is the name of the main program")
	b.is("running", "cmd")
	st := b.status("cmd")
	if st.Class != "system" || st.PID == 0 {
		t.Errorf("cmd is %+v", st)
	}
	for _, args := range [][]string{{"restart", "cmd"}, {"delete", "cmd"}, {"call", "service.set", `{"config": {"service": {"name": "cmd", "exec": "true"}}}`}} {
		if out, code := b.zinit(args...); code != 1 {
			t.Errorf("%v: exit code %d\n%s", args, code, out)
		}
	}
	b.ok("stop", "cmd")
	if code := b.ends(patience); code != 7 {
		t.Errorf("the stop of cmd is a shutdown; exit code %d, not CMD's 7", code)
	}
}

// TestCommandComesLater than --cmd-wait-ms at no price.
func TestCommandComesLater(t *testing.T) {
	t.Parallel()
	after := func(ms string) *box {
		return startInit(t, map[string]string{"slow": service(t, "block", "[lifecycle]\nstart_timeout_ms = 0\n[health]\ntype = \"exec\"\ntarget = \"/bin/false\"")},
			boxOptions{cmd: []string{actorBinary(t), "print=here", "exit=6"}, flags: []string{"--cmd-wait-ms", ms}})
	}
	patient, hasty := after("600000"), after("200")
	if code := hasty.ends(patience); code != 6 {
		t.Errorf("exit code %d", code)
	}
	if strings.Contains("\n"+patient.output(), "\nhere\n") {
		t.Error("CMD did not wait for slow as long as it should")
	}
}

// TestCommandOutlivesServices: services stop after CMD, or at three quarters of the time while CMD still runs.
func TestCommandOutlivesServices(t *testing.T) {
	t.Parallel()
	dir := shortDir(t)
	b := startInit(t, map[string]string{"db": service(t, "sign=15:"+dir+"/order block")},
		boxOptions{cmd: []string{actorBinary(t), "ignore=15", "print=here", "block"}, flags: []string{"--shutdown-timeout-ms", "6000"}}).up()
	b.says("\nhere\n")
	b.is("running", "db")
	began := time.Now()
	b.signal(sigTerm)
	eventually(t, "db is asked to stop", func() bool { _, err := os.Stat(dir + "/order"); return err == nil })
	if took := time.Since(began); took < 4*time.Second {
		t.Errorf("db was stopped after %v, while CMD still ran", took)
	}
	if code := b.ends(patience); code != 137 {
		t.Errorf("exit code %d: CMD was killed", code)
	}
}

// TestJobControl: a CMD that stops itself as under a terminal is continued: nobody else would.
func TestJobControl(t *testing.T) {
	t.Parallel()
	for _, n := range []int{sigTstp, sigTtin, sigTtou} {
		t.Run(signalName(n), func(t *testing.T) {
			t.Parallel()
			b := startInit(t, nil, boxOptions{cmd: []string{"sh", "-c", fmt.Sprintf("kill -%d $$; echo continued; exit 3", n)}})
			if code := b.ends(patience); code != 3 || !strings.Contains(b.output(), "continued") {
				t.Errorf("exit code %d", code)
			}
		})
	}
	t.Run("not PID 1 stops with it", func(t *testing.T) {
		t.Parallel()
		b := startInit(t, nil, boxOptions{notOne: true, cmd: []string{"sh", "-c", "echo here; kill -TSTP $$; echo continued; exit 3"}})
		b.says("\nhere\n")
		state := func() string {
			st, err := readStat(b.cmd.Process.Pid)
			if err != nil {
				return ""
			}
			return string(st.State)
		}
		eventually(t, "the keeper has stopped itself", func() bool { return state() == "T" })
		b.signal(sigCont)
		if code := b.ends(patience); code != 3 || !strings.Contains(b.output(), "continued") {
			t.Errorf("exit code %d", code)
		}
	})
}

// TestRow16_CommandHasTheTerminal: it is the foreground group, so that Ctrl-C goes to it and to nobody else.
func TestRow16_CommandHasTheTerminal(t *testing.T) {
	t.Parallel()
	ours, theirs := openPTY(t)
	b := startInit(t, map[string]string{"side": service(t, "block")}, boxOptions{cmd: []string{actorBinary(t), "tty", "on=2:5", "print=here", "block"}, stdin: theirs, tty: true})
	var mu sync.Mutex
	var seen bytes.Buffer
	go func() {
		buf := make([]byte, 4096)
		for n, err := ours.Read(buf); err == nil; n, err = ours.Read(buf) {
			mu.Lock()
			seen.Write(buf[:n])
			mu.Unlock()
		}
	}()
	text := func() string { mu.Lock(); defer mu.Unlock(); return seen.String() }
	eventually(t, "CMD runs on the terminal", func() bool { return strings.Contains("\n"+text(), "\nhere\r") })
	if !strings.Contains(text(), "tty true foreground true") {
		t.Errorf("CMD says %q", text())
	}
	if _, err := ours.Write([]byte{3}); err != nil {
		t.Fatal(err)
	}
	if code := b.ends(patience); code != 5 {
		t.Errorf("exit code %d: Ctrl-C did not reach CMD alone\n%s", code, text())
	}
}

// TestRow40_MachineBootsWhateverTheWords: what the kernel hands on and nobody understands is no reason not to boot. In a container it is a mistake.
func TestRow40_MachineBootsWhateverTheWords(t *testing.T) {
	t.Parallel()
	needs(t, "nsenter")
	// An empty root, and a /dev in it: the boot is to touch nothing of the machine that the test runs on.
	b := startInit(t, map[string]string{"web": "[service]\nexec = [\"/actor\", \"block\"]\n"}, boxOptions{system: true, empty: true, dirs: []string{"dev"}, enter: []string{"tmpfs=dev"}, flags: []string{"single", "-b", "--bogus", "x", "--log-level", "loud"}, env: []string{"ZINIT_LOG_LEVEL=shrill"}}).up()
	b.is("running", "web")
	b.says("unknown flag or word `-b`")
	b.signal(sigTerm)
	if code := b.ends(patience); code != 0 {
		t.Errorf("exit code %d", code)
	}
	for _, flags := range [][]string{{"--bogus"}, {"--log-level", "loud"}, {"--exit-ok", "256"}, {"--rewrite", "TERM:"}, {"--cmd-wait-ms"}} {
		b := startInit(t, nil, boxOptions{flags: flags})
		if code := b.ends(patience); code != exitUsage {
			t.Errorf("%q: exit code %d", flags, code)
		}
	}
}

// --- /dev/log

// loggedLines are the lines of a service.
func (s *server) loggedLines(service string) (lines []logLine) {
	s.t.Helper()
	out, code := s.zinit("call", "logs.filter", `{"service": "`+service+`", "lines": 100000}`)
	if err := json.Unmarshal([]byte(out), &lines); err != nil || code != 0 {
		s.t.Fatalf("logs.filter: %d %v\n%s", code, err, out)
	}
	return lines
}

// TestSyslog: a message goes to the log of the service whose process sent it, whatever that process is to it; else to syslog.
func TestSyslog(t *testing.T) {
	t.Parallel()
	dir := shortDir(t)
	b := startInit(t, map[string]string{
		"main":  service(t, "syslog=main[7]:here print=end block", "[logging]\nformat = \"time\"\nfile = \""+dir+"/main.log\""),
		"child": service(t, "daemon=syslog=child:here,sleep=300 print=end block"),
		"away":  service(t, "daemon=setsid,syslog=away:here,sleep=300 print=end block"),
		"odd":   service(t, "rawlog=<999999>what rawlog=<34>1-5424 rawlog= rawlog=<13>no-time print=end block"),
	}, boxOptions{}).up()
	for name, want := range map[string][]string{"main": {"main[7]:here"}, "child": {"child:here"}, "away": {"away:here"}, "odd": {"<999999>what", "1-5424", "", "no-time"}} {
		var got []string
		eventually(t, name+" has its messages", func() bool {
			got = nil
			for _, l := range b.loggedLines(name) {
				if l.Stream == "syslog" {
					got = append(got, l.Text)
				}
			}
			return len(got) >= len(want)
		})
		if !slices.Equal(got[:len(want)], want) {
			t.Errorf("%s has %q, not %q", name, got, want)
		}
	}
	b.says("\nchild | child:here\n")
	eventually(t, "the file has it", func() bool {
		text, _ := os.ReadFile(dir + "/main.log")
		return strings.Contains(string(text), "Z syslog main[7]:here\n")
	})
	// What belongs to no service.
	stranger := exec.Command("nsenter", "-t", strconv.Itoa(b.cmd.Process.Pid), "-m", "-p", actorBinary(t), "syslog=stranger:here")
	needs(t, "nsenter")
	if out, err := stranger.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	eventually(t, "syslog has it", func() bool {
		all := b.loggedLines("syslog")
		return len(all) == 1 && all[0].Text == "stranger:here" && all[0].Stream == "syslog"
	})
	if out := b.ok("call", "logs.get", `{"name": "syslog"}`); !strings.Contains(out, "stranger:here") {
		t.Errorf("logs.get of syslog: %s", out)
	}
	if out := b.ok("logs", "syslog"); !strings.Contains(out, "stranger:here") {
		t.Errorf("zinit logs syslog: %s", out)
	}
}

// TestSyslogSurvives: what is sent while there is no server waits for the next one, and nothing is lost, nor held up for longer than that takes.
func TestSyslogSurvives(t *testing.T) {
	t.Parallel()
	dir := shortDir(t)
	b := startInit(t, map[string]string{"talker": service(t, "syslogs=3000:700 touch="+dir+"/done block", "[logging]\nconsole = false\nfile = \""+dir+"/log\"")}, boxOptions{}).up()
	kills := 0
	for began := time.Now(); time.Since(began) < 20*time.Second; kills++ {
		if _, err := os.Stat(dir + "/done"); err == nil {
			break
		}
		old := b.newServer(0)
		<-time.After(time.Duration(rand.IntN(200)) * time.Millisecond)
		if kills%4 == 3 {
			b.signal(sigUsr1)
		} else {
			_ = syscall.Kill(old, syscall.SIGKILL)
		}
		b.newServer(old)
	}
	b.up()
	var got []string
	eventually(t, "the last message is in the file", func() bool {
		got = lines(dir + "/log")
		return len(got) > 0 && got[len(got)-1] == "3000"
	})
	if twice := len(got) - 3000; twice < 0 || twice > kills {
		t.Errorf("3000 messages were sent, %d are in the file", len(got))
	}
	if got = slices.Compact(got); len(got) != 3000 {
		t.Errorf("%d of 3000 messages are in the file", len(got))
	}
	t.Logf("%d servers died", kills)
}

// --- servers that hang, fail, or lose their keeper

func TestHungServerIsReplaced(t *testing.T) {
	t.Parallel()
	b := startInit(t, map[string]string{"web": service(t, "block")}, boxOptions{}).up()
	b.is("running", "web")
	pid, old := b.status("web").PID, b.serverPID()
	_ = syscall.Kill(old, syscall.SIGSTOP)
	b.signal(sigUsr1)
	b.newServer(old)
	b.up()
	if st := b.status("web"); st.PID != pid || st.State != running {
		t.Errorf("web was pid %d and is %+v", pid, st)
	}
}

func TestServerThatCannotStart(t *testing.T) {
	t.Parallel()
	b := startInit(t, nil, boxOptions{flags: []string{"--socket-mode", "nonsense"}})
	if code := b.ends(patience); code != 70 {
		t.Errorf("exit code %d, not 70", code)
	}
	if n := strings.Count(b.output(), "the server did not come up"); n != 10 {
		t.Errorf("%d tries, not 10", n)
	}
}

func TestRow39_KeeperDies(t *testing.T) {
	t.Parallel()
	dir := shortDir(t)
	b := startInit(t, map[string]string{"db": service(t, "sign=15:"+dir+"/order block"), "web": service(t, "sign=15:"+dir+"/order block", "[dependencies]\nrequires = [\"db\"]")},
		boxOptions{notOne: true}).up()
	b.is("running", "web", "db")
	server, db := b.serverPID(), b.status("db").PID
	_ = b.cmd.Process.Kill()
	eventually(t, "the server has stopped all and ended", func() bool { return !alive(server) && !alive(db) })
	if order, _ := os.ReadFile(dir + "/order"); string(order) != "web\ndb\n" {
		t.Errorf("they stopped in the order %q", order)
	}
}

// TestRow39_KeeperDiesBesideCommand: CMD, which was the keeper's child, is stopped with the services.
func TestRow39_KeeperDiesBesideCommand(t *testing.T) {
	t.Parallel()
	b := startInit(t, map[string]string{"web": service(t, "block")}, boxOptions{notOne: true, cmd: []string{actorBinary(t), "print=here", "block"}}).up()
	b.says("\nhere\n")
	b.is("running", "web", "cmd")
	server, web, cmd := b.serverPID(), b.status("web").PID, b.status("cmd").PID
	_ = b.cmd.Process.Kill()
	within(t, patience, "all have ended", func() bool { return !alive(server) && !alive(web) && !alive(cmd) })
}

// TestRow50_NotPID1: as an ordinary child it reaps all the same and ends with CMD's code.
func TestRow50_NotPID1(t *testing.T) {
	t.Parallel()
	b := startInit(t, map[string]string{"side": service(t, "print=up block")}, boxOptions{notOne: true, flags: []string{"-s"},
		cmd: []string{actorBinary(t), "orphans=300", "print=here", "on=15:9", "block"}}).up()
	b.says("\nhere\n")
	eventually(t, "the orphans are reaped", func() bool { return len(b.children()) == 3 })
	side := b.status("side").PID
	b.signal(sigTerm)
	if code := b.ends(patience); code != 9 {
		t.Errorf("exit code %d", code)
	}
	if alive(side) {
		t.Error("a service is left")
	}
}

// TestParentSignal: -p is what CMD gets when our parent dies.
func TestParentSignal(t *testing.T) {
	t.Parallel()
	if os.Getuid() != 0 {
		skip(t, "a mount namespace needs root")
	}
	dir := shortDir(t)
	if err := os.Mkdir(dir+"/services", 0o755); err != nil {
		t.Fatal(err)
	}
	parent := exec.Command("/proc/self/exe", "@pid1", "dev", "--", "/bin/sh", "-c", `"$@" & wait`, "sh", zinitBinary(t), "init", "-c", "-p", "SIGUSR1", "--socket", dir+"/s", "--config-dir", dir+"/services", "--",
		actorBinary(t), "sign=10:"+dir+"/got", "touch="+dir+"/ready", "block")
	parent.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS}
	if err := parent.Start(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "CMD runs", func() bool { _, err := os.Stat(dir + "/ready"); return err == nil })
	_ = parent.Process.Kill()
	_ = parent.Wait()
	eventually(t, "CMD has got the signal", func() bool { _, err := os.Stat(dir + "/got"); return err == nil })
	eventually(t, "all have ended", func() bool { _, err := os.Stat(dir + "/s"); return err != nil })
}

// --- empty roots

func TestRow46_EmptyRoots(t *testing.T) {
	t.Parallel()
	needs(t, "nsenter")
	for _, row := range []struct {
		name   string
		dirs   []string // in the root, open to all
		enter  []string
		socket string
	}{
		{"nothing but the program", nil, nil, "/run/zinit.sock"},
		{"with /proc", []string{"proc"}, []string{"proc"}, "/run/zinit.sock"},
		{"read-only", []string{"proc"}, []string{"proc", "ro"}, "@zinit"},
		{"read-only without /proc", nil, []string{"ro"}, "@zinit"},
		{"another uid, /tmp", []string{"proc", "tmp"}, []string{"proc", "uid=1234"}, "/tmp"},
		{"another uid, nothing writable", nil, []string{"ro", "uid=1234"}, "@zinit"},
		{"no capability", []string{"proc"}, []string{"proc", "nocaps"}, "/run/zinit.sock"},
		{"no capability, another uid, read-only, /dev/shm", []string{"proc", "dev/shm"}, []string{"proc", "nocaps", "uid=1234"}, "/dev/shm/zinit."},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			b := startInit(t, map[string]string{"web": "[service]\nexec = [\"/actor\", \"ids\", \"print=up\", \"block\"]\n",
				"crash": "[service]\nexec = [\"/actor\", \"exit=1\"]\n[lifecycle]\nrestart_delay_ms = 100\n"}, boxOptions{empty: true, dirs: row.dirs, enter: row.enter})
			b.says("web | up")
			b.up()
			b.is("running", "web")
			b.says("listening on " + row.socket)
			pid, old := b.status("web").PID, b.serverPID()
			_ = syscall.Kill(old, syscall.SIGKILL)
			b.newServer(old)
			b.up()
			if st := b.status("web"); st.PID != pid || st.State != running {
				t.Errorf("after the death of the server web was pid %d and is %+v", pid, st)
			}
			eventually(t, "crash is still restarted", func() bool { return b.status("crash").RestartCount > 3 })
			b.signal(sigTerm)
			if code := b.ends(patience); code != 0 {
				t.Errorf("exit code %d", code)
			}
		})
	}
}

// --- servers that die, under load

// oneLoad is held by the test that has a load: two of them would only be in each other's way.
var oneLoad sync.Mutex

// load is fifty services that notice if anything happens to them. They keep what they see in dir.
func load(t testing.TB, dir, actor, more string) map[string]string {
	oneLoad.Lock()
	t.Cleanup(oneLoad.Unlock)
	all := map[string]string{}
	file := func(words string, lines ...string) string {
		var argv []string
		for _, w := range append([]string{actor}, strings.Fields(words)...) {
			argv = append(argv, strconv.Quote(w))
		}
		return "[service]\nexec = [" + strings.Join(argv, ", ") + "]\n" + more + strings.Join(lines, "\n") + "\n"
	}
	for i := range 16 {
		name := fmt.Sprintf("printer%02d", i)
		all[name] = file("lock="+dir+"/"+name+" count="+dir+"/"+name+".last:2000", "[logging]\nfile = \""+dir+"/"+name+".log\"\nmax_size_bytes = 1000000000\nconsole = false")
	}
	for i := range 12 {
		name := fmt.Sprintf("crasher%02d", i)
		all[name] = file(fmt.Sprintf("lock=%s/%s tick=%s/%s.starts print=x sleep=%d exit=1", dir, name, dir, name, 20+i*25),
			"[lifecycle]\nrestart_delay_ms = 20\nrestart_delay_max_ms = 200\n[logging]\nconsole = false\nfile = \""+dir+"/"+name+".log\"")
	}
	for i := range 8 {
		name := fmt.Sprintf("checked%02d", i)
		all[name] = file("lock="+dir+"/"+name+" tick="+dir+"/"+name+".starts block", "[health]\ntype = \"exec\"\ntarget = [\""+actor+"\", \"exit=0\"]\ninterval_ms = 200\nstart_interval_ms = 50")
	}
	for i := range 8 {
		name := fmt.Sprintf("sleeper%02d", i)
		all[name] = file("lock="+dir+"/"+name+" tick="+dir+"/"+name+".starts block", "[dependencies]\nrequires = [\"oneshot00\"]")
	}
	for i := range 6 {
		name := fmt.Sprintf("oneshot%02d", i)
		all[name] = file("once="+dir+"/"+name+" exit=0", "oneshot = true")
	}
	return all
}

// loaded waits until all of the load is as it should be, and returns the pids of what never ends.
func (s *server) loaded() map[string]int {
	s.t.Helper()
	pids := map[string]int{}
	eventually(s.t, "the load is up", func() bool {
		for _, st := range s.all() {
			want := "running"
			switch {
			case strings.HasPrefix(st.Name, "crasher"), st.Name == "cmd":
				continue
			case strings.HasPrefix(st.Name, "oneshot"):
				want = "exited"
			default:
				pids[st.Name] = st.PID
			}
			if st.State.String() != want {
				return false
			}
		}
		return len(pids) == 32
	})
	return pids
}

// all is service.list_full.
func (s *server) all() (all []serviceStatusFull) {
	out, _ := s.zinit("--json", "list")
	_ = json.Unmarshal([]byte(out), &all)
	return all
}

// intact checks, once everything has been stopped, that nothing was stopped, doubled or forgotten, that every number is in the raw file
// exactly once, and says how long a write was held up at most.
func intact(t *testing.T, dir string, what string) {
	t.Helper()
	doubles, _ := filepath.Glob(dir + "/*.double")
	for _, f := range doubles {
		text, _ := os.ReadFile(f)
		t.Errorf("%s: there were two: %s", filepath.Base(f), text)
	}
	starts, _ := filepath.Glob(dir + "/[sc][lh]*.starts")
	for _, f := range starts {
		if n := len(lines(f)); n != 1 {
			t.Errorf("%s started %d times", filepath.Base(f), n)
		}
	}
	gap, total := 0, 0
	for i := range 16 {
		name := fmt.Sprintf("%s/printer%02d", dir, i)
		text, _ := os.ReadFile(name + ".last")
		var last, most int
		if n, _ := fmt.Sscan(string(text), &last, &most); n != 2 {
			t.Errorf("%s: %q", name, text)
			continue
		}
		raw, err := os.ReadFile(name + ".log")
		if err != nil {
			t.Error(err)
			continue
		}
		lines := strings.Split(strings.TrimSuffix(string(raw), "\n"), "\n")
		for at, line := range lines {
			if line != strconv.Itoa(at+1) {
				t.Errorf("%s: line %d is %q", filepath.Base(name), at+1, line)
				break
			}
		}
		if len(lines) != last {
			t.Errorf("%s printed %d lines, its file has %d", filepath.Base(name), last, len(lines))
		}
		gap, total = max(gap, most), total+last
	}
	t.Logf("%s: %d lines, each once; the longest write took %.1f ms", what, total, float64(gap)/1000)
}

// same checks that what never ends still has its pid, and that the crashers go on.
func (s *server) same(pids map[string]int) {
	s.t.Helper()
	for name, pid := range s.loaded() {
		if pid != pids[name] {
			s.t.Errorf("%s had pid %d and has %d", name, pids[name], pid)
		}
	}
	before := map[string]int{}
	for _, st := range s.all() {
		before[st.Name] = st.RestartCount
	}
	eventually(s.t, "every crasher is restarted again", func() bool {
		for _, st := range s.all() {
			if strings.HasPrefix(st.Name, "crasher") && st.RestartCount <= before[st.Name] {
				return false
			}
		}
		return true
	})
}

// restarts compares how often the crashers say that they started with what the server has counted.
func (s *server) restarts(dir string) {
	s.t.Helper()
	for i := range 12 {
		name := fmt.Sprintf("crasher%02d", i)
		s.ok("stop", name, "--wait")
		st := s.status(name)
		started := lines(dir + "/" + name + ".starts")
		// One that was stopped while it ran may not have come to say that it had started.
		if n := len(started); n != st.RestartCount+1 && (n != st.RestartCount || st.State != exited) {
			printed := map[string]int{}
			for _, line := range lines(dir + "/" + name + ".log") {
				printed[line]++
			}
			s.t.Errorf("%s started %d times, %d restarts were counted; it is %s and printed %v", name, n, st.RestartCount, st.State, printed)
		}
		slices.Sort(started)
		if n := len(started) - len(slices.Compact(slices.Clone(started))); n > 0 {
			s.t.Errorf("%s: %d starts happened twice", name, n)
		}
	}
}

// lines are the lines of a file.
func lines(file string) []string {
	text, _ := os.ReadFile(file)
	return strings.FieldsFunc(string(text), func(r rune) bool { return r == '\n' })
}

func TestKillTheServerAHundredTimes(t *testing.T) {
	t.Parallel()
	dir := shortDir(t)
	b := startInit(t, load(t, dir, actorBinary(t), ""), boxOptions{}).up()
	pids := b.loaded()
	began := time.Now()
	for range 100 {
		old := b.newServer(0)
		pause := time.NewTimer(time.Duration(rand.IntN(150)) * time.Millisecond)
		<-pause.C // any moment, also while it adopts
		_ = syscall.Kill(old, syscall.SIGKILL)
		b.newServer(old)
	}
	b.up()
	t.Logf("100 kills in %v", time.Since(began).Round(time.Millisecond))
	b.same(pids)
	b.restarts(dir)
	b.signal(sigTerm)
	if code := b.ends(patience); code != 0 {
		t.Errorf("exit code %d", code)
	}
	intact(t, dir, "kill -9")
}

// TestKillTheServerWithoutProc is the same in an image that has no /proc: nothing can be looked up there, and still nothing runs twice.
func TestKillTheServerWithoutProc(t *testing.T) {
	t.Parallel()
	needs(t, "nsenter")
	b := startInit(t, load(t, "/d", "/actor", ""), boxOptions{empty: true, dirs: []string{"d"}}).up()
	pids := b.loaded()
	for range 60 {
		old := b.newServer(0)
		<-time.After(time.Duration(rand.IntN(150)) * time.Millisecond)
		_ = syscall.Kill(old, syscall.SIGKILL)
		b.newServer(old)
	}
	b.up()
	b.same(pids)
	b.restarts(b.dir + "/d")
	b.signal(sigTerm)
	if code := b.ends(patience); code != 0 {
		t.Errorf("exit code %d", code)
	}
	intact(t, b.dir+"/d", "kill -9 without /proc")
}

func TestUpgradeTwentyTimes(t *testing.T) {
	t.Parallel()
	dir := shortDir(t)
	mine := filepath.Join(dir, "zinit")
	copyFile(t, zinitBinary(t), mine)
	b := startInit(t, load(t, dir, actorBinary(t), ""), boxOptions{binary: mine}).up()
	pids := b.loaded()
	for i := range 20 {
		old := b.serverPID()
		text := strings.Count(b.output(), "is version "+version+" now")
		if i%4 == 0 { // another file at the same place, as a package manager does
			copyFile(t, zinitBinary(t), mine+".new")
			if err := os.Rename(mine+".new", mine); err != nil {
				t.Fatal(err)
			}
		}
		b.ok("upgrade")
		b.newServer(old)
		eventually(t, "PID 1 has gone over", func() bool { return strings.Count(b.output(), "is version "+version+" now") > text })
		b.up()
	}
	for range 20 {
		old := b.serverPID()
		b.signal(sigUsr1)
		b.newServer(old)
		b.up()
	}
	b.same(pids)
	b.restarts(dir)
	b.signal(sigTerm)
	if code := b.ends(patience); code != 0 {
		t.Errorf("exit code %d", code)
	}
	intact(t, dir, "upgrades and restarts")
}

// TestUpgradeLosesNoSignal: one that comes while PID 1 executes its next image has its effect all the same.
func TestUpgradeLosesNoSignal(t *testing.T) {
	t.Parallel()
	b := startInit(t, map[string]string{"web": service(t, "block")}, boxOptions{}).up()
	deaf := 0 // how often it met an image that caught nothing yet
	status := "/proc/" + strconv.Itoa(b.cmd.Process.Pid) + "/status"
	for i := range 20 {
		text := strings.Count(b.output(), "is version "+version+" now")
		eventually(t, "an upgrade is taken", func() bool { // not by a server that the last SIGUSR1 is just replacing
			_, code := b.zinit("upgrade")
			return code == 0
		})
		for end := time.Now().Add(10 * time.Second); time.Now().Before(end); {
			data, _ := os.ReadFile(status)
			_, caught, _ := strings.Cut(string(data), "SigCgt:\t")
			if n, err := strconv.ParseUint(strings.TrimSpace(caught[:min(16, len(caught))]), 16, 64); err == nil && n&(1<<(sigUsr1-1)) == 0 {
				deaf++
				break
			}
			if strings.Count(b.output(), "is version "+version+" now") > text {
				break
			}
		}
		b.signal(sigUsr1)
		eventually(t, fmt.Sprintf("SIGUSR1 number %d is obeyed", i), func() bool { return strings.Count(b.output(), "replacing the server") > i })
		eventually(t, "PID 1 has gone over", func() bool { return strings.Count(b.output(), "is version "+version+" now") > text })
		b.up()
	}
	t.Logf("%d of 20 came when PID 1 caught none", deaf)
	if deaf == 0 {
		t.Error("none came when it mattered")
	}
}

// panickingMain is `zinit init` with a defect: a goroutine of PID 1 panics when SIGRTMIN+10 comes.
func panickingMain(args []string) {
	if os.Getenv("ZINIT_TEST_BROKEN_BOOT") != "" {
		bootTable = slices.Insert(bootTable, 3, bootStage{name: "broken", steps: func(*boot) []bootStep { panic("as the test wants it") }})
	}
	c := make(chan os.Signal, 1)
	signal.Notify(c, syscall.Signal(sigRtmin+10))
	background("a test", func() {
		<-c
		panic("as the test wants it")
	})
	os.Exit(initMain(args))
}

// TestRow40_PID1SurvivesItsOwnPanic: it executes its program again and goes on; nobody notices. When that does not help it says so and ends.
func TestRow40_PID1SurvivesItsOwnPanic(t *testing.T) {
	t.Parallel()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	b := startInit(t, map[string]string{"web": service(t, "print=hello block"), "stubborn": service(t, "ignore=15 block")},
		boxOptions{binary: self, panics: true, flags: []string{"--shutdown-timeout-ms", "3000"}}).up()
	b.is("running", "web")
	web, server := b.status("web").PID, b.serverPID()
	for i := range 3 {
		b.signal(sigRtmin + 10)
		eventually(t, "PID 1 goes on", func() bool { return strings.Count(b.output(), "PID 1 is version") == i+1 })
		b.up()
		if b.status("web").PID != web || b.serverPID() != server {
			t.Fatal("web or the server has changed")
		}
	}
	if out := b.ok("logs", "web"); !strings.Contains(out, "hello") {
		t.Errorf("the lines are gone: %q", out)
	}
	b.signal(sigRtmin + 10)
	if code := b.ends(patience); code != 70 {
		t.Errorf("exit code %d after the fourth panic in a minute", code)
	}
}

// TestRow38_BrokenUpgrade: a binary that does not run, or cannot read the state, changes nothing.
func TestRow38_BrokenUpgrade(t *testing.T) {
	t.Parallel()
	b := startInit(t, map[string]string{"web": service(t, "block")}, boxOptions{}).up()
	b.is("running", "web")
	pid, old := b.status("web").PID, b.serverPID()
	text := filepath.Join(b.dir, "text")
	if err := os.WriteFile(text, []byte("no program"), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, bad := range []string{"/no/such", text, "/bin/true", "/bin/cat"} {
		if out, code := b.zinit("upgrade", bad); code != 1 {
			t.Errorf("upgrade to %s: exit code %d\n%s", bad, code, out)
		}
	}
	if b.serverPID() != old || b.status("web").PID != pid {
		t.Error("a refused upgrade has changed something")
	}
	b.ok("upgrade")
	b.newServer(old)
	b.up()
	if b.status("web").PID != pid {
		t.Error("the upgrade has touched web")
	}
}

// TestRow38_NewServerThatFails: a binary that reads the state and then does not serve is given up, and the old one takes over again.
func TestRow38_NewServerThatFails(t *testing.T) {
	t.Parallel()
	for name, line := range map[string]string{"hangs": "sleep 1000", "exits": "exit 1", "dies": "kill -SEGV $$"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := startInit(t, map[string]string{"web": service(t, "block")}, boxOptions{}).up()
			b.is("running", "web")
			web, old := b.status("web").PID, b.serverPID()
			bad := filepath.Join(b.dir, "bad")
			text := "#!/bin/sh\ncase \"$*\" in *--check-state*) echo keeper ok; echo state ok 9.9;; *) " + line + ";; esac\n"
			if err := os.WriteFile(bad, []byte(text), 0o755); err != nil {
				t.Fatal(err)
			}
			began := time.Now()
			if out, code := b.zinit("upgrade", bad); code != exitRefused || !strings.Contains(out, "did not come up") {
				t.Errorf("exit code %d\n%s", code, out)
			}
			b.says("the old one takes over again")
			within(t, patience, "the old one serves", func() bool {
				return strings.Contains(commandLine(b.serverPID()), "server --keeper") && b.serverPID() != old
			})
			b.up()
			if took := time.Since(began); took > upgradeTime+handoverTime+slack {
				t.Errorf("it took %v", took)
			}
			if st := b.status("web"); st.PID != web || st.State != running {
				t.Errorf("web was pid %d and is %+v", web, st)
			}
			b.ok("upgrade")
			b.says("PID 1 is version " + version + " now")
			b.up()
			if b.status("web").PID != web {
				t.Error("the upgrade has touched web")
			}
		})
	}
}

// TestStateSurvives: wishes, back-off and counters go on where they were.
func TestStateSurvives(t *testing.T) {
	t.Parallel()
	b := startInit(t, map[string]string{
		"stopped":  service(t, "block"),
		"limited":  service(t, "exit=1", "[lifecycle]\nrestart_delay_ms = 10\nmax_restarts = 3"),
		"waiting":  service(t, "exit=1", "[lifecycle]\nrestart_delay_ms = 60000"),
		"stopping": service(t, "ignore=15 print=up block", "[lifecycle]\nstop_timeout_ms = 3000"),
		"blocked":  service(t, "block", "[dependencies]\nrequires = [\"nothing\"]"),
	}, boxOptions{}).up()
	b.says("stopping | up")
	b.ok("stop", "stopped", "--wait")
	b.is("failed", "waiting", "limited", "blocked")
	eventually(t, "limited has given up", func() bool { st := b.status("limited"); return st.RestartCount == 3 && st.RestartInMS == nil })
	b.ok("create", "added", "--exec", "sleep 1000")
	b.is("running", "added")
	added := b.status("added").PID
	b.ok("stop", "stopping")
	b.is("stopping", "stopping")
	old := b.serverPID()
	_ = syscall.Kill(old, syscall.SIGKILL)
	b.newServer(old)
	b.up()
	b.is("exited", "stopped")
	if st := b.status("stopped"); st.Wish != "down" {
		t.Errorf("stopped is %+v", st)
	}
	if st := b.status("limited"); st.State != failed || st.RestartCount != 3 || st.ExitCode == nil || *st.ExitCode != 1 {
		t.Errorf("limited is %+v", st)
	}
	if st := b.status("waiting"); st.State != failed || st.RestartInMS == nil || *st.RestartInMS < 30000 || *st.RestartInMS > 60000 {
		t.Errorf("waiting is %+v", st)
	}
	if st := b.status("added"); st.State != running || st.PID != added {
		t.Errorf("added was pid %d and is %+v", added, st)
	}
	if out := b.ok("why", "blocked"); !strings.Contains(out, "nothing") {
		t.Errorf("why blocked: %s", out)
	}
	b.is("failed", "stopping")
	if st := b.status("stopping"); st.Reason == nil || st.Reason.Type != "stop_timeout" {
		t.Errorf("stopping is %+v", st)
	}
}

// TestStateThatKillsServers: the third server that dies of itself within two seconds of adopting makes the state one that cannot be read. A kill -9 says
// nothing about the state, however many there are.
func TestStateThatKillsServers(t *testing.T) {
	t.Parallel()
	t.Cleanup(func() { _ = os.Remove("/dev/shm/web") }) // /dev/shm is that of the host
	b := startInit(t, map[string]string{"web": service(t, "lock=/dev/shm/web print=up block")}, boxOptions{}).up()
	b.says("web | up")
	web := b.status("web").PID
	for range 6 {
		old := b.newServer(0)
		_ = syscall.Kill(old, syscall.SIGKILL)
		b.newServer(old)
		b.up()
	}
	if st := b.status("web"); st.PID != web || st.RestartCount != 0 {
		t.Fatalf("web was pid %d and is %+v", web, st)
	}
	for range 3 {
		old := b.newServer(0)
		_ = syscall.Kill(old, syscall.SIGSEGV)
		b.newServer(old)
		b.up()
	}
	b.says("servers died again and again with the saved state")
	b.is("running", "web")
	eventually(t, "web runs anew", func() bool { return strings.Count(b.output(), "web | up") == 2 })
	if st := b.status("web"); st.PID == web {
		t.Errorf("web is still pid %d", web)
	}
}

// TestRow37_DamagedState: of a state that cannot be read nothing is believed: what runs is stopped, and only then started anew.
func TestRow37_DamagedState(t *testing.T) {
	t.Parallel()
	for name, damage := range map[string]func(f *os.File) error{
		"head":    func(f *os.File) error { _, err := f.WriteAt([]byte("zinit-state 9\n"), 0); return err },
		"garbage": func(f *os.File) error { _, err := f.WriteAt(bytes.Repeat([]byte{0xa5}, 4096), 0); return err },
		"cut":     func(f *os.File) error { return f.Truncate(20) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := shortDir(t)
			b := startInit(t, map[string]string{"web": service(t, "lock="+dir+"/web print=up block")}, boxOptions{}).up()
			b.says("web | up")
			web, old := b.status("web").PID, b.serverPID()
			fds := fmt.Sprintf("/proc/%d/fd/", b.cmd.Process.Pid)
			damaged := false
			entries, _ := os.ReadDir(fds)
			for _, e := range entries {
				if to, _ := os.Readlink(fds + e.Name()); strings.HasPrefix(to, "/memfd:zinit-state") {
					f, err := os.OpenFile(fds+e.Name(), os.O_RDWR, 0)
					if err == nil {
						_ = syscall.Kill(old, syscall.SIGSTOP) // so that it writes no more
						err = damage(f)
						f.Close()
					}
					if err != nil {
						t.Fatal(err)
					}
					damaged = true
				}
			}
			if !damaged {
				t.Fatal("PID 1 has no state")
			}
			_ = syscall.Kill(old, syscall.SIGKILL)
			b.newServer(old)
			b.up()
			b.is("running", "web")
			eventually(t, "web runs anew", func() bool { return strings.Count(b.output(), "web | up") == 2 })
			if b.status("web").PID == web {
				t.Error("web was adopted")
			}
			if double, err := os.ReadFile(dir + "/web.double"); err == nil {
				t.Errorf("there were two: %s", double)
			}
			b.signal(sigTerm)
			if code := b.ends(patience); code != 0 {
				t.Errorf("exit code %d", code)
			}
		})
	}
}

// TestShutdownSurvives: one that has begun goes on with the next server, in its time, to the same exit code.
func TestShutdownSurvives(t *testing.T) {
	t.Parallel()
	for _, how := range []string{"SIGTERM", "critical", "call"} {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			b := startInit(t, map[string]string{
				"stubborn": service(t, "ignore=15 print=up block", "[lifecycle]\nstop_timeout_ms = 60000"),
				"main":     service(t, "on=12:5 print=up block", "critical = true\n[lifecycle]\nrestart = \"never\""),
			}, boxOptions{flags: []string{"--shutdown-timeout-ms", "6000"}}).up()
			b.says("stubborn | up")
			b.says("main | up")
			began, want := time.Now(), 0
			switch how {
			case "SIGTERM":
				b.signal(sigTerm)
			case "critical":
				want = 5
				b.ok("kill", "main", "SIGUSR2")
			case "call":
				b.ok("call", "system.shutdown")
			}
			eventually(t, "stubborn is stopping", func() bool { return b.status("stubborn").State == stopping })
			old := b.serverPID()
			_ = syscall.Kill(old, syscall.SIGKILL)
			b.newServer(old)
			code := b.ends(patience)
			if took := time.Since(began); code != want || took > 6*time.Second+slack || took < 5*time.Second {
				t.Errorf("exit code %d after %v", code, took)
			}
		})
	}
}

// --- the server without a keeper

func TestStandaloneServerIsReplaced(t *testing.T) {
	t.Parallel()
	dir := shortDir(t)
	s := startServer(t, load(t, dir, actorBinary(t), ""))
	t.Cleanup(func() { // what a failed test leaves behind
		for _, pid := range sysAllPids() {
			if strings.Contains(string(sysCmdline(pid)), "lock="+dir+"/") {
				_ = syscall.Kill(pid, syscall.SIGKILL)
			}
		}
	})
	pids := s.loaded()
	again := func(what string, code int) {
		t.Helper()
		select {
		case err := <-s.ended:
			s.ended <- err // also the end of the test wants to know
		case <-time.After(patience):
			t.Fatal(what + ": the server has not ended")
		}
		if got := s.cmd.ProcessState.ExitCode(); got != code {
			t.Errorf("%s: exit code %d", what, got)
		}
		s.run()
		s.same(pids)
	}
	for range 5 {
		_ = s.cmd.Process.Kill()
		again("kill -9", -1)
	}
	s.ok("call", "system.prepare_restart")
	again("prepare_restart", 0)
	for range 3 {
		said := func() int {
			text, _ := os.ReadFile(s.out.Name())
			return strings.Count(string(text), "is listening on")
		}
		before := said()
		s.ok("upgrade")
		eventually(t, "the new image listens", func() bool { return said() > before })
		s.same(pids)
	}
	s.stop()
	intact(t, dir, "standalone")
}
