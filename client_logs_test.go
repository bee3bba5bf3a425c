// client_logs_test.go is the manual of logs and monitor.

//go:build unix

package main

import (
	"strings"
	"testing"
)

func TestLogs(t *testing.T) {
	lines := `[{"seq":1,"time_ms":1000,"service":"web","stream":"stdout","text":"hello"},
{"seq":2,"time_ms":2000,"service":"db","stream":"stderr","text":"\u001b[2Jgone"}]`
	s := fakeServe(t, map[string]string{"logs.filter": strings.ReplaceAll(lines, "\n", "")})
	expect(t, "all", s.via(t, "logs").exits(t, exitDone).out, "web | hello\ndb  | ^[[2Jgone\n")
	expect(t, "one", s.via(t, "logs", "web", "-n", "5", "--grep", "h", "--stream=stdout").exits(t, exitDone).out, "hello\n^[[2Jgone\n")
	expect(t, "request", s.requests()[1], `logs.filter {"contains":"h","lines":5,"service":"web","stream":"stdout"}`)
	s.via(t, "logs", "--since", "2026-01-31T12:00:00Z", "--until", "2026-01-31T13:00:00Z").exits(t, exitDone)
	expect(t, "times", s.requests()[len(s.requests())-1], `logs.filter {"since_ms":1769860800000,"until_ms":1769864400000}`)
	expect(t, "a bad time", s.via(t, "logs", "--until", "noon").exits(t, exitUsage).err,
		"zinit: bad --until `noon`: such as 10m, 14:30, 2026-01-31 or \"2026-01-31 14:30\"\nhint: usage: zinit logs [NAME...] [FLAG...]\n")
	expect(t, "an end of what comes", s.via(t, "logs", "-f", "--until", "10m").exits(t, exitUsage).err,
		"zinit: --until has no place with --follow, which shows what is still to come\nhint: usage: zinit logs [NAME...] [FLAG...]\n")
	expect(t, "raw", s.via(t, "logs", "--raw", "-n5").exits(t, exitDone).out, "web | hello\ndb  | \x1b[2Jgone\n")
}

// followed is what logs.follow answers: these lines, and then the end.
func followed(end string, lines ...string) string {
	text := `{"subscription":3}` + "\n"
	for _, l := range lines {
		text += `note {"jsonrpc":"2.0","method":"log","params":{"subscription":3,` + l + "}}\n"
	}
	return text + end
}

const (
	lineOne   = `"seq":8,"time_ms":5,"service":"web","stream":"stdout","text":"one <b>"`
	lineTwo   = `"seq":9,"time_ms":6,"service":"web","stream":"stdout","text":"two","lost":4`
	lineThree = `"seq":10,"time_ms":7,"service":"web","stream":"stdout","text":"three"`
)

func TestLogsFollow(t *testing.T) {
	answers := map[string]string{"service.list": `["db","web"]`, "logs.follow": followed("END", lineOne, lineTwo)}
	s := fakeServe(t, answers)
	expect(t, "a name of nobody", s.via(t, "logs", "-f", "wbe").exits(t, exitNoService).err, "zinit: no service `wbe`\nhint: did you mean `web`?\n")
	r := s.via(t, "logs", "-f", "web", "-n", "2").exits(t, exitNoServer)
	sent := s.requests()
	expect(t, "request", sent[len(sent)-1], `logs.follow {"lines":2,"services":["web"]}`)
	expect(t, "text", r.out, "one <b>\n(4 lines lost: too slow)\ntwo\n")
	expect(t, "the end", r.err, "zinit: the server at "+s.path+" closed the connection\n")
	s = fakeServe(t, answers)
	expect(t, "json", s.via(t, "logs", "-f", "--json").out, "{"+lineOne+"}\n{"+lineTwo+"}\n")
}

// TestFollowersGoOn: over the replacement of a server logs -f goes on behind the last line, and says when some may be missing.
func TestFollowersGoOn(t *testing.T) {
	first, again := `logs.follow {"lines":2,"services":["web"]}`, `logs.follow {"lines":10000,"services":["web"]}`
	for _, c := range []struct{ next, lacks string }{
		{followed("END", lineOne, lineTwo, lineThree), ""}, // a planned restart: the next server has all lines
		{followed("END", lineThree), "zinit: the server was replaced; lines may be missing\n"},
		{followed("END", `"seq":1,"time_ms":7,"service":"web","stream":"stdout","text":"three"`), "zinit: the server was replaced; lines may be missing\n"}, // numbers begin anew
	} {
		s := fakeServe(t, map[string]string{"service.list": `["db","web"]`, first: followed("EOF", lineOne, lineTwo), again: c.next})
		r := s.via(t, "logs", "-f", "web", "-n", "2").exits(t, exitNoServer)
		expect(t, "text", r.out, "one <b>\n(4 lines lost: too slow)\ntwo\nthree\n")
		expect(t, "what is said", r.err, c.lacks+"zinit: the server at "+s.path+" closed the connection\n")
	}
}

func TestMonitor(t *testing.T) {
	event := `{"subscription":1,"seq":1,"time_ms":0,"type":"state","service":"web","from":"running","to":"failed","reason":{"type":"signal","signal":9,"name":"SIGKILL","core":false}}`
	answers := map[string]string{"events.subscribe": "{\"subscription\":1}\nnote {\"jsonrpc\":\"2.0\",\"method\":\"event\",\"params\":" + event + "}\nEND"}
	expect(t, "text", fakeServe(t, answers).via(t, "monitor", "web").out, "never web: running -> failed (killed by SIGKILL)\n")
	expect(t, "json", fakeServe(t, answers).via(t, "monitor", "--json").out, event+"\n")
	answers["service.list"] = `["db","web"]`
	expect(t, "a name of nobody", fakeServe(t, answers).via(t, "monitor", "wbe").exits(t, exitNoService).err, "zinit: no service `wbe`\nhint: did you mean `web`?\n")
}
