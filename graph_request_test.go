// graph_request_test.go tests starts and stops that clients ask for at the same time, with the real server.

//go:build linux

package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// TestRow25_StartAndStopFromFiftyConnections: the last wish wins, everyone is answered once, and no service ever has two processes:
// each listens on a port of its own, so a second one would say that the address is in use.
func TestRow25_StartAndStopFromFiftyConnections(t *testing.T) {
	const clients = 50
	words := []string{"start", "stop", "start", "stop", "restart", "stop", "start", "start", "stop", "stop"}
	unharmed(t, map[string]string{
		"quick":    playing(waiting+"[lifecycle]\nrestart_delay_ms = 1\n", "on=TERM:0", "listen="+strconv.Itoa(freePort(t)), "block"),
		"stubborn": playing(waiting+"[lifecycle]\nrestart_delay_ms = 1\nstop_timeout_ms = 30\n", "ignore=TERM", "listen="+strconv.Itoa(freePort(t)), "block"),
	}, func(s *server) {
		var wg sync.WaitGroup
		begin := make(chan struct{})
		for n := range clients {
			c := s.dial()
			wg.Go(func() {
				<-begin
				name, waits := []string{"quick", "stubborn"}[n%2], n%3 == 0
				for i, w := range words {
					fmt.Fprintf(c.Conn, `{"jsonrpc":"2.0","id":%d,"method":"service.%s","params":{"name":%q,"wait":%v,"timeout_ms":30000}}`+"\n", i, w, name, waits)
				}
				answered := map[int]int{}
				for range words {
					var a struct {
						ID    int
						Error *testError
					}
					line, err := c.in.ReadString('\n')
					if err := errors.Join(err, json.Unmarshal([]byte(line), &a)); err != nil {
						t.Errorf("client %d: %v in %q", n, err, line)
						return
					}
					if answered[a.ID]++; a.Error != nil || answered[a.ID] > 1 {
						t.Errorf("client %d: answer %d to %s %s: %s", n, answered[a.ID], words[a.ID], name, line)
					}
				}
			})
		}
		close(begin)
		wg.Wait()
		// Every client's last word was stop, so whichever came last was one.
		eventually(t, "only the bystander is left", func() bool {
			return s.status("quick").PID == 0 && s.status("stubborn").PID == 0 && len(sysChildren(nil, s.cmd.Process.Pid)) == 1
		})
		for _, name := range []string{"quick", "stubborn"} {
			s.ok("start", name, "--wait")
			first := s.status(name).PID
			if got := len(sysChildren(nil, s.cmd.Process.Pid)); name == "quick" && got != 2 {
				t.Errorf("%d processes, want the bystander and %s", got, name)
			}
			c := s.dial()
			c.call("service.stop", fmt.Sprintf("[%q]", name))
			c.call("service.start", fmt.Sprintf(`{"name":%q,"wait":true}`, name))
			s.is("running", name)
			if st := s.status(name); alive(first) || st.PID == first || st.Wish != "up" {
				t.Errorf("a start while it stopped: pid %d (alive %v), then %+v", first, alive(first), st)
			}
			c.call("service.restart", fmt.Sprintf("[%q]", name))
			c.call("service.stop", fmt.Sprintf(`{"name":%q,"wait":true}`, name))
			if st := s.status(name); st.PID != 0 || st.Wish != "down" {
				t.Errorf("a stop while it restarted: %+v", st)
			}
			if out := s.ok("logs", name, "-n", "1000"); strings.Contains(out, "in use") {
				t.Errorf("two processes of %s at once:\n%s", name, out)
			}
		}
	})
}
