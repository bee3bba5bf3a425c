// soak_ask_test.go is what the clients of the soak test ask for: anything, in any order, and not always politely.

//go:build linux

package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"
)

type object = map[string]any

// requests asks until the time is over.
func (s *soak) requests(c *soakClient) {
	defer c.close()
	weights := 0
	for _, q := range soakRequests {
		weights += q.weight
	}
	for !s.stopped() {
		at := c.rng.IntN(weights)
		for _, q := range soakRequests {
			if at -= q.weight; at < 0 {
				q.do(c)
				break
			}
		}
		if c.rng.IntN(4) == 0 {
			s.pause(time.Duration(c.rng.IntN(40)) * time.Millisecond)
		}
	}
}

var soakRequests = []struct {
	weight int
	do     func(c *soakClient)
}{
	{20, func(c *soakClient) { c.act("service.start", c.s.all) }},
	{12, func(c *soakClient) { c.act("service.stop", c.s.all) }},
	{12, func(c *soakClient) { c.act("service.restart", c.s.all) }},
	{8, func(c *soakClient) {
		c.ask("service.kill", object{"name": c.one(c.s.kills), "signal": c.one([]string{"SIGKILL", "TERM", "SIGINT", "9"})}, 0)
	}},
	{6, (*soakClient).create},
	{6, func(c *soakClient) {
		c.ask("service.delete", object{"name": c.dynamic(), "force": c.rng.IntN(2) == 0}, slack)
	}},
	{3, (*soakClient).set},
	{2, (*soakClient).reload},
	{20, func(c *soakClient) {
		method := c.one([]string{"service.status", "service.status_full", "service.why", "service.tree", "service.stats", "service.children", "service.is_running", "service.get", "logs.get", "logs.tail"})
		c.ask(method, object{"name": c.one(c.s.all)}, 0)
	}},
	{10, func(c *soakClient) {
		c.ask(c.one([]string{"service.list_full", "service.list", "service.tree", "service.graph", "system.info", "system.ping", "debug.state", "debug.process_tree", "boot.analyze", "rpc.discover"}), nil, 0)
	}},
	{5, func(c *soakClient) {
		c.ask("logs.filter", object{"service": c.one(c.s.all), "contains": c.one([]string{"1", "up", "zz"}), "lines": 1 + c.rng.IntN(2000)}, 0)
	}},
	{3, (*soakClient).follow},
	{6, func(c *soakClient) {
		c.ask("service.wait", object{"name": c.one(c.s.all), "state": c.one([]string{"running", "exited", "failed", "inactive"}), "timeout_ms": 1 + c.rng.IntN(300)}, time.Second)
	}},
	{3, (*soakClient).batch},
	{3, (*soakClient).garbage},
	{3, (*soakClient).cut},
	{2, func(c *soakClient) { c.ask("service.start_all", nil, 0) }},
}

func (c *soakClient) one(of []string) string { return of[c.rng.IntN(len(of))] }

func (c *soakClient) dynamic() string { return fmt.Sprint("dynamic", c.rng.IntN(8)) }

// act starts, stops or restarts one, and waits for it now and then.
func (c *soakClient) act(method string, of []string) {
	p := object{"name": c.one(of)}
	if c.rng.IntN(4) == 0 {
		p["wait"], p["timeout_ms"] = true, 1+c.rng.IntN(1000)
	}
	c.ask(method, p, 2*time.Second)
}

// config is a service that only waits, a little different each time.
func (c *soakClient) config(name string) object {
	argv := []string{actorBinary(c.s.t), "sole=" + c.s.dir + "/" + name, "block"}
	return object{"service": object{"name": name, "exec": argv, "env": object{"TURN": fmt.Sprint(c.rng.IntN(1000))}}, "lifecycle": object{"stop_timeout_ms": 300, "restart_delay_ms": 20}}
}

func (c *soakClient) create() {
	name := c.dynamic()
	p := object{"config": c.config(name)}
	if c.rng.IntN(2) == 0 {
		p["persist"] = true
	}
	c.ask("service.create", p, 0)
}

// set replaces a service that only waits, one of the files or not.
func (c *soakClient) set() {
	name := c.dynamic()
	if c.rng.IntN(2) == 0 {
		name = c.one(c.s.calm)
	}
	method := c.one([]string{"service.set", "service.update"})
	c.ask(method, object{"config": c.config(name)}, slack)
}

// reload changes the files of some services first.
func (c *soakClient) reload() {
	c.s.files.Lock()
	for range c.rng.IntN(5) {
		name := c.one(c.s.sets)
		words := "sole=" + c.s.dir + "/" + name + " block"
		if strings.HasPrefix(name, "crash") {
			words = "sole=" + c.s.dir + "/" + name + " print=up doze=1:900 exit=3"
		}
		c.s.write(name, service(c.s.t, words, fmt.Sprintf("env = { TURN = \"%d\" }\n[lifecycle]\nrestart = \"always\"\nrestart_delay_ms = 20\nrestart_delay_max_ms = 500\nstop_timeout_ms = 300", c.rng.IntN(1000))))
	}
	c.s.files.Unlock()
	c.ask("service.reload", object{"restart": c.rng.IntN(2) == 0}, slack)
}

