// rpc_hostile_test.go is what comes over the socket, and through names and texts, from those who mean no good: the real program, from the outside.

//go:build linux

package main

import (
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestRow35_HostileNames(t *testing.T) {
	names := []string{"", ".", "..", "../x", "a/b", "/etc/passwd", "../../../../tmp/x", "a\nb", "a\x00b", "\x1b[31mred\x07", "-rf", ".hidden", "a b", "é", "a\u202eb",
		strings.Repeat("n", 4096), strings.Repeat("../", 1365)}
	fit := regexp.MustCompile(`^[^\x00-\x1f\x7f]{1,600}$`)
	byName := []string{"service.get", "service.delete", "service.status", "service.status_full", "service.stats", "service.children", "service.is_running", "service.why",
		"service.tree", "service.start", "service.stop", "service.restart", "service.kill", "service.wait", "logs.get", "logs.tail"}
	unharmed(t, nil, func(s *server) {
		before, _ := exec.Command("ls", "-laR", filepath.Join(s.dir, "services"), filepath.Dir(s.dir)+"/x").Output()
		c := s.dial()
		for _, name := range names {
			quoted, _ := json.Marshal(name)
			for _, m := range []string{"service.create", "service.register", "service.monitor", "service.set"} {
				_, fail := c.try(m, fmt.Sprintf(`{"config":{"service":{"name":%s,"exec":"sleep 1"}}}`, quoted))
				if fail == nil || fail.Code != -32005 && fail.Code != -32602 || !fit.MatchString(fail.Message) {
					t.Errorf("%s %.40q: %+v", m, name, fail)
				}
			}
			for _, m := range byName {
				if _, fail := c.try(m, fmt.Sprintf("[%s]", quoted)); fail == nil && !(m == "service.tree" && name == "") || fail != nil && (fail.Code != -32000 && fail.Code != -32602 || !fit.MatchString(fail.Message)) {
					t.Errorf("%s %.40q: %+v", m, name, fail)
				}
			}
			if strings.ContainsRune(name, 0) {
				continue // no argument of a command can have it
			}
			for _, words := range [][]string{{"status", "--", name}, {"start", "--", name}, {"logs", "--", name}, {"delete", "--", name}, {"create", "--exec", "sleep 1", "--", name}} {
				out, code := s.zinit(words...)
				if code == 0 || strings.ContainsAny(strings.ReplaceAll(out, "\n", ""), "\x1b\x07\r\x00") || len(out) > 3000 {
					t.Errorf("zinit %s %.40q: exit code %d, %d bytes\n%.500q", words[0], name, code, len(out), out)
				}
			}
		}
		after, _ := exec.Command("ls", "-laR", filepath.Join(s.dir, "services"), filepath.Dir(s.dir)+"/x").Output()
		if string(after) != string(before) {
			t.Errorf("files before:\n%s\nafter:\n%s", before, after)
		}
		for _, stem := range []string{"\x1b[2J", "a b", ".hidden", strings.Repeat("n", 200)} {
			s.write(stem, playing("", "block"))
		}
		out, code := s.zinit("reload")
		if code != 1 || strings.Contains(out, "\x1b") || strings.Contains(out, ".hidden") {
			t.Errorf("reload: exit code %d\n%q", code, out)
		}
		says(t, out, "^[[2J", "a b.toml:", "nnn.toml:")
		for _, stem := range []string{"\x1b[2J", "a b", ".hidden", strings.Repeat("n", 200)} {
			os.Remove(filepath.Join(s.dir, "services", stem+".toml"))
		}
	})
}

func TestRow30_HostileClients(t *testing.T) {
	unharmed(t, nil, func(s *server) {
		c := s.dial()
		served := func(what string) {
			t.Helper()
			began := time.Now()
			c.call("system.ping", "[]")
			if took := time.Since(began); took > slack {
				t.Errorf("%s: a ping beside it took %v", what, took)
			}
		}
		rng := rand.New(rand.NewPCG(1, 2))
		for range 50 {
			junk := make([]byte, rng.IntN(5000))
			for i := range junk {
				if junk[i] = byte(rng.Uint32()); junk[i] == '\n' || junk[i] == '\r' || junk[i] == ' ' || junk[i] == '\t' {
					junk[i] = 'x'
				}
			}
			g := s.dial()
			if got := g.ask(string(junk) + "x"); !strings.Contains(got, `"code":-32700`) {
				t.Fatalf("%q: %s", junk, got)
			}
			if got := g.ask(`{"jsonrpc":"2.0","id":7,"method":"service.list"}`); !strings.Contains(got, `"id":7,"result":["bystander"]`) {
				t.Fatalf("after garbage: %s", got)
			}
			g.Close()
		}
		for line, code := range map[string]string{"null": "-32600", "5": "-32600", "[]": "-32600", "{}": "-32600", `"x"`: "-32600", strings.Repeat("[", 100000): "-32", `{"jsonrpc":"2.0","id":1,"method":5}`: "-32600",
			`{"jsonrpc":"1.0","id":1,"method":"system.ping"}`: "-32600", `{"jsonrpc":"2.0","id":{},"method":"system.ping"}`: "-32600", `{"jsonrpc":"2.0","id":1,"method":"service.status","params":"x"}`: "-32"} {
			if got := c.ask(line); !strings.Contains(got, `"code":`+code) {
				t.Errorf("%.60q: %s", line, got)
			}
		}
		for _, half := range []string{`{"jsonrpc":"2.0","id":1,"method":"service.stop","par`, `{"jsonrpc":"2.0","id":1,`, "\xff"} {
			h := s.dial()
			h.send(half)
			served("half a line")
			h.Conn.(*net.UnixConn).CloseWrite()
			if got, err := io.ReadAll(h.in); err != nil || !strings.Contains(string(got), `"code":-32700`) {
				t.Errorf("half a line and the end: %q, %v", got, err)
			}
			h.Close()
		}
		big := s.dial()
		go io.WriteString(big.Conn, `{"jsonrpc":"2.0","id":1,"method":"`+strings.Repeat("x", 2<<20)+`"}`+"\n")
		if got := big.line(); !strings.Contains(got, `"code":-32600`) {
			t.Errorf("2 MiB: %.200s", got)
		}
		served("a line of 2 MiB")
		big.Close()
		deaf := s.dial()
		for ask := []byte(strings.Repeat(`{"jsonrpc":"2.0","id":1,"method":"rpc.discover"}`+"\n", 50)); ; {
			if _, err := deaf.Write(ask); err != nil {
				break // it was cut off
			}
		}
		served("a client that never reads")
		if peak := memoryPeak(t, s.cmd.Process.Pid); peak > 64<<20 {
			t.Errorf("the server took %d MB", peak>>20)
		}
	})
}

func TestRow30_ThousandIdleConnections(t *testing.T) {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil || limit.Max < 2100 {
		skip(t, "fewer than 2100 descriptors are allowed here")
	}
	unharmed(t, nil, func(s *server) {
		var all []*testClient
		for n := range 1000 {
			c := s.dial()
			all = append(all, c)
			switch n % 4 {
			case 1:
				c.send(`{"jsonrpc":"2.0","id":1,"meth`)
			case 2:
				c.send(`{"jsonrpc":"2.0","id":1,"method":"events.subscribe"}` + "\n")
			case 3:
				c.send(`{"jsonrpc":"2.0","id":1,"method":"service.wait","params":["bystander","failed"]}` + "\n")
			}
		}
		s.ok("ping")
		s.ok("status", "bystander")
		if st, err := readStat(s.cmd.Process.Pid); err != nil || st.Threads > 40 {
			t.Errorf("%d threads for 1000 connections, %v", st.Threads, err)
		}
		for _, c := range all {
			c.Close()
		}
	})
}

func TestClientsThatVanish(t *testing.T) {
	unharmed(t, map[string]string{"slow": playing(waiting+"[lifecycle]\nstop_timeout_ms = 200\n", "ignore=TERM", "print=up", "block")}, func(s *server) {
		for n, ask := range []string{
			`"service.wait","params":["slow","failed"]`, `"logs.follow"`, `"events.subscribe"`, `"service.start","params":{"name":"slow","wait":true}`,
			`"service.stop","params":{"name":"slow","wait":true}`, `"service.restart","params":{"name":"slow","wait":true}`,
		} {
			for range 5 {
				c := s.dial()
				c.send(fmt.Sprintf(`{"jsonrpc":"2.0","id":%d,"method":%s}`+"\n", n, ask))
				c.Close()
			}
		}
		s.ok("start", "slow", "--wait")
		s.ok("stop", "slow", "--wait")
		gone := s.dial()
		gone.send(`{"jsonrpc":"2.0","id":1,"method":"service.delete","params":["slow"]}` + "\n")
		gone.Close()
		eventually(t, "slow is deleted", func() bool { return !strings.Contains(s.ok("call", "service.list"), "slow") })
	})
}

func TestTheFirstClientFindsAllServices(t *testing.T) {
	services := map[string]string{}
	for n := range 500 {
		services[fmt.Sprintf("s%03d", n)] = "[service]\nexec = \"sleep 1\"\n" + waiting
	}
	s := startServer(t, services)
	if got := strings.Count(string(s.dial().call("service.list", "[]")), ","); got != len(services)-1 {
		t.Errorf("the first client sees %d services of %d", got+1, len(services))
	}
}

func TestRow31_OnlyTheTableOfMethods(t *testing.T) {
	unharmed(t, nil, func(s *server) {
		c := s.dial()
		for _, m := range []string{"", ".", "service", "service.", "service.Start", "SERVICE.start", "rpc.discover.x", "system.__class__", "doShutdown", "service.start\n", "supervisor.exec", "../service.start", strings.Repeat("m", 100000)} {
			if _, fail := c.try(m, "[]"); fail == nil || fail.Code != -32601 || len(fail.Message) > 300 {
				t.Errorf("%.40q: %+v", m, fail)
			}
		}
	})
}

func TestRow32_NothingListensOnTheNetwork(t *testing.T) {
	if os.Getuid() != 0 {
		skip(t, "only root may look at the descriptors of a server")
	}
	s := startServer(t, map[string]string{"a": playing("", "block")})
	s.is("running", "a")
	unixSockets, err := os.ReadFile(fmt.Sprintf("/proc/%d/net/unix", s.cmd.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	fds, _ := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", s.cmd.Process.Pid))
	sockets := 0
	for _, fd := range fds {
		to, _ := os.Readlink(fd)
		inode, is := strings.CutPrefix(to, "socket:[")
		if !is {
			continue
		}
		sockets++
		if !strings.Contains(string(unixSockets), " "+strings.TrimSuffix(inode, "]")) {
			t.Errorf("%s is no Unix socket", to)
		}
	}
	if sockets == 0 {
		t.Error("not even the control socket was found")
	}
}
