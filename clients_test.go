// clients_test.go checks the clients in other languages: that they are made from the API document as it is, and that a user can do with them what their pages promise.

//go:build linux

package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
)

// makeClients gives the files that clients/generate.py makes of an API document, or, when there is none, of that of the server at socket.
func makeClients(t *testing.T, document []byte, socket string) map[string][]byte {
	t.Helper()
	needs(t, "python3", "gofmt")
	dir := shortDir(t)
	cmd := exec.Command("python3", "clients/generate.py", dir)
	if document != nil {
		cmd.Args = slices.Insert(cmd.Args, 2, "--document", "-")
	}
	cmd.Stdin = bytes.NewReader(document)
	cmd.Env = append(os.Environ(), "PYTHONDONTWRITEBYTECODE=1", "ZINIT_SOCKET="+socket)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("clients/generate.py: %v\n%s", err, out)
	}
	files := map[string][]byte{}
	paths, _ := filepath.Glob(filepath.Join(dir, "*", "*"))
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		files[strings.TrimPrefix(path, dir+"/")] = text
	}
	return files
}

// compareClients compares the clients with what the API document makes of them. With -update it writes them.
func compareClients(t *testing.T) {
	files := makeClients(t, mustJSON(newRPC(nil).openRPC("/run/zinit.sock")), "")
	if len(files) != 4 {
		t.Errorf("%d files are made, not 4", len(files))
	}
	for name, made := range files {
		path := filepath.Join("clients", name)
		old, _ := os.ReadFile(path)
		switch {
		case bytes.Equal(old, made):
		case *update:
			if err := os.WriteFile(path, made, 0o644); err != nil {
				t.Fatal(err)
			}
		default:
			t.Errorf("%s differs from the API document: run go test -run TestDocs -update, and look at the diff", path)
		}
	}
}

// TestClientsFromServer: a running server gives the same document as the tables.
func TestClientsFromServer(t *testing.T) {
	s := startServer(t, nil)
	for name, made := range makeClients(t, nil, s.socket) {
		if old, _ := os.ReadFile(filepath.Join("clients", name)); !bytes.Equal(old, made) {
			t.Errorf("%s would differ", name)
		}
	}
}

// clientLanguage says how a program that uses the client of a language is run.
type clientLanguage struct {
	needs []string
	ways  []string // of the journey
	argv  func(t testing.TB) []string
}

var clientLanguages = map[string]clientLanguage{
	"python": {[]string{"python3"}, []string{"blocking", "async"}, func(testing.TB) []string { return []string{"python3", "testdata/clients/journey.py"} }},
	"go":     {[]string{"go"}, []string{"whole"}, func(t testing.TB) []string { return []string{goProgram(t, "testdata/clients/journey", ".")} }},
	"javascript": {[]string{"node"}, []string{"whole"}, func(t testing.TB) []string {
		dir := shortDir(t)
		copyFile(t, "clients/javascript/zinit.mjs", filepath.Join(dir, "zinit.mjs"))
		copyFile(t, "testdata/clients/journey.mjs", filepath.Join(dir, "journey.mjs"))
		return []string{"node", filepath.Join(dir, "journey.mjs")}
	}},
}

// goPrograms are built once, by their directories.
var goPrograms sync.Map

// goProgram builds a program of another module.
func goProgram(t testing.TB, module, dir string) string {
	t.Helper()
	one, _ := goPrograms.LoadOrStore(module+"/"+dir, sync.OnceValues(func() (string, error) {
		path := filepath.Join(suiteDir, "programs", "clients-"+strings.ReplaceAll(filepath.Join(module, dir), "/", "-"))
		if out, err := exec.Command("go", "build", "-C", module, "-buildvcs=false", "-o", path, "./"+dir).CombinedOutput(); err != nil {
			return "", fmt.Errorf("go build %s/%s: %w\n%s", module, dir, err, out)
		}
		return path, nil
	}))
	path, err := one.(func() (string, error))()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// clientProgram is a program that uses a client, with the server's socket in its environment.
func (s *server) clientProgram(argv ...string) *exec.Cmd {
	cmd := exec.Command(argv[0], argv[1:]...)
	python, _ := filepath.Abs("clients/python")
	cmd.Env = append(os.Environ(), "ZINIT_SOCKET="+s.socket, "PYTHONPATH="+python, "PYTHONDONTWRITEBYTECODE=1", "NODE_NO_WARNINGS=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	return cmd
}

// journey runs a program that must end with "done", and replaces the server when it says so.
func (s *server) journey(t *testing.T, replace func(), argv ...string) {
	t.Helper()
	cmd := s.clientProgram(argv...)
	var wrong bytes.Buffer
	cmd.Stderr = &wrong
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) })
	said := make(chan string, 100)
	go func() {
		defer close(said)
		for in := bufio.NewScanner(out); in.Scan(); {
			said <- in.Text()
		}
	}()
	last := ""
	eventually(t, argv[0]+" ends", func() bool {
		select {
		case line, open := <-said:
			if line == "replace" {
				replace()
			}
			if open {
				last = line
			}
			return !open
		default:
			return false
		}
	})
	if err := cmd.Wait(); err != nil || last != "done" || wrong.Len() > 0 {
		t.Errorf("%s: %v, last said %q\n%s", strings.Join(argv, " "), err, last, &wrong)
	}
}

