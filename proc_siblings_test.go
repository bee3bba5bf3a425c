// proc_siblings_test.go tries a kernel that does not let a server make children of its parent: then services are its own children.

//go:build linux

package main

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// TestRow60_CloneFlagsRefused: where the kernel refuses CLONE_PARENT services run all the same, one that is adopted by the next server is looked after as before,
// and system.info says what is missing.
func TestRow60_CloneFlagsRefused(t *testing.T) {
	t.Parallel()
	for _, notOne := range []bool{false, true} {
		t.Run(fmt.Sprintf("notOne=%v", notOne), func(t *testing.T) {
			t.Parallel()
			withoutSiblings(t, boxOptions{enter: []string{"nosiblings"}, notOne: notOne})
		})
	}
}

// withoutSiblings runs services in a box where CLONE_PARENT is refused.
func withoutSiblings(t *testing.T, o boxOptions) {
	t.Helper()
	b := startInit(t, map[string]string{
		"web":   service(t, "block", "[lifecycle]\nrestart_delay_ms = 0"),
		"done":  service(t, "exit=0", "[lifecycle]\nrestart = \"never\""),
		"crash": service(t, "exit=3", "[lifecycle]\nrestart = \"never\""),
		"none":  "[service]\nexec = [\"/no/such/program\"]\n[lifecycle]\nrestart = \"never\"\n",
	}, o).up()
	b.is("running", "web")
	b.is("exited", "done")
	b.is("failed", "crash", "none")
	if st := b.status("crash"); st.ExitCode == nil || *st.ExitCode != 3 {
		t.Errorf("crash is %+v", st)
	}
	if st := b.status("none"); st.Reason.Type != reasonSpawnError || !strings.Contains(st.Reason.Message, "/no/such/program") {
		t.Errorf("none is %+v", st.Reason)
	}
	says(t, b.ok("info"), "CLONE_PARENT")
	web, old := b.status("web").PID, b.serverPID()
	if b.parentOf(web) != old {
		t.Errorf("the parent of web is %d, not the server %d", b.parentOf(web), old)
	}
	_ = sysKill(old, sigKill)
	b.newServer(old)
	b.up()
	if st := b.status("web"); st.PID != web || st.State != running {
		t.Errorf("web was pid %d and is %+v", web, st)
	}
	b.ok("kill", "web", "KILL") // the adopted one is the keeper's child by now
	eventually(t, "web is started again", func() bool { st := b.status("web"); return st.State == running && st.PID != web })
	b.ok("stop", "web", "--wait")
	b.is("exited", "web")
	began := time.Now()
	b.signal(sigTerm)
	if code := b.ends(patience); code != 0 {
		t.Errorf("exit code %d after %v", code, time.Since(began))
	}
}

// parentOf is the parent of a process that a status names, as the box counts processes.
func (b *box) parentOf(pid int) int {
	for _, one := range sysAllPids() {
		data, _ := readSmall(procPath(one, "/status"), make([]byte, 2048))
		_, line, _ := strings.Cut(string(data), "\nNSpid:")
		line, _, _ = strings.Cut(line, "\n")
		words := strings.Fields(line)
		if st, err := readStat(one); err == nil && len(words) > 0 && words[len(words)-1] == fmt.Sprint(pid) && st.PPID == b.serverPID() {
			return st.PPID
		}
	}
	return 0
}
