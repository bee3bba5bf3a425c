// supervisor_rings.go hands the newest log lines, and the beginnings of lines, to the next server.

//go:build !windows

package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path"
	"strconv"
	"time"
)

// configureLogs has the lines of a service kept as its file says, with the variables in the name of its log file. It may hang like the env_file.
func (s *supervisor) configureLogs(c *config) (err error) {
	def := c.Logging
	if def.File, err = expandedFor(c, "file", def.File); err == nil {
		s.logs.configure(c.Service.Name, def, s.mode == modeContainer)
	}
	return err
}

// adoptLogging is configureLogs before the owner begins, which nothing may keep from it. A log file whose name is not known in time gets nothing until the next start.
func (s *supervisor) adoptLogging(c *config) {
	if !c.isExpanded(c.Logging.File) {
		s.logs.configure(c.Service.Name, c.Logging, s.mode == modeContainer)
		return
	}
	done := make(chan error, 1)
	background("name of a log file", func() { done <- s.configureLogs(c) })
	var err error
	select {
	case err = <-done:
	case <-time.After(time.Second):
		err = errors.New(doesNotAnswer("its env_file"))
	}
	if err != nil {
		logf(logWarn, "%s: the name of its log file is not known (%v): what it prints is not written there until it is started again", c.Service.Name, err)
	}
}

// ringsVar names the descriptor with the log lines that an earlier image of this process kept.
const ringsVar = "ZINIT_RINGS"

const ringsKey = "rings"

// logSource is one stream of a service.
type logSource struct {
	service string
	stream  logStream
}

// savedLog is one line of the text in which log lines go to the next server: a line of a service, or the beginning of one.
type savedLog struct {
	Line    *logLine  `json:"line,omitempty"`
	Service string    `json:"service,omitempty"`
	Stream  logStream `json:"stream,omitempty"`
	Partial []byte    `json:"partial,omitempty"`
}

// packRings puts all log lines, and the beginnings of lines, into one text for the next server.
func (s *supervisor) packRings() []byte {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	end := time.Now().Add(time.Second)
	for _, n := range s.logs.names() {
		for _, l := range s.logs.snapshot(n) {
			_ = enc.Encode(savedLog{Line: &l})
		}
		for _, e := range s.logs.readEnds(n) {
			if len(e.Partial) > 0 {
				_ = enc.Encode(savedLog{Service: n, Stream: e.Stream, Partial: e.Partial})
			}
		}
		if time.Now().After(end) {
			break
		}
	}
	return b.Bytes()
}

// ringsFile is where a standalone server that ends as planned leaves its log lines: among its pipes, which are in memory if possible.
func (s *supervisor) ringsFile() string { return path.Join(s.logs.fifos, ".rings") }

// loadRings puts saved log lines back and returns the beginnings of lines.
func (s *supervisor) loadRings(data []byte) map[logSource][]byte {
	partial := map[logSource][]byte{}
	lines := map[string][]logLine{}
	for dec := json.NewDecoder(bytes.NewReader(data)); ; {
		var l savedLog
		if dec.Decode(&l) != nil {
			break
		}
		if l.Line != nil {
			lines[l.Line.Service] = append(lines[l.Line.Service], *l.Line)
		} else {
			partial[logSource{l.Service, l.Stream}] = l.Partial
		}
	}
	for _, n := range sortedKeys(lines) {
		s.logs.restore(n, lines[n])
	}
	return partial
}

// takeRings takes the log lines of the last server: from the keeper, or from the image that executed us.
func (s *supervisor) takeRings(fds []int) {
	fd := -1
	if len(fds) == 1 {
		fd = fds[0]
	} else if n, err := strconv.Atoi(os.Getenv(ringsVar)); err == nil {
		fd = n
	} else if data, err := os.ReadFile(s.ringsFile()); err == nil && s.keeper == nil {
		s.partial = s.loadRings(data)
		_ = os.Remove(s.ringsFile())
		return
	} else {
		return
	}
	os.Unsetenv(ringsVar)
	data, _ := sysReadAll(fd)
	_ = sysClose(fd)
	s.partial = s.loadRings(data)
}
