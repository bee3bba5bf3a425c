// proc_spec_test.go tries what a program is executed with: user, environment, descriptors, path.

//go:build linux

package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

func TestUserSwitch(t *testing.T) {
	if os.Geteuid() != 0 {
		skip(t, "only root may become somebody else")
	}
	tab := newTestProcs(t)
	same, err := resolve(&config{Service: serviceDef{User: "0", Env: map[string]string{"PATH": "/bin"}}}, execDef{Argv: []string{"sh"}}, "", func(string) {})
	if err != nil || same.UID != -1 {
		t.Errorf("becoming who we are: %+v, %v", same, err)
	}
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	end := make(chan exit, 1)
	sp := childSpec(int(w.Fd()), nil, shell(t), "-c", "id -u; id -g; id -G")
	sp.UID, sp.GID, sp.Groups = 4321, 1234, []int{77}
	if _, err := tab.start(sp, "x", "", func(e exit) { end <- e }); err != nil {
		t.Fatal(err)
	}
	w.Close()
	<-end
	if out, _ := io.ReadAll(r); string(out) != "4321\n1234\n1234 77\n" {
		t.Errorf("ids of the child: %q", out)
	}
	err = explainExec(sp, syscall.EPERM)
	if want := "not permitted to switch to uid 4321, gid 1234: zinit runs as uid 0 (give it CAP_SETUID and CAP_SETGID, or remove user and group) (operation not permitted)"; err.Error() != want {
		t.Errorf("got %q", err)
	}
}

func TestRow12_13_15_16_TheChildStartsClean(t *testing.T) {
	leak, err := unix.Open("/", unix.O_RDONLY, 0) // as if whoever started us had left it open
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(leak)
	signal.Ignore(syscall.SIGUSR1)
	defer signal.Reset(syscall.SIGUSR1)
	var usr2, old unix.Sigset_t
	usr2.Val[0] = 1 << (unix.SIGUSR2 - 1)
	if err := unix.PthreadSigmask(unix.SIG_BLOCK, &usr2, &old); err != nil {
		t.Fatal(err)
	}
	tab := newTestProcs(t)
	r := startArgv(t, tab, shell(t), "-c", `cat; grep -E "^Sig(Blk|Ign)" /proc/self/status; ls -l /proc/self/fd; ulimit -n; ps -o pid= -o pgid= -o sid= -p $$`)
	_ = unix.PthreadSigmask(unix.SIG_SETMASK, &old, nil)
	maskedAtStart.Store(false)
	r.ended()
	text := r.text()
	for _, want := range []string{"SigBlk:\t0000000000000000", "SigIgn:\t0000000000000000", "0 -> /dev/null", "1 -> " + r.out} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is missing in\n%s", want, text)
		}
	}
	if n := strings.Count(text, " -> "); n != 4 { // 0, 1, 2 and the directory that ls reads
		t.Errorf("%d descriptors in the child:\n%s", n, text)
	}
	st := startChild(t, tab, "session", "stdin")
	st.ended()
	if want := fmt.Sprintf("%d %d %d\nstdin 0\n", st.p.pid, st.p.pid, st.p.pid); st.text() != want {
		t.Errorf("session of the child %q, want %q", st.text(), want)
	}
}

func TestChildrenGetTheOriginalDescriptorLimit(t *testing.T) {
	tab := newTestProcs(t)
	var ours unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &ours); err != nil {
		t.Fatal(err)
	}
	// A child starts with a low soft limit, raises it for itself as every Go program does, and its own child must see the low one.
	r := startArgv(t, tab, append([]string{shell(t), "-c", `ulimit -S -n 100; exec "$@"`, "sh"}, childArgv("spawn="+shell(t)+",-c,ulimit -n")...)...)
	r.ended()
	if got := strings.TrimSpace(r.text()); got != "100" {
		t.Errorf("the limit of the grandchild is %q, want 100 (ours: %d)", got, ours.Cur)
	}
}

func TestStdinWithoutDevNull(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	w.Close()
	tab := newTestProcs(t)
	sp := childSpec(-1, nil, shell(t), "-c", "read x && exit 1; exit 4")
	sp.Stdin = int(r.Fd()) // what nullFile falls back to
	end := make(chan exit, 1)
	if _, err := tab.start(sp, "x", "", func(e exit) { end <- e }); err != nil {
		t.Fatal(err)
	}
	if e := <-end; e.Code != 4 {
		t.Errorf("reading from a closed pipe: %v", e)
	}
}

