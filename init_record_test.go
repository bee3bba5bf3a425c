// init_record_test.go tries what one image of PID 1 hands to the next.

//go:build linux

package main

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"
)

func recordFD(t *testing.T, text []byte) int {
	t.Helper()
	fd, err := sysMemfdWith("test", text)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = sysClose(fd) })
	return fd
}

func TestKeeperRecord(t *testing.T) {
	k := &keeper{args: []string{"-c", "--", "/app", "-x"}, one: true, memo: 4, seq: 9, panics: 1, brokeAt: 5, store: map[string][]int{"log a 1": {5, 6}}, procs: map[string]int{"log a 1": 77},
		exits:   []exitRecord{{8, 77, 256 | leaderBit}},
		closing: &keeperClosing{kind: "exit", code: 3, at: time.Now().Add(time.Hour), fixed: true}, cmd: mainProgram{commandRecord: commandRecord{PID: 12, Started: true, TTY: true, Asked: true}}}
	r := k.record("/a\xff\n")
	text, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	got, err := readRecord(recordFD(t, text))
	if err != nil {
		t.Fatal(err)
	}
	if again, _ := json.Marshal(got); !bytes.Equal(again, text) || string(got.Self) != "/a\xff\n" {
		t.Errorf("wrote %s\nread  %s", text, again)
	}
	if err := checkRecord(recordFD(t, text), initFlags); err != nil {
		t.Error(err)
	}
	for what, bad := range map[string]string{
		"version 3 of it":     strings.Replace(string(text), `"Version":2`, `"Version":3`, 1),
		"no version":          strings.Replace(string(text), `"Version":2,`, ``, 1),
		"a field more":        strings.Replace(string(text), `"Seq":9`, `"Seq":9,"Hope":1`, 1),
		"half of it":          string(text[:len(text)/2]),
		"text behind it":      string(text) + "{}",
		"the old text":        "version 1\nstate 4\nseq 9\n",
		"nothing":             "",
		"flags of the future": strings.Replace(string(text), `"-c"`, `"-c","--hover"`, 1),
	} {
		if bad == string(text) {
			t.Fatalf("%s: nothing was replaced in %s", what, text)
		}
		if err := checkRecord(recordFD(t, []byte(bad)), initFlags); err == nil {
			t.Errorf("%s is taken", what)
		}
	}
}
