// proc_helper.go runs programs that serve a service to their end: exec checks and stop_exec.

//go:build !windows

package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"
)

// helper runs a program that serves a service (an exec check, stop_exec) to its end, in a group of its own, which writes to out what it
// says on stdout and stderr. At the timeout, or when over is closed,
// its group is killed and the error says so; a helper never leaves a zombie.
func (t *procs) helper(sp *spec, timeout time.Duration, out io.Writer, over <-chan struct{}) (exit, error) {
	r, w, err := os.Pipe()
	if err != nil {
		return exit{}, fmt.Errorf("no pipe for its output: %w", err)
	}
	defer r.Close()
	mine := *sp
	mine.helper = true
	mine.stage = sp.stage.withoutTerminal()
	mine.Stdout, mine.Stderr = int(w.Fd()), int(w.Fd())
	ended := make(chan exit, 1)
	p, err := t.start(&mine, "", "", func(e exit) { ended <- e })
	w.Close()
	if err != nil {
		return exit{}, err
	}
	read := make(chan struct{})
	background("helper output", func() {
		_, _ = io.Copy(out, r)
		close(read)
	})
	limit := time.NewTimer(timeout)
	defer limit.Stop()
	var how exit
	select {
	case how = <-ended:
	case <-over:
		err = errors.New("its service has ended")
	case <-limit.C:
		err = fmt.Errorf("no end within %v, killed", timeout.Round(time.Millisecond))
	}
	if err != nil {
		p.kill()
		limit.Reset(slowRead)
		select {
		case how = <-ended:
		case <-limit.C:
			how.Left = 1
		}
	}
	// What escaped may hold the pipe for ever: take what is there now.
	_ = r.SetReadDeadline(time.Now().Add(leftoverPace))
	<-read
	return how, err
}

// tail keeps the newest bytes written to it.
type tail struct {
	data  []byte
	limit int
}

func (k *tail) Write(b []byte) (int, error) {
	k.data = append(k.data, b...)
	if over := len(k.data) - k.limit; over > 0 {
		k.data = append(k.data[:0], k.data[over:]...)
	}
	return len(b), nil
}

// probe runs ex in the surroundings of service c; nil when it exits 0 in time, else an error with the last thing that it said. What it says goes to out too;
// nil: nowhere.
func (t *procs) probe(c *config, ex execDef, invocation string, timeout time.Duration, out io.Writer, over <-chan struct{}) error {
	due := time.Now().Add(timeout)
	sp, err := resolve(c, ex, invocation, func(string) {})
	if err != nil {
		return err
	}
	said := &tail{limit: 512}
	var to io.Writer = said
	if out != nil {
		to = io.MultiWriter(said, out)
	}
	how, err := t.helper(sp, time.Until(due), to, over)
	if err == nil && how.Known && how.Signal == 0 && how.Code == 0 {
		return nil
	}
	text := how.String()
	if err != nil {
		text = err.Error()
	}
	lines := strings.Split(strings.TrimSpace(string(said.data)), "\n")
	if last := lines[len(lines)-1]; last != "" {
		text += ": " + visible(strings.ToValidUTF8(last, "\uFFFD"))
	}
	return errors.New(text)
}
