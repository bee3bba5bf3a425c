// init_docker_test.go runs the program in containers of the real engine, from images that hold nothing else.

//go:build linux

package main

import (
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// docker runs the client and returns what it printed on stdout.
func docker(args ...string) (string, error) {
	cmd := exec.Command("docker", args...)
	var errs strings.Builder
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		err = fmt.Errorf("docker %s: %w: %s", strings.Join(args, " "), err, errs.String())
	}
	return strings.TrimSpace(string(out)), err
}

func mustDocker(t testing.TB, args ...string) string {
	t.Helper()
	out, err := docker(args...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

var dockerCount atomic.Int32

func init() {
	atEnd = append(atEnd, func() (left []string) {
		if dockerCount.Load() == 0 {
			return nil
		}
		mine := fmt.Sprintf("zinit-test-%d-", os.Getpid())
		containers, _ := docker("ps", "-a", "--filter", "name="+mine, "--format", "{{.Names}}")
		images, _ := docker("images", "--filter", "reference="+mine+"*", "--format", "{{.Repository}}")
		for _, name := range strings.Fields(containers + " " + images) {
			left = append(left, "container or image "+name)
		}
		return left
	})
}

// buildImage makes an image from files (name in the context -> path here, or text after "=") and a Dockerfile.
func buildImage(t *testing.T, dockerfile string, files map[string]string) string {
	t.Helper()
	dir := shortDir(t)
	for name, from := range files {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if text, ok := strings.CutPrefix(from, "="); ok {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
			continue
		}
		copyFile(t, from, filepath.Join(dir, name))
	}
	if err := os.WriteFile(filepath.Join(dir, "Dockerfile"), []byte(dockerfile), 0o644); err != nil {
		t.Fatal(err)
	}
	tag := fmt.Sprintf("zinit-test-%d-%d", os.Getpid(), dockerCount.Add(1))
	cmd := exec.Command("docker", "build", "-q", "-t", tag, dir)
	cmd.Env = append(os.Environ(), "DOCKER_BUILDKIT=0") // the builder that every engine has, and that fetches nothing
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("docker build: %v\n%s", err, out)
	}
	t.Cleanup(func() { _, _ = docker("rmi", "-f", tag) })
	return tag
}

// container is a running container; the client runs in it by `docker exec`.
type container struct {
	server
	name string
}

// runContainer starts a container; args are flags of `docker run`, the image, and its arguments.
func runContainer(t *testing.T, args ...string) *container {
	t.Helper()
	c := &container{name: fmt.Sprintf("zinit-test-%d-%d", os.Getpid(), dockerCount.Add(1))}
	c.server = server{t: t, via: []string{"docker", "exec", c.name, "/zinit"}}
	mustDocker(t, append([]string{"run", "-d", "--name", c.name}, args...)...)
	t.Cleanup(func() {
		if t.Failed() {
			out, _ := exec.Command("docker", "logs", c.name).CombinedOutput()
			lines := strings.SplitAfter(string(out), "\n")
			about := slices.DeleteFunc(slices.Clone(lines), func(l string) bool { // what is not of services
				return !strings.HasPrefix(l, "zinit: ") || !strings.Contains(l, "server") && !strings.Contains(l, "version") && !strings.Contains(l, "PID") && !strings.Contains(l, "lost")
			})
			t.Logf("of itself the container said:\n%s\nand last:\n%s", strings.Join(about[max(0, len(about)-100):], ""), strings.Join(lines[max(0, len(lines)-100):], ""))
		}
		_, _ = docker("rm", "-f", "-v", c.name)
	})
	return c
}

func (c *container) up() *container {
	c.t.Helper()
	eventually(c.t, "the server answers", func() bool { _, code := c.zinit("ping"); return code == 0 })
	return c
}

func (c *container) inspect(what string) string {
	c.t.Helper()
	return mustDocker(c.t, "inspect", "-f", what, c.name)
}

// logs is everything that the container printed.
func (c *container) logs() string {
	out, _ := exec.Command("docker", "logs", c.name).CombinedOutput()
	return strings.ReplaceAll(string(out), "\r\n", "\n")
}

// exits waits for the end and returns the exit code.
func (c *container) exits() int {
	c.t.Helper()
	eventually(c.t, "the container has ended", func() bool { return c.inspect("{{.State.Running}}") == "false" })
	code, _ := strconv.Atoi(c.inspect("{{.State.ExitCode}}"))
	return code
}

// stops is `docker stop`: the exit code is 0 only if the end came within its 10 s.
func (c *container) stops() {
	c.t.Helper()
	mustDocker(c.t, "stop", c.name)
	if code := c.exits(); code != 0 {
		c.t.Errorf("exit code %d after docker stop", code)
	}
}

// serverPID is the server's pid as seen from here; 0: none.
func (c *container) serverPID() int {
	one, _ := strconv.Atoi(c.inspect("{{.State.Pid}}"))
	return serverBelow(one)
}

func TestDocker(t *testing.T) {
	t.Parallel()
	if _, err := docker("info"); err != nil {
		skip(t, "no Docker engine: "+err.Error())
	}
	recipe, err := os.ReadFile("Dockerfile.test")
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]string{"zinit": zinitBinary(t)}
	units, _ := filepath.Glob("testdata/container/*.toml")
	for _, u := range units {
		files[u] = u
	}
	image := buildImage(t, string(recipe), files)
	t.Logf("Dockerfile.test makes an image of %s bytes", mustDocker(t, "image", "inspect", "-f", "{{.Size}}", image))
	actors := buildImage(t, "FROM scratch\nCOPY . /\nENTRYPOINT [\"/zinit\", \"init\", \"-c\"]\n", map[string]string{"zinit": zinitBinary(t), "actor": actorBinary(t)})
	t.Run("Dockerfile.test", func(t *testing.T) { t.Parallel(); dockerBasics(t, image) })
	t.Run("signals", func(t *testing.T) { t.Parallel(); dockerSignals(t, image) })
	t.Run("flags", func(t *testing.T) { t.Parallel(); dockerFlags(t, image) })
	t.Run("command", func(t *testing.T) { t.Parallel(); dockerCommand(t, actors) })
	t.Run("memory limit", func(t *testing.T) { t.Parallel(); dockerMemory(t, actors) })
	t.Run("console", func(t *testing.T) { t.Parallel(); dockerConsole(t, actors) })
	t.Run("kill -9", func(t *testing.T) { t.Parallel(); dockerKills(t, actors) })
}

