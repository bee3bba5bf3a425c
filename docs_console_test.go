// docs_console_test.go runs what README.md and docs/ show: every console block against a real server, every script, and every service file.

//go:build linux

package main

import (
	"bufio"
	"bytes"
	"cmp"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

// A section (## …) of a page is a session: a fresh directory and a server of its own, whose services are those of the blocks before the first command.
//
//	```console    each line that begins with "$ " is a command for sh; what follows is what it prints, see docPattern
//	```sh         a script, which must end with 0
//	```toml       a service file: checked, and written to services/ when its first line is "# NAME.toml"
//	```python     with the first line "# NAME.py": a file of the session
//
// A comment before a block says otherwise: <!-- by hand: REASON -->, <!-- run by: TestName -->, or <!-- services: DIR -->, which are there when the server starts.
type docBlock struct {
	line         int
	lang, text   string
	name         string // of the file that it is
	hand, test   string
	servicesFrom string
}

var (
	docFence     = regexp.MustCompile("(?m)((?:^<!-- [^\n]* -->\n+)*)^```([a-z]*)\n((?s:.*?))^```$")
	docDirective = regexp.MustCompile(`<!-- (by hand|run by|services): (.+?) -->`)
	docFileName  = regexp.MustCompile(`^# ([A-Za-z0-9_.@-]+\.(?:toml|py))\n`)
)

// docBlocks finds the blocks of a text; lines are counted from first.
func docBlocks(text string, first int) (blocks []*docBlock) {
	for _, at := range docFence.FindAllStringSubmatchIndex(text, -1) {
		b := &docBlock{line: first + strings.Count(text[:at[4]], "\n"), lang: text[at[4]:at[5]], text: text[at[6]:at[7]]}
		for _, d := range docDirective.FindAllStringSubmatch(text[at[2]:at[3]], -1) {
			switch d[1] {
			case "by hand":
				b.hand = d[2]
			case "run by":
				b.test = d[2]
			case "services":
				b.servicesFrom = d[2]
			}
		}
		if m := docFileName.FindStringSubmatch(b.text); m != nil {
			b.name = m[1]
		}
		blocks = append(blocks, b)
	}
	return blocks
}

// TestDocsConsole runs the blocks of all pages.
func TestDocsConsole(t *testing.T) {
	needs(t, "sh", "sleep", "mkdir", "touch", "test", "date", "python3")
	tests := testNames(t)
	for path, page := range docPages(t) {
		line := 1
		for i, section := range strings.Split(page, "\n## ") {
			if i > 0 {
				line++
			}
			blocks := docBlocks(section, line)
			title, _, _ := strings.Cut(section, "\n")
			line += strings.Count(section, "\n")
			for _, b := range blocks {
				if b.runs() && b.lang == "python" && b.name == "" {
					t.Errorf("%s:%d: a file without a name", path, b.line)
				}
				if b.test != "" && !tests[b.test] {
					t.Errorf("%s:%d: there is no %s", path, b.line, b.test)
				}
			}
			if docRuns(blocks) {
				t.Run(path+"/"+strings.ReplaceAll(title, " ", "-"), func(t *testing.T) {
					t.Parallel()
					(&docSession{t: t, path: path}).run(blocks)
				})
			}
		}
	}
}

func (b *docBlock) runs() bool {
	return (b.lang == "console" || b.lang == "sh" || b.lang == "toml" || b.lang == "python") && b.hand == "" && b.test == ""
}

func docRuns(blocks []*docBlock) bool {
	for _, b := range blocks {
		if b.runs() {
			return true
		}
	}
	return false
}

// docSession is a shell in the directory of a server.
type docSession struct {
	t     *testing.T
	path  string
	s     *server
	in    io.Writer
	lines chan string
	got   []string // of the present command
	free  map[string]string
}

// docPorts are the ports of the pages that are replaced by free ones: pages may run beside each other.
var docPorts = regexp.MustCompile(`\b81[89]\d\b`)

func (d *docSession) ports(text string) string {
	return docPorts.ReplaceAllStringFunc(text, func(port string) string {
		if d.free == nil {
			d.free = map[string]string{}
		}
		if d.free[port] == "" {
			d.free[port] = fmt.Sprint(freePort(d.t))
		}
		return d.free[port]
	})
}

func (d *docSession) run(blocks []*docBlock) {
	d.s = newServer(d.t, nil)
	d.s.prepare = func(cmd *exec.Cmd) { cmd.Dir = d.s.dir }
	begun := false
	for _, b := range blocks {
		if !b.runs() {
			continue
		}
		if b.servicesFrom != "" {
			d.services(b.servicesFrom)
		}
		switch {
		case b.lang == "toml":
			d.toml(b)
		case b.lang == "python":
			d.file(b.name, b.text)
		default:
			if !begun {
				begun = true
				d.s.run()
				d.shell()
			}
			if b.lang == "sh" {
				d.command("(set -e\n" + b.text + ")")
				if code := d.exitCode(); code != "0" {
					d.t.Fatalf("%s:%d: the script ended with %s:\n%s", d.path, b.line, code, strings.Join(d.got, "\n"))
				}
				continue
			}
			d.console(b)
		}
	}
}

// services copies service files, with what they write below the session's directory.
func (d *docSession) services(dir string) {
	files, _ := filepath.Glob(filepath.Join(dir, "*.toml"))
	if len(files) == 0 {
		d.t.Fatalf("there are no services in %s", dir)
	}
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			d.t.Fatal(err)
		}
		d.file("services/"+filepath.Base(f), strings.ReplaceAll(string(text), "/tmp/zinit-example", filepath.Join(d.s.dir, "run")))
	}
}

