// supervisor_pass_test.go runs services that get the sockets of a proxy (pass = true) by systemd's protocol, under the real server.

//go:build linux

package main

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// passedEcho is a service in Python that takes its sockets as sd_listen_fds(3) says, sends back what comes, and ends by itself after some idle seconds.
const passedEcho = `
import os, select, socket, sys
assert os.environ["LISTEN_PID"] == str(os.getpid()), os.environ
socks = [socket.socket(fileno=3 + i) for i in range(int(os.environ["LISTEN_FDS"]))]
print("got", os.environ["LISTEN_FDNAMES"], [s.getsockname() for s in socks], sorted(int(f) for f in os.listdir("/proc/self/fd")), flush=True)
assert all(os.get_blocking(s.fileno()) for s in socks)
while True:
    ready, _, _ = select.select(socks, [], [], float(sys.argv[1]))
    if not ready:
        sys.exit(0)
    for s in ready:
        conn, _ = s.accept()
        while data := conn.recv(65536):
            conn.sendall(data)
        conn.close()
`

// passing is the files of such a service and of its proxies.
func passing(t *testing.T, dir, idle string, fronts ...string) map[string]string {
	t.Helper()
	needs(t, "python3")
	script := filepath.Join(dir, "echo.py")
	if err := os.WriteFile(script, []byte(passedEcho), 0o644); err != nil {
		t.Fatal(err)
	}
	files := map[string]string{"back": fmt.Sprintf("[service]\nexec = [\"python3\", %q, %q]\nstatus = \"stop\"\n[lifecycle]\nrestart = \"never\"\n", script, idle)}
	for i, front := range fronts {
		files[fmt.Sprint("front", i)] = fmt.Sprintf("[xinet]\nlisten = [%q]\nservice = \"back\"\npass = true\nidle_timeout = 1\n", front)
	}
	return files
}

// TestProxyPasses: the service gets the sockets from descriptor 3 on, with their names and its own pid, is started by a connection, ends by itself and is started again.
func TestProxyPasses(t *testing.T) {
	t.Parallel()
	dir := shortDir(t)
	tcp, path := fmt.Sprintf("127.0.0.1:%d", freePort(t)), filepath.Join(dir, "front")
	s := startServer(t, passing(t, dir, "0.5", tcp, path))
	s.ok("list")
	for i := range 3 {
		for _, front := range []string{tcp, path} {
			if err := reach(front); err != nil {
				t.Error(err)
			}
		}
		eventually(t, "it ends by itself", func() bool { return s.status("back").State == exited })
		log := s.ok("logs", "back")
		says(t, log, "got front0:front1", path, "[0, 1, 2, 3, 4, ")
		if n := strings.Count(log, "got front"); n < i+1 {
			t.Errorf("%d starts after %d rounds: %s", n, i+1, log)
		}
	}
	if st := s.status("back"); st.RestartCount != 0 {
		t.Errorf("%+v", st)
	}
	if st := s.proxy("front0"); st.TotalConnections != 0 || st.BytesToBackend != 0 || st.Running || st.LastError != "" {
		t.Errorf("%+v", st)
	}

	// By hand, with [limits], and no sooner stopped than it ends by itself.
	s.write("back", passing(t, dir, "600")["back"]+"[limits]\nnofile = 50\n")
	s.ok("reload")
	s.ok("start", "back", "--wait")
	if err := reach(path); err != nil {
		t.Error(err)
	}
	pid := s.status("back").PID
	for end := time.Now().Add(1500 * time.Millisecond); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if now := s.status("back").PID; now != pid {
			t.Fatalf("it was stopped although nobody can know that it is idle: pid %d, then %d", pid, now)
		}
	}
	s.ok("stop", "back", "--wait")
	if err := reach(tcp); err != nil {
		t.Error(err)
	}
}

