// main_test.go holds what all tests share: skipping, waiting, building the program, what must be left behind (nothing), and the child that tests run as a service.

//go:build unix

package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// skip leaves a test out because of what this machine lacks. Where everything must run (ZINIT_TEST_ALL=1) that is a failure.
func skip(t testing.TB, why string) {
	t.Helper()
	if os.Getenv("ZINIT_TEST_ALL") == "1" {
		t.Fatalf("ZINIT_TEST_ALL=1 allows no skip: %s", why)
	}
	t.Skip(why)
}

// patience is how long what must happen may take on a machine with much other work. Only a test that fails waits for so long.
const patience = 3 * time.Minute

// slack is what such a machine may add to a time that has an upper bound. A test with it must be one where, without the bound, it would
// take longer than that.
const slack = 20 * time.Second

// eventually waits until cond holds, or fails the test when its patience is over. It names what it waited for.
func eventually(t testing.TB, what string, cond func() bool) {
	t.Helper()
	within(t, patience, what, cond)
}

// within is eventually with a longer limit.
func within(t testing.TB, limit time.Duration, what string, cond func() bool) {
	t.Helper()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	limit = max(limit, patience)
	for end := time.Now().Add(limit); time.Now().Before(end); <-tick.C {
		if cond() {
			return
		}
	}
	if !cond() {
		t.Fatalf("after %v still not: %s", limit, what)
	}
}

// built is a program that is built once, when the first test needs it.
type built struct {
	sync.Once
	path string
	err  error
}

// build makes the program of a package: static, as it ships. env is for the go command.
func (b *built) build(t testing.TB, name, dir string, env ...string) string {
	t.Helper()
	b.Do(func() {
		b.path = filepath.Join(suiteDir, "programs", name)
		cmd := exec.Command("go", "build", "-buildvcs=false", "-trimpath", "-ldflags=-s -w", "-o", b.path, dir)
		cmd.Env = append(append(os.Environ(), "CGO_ENABLED=0"), env...)
		if out, err := cmd.CombinedOutput(); err != nil {
			b.err = fmt.Errorf("go build %s: %w\n%s", dir, err, out)
		}
	})
	if b.err != nil {
		t.Fatal(b.err)
	}
	return b.path
}

var zinitOnce built

// zinitBinary builds the program once and returns its path; ZINIT_TEST_BINARY names one that is there already.
func zinitBinary(t testing.TB) string {
	t.Helper()
	if path := os.Getenv("ZINIT_TEST_BINARY"); path != "" {
		zinitOnce.Do(func() {
			zinitOnce.path = filepath.Join(suiteDir, "programs", "zinit")
			zinitOnce.err = os.Symlink(path, zinitOnce.path)
		})
	}
	return zinitOnce.build(t, "zinit", ".")
}

// --- what is left behind

// suiteMark is in the environment of every process that a test has started: by it those are found that have outlived their test.
const suiteMark = "ZINIT_TEST_SUITE"

// suiteDir holds all that tests write; cacheDir is where they may leave something for the next time.
var suiteDir, cacheDir string

// shortDir is a directory whose path is short enough for a socket in it, and open to other users.
func shortDir(t testing.TB) string {
	t.Helper()
	for n := shortDirs.Add(1); ; n = shortDirs.Add(1) {
		dir := filepath.Join(suiteDir, strconv.FormatInt(n, 10))
		if err := os.Mkdir(dir, 0o755); errors.Is(err, os.ErrExist) {
			continue // of a test that was run again, elsewhere
		} else if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { os.RemoveAll(dir) })
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		return dir
	}
}

var shortDirs atomic.Int64

// atEnd is asked after all tests what they have left behind, beside processes, mounts and files.
var atEnd []func() []string

// Where there are namespaces: enterBox becomes PID 1 in new ones, enterPanics is a PID 1 with a defect.
var enterBox, enterPanics func(words []string)

