// rpc_access_test.go tests who may do what over the control socket: by uid, by group, by mode, and in the abstract namespace.

//go:build unix

package main

import (
	"bufio"
	"net"
	"os"
	"path/filepath"
	"testing"
)

// nobody is a user who may only read.
const nobody = 65534

// dialReader is a connection that the server takes for one that may only read.
func (d *testDoor) dialReader(t *testing.T, uid int) *testClient {
	t.Helper()
	l, err := listenUnix(filepath.Join(t.TempDir(), "r"))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	conn, err := net.Dial("unix", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	sock, err := l.AcceptUnix()
	if err != nil {
		t.Fatal(err)
	}
	d.r.begin(sock, uid, false)
	return &testClient{conn, bufio.NewReader(conn), t}
}

func TestAccess(t *testing.T) {
	me := os.Geteuid()
	for _, c := range []struct {
		who  peer
		gid  int
		want bool
	}{
		{peer{known: true, uid: 0, groups: []int{0}}, -1, true},
		{peer{known: true, uid: me, groups: []int{7}}, -1, true},
		{peer{known: true, uid: me + 1, groups: []int{7}}, -1, false},
		{peer{known: true, uid: me + 1, groups: []int{7, 50}}, 50, true},
		{peer{known: true, uid: me + 1, groups: []int{7, 51}}, 50, false},
		{peer{}, -1, false},
	} {
		if got := c.who.mayAll(c.gid); got != c.want {
			t.Errorf("%+v with socket group %d: %v", c.who, c.gid, got)
		}
	}
	c := newTestDoor(t).dialReader(t, nobody)
	table := rpcMethods
	for i := range table {
		if m := &table[i]; !readsOnly(m.name) {
			if _, fail := c.try(m.name, `{}`); fail == nil || fail.Code != -32013 {
				t.Errorf("%s by a reader: %+v", m.name, fail)
			}
		}
	}
	c.call("service.list", `[]`)
}

// TestAbstractNameIsForOwners: an abstract name has no mode that keeps others out, so they are answered by a refusal only, whatever they ask.
func TestAbstractNameIsForOwners(t *testing.T) {
	me := os.Geteuid()
	abstract, file := &controlSocket{path: "@x", gid: 50}, &controlSocket{path: "/x", gid: 50}
	file.file, _ = os.Lstat("/")
	for _, c := range []struct {
		l             *controlSocket
		who           peer
		all, answered bool
	}{
		{abstract, peer{known: true, pid: 1, uid: 0}, true, true},
		{abstract, peer{known: true, pid: 1, uid: me}, true, true},
		{abstract, peer{known: true, pid: 1, uid: me + 1, groups: []int{50}}, true, true},
		{abstract, peer{known: true, pid: 1, uid: me + 1, groups: []int{51}}, false, false},
		{abstract, peer{known: true, pid: 0, uid: 0}, false, false},
		{abstract, peer{}, false, false},
		{file, peer{known: true, pid: 1, uid: me + 1, groups: []int{51}}, false, true},
	} {
		all, refused := c.l.admits(c.who)
		if all != c.all || (refused == nil) != c.answered {
			t.Errorf("%+v at %s: all %v, %v", c.who, c.l.path, all, refused)
		}
	}
}