// dockerBasics is what a user does first.
func dockerBasics(t *testing.T, image string) {
	c := runContainer(t, image).up()
	c.is("running", "inner", "outer")
	c.is("exited", "banner")
	if out := c.ok("list"); !strings.Contains(out, "inner") {
		t.Errorf("zinit list:\n%s", out)
	}
	if out := c.ok("status", "outer"); !strings.Contains(out, "running") {
		t.Errorf("zinit status outer:\n%s", out)
	}
	eventually(t, "HEALTHCHECK says healthy", func() bool { return c.inspect("{{.State.Health.Status}}") == "healthy" })
	if out := c.logs(); !strings.Contains(out, "banner | ") {
		t.Errorf("docker logs:\n%s", out)
	}
	c.stops()
}

func dockerSignals(t *testing.T, image string) {
	c := runContainer(t, image).up()
	c.is("running", "inner", "outer")
	pid := c.status("inner").PID
	for _, name := range []string{"HUP", "WINCH", "USR1", "USR2", "ALRM"} {
		old := c.serverPID()
		mustDocker(t, "kill", "-s", name, c.name)
		if strings.HasPrefix(name, "USR") {
			eventually(t, "another server", func() bool { now := c.serverPID(); return now != 0 && now != old })
		}
		c.up()
		if st := c.status("inner"); st.PID != pid || st.State != running {
			t.Errorf("after SIG%s inner was pid %d and is %+v", name, pid, st)
		}
	}
	mustDocker(t, "kill", "-s", "INT", c.name)
	if code := c.exits(); code != 0 {
		t.Errorf("exit code %d after SIGINT", code)
	}
}

