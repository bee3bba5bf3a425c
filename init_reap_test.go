// init_reap_test.go tries that no end of a child is lost or kept for ever.

//go:build linux

package main

import (
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestExitsAreBounded: what nobody acknowledges is bounded, and the end of a service is never dropped for the ends of orphans.
func TestExitsAreBounded(t *testing.T) {
	k := &keeper{procs: map[string]int{"log web 1": 7}}
	k.exits = append(k.exits, exitRecord{1, 7, 0}, exitRecord{2, 8, leaderBit})
	for seq := uint64(3); seq < 3*maxExits; seq++ {
		k.exits = append(k.exits, exitRecord{seq: seq, pid: int(seq)})
		k.boundExits()
	}
	if n := len(k.exits); n > maxExits+maxExits/16 || n < maxExits/2 || k.exits[0].pid != 7 || k.exits[1].pid != 8 || k.exits[n-1].seq != 3*maxExits-1 {
		t.Errorf("%d exits, %v … %v", n, k.exits[:3], k.exits[n-1])
	}
	for seq := uint64(3 * maxExits); seq < 6*maxExits; seq++ {
		k.exits = append(k.exits, exitRecord{seq: seq, pid: int(seq), status: leaderBit})
		k.boundExits()
	}
	if n := len(k.exits); n > 2*maxExits+maxExits/16 || k.exits[0].pid != 7 || k.exits[n-1].seq != 6*maxExits-1 {
		t.Errorf("%d exits that led a session, %v … %v", n, k.exits[:3], k.exits[n-1])
	}
}

func TestRow01_TenThousandOrphans(t *testing.T) {
	t.Parallel()
	b := startInit(t, map[string]string{"brood": service(t, "orphans=10000 block")}, boxOptions{}).up()
	b.says("brood | orphaned 10000")
	eventually(t, "only the server and the service are left", func() bool { return len(b.children()) == 2 })
	b.is("running", "brood")
	b.signal(sigTerm)
	if code := b.ends(patience); code != 0 {
		t.Errorf("exit code %d after SIGTERM", code)
	}
}

func TestRow05_DoubleForkEndsWithItsService(t *testing.T) {
	t.Parallel()
	mark := filepath.Join(shortDir(t), "mark")
	child := strings.Join(childArgv("runaway=ignore=TERM,touch="+mark+",block", "block"), `", "`)
	b := startInit(t, map[string]string{"forker": "[service]\nexec = [\"" + child + "\"]\n"}, boxOptions{}).up()
	eventually(t, "the runaway runs", func() bool { _, err := os.Stat(mark); return err == nil })
	b.ok("stop", "forker", "--wait")
	eventually(t, "nothing is left of it", func() bool { return len(b.children()) == 1 })
}

// A signal that finds its channel full is dropped (os/signal): those that come in storms must not take the room of those that end a server or PID 1.
func TestStormsOfSignalsLoseNoOther(t *testing.T) {
	s := newSupervisor(serverOptions{}, modeStandalone)
	k := &keeper{signals: make(chan os.Signal, 256), children: make(chan os.Signal, 1)}
	for _, row := range []struct {
		name          string
		catch         func()
		into          chan os.Signal
		storm, wanted syscall.Signal
	}{
		{"server", s.catch, s.signals, syscall.SIGPIPE, syscall.SIGTERM},
		{"PID 1", k.catch, k.signals, syscall.SIGCHLD, syscall.SIGUSR1},
	} {
		t.Run(row.name, func(t *testing.T) {
			row.catch()
			defer signal.Stop(row.into)
			for range 2 * cap(row.into) {
				_ = syscall.Kill(os.Getpid(), row.storm)
				time.Sleep(time.Millisecond) // those that come at once are one
			}
			seen := make(chan os.Signal, 1)
			signal.Notify(seen, row.wanted)
			_ = syscall.Kill(os.Getpid(), row.wanted)
			<-seen
			signal.Stop(seen) // returns when it was given to all
			for len(row.into) > 0 {
				if <-row.into == row.wanted {
					return
				}
			}
			t.Errorf("%v got lost among %v", row.wanted, row.storm)
		})
	}
}
