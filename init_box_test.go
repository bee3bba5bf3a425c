// init_box_test.go runs our program as PID 1 of namespaces of its own, for tests.

//go:build linux

package main

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// enterMain runs inside new namespaces and becomes the program behind "--". Words before it: proc, root=DIR, copy=DIR, lo, ro, uid=N, nocaps, nosiblings, hang=DIR, format=LINE.
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
		case "copy":
			must("a copy of all", copyOfAll(arg))
			root = arg
		case "lo":
			must("lo", sysLoopbackUp())
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
		case "format": // in a user namespace this is one of its own, since Linux 6.7 (binfmt-misc.rst of the kernel)
			must("mount binfmt_misc", unix.Mount("none", "/proc/sys/fs/binfmt_misc", "binfmt_misc", 0, ""))
			must("register a format", os.WriteFile("/proc/sys/fs/binfmt_misc/register", []byte(arg), 0))
		case "nosiblings":
			must("seccomp", refuseSiblings())
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

// refuseSiblings has the kernel answer from now on as QEMU's user emulation does: no CLONE_PARENT, and no clone3(2).
func refuseSiblings() error {
	const number, firstArg = 0, 16 // places in struct seccomp_data
	filter := []unix.SockFilter{
		{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: number},
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: unix.SYS_CLONE3, Jt: 4},
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: unix.SYS_CLONE, Jf: 2},
		{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: firstArg},
		{Code: unix.BPF_JMP | unix.BPF_JSET | unix.BPF_K, K: unix.CLONE_PARENT, Jt: 2},
		{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ALLOW},
		{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ERRNO | uint32(unix.ENOSYS)},
		{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ERRNO | uint32(unix.EINVAL)},
	}
	program := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return err
	}
	return unix.Prctl(unix.PR_SET_SECCOMP, unix.SECCOMP_MODE_FILTER, uintptr(unsafe.Pointer(&program)), 0, 0)
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
	flags   []string // of zinit init
	cmd     []string // CMD
	enter   []string // words for enterMain
	empty   bool     // an empty root: only the program, the actor and the services
	dirs    []string // in the empty root, open to all
	notOne  bool     // no PID 1: an ordinary child
	system  bool     // no -c
	env     []string
	stdin   *os.File
	tty     bool // stdin, stdout and stderr are this terminal
	binary  string
	net     bool            // a network of its own
	user    bool            // a user namespace of its own, with all users
	prepare func(*exec.Cmd) // changes how it is run
	panics  bool            // panickingMain instead of initMain; binary is this test
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
	binary := cmp.Or(o.binary, zinitBinary(t))
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
	out, err := os.OpenFile(filepath.Join(dir, "server.log"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		t.Fatal(err)
	}
	b.out = out
	b.cmd = exec.Command("/proc/self/exe", append(append([]string{"@pid1"}, o.enter...), append([]string{"--"}, argv...)...)...)
	b.cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS}
	if !o.notOne {
		b.cmd.SysProcAttr.Cloneflags |= syscall.CLONE_NEWPID | syscall.CLONE_NEWIPC
	}
	if o.empty || o.net { // abstract sockets belong to the network
		b.cmd.SysProcAttr.Cloneflags |= syscall.CLONE_NEWNET
	}
	if o.user {
		all := []syscall.SysProcIDMap{{Size: 1 << 16}}
		b.cmd.SysProcAttr.Cloneflags |= syscall.CLONE_NEWUSER
		b.cmd.SysProcAttr.UidMappings, b.cmd.SysProcAttr.GidMappings = all, all
	}
	b.cmd.SysProcAttr.Pdeathsig = syscall.SIGKILL // a test that is killed leaves no box behind
	b.cmd.Stdout, b.cmd.Stderr, b.cmd.Stdin = out, out, o.stdin
	if o.tty {
		b.cmd.Stdout, b.cmd.Stderr = o.stdin, o.stdin
		b.cmd.SysProcAttr.Setsid, b.cmd.SysProcAttr.Setctty = true, true
	}
	b.cmd.Env = append(append(os.Environ(), "NO_COLOR=1"), o.env...)
	if o.prepare != nil {
		o.prepare(b.cmd)
	}
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
	os.Exit(initMain(args, initFlags))
}
