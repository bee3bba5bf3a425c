// init_recipes_test.go runs the service files of docs/container.md with their programs, and what people do with them, in containers of the real engine.

//go:build linux

package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// recipes are service files of the page on containers: NAME -> text.
func recipes(t *testing.T, names ...string) map[string]string {
	t.Helper()
	all := map[string]string{}
	for _, b := range docBlocks(docPages(t)["docs/container.md"], 1) {
		all[strings.TrimSuffix(b.name, ".toml")] = b.text
	}
	some := map[string]string{}
	for _, name := range names {
		if some[name] = all[name]; some[name] == "" {
			t.Fatalf("docs/container.md has no %s.toml", name)
		}
	}
	return some
}

// recipeFiles is what a root of Debian has beside the programs, which are those of this machine.
var recipeFiles = map[string]string{
	"etc/nginx/nginx.conf": "user www-data; pid /run/nginx.pid; error_log /var/log/nginx/error.log; events {} http { access_log /var/log/nginx/access.log; server { listen 80; return 200 \"hello\\n\"; } }\n",
	"etc/cron.d/jobs":      "@reboot root { echo job of cron; tr '\\000' '\\n' </proc/1/environ | grep ^MODE=; } >/proc/1/fd/1\n",
	"etc/crontab":          "",
	"etc/shadow":           "root:*:19000:0:99999:7:::\n",
	"etc/default/locale":   "",
	"etc/rsyslog.conf":     "module(load=\"imuxsock\")\n*.* /var/log/messages\n",
	"etc/php-fpm.conf":     "[global]\nerror_log = /proc/self/fd/2\nprocess_control_timeout = 20s\n[www]\nuser = www-data\nlisten = 127.0.0.1:9000\npm = static\npm.max_children = 2\n",
	"srv/app/slow.php":     `<?php touch("/shared/php.busy"); while (!file_exists("/shared/php.go")) { clearstatcache(); usleep(20000); } echo "done by ", getmypid(), "\n";`,
	"srv/app/app.py": `import os, time
def app(environ, start_response):
    open("/shared/web.busy", "w").close()
    while not os.path.exists("/shared/web.go"):
        time.sleep(0.02)
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"done\n"]
`,
	"srv/app/tasks.py": `import os, time, celery
app = celery.Celery(broker="filesystem://")
app.conf.broker_transport_options = {"data_folder_in": "/shared/queue", "data_folder_out": "/shared/queue"}
app.conf.worker_prefetch_multiplier = 1
@app.task
def slow():
    open("/shared/celery.busy", "w").close()
    while not os.path.exists("/shared/celery.go"):
        time.sleep(0.02)
    print("done", flush=True)
`,
}

