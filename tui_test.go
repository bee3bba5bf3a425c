// tui_test.go drives the full screen in a pseudo-terminal.

//go:build linux

package main

import (
	"strings"
	"syscall"
	"testing"
)

const tuiLog = `{"subscription":1}
note {"jsonrpc":"2.0","method":"log","params":{"subscription":1,"seq":1,"time_ms":1,"service":"web","stream":"stdout","text":"listening on 80"}}
note {"jsonrpc":"2.0","method":"log","params":{"subscription":1,"seq":2,"time_ms":2,"service":"web","stream":"stderr","text":"日本語 \u001b[31mred\u001b[0m\ttab","lost":3}}`

func tuiServer(t *testing.T) *fakeServer {
	return fakeServe(t, map[string]string{"service.list_full": listFull, "events.subscribe": `{"subscription":1}`, "logs.follow": tuiLog,
		"service.get": `{"dependencies":{"requires":["db","gone"],"wants":["web"]}}`, "service.why": `{"text":"it is so:\n  because of db\n"}`,
		"service.start": `{"ok":true,"state":"starting"}`, "service.kill": `{"ok":true}`,
		"service.stop": `!{"code":-32013,"message":"only root may stop","data":{"kind":"permission_denied"}}`})
}

const tui80 = `
zinit  3 services: 1 running, 1 blocked, 1 failed
  NAME          STATE        PID  UPTIME  RST   CPU%  MEMORY  DETAIL
> db            failed         -       -    2      -       -  exit code 1; rest…
  web           running      123  3m 12s    0    1.2    1.5M
  日本語^[[31m  blocked        -       -    0      -       -  waits for a-servi…
─── db: failed, exit code 1; restart in 4s; restarted 2× ───────────────────────
  requires db (failed), gone (missing)
  wants web (running)
  it is so:
    because of db

─── log of db ──────────────────────────────────────────────────────────────────
listening on 80
(3 lines lost: too slow)
日本語 ^[[31mred^[[0m    tab








s start  t stop  r restart  k kill  w why  l log  / filter  ? help  q quit
`

const tui100 = `
zinit  3 services: 1 running, 1 blocked, 1 failed
  NAME          STATE        PID  UPTIME  RST   CPU%  MEMORY  DETAIL
> db            failed         -       -    2      -       -  exit code 1; restart in 4s; restarted…
  web           running      123  3m 12s    0    1.2    1.5M
  日本語^[[31m  blocked        -       -    0      -       -  waits for a-service-with-a-rather-lon…
─── db: failed, exit code 1; restart in 4s; restarted 2× ───────────────────────────────────────────
  requires db (failed), gone (missing)
  wants web (running)
  it is so:
    because of db

─── log of db ──────────────────────────────────────────────────────────────────────────────────────
listening on 80
(3 lines lost: too slow)
日本語 ^[[31mred^[[0m    tab














s start  t stop  r restart  k kill  w why  l log  / filter  ? help  q quit
`

func TestFullScreenAtTwoSizes(t *testing.T) {
	s := tuiServer(t)
	p := openTTY(t, 80, 24, nil, zinitBinary(t), "--socket", s.path, "tui")
	titled := func(screen string, cols int) string { // the socket stands at the right end of the title
		if cols-49-len(s.path) < 0 {
			skip(t, "the path of a temporary directory is too long to be shown: "+s.path)
		}
		return strings.Replace(screen, "1 failed\n", "1 failed"+strings.Repeat(" ", cols-49-len(s.path))+s.path+"\n", 1)
	}
	p.is(titled(tui80, 80))
	p.resize(100, 30)
	p.is(titled(tui100, 100))
	p.resize(20, 5)
	p.is(`
zinit  3 services: …
  NAME      STATE
> db        failed
  web       running
? help  q quit
`)
	p.keys("q")
	p.leaves(exitDone)
}

