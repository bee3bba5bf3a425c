// init_socket_test.go tries that the control socket never goes away while servers come and go.

//go:build linux

package main

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// callers connect anew all the time and ask, until the test ends it. Nobody may be refused; a connection that the old server had accepted when it died may break.
func (s *server) callers(n int) (end func() (answered, broken int)) {
	s.t.Helper()
	stop := make(chan struct{})
	var group sync.WaitGroup
	var answered, broken atomic.Int64
	for range n {
		group.Add(1)
		go func() {
			defer group.Done()
			for {
				select {
				case <-stop:
					return
				default:
				}
				conn, err := net.Dial("unix", s.socket)
				if errors.Is(err, syscall.EAGAIN) { // the queue is full
					continue
				}
				if err != nil {
					s.t.Errorf("a client was refused: %v", err)
					return
				}
				_ = conn.SetDeadline(time.Now().Add(patience))
				fmt.Fprintln(conn, `{"jsonrpc":"2.0","id":1,"method":"system.ping"}`)
				line, err := bufio.NewReader(conn).ReadString('\n')
				conn.Close()
				switch {
				case errors.Is(err, os.ErrDeadlineExceeded):
					s.t.Errorf("a client got no answer for %v", patience)
					return
				case err != nil:
					broken.Add(1)
				case !strings.Contains(line, `"result"`):
					s.t.Errorf("a client was answered %s", line)
					return
				default:
					answered.Add(1)
				}
			}
		}()
	}
	return func() (int, int) {
		close(stop)
		group.Wait()
		return int(answered.Load()), int(broken.Load())
	}
}

// TestClientsAreNeverRefused: over 50 kill -9 of the server, 20 SIGUSR1 and 3 upgrades.
func TestClientsAreNeverRefused(t *testing.T) {
	t.Parallel()
	b := startInit(t, map[string]string{"web": service(t, "block")}, boxOptions{}).up()
	b.is("running", "web")
	web := b.status("web").PID
	end := b.callers(3)
	for range 50 {
		old := b.newServer(0)
		_ = syscall.Kill(old, syscall.SIGKILL)
		b.newServer(old)
	}
	_, killed := end()
	b.up()
	end = b.callers(3)
	for i := range 20 {
		old := b.serverPID()
		b.signal(sigUsr1)
		eventually(t, "SIGUSR1 is obeyed", func() bool { return strings.Count(b.output(), "replacing the server") == i+1 })
		b.newServer(old)
		b.up()
	}
	for range 3 {
		b.ok("upgrade")
		b.ok("list")
	}
	answered, broken := end()
	t.Logf("%d answers; connections that broke: %d over 50 kills, %d over 20 restarts and 3 upgrades", answered, killed, broken)
	if answered < 100 {
		t.Errorf("only %d answers", answered)
	}
	if st := b.status("web"); st.PID != web || st.State != running {
		t.Errorf("web was pid %d and is %+v", web, st)
	}
	b.signal(sigTerm)
	if code := b.ends(patience); code != 0 {
		t.Errorf("exit code %d", code)
	}
	if _, err := os.Lstat(b.socket); err == nil {
		t.Error("the socket is left behind")
	}
}

