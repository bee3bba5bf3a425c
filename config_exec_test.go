// config_exec_test.go tests how a command line is split, against the shell itself.

//go:build unix

package main

import (
	"os/exec"
	"slices"
	"strings"
	"testing"
)

func TestCommandLines(t *testing.T) {
	const sh = "\x00shell" // the row goes to /bin/sh
	for _, row := range []struct {
		line string
		want string // the words joined by "|", or sh, or "error: …"
	}{
		{"/usr/bin/app --port 80", "/usr/bin/app|--port|80"},
		{"  app \t x  ", "app|x"},
		{"app ''", "app|"},
		{`app ""x""`, "app|x"},
		{`app "a b" 'c d' e\ f`, "app|a b|c d|e f"},
		{`app a"b c"'d e'f`, "app|ab cd ef"},
		{`app 'it'\''s'`, "app|it's"},
		{`app "it's"`, "app|it's"},
		{`app 'say "hi"'`, `app|say "hi"`},
		{`app "say \"hi\" \\ \x"`, `app|say "hi" \ \x`},
		{`app '\'`, `app|\`},
		{`app \\ \" \'`, `app|\|"|'`},
		{`app \$HOME \* \| \# \~ \!`, "app|$HOME|*|||#|~|!"},
		{`app "\$HOME \` + "`" + `x"`, "app|$HOME `x"},
		{`app '$HOME * ? [a] {b} ~ # ! ; & | < > ( ) ` + "`'", "app|$HOME * ? [a] {b} ~ # ! ; & | < > ( ) `"},
		{`app "* ? [a] {b} ~ # ! ; & | < > ( )"`, "app|* ? [a] {b} ~ # ! ; & | < > ( )"},
		{"app 'a\nb' \"c\nd\"", "app|a\nb|c\nd"},
		{"app a\\\nb \"c\\\nd\"", "app|ab|cd"},
		{"app \\\n x", "app|x"},
		{"\n app x\n", "app|x"},
		{"app a=b --x=y", "app|a=b|--x=y"},
		{"env A=b app", "env|A=b|app"},
		{`"A"=b app`, "A=b|app"},
		{`\A=b app`, "A=b|app"},
		{"=b app", "=b|app"},
		{"a-b=c app", "a-b=c|app"},
		{"1a=c app", "1a=c|app"},
		{"app ä ☃", "app|ä|☃"},
		{"app % ^ + , - . / : @", "app|%|^|+|,|-|.|/|:|@"},
		{"A=b app", sh}, {"_a1=b app", sh}, {"A= app", sh}, {"A=b", sh}, {" A='x y' app", sh},
		{"app | cat", sh}, {"app &", sh}, {"a; b", sh}, {"app < f", sh}, {"app >f", sh}, {"app 2>&1", sh}, {"(app)", sh},
		{"app $HOME", sh}, {`app "$HOME"`, sh}, {`app "a$"`, sh}, {"app `x`", sh}, {"app \"`x`\"", sh}, {"app $(x)", sh},
		{"app *.c", sh}, {"app a?", sh}, {"app [a]", sh}, {"app {a,b}", sh}, {"app ~/x", sh}, {"app x # y", sh}, {"app a#b", sh}, {"! app", sh},
		{"a\nb", sh}, {"a \n\n b", sh}, {"# it's a comment\napp", sh}, {"cat <<E\nit's\nE", sh}, {`app "$(echo 'it"s')"`, sh},
		{"app 'x", "error: the single quote at character 5 is never closed"},
		{`app ä "x`, "error: the double quote at character 7 is never closed"},
		{`app $HOME "x`, "error: the double quote at character 11 is never closed"},
		{`app "x\"`, "error: the double quote at character 5 is never closed"},
		{`app x\`, "error: the backslash at character 6"},
		{"", "error: the command is empty"}, {" \n\t", "error: the command is empty"}, {"'' x", "error: the command begins with an empty word"},
	} {
		argv, shell, err := splitExec(row.line)
		got := strings.Join(argv, "|")
		switch {
		case err != nil:
			got = "error: " + err.Error()
		case shell:
			got = sh
		}
		if got != row.want && !(strings.HasPrefix(row.want, "error: ") && strings.HasPrefix(got, row.want)) {
			t.Errorf("%q gives %q, want %q", row.line, got, row.want)
		}
		if err == nil && !shell {
			sameAsShell(t, strings.TrimSpace(row.line), argv)
		}
	}
}

// sameAsShell asks the real shell how it splits the line.
func sameAsShell(t *testing.T, line string, argv []string) {
	t.Helper()
	out, err := exec.Command("/bin/sh", "-c", "printf '%s|' "+line).Output()
	if err != nil {
		t.Fatalf("/bin/sh with %q: %v", line, err)
	}
	if got, want := string(out), strings.Join(argv, "|")+"|"; got != want {
		t.Errorf("%q: the shell has %q, we have %q", line, got, want)
	}
}

func FuzzExec(f *testing.F) {
	for _, line := range []string{"a 'b c' \"d\\\"e\"", "A=b c", "a\\\nb", "a $(b \"c", "# '", "'", "\\"} {
		f.Add(line)
	}
	f.Fuzz(func(t *testing.T, line string) {
		argv, shell, err := splitExec(line)
		if err == nil && shell == (len(argv) > 0) || err != nil && (shell || argv != nil) {
			t.Fatalf("%q gives %q, %v, %v", line, argv, shell, err)
		}
		if err != nil || shell {
			return
		}
		var b strings.Builder
		for _, word := range argv {
			b.WriteString("'" + strings.ReplaceAll(word, "'", `'\''`) + "' ")
		}
		again, shell, err := splitExec(b.String())
		if err != nil || shell || !slices.Equal(argv, again) {
			t.Fatalf("%q gives %q; quoted as %s it gives %q, %v, %v", line, argv, b.String(), again, shell, err)
		}
	})
}
