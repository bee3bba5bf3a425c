// proc_foreign_test.go tries which processes are foreign, and which port is free.

//go:build linux

package main

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

func TestPortFree(t *testing.T) {
	for _, addr := range []string{"127.0.0.1:0", ":0", "[::1]:0"} {
		l, err := net.Listen("tcp", addr)
		if err != nil {
			skip(t, "no address "+addr)
		}
		port := l.Addr().(*net.TCPAddr).Port
		if portFree(port) {
			t.Errorf("port %d of %s counts as free while it is listened on", port, addr)
		}
		l.Close()
		if !portFree(port) {
			t.Errorf("port %d is not free after the close", port)
		}
	}
}

func TestForeign(t *testing.T) {
	tab := newTestProcs(t)
	dir := t.TempDir()
	name := "zt" + strconv.Itoa(os.Getpid())
	script := filepath.Join(dir, name)
	// exec keeps the shell from being replaced by its last command.
	if err := os.WriteFile(script, []byte("#!"+shell(t)+"\necho $$ > "+dir+"/new; mv "+dir+"/new $1; while sleep 60; do :; done\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	ours := startArgv(t, tab, script, dir+"/ours")
	pidIn(t, dir+"/ours")
	if got := tab.foreign(name); len(got) != 0 {
		t.Errorf("our own service is foreign: %v (ours %d)", got, ours.p.pid)
	}
	pid, _, err := sysFork(childSpec(-1, nil, script, dir+"/theirs"), false) // not in the table
	if err != nil {
		t.Fatal(err)
	}
	pidIn(t, dir+"/theirs")
	// A command of the script looks like the script itself between its fork and its exec.
	eventually(t, fmt.Sprintf("only pid %d is foreign", pid), func() bool { return slices.Equal(tab.foreign(strings.ToUpper(name)), []int{pid}) })
	if left := removeForeign([]int{pid}, patience); len(left) != 0 || alive(pid) {
		t.Errorf("left after kill_others: %v", left)
	}
	for _, self := range []string{"zinit.test", "init", "kthreadd"} {
		for _, pid := range tab.foreign(self) {
			if pid == os.Getpid() || pid == 1 || pid == 2 {
				t.Errorf("filter %q finds pid %d", self, pid)
			}
		}
	}
}

func TestProcessNames(t *testing.T) {
	for _, c := range []struct {
		argv string
		want string
	}{
		{"/usr/bin/app --port 80", "app"},
		{"/usr/bin/python3.12 -u /srv/old-app.py x", "python3.12 old-app.py"},
		{"-bash", "-bash"},
		{"sh -c old-app", "sh"},
		{"", "."},
	} {
		if got := strings.Join(processNames(strings.Split(c.argv, " ")), " "); got != c.want {
			t.Errorf("%q goes by %q, want %q", c.argv, got, c.want)
		}
	}
}