// TestFollowersOutliveServers: logs -f and monitor go on with the next server. Over a planned restart no line is missing; over a kill -9 some may be, and they say so.
func TestFollowersOutliveServers(t *testing.T) {
	t.Parallel()
	b := startInit(t, map[string]string{"echo": "[service]\nexec = \"cat\"\nstdin = \"pipe\"\n"}, boxOptions{notOne: true}).up()
	b.is("running", "echo")
	out, err := os.Create(filepath.Join(b.dir, "followed"))
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	for _, words := range [][]string{{"logs", "-f", "echo"}, {"monitor"}} {
		cmd := exec.Command(zinitBinary(t), append([]string{"--socket", b.socket}, words...)...)
		cmd.Stdout, cmd.Stderr = out, out
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		defer func() { _ = cmd.Process.Kill(); _ = cmd.Wait() }()
	}
	said := func(what string) int { text, _ := os.ReadFile(out.Name()); return strings.Count(string(text), what) }
	shows := func(what string) {
		t.Helper()
		eventually(t, what+" is shown", func() bool { return said(what) == 1 })
	}
	const lines, events = "zinit: the server was replaced; lines may be missing", "zinit: the server was replaced; events may be missing"
	const restarted = "echo: stopping -> starting"
	eventually(t, "monitor has begun", func() bool { b.ok("restart", "echo", "--wait"); return said(restarted) > 0 })
	b.ok("send", "echo", "first")
	shows("first")
	old := b.serverPID()
	b.signal(sigUsr1)
	b.newServer(old)
	b.up()
	b.ok("send", "echo", "second")
	shows("second")
	shows(events)
	if said(lines) != 0 {
		t.Error("lines are said to be missing after a planned restart")
	}
	old = b.serverPID()
	_ = syscall.Kill(old, syscall.SIGKILL)
	b.newServer(old)
	b.up()
	eventually(t, "monitor goes on", func() bool { return said(events) == 2 })
	b.ok("send", "echo", "third")
	shows("third")
	shows(lines)
	before := said(restarted)
	b.ok("restart", "echo", "--wait")
	eventually(t, "monitor shows events", func() bool { return said(restarted) > before })
	if said("first")+said("second")+said("third") != 3 {
		t.Error("a line was shown twice")
	}
	b.signal(sigTerm)
	b.ends(patience)
}

// TestSocketIsHeldWhileNoServerLives: another server does not take a socket for stale whose server has just died.
func TestSocketIsHeldWhileNoServerLives(t *testing.T) {
	t.Parallel()
	b := startInit(t, map[string]string{"web": service(t, "block")}, boxOptions{notOne: true}).up()
	old := b.serverPID()
	if p := peerAt(t, b.socket); p != old {
		t.Errorf("the socket shows pid %d, the server is %d", p, old)
	}
	_ = syscall.Kill(old, syscall.SIGKILL)
	now := b.newServer(old)
	b.up()
	if p := peerAt(t, b.socket); p != now {
		t.Errorf("the socket shows pid %d, the server is %d", p, now)
	}
	if err := socketIsFree(b.socket); err == nil {
		t.Error("the socket of a live server counts as free")
	}
	b.signal(sigTerm)
	b.ends(patience)
}

func peerAt(t *testing.T, socket string) int {
	t.Helper()
	conn, err := dialUnix(socket, patience)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	return peerOf(conn).pid
}

// TestSocketFileThatWasRemoved: the next server makes a new one.
func TestSocketFileThatWasRemoved(t *testing.T) {
	t.Parallel()
	b := startInit(t, map[string]string{"web": service(t, "block")}, boxOptions{}).up()
	for range 3 {
		old := b.serverPID()
		if err := os.Remove(b.socket); err != nil {
			t.Fatal(err)
		}
		b.signal(sigUsr1)
		b.newServer(old)
		b.up()
	}
	b.ok("upgrade")
	b.ok("list")
}

// TestAbstractSocketIsKept: in an image where nothing can be written.
func TestAbstractSocketIsKept(t *testing.T) {
	t.Parallel()
	needs(t, "nsenter")
	b := startInit(t, map[string]string{"web": "[service]\nexec = [\"/actor\", \"block\"]\n"}, boxOptions{empty: true, enter: []string{"ro"}}).up()
	if out := b.ok("info"); !strings.Contains(out, "@zinit") {
		t.Errorf("the socket is not abstract:\n%s", out)
	}
	for range 5 {
		old := b.serverPID()
		_ = syscall.Kill(old, syscall.SIGKILL)
		b.ok("list")
		b.newServer(old)
		b.ok("list")
	}
	if strings.Contains(b.output(), "cannot be used any more") {
		t.Error("the socket was not kept")
	}
}

// TestServerWithoutASocket: one that cannot be made is tried again by the next server.
func TestServerWithoutASocket(t *testing.T) {
	t.Parallel()
	b := startInit(t, map[string]string{"web": service(t, "print=up block")}, boxOptions{flags: []string{"--socket", "/proc/none/s"}})
	b.says("web | up")
	old := b.newServer(0)
	_ = syscall.Kill(old, syscall.SIGKILL)
	b.newServer(old)
	eventually(t, "it is tried again", func() bool { return strings.Count(b.output(), "nobody can ask or command") == 2 })
	b.signal(sigTerm)
	if code := b.ends(patience); code != 0 {
		t.Errorf("exit code %d", code)
	}
}
