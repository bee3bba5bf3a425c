// link_test.go tries the link between keeper and server, and its records.

//go:build linux

package main

import (
	"os"
	"slices"
	"syscall"
	"testing"
	"time"
)

func TestLinkThatCannotBeMade(t *testing.T) {
	if l, err := newLink(-1); err == nil || l != nil {
		t.Errorf("a link of no descriptor: %v, %v", l, err)
	}
	file, err := os.CreateTemp(t.TempDir(), "") // the poller takes no files
	if err != nil {
		t.Fatal(err)
	}
	fd, err := syscall.Dup(int(file.Fd()))
	if err != nil {
		t.Fatal(err)
	}
	if l, err := newLink(fd); err == nil || l != nil {
		t.Errorf("a link of a file: %v, %v", l, err)
	}
	if err := syscall.Close(fd); err != syscall.EBADF {
		t.Errorf("the descriptor is left open: %v", err)
	}
}

// TestLinkEnds: whoever waits until something has left a closed link does not wait for long.
func TestLinkEnds(t *testing.T) {
	ours, theirs, err := sysSocketPair()
	if err != nil {
		t.Fatal(err)
	}
	defer sysClose(theirs)
	l, err := newLink(ours)
	if err != nil {
		t.Fatal(err)
	}
	l.close()
	l.close()
	began := time.Now()
	l.flush(patience)
	l.sendNow(packet{op: opAsk}, patience)
	if took := time.Since(began); took > slack {
		t.Errorf("it took %v", took)
	}
}

func TestExitsInPackets(t *testing.T) {
	want := []exitRecord{{1, 2, 3}, {1 << 40, 1 << 22, 0x7f | leaderBit}}
	if got := parseExits(encodeExits(want)); !slices.Equal(got, want) {
		t.Errorf("%v", got)
	}
}

func TestProvenVersion(t *testing.T) {
	for _, row := range []struct {
		out    string
		keeper bool
		want   string
	}{
		{"state ok 1.2\n", false, "1.2"}, {"keeper ok\nstate ok 1.2\n", true, "1.2"}, {"state ok 1.2\nkeeper ok\n", true, "1.2"},
		{"state ok 1.2\n", true, ""}, {"keeper ok\n", true, ""}, {"state bad x\n", false, ""}, {"", false, ""},
	} {
		if got, err := provenVersion(row.out, row.keeper); got != row.want || (err == nil) != (row.want != "") {
			t.Errorf("%q: %q, %v", row.out, got, err)
		}
	}
}
