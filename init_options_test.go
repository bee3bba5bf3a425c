// init_options_test.go tries the words behind `zinit init`.

//go:build linux

package main

import (
	"slices"
	"strings"
	"testing"
)

func TestInitWords(t *testing.T) {
	t.Setenv("ZINIT_CONTAINER", "")
	for _, row := range []struct {
		words  string
		strict bool
		cmd    string
		check  func(o keeperOptions) bool
		fails  string
	}{
		{"-c /app -x --y", true, "/app -x --y", nil, ""},
		{"-c /app -x --y", false, "/app -x --y", nil, ""},
		{"-c -- /app", true, "/app", nil, ""},
		{"-c -g app -- b", true, "app -- b", func(o keeperOptions) bool { return o.group }, ""},
		{"-cgs app", true, "app", func(o keeperOptions) bool { return o.group && o.subreaper }, ""},
		{"-c -e143 -e 7 -e=8 --exit-ok=9 --exit-ok 10 app", true, "app", func(o keeperOptions) bool { return slices.Equal(o.okCodes, []int{143, 7, 8, 9, 10}) }, ""},
		{"-cge143 app", true, "app", func(o keeperOptions) bool { return o.group && slices.Equal(o.okCodes, []int{143}) }, ""},
		{"-c -p TERM app", true, "app", func(o keeperOptions) bool { return o.parentSig == sigTerm }, ""},
		{"-c -pTERM app", true, "app", func(o keeperOptions) bool { return o.parentSig == sigTerm }, ""},
		{"-c --parent-signal=SIGTERM app", true, "app", func(o keeperOptions) bool { return o.parentSig == sigTerm }, ""},
		{"-c --socket=/s app", true, "app", func(o keeperOptions) bool { return slices.Equal(o.server, []string{"--socket", "/s"}) }, ""},
		{"-c -v app", true, "app", func(o keeperOptions) bool { return o.logLevel == "info" }, ""},
		{"-c -vv -g app", true, "app", func(o keeperOptions) bool { return o.logLevel == "debug" && o.group }, ""},
		{"-c -v --log-level error app", true, "app", func(o keeperOptions) bool { return o.logLevel == "error" }, ""},
		{"-c -w -r 15:3 app", true, "app", func(o keeperOptions) bool { return o.rewrite[sigTerm] == sigQuit }, ""},
		{"-c -l app", true, "", nil, "unknown flag or word `-l`; leave it out: `zinit version` tells the version"},
		{"-c --version app", true, "", nil, "unknown flag or word `--version`; leave it out: `zinit version` tells"},
		{"-c -h", true, "", nil, "unknown flag or word `-h`; `zinit help init` tells what there is"},
		{"-c --single-child app", true, "", nil, "unknown flag or word `--single-child`; leave it out: without -g CMD alone gets signals"},
		{"single -b quiet 3", false, "", nil, ""},
		{"app", true, "", nil, "unknown flag or word `app`"},
		{"-c --bogus app", true, "", nil, "unknown flag or word `--bogus`"},
		{"-c -x app", false, "", nil, "unknown flag or word `-x`"},
		{"-c -gx app", true, "", nil, "unknown flag or word `-gx`"},
		{"-c --group=yes app", true, "", nil, "takes no value"},
		{"-c -e", true, "", nil, "flag -e needs a value: CODE"},
		{"-c -e256 app", true, "", nil, "an exit code"},
		{"-- app", true, "", nil, "add -c"},
	} {
		o, err := parseInit(strings.Fields(row.words), initFlags, row.strict)
		if (err == nil) != (row.fails == "") || err != nil && !strings.Contains(err.Error(), row.fails) {
			t.Errorf("%s: error %v, not %q", row.words, err, row.fails)
			continue
		}
		if err == nil && (strings.Join(o.cmd, " ") != row.cmd || row.check != nil && !row.check(o)) {
			t.Errorf("%s: %+v", row.words, o)
		}
	}
	t.Setenv("ZINIT_CONTAINER", "1")
	if o, err := parseInit([]string{"app", "-c"}, initFlags, false); err != nil || strings.Join(o.cmd, " ") != "app -c" {
		t.Errorf("with ZINIT_CONTAINER=1: %+v, %v", o, err)
	}
}

// TestCommandWithoutDashes: `zinit init -c -e42 /app` runs it, as tini does.
func TestCommandWithoutDashes(t *testing.T) {
	t.Parallel()
	b := startInit(t, nil, boxOptions{flags: []string{"-e42", actorBinary(t), "print=hello", "exit=42"}})
	if code := b.ends(patience); code != 0 || !strings.Contains(b.output(), "hello") {
		t.Errorf("exit code %d", code)
	}
}