// follow reads what comes on a connection of its own for a while. What was printed keeps its order.
func (c *soakClient) follow() {
	f := &soakClient{s: c.s, rng: c.rng}
	defer f.close()
	method := c.one([]string{"logs.follow", "events.subscribe"})
	if f.ask(method, object{"services": []string{c.one(c.s.all), c.one(c.s.print)}}, 0).Result == nil {
		return
	}
	last := 0.0
	for range c.rng.IntN(100) {
		f.conn.SetReadDeadline(time.Now().Add(300 * time.Millisecond))
		line, err := f.in.ReadBytes('\n')
		if err != nil {
			return
		}
		var n struct{ Params struct{ Seq float64 } }
		if err := json.Unmarshal(line, &n); err != nil || n.Params.Seq <= last {
			c.s.fault("a notification out of order", "after %v: %.300q %v", last, line, err)
		}
		last = n.Params.Seq
	}
}

// batch is several requests at once, in one array or one after the other.
func (c *soakClient) batch() {
	if c.conn == nil && !c.dial() {
		return
	}
	var all []string
	for range 1 + c.rng.IntN(20) {
		c.id++
		method := c.one([]string{"service.start", "service.status", "service.why", "service.stop"})
		all = append(all, fmt.Sprintf(`{"jsonrpc":"2.0","id":%d,"method":%q,"params":[%q]}`, c.id, method, c.one(c.s.calm)))
	}
	text, answers := "["+strings.Join(all, ",")+"]\n", 1
	if c.rng.IntN(2) == 0 {
		text, answers = strings.Join(all, "\n")+"\n", len(all)
	}
	if !c.write([]byte(text), text) {
		return
	}
	for range answers {
		line, ok := c.read(slack, text)
		if !ok {
			return
		}
		if !json.Valid(line) || !strings.Contains(string(line), `"result"`) && !strings.Contains(string(line), `"error"`) {
			c.s.fault("an answer that cannot be read", "%.300q", line)
		}
	}
}

// garbage is answered with an error, and the connection goes on.
func (c *soakClient) garbage() {
	if c.conn == nil && !c.dial() {
		return
	}
	text := c.one([]string{"x", "{", "[]", "null", `{"jsonrpc":"2.0","id":1}`, `{"jsonrpc":"2.0","id":1,"method":"no.such"}`, `{"jsonrpc":"2.0","id":1,"method":"service.start","params":{"nmae":"x"}}`,
		"\x00\xff", strings.Repeat("[", 5000), `"` + strings.Repeat("a", 100_000) + `"`})
	if !c.write([]byte(text+"\n"), text) {
		return
	}
	if line, ok := c.read(slack, text); ok && !strings.Contains(string(line), `"error"`) {
		c.s.fault("garbage is accepted", "%.100q: %.200s", text, line)
	}
}

// cut ends the connection in the middle: of a request, or before the answers are read.
func (c *soakClient) cut() {
	if c.conn == nil && !c.dial() {
		return
	}
	ask := `{"jsonrpc":"2.0","id":1,"method":"` + c.one([]string{"service.list_full", "service.tree", "service.start_all", "debug.state"}) + `"}` + "\n"
	text := strings.Repeat(ask, 1+c.rng.IntN(10))
	c.write([]byte(text[:c.rng.IntN(len(text)+1)]), "half a request")
	c.close()
}

// pinger is another client: nobody may keep it waiting.
func (s *soak) pinger() {
	c := s.client(5)
	defer c.close()
	for !s.stopped() {
		era, began := s.era.Load(), time.Now()
		a := c.ask("system.ping", nil, 0)
		if took := time.Since(began); a.Result != nil && era%2 == 0 && s.era.Load() == era {
			s.looks.pinged(took)
		}
		s.pause(10 * time.Millisecond)
	}
}

// watcher reads all events: no start of ours can fail.
func (s *soak) watcher() {
	c := s.client(6)
	defer c.close()
	for !s.stopped() {
		if c.conn == nil && c.ask("events.subscribe", nil, 0).Result == nil {
			c.close()
			s.pause(10 * time.Millisecond)
			continue
		}
		c.conn.SetReadDeadline(time.Now().Add(200 * time.Millisecond))
		line, err := c.in.ReadBytes('\n')
		if errors.Is(err, os.ErrDeadlineExceeded) && len(line) == 0 {
			continue
		}
		if err != nil {
			c.close()
			continue
		}
		var n struct {
			Params struct {
				Service string
				Reason  *wireReason
			}
		}
		if json.Unmarshal(line, &n) == nil && n.Params.Reason != nil && slices.Contains([]reasonType{reasonSpawnError, reasonMissingDependency}, n.Params.Reason.Type) {
			s.fault("a start failed", "%.400s", line)
		}
	}
}