// hang is, where there are such, a file system that does not answer.
var hang func(dir string)

// The main thread runs no test: those that change something of their thread, as its mount namespace, lock themselves to it and let it end, which the main thread does not,
// and what others see of a process is what its main thread has.
func init() { runtime.LockOSThread() }

func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "@child" {
		childMain(os.Args[2:])
		os.Exit(0)
	}
	if os.Args[0] == "zinit" { // the server of a keeper that is a test, too
		os.Exit(role(os.Args, os.Getpid()))
	}
	if len(os.Args) > 1 && os.Args[1] == "@panics" {
		enterPanics(os.Args[2:])
	}
	if len(os.Args) > 1 && os.Args[1] == "@pid1" {
		enterBox(os.Args[2:])
	}
	if len(os.Args) > 1 && os.Args[1] == "@hang" {
		hang(os.Args[2])
	}
	if suiteDir = os.Getenv(suiteMark); suiteDir != "" { // a test runs us again, elsewhere
		os.Exit(m.Run())
	}
	os.Exit(runSuite(m))
}

// runSuite runs all tests, and fails when one of them leaves something behind.
func runSuite(m *testing.M) int {
	cacheDir = os.TempDir()
	where := cacheDir
	if len(where) > len("/tmp") && unix.Access("/tmp", unix.W_OK|unix.X_OK) == nil {
		where = "/tmp" // the path of a socket has at most 107 bytes, and less room on a screen
	}
	dir, err := os.MkdirTemp(where, "zt")
	if err == nil {
		err = errors.Join(os.Chmod(dir, 0o755), os.Mkdir(filepath.Join(dir, "programs"), 0o755))
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	suiteDir = dir
	if !slices.ContainsFunc(os.Args, func(arg string) bool { return strings.HasPrefix(arg, "-test.fuzz=") }) { // there it means how many work
		_ = flag.Set("test.parallel", "8") // these tests mostly wait; -parallel N on the command line counts all the same
	}
	os.Setenv("TMPDIR", dir)
	os.Setenv(suiteMark, dir)
	code := m.Run()
	left := leftBehind()
	for _, what := range left {
		fmt.Println("left behind by a test:", what)
		code = max(code, 1)
	}
	if _, mounted := mountsBelow(dir); !mounted {
		os.RemoveAll(dir)
	}
	return code
}

// leftBehind gives the processes that live on, after they had time to end, and kills them; and mounts, files and more.
func leftBehind() (left []string) {
	marked := func() (pids []int) {
		for _, pid := range sysAllPids() {
			if pid != os.Getpid() && strings.Contains(string(sysEnviron(pid)), suiteMark+"="+suiteDir+"\x00") {
				pids = append(pids, pid)
			}
		}
		return pids
	}
	pids := marked()
	for end := time.Now().Add(slack); len(pids) > 0 && time.Now().Before(end); pids = marked() {
		time.Sleep(10 * time.Millisecond)
	}
	for _, pid := range pids {
		left = append(left, fmt.Sprintf("process %d: %s", pid, commandLine(pid)))
		_ = syscall.Kill(pid, syscall.SIGKILL)
	}
	if text, mounted := mountsBelow(suiteDir); mounted {
		left = append(left, "mounts: "+text)
	}
	entries, _ := os.ReadDir(suiteDir)
	for _, e := range entries {
		if e.Name() != "programs" {
			left = append(left, "file "+filepath.Join(suiteDir, e.Name()))
		}
	}
	for _, ask := range atEnd {
		left = append(left, ask()...)
	}
	return left
}

// mountsBelow says whether something is mounted below a directory. What deletes the directory would delete what is in there.
func mountsBelow(dir string) (lines string, some bool) {
	text, _ := os.ReadFile("/proc/self/mountinfo")
	for line := range strings.Lines(string(text)) {
		if strings.Contains(line, " "+dir+"/") {
			lines += line
		}
	}
	return lines, lines != ""
}
