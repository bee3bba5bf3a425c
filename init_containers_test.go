// init_containers_test.go tries what docs/container.md says of stopping, output, variables, jobs and sidecars, in containers of the image that init_recipes_test.go makes.

//go:build linux

package main

import (
	"encoding/json"
	"fmt"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// streams is `docker logs`, stdout and stderr apart.
func (c *container) streams() (stdout, stderr string) {
	cmd := exec.Command("docker", "logs", c.name)
	var out, errs strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &errs
	_ = cmd.Run()
	return out.String(), errs.String()
}

// recipePostgres: `docker stop` beside an open session, as a service and as CMD with the STOPSIGNAL of its images, and the next start has nothing to recover.
func recipePostgres(t *testing.T, image string) {
	services := recipes(t, "initdb", "db")
	services["initdb"] = strings.Replace(services["initdb"], `"initdb", "--auth=peer"`, `"initdb", "--auth=trust", "--no-sync"`, 1)
	dir := sharedDir(t)
	c := recipeRun(t, image, dir, services, []string{"-v", "/var/lib/postgresql", "-e", "ZINIT_SHUTDOWN_TIMEOUT_MS=55000"}).up()
	c.is("running", "db")
	c.session("/run/postgresql")
	mustDocker(t, "stop", "-t", "60", c.name)
	if code := c.exits(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	c.printed("received fast shutdown request", "database system is shut down")

	command := recipeRun(t, image, dir, nil, []string{"--volumes-from", c.name, "--stop-signal", "SIGINT", "--user", "postgres"}, "--", "postgres", "-D", "/var/lib/postgresql/data", "-k", "/tmp")
	command.session("/tmp")
	mustDocker(t, "stop", "-t", "60", command.name)
	if code := command.exits(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	command.printed("database system was shut down at", "received fast shutdown request", "database system is shut down")

	mustDocker(t, "start", c.name)
	c.up()
	c.is("running", "db")
	c.printed(`its condition "exists !/var/lib/postgresql/data/PG_VERSION" does not hold`)
	if text := c.logs(); strings.Contains(text, "recovery") || strings.Count(text, "database system was shut down at") != 2 {
		t.Errorf("it had to recover:\n%s", text)
	}
	c.stops()
}

// session opens one that does not end by itself.
func (c *container) session(socket string) {
	c.t.Helper()
	psql := []string{"exec", c.name, "psql", "-h", socket, "-U", "postgres", "-tAc"}
	eventually(c.t, "it answers", func() bool {
		_, err := docker(append(psql, "create table if not exists t as select 1")...)
		return err == nil
	})
	cmd := exec.Command("docker", append(psql, "select pg_sleep(3600)")...)
	if err := cmd.Start(); err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	eventually(c.t, "the session is open", func() bool {
		out, _ := docker(append(psql, "select count(*) from pg_stat_activity where wait_event = 'PgSleep'")...)
		return out == "1"
	})
}

// recipeSyslog: messages go to rsyslog while it runs, and to our logs when it has been stopped.
func recipeSyslog(t *testing.T, image string) {
	c := recipeRun(t, image, sharedDir(t), recipes(t, "rsyslog"), nil).up()
	for round := range 2 {
		c.is("running", "rsyslog")
		say := func(text string) {
			mustDocker(t, "exec", c.name, "logger", "-t", "say", fmt.Sprintf("%s %d.", text, round))
		}
		eventually(t, "rsyslog has it", func() bool {
			say("to rsyslog")
			text := mustDocker(t, "exec", c.name, "cat", "/var/log/messages")
			return strings.Contains(text, fmt.Sprintf("say: to rsyslog %d.", round))
		})
		c.ok("stop", "rsyslog", "--wait")
		for range 3 {
			say("to zinit")
		}
		eventually(t, "none is lost", func() bool {
			return strings.Count(c.ok("logs", "syslog"), fmt.Sprintf("say: to zinit %d.", round)) == 3
		})
		c.ok("start", "rsyslog", "--wait")
	}
	c.stops()
}

// recipeTime: what takes longer than the 8 s that Docker's 10 leave is given its time, as a service if the container has it, and as CMD alone in any case. What has left
// the session is asked too.
func recipeTime(t *testing.T, image string) {
	slow := "trap 'sleep 9; echo saved; exit 0' TERM; echo here; while :; do sleep 0.1; done"
	outside := "setsid sh -c 'trap \"sleep 0.3; echo saved; exit 0\" TERM; echo here; while :; do sleep 0.05; done' & wait"
	file := func(script string) map[string]string {
		return map[string]string{"app": "[service]\nexec = ['sh', '-c', '''" + script + "''']\n[lifecycle]\nstop_timeout_ms = 30000\n"}
	}
	for _, row := range []struct {
		name     string
		services map[string]string
		flags    []string
		args     []string
	}{
		{"service", file(slow), []string{"-e", "ZINIT_SHUTDOWN_TIMEOUT_MS=55000"}, nil},
		{"CMD", nil, nil, []string{"--", "sh", "-c", slow}},
		{"outside of the session", file(outside), nil, nil},
		{"outside of the session of CMD", nil, nil, []string{"--", "sh", "-c", outside}},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			c := recipeRun(t, image, sharedDir(t), row.services, row.flags, row.args...)
			c.printed("here")
			mustDocker(t, "stop", "-t", "60", c.name)
			if code := c.exits(); code != 0 && code != 128+sigTerm {
				t.Errorf("exit code %d", code)
			}
			if n := strings.Count(c.logs(), "saved"); n != 1 {
				t.Errorf("it is saved %d times:\n%s", n, c.logs())
			}
		})
	}
}

// recipeStopSignals: those of the images of servers of the web.
func recipeStopSignals(t *testing.T, image string) {
	app := map[string]string{"app": "[service]\nexec = [\"sleep\", \"1000\"]\n"}
	for signal, want := range map[string]struct {
		code int
		says string
	}{"SIGQUIT": {0, "all services are stopped"}, "SIGWINCH": {128 + sigKill, "STOPSIGNAL SIGTERM"}} {
		t.Run(signal, func(t *testing.T) {
			t.Parallel()
			c := recipeRun(t, image, sharedDir(t), app, []string{"--stop-signal", signal}).up()
			c.is("running", "app")
			mustDocker(t, "stop", "-t", "2", c.name)
			if code := c.exits(); code != want.code || !strings.Contains(c.logs(), want.says) {
				t.Errorf("exit code %d, it printed\n%s", code, c.logs())
			}
		})
	}
}

// recipeLogs: lines of JSON come out as they were, long ones whole, each stream as itself, and our own log is JSON too.
func recipeLogs(t *testing.T, image string) {
	services := recipes(t, "api", "old")
	services["api"] = strings.Replace(services["api"], `["/app/api"]`, `['sh', '-c', '''
long=$(head -c 100000 /dev/zero | tr '\0' x)
echo "{\"n\":1}"; echo "{\"n\":2,\"text\":\"$long\"}"; echo "{\"n\":3}" >&2; exec sleep 1000
''']`, 1)
	services["old"] = strings.Replace(services["old"], `["/app/old"]`, `["sh", "-c", "echo words; echo trouble >&2; exec sleep 1000"]`, 1)
	c := recipeRun(t, image, sharedDir(t), services, []string{"-e", "ZINIT_LOG_FORMAT=json"}).up()
	c.is("running", "api", "old")
	mustDocker(t, "kill", "-s", "WINCH", c.name)
	c.printed("STOPSIGNAL", `{"n":3}`, `"text":"words"`, `"text":"trouble"`)
	c.ok("restart", "old", "--wait")
	c.stops()
	stdout, stderr := c.streams()
	says(t, stdout, `{"n":1}`+"\n", `{"n":2,"text":"`+strings.Repeat("x", 100000)+"\"}\n", `"service":"old","stream":"stdout","text":"words"}`)
	says(t, stderr, `{"n":3}`+"\n", `"service":"old","stream":"stderr","text":"trouble"}`, "all services are stopped")
	for line := range strings.Lines(stdout + stderr) {
		if !json.Valid([]byte(line)) {
			t.Errorf("this is no JSON: %.200q", line)
		}
	}
	if strings.Contains(stdout, `"level"`) || strings.Contains(stdout, "trouble") {
		t.Errorf("on stdout are\n%.1000s", stdout)
	}
}

// recipeVariables: conditions and values from `docker run -e`.
func recipeVariables(t *testing.T, image string) {
	services := recipes(t, "worker")
	services["worker"] = strings.Replace(services["worker"], `"/app/worker"`, `"printf", "<%s>\\n"`, 1)
	for _, row := range []struct {
		flags []string
		says  string
	}{
		{nil, `worker is skipped: its condition "env ENABLE_WORKER" does not hold`},
		{[]string{"-e", "ENABLE_WORKER=1"}, "worker | <--queue=default>\n"},
		{[]string{"-e", "ENABLE_WORKER=1", "-e", "QUEUE=mail now"}, "worker | <--queue=mail now>\n"},
	} {
		c := recipeRun(t, image, sharedDir(t), services, row.flags).up()
		c.printed(row.says)
		c.stops()
	}
}

// recipeJobs: the container ends when its jobs are done.
func recipeJobs(t *testing.T, image string) {
	job := recipes(t, "import")["import"]
	for _, row := range []struct{ code, want int }{{0, 0}, {5, 3}} {
		services := map[string]string{"import": strings.Replace(job, `["/app/import"]`, `["sh", "-c", "sleep 0.3; echo imported"]`, 1),
			"report": strings.Replace(job, `["/app/import"]`, fmt.Sprintf(`["sh", "-c", "echo reported; exit %d"]`, row.code), 1)}
		c := recipeRun(t, image, sharedDir(t), services, nil, "--", "/zinit", "wait", "import", "report")
		if code := c.exits(); code != row.want {
			t.Errorf("exit code %d, not %d\n%s", code, row.want, c.logs())
		}
		says(t, c.logs(), "import | imported\n", "report | reported\n", "import: exited\n")
		if strings.Contains(c.logs(), "report: exited\n") != (row.code == 0) {
			t.Errorf("it prints\n%s", c.logs())
		}
	}
}

// recipeSidecar: two of us in one pid namespace, each with services of its own.
func recipeSidecar(t *testing.T, image string) {
	file := func(name string) map[string]string {
		return map[string]string{name: "[service]\nexec = [\"sh\", \"-c\", \"trap 'echo " + name + " ends; exit 0' TERM; (sleep 1000 &); while :; do sleep 0.05; done\"]\n"}
	}
	app := recipeRun(t, image, sharedDir(t), file("app"), nil).up()
	app.is("running", "app")
	pid := app.status("app").PID
	sidecar := func() *container {
		c := recipeRun(t, image, sharedDir(t), file("side"), []string{"--pid", "container:" + app.name}).up()
		c.is("running", "side")
		return c
	}
	side := sidecar()
	if both := app.ok("list") + side.ok("list"); strings.Count(both, "side") != 1 || strings.Count(both, "app") != 1 {
		t.Errorf("they list\n%s", both)
	}
	if all := mustDocker(t, "exec", app.name, "ps", "-eo", "ppid=,args="); strings.Count("\n"+strings.ReplaceAll(all, " ", ""), "\n1sleep1000") != 1 || strings.Count(all, "sleep 1000") < 2 {
		t.Errorf("the orphans of the sidecar are not its own:\n%s", all)
	}
	side.ok("restart", "side", "--wait")
	side.is("running", "side")
	old := side.status("side").PID
	side.ok("kill", "side", "KILL")
	eventually(t, "side is started again", func() bool { st := side.status("side"); return st.State == running && st.PID != old })
	side.stops()
	if !strings.Contains(side.logs(), "side ends") {
		t.Errorf("the sidecar printed\n%s", side.logs())
	}
	if st := app.status("app"); st.State != running || st.PID != pid || st.RestartCount != 0 || strings.Contains(app.logs(), "app ends") {
		t.Errorf("app was pid %d and is %+v\n%s", pid, st, app.logs())
	}
	side = sidecar()
	began := time.Now()
	app.stops()
	side.exits()
	if took := time.Since(began); took > slack || !strings.Contains(app.logs(), "app ends") {
		t.Errorf("after %v:\n%s", took, app.logs())
	}
}

// recipeQuiet: in the place of tini nothing is printed but by CMD.
func recipeQuiet(t *testing.T, image string) {
	for _, code := range []int{0, 3} {
		c := recipeRun(t, image, sharedDir(t), nil, nil, "--", "sh", "-c", fmt.Sprintf("echo out; echo err >&2; exit %d", code))
		if got := c.exits(); got != code {
			t.Errorf("exit code %d, not %d", got, code)
		}
		if stdout, stderr := c.streams(); stdout != "out\n" || stderr != "err\n" {
			t.Errorf("it prints %q and %q", stdout, stderr)
		}
	}
}
