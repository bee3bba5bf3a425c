// init_debian_test.go boots the machine of examples/machine: a Debian with udev, dbus, a network, sshd and logins, made by its build.sh.

//go:build linux

package main

import (
	"crypto/sha256"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

var debianBoots = flag.Int("boots", 2, "how many times TestMachineDebianLosesItsPower boots; every other boot is cut")

const debianPassword = "secret"

// debianFiles is what build.sh makes, once for all tests: disk.img and initramfs.gz, and the key that opens it.
var debianFiles = sync.OnceValues(func() (dir string, err error) {
	dir = filepath.Join(suiteDir, "programs", "debian")
	if err = os.Mkdir(dir, 0o755); err != nil {
		return "", err
	}
	key := filepath.Join(dir, "key")
	if out, err := exec.Command("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key).CombinedOutput(); err != nil {
		return "", fmt.Errorf("ssh-keygen: %w: %s", err, out)
	}
	build := exec.Command("examples/machine/build.sh", dir)
	build.Env = append(os.Environ(), "KEY="+key+".pub", "PASSWORD="+debianPassword, "BASE="+debianBase(dir),
		"ZINIT="+zinitOnce.path, "KERNEL="+filepath.Dir(filepath.Dir(machineKinds["amd64"].found.image)))
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build.sh: %w: %s", err, out)
	}
	return dir, nil
})

// debianBase is where the archive of Debian's packages is kept for the next run: another one for each list of packages.
func debianBase(otherwise string) string {
	script, _ := os.ReadFile("examples/machine/build.sh")
	list := sha256.New()
	for line := range strings.Lines(string(script)) {
		if strings.HasPrefix(line, "packages=") || strings.Contains(line, "debootstrap") {
			list.Write([]byte(line))
		}
	}
	cache, err := os.UserCacheDir()
	if err == nil {
		cache = filepath.Join(cache, "zinit-test")
		err = os.MkdirAll(cache, 0o755)
	}
	if err != nil {
		cache = otherwise
	}
	return filepath.Join(cache, fmt.Sprintf("debian-%x.tar", list.Sum(nil)[:8]))
}

// debian is a machine made from the example, with a disk of its own.
type debian struct {
	t               testing.TB
	dir, disk, data string
	port            int
}

func newDebian(t testing.TB) *debian {
	t.Helper()
	if os.Getuid() != 0 {
		skip(t, "a Debian can only be installed by root")
	}
	needs(t, "debootstrap", "cpio", "e2fsck", "ssh", "ssh-keygen", "qemu-system-x86_64")
	zinitBinary(t)
	machineKinds["amd64"].kernel(t)
	dir, err := debianFiles()
	if err != nil {
		t.Fatal(err)
	}
	d := &debian{t: t, dir: dir, disk: filepath.Join(t.TempDir(), "disk.img"), data: machineDisk(t, "data", map[string]string{"/hello": "from the disk\n"}, nil), port: freePort(t)}
	if out, err := exec.Command("cp", "--sparse=always", filepath.Join(dir, "disk.img"), d.disk).CombinedOutput(); err != nil {
		t.Fatalf("cp: %v: %s", err, out)
	}
	return d
}

func (d *debian) boot() *machine {
	d.t.Helper()
	return startMachine(d.t, machineSpec{
		initramfs: filepath.Join(d.dir, "initramfs.gz"), words: "zinit.root=LABEL=root", disks: []string{d.disk, d.data},
		qemu: []string{"-netdev", fmt.Sprintf("user,id=net,hostfwd=tcp:127.0.0.1:%d-:22", d.port), "-device", "virtio-net-pci,netdev=net,romfile="},
	})
}

// login logs in on the serial line, and goes over to a shell with a prompt that `does` knows.
func (m *machine) login() {
	m.t.Helper()
	m.expect("debian login: ")
	m.typeLine("root")
	m.expect("Password: ")
	m.typeLine(debianPassword)
	m.expect("root@debian:~# ")
	m.typeLine("PS1='bo''x> ' exec sh")
}

func (d *debian) ssh(more ...string) *exec.Cmd {
	return exec.Command("ssh", append([]string{"-p", fmt.Sprint(d.port), "-i", filepath.Join(d.dir, "key"), "-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=no",
		"-o", "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR", "root@127.0.0.1"}, more...)...)
}

// session is a shell over ssh that stays.
func (d *debian) session() *machine {
	d.t.Helper()
	cmd := d.ssh("PS1='box> ' exec sh -i")
	cmd.Args = append(cmd.Args[:1:1], append([]string{"-tt"}, cmd.Args[1:]...)...)
	m := &machine{t: d.t, cmd: cmd, ended: make(chan struct{})}
	var err error
	if m.keys, err = cmd.StdinPipe(); err != nil {
		d.t.Fatal(err)
	}
	cmd.Stdout, cmd.Stderr = m, m
	if err := cmd.Start(); err != nil {
		d.t.Fatal(err)
	}
	go func() {
		_ = cmd.Wait()
		close(m.ended)
	}()
	d.t.Cleanup(func() {
		_ = cmd.Process.Kill()
		<-m.ended
		if d.t.Failed() {
			d.t.Logf("the session:\n%s", m.text())
		}
	})
	return m
}