func TestFullScreenKeys(t *testing.T) {
	s := tuiServer(t)
	p := openTTY(t, 80, 24, nil, zinitBinary(t), "--socket", s.path, "tui")
	p.shows("> db", "because of db")
	p.keys("\x1b[B")
	p.shows("> web", "web: running, pid 123", "log of web")
	p.keys("t")
	p.shows("stop web? y/n")
	p.keys("n")
	p.shows("left as it is")
	p.keys("ty")
	p.shows("only root may stop")
	p.keys("s")
	p.shows("web: starting")
	p.keys("k\x1bOB")
	p.shows("kill web", "> SIGHUP    1")
	p.keys("\r")
	p.shows("web: sent SIGHUP", "!kill web")
	p.keys("/日")
	p.shows("filter: 日", "> 日本語", "!web  ", "1 shown with `日`")
	p.keys("\x7fdb\r")
	p.shows("> db", "!日本語^[[31m  blocked")
	p.keys("\x1b")
	p.shows("日本語^[[31m  blocked")
	p.keys("w")
	p.shows("db: failed", "started never", "!NAME")
	p.keys("?")
	p.shows("help", "leave; services stay as they are")
	p.keys("\x1b[200~ty\x1b[201~l") // a pasted text is no command
	p.shows("log of db, following", "tab")
	p.keys("f")
	p.shows("1 line below; End follows", "!tab")
	p.keys("\x1b[F")
	p.shows("following", "tab")
	p.keys("la")
	p.shows("log of all services", "web | listening on 80")
	p.keys("\x03")
	p.leaves(exitDone)
	sent := strings.Join(s.requests(), "\n")
	for _, want := range []string{`service.stop {"name":"web"}`, `service.start {"name":"web"}`, `service.kill {"name":"web","signal":"SIGHUP"}`} {
		if strings.Count(sent, want) != 1 {
			t.Errorf("not sent once: %s", want)
		}
	}
}

func TestFullScreenGivesTheTerminalBack(t *testing.T) {
	s := tuiServer(t)
	for sig, code := range map[syscall.Signal]int{syscall.SIGTERM: 143, syscall.SIGINT: 130, syscall.SIGHUP: 129} {
		p := openTTY(t, 80, 24, nil, zinitBinary(t), "--socket", s.path, "tui")
		p.shows("> db")
		if err := p.cmd.Process.Signal(sig); err != nil {
			t.Fatal(err)
		}
		p.leaves(code)
	}
	p := openTTY(t, 80, 24, nil, childArgv("screen-panic")...)
	p.leaves(70)
	p.shows("panic in screen: boom")
	p = openTTY(t, 80, 24, []string{"TERM=dumb"}, zinitBinary(t), "--socket", s.path, "tui")
	p.shows("needs a terminal that can move its cursor")
	p.leaves(exitUsage)
}

// Ctrl-Z gives the terminal to the shell; fg comes back to the screen as it was.
func TestFullScreenStopsAndContinues(t *testing.T) {
	s := tuiServer(t)
	p := openTTY(t, 80, 24, nil, "/bin/sh", "-mc", `"$@"; echo shell; read line; fg; echo end`, "sh", zinitBinary(t), "--socket", s.path, "tui")
	p.shows("> db")
	p.keys("\x1a")
	p.shows("shell", "!> db")
	p.keys("\n")
	p.shows("> db", "!shell")
	p.keys("q")
	p.shows("end")
	p.leaves(exitDone)
	p = openTTY(t, 80, 24, nil, zinitBinary(t), "--socket", s.path, "tui")
	p.shows("> db")
	p.keys("\x1ah") // nobody could continue it here
	p.shows("leave; services stay")
	p.keys("q")
	p.leaves(exitDone)
}

func TestFullScreenSurvivesTheServer(t *testing.T) {
	s := startServer(t, map[string]string{"web": "[service]\nexec = \"echo hello; sleep 100\"\n"})
	p := openTTY(t, 80, 24, nil, zinitBinary(t), "--socket", s.socket, "tui")
	p.shows("web", "running", "hello")
	_ = s.cmd.Process.Signal(syscall.SIGTERM)
	p.shows("; trying again", "web")
	s.run()
	p.shows("!no server", "running", "hello")
	p.keys("q")
	p.leaves(exitDone)
}

func TestRow36_EscapesInALogStayText(t *testing.T) {
	s := startServer(t, map[string]string{"evil": "[service]\nexec = 'printf \"\\033]0;title\\007\\033[2Jx\\n\"; sleep 100'\ndescription = \"a\\u001b[2Jb\"\n"})
	p := openTTY(t, 80, 24, nil, zinitBinary(t), "--socket", s.socket, "tui")
	p.shows(`^[]0;title^G^[[2Jx`, "a^[[2Jb")
	p.keys("q")
	p.leaves(exitDone)
}
