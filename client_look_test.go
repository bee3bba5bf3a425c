// client_look_test.go is the manual of status, why and health.

//go:build unix

package main

import (
	"strings"
	"testing"
)

func TestStatusOfOne(t *testing.T) {
	s := fakeServe(t, map[string]string{"service.status_full": webFull})
	expect(t, "status", s.via(t, "status", "web").exits(t, exitDone).out, `
web - the shop
  state     running
  wish      up
  process   123, up 3m 12s
  uses      1.5M memory, 1.2% CPU
  health    ok, 9 checks
  kind      service, class user, critical
  file      /etc/zinit/services/web.toml
`)
}

// TestStatusNamesABrokenLogFile: nobody who looks at a service reads the log of the server.
func TestStatusNamesABrokenLogFile(t *testing.T) {
	s := newServer(t, map[string]string{"web": "[service]\nexec = \"echo one; echo two; sleep 1000\"\n[logging]\nfile = \"/proc/no/such.log\"\n"})
	s.run()
	eventually(t, "the status names it", func() bool {
		out := s.ok("status", "web")
		return strings.Contains(out, "\n  log file  ") && strings.Contains(out, "no such file or directory; 2 lines lost\n")
	})
}

func TestStatusOfAllCountsThem(t *testing.T) {
	s := fakeServe(t, map[string]string{"service.list_full": listFull})
	r := s.via(t, "status").exits(t, exitDone)
	if !strings.HasSuffix(r.out, "\n\n3 services: 1 running, 1 blocked, 1 failed\n") {
		t.Errorf("no tally: %s", r.out)
	}
}

func TestWhyPrintsTheTextOfTheServer(t *testing.T) {
	s := fakeServe(t, map[string]string{"service.why": `{"name":"web","state":"blocked","blocked":true,"text":"web is blocked\n  requires db: failed (exit code 1)",` +
		`"reasons":[{"type":"requires","service":"db","state":"failed","detail":""},{"type":"failed","service":"db","state":"failed","detail":"exit code 1"}]}`})
	expect(t, "why", s.via(t, "why", "web").exits(t, exitDone).out, `
web is blocked
  requires db: failed (exit code 1)
`)
}

func TestHealthForDocker(t *testing.T) {
	s := fakeServe(t, map[string]string{"service.list_full": listFull, "service.list": `["db"]`})
	expect(t, "text", s.via(t, "health", "db").exits(t, exitNotRunning).out, "db is failed (exit code 1; restart in 4s; restarted 2×)\n")
	expect(t, "json", s.via(t, "health", "db", "web", "--json").exits(t, exitNotRunning).out,
		`{"ok":false,"services":[{"name":"db","state":"failed","ok":false},{"name":"web","state":"running","ok":true}]}`+"\n")
	expect(t, "good", s.via(t, "health", "web").exits(t, exitDone).out, "ok, 1 service\n")
	stopped := fakeServe(t, map[string]string{"service.list_full": `[{"name":"job","state":"exited","wish":"up"},{"name":"web","state":"exited","wish":"down"}]`})
	expect(t, "only what is wanted", stopped.via(t, "health").exits(t, exitDone).out, "ok, 1 service\n")
	expect(t, "stopped by a person", stopped.via(t, "health", "web").exits(t, exitNotRunning).out, "web is exited\n")
}
