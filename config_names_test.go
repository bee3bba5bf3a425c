// config_names_test.go tests which names and addresses are allowed.

//go:build unix

package main

import (
	"fmt"
	"strings"
	"testing"
)

func TestRow35_NamesOfServices(t *testing.T) {
	for _, name := range []string{"a", "A-Z_0.9", "0", strings.Repeat("x", 64)} {
		if err := validName(name); err != nil {
			t.Errorf("%q is refused: %v", name, err)
		}
	}
	for _, name := range []string{"", ".", "..", "../x", "a/b", "-a", "_a", ".a", "a b", "a\x00", "a\n", "ä", "a\x1b[0m", strings.Repeat("x", 65), strings.Repeat("x", 4096)} {
		err := validName(name)
		if err == nil {
			t.Errorf("%q is accepted as a name", name)
		} else if strings.ContainsAny(err.Error(), "\x00\n\x1b") || len(err.Error()) > 300 {
			t.Errorf("%q: the message %q is not fit to be shown", name, err)
		}
	}
	if got := complaintsOfFile("my app"); !strings.Contains(got, "the file's name cannot be the name of the service") {
		t.Errorf("a file with a bad name gives %q", got)
	}
}

func complaintsOfFile(stem string) string {
	_, errs, _ := parseTOML([]byte("[service]\nexec = \"x\""), stem+".toml", stem)
	return fmt.Sprint(errs)
}

func TestAddresses(t *testing.T) {
	for text, ok := range map[string]bool{
		"db:80": true, ":80": true, "[::1]:80": true, "[fe80::1%eth0]:80": true, "127.0.0.1:65535": true,
		"db:": false, "db": false, "::1": false, "[::1]": false, "[::1]80": false, "a[b]:80": false, "[[::1]]:80": false, "[::1]x:80": false, "": false,
		"db:http": false, "db:0": false, "db:65536": false, "db:+80": false, "d b:80": false, "a/b:80": false,
	} {
		if err := hostPort(text); (err == nil) != ok {
			t.Errorf("hostPort(%q): %v", text, err)
		}
	}
}

func TestPathsAndConditions(t *testing.T) {
	for section, lines := range map[string]map[string]string{
		"dependencies": {
			`mounts = ["srv"]`:       "`mounts`: \"srv\" is not an absolute path; it begins with /",
			`mounts = ["/srv/a/"]`:   "`mounts`: the kernel calls \"/srv/a/\" \"/srv/a\"; write it so",
			`mounts = ["/", "/srv"]`: "",
		},
		"conditions": {
			`env = ["!"]`:           "`env`: \"!\" names no variable; write NAME, NAME=VALUE or !NAME",
			`env = ["=x"]`:          "`env`: \"=x\" names no variable; write NAME, NAME=VALUE or !NAME",
			`env = ["A", "!A=b"]`:   "",
			`exists = ["!etc"]`:     "`exists`: \"etc\" is not an absolute path; it begins with /",
			`exists = ["!/etc"]`:    "",
			`exist = ["/etc/motd"]`: "unknown key `exist`; did you mean `exists`?",
		},
	} {
		for line, want := range lines {
			got := strings.Join(complaints("[service]\nexec = \"x\"\n["+section+"]\n"+line+"\n"), "\n")
			if want == "" && got != "" || !strings.Contains(got, want) {
				t.Errorf("%s: %q, want %q", line, got, want)
			}
		}
	}
}