// recipeImage makes an image with users, configuration and state of Debian's packages. Run it with recipeFlags.
func recipeImage(t *testing.T) string {
	t.Helper()
	needs(t, "tar", "bash", "setsid", "logger", "nginx", "cron", "gunicorn", "celery", "postfix", "rsyslogd", "cgi-fcgi")
	root := shortDir(t)
	links := map[string]string{"bin": "usr/bin", "sbin": "usr/sbin", "lib": "usr/lib", "lib64": "usr/lib64", "var/run": "/run",
		"var/log/nginx/access.log": "/proc/1/fd/1", "var/log/nginx/error.log": "/proc/1/fd/2"}
	for name, pattern := range map[string]string{"php-fpm": "/usr/sbin/php-fpm*", "postgres": "/usr/lib/postgresql/*/bin/postgres", "initdb": "/usr/lib/postgresql/*/bin/initdb",
		"psql": "/usr/lib/postgresql/*/bin/psql", "pg_isready": "/usr/lib/postgresql/*/bin/pg_isready"} {
		found, _ := filepath.Glob(pattern)
		if len(found) == 0 {
			skip(t, "no "+pattern+" on this machine")
		}
		links["opt/bin/"+name] = found[len(found)-1]
	}
	for name, to := range links {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(root, name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(to, filepath.Join(root, name)); err != nil {
			t.Fatal(err)
		}
	}
	for name, text := range recipeFiles {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(root, name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(root, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	copyFile(t, zinitBinary(t), filepath.Join(root, "zinit"))
	prepare := exec.Command("sh", "-ec", `mkdir usr tmp run shared var/lib var/lib/nginx var/spool
chmod 1777 tmp
for f in passwd group nsswitch.conf pam.d security login.defs ld.so.cache alternatives php postfix services; do [ ! -e /etc/$f ] || cp -a /etc/$f etc/; done
cp -a /var/spool/postfix /var/spool/cron var/spool/
cp -a /var/lib/postfix var/lib/`)
	prepare.Dir = root
	if out, err := prepare.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	tag := fmt.Sprintf("zinit-test-%d-%d", os.Getpid(), dockerCount.Add(1))
	cmd := exec.Command("sh", "-c", `tar -c . | docker import -c 'ENTRYPOINT ["/zinit", "init", "-c"]' -c 'ENV PATH=/opt/bin:/usr/sbin:/usr/bin' - `+tag)
	cmd.Dir = root
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("docker import: %v\n%s", err, out)
	}
	t.Cleanup(func() { _, _ = docker("rmi", "-f", tag) })
	return tag
}

// recipeRun is a container of that image with these services; flags are those of `docker run`, dir is /shared in it.
func recipeRun(t *testing.T, image, dir string, services map[string]string, flags []string, args ...string) *container {
	t.Helper()
	flags = append([]string{"-v", "/usr:/usr:ro", "-v", dir + ":/shared"}, flags...)
	if len(services) > 0 {
		flags = append(flags, "-v", writeServices(t, services)+":/etc/zinit/services:ro")
	}
	return runContainer(t, append(append(flags, image), args...)...)
}

// sharedDir is a directory in which everybody may write.
func sharedDir(t *testing.T) string {
	t.Helper()
	dir := shortDir(t)
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	return dir
}

// printed waits until `docker logs` has these.
func (c *container) printed(want ...string) {
	c.t.Helper()
	for _, w := range want {
		eventually(c.t, "the container prints "+w, func() bool { return strings.Contains(c.logs(), w) })
	}
}

// inFlight begins a request in the container, which ends when end is called; that returns what the client printed.
func (c *container) inFlight(dir, name string, client ...string) (end func() string) {
	c.t.Helper()
	busy, release := filepath.Join(dir, name+".busy"), filepath.Join(dir, name+".go")
	_, _ = os.Remove(busy), os.Remove(release)
	var out bytes.Buffer
	cmd := exec.Command("docker", append([]string{"exec", c.name}, client...)...)
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(func() { _ = os.WriteFile(release, nil, 0o644) })
	eventually(c.t, name+" is busy", func() bool { _, err := os.Stat(busy); return err == nil })
	return func() string {
		if err := os.WriteFile(release, nil, 0o644); err != nil {
			c.t.Fatal(err)
		}
		_ = cmd.Wait()
		return out.String()
	}
}

// get asks for a page, with what every Debian has.
func get(port int) []string {
	return []string{"bash", "-c", fmt.Sprintf(`exec 3<>/dev/tcp/127.0.0.1/%d; printf 'GET /page HTTP/1.0\r\n\r\n' >&3; cat <&3`, port)}
}

// TestRecipes: the files of the page, and what it says about containers.
func TestRecipes(t *testing.T) {
	t.Parallel()
	if _, err := docker("info"); err != nil {
		skip(t, "no Docker engine: "+err.Error())
	}
	image := recipeImage(t)
	for name, test := range map[string]func(t *testing.T, image string){
		"services": recipeServices, "PostgreSQL": recipePostgres, "rsyslog": recipeSyslog,
		"time to stop": recipeTime, "stop signals": recipeStopSignals, "logs": recipeLogs, "variables": recipeVariables, "jobs": recipeJobs, "sidecar": recipeSidecar, "quiet": recipeQuiet,
	} {
		t.Run(name, func(t *testing.T) { t.Parallel(); test(t, image) })
	}
}

// recipeServices is one container with all that it may be asked for.
func recipeServices(t *testing.T, image string) {
	services := recipes(t, "nginx", "cron", "web", "celery", "php", "postfix")
	services["php"] = strings.Replace(services["php"], `"-F"`, `"-F", "-y", "/etc/php-fpm.conf"`, 1)
	services["postfix-fg"] = "[service]\nexec = [\"postfix\", \"start-fg\"]\nstatus = \"stop\"\n[health]\ntype = \"tcp\"\ntarget = \"127.0.0.1:25\"\n"
	dir := sharedDir(t)
	if err := os.Mkdir(dir+"/queue", 0o777); err != nil {
		t.Fatal(err)
	}
	c := recipeRun(t, image, dir, services, []string{"-e", "MODE=seen"}).up()
	t.Run("all", func(t *testing.T) { // and then they are stopped
		for name, test := range map[string]func(t *testing.T, c *container, dir string){"nginx and cron": recipeNginx, "gunicorn": recipeGunicorn, "celery": recipeCelery, "php-fpm": recipePHP, "postfix": recipePostfix} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				of := *c
				of.t = t
				test(t, &of, dir)
			})
		}
	})
	c.stops()
}

