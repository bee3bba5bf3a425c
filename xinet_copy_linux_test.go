// xinet_copy_linux_test.go looks at how proxies copy on Linux: with splice(2), without where there is none, and with nothing held while nobody speaks.

package main

import (
	"io"
	"net"
	"os"
	"strings"
	"sync/atomic"
	"testing"

	"golang.org/x/sys/unix"
)

// TestProxySplices: what is copied goes through splice(2), and where the kernel refuses that, all arrives as well.
func TestProxySplices(t *testing.T) {
	const size = 5 << 20
	for name, refuse := range map[string]func(calls int64) bool{
		"splice": func(int64) bool { return false },
		"none":   func(int64) bool { return true },
		"late":   func(calls int64) bool { return calls >= 10 }, // with something in the pipe
		"odd":    func(calls int64) bool { return calls%7 == 3 },
	} {
		t.Run(name, func(t *testing.T) {
			s := &stageService{address: stageAddress(t, "tcp4", ""), talk: echo}
			var calls, moved atomic.Int64
			c, err := newCopier()
			if err != nil {
				t.Fatal(err)
			}
			c.splice = func(from, to, n int) (int, error) {
				if refuse(calls.Add(1)) {
					return -1, unix.EINVAL
				}
				k, err := spliceNow(from, to, n)
				moved.Add(int64(max(k, 0)))
				return k, err
			}
			p := stageProxyOn(t, c, s, xinetDef{Listen: []string{stageAddress(t, "unix", "front")}})
			if err := exchange(dialProxy(t, p.def.Listen[0]), randomBytes(size)); err != nil {
				t.Fatal(err)
			}
			if name == "splice" && moved.Load() != 4*size { // into a pipe and out of it, both ways
				t.Errorf("splice moved %d bytes of %d", moved.Load(), 4*size)
			}
		})
	}
}

// TestIdleConnectionsHoldNoPipe: a connection on which nothing is said costs no pipe, also when much has been said on it.
func TestIdleConnectionsHoldNoPipe(t *testing.T) {
	s := &stageService{address: stageAddress(t, "unix", "back"), talk: echo}
	p := stageProxy(t, s, xinetDef{Listen: []string{stageAddress(t, "unix", "front")}})
	before := openPipes()
	conns := make([]net.Conn, 200)
	data := randomBytes(100 << 10)
	for i := range conns {
		conns[i] = dialProxy(t, p.def.Listen[0])
		go func() { _, _ = conns[i].Write(data) }()
		if _, err := io.ReadFull(conns[i], make([]byte, len(data))); err != nil {
			t.Fatal(err)
		}
	}
	if n := openPipes() - before; n > len(p.copier.loops)*2*sparePipes {
		t.Errorf("%d more pipes are open with %d idle connections", n, len(conns))
	}
}

// openPipes counts our descriptors of pipes.
func openPipes() (n int) {
	entries, _ := os.ReadDir("/proc/self/fd")
	for _, e := range entries {
		if to, err := os.Readlink("/proc/self/fd/" + e.Name()); err == nil && strings.HasPrefix(to, "pipe:") {
			n++
		}
	}
	return n
}
