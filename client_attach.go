// client_attach.go holds the commands that write to the stdin of a service: send, and attach, which shows its log meanwhile.

package main

import (
	"bufio"
	"fmt"
	"os"
	"strings"
	"time"
)

func cmdSend(c *cli) int {
	return c.each(c.args[:1], "service.send", params{"text": c.args[1]}, new(okResult), func(string) int { return exitDone })
}

// lastWords is how long a log may be silent after the end of the input, until attach ends: what the last line was answered with is still shown.
const lastWords = 300 * time.Millisecond

// cmdAttach shows the log of a service as it comes, and sends it what is typed. Two connections: one is followed, the other one is asked.
func cmdAttach(c *cli) int {
	name := c.args[0]
	var conf struct{ Service struct{ Stdin stdinKind } }
	if _, err := c.call("service.get", params{"name": name}, &conf); err != nil {
		return c.fail(name, err)
	}
	if conf.Service.Stdin != stdinFromPipe {
		errorf("the stdin of %s is no pipe", visible(name))
		hint("set stdin = \"pipe\" in its file, reload and restart it; `zinit logs -f %s` shows its log", visible(name))
		return exitRefused
	}
	follower := *c
	if _, err := follower.dial(); err != nil {
		return c.fail(name, err)
	}
	defer follower.server.conn.Close()
	c.interruptible()
	lines, lost := make(chan followedLine), make(chan error, 1)
	background("log", func() {
		lost <- follower.listen("logs.follow", params{"services": []string{name}}, func(f *frame) bool {
			if l, err := decodeLog(f.Params); err == nil {
				lines <- l
			}
			return true
		})
	})
	typed := make(chan string)
	background("input", func() {
		defer close(typed)
		for in := bufio.NewReader(os.Stdin); ; {
			line, err := in.ReadString('\n')
			if line != "" {
				typed <- strings.TrimSuffix(line, "\n")
			}
			if err != nil {
				return
			}
		}
	})
	return c.converse(name, lines, lost, typed)
}

// converse is attach until the input has ended, a line could not be sent, or the server has gone.
func (c *cli) converse(name string, lines <-chan followedLine, lost <-chan error, typed <-chan string) int {
	silence := time.NewTimer(time.Hour)
	defer silence.Stop()
	for {
		select {
		case l := <-lines:
			if l.Lost > 0 {
				fmt.Fprintln(c.out, c.paint(styleRed, l.lostText()))
			}
			c.printLog(&l.logLine, false, 0)
			if c.out.Flush() != nil {
				return exitRefused
			}
			if typed == nil {
				silence.Reset(lastWords)
			}
		case err := <-lost:
			return c.fail(name, err)
		case line, more := <-typed:
			if !more {
				typed = nil
				silence.Reset(lastWords)
				continue
			}
			if _, err := c.call("service.send", params{"name": name, "text": line}, nil); err != nil {
				return c.fail(name, err)
			}
		case <-silence.C:
			return exitDone
		}
	}
}
