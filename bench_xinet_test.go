// bench_xinet_test.go measures, for the budget of bench_test.go, what a proxy copies, accepts and holds, beside HAProxy.

//go:build linux

package main

import (
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"time"
)

// init makes the test binary the backend of the proxies that are measured.
func init() {
	if len(os.Args) == 4 && os.Args[1] == "@bench" && os.Args[2] == "backend" {
		backendChild(os.Args[3])
	}
}

// backendChild answers each connection with as many bytes as its first eight say, and closes it; holdOpen: it waits for the other side.
func backendChild(address string) {
	l, err := net.Listen("tcp", address)
	if err != nil {
		panic(err)
	}
	block := make([]byte, 256<<10)
	for {
		conn, err := l.Accept()
		if err != nil {
			panic(err)
		}
		go func() {
			defer conn.Close()
			var ask [8]byte
			if _, err := io.ReadFull(conn, ask[:]); err != nil {
				return
			}
			left := binary.LittleEndian.Uint64(ask[:])
			if left == holdOpen {
				_, _ = conn.Write(ask[:1])
				_, _ = conn.Read(ask[:])
				return
			}
			for left > 0 {
				n, err := conn.Write(block[:min(left, uint64(len(block)))])
				if err != nil {
					return
				}
				left -= uint64(n)
			}
		}()
	}
}

const holdOpen = 1 << 63

// fetchBytes asks a backend behind a proxy for n bytes and reads them.
func fetchBytes(address string, n uint64, buf []byte) error {
	conn, err := net.Dial("tcp", address)
	if err != nil {
		return err
	}
	defer conn.Close()
	if _, err := conn.Write(binary.LittleEndian.AppendUint64(nil, n)); err != nil {
		return err
	}
	got := uint64(0)
	for {
		k, err := conn.Read(buf)
		got += uint64(k)
		if err == io.EOF && got == n {
			return nil
		}
		if err != nil {
			return fmt.Errorf("after %d of %d bytes: %w", got, n, err)
		}
	}
}

func benchAddress(m *bench) string { return fmt.Sprintf("127.0.0.1:%d", freePort(m)) }

// proxied runs a server with a proxy before the backend, and returns where it listens.
func (m *bench) proxied() (s *benchServer, front, back string) {
	m.Helper()
	front, back = benchAddress(m), benchAddress(m)
	dir := m.directory(0, nil)
	service := fmt.Sprintf("[service]\nexec = [%q, \"@bench\", \"backend\", %q]\nstatus = \"stop\"\n[health]\ntype = \"tcp\"\ntarget = %q\ninterval_ms = 3600000\n", childProgram(), back, back)
	proxy := fmt.Sprintf("[xinet]\nlisten = [%q]\nbackend = %q\nservice = \"back\"\n", front, back)
	for name, text := range map[string]string{"back.toml": service, "front.toml": proxy} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			m.Fatal(err)
		}
	}
	s = m.serve(dir)
	s.answers()
	m.reaches(front)
	return s, front, back
}

// reaches waits until a backend answers at an address.
func (m *bench) reaches(address string) {
	m.Helper()
	eventually(m, "the backend answers at "+address, func() bool { return fetchBytes(address, 1, make([]byte, 1)) == nil })
}

// haproxy runs HAProxy in TCP mode before the same backend, as fast as it goes: with splicing.
func (m *bench) haproxy(back string) (front string, end func()) {
	m.Helper()
	front = benchAddress(m)
	file := filepath.Join(m.TempDir(), "haproxy.cfg")
	text := fmt.Sprintf("global\n\tmaxconn 4000\ndefaults\n\tmode tcp\n\ttimeout connect 10s\n\ttimeout client 60s\n\ttimeout server 60s\nlisten front\n\tbind %s\n\tserver back %s\n", front, back)
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		m.Fatal(err)
	}
	cmd := exec.Command("haproxy", "-db", "-q", "-f", file)
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		m.Fatal(err)
	}
	m.reaches(front)
	return front, func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}
}

// xinetSpeed is what a proxy copies, and how many connections it makes, beside HAProxy.
func (m *bench) xinetSpeed() ([]float64, []string) {
	if _, err := exec.LookPath("haproxy"); err != nil {
		return m.without("haproxy")
	}
	const size, conns, hands = 2 << 30, 4000, 8
	s, front, back := m.proxied()
	rival, end := m.haproxy(back)
	defer end()
	buf := make([]byte, 256<<10)
	bulk := func(address string) time.Duration {
		begin := time.Now()
		if err := fetchBytes(address, size, buf); err != nil {
			m.Fatal(err)
		}
		return time.Since(begin)
	}
	many := func(address string) time.Duration {
		begin := time.Now()
		var all sync.WaitGroup
		for range hands {
			all.Go(func() {
				buf := make([]byte, 4096)
				for range conns / hands {
					if err := fetchBytes(address, 100, buf); err != nil {
						m.Error(err)
						return
					}
				}
			})
		}
		all.Wait()
		return time.Since(begin)
	}
	var ours, bare, oursMany, bareMany times
	inTurns(rounds, func() { ours.add(bulk(front)) }, func() { bare.add(bulk(rival)) })
	inTurns(rounds, func() { oursMany.add(many(front)) }, func() { bareMany.add(many(rival)) })
	s.end()
	bytes, _ := ratio(bare, ours)
	rate, _ := ratio(bareMany, oursMany)
	speed := func(t times) float64 { return size / 1e6 / t.best().Seconds() }
	perSecond := func(t times) time.Duration { return time.Second * conns / t.best() }
	return []float64{bytes, rate}, []string{fmt.Sprintf("%.0f of %.0f MB/s", speed(ours), speed(bare)), fmt.Sprintf("%d of %d /s", perSecond(oursMany), perSecond(bareMany))}
}

// xinetIdle is the memory and the descriptors of a server with 10,000 connections on which nothing is said. Where a process may not have so many descriptors, the
// cost of each is taken from as many as there may be.
func (m *bench) xinetIdle() ([]float64, []string) {
	const all = 10000
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		m.Fatal(err)
	}
	n := int(min(all, limit.Max*3/8-100)) // see connectionLimit
	if n < 100 {
		m.Fatalf("%d descriptors are too few", limit.Max)
	}
	s, front, _ := m.proxied()
	s.idle()
	memory, fds := s.pss(), float64(sysFDs(s.cmd.Process.Pid))
	conns := make([]net.Conn, n)
	for i := range conns {
		conn, err := net.Dial("tcp", front)
		if err == nil {
			_, err = conn.Write(binary.LittleEndian.AppendUint64(nil, holdOpen))
		}
		if err != nil {
			m.Fatal(err)
		}
		conns[i] = conn
	}
	for _, conn := range conns {
		if _, err := io.ReadFull(conn, make([]byte, 1)); err != nil {
			m.Fatal(err)
		}
	}
	s.idle()
	each := (s.pss() - memory) / float64(n)
	eachFD := (float64(sysFDs(s.cmd.Process.Pid)) - fds) / float64(n)
	for _, conn := range conns {
		conn.Close()
	}
	s.end()
	return []float64{memory + all*each, fds + all*eachFD}, []string{fmt.Sprintf("%.0f bytes each of %d", each*1e6, n), fmt.Sprintf("%.2f each", eachFD)}
}