func (d *docSession) file(name, text string) {
	d.t.Helper()
	if err := os.WriteFile(filepath.Join(d.s.dir, name), []byte(d.ports(text)), 0o644); err != nil {
		d.t.Fatal(err)
	}
}

// toml checks a service file, or a part of one, and keeps it when it has a name.
func (d *docSession) toml(b *docBlock) {
	text := b.text
	if !strings.Contains(text, "[service]") && !strings.Contains(text, "[target]") && !strings.Contains(text, "[xinet]") {
		text += "\n[service]\nexec = \"/bin/true\"\n"
	}
	name := cmp.Or(b.name, "checked.toml")
	file := filepath.Join(d.s.dir, name)
	d.file(name, text)
	if out, err := exec.Command(zinitBinary(d.t), "check", file).CombinedOutput(); err != nil {
		d.t.Errorf("%s:%d: %s", d.path, b.line, out)
	}
	if b.name != "" {
		d.file("services/"+b.name, b.text)
	}
}

// mark ends what a command prints.
const docMark = "\001"

// shell starts the shell that runs the commands.
func (d *docSession) shell() {
	cmd := exec.Command("sh")
	cmd.Dir = d.s.dir
	examples, err := filepath.Abs("examples")
	if err != nil {
		d.t.Fatal(err)
	}
	path := filepath.Dir(zinitBinary(d.t)) + ":" + examples + ":" + os.Getenv("PATH")
	cmd.Env = append(os.Environ(), "ZINIT_SOCKET="+d.s.socket, "ZINIT_CONFIG_DIR="+filepath.Join(d.s.dir, "services"), "PATH="+path, "HOME="+d.s.dir, "NO_COLOR=1", "LANG=C", "PYTHONDONTWRITEBYTECODE=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	out, w, err := os.Pipe()
	if err != nil {
		d.t.Fatal(err)
	}
	cmd.Stdout, cmd.Stderr = w, w
	if d.in, err = cmd.StdinPipe(); err != nil {
		d.t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		d.t.Fatal(err)
	}
	w.Close()
	d.t.Cleanup(func() {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		_ = cmd.Wait()
		out.Close()
	})
	d.lines = make(chan string, 10000)
	go func() {
		defer close(d.lines)
		for in := bufio.NewScanner(out); in.Scan(); {
			d.lines <- in.Text()
		}
	}()
}

// command gives the shell a command. What it prints is read by exitCode and by matches.
func (d *docSession) command(text string) {
	d.got = nil
	if _, err := fmt.Fprintf(d.in, "{ %s\n} </dev/null\nprintf '"+docMark+"%%d\\n' $?\n", text); err != nil {
		d.t.Fatal(err)
	}
}

// exitCode reads to the end of a command.
func (d *docSession) exitCode() string {
	for end := time.After(patience); ; {
		select {
		case line, open := <-d.lines:
			before, code, ended := strings.Cut(line, docMark)
			if !ended || before != "" {
				d.got = append(d.got, before)
			}
			if ended || !open {
				return code
			}
		case <-end:
			d.t.Fatalf("%s: a command does not end; it printed:\n%s", d.path, strings.Join(d.got, "\n"))
		}
	}
}

// docLooks are commands that may be asked again until they show what the page says.
var docLooks = regexp.MustCompile(`^(zinit (--json )?(list|xinet status|status|why|logs|tree|stats|is-running|health|analyze|info|get|graph|call (service\.(get|status|why|list)|system.ping|logs)|monitor --help|help)|cat|ls|grep|python3)\b`)

// console runs the commands of a block, and compares what each prints with what the page says.
func (d *docSession) console(b *docBlock) {
	for i, part := range strings.Split("\n"+b.text, "\n$ ") {
		if i == 0 {
			if strings.TrimSpace(part) != "" {
				d.t.Fatalf("%s:%d: the block does not begin with a command", d.path, b.line)
			}
			continue
		}
		words, want, _ := strings.Cut(part, "\n")
		pattern := docPattern(want)
		words = d.ports(words)
		d.command(words)
		d.exitCode()
		deadline := time.Now().Add(patience)
		for !pattern.MatchString(strings.Join(d.got, "\n") + "\n") {
			if time.Now().After(deadline) {
				d.t.Fatalf("%s:%d: $ %s\nprints\n%s\nbut the page says\n%s", d.path, b.line, words, strings.Join(d.got, "\n"), want)
			}
			if !docLooks.MatchString(words) {
				deadline = time.Now()
				continue
			}
			time.Sleep(20 * time.Millisecond)
			d.command(words)
			d.exitCode()
		}
	}
}

// docPattern is what must be printed: times, durations, sizes, shares and process ids may be others, "…" is anything, alone on its line any lines,
// and columns may be wider or narrower. A line that ends with " \" goes on in the next.
func docPattern(want string) *regexp.Regexp {
	want = strings.TrimRight(want, "\n") + "\n"
	var b strings.Builder
	b.WriteString(`(?s)\A`)
	parts := regexp.MustCompile(`(?m)^ *…\n|…|20\d\d-\d\d-\d\dT[\d:.]+Z|(?:20\d\d-\d\d-\d\d )?\d\d:\d\d:\d\d(?:\.\d+)?|\b\d+(?:\.\d+)?(?:ms|s|m|h|[KMG]B?)\b|\b\d+(?:\.\d+)? ms\b|\d+\.\d+%|\b\d{4,}\b|\b\d+ (?:checks?|threads?|processes|open files)|[ \t]+\n|[ \t]+|-{2,}|─+`)
	at := 0
	for _, m := range parts.FindAllStringIndex(want, -1) {
		b.WriteString(regexp.QuoteMeta(want[at:m[0]]))
		switch token := want[m[0]:m[1]]; {
		case strings.HasSuffix(token, "…\n"):
			b.WriteString(`(?:[^\n]*\n)*?`)
		case token == "…":
			b.WriteString(`[^\n]*?`)
		case strings.HasSuffix(token, "Z"):
			b.WriteString(`[0-9-]+T[0-9:.]+Z`)
		case strings.Count(token, ":") == 2:
			b.WriteString(`(?:[0-9-]+ )?[0-9:.]+`)
		case strings.HasSuffix(token, "%"):
			b.WriteString(`[0-9.]+%`)
		case strings.TrimLeft(token, "0123456789") == "":
			b.WriteString(`[0-9]+`)
		case strings.TrimSpace(token) == "":
			if strings.HasSuffix(token, "\n") {
				b.WriteString(" *\n")
			} else {
				b.WriteString(`[ \t]+`)
			}
		case token[0] >= '0' && token[0] <= '9' && strings.Contains(token, " ") && !strings.HasSuffix(token, " ms"):
			b.WriteString(`[0-9]+ [a-z ]*?`)
		case token[0] >= '0' && token[0] <= '9':
			b.WriteString(`[0-9.]+ ?(?:ms|s|m|h|d|[KMG]B?)(?: ?[0-9]+(?:ms|s|m|h))?`)
		default:
			b.WriteString(regexp.QuoteMeta(token))
		}
		at = m[1]
	}
	b.WriteString(regexp.QuoteMeta(want[at:]))
	b.WriteString(`\z`)
	pattern := strings.ReplaceAll(b.String(), "\n", " *\n")
	return regexp.MustCompile(pattern)
}

// TestDocsStart follows "Start" of the README: it builds the program from this tree, runs it on the examples, and asks it what the page asks.
func TestDocsStart(t *testing.T) {
	needs(t, "go", "sh", "date", "mkdir", "touch", "test")
	var scripts []string
	for _, b := range docBlocks(docPages(t)["README.md"], 1) {
		if b.test == "TestDocsStart" {
			scripts = append(scripts, b.text)
		}
	}
	if len(scripts) != 2 {
		t.Fatalf("%d scripts, want that of the server and that of the client", len(scripts))
	}
	dir := shortDir(t)
	tree, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	entries, _ := filepath.Glob(filepath.Join(tree, "*"))
	for _, path := range entries {
		if filepath.Base(path) == "zinit" || filepath.Base(path) == "examples" {
			continue
		}
		if err := os.Symlink(path, filepath.Join(dir, filepath.Base(path))); err != nil {
			t.Fatal(err)
		}
	}
	d := &docSession{t: t, path: "README.md", s: newServer(t, nil)}
	if err := os.MkdirAll(filepath.Join(dir, "examples"), 0o755); err != nil {
		t.Fatal(err)
	}
	d.services("examples/services")
	if err := os.Rename(filepath.Join(d.s.dir, "services"), filepath.Join(dir, "examples", "services")); err != nil {
		t.Fatal(err)
	}
	run := func(line string) *exec.Cmd {
		cmd := exec.Command("sh", "-c", line)
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), "ZINIT_SOCKET="+d.s.socket, "GOFLAGS=-buildvcs=false")
		cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
		return cmd
	}
	server := run(scripts[0])
	var out strings.Builder
	server.Stdout, server.Stderr = &out, &out
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- server.Wait() }()
	t.Cleanup(func() {
		_ = syscall.Kill(-server.Process.Pid, syscall.SIGINT) // Ctrl-C
		if <-ended; !strings.Contains(out.String(), "all services are stopped") {
			t.Errorf("the server did not end as it should:\n%s", out.String())
		}
	})
	within(t, 5*patience, "the server answers", func() bool {
		select {
		case err := <-ended:
			t.Fatalf("the server ended: %v\n%s", err, out.String())
		default:
		}
		return run("./zinit ping").Run() == nil
	})
	eventually(t, "all is running", func() bool { return run("./zinit health").Run() == nil })
	for line := range strings.Lines(scripts[1]) {
		cmd := run(line)
		var said bytes.Buffer
		cmd.Stdout, cmd.Stderr = &said, &said
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		endless := strings.Contains(line, "Ctrl-C")
		if endless {
			pid := cmd.Process.Pid
			time.AfterFunc(time.Second, func() { _ = syscall.Kill(-pid, syscall.SIGINT) })
		}
		if err := cmd.Wait(); err != nil && !endless {
			t.Errorf("%s%v\n%s", line, err, &said)
		}
	}
}