// dockerFlags: whatever a container may have been forbidden, the services run, the client finds its server, and the end is clean.
func dockerFlags(t *testing.T, image string) {
	for _, flags := range []string{"--read-only", "--user 1234", "--user 1234:5678 --read-only", "--cap-drop ALL", "--cap-drop ALL --user 1234 --read-only --network none",
		"--pids-limit 64", "--init", "-t", "-m 64m", "--tmpfs /run --read-only", "--security-opt no-new-privileges", "--stop-signal SIGRTMIN+3", "--pid host"} {
		t.Run(flags, func(t *testing.T) {
			t.Parallel()
			c := runContainer(t, append(strings.Fields(flags), image)...).up()
			c.is("running", "inner", "outer")
			c.is("exited", "banner")
			c.ok("health")
			c.stops()
		})
	}
}

func dockerCommand(t *testing.T, image string) {
	for _, row := range []struct {
		name string
		args []string
		code int
		says string
	}{
		{"its code", []string{image, "--", "/actor", "print=hello", "exit=42"}, 42, "hello"},
		{"a signal", []string{image, "--", "/actor", "die=9"}, 137, ""},
		{"not found", []string{image, "--", "/no/such"}, 127, "cannot run /no/such"},
		{"on a terminal", []string{"-t", image, "--", "/actor", "tty", "exit=0"}, 0, "tty true foreground true"},
		{"under --init", []string{"--init", image, "-s", "--", "/actor", "exit=5"}, 5, ""},
		{"-e", []string{image, "-e", "5", "--", "/actor", "exit=5"}, 0, ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			c := runContainer(t, row.args...)
			if code := c.exits(); code != row.code || !strings.Contains(c.logs(), row.says) {
				t.Errorf("exit code %d, not %d\n%s", code, row.code, c.logs())
			}
		})
	}
	t.Run("docker stop", func(t *testing.T) {
		t.Parallel()
		c := runContainer(t, image, "--", "/actor", "on=15:3", "print=here", "block")
		eventually(t, "CMD runs", func() bool { return strings.Contains("\n"+c.logs(), "\nhere\n") })
		mustDocker(t, "stop", c.name)
		if code := c.exits(); code != 3 {
			t.Errorf("exit code %d, not CMD's 3", code)
		}
	})
}