// TestProxyPassesToSshd: sshd of Debian takes its socket from us and listens on nothing else. The first connection starts it; with kill_mode = "process" a session outlives a
// restart, and who connects in between waits for the next one.
func TestProxyPassesToSshd(t *testing.T) {
	t.Parallel()
	needs(t, "sshd", "ssh", "ssh-keygen")
	if os.Getuid() != 0 {
		skip(t, "sshd lets others in only as root")
	}
	if err := os.MkdirAll("/run/sshd", 0o755); err != nil { // where sshd confines its unprivileged part
		t.Fatal(err)
	}
	dir, port := shortDir(t), fmt.Sprint(freePort(t))
	key := func(name string) string {
		path := filepath.Join(dir, name)
		if out, err := exec.Command("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", path).CombinedOutput(); err != nil {
			t.Fatalf("ssh-keygen: %v: %s", err, out)
		}
		return path
	}
	host, user := key("host"), key("user")
	sshd, _ := exec.LookPath("sshd") // it wants its absolute path
	s := startServer(t, map[string]string{
		"sshd": fmt.Sprintf("[service]\nexec = %q\nstatus = \"stop\"\n[lifecycle]\nkill_mode = \"process\"\n",
			sshd+" -D -e -f /dev/null -h "+host+" -o Port=1 -o AuthorizedKeysFile="+user+".pub -o StrictModes=no"),
		"ssh": fmt.Sprintf("[xinet]\nlisten = [\"127.0.0.1:%s\"]\nservice = \"sshd\"\npass = true\n", port),
	})
	s.ok("list")
	login := func(command string) *exec.Cmd {
		return exec.Command("ssh", "-F", "/dev/null", "-p", port, "-i", user, "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR",
			"-o", "BatchMode=yes", "-o", "ConnectTimeout=60", "127.0.0.1", command)
	}
	if out, err := login("echo in; id -u").CombinedOutput(); string(out) != "in\n0\n" {
		t.Fatalf("ssh: %v: %s\n%s", err, out, s.ok("logs", "sshd"))
	}
	session := login("echo ready; cat")
	keys, err := session.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	text, err := session.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := session.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewReader(text)
	if line, err := lines.ReadString('\n'); line != "ready\n" {
		t.Fatalf("a session says %q: %v", line, err)
	}
	old := s.status("sshd").PID
	s.ok("restart", "sshd", "--wait")
	if out, err := login("echo again").CombinedOutput(); string(out) != "again\n" || s.status("sshd").PID == old {
		t.Errorf("ssh after the restart: %v: %s", err, out)
	}
	fmt.Fprintln(keys, "still here")
	if line, err := lines.ReadString('\n'); line != "still here\n" {
		t.Errorf("after the restart the session says %q: %v", line, err)
	}
	keys.Close()
	if err := session.Wait(); err != nil {
		t.Errorf("the session: %v", err)
	}
}

// TestProxyPassesOverServers: the sockets of a running service stay as they are while servers come and go, and a server that is killed while it sleeps loses nobody.
func TestProxyPassesOverServers(t *testing.T) {
	t.Parallel()
	dir := shortDir(t)
	front := fmt.Sprintf("127.0.0.1:%d", freePort(t))
	b := startInit(t, passing(t, dir, "1", front), boxOptions{}).up()
	b.ok("list")
	for range 3 {
		old := b.newServer(0)
		halt(t, old)
		conn := dialProxy(t, front)
		if err := syscall.Kill(old, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		if err := exchange(conn, []byte("hello")); err != nil {
			t.Errorf("who waited while the server was killed: %v", err)
		}
		old = b.newServer(old)
		b.up()
		_ = syscall.Kill(old, syscall.SIGKILL)
		if err := reach(front); err != nil { // the service accepts, whether a server lives or not
			t.Error(err)
		}
		b.newServer(old)
		b.up()
		eventually(t, "it ends by itself", func() bool { return b.status("back").State == exited })
	}
	b.says("got front0")
	b.signal(sigTerm)
	if code := b.ends(patience); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

// TestProxyPassesStandalone: after a kill -9 of a server without a keeper the service still has the sockets; when it ends, the next start gets new ones.
func TestProxyPassesStandalone(t *testing.T) {
	t.Parallel()
	dir := shortDir(t)
	front := fmt.Sprintf("127.0.0.1:%d", freePort(t))
	s := startServer(t, passing(t, dir, "600", front))
	s.ok("list")
	if err := reach(front); err != nil {
		t.Error(err)
	}
	pid := s.status("back").PID
	_ = s.cmd.Process.Kill()
	err := <-s.ended
	s.ended <- err
	s.run()
	if err := reach(front); err != nil {
		t.Errorf("by the service that runs on: %v", err)
	}
	if st := s.status("back"); st.PID != pid {
		t.Errorf("back was pid %d and is %d", pid, st.PID)
	}
	s.ok("restart", "back", "--wait")
	if err := reach(front); err != nil {
		t.Errorf("after a restart: %v", err)
	}
	s.ok("stop", "back", "--wait")
	conn, err := net.Dial("tcp", front)
	if err != nil {
		t.Fatalf("the proxy does not listen: %v", err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(patience))
	if err := exchange(conn, []byte("once more")); err != nil {
		t.Error(err)
	}
}
