// init_server.go is the keeper's watch over its server: when it asks for a sign of life, how long it waits for one, and what follows when none comes.

package main

import (
	"os"
	"strings"
	"time"
)

// The keeper asks only when there is something to ask for, so that it never wakes up when nothing happens: it has given the server a task
// (a signal, a shutdown), exits are not acknowledged, clients are not accepted, or a watchdog wants to be fed. "Live" is the first answer of every server.
const (
	answerStep = 2 * time.Second
	stillSteps = 5               // silent, and it computes nothing, for 10 s: it is stopped, or waits for something that never comes
	allSteps   = 15              // silent for 30 s, however busy
	ackTime    = 5 * time.Second // for exits, until the server is asked
	stillTime  = time.Millisecond
)

// answerWait is the wait for a sign of life, in steps. A step that ends late does not count: then this process had no processor itself, or all
// of us were frozen. A server on a busy machine is slow, but it computes; one that computes without an answer gets more time.
type answerWait struct {
	next  time.Time     // the end of the present step; zero: no answer is missing
	cpu   time.Duration // what the server had computed when it began
	still int           // steps in a row in which it computed next to nothing …
	steps int           // … and all that counted
}

func (w *answerWait) begin(cpu time.Duration, now time.Time) {
	*w = answerWait{next: now.Add(answerStep), cpu: cpu}
}

// step ends a step; cpu is what the server has computed until now, below 0 if nobody knows. It says whether the server is to be taken for hung.
func (w *answerWait) step(cpu time.Duration, now time.Time) bool {
	if now.Sub(w.next) < answerStep/2 {
		w.steps++
		w.still++
		if cpu < 0 || cpu-w.cpu >= stillTime {
			w.still = 0
		}
	}
	w.next, w.cpu = now.Add(answerStep), cpu
	return w.still >= stillSteps || w.steps >= allSteps
}

// ask has the server give a sign of life.
func (k *keeper) ask() {
	s := &k.server
	if s.link == nil {
		return
	}
	s.link.send(packet{op: opAsk})
	if s.answer.next.IsZero() {
		s.answer.begin(sysComputed(s.pid), time.Now())
	}
}

// expectAcks has the server asked when it does not acknowledge exits in time.
func (k *keeper) expectAcks() {
	s := &k.server
	if s.live && len(k.exits) > 0 && s.askAt.IsZero() {
		s.askAt = time.Now().Add(ackTime)
	}
}

// lookForLife asks when that is due, and kills a server that does not answer: serverEnded starts the next one.
func (k *keeper) lookForLife(now time.Time) {
	s := &k.server
	if s.pid == 0 {
		return
	}
	if over(s.askAt, now) {
		s.askAt = time.Time{}
		if len(k.exits) > 0 {
			k.ask()
		}
	}
	if !over(s.answer.next, now) || !s.answer.step(sysComputed(s.pid), now) {
		return
	}
	s.answer, s.hung = answerWait{}, true
	logf(logError, "the server (pid %d) gives no sign of life; it is killed and replaced, services run on", s.pid)
	_ = sysKill(s.pid, sigKill)
}

// holdSocket has clients see us as the server while there is none: the pid of the dead one would say that nobody lives here.
func (k *keeper) holdSocket() {
	for key, fds := range k.store {
		if strings.HasPrefix(key, socketKey) && len(fds) == 1 {
			_ = sysListenAgain(fds[0])
		}
	}
}

// letGo closes all that was kept for servers: a socket whose file is gone keeps its file system from becoming read-only.
func (k *keeper) letGo() {
	for key, fds := range k.store {
		closeAll(fds)
		delete(k.store, key)
		k.watchSocket(key)
	}
}

// watchSocket looks whether clients wait for long, when what is kept under key has changed. It costs nothing while nobody comes.
func (k *keeper) watchSocket(key string) {
	if !strings.HasPrefix(key, socketKey) {
		return
	}
	if k.queue != nil {
		k.queue.Close()
		k.queue = nil
	}
	if fds := k.store[key]; len(fds) == 1 {
		if fd, err := sysDup(fds[0]); err == nil {
			k.queue = os.NewFile(uintptr(fd), "control socket")
			k.watchQueue(k.queue)
		}
	}
}

// watchQueue reports, until it is closed, clients that were not accepted within a moment.
func (k *keeper) watchQueue(queue *os.File) {
	raw, err := queue.SyscallConn()
	if err != nil || queue.SetReadDeadline(time.Time{}) != nil {
		return // the poller does not take it
	}
	background("control socket", func() {
		for raw.Read(func(fd uintptr) bool { return sysReadable(int(fd)) }) == nil {
			time.Sleep(answerStep)
			still := false
			_ = raw.Control(func(fd uintptr) { still = sysReadable(int(fd)) })
			if still {
				select {
				case k.waiting <- struct{}{}:
				default:
				}
			}
		}
	})
}