// writeServices makes a directory of services for -v.
func writeServices(t *testing.T, all map[string]string) string {
	t.Helper()
	dir := shortDir(t)
	for name, text := range all {
		if err := os.WriteFile(filepath.Join(dir, name+".toml"), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// dockerMemory: what eats the memory of the container dies of it, and nothing else does.
func dockerMemory(t *testing.T, image string) {
	dir := writeServices(t, map[string]string{
		"eater":   "[service]\nexec = [\"/actor\", \"eat=200\", \"block\"]\n[lifecycle]\nrestart = \"never\"\n",
		"sleeper": "[service]\nexec = [\"/actor\", \"block\"]\n",
	})
	c := runContainer(t, "-m", "64m", "--memory-swap", "64m", "-v", dir+":/etc/zinit/services:ro", image).up()
	c.is("failed", "eater")
	if st := c.status("eater"); st.Reason == nil || st.Reason.Signal != sigKill {
		t.Errorf("eater is %+v", st)
	}
	c.is("running", "sleeper")
	if st := c.status("sleeper"); st.RestartCount != 0 {
		t.Errorf("sleeper is %+v", st)
	}
	c.stops()
}

// dockerConsole: lines of many services on one stdout are never torn.
func dockerConsole(t *testing.T, image string) {
	all := map[string]string{}
	for _, l := range "abcdefgh" {
		all["say"+string(l)] = fmt.Sprintf("[service]\nexec = [\"/actor\", \"long=%c:2000\"]\noneshot = true\n", l)
	}
	c := runContainer(t, "-v", writeServices(t, all)+":/etc/zinit/services:ro", image).up()
	for name := range all {
		c.is("exited", name)
	}
	c.stops()
	whole := regexp.MustCompile(`^say(.) \| (.)+$`)
	n := 0
	for line := range strings.Lines(c.logs()) {
		line = strings.TrimSuffix(line, "\n")
		if strings.HasPrefix(line, "zinit: ") {
			continue
		}
		m := whole.FindStringSubmatch(line)
		if m == nil || line != "say"+m[1]+" | "+strings.Repeat(m[1], 300) {
			t.Fatalf("torn: %q", line)
		}
		n++
	}
	t.Logf("%d of 16000 lines came out, each whole", n)
	if n < 1000 {
		t.Errorf("only %d lines came out", n)
	}
}

// TestRow42_GraceOfAContainer: what does not end at its stop signal is killed in time, so that `docker stop` never has to, in the order of the services; a second
// SIGTERM kills at once; and a deaf CMD ends the same way with 137.
func TestRow42_GraceOfAContainer(t *testing.T) {
	t.Parallel()
	if _, err := docker("info"); err != nil {
		skip(t, "no Docker engine: "+err.Error())
	}
	deaf := "=[service]\nexec = [\"/actor\", \"ignore=15\", \"print=up\", \"block\"]\n[lifecycle]\nstop_timeout_ms = 60000\n"
	image := buildImage(t, "FROM scratch\nCOPY . /\nENTRYPOINT [\"/zinit\", \"init\", \"-c\"]\n", map[string]string{"zinit": zinitBinary(t), "actor": actorBinary(t),
		"etc/zinit/services/db.toml": deaf, "etc/zinit/services/web.toml": deaf + "[dependencies]\nrequires = [\"db\"]\n"})
	t.Run("docker stop", func(t *testing.T) {
		t.Parallel()
		c := runContainer(t, image).up()
		c.is("running", "web", "db")
		c.stops()
	})
	t.Run("second SIGTERM", func(t *testing.T) {
		t.Parallel()
		c := runContainer(t, image).up()
		c.is("running", "web", "db")
		mustDocker(t, "kill", "-s", "TERM", c.name)
		eventually(t, "web is stopping", func() bool { return c.status("web").State == stopping })
		began := time.Now()
		mustDocker(t, "kill", "-s", "TERM", c.name)
		if code := c.exits(); code != 0 {
			t.Errorf("exit code %d", code)
		}
		if took := time.Since(began); took > 5*time.Second+slack {
			t.Errorf("it took %v", took)
		}
	})
	t.Run("deaf CMD", func(t *testing.T) {
		t.Parallel()
		c := runContainer(t, image, "--", "/actor", "ignore=15", "print=here", "block").up()
		eventually(t, "CMD runs", func() bool { return strings.Contains("\n"+c.logs(), "\nhere\n") })
		mustDocker(t, "stop", c.name)
		if code := c.exits(); code != 137 || strings.Contains(c.logs(), "cannot") {
			t.Errorf("exit code %d\n%s", code, c.logs())
		}
	})
}

// TestRow52_SandboxDeniesNewCalls: with a seccomp profile that refuses what is newer than Linux 3, or to make children of one's parent as QEMU and gVisor do, all goes
// on, also over the death of the server and an upgrade.
func TestRow52_SandboxDeniesNewCalls(t *testing.T) {
	t.Parallel()
	if _, err := docker("info"); err != nil {
		skip(t, "no Docker engine: "+err.Error())
	}
	image := buildImage(t, "FROM scratch\nCOPY . /\nENTRYPOINT [\"/zinit\", \"init\", \"-c\"]\n", map[string]string{"zinit": zinitBinary(t), "actor": actorBinary(t),
		"etc/zinit/services/web.toml": "=[service]\nexec = [\"/actor\", \"print=hello\", \"block\"]\n", "etc/zinit/services/crash.toml": "=[service]\nexec = [\"/actor\", \"exit=1\"]\n[lifecycle]\nrestart_delay_ms = 100\n"})
	refuse := func(errno int, more, names string) string {
		return fmt.Sprintf(`{"action": "SCMP_ACT_ERRNO", "errnoRet": %d, %s"names": [%s]}`, errno, more, names)
	}
	newer := `"pidfd_open", "pidfd_send_signal", "clone3", "close_range", "memfd_create", "statx", "unshare", "waitid"`
	for name, rules := range map[string]string{
		"EPERM": refuse(1, "", newer), "ENOSYS": refuse(38, "", newer),
		"CLONE_PARENT": refuse(22, `"args": [{"index": 0, "value": 32768, "valueTwo": 32768, "op": "SCMP_CMP_MASKED_EQ"}], `, `"clone"`) + ", " + refuse(38, "", `"clone3"`),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			profile := filepath.Join(shortDir(t), "seccomp.json")
			if err := os.WriteFile(profile, []byte(`{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [`+rules+`]}`), 0o644); err != nil {
				t.Fatal(err)
			}
			c := runContainer(t, "--security-opt", "seccomp="+profile, image, "--", "/actor", "on=15:3", "block").up()
			c.is("running", "web", "cmd")
			if out := c.ok("info"); strings.Contains(out, "CLONE_PARENT") != (name == "CLONE_PARENT") {
				t.Errorf("zinit info:\n%s", out)
			}
			web := c.status("web").PID
			old := c.serverPID()
			_ = syscall.Kill(old, syscall.SIGKILL)
			within(t, patience, "another server", func() bool { now := c.serverPID(); return now != 0 && now != old })
			c.up()
			c.ok("upgrade")
			within(t, patience, "PID 1 has gone over", func() bool { return strings.Contains(c.logs(), "PID 1 is version") })
			c.up()
			if st := c.status("web"); st.PID != web || st.State != running {
				t.Errorf("web was pid %d and is %+v", web, st)
			}
			within(t, patience, "crash is restarted", func() bool { return c.status("crash").RestartCount > 2 })
			c.ok("restart", "web", "--wait")
			c.ok("stop", "web", "--wait")
			mustDocker(t, "stop", c.name)
			if code := c.exits(); code != 3 {
				t.Errorf("exit code %d", code)
			}
		})
	}
}

// dockerKills is the loop of kills and the upgrades, with the engine's default capabilities and services of another user.
func dockerKills(t *testing.T, image string) {
	dir := shortDir(t)
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	c := runContainer(t, "-v", dir+":"+dir, "-v", writeServices(t, load(t, dir, "/actor", "user = 1234\n"))+":/etc/zinit/services:ro", image).up()
	pids := c.loaded()
	one, _ := strconv.Atoi(c.inspect("{{.State.Pid}}"))
	for range 100 {
		old := 0
		eventually(t, "a server", func() bool { old = serverBelow(one); return old != 0 })
		<-time.After(time.Duration(rand.IntN(150)) * time.Millisecond) // any moment, also while it adopts
		_ = syscall.Kill(old, syscall.SIGKILL)
		eventually(t, "another server", func() bool { now := serverBelow(one); return now != 0 && now != old })
	}
	c.up()
	c.same(pids)
	for range 20 {
		old := serverBelow(one)
		before := strings.Count(c.logs(), "PID 1 is version")
		c.ok("upgrade")
		eventually(t, "PID 1 has gone over", func() bool {
			return serverBelow(one) != old && strings.Count(c.logs(), "PID 1 is version") > before
		})
		c.up()
	}
	c.same(pids)
	c.restarts(dir)
	c.stops()
	intact(t, dir, "kills and upgrades in Docker")
}