// TestClientJourneys: what a user does, in each language, while the server is killed under its keeper, and while it is replaced in a planned way.
func TestClientJourneys(t *testing.T) {
	needs(t, "sh", "sleep")
	for name, l := range clientLanguages {
		for _, way := range l.ways {
			t.Run(name+"-"+way+"-killed", func(t *testing.T) {
				t.Parallel()
				needs(t, l.needs...)
				b := startInit(t, nil, boxOptions{}).up()
				b.journey(t, func() { _ = syscall.Kill(b.serverPID(), syscall.SIGKILL) }, append(l.argv(t), way, "app")...)
			})
			t.Run(name+"-"+way+"-planned", func(t *testing.T) {
				t.Parallel()
				needs(t, l.needs...)
				s := startServer(t, nil)
				s.journey(t, func() {
					s.ok("call", "system.prepare_restart")
					<-s.ended
					s.ended <- nil
					s.run()
				}, append(l.argv(t), way, "app")...)
			})
		}
	}
}

// TestClientFaults: a reading call is sent again when the connection breaks, a changing one is not; a slow iterator counts what it lost; an answer
// that is not whole is reported.
func TestClientFaults(t *testing.T) {
	for name, l := range clientLanguages {
		t.Run(name, func(t *testing.T) {
			needs(t, l.needs...)
			f := pretendServer(t)
			(&server{t: t, socket: f.path}).journey(t, func() {}, append(l.argv(t), "faults", "-")...)
			if got := f.methods(); !slices.Equal(got, []string{"service.list", "service.list", "service.start", "logs.follow", "service.list", "logs.get"}) &&
				!slices.Equal(got, []string{"service.list", "service.list", "service.start", "logs.follow", "service.list", "logs.get", "events.unsubscribe"}) {
				t.Errorf("it was sent %v", got)
			}
		})
	}
}

// TestClientSockets: without a name a server is looked for where the zinit command does, and that of a stranger is refused.
func TestClientSockets(t *testing.T) {
	if conn, err := net.Dial("unix", systemSocket); err == nil {
		conn.Close()
		skip(t, "a server runs on this machine")
	}
	t.Setenv("ZINIT_SOCKET", "")
	s := newServer(t, nil)
	t.Setenv("XDG_RUNTIME_DIR", s.dir)
	find := func(t *testing.T, l clientLanguage) string {
		needs(t, l.needs...)
		cmd := s.clientProgram(append(l.argv(t), "find", "-")...)
		cmd.Env = append(cmd.Env, "ZINIT_SOCKET=")
		out, _ := cmd.CombinedOutput()
		return string(out)
	}
	for name, l := range clientLanguages {
		t.Run(name+"-none", func(t *testing.T) {
			out := find(t, l)
			says(t, out, "no server answers")
			for _, path := range clientSockets() {
				if name != "javascript" || path[0] != '@' { // Node cannot tell whose it is
					says(t, out, path+": ")
				}
			}
		})
	}
	s.socket = userSocket()
	for name, l := range clientLanguages {
		t.Run(name, func(t *testing.T) {
			s.t = t
			s.run()
			says(t, find(t, l), s.socket+"\ndone")
		})
		t.Run(name+"-stranger", func(t *testing.T) {
			if os.Getuid() != 0 {
				skip(t, "servers of other users need root")
			}
			o := newServer(t, nil)
			o.ordinary()
			o.socket = filepath.Join(o.dir, "zinit.sock")
			o.run()
			t.Setenv("XDG_RUNTIME_DIR", o.dir)
			says(t, find(t, l), "no server answers", o.socket+": ", "61000")
		})
	}
}

// pretended is a server that closes the connection instead of answering the first service.list, and any service.start; and that sends more
// lines than a client keeps.
type pretended struct {
	path string
	mu   sync.Mutex
	sent []string
}

func pretendServer(t *testing.T) *pretended {
	t.Helper()
	p := &pretended{path: filepath.Join(shortDir(t), "s.sock")}
	l, err := net.Listen("unix", p.path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			p.serve(conn)
		}
	}()
	return p
}

func (p *pretended) methods() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.sent)
}