// run has a command run over ssh.
func (d *debian) run(stdin io.Reader, command string) string {
	d.t.Helper()
	cmd := d.ssh(command)
	cmd.Stdin = stdin
	out, err := cmd.CombinedOutput()
	if err != nil {
		d.t.Fatalf("ssh %s: %v\n%s", command, err, out)
	}
	return string(out)
}

// TestMachineDebian is a day of the machine of examples/machine: logins on the serial line and over ssh, a new zinit and a restart of sshd over
// ssh that nobody notices, what package scripts do, and power-off.
func TestMachineDebian(t *testing.T) {
	t.Parallel()
	d := newDebian(t)
	m := d.boot()
	m.login()
	m.does("zinit wait multi-user network >/dev/null; echo up-$?", "up-0")
	m.does("echo failed-$(zinit --json list | grep -c '\"failed\"') $(cat /srv/hello)", "failed-0 from the disk")
	m.does("touch /var/lock/x && [ $(stat -c %a /run/lock/) = 1777 ] && echo locks-$((40+2))", "locks-42")

	s := d.session()
	s.does("pid() { zinit status $1 --json | grep -o '\"pid\":[0-9]*'; }; sshd=$(pid sshd) cron=$(pid cron); echo $sshd $cron-", "\"pid\":")
	binary, err := os.Open(zinitBinary(t))
	if err != nil {
		t.Fatal(err)
	}
	defer binary.Close()
	says(t, d.run(binary, "cd /usr/sbin && cat >zinit.new && chmod 755 zinit.new && mv zinit.new zinit && zinit upgrade"), "version "+version+" has taken over")
	s.does("while readlink /proc/1/exe | grep -q deleted; do sleep 0.1; done; echo upgraded-$((40+2))", "upgraded-42")
	s.does("echo $(who | grep -c ^root) are logged in", "2 are logged in")
	s.does("[ $(pid sshd) = $sshd ] && [ $(pid cron) = $cron ] && echo same-$((40+2))", "same-42")
	s.does("zinit restart sshd --wait >/dev/null && [ $(pid sshd) != $sshd ] && echo restarted-$((40+2))", "restarted-42")
	says(t, d.run(nil, "readlink /sbin/init; echo session $SSH_CONNECTION"), "zinit\n", "session 10.0.2.2 ")
	s.does("invoke-rc.d cron restart; [ $(pid cron) != $cron ] && echo invoked-$((40+2))", "invoked-42")
	s.does("cron=$(pid cron); service cron restart; [ $(pid cron) != $cron ] && echo served-$((40+2))", "served-42")
	s.does("service cron status && service cron stop && ! service cron status && echo stopped-$((40+2))", "stopped-42")

	m.typeLine("exit")
	m.login()
	s.typeLine("zinit poweroff")
	m.expect("reboot: Power down")
	m.waitEnd()
	isClean(t, d.disk)
	isClean(t, d.data)
}

// debianCuts are moments at which the power fails: when the console says so, after a login and a command or before.
var debianCuts = []struct{ command, text string }{
	{"", "sshd-keys "}, // done or skipped
	{"while :; do cp -r /etc /srv/$((n=n+1)); cp -r /etc /root/$n; echo copied-$n; done", "copied-2"},
	{"", "udev is running"},
	{"zinit poweroff", "all services are stopped"},
	{"", "is listening on"},
	{"rm -rf /etc/ssh/ssh_host_* /root/[0-9]* && sync; echo removed-$((40+2))", "removed-42"},
	{"zinit poweroff", "zinit: info: poweroff"},
	{"", "debian login: "},
}

// TestMachineDebianLosesItsPower: whenever QEMU is killed, the next boot has a login, all services, and what was synced.
func TestMachineDebianLosesItsPower(t *testing.T) {
	t.Parallel()
	d := newDebian(t)
	synced := ""
	for i := range *debianBoots {
		m := d.boot()
		cut := debianCuts[i/2%len(debianCuts)]
		off := i%2 == 0 && i < *debianBoots-1
		if !off || cut.command != "" {
			m.login()
			m.does("zinit wait multi-user >/dev/null; echo up-$?", "up-0")
			m.does("echo boot-$(cat /root/boot)-", "boot-"+synced+"-")
			synced = fmt.Sprint(i)
			m.does("echo "+synced+" >/root/boot && sync && echo synced-$((40+2))", "synced-42")
		}
		if off {
			if cut.command != "" {
				m.expect("box> ")
				m.typeLine(cut.command)
			}
			m.expect(cut.text)
			_ = m.cmd.Process.Kill()
			m.waitEnd()
			t.Logf("boot %d: killed after %q, %q", i, cut.command, cut.text)
			continue
		}
		m.does("zinit poweroff", "reboot: Power down")
		m.waitEnd()
		t.Logf("boot %d: login, all services, power-off", i)
		isClean(t, d.disk)
		isClean(t, d.data)
	}
}