func TestEnvironment(t *testing.T) {
	t.Setenv("FROM_SERVER", "1") // not seen: the server's own is taken once
	serverEnv()
	s := &serviceDef{Name: "web", Env: map[string]string{"PATH": "/x", "A": "b=c"}, User: "5"}
	env, err := serviceEnv(s, "00ff", "/home/u", func(string) {})
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"PATH": "/x", "A": "b=c", "ZINIT_SERVICE": "web", "ZINIT_INVOCATION_ID": "00ff", "HOME": "/home/u"} {
		all := slices.DeleteFunc(slices.Clone(env), func(e string) bool { return !strings.HasPrefix(e, name+"=") })
		if len(all) != 1 || all[0] != name+"="+want {
			t.Errorf("%s: %q, want once %q", name, all, want)
		}
	}
}

// TestRow71_AMachineHasASmallEnvironment: services get a PATH in any case, and on a machine nothing that the kernel's command line or an initrd has left behind.
func TestRow71_AMachineHasASmallEnvironment(t *testing.T) {
	full := files(t, map[string]string{"passwd": "root:x:0:0:root:/root:/bin/bash\napp:x:100:101:App:/srv/app:/bin/false\n"})
	bare := t.TempDir()
	for _, row := range []struct {
		etc, environ string
		machine      bool
		want         string
	}{
		{full, "HOME=/ TERM=vt220 BOOT_IMAGE=/vmlinuz PATH=/initrd/bin quiet=1 LD_PRELOAD=/x.so", true, "PATH=" + defaultPath + " HOME=/root TERM=vt220"},
		{bare, "", true, "PATH=" + defaultPath + " HOME=/ TERM=linux"},
		{full, "HOME=/x A=1 NOTIFY_SOCKET=/s PATH=/bin", false, "HOME=/x A=1 PATH=/bin"},
		{full, "A=1", false, "A=1 PATH=" + defaultPath},
		{full, "PATH= A=1", false, "PATH=" + defaultPath + " A=1"},
	} {
		withAccounts(t, row.etc, func() {
			if got := strings.Join(inheritedEnv(strings.Fields(row.environ), row.machine), " "); got != row.want {
				t.Errorf("%q, machine %v: services inherit %q, want %q", row.environ, row.machine, got, row.want)
			}
		})
	}
	withAccounts(t, full, func() {
		inherited := serverEnv
		servesMachine, serverEnv = true, func() []string { return []string{"PATH=/bin"} }
		defer func() { servesMachine, serverEnv = false, inherited }()
		for user, want := range map[string]string{"app": "/srv/app app app /bin/false", "100": "/srv/app   /bin/false", "5000": "/   /bin/sh", "": "   "} {
			s := &serviceDef{Name: "app", User: user}
			home, err := resolveUser(&spec{}, s)
			env, envErr := serviceEnv(s, "", home, func(string) {})
			if err = errors.Join(err, envErr); err != nil {
				t.Error(err)
			}
			var got []string
			for _, name := range []string{"HOME", "USER", "LOGNAME", "SHELL"} {
				value, _ := variableIn(env)(name)
				got = append(got, value)
			}
			if strings.Join(got, " ") != want {
				t.Errorf("user %q has %q, want %q", user, got, want)
			}
		}
	})
}

// TestRow69_ANumericUserHasNoHomeOfRoot: what has no entry in /etc/passwd lives in /.
func TestRow69_ANumericUserHasNoHomeOfRoot(t *testing.T) {
	if os.Geteuid() != 0 {
		skip(t, "only root may be another user")
	}
	s := newServer(t, map[string]string{"app": "[service]\nexec = [\"/bin/sh\", \"-c\", \"echo home $HOME path $PATH; exec sleep 1000\"]\nuser = 54321\n"})
	s.prepare = func(cmd *exec.Cmd) { cmd.Env = []string{"HOME=/root"} }
	s.run()
	eventually(t, "the environment of the service", func() bool { return s.ok("logs", "app") == "home / path "+defaultPath+"\n" })
}

func TestResolveFindsPrograms(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"tool", "sub/tool"} {
		full := filepath.Join(dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(full), 0o755), os.WriteFile(full, []byte("#!/bin/sh\n"), 0o755)); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		exec       execDef
		dir, path  string
		wantPath   string
		wantLength int
	}{
		{execDef{Line: "tool a b"}, "", dir, dir + "/tool", 3},
		{execDef{Argv: []string{"tool"}}, "", "/none:" + dir, dir + "/tool", 1},
		{execDef{Argv: []string{"./sub/tool"}}, dir, "", "./sub/tool", 1},
		{execDef{Argv: []string{"tool"}}, dir, "sub", dir + "/sub/tool", 1},
		{execDef{Line: "tool | cat"}, "", dir, "/bin/sh", 3},
	} {
		sp, err := resolve(&config{Service: serviceDef{Dir: c.dir, Env: map[string]string{"PATH": c.path}}}, c.exec, "", func(string) {})
		if err != nil || sp.Path != c.wantPath || len(sp.Argv) != c.wantLength {
			t.Errorf("%v in %q with PATH=%s: %+v, %v", c.exec, c.dir, c.path, sp, err)
		}
	}
}
