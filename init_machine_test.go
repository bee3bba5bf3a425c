// init_machine_test.go boots virtual machines, with the test binary and with the program as their init.

//go:build linux

package main

import (
	"cmp"
	"debug/elf"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// probeMark is a file that only the machines of these tests have.
const probeMark = "/zinit-test-machine"

// A test binary that finds itself to be init of a virtual machine boots it as the program would, prints what it sees, and then obeys the
// person at the console.
func init() {
	if _, err := os.Stat(probeMark); err != nil || os.Getpid() != 1 {
		return
	}
	_ = setLogLevel("debug")
	b := newBoot("/")
	err := b.run()
	dog := probeWatchdog(b.words.watchdog)
	for _, m := range b.mounts() {
		fmt.Printf("probe: mount %s %s %s\n", m.target, m.kind, m.options)
	}
	modules, _ := b.read("/proc/modules")
	for _, line := range strings.Split(modules, "\n") {
		name, _, _ := strings.Cut(line, " ")
		fmt.Printf("probe: module %s\n", name)
	}
	swaps, _ := b.read("/proc/swaps")
	host, _ := os.Hostname()
	self, _ := os.Readlink("/proc/self/exe")
	fmt.Printf("probe: swaps %q\nprobe: host %s\nprobe: exe %s\nprobe: words %+v\n", swaps, host, self, b.words)
	room := newEmergencyConsole(reapUntilEnd)
	reason := fmt.Sprint(err)
	for {
		if wish := room.open(reason); wish != "" {
			machineDown(powerKind(wish), dog)
			reason = "machineDown returned"
		}
	}
}

func probeWatchdog(name string) *watchdog {
	if name == "" {
		return nil
	}
	dog, err := openWatchdog(name, 60)
	if err != nil {
		fmt.Printf("probe: %v\n", err)
		return nil
	}
	fmt.Printf("probe: watchdog every %v, feed: %v\n", dog.every, dog.feed())
	return dog
}

// probeBinary is this test binary, or one built for the purpose if this one needs shared libraries.
func probeBinary(t *testing.T) string {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	f, err := elf.Open(self)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	dynamic := slices.ContainsFunc(f.Progs, func(p *elf.Prog) bool { return p.Type == elf.PT_INTERP })
	if !dynamic {
		return self
	}
	static := filepath.Join(t.TempDir(), "probe")
	cmd := exec.Command("go", "test", "-c", "-ldflags=-s -w", "-o", static, ".")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("go test -c: %v: %s", err, out)
	}
	return static
}

// machineWords collects what the probe printed: "mount /proc", … with the rest of the line.
func probed(text string) map[string]string {
	seen := map[string]string{}
	for _, line := range strings.Split(text, "\n") {
		if rest, found := strings.CutPrefix(line, "probe: "); found {
			kind, rest, _ := strings.Cut(rest, " ")
			name, rest, _ := strings.Cut(rest, " ")
			seen[kind+" "+name] = rest
		}
	}
	return seen
}

