// migrate_debian_test.go runs services of ten Debian packages with what examples/migrate.py makes of their units.

//go:build linux

package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// debianUnits are units of the packages, by package, and what is asked of each service when it runs.
var debianUnits = []struct {
	pkg, program string
	units        []string
	port         int
}{
	{"openssh-server", "sshd", []string{"ssh.service"}, 22},
	{"nginx-common", "nginx", []string{"nginx.service"}, 80},
	{"redis-server", "redis-server", []string{"redis-server.service"}, 6379},
	{"postgresql-common", "pg_ctlcluster", []string{"postgresql.service", "postgresql@.service"}, 0},
	{"cron", "cron", []string{"cron.service"}, 0},
	{"dbus", "dbus-daemon", []string{"dbus.service", "dbus.socket"}, 0},
	{"chrony", "chronyd", []string{"chrony.service"}, 0},
	{"rsyslog", "rsyslogd", []string{"rsyslog.service"}, 0},
	{"haproxy", "haproxy", []string{"haproxy.service"}, 8404},
	{"memcached", "memcached", []string{"memcached.service"}, 11211},
}

// debianRoot copies the units of the packages and their tmpfiles.d below dir, with drop-ins for what would harm the machine (chronyd sets the clock) or does
// nothing as it comes (haproxy has no frontend). It returns the inputs for the script.
func debianRoot(t *testing.T, dir, cluster string) (inputs []string) {
	t.Helper()
	write := func(name, text string) {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for _, d := range debianUnits {
		for _, unit := range d.units {
			text, err := os.ReadFile("/lib/systemd/system/" + unit)
			if err != nil {
				t.Fatalf("the package %s: %v", d.pkg, err)
			}
			write("lib/systemd/system/"+unit, string(text))
			inputs = append(inputs, filepath.Join(dir, "lib/systemd/system", strings.Replace(unit, "@.", "@"+cluster+".", 1)))
		}
		out, err := exec.Command("dpkg", "-L", d.pkg).Output()
		if err != nil {
			t.Fatalf("dpkg -L %s: %v", d.pkg, err)
		}
		for _, path := range strings.Fields(string(out)) {
			if text, err := os.ReadFile(path); err == nil && strings.HasPrefix(path, "/usr/lib/tmpfiles.d/") {
				write(path, string(text))
			}
		}
	}
	wants := filepath.Join(dir, "lib/systemd/system/multi-user.target.wants")
	if err := os.Mkdir(wants, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("../dbus.service", filepath.Join(wants, "dbus.service")); err != nil {
		t.Fatal(err)
	}
	write("haproxy.cfg", "defaults\n mode http\n timeout connect 5s\n timeout client 5s\n timeout server 5s\nfrontend stats\n bind 127.0.0.1:8404\n stats enable\n stats uri /\n")
	write("etc/systemd/system/haproxy.service.d/test.conf", "[Service]\nEnvironment=CONFIG="+filepath.Join(dir, "haproxy.cfg")+"\n")
	// A container may not do these.
	write("etc/systemd/system/redis-server.service.d/test.conf", "[Service]\nLimitNOFILE=\n")
	write("etc/systemd/system/dbus.service.d/test.conf", "[Service]\nOOMScoreAdjust=\n")
	write("etc/systemd/system/postgresql@.service.d/test.conf", "[Service]\nOOMScoreAdjust=\n")
	write("etc/systemd/system/chrony.service.d/test.conf", "[Service]\nEnvironmentFile=\nEnvironment=\"DAEMON_OPTS=-x -F 0\"\n")
	return inputs
}

// copyOfAll makes dir a root that is ours, except that what is written there stays in memory. /run is empty; /dev, /proc, /sys and what tests write are shared.
func copyOfAll(dir string) error {
	upper := dir + ".copy" // it exists too
	if err := unix.Mount("none", upper, "tmpfs", 0, ""); err != nil {
		return err
	}
	layers := fmt.Sprintf("lowerdir=/,upperdir=%s/upper,workdir=%s/work", upper, upper)
	err := errors.Join(os.Mkdir(upper+"/upper", 0o755), os.Mkdir(upper+"/work", 0o755), unix.Mount("none", dir, "overlay", 0, layers), unix.Mount("none", dir+"/run", "tmpfs", 0, "mode=755"))
	for _, shared := range []string{"/dev", "/proc", "/sys", os.Getenv(suiteMark)} {
		err = errors.Join(err, os.MkdirAll(dir+shared, 0o755), unix.Mount(shared, dir+shared, "", unix.MS_BIND|unix.MS_REC, ""))
	}
	return err
}

// TestMigrateDebian boots a container with these services: all start, do what they are for, and stop.
func TestMigrateDebian(t *testing.T) {
	needs(t, "python3", "dpkg", "nsenter")
	for _, d := range debianUnits {
		needs(t, d.program)
	}
	clusters, _ := filepath.Glob("/etc/postgresql/*/*/postgresql.conf")
	if len(clusters) == 0 {
		skip(t, "no PostgreSQL cluster on this machine")
	}
	version, cluster := filepath.Base(filepath.Dir(filepath.Dir(clusters[0]))), filepath.Base(filepath.Dir(clusters[0]))
	t.Parallel()
	dir := shortDir(t)
	_, said, code := migrate(t, dir, append([]string{"-o", "out"}, debianRoot(t, dir, version+"-"+cluster)...)...)
	if code != 1 {
		t.Fatalf("migrate.py: exit code %d, want 1: no sandbox has a counterpart\n%s", code, said)
	}
	out, err := exec.Command(zinitBinary(t), "check", filepath.Join(dir, "out")).CombinedOutput()
	if err != nil {
		t.Fatalf("zinit check: %v\n%s", err, out)
	}
	services := map[string]string{}
	for name, text := range filesOf(t, filepath.Join(dir, "out")) {
		services[strings.TrimSuffix(name, ".toml")] = text
	}
	root := filepath.Join(dir, "root")
	if err := os.MkdirAll(root, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(root+".copy", 0o755); err != nil {
		t.Fatal(err)
	}
	names, oneshots := []string{"ssh", "nginx", "redis-server", "postgresql." + version + "-" + cluster, "cron", "chrony", "rsyslog", "haproxy", "memcached"}, []string{"postgresql"}
	if services["dbus.socket"] != "" {
		names = append(names, "dbus")
	} else {
		delete(services, "dbus") // it must be given its socket
	}
	for _, name := range slices.Clone(names) {
		if strings.Contains(services[name], "\noneshot = true") { // what forks, without pid_file
			names, oneshots = slices.DeleteFunc(names, func(n string) bool { return n == name }), append(oneshots, name)
		}
	}
	b := startInit(t, services, boxOptions{net: true, enter: []string{"lo", "copy=" + root}}).up()
	b.is("running", names...)
	b.is("exited", oneshots...)

	inside := func(words ...string) ([]byte, error) {
		args := append([]string{"-t", strconv.Itoa(b.cmd.Process.Pid), "-m", "-p", "-n", "-r", "-w", "--"}, words...)
		return exec.Command("nsenter", args...).CombinedOutput()
	}
	for _, d := range debianUnits {
		if d.port == 0 {
			continue
		}
		if out, err := inside(zinitBinary(t), "probe", fmt.Sprintf("tcp:127.0.0.1:%d", d.port)); err != nil {
			t.Errorf("%s does not answer: %v\n%s", d.pkg, err, out)
		}
	}
	for _, words := range [][]string{
		{"runuser", "-u", "postgres", "--", "psql", "-tc", "select 1"},
		{"chronyc", "-n", "tracking"},
		{"dbus-send", "--system", "--print-reply", "--dest=org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus.ListNames"},
	} {
		if words[0] == "dbus-send" && services["dbus"] == "" {
			continue
		}
		eventually(t, strings.Join(words, " "), func() bool { out, err = inside(words...); return err == nil })
	}
	for _, name := range names {
		b.ok("stop", name, "--wait")
		b.is("exited", name)
	}
}