// recipeNginx: what programs write to the output of PID 1 is in `docker logs`, as it came.
func recipeNginx(t *testing.T, c *container, _ string) {
	c.is("running", "nginx", "cron")
	out := mustDocker(t, append([]string{"exec", c.name}, get(80)...)...)
	says(t, out, "200 OK", "hello")
	eventually(t, "the access line is printed", func() bool {
		return strings.Contains(c.logs(), "\n127.0.0.1 - - ") && strings.Contains(c.logs(), "\"GET /page HTTP/1.0\" 200 6")
	})
	c.printed("\njob of cron\n", "\nMODE=seen\n")
	c.ok("stop", "nginx", "--wait")
	c.is("exited", "nginx")
}

// recipeGunicorn: a reload and a stop let a request end.
func recipeGunicorn(t *testing.T, c *container, dir string) {
	c.is("running", "web")
	pid := c.status("web").PID
	workers := func() int { return strings.Count(c.logs(), "Booting worker") }
	eventually(t, "two workers", func() bool { return workers() == 2 })
	end := c.inFlight(dir, "web", get(8000)...)
	c.ok("kill", "web", "HUP")
	eventually(t, "two new workers", func() bool { return workers() == 4 })
	says(t, end(), "200 OK", "done")
	if st := c.status("web"); st.State != running || st.PID != pid || st.RestartCount != 0 {
		t.Errorf("after the reload web was pid %d and is %+v", pid, st)
	}
	end = c.inFlight(dir, "web", get(8000)...)
	c.ok("stop", "web")
	c.printed("Handling signal: term")
	c.is("stopping", "web")
	says(t, end(), "200 OK", "done")
	c.is("exited", "web")
	if st := c.status("web"); st.ExitCode == nil || *st.ExitCode != 0 {
		t.Errorf("web is %+v", st)
	}
}

// recipeCelery: a task ends before its worker does.
func recipeCelery(t *testing.T, c *container, dir string) {
	c.is("running", "celery")
	end := c.inFlight(dir, "celery", "sh", "-c", "cd /srv/app && exec celery --app=tasks call tasks.slow")
	c.ok("stop", "celery")
	c.printed("Warm shutdown")
	c.is("stopping", "celery")
	end()
	c.is("exited", "celery")
	if st := c.status("celery"); st.ExitCode == nil || *st.ExitCode != 0 || !strings.Contains(c.ok("logs", "celery"), "done") {
		t.Errorf("celery is %+v\n%s", st, c.ok("logs", "celery"))
	}
}

// recipePHP: the same of php-fpm.
func recipePHP(t *testing.T, c *container, dir string) {
	ask := []string{"env", "REQUEST_METHOD=GET", "SCRIPT_FILENAME=/srv/app/slow.php", "cgi-fcgi", "-bind", "-connect", "127.0.0.1:9000"}
	c.is("running", "php")
	pid := c.status("php").PID
	end := c.inFlight(dir, "php", ask...)
	c.ok("kill", "php", "USR2")
	c.printed("Reloading in progress")
	says(t, end(), "done by ")
	c.printed("using inherited socket")
	end = c.inFlight(dir, "php", ask...)
	if st := c.status("php"); st.State != running || st.PID != pid || st.RestartCount != 0 {
		t.Errorf("after the reload php was pid %d and is %+v", pid, st)
	}
	c.ok("stop", "php")
	c.printed("Finishing ...")
	c.is("stopping", "php")
	says(t, end(), "done by ")
	c.is("exited", "php")
}

// recipePostfix: by its pid file, and in the foreground, where its main process is a shell.
func recipePostfix(t *testing.T, c *container, _ string) {
	c.is("running", "postfix")
	if pid := mustDocker(t, "exec", c.name, "cat", "/var/spool/postfix/pid/master.pid"); strings.TrimSpace(pid) != fmt.Sprint(c.status("postfix").PID) {
		t.Errorf("postfix is %+v, the file has %s", c.status("postfix"), pid)
	}
	c.ok("kill", "postfix", "HUP")
	c.printed("reload -- version")
	for i, name := range []string{"postfix", "postfix-fg"} {
		if i > 0 {
			c.ok("start", name, "--wait")
		}
		c.ok("stop", name, "--wait")
		c.is("exited", name)
		eventually(t, "it has ended by the signal", func() bool { return strings.Count(c.logs(), "terminating on signal 15") == i+1 })
		if all := mustDocker(t, "top", c.name, "-eo", "pid,args"); strings.Contains(all, "/postfix/") || strings.Contains(all, "qmgr") {
			t.Errorf("after %s has stopped:\n%s", name, all)
		}
	}
}