func TestMachineBootsAndPowersOff(t *testing.T) {
	t.Parallel()
	data := machineDisk(t, "data", map[string]string{"/hello": "from the disk\n"}, nil)
	swap := filepath.Join(t.TempDir(), "swap.img")
	space := make([]byte, 16<<20)
	// The header of swap space: version 1, the last page, and the mark at the end of the first page (linux/swap.h).
	copy(space[1024:], "\x01\x00\x00\x00\xff\x0f\x00\x00")
	copy(space[4086:], "SWAPSPACE2")
	if err := os.WriteFile(swap, space, 0o600); err != nil {
		t.Fatal(err)
	}
	m := startMachine(t, machineSpec{
		init: probeBinary(t), modules: []string{"virtio_pci", "virtio_blk", "softdog"}, disks: []string{data, swap},
		words: "zinit.watchdog=/dev/watchdog zinit.dbug",
		files: map[string]string{
			probeMark: "", "/etc/hostname": "box\n", "/etc/modules": "virtio-pci\nvirtio_blk\nsoftdog soft_margin=20\nnosuch\n",
			"/etc/fstab":           "LABEL=data /data auto noatime 0 2\n/dev/vdb none swap sw,pri=3\n/dev/nope /nope ext4 nofail,x-systemd.device-timeout=1ms\n",
			"/etc/sysctl.d/a.conf": "kernel.panic_on_oops = 1\nkernel.no_such = 1\n",
		},
	})
	before := m.expect("zinit> ")
	seen := probed(before)
	for name, want := range map[string]string{
		"mount /proc": "proc", "mount /sys": "sysfs", "mount /dev": "devtmpfs", "mount /dev/pts": "devpts", "mount /dev/shm": "tmpfs",
		"mount /run": "tmpfs", "mount /tmp": "tmpfs", "mount /sys/fs/cgroup": "cgroup2", "mount /data": "ext4 rw,noatime",
		"module virtio_blk": "", "module softdog": "", "host box": "", "watchdog every": "15s, feed: <nil>", "swaps \"Filename\\t\\t\\t\\tType\\t\\tSize\\t\\tUsed\\t\\tPriority\\n/dev/vdb": "",
	} {
		if got, found := seen[name]; !found || !strings.HasPrefix(got, want) {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	for _, want := range []string{
		"zinit: emergency: <nil>", "did you mean `zinit.debug`?", "cannot load module nosuch", "cannot set kernel.no_such = 1", "did not mount /dev/nope",
	} {
		if !strings.Contains(before, want) {
			t.Errorf("the console does not say %q", want)
		}
	}
	m.typeLine("show /data/hello")
	m.expect("from the disk")
	m.expect("zinit> ")
	m.typeLine("show /proc/sys/kernel/panic_on_oops")
	m.expect("panic_on_oops\n1\n")
	m.expect("zinit> ")
	m.typeLine("poweroff")
	m.expect("reboot: Power down")
	m.waitEnd()
	if !cleanlyUnmounted(t, data) {
		t.Error("the disk was not unmounted")
	}
}

func TestMachineGoesOverToItsRootFileSystem(t *testing.T) {
	t.Parallel()
	probe := probeBinary(t)
	root := machineDisk(t, "root", map[string]string{
		probeMark: "", "/etc/hostname": "disk\n", "/etc/fstab": "LABEL=root / ext4 rw,noatime 0 1\n",
		"/dev/.keep": "", "/proc/.keep": "", "/sys/.keep": "", "/run/.keep": "", "/tmp/.keep": "",
	}, map[string]string{"/sbin/init": probe})
	spec := machineSpec{
		init: probe, modules: []string{"virtio_pci", "virtio_blk"}, disks: []string{root}, words: "ro zinit.root=LABEL=root zinit.debug",
		files: map[string]string{probeMark: "", "/etc/modules": "virtio_pci\nvirtio_blk\n", "/etc/hostname": "initramfs\n"},
	}
	first := startMachine(t, spec)
	seen := probed(first.expect("zinit> "))
	for name, want := range map[string]string{"mount /": "ext4 rw,noatime", "host disk": "", "exe /sbin/init": "", "mount /run": "tmpfs"} {
		if got, found := seen[name]; !found || !strings.HasPrefix(got, want) {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	first.typeLine("reboot")
	first.expect("reboot: Restarting system")
	first.waitEnd()
	if !cleanlyUnmounted(t, root) {
		t.Error("the root file system was not made read-only")
	}
	second := startMachine(t, spec)
	second.expect("boot: load the random seed from /var/lib/misc/random-seed\n")
	second.expect("zinit> ")
}

func TestMachineTakesItselfAlongToARootFileSystemWithoutInit(t *testing.T) {
	t.Parallel()
	root := machineDisk(t, "root", map[string]string{probeMark: "", "/etc/hostname": "disk\n"}, nil)
	m := startMachine(t, machineSpec{
		init: probeBinary(t), modules: []string{"virtio_pci", "virtio_blk"}, disks: []string{root}, words: "zinit.root=/dev/vda",
		files: map[string]string{probeMark: "", "/etc/modules": "virtio_pci\nvirtio_blk\n"},
	})
	seen := probed(m.expect("zinit> "))
	if got := seen["exe /init"]; got != "(deleted)" || !strings.HasPrefix(seen["mount /"], "ext4 rw") {
		t.Errorf("exe /init %q, mount / %q", got, seen["mount /"])
	}
}

// TestMachineInAnEmergencyHasAShell: without its root file system, and with one that cannot be mended; one that was mended while it is in use ends in a reboot.
func TestMachineInAnEmergencyHasAShell(t *testing.T) {
	t.Parallel()
	busybox := "/bin/busybox"
	if f, err := elf.Open(busybox); err != nil || slices.ContainsFunc(f.Progs, func(p *elf.Prog) bool { return p.Type == elf.PT_INTERP }) {
		skip(t, "no static busybox here (apt-get install busybox-static)")
	}
	m := startMachine(t, machineSpec{
		init: zinitBinary(t), words: "zinit.root=/dev/nothing", modules: []string{"virtio_pci", "virtio_blk"}, disks: []string{machineDisk(t, "root", nil, nil)},
		files: map[string]string{"/etc/modules": "virtio_pci\nvirtio_blk\n"}, copies: map[string]string{"/bin/busybox": busybox}, links: map[string]string{"/bin/sh": "busybox", "/bin/ln": "busybox", "/bin/rm": "busybox"},
		scripts: map[string]string{"/sbin/fsck.ext4": "#!/bin/busybox sh\necho >>/asked\n[ $(busybox wc -l </asked) = 3 ] && exit 2\nexit 8\n"},
	})
	m.expect("zinit: emergency: cannot go over to the root file system on /dev/nothing: there is no /dev/nothing")
	m.expect("to try again\n")
	m.typeLine("exec 3</dev/tty && echo terminal-$((40+2))")
	if text := m.expect("terminal-42"); strings.Contains(text, "job control turned off") {
		t.Errorf("the shell has no job control:\n%s", text)
	}
	m.typeLine("ln -s vda /dev/nothing; exit")
	m.expect("zinit: emergency: cannot go over to the root file system on /dev/nothing: fsck.ext4 /dev/nothing: exit code 8; mend it by hand")
	m.typeLine("rm /bin/sh; exit")
	m.expect("exit code 8")
	m.expect("zinit> ")
	m.typeLine("retry")
	m.expect("the file system was mended, and the machine must be rebooted")
	m.expect("reboot: Restarting system")
	m.waitEnd()
}

// staticBusybox is a shell and tools for a machine that has nothing else.
func staticBusybox(t testing.TB) string {
	t.Helper()
	busybox := "/bin/busybox"
	if f, err := elf.Open(busybox); err != nil || slices.ContainsFunc(f.Progs, func(p *elf.Prog) bool { return p.Type == elf.PT_INTERP }) {
		skip(t, "no static busybox here (apt-get install busybox-static)")
	}
	return busybox
}

// consoleShell is a service that gives a shell on the serial console to whoever sits there.
const consoleShell = `[service]
exec = ["/bin/sh", "-c", "exec sh -i </dev/ttyS0 >/dev/ttyS0 2>&1"]
env = { PS1 = "box> ", PATH = "/bin" }
`

// shellMachine is a machine with the real program, a shell on its console and a service that stays.
func shellMachine(t *testing.T, spec machineSpec) *machine {
	kind := machineKinds[cmp.Or(spec.arch, "amd64")]
	if spec.arch == "" {
		spec.copies = map[string]string{"/bin/busybox": staticBusybox(t), "/bin/actor": actorBinary(t)}
		spec.init = cmp.Or(spec.init, zinitBinary(t))
	} else {
		needs(t, kind.qemu)
		spec.copies = map[string]string{"/bin/busybox": kind.kernel(t).busybox, "/bin/actor": foreignBinary(t, spec.arch, "actor", "./testdata/actor")}
		spec.init = foreignBinary(t, spec.arch, "zinit", ".")
	}
	spec.links = map[string]string{"/bin/zinit": "/init", "/bin/poweroff": "/init"}
	for _, name := range []string{"sh", "setsid", "kill", "cat", "cp", "mv", "echo", "logger", "pidof", "grep", "sleep", "ps", "env", "ls"} {
		spec.links["/bin/"+name] = "busybox"
	}
	if spec.files == nil {
		spec.files = map[string]string{}
	}
	spec.files["/etc/zinit/services/console.toml"] = strings.ReplaceAll(consoleShell, "ttyS0", kind.console)
	spec.files["/etc/zinit/services/web.toml"] = "[service]\nexec = [\"/bin/actor\", \"block\"]\n"
	return startMachine(t, spec)
}

// does types a command into the shell and waits for what it must print.
func (m *machine) does(command, want string) {
	m.t.Helper()
	m.expect("box> ")
	m.typeLine(command)
	m.expect(want) // which the command as it is echoed does not have
}

// TestMachineOfOneFile: an initramfs with nothing but the program and its configuration, as in docs/machine.md.
func TestMachineOfOneFile(t *testing.T) {
	t.Parallel()
	m := startMachine(t, machineSpec{init: zinitBinary(t), words: "zinit.debug", links: map[string]string{"/bin/zinit": "/init"}, files: map[string]string{
		"/etc/zinit/services/events.toml": "[service]\nexec = [\"/bin/zinit\", \"monitor\"]\n[logging]\nconsole = true\n",
		"/etc/zinit/services/bye.toml":    "[service]\nexec = [\"/bin/zinit\", \"poweroff\"]\noneshot = true\n[dependencies]\nrequires = [\"events\"]\n",
	}})
	for _, text := range []string{"boot: bring up the network interface lo", "events is running", "bye has exited", "events has exited", "all services are stopped", "zinit: info: poweroff", "reboot: Power down"} {
		m.expect(text)
	}
	m.waitEnd()
	says(t, m.text(), "is listening on /run/zinit.sock") // before or after the first services
	if strings.Contains(m.text(), "is busy") {
		t.Error("what we hold ourselves kept a file system from being unmounted")
	}
}

// TestMachineLives: services run, the console answers, the server may be killed and everything be replaced, /dev/log is heard, and it reboots.
func TestMachineLives(t *testing.T) {
	t.Parallel()
	m := shellMachine(t, machineSpec{})
	m.does("zinit start web --wait; web=$(zinit status web --json | grep -o '\"pid\":[0-9]*'); echo first $web", "first \"pid\":")
	m.does("echo mode $(zinit call system.ping | grep -c system)", "mode 1")
	m.does("kill -9 $(pidof zinit); zinit wait web; echo second $(zinit status web --json | grep -c $web,)", "second 1")
	m.expect("box> ")
	m.typeLine("cp /init /init.new; mv /init.new /init; echo upgrade $(zinit upgrade | grep -c version)")
	if gone := "PID 1 is version " + version + " now"; !strings.Contains(m.expect("upgrade 1"), gone) { // PID 1 and the command end in either order
		m.expect(gone)
	}
	m.typeLine("")
	m.does("zinit wait web; echo third $(zinit status web --json | grep -c $web,)", "third 1")
	m.does("logger from-the-console; sleep 1; echo heard $(zinit logs console syslog | grep -c from-the-console)", "heard 1")
	m.does("kill -SEGV 1; kill -ABRT 1; kill -USR1 1; sleep 1; zinit wait web; echo fourth $(zinit status web --json | grep -c $web,)", "fourth 1")
	m.expect("box> ")
	m.typeLine("kill -INT 1") // as Ctrl-Alt-Del does
	m.expect("all services are stopped")
	m.expect("reboot: Restarting system")
	m.waitEnd()
}

// TestMachineObeysTheKernelCommandLine: services of another directory, one target of them, and the emergency first.
func TestMachineObeysTheKernelCommandLine(t *testing.T) {
	t.Parallel()
	m := startMachine(t, machineSpec{init: zinitBinary(t), words: "loglevel=3 zinit.emergency zinit.config=/srv zinit.target=bye", links: map[string]string{"/bin/zinit": "/init"}, files: map[string]string{
		"/srv/needed.toml":              "[service]\nexec = [\"/bin/zinit\", \"monitor\"]\n",
		"/srv/bye.toml":                 "[service]\nexec = [\"/bin/zinit\", \"reboot\"]\noneshot = true\nstatus = \"stop\"\n[dependencies]\nrequires = [\"needed\"]\n",
		"/srv/other.toml":               "[service]\nexec = [\"/bin/zinit\", \"monitor\"]\n",
		"/etc/zinit/services/late.toml": "[service]\nexec = [\"/bin/zinit\", \"monitor\"]\n",
	}})
	m.expect("zinit: emergency: asked for on the kernel command line")
	m.expect("zinit> ")
	m.typeLine("show /srv")
	m.expect("bye.toml\nneeded.toml\nother.toml\n")
	m.expect("zinit> ")
	m.typeLine("retry")
	before := m.expect("reboot: Restarting system")
	m.waitEnd()
	if strings.Contains(before, "other is running") || strings.Contains(before, "late is running") || !strings.Contains(before, "needed is running") {
		t.Errorf("not what zinit.target asked for:\n%s", before)
	}
}

// TestMachineWithABrokenConfiguration ends in the emergency, and goes on when that is left.
func TestMachineWithABrokenConfiguration(t *testing.T) {
	t.Parallel()
	m := startMachine(t, machineSpec{init: zinitBinary(t), links: map[string]string{"/bin/zinit": "/init"}, files: map[string]string{"/etc/zinit/services/web.toml": "[service]\nexe = \"/bin/true\"\n"}})
	m.expect("web.toml:2:1: unknown key `exe`")
	m.expect("zinit: emergency: nothing could be loaded from /etc/zinit/services")
	m.expect("zinit> ")
	m.typeLine("check")
	m.expect("unknown key")
	m.expect("zinit> ")
	m.typeLine("list")
	m.expect("zinit> ")
	m.typeLine("create late -- /bin/zinit monitor")
	m.expect("late is added")
	m.expect("zinit> ")
	m.typeLine("is-running late")
	m.expect("late is running")
	m.expect("zinit> ")
	m.typeLine("poweroff")
	m.expect("reboot: Power down")
	m.waitEnd()
}

// TestMachineLosesACriticalService: its end for good is an emergency; what else runs goes on.
func TestMachineLosesACriticalService(t *testing.T) {
	t.Parallel()
	m := startMachine(t, machineSpec{init: zinitBinary(t), links: map[string]string{"/bin/zinit": "/init"}, copies: map[string]string{"/bin/actor": actorBinary(t)}, files: map[string]string{
		"/etc/zinit/services/web.toml":  "[service]\nexec = [\"/bin/actor\", \"block\"]\n",
		"/etc/zinit/services/main.toml": "[service]\nexec = [\"/bin/actor\", \"exit=3\"]\ncritical = true\n[lifecycle]\nrestart = \"never\"\n",
	}})
	m.expect("zinit: emergency: the critical service main: ")
	m.expect("zinit> ")
	m.typeLine("is-running web")
	m.expect("web is running")
	m.expect("zinit> ")
	m.typeLine("halt")
	m.expect("all services are stopped")
	m.expect("reboot: System halted")
}

// TestMachineWithItsServicesOnADisk goes from an initramfs to a root file system with the real program on it, and back down: cleanly, with a seed for the next boot.
// A program of PID 1 that was replaced meanwhile does not keep it busy. The watchdog is fed as long as the server answers, and no longer.
func TestMachineWithItsServicesOnADisk(t *testing.T) {
	t.Parallel()
	busybox := staticBusybox(t)
	root := machineDisk(t, "root", map[string]string{
		"/etc/hostname": "disk\n", "/etc/fstab": "LABEL=root / ext4 rw,noatime 0 1\n", "/dev/.keep": "", "/proc/.keep": "", "/sys/.keep": "", "/run/.keep": "", "/tmp/.keep": "",
		"/etc/zinit/services/console.toml": consoleShell, "/var/log/wtmp": "",
	}, map[string]string{"/sbin/init": zinitBinary(t), "/bin/zinit": zinitBinary(t), "/bin/sh": busybox, "/bin/setsid": busybox, "/bin/cat": busybox, "/bin/kill": busybox, "/bin/pidof": busybox, "/bin/cp": busybox, "/bin/mv": busybox})
	spec := machineSpec{
		init: zinitBinary(t), modules: []string{"virtio_pci", "virtio_blk", "softdog"}, disks: []string{root}, words: "ro zinit.root=LABEL=root zinit.debug zinit.watchdog=/dev/watchdog",
		files: map[string]string{"/etc/modules": "virtio_pci\nvirtio_blk\nsoftdog soft_margin=8\n", "/etc/hostname": "initramfs\n"},
	}
	first := startMachine(t, spec)
	first.does("echo host-$(cat /proc/sys/kernel/hostname)", "host-disk")
	first.does("cp /sbin/init /sbin/n && mv /sbin/n /sbin/init && zinit poweroff", "") // as a package manager does it
	if before := first.expect("reboot: Power down"); strings.Contains(before, "cannot make / read-only") || !strings.Contains(before, "zinit: info: poweroff") {
		t.Error("the root file system was not made read-only")
	}
	first.waitEnd()
	isClean(t, root)
	if wtmp, err := exec.Command("debugfs", "-R", "cat /var/log/wtmp", root).Output(); err != nil || !strings.Contains(string(wtmp), "reboot\x00") || !strings.Contains(string(wtmp), "shutdown\x00") {
		t.Errorf("wtmp: %v, %q", err, wtmp)
	}
	second := startMachine(t, spec)
	second.expect("boot: load the random seed from /var/lib/misc/random-seed\n")
	// A server that hangs is replaced. When all of them hang there is no sign of life, and the machine is reset.
	second.does("while :; do kill -STOP $(pidof zinit); done", "")
	second.expect("the server (pid ")
	second.expect("softdog: Initiating system reboot")
	second.waitEnd()
}

// TestMachineBootTime prints the time from the start of PID 1 to the last of ten services, beside busybox init with the same ones.
func TestMachineBootTime(t *testing.T) {
	t.Parallel()
	busybox := staticBusybox(t)
	services := map[string]string{}
	inittab := ""
	for i := range 10 {
		services[fmt.Sprintf("/etc/zinit/services/s%d.toml", i)] = "[service]\nexec = [\"/bin/actor\", \"uptime\", \"block\"]\n[logging]\nconsole = true\n"
		inittab += fmt.Sprintf("::respawn:/bin/actor uptime block %d\n", i) // of equal lines it takes one
	}
	times := map[string]int{}
	for name, spec := range map[string]machineSpec{
		"zinit":        {init: zinitBinary(t), files: services},
		"busybox init": {init: busybox, files: map[string]string{"/etc/inittab": inittab}},
	} {
		spec.copies = map[string]string{"/bin/actor": actorBinary(t)}
		spec.words = "loglevel=7"
		spec.qemu = countedClock
		m := startMachine(t, spec)
		before := m.expect("Run /init as init process")
		seconds, _ := strconv.ParseFloat(strings.TrimSpace(strings.Trim(before[strings.LastIndexByte(before, '\n')+1:], "[] \r")), 64)
		last := 0
		for range 10 {
			m.expect("uptime ")
			m.expect("\n")
			all := m.text()[:m.seen]
			n, _ := strconv.Atoi(strings.TrimSpace(all[strings.LastIndex(all, "uptime ")+7:]))
			last = max(last, n)
		}
		times[name] = last - int(seconds*1000)
		_ = m.cmd.Process.Kill()
	}
	t.Logf("from the start of PID 1 to the last of ten services: %v ms", times)
	if times["zinit"] <= 0 || times["zinit"] > 3*times["busybox init"] {
		t.Errorf("zinit takes %d ms, busybox init %d", times["zinit"], times["busybox init"])
	}
}

// TestRow40_MachineBootsWhateverTheWords: what the kernel hands on and nobody understands is no reason not to boot. In a container it is a mistake.
func TestRow40_MachineBootsWhateverTheWords(t *testing.T) {
	t.Parallel()
	needs(t, "nsenter")
	// An empty root, and a /dev in it: the boot is to touch nothing of the machine that the test runs on.
	b := startInit(t, map[string]string{"web": "[service]\nexec = [\"/actor\", \"block\"]\n"}, boxOptions{system: true, empty: true, dirs: []string{"dev"}, enter: []string{"tmpfs=dev"}, flags: []string{"single", "-b", "--bogus", "x", "--log-level", "loud"}, env: []string{"ZINIT_LOG_LEVEL=shrill"}}).up()
	b.is("running", "web")
	b.says("unknown flag or word `-b`")
	b.signal(sigTerm)
	if code := b.ends(patience); code != 0 {
		t.Errorf("exit code %d", code)
	}
	for _, flags := range [][]string{{"--bogus"}, {"--log-level", "loud"}, {"--exit-ok", "256"}, {"--rewrite", "TERM:"}, {"--cmd-wait-ms"}} {
		b := startInit(t, nil, boxOptions{flags: flags})
		if code := b.ends(patience); code != exitUsage {
			t.Errorf("%q: exit code %d", flags, code)
		}
	}
}
