// main_server_test.go is the real server as tests run it from the outside, and what they ask of it and of the machine.

//go:build unix

package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// server is a running `zinit server` with its own directories.
type server struct {
	t       *testing.T
	dir     string
	socket  string
	cmd     *exec.Cmd
	out     *os.File
	ended   chan error
	via     []string        // runs the client elsewhere, on the default socket
	dialed  []net.Conn      // raw connections
	prepare func(*exec.Cmd) // changes how the server is run; may be nil
}

// startServer runs the program on services written as NAME -> text, and waits until it answers. It is killed at the end of the test.
func startServer(t *testing.T, services map[string]string, args ...string) *server {
	t.Helper()
	dir := shortDir(t)
	s := &server{t: t, dir: dir, socket: filepath.Join(dir, "s.sock")}
	if err := os.MkdirAll(filepath.Join(dir, "services"), 0o755); err != nil {
		t.Fatal(err)
	}
	for name, text := range services {
		s.write(name, text)
	}
	s.run(args...)
	return s
}

// ordinary has the server run as a user who may not do everything: a number of its own, or whoever runs the test.
func (s *server) ordinary() (uid int) {
	s.t.Helper()
	if uid = os.Getuid(); uid != 0 {
		return uid
	}
	uid = 61000
	for _, dir := range []string{s.dir, filepath.Join(s.dir, "services")} {
		if err := os.Chown(dir, uid, uid); err != nil {
			s.t.Fatal(err)
		}
	}
	s.prepare = func(cmd *exec.Cmd) {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(uid)}}
	}
	return uid
}

// newServer makes the directories of a server that is to be run later.
func newServer(t *testing.T, services map[string]string) *server {
	t.Helper()
	dir := shortDir(t)
	s := &server{t: t, dir: dir, socket: filepath.Join(dir, "s.sock")}
	if err := os.MkdirAll(filepath.Join(dir, "services"), 0o755); err != nil {
		t.Fatal(err)
	}
	for name, text := range services {
		s.write(name, text)
	}
	return s
}

func (s *server) run(args ...string) {
	s.t.Helper()
	out, err := os.Create(filepath.Join(s.dir, "server.log"))
	if err != nil {
		s.t.Fatal(err)
	}
	s.out = out
	s.cmd = exec.Command(zinitBinary(s.t), append([]string{"server", "--socket", s.socket, "--config-dir", filepath.Join(s.dir, "services")}, args...)...)
	s.cmd.Stdout, s.cmd.Stderr = out, out
	s.cmd.Env = append(os.Environ(), "NO_COLOR=1")
	if s.prepare != nil {
		s.prepare(s.cmd)
	}
	if err := s.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	s.ended = make(chan error, 1)
	go func(cmd *exec.Cmd, ended chan error) { ended <- cmd.Wait() }(s.cmd, s.ended)
	cmd, ended := s.cmd, s.ended // of this run: a test may run the server again
	s.t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		select {
		case <-ended:
		case <-time.After(patience):
			_ = cmd.Process.Kill()
			s.t.Error("the server did not end after SIGTERM")
		}
		out.Close()
		if s.t.Failed() {
			text, _ := os.ReadFile(out.Name())
			s.t.Logf("the server said:\n%s", text)
		}
	})
	eventually(s.t, "the server answers", func() bool {
		c, err := net.Dial("unix", s.socket)
		if err == nil {
			c.Close()
		}
		return err == nil
	})
}

func (s *server) write(name, text string) {
	s.t.Helper()
	if err := os.WriteFile(filepath.Join(s.dir, "services", name+".toml"), []byte(text), 0o644); err != nil {
		s.t.Fatal(err)
	}
}

// zinit runs a command as a user would and returns what it printed and its exit code.
func (s *server) zinit(args ...string) (string, int) {
	s.t.Helper()
	argv := append([]string{zinitBinary(s.t), "--socket", s.socket}, args...)
	if s.via != nil {
		argv = append(slices.Clone(s.via), args...)
	}
	cmd := exec.Command(argv[0], argv[1:]...)
	out, err := cmd.CombinedOutput()
	var failed *exec.ExitError
	if err != nil && !errors.As(err, &failed) {
		s.t.Fatal(err)
	}
	return string(out), cmd.ProcessState.ExitCode()
}

// ok runs a command that must succeed.
func (s *server) ok(args ...string) string {
	s.t.Helper()
	out, code := s.zinit(args...)
	if code != 0 {
		s.t.Fatalf("zinit %s: exit code %d\n%s", strings.Join(args, " "), code, out)
	}
	return out
}

// status is service.status_full of one service.
func (s *server) status(name string) serviceStatusFull {
	s.t.Helper()
	var st serviceStatusFull
	out, code := s.zinit("--json", "status", name)
	if err := json.Unmarshal([]byte(out), &st); err != nil {
		s.t.Fatalf("status %s (exit code %d): %v\n%s", name, code, err, out)
	}
	return st
}

// is waits until all these services are in a state.
func (s *server) is(state string, names ...string) {
	s.t.Helper()
	for _, n := range names {
		eventually(s.t, n+" is "+state, func() bool { return s.status(n).State.String() == state })
	}
}

// dial is one raw connection to the server.
func (s *server) dial() *testClient {
	s.t.Helper()
	conn, err := net.Dial("unix", s.socket)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { conn.Close() })
	s.dialed = append(s.dialed, conn)
	conn.SetDeadline(time.Now().Add(2 * patience))
	return &testClient{conn, bufio.NewReader(conn), s.t}
}

// stop ends the server as its user does. What would only end by a timeout of more than patience fails the test.
func (s *server) stop() {
	s.t.Helper()
	_ = s.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-s.ended:
		s.ended <- nil
	case <-time.After(patience):
		s.t.Fatalf("the server did not end within %v", patience)
	}
}

// says fails the test unless text has all of these.
func says(t *testing.T, text string, want ...string) {
	t.Helper()
	for _, w := range want {
		if !strings.Contains(text, w) {
			t.Errorf("no %q in\n%s", w, text)
		}
	}
}

// needs skips a test where a program is missing.
func needs(t testing.TB, programs ...string) {
	t.Helper()
	for _, p := range programs {
		if _, err := exec.LookPath(p); err != nil {
			skip(t, "no "+p+" on this machine")
		}
	}
}

// freePort is a port that nobody else is given: not by the kernel, whose ports for clients begin at 32768, and hardly by another run of these tests.
func freePort(t testing.TB) int {
	t.Helper()
	for range 1000 {
		port := 10000 + rand.IntN(22000)
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err != nil {
			continue
		}
		l.Close()
		if _, taken := portsTaken.LoadOrStore(port, true); !taken {
			return port
		}
	}
	t.Fatal("no free port")
	return 0
}

var portsTaken sync.Map

// alive says whether a process with this pid exists and is no zombie.
func alive(pid int) bool {
	st, err := readStat(pid)
	return err == nil && !st.dead()
}

func commandLine(pid int) string {
	return strings.TrimSpace(strings.ReplaceAll(string(sysCmdline(pid)), "\x00", " "))
}