// serve answers one connection until it is to break. Lines after logs.follow: 10005, the first of which says that two were lost before.
func (p *pretended) serve(conn net.Conn) {
	defer conn.Close()
	in, out := json.NewDecoder(conn), bufio.NewWriter(conn)
	for {
		var q struct {
			ID     int
			Method string
		}
		if in.Decode(&q) != nil {
			return
		}
		p.mu.Lock()
		p.sent = append(p.sent, q.Method)
		first := len(p.sent) == 1
		p.mu.Unlock()
		switch {
		case q.Method == "service.start" || first:
			return
		case q.Method == "service.list":
			fmt.Fprintf(out, `{"jsonrpc":"2.0","id":%d,"result":["x"]}`+"\n", q.ID)
		case q.Method == "logs.get":
			fmt.Fprintf(out, `{"jsonrpc":"2.0","id":%d,"result":[],"left_out":7}`+"\n", q.ID)
		case q.Method == "logs.follow":
			fmt.Fprintf(out, `{"jsonrpc":"2.0","id":%d,"result":{"subscription":3}}`+"\n", q.ID)
			for i := range 10005 {
				lost := ""
				if i == 0 {
					lost = `,"lost":2`
				}
				fmt.Fprintf(out, `{"jsonrpc":"2.0","method":"log","params":{"subscription":3,"seq":%d,"time_ms":1,"service":"x","stream":"stdout","text":"hello"%s}}`+"\n", i+1, lost)
			}
		}
		if out.Flush() != nil {
			return
		}
	}
}

// clientPages are the programs that the pages of the clients and docs/rpc.md show: how each is run, and what it prints.
var clientPages = map[string]struct {
	needs, lang, file string
	argv              []string
	around            string     // what is around the call that docs/rpc.md shows
	want              [][]string // for each program, that of docs/rpc.md last
}{
	"python": {"python3", "python", "page.py", []string{"python3", "page.py"}, "import zinit\n%s", [][]string{
		{"['db', 'rest', 'web']\nrunning\nmy-app is running\nno service \"my-ap\"", "['my-app']\n"},
		{"True\nweb running -> stopping\n", "web starting -> running\n"},
		{"True\n"},
	}},
	"go": {"go", "go", "main.go", []string{"go", "run", "."}, `package main
import ("context"; "fmt"; "log"; zinit "zinit/clients/go")
func main() {
	ctx := context.Background()
	%s
}
`, [][]string{
		{"[db rest web] <nil>\nrunning true\n", "my-app starting -> running\nno service \"my-ap\"", "[my-app]\n"},
		{"true <nil>\n"},
	}},
	"javascript": {"node", "js", "page.mjs", []string{"node", "page.mjs"}, "import { Client } from './zinit.mjs';\n%s", [][]string{
		{"[ 'db', 'rest', 'web' ]\nrunning\n", "my-app starting -> running\nno service \"my-ap\"", "[ 'my-app' ]\n"},
		{"true\n"},
	}},
}

// TestClientPages runs what the pages show of the clients.
func TestClientPages(t *testing.T) {
	needs(t, "sleep")
	pages := docPages(t)
	clients, err := filepath.Abs("clients")
	if err != nil {
		t.Fatal(err)
	}
	for language, page := range clientPages {
		t.Run(language, func(t *testing.T) {
			needs(t, page.needs)
			var programs []string
			for _, b := range docBlocks(pages["clients/"+language+"/README.md"], 1) {
				if b.test == "TestClientPages" {
					programs = append(programs, b.text)
				}
			}
			for _, b := range docBlocks(pages["docs/rpc.md"], 1) {
				if b.test != "" && b.lang == page.lang {
					programs = append(programs, fmt.Sprintf(page.around, b.text))
				}
			}
			if len(programs) != len(page.want) {
				t.Fatalf("%d programs, not %d", len(programs), len(page.want))
			}
			s := startServer(t, exampleServices())
			s.is("running", "db", "web")
			for i, program := range programs {
				dir := shortDir(t)
				for name, text := range map[string]string{
					page.file: program,
					"go.mod":  "module page\n\ngo 1.23\n\nrequire zinit/clients/go v0.0.0\n\nreplace zinit/clients/go => " + clients + "/go\n",
				} {
					if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
						t.Fatal(err)
					}
				}
				copyFile(t, "clients/javascript/zinit.mjs", filepath.Join(dir, "zinit.mjs"))
				cmd := s.clientProgram(page.argv...)
				cmd.Dir = dir
				out, err := cmd.CombinedOutput()
				if err != nil {
					t.Fatalf("%v: %v\n%s\nof\n%s", page.argv, err, out, program)
				}
				says(t, string(out), page.want[i]...)
			}
		})
	}
}

// TestClientTypes: type checkers find nothing wrong in the clients, and find what is wrong in programs that use them.
func TestClientTypes(t *testing.T) {
	t.Run("python", func(t *testing.T) {
		needs(t, "mypy")
		cmd := exec.Command("mypy", "--strict", "--python-version", "3.11", "--cache-dir", os.DevNull, "testdata/clients/typed.py", "clients/python/zinit.py")
		cmd.Env = append(os.Environ(), "MYPYPATH=clients/python")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%v\n%s", err, out)
		}
	})
	t.Run("typescript", func(t *testing.T) {
		needs(t, "tsc")
		cmd := exec.Command("tsc", "--noEmit", "--strict", "--module", "nodenext", "--target", "es2022", "testdata/clients/typed.mts")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%v\n%s", err, out)
		}
	})
}
