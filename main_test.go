// main_test.go holds what all tests share: skipping, waiting, building the program, and the child that tests run as a service.

//go:build unix

package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"
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
const patience = time.Minute

// slack is what such a machine may add to a time that has an upper bound. A test with it must be one where, without the bound, it would
// take longer than that.
const slack = 20 * time.Second

// eventually waits until cond holds, or fails the test when its patience is over. It names what it waited for.
func eventually(t testing.TB, what string, cond func() bool) {
	t.Helper()
	within(t, patience, what, cond)
}

// within is eventually with another limit: a longer one.
func within(t testing.TB, limit time.Duration, what string, cond func() bool) {
	t.Helper()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(limit); time.Now().Before(end); <-tick.C {
		if cond() {
			return
		}
	}
	if !cond() {
		t.Fatalf("after %v still not: %s", limit, what)
	}
}

var buildOnce struct {
	sync.Once
	path string
	err  error
}

// zinitBinary builds the program once, as it ships, and returns its path.
func zinitBinary(t testing.TB) string {
	t.Helper()
	buildOnce.Do(func() {
		dir, err := os.MkdirTemp("", "zinit-test-")
		if err != nil {
			buildOnce.err = err
			return
		}
		buildOnce.path = filepath.Join(dir, "zinit")
		cmd := exec.Command("go", "build", "-buildvcs=false", "-trimpath", "-ldflags=-s -w", "-o", buildOnce.path, ".")
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := cmd.CombinedOutput(); err != nil {
			buildOnce.err = &exec.Error{Name: "go build: " + string(out), Err: err}
		}
		_ = os.Chmod(dir, 0o755)
	})
	if buildOnce.err != nil {
		t.Fatal(buildOnce.err)
	}
	return buildOnce.path
}

// Where there are namespaces: what becomes PID 1 in new ones, and what is to be removed after all tests.
var (
	enterBox func(words []string)
	afterAll []func()
)

func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "@child" {
		childMain(os.Args[2:])
		os.Exit(0)
	}
	if len(os.Args) > 1 && os.Args[1] == "@pid1" {
		enterBox(os.Args[2:])
	}
	code := m.Run()
	if buildOnce.path != "" {
		os.RemoveAll(filepath.Dir(buildOnce.path))
	}
	for _, clean := range afterAll {
		clean()
	}
	os.Exit(code)
}
