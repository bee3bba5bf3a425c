// bench_load_test.go measures, for the budget of bench_test.go, what many changes cost, and how long another client waits meanwhile.

//go:build linux

package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strings"
	"time"
)

// reload changes the files of a thousand services that run, and reloads them with a restart; beside it the boot before and the stop behind it.
func (m *bench) reload() ([]float64, []string) {
	const n = 1000
	dir := m.directory(n, nil)
	var ours, bare times
	for round := range rounds {
		m.clear()
		s := m.serve(dir)
		done := s.pinging("1000 services start")
		took := m.stamped(n)[n-1].at - s.begun
		done()
		m.files(dir, n, func(int) string { return fmt.Sprintf("env = { ROUND = \"%d\" }\n", round) })
		done = s.pinging("1000 services are reloaded")
		begin := monotonic()
		answer := s.ask("service.reload", `{"restart":true}`)
		ours.add(m.stamped(2 * n)[2*n-1].at - begin)
		done()
		if strings.Count(answer, "s0")+strings.Count(answer, "s1") < 2*n { // changed and restarted
			m.Fatalf("not all are restarted: %.300s", answer)
		}
		done = s.pinging("1000 services stop")
		bare.add(took + s.end())
		done()
	}
	r, note := ratio(ours, bare)
	return []float64{r}, []string{note}
}

func (m *bench) creates() ([]float64, []string) {
	const all, part = 3000, 300
	var first, last times
	for range rounds {
		s := m.serve(m.directory(0, nil))
		s.answers()
		done := s.pinging("3000 services are created")
		ask := func(i int) string {
			return fmt.Sprintf(`{"jsonrpc":"2.0","id":1,"method":"service.create","params":{"config":{"service":{"name":"n%05d","exec":[%q],"status":"stop"}}}}`+"\n", i, m.service)
		}
		conn, in := s.dial()
		begin := time.Now()
		for i := range all {
			_, _ = io.WriteString(conn, ask(i))
			if line, err := in.ReadString('\n'); err != nil || !strings.Contains(line, `"result"`) {
				m.Fatalf("service.create: %s %v", line, err)
			}
			if i == part-1 {
				first.add(time.Since(begin))
			}
			if i == all-part-1 {
				begin = time.Now()
			}
		}
		last.add(time.Since(begin))
		conn.Close()
		done()
		s.end()
	}
	r, note := ratio(last, first)
	return []float64{r}, []string{note}
}

// dial is one connection.
func (s *benchServer) dial() (net.Conn, *bufio.Reader) {
	conn, err := net.Dial("unix", s.socket)
	if err != nil {
		s.m.Fatal(err)
	}
	return conn, bufio.NewReader(conn)
}

// ask is one question on a connection of its own.
func (s *benchServer) ask(method, params string) string {
	conn, in := s.dial()
	defer conn.Close()
	fmt.Fprintf(conn, `{"jsonrpc":"2.0","id":1,"method":%q,"params":%s}`+"\n", method, params)
	line, err := in.ReadString('\n')
	if err != nil || !strings.Contains(line, `"result"`) {
		s.m.Fatalf("%s: %.300s %v", method, line, err)
	}
	return line
}

// pinging is another client that asks a hundred times a second until the function returned is called: for a ping, and in turns, since a ping
// needs nobody, for the status of a service. It keeps the longest answer's time. The first one does not count: until the services are loaded for the first time
// every client waits, which is the time of the start.
func (s *benchServer) pinging(meanwhile string) (done func()) {
	stop, longest := make(chan struct{}), make(chan time.Duration)
	background("ping", func() {
		var conn net.Conn
		var in *bufio.Reader
		worst, first := time.Duration(0), true
		for ask, other := `"system.ping"`, `"service.status","params":["s00000"]`; ; ask, other = other, ask {
			select {
			case <-stop:
				longest <- worst
				return
			case <-time.After(10 * time.Millisecond):
			}
			if conn == nil {
				if c, err := net.Dial("unix", s.socket); err == nil {
					conn, in = c, bufio.NewReader(c)
					defer conn.Close()
				}
				continue
			}
			begin := time.Now()
			_, _ = io.WriteString(conn, `{"jsonrpc":"2.0","id":1,"method":`+ask+"}\n")
			if _, err := in.ReadString('\n'); err != nil { // the server has ended
				<-stop
				longest <- worst
				return
			}
			if !first {
				worst = max(worst, time.Since(begin))
			}
			first = false
		}
	})
	return func() {
		close(stop)
		s.m.pings[meanwhile] = append(s.m.pings[meanwhile], <-longest)
	}
}

// longestPing is what another client waited at most while the rows above were measured.
func (m *bench) longestPing() ([]float64, []string) {
	if len(m.pings) == 0 {
		m.reload()
		m.creates()
	}
	worst, when := time.Duration(0), ""
	for what, longest := range m.pings {
		if d := slices.Min(longest); d >= worst {
			worst, when = d, what
		}
	}
	return []float64{float64(worst) / 1e6}, []string{"while " + when}
}

// state has clients start and stop twenty services 100,000 times, kills the server, and looks at what it has left and at the next one.
func (m *bench) state() ([]float64, []string) {
	const services, requests, at = 20, 100_000, 100
	var sizes, memory []float64
	dir := m.directory(services, nil)
	for range rounds {
		s := m.serve(dir)
		s.answers()
		conn, in := s.dial()
		for sent := 0; sent < requests; sent += at {
			text := ""
			for i := range at {
				text += fmt.Sprintf(`{"jsonrpc":"2.0","id":1,"method":"service.%s","params":["s%05d"]}`+"\n", []string{"stop", "start"}[i%2], (sent/at+i/2)%services)
			}
			_, _ = io.WriteString(conn, text)
			for range at {
				if line, err := in.ReadString('\n'); err != nil || !strings.Contains(line, `"result"`) {
					m.Fatalf("start or stop: %s %v", line, err)
				}
			}
		}
		conn.Close()
		fi, err := os.Stat(s.socket + ".state")
		if err != nil {
			m.Fatal(err)
		}
		sizes = append(sizes, float64(fi.Size())/1e6)
		_ = s.cmd.Process.Kill()
		_ = s.cmd.Wait()
		s = m.serve(dir)
		s.answers()
		s.idle()
		memory = append(memory, float64(statusNumber(m, procPath(s.cmd.Process.Pid, "/status"), "VmRSS:"))*1024/1e6)
		s.end()
	}
	return []float64{slices.Min(sizes), slices.Min(memory)}, []string{"", ""}
}
