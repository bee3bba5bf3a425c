//go:build linux

// boot_test.go tries the boot of a machine: its parsers by tables, its mounts in namespaces, and all of it in virtual machines.

package main

import (
	"bytes"
	"debug/elf"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// The kernel's command line.

func TestBootWords(t *testing.T) {
	for _, c := range []struct {
		line       string
		want       bootWords
		complaints string
	}{
		{"BOOT_IMAGE=/vmlinuz root=/dev/vda1 ro quiet\n", bootWords{readOnly: true}, ""},
		{"zinit.debug zinit.emergency", bootWords{debug: true, emergency: true}, ""},
		{"zinit.debug=1 zinit.debug=off", bootWords{}, ""},
		{"zinit.config=/etc/a zinit.config=/etc/b", bootWords{config: "/etc/b"}, ""},
		{`zinit.config="/etc/my services" zinit.target=web`, bootWords{config: "/etc/my services", target: "web"}, ""},
		{`"zinit.config=/etc/my services"`, bootWords{config: "/etc/my services"}, ""},
		{"zinit.root=UUID=ab-cd rootfstype=ext4 rootflags=noatime,discard ro rw", bootWords{root: "UUID=ab-cd", rootType: "ext4", rootFlags: "noatime,discard"}, ""},
		{"zinit.watchdog=/dev/watchdog init=/bin/x", bootWords{watchdog: "/dev/watchdog", init: "/bin/x"}, ""},
		{"zinit.debug -- zinit.emergency", bootWords{debug: true}, ""},
		{"zinit.targte=web", bootWords{}, "unknown word `zinit.targte`; did you mean `zinit.target`?"},
		{"zinit.qqqqqqqqqqq", bootWords{}, "unknown word `zinit.qqqqqqqqqqq`; there are zinit.debug, zinit.emergency, zinit.config, zinit.target, zinit.root, zinit.watchdog"},
		{"zinit.target=", bootWords{}, "zinit.target needs a value: zinit.target=..."},
	} {
		got, complaints := parseBootWords(c.line)
		if got != c.want || strings.Join(complaints, "\n") != c.complaints {
			t.Errorf("%q:\n got %+v %q\nwant %+v %q", c.line, got, complaints, c.want, c.complaints)
		}
	}
}

func FuzzBootWords(f *testing.F) {
	f.Add(`a=b "c d" zinit.debug --`)
	f.Fuzz(func(t *testing.T, line string) {
		w, _ := parseBootWords(line)
		if w.debug && !strings.Contains(strings.ReplaceAll(line, `"`, ""), "zinit.debug") {
			t.Fatalf("%q asks for no debug", line)
		}
		for _, word := range splitBootLine(line) {
			if strings.Contains(word, `"`) {
				t.Fatalf("a quote is left in %q of %q", word, line)
			}
		}
	})
}

// Kernel modules.

const someModulesDep = `kernel/drivers/virtio/virtio.ko:
kernel/drivers/virtio/virtio_ring.ko: kernel/drivers/virtio/virtio.ko
kernel/drivers/block/virtio_blk.ko: kernel/drivers/virtio/virtio_ring.ko kernel/drivers/virtio/virtio.ko
kernel/drivers/char/hw_random/virtio-rng.ko.xz: kernel/drivers/virtio/virtio_ring.ko
kernel/a.ko: kernel/b.ko
kernel/b.ko: kernel/a.ko
`

func TestModuleLoadOrder(t *testing.T) {
	file, needs := parseModulesDep(someModulesDep)
	table := moduleTable{file: file, needs: needs}
	for name, want := range map[string]string{
		"virtio":     "virtio",
		"virtio_blk": "virtio virtio_ring virtio_blk",
		"virtio_rng": "virtio virtio_ring virtio_rng",
		"a":          "b a",
	} {
		var got []string
		for _, f := range table.loadOrder(table.file[name]) {
			got = append(got, moduleName(f))
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%s is loaded by %v, want %s", name, got, want)
		}
	}
}

func FuzzModulesDep(f *testing.F) {
	f.Add(someModulesDep, "virtio_blk")
	f.Fuzz(func(t *testing.T, text, name string) {
		file, needs := parseModulesDep(text)
		table := moduleTable{file: file, needs: needs}
		order := table.loadOrder(file[name])
		if order[len(order)-1] != file[name] {
			t.Fatalf("%q is not loaded last: %q", name, order)
		}
		seen := map[string]bool{}
		for _, one := range order {
			if seen[one] {
				t.Fatalf("%q is loaded twice: %q", one, order)
			}
			seen[one] = true
		}
	})
}

func TestWantedModules(t *testing.T) {
	b := treeOf(t, map[string]string{
		"/etc/modules":                    "# comment\nvirtio-blk\nloop max_loop=8 max_part=3\n\n",
		"/etc/modules-load.d/b.conf":      "; another comment\nnvme\n",
		"/etc/modules-load.d/a.conf":      "loop\nvirtio_net\n",
		"/etc/modules-load.d/a.conf.save": "never\n",
		"/etc/modules-load.d/.hide.conf":  "never\n",
	})
	want := []wantedModule{{"virtio_blk", ""}, {"loop", "max_loop=8 max_part=3"}, {"virtio_net", ""}, {"nvme", ""}}
	if got := b.wantedModules(); !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestModulesThatCannotBeLoadedSayWhy(t *testing.T) {
	_, release, _ := strings.Cut(kernelName(), " ")
	b := treeOf(t, map[string]string{"/etc/modules": "nosuch\nbuiltin-one\nthere\n", "/sys/module/there/x": ""})
	if steps := b.moduleSteps(); len(steps) != 1 || !strings.Contains(steps[0].do().Error(), "depmod makes it") {
		t.Fatalf("without modules.dep: %+v", steps)
	}
	writeTree(t, b.root, map[string]string{
		"/usr/lib/modules/" + release + "/modules.dep":     "kernel/x.ko:\n",
		"/usr/lib/modules/" + release + "/modules.builtin": "kernel/builtin_one.ko\n",
	})
	steps := b.moduleSteps()
	if len(steps) != 3 || steps[2].done == "" {
		t.Fatalf("steps: %+v", steps)
	}
	if err := steps[0].do(); err == nil || !strings.Contains(err.Error(), "has none of that name") {
		t.Errorf("nosuch: %v", err)
	}
	if err := steps[1].do(); err != nil {
		t.Errorf("built in: %v", err)
	}
}

// /etc/fstab.

func TestFstab(t *testing.T) {
	lines, complaints := parseFstab(`# a comment
UUID=6a1f  /  ext4  errors=remount-ro  0  1
/dev/vdb1	/srv/my\040files	auto
tmpfs /tmp tmpfs size=10M,mode=1777

/dev/vdb2 none swap sw,pri=5 0 0
/dev/vdc1 data ext4 defaults 0 0
nonsense
`)
	want := []fsLine{
		{2, "UUID=6a1f", "/", "ext4", "errors=remount-ro"},
		{3, "/dev/vdb1", "/srv/my files", "auto", "defaults"},
		{4, "tmpfs", "/tmp", "tmpfs", "size=10M,mode=1777"},
		{6, "/dev/vdb2", "none", "swap", "sw,pri=5"},
	}
	if !slices.Equal(lines, want) {
		t.Errorf("got %+v\nwant %+v", lines, want)
	}
	if got := errors.Join(complaints...).Error(); got != "line 7: \"data\" is no absolute path\nline 8 has 1 words; it needs: device, directory, type, options" {
		t.Errorf("complaints: %s", got)
	}
}

func TestMountOptions(t *testing.T) {
	for text, want := range map[string]fsOptions{
		"defaults":                           {priority: -1},
		"ro,nosuid,noexec,nodev":             {flags: unix.MS_RDONLY | unix.MS_NOSUID | unix.MS_NOEXEC | unix.MS_NODEV, priority: -1},
		"ro,rw":                              {priority: -1},
		"users,exec":                         {flags: unix.MS_NOSUID | unix.MS_NODEV, priority: -1},
		"rbind,remount":                      {flags: unix.MS_BIND | unix.MS_REC | unix.MS_REMOUNT, priority: -1},
		"noatime,size=10%,mode=1777":         {flags: unix.MS_NOATIME, data: "size=10%,mode=1777", priority: -1},
		"relatime,strictatime,lazytime,sync": {flags: unix.MS_RELATIME | unix.MS_STRICTATIME | unix.MS_LAZYTIME | unix.MS_SYNCHRONOUS, priority: -1},
		"noauto,nofail,x-systemd.automount":  {noAuto: true, noFail: true, priority: -1},
		"_netdev,comment=hello":              {netDev: true, priority: -1},
		"pri=7,discard":                      {priority: 7, discard: true, data: "discard"},
		"pri=-3,loop=/dev/loop1":             {priority: -1, loop: true},
		"dirsync,nodiratime,silent,mand":     {flags: unix.MS_DIRSYNC | unix.MS_NODIRATIME | unix.MS_SILENT | unix.MS_MANDLOCK, priority: -1},
		"nosymfollow,bind":                   {flags: 0x100 | unix.MS_BIND, priority: -1},
	} {
		if got := mountOptions(text); got != want {
			t.Errorf("%s: got %+v, want %+v", text, got, want)
		}
	}
}

func FuzzFstab(f *testing.F) {
	f.Add("/dev/vda / ext4 ro,x=\\040 0 0\n\\ \\134\\0 a\n")
	f.Fuzz(func(t *testing.T, text string) {
		lines, complaints := parseFstab(text)
		if n := strings.Count(text, "\n") + 1; len(lines)+len(complaints) > n {
			t.Fatalf("%d lines and %d complaints from %d lines", len(lines), len(complaints), n)
		}
		for _, l := range lines {
			if l.kind != "swap" && l.target[0] != '/' {
				t.Fatalf("target %q", l.target)
			}
			_ = mountOptions(l.options)
		}
	})
}

func TestFstabSteps(t *testing.T) {
	b := treeOf(t, map[string]string{"/etc/fstab": `
/dev/vda / ext4 noatime
/dev/vdb /data ext4 noauto
host:/x /net nfs _netdev
/dev/vdc /other ext4 nofail
/dev/vdd /loop ext4 loop
/dev/vde none swap sw
`})
	var got []string
	for _, s := range b.fstabSteps() {
		got = append(got, s.what+": "+s.done)
	}
	want := []string{
		"remount / (noatime): ",
		"mount /dev/vdb on /data (ext4, noauto): noauto",
		"mount host:/x on /net (nfs, _netdev): needs the network, which services bring up",
		"mount /dev/vdc on /other (ext4, nofail): ",
		"mount /dev/vdd on /loop (ext4, loop): ",
		"swap on /dev/vde (sw): ",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	steps := b.fstabSteps()
	if !steps[3].maybe || steps[2].maybe {
		t.Error("nofail does not decide what may fail")
	}
	if err := steps[5].do(); err == nil || !strings.Contains(err.Error(), "there is no /dev/vde") {
		t.Errorf("a missing swap device: %v", err)
	}
}

func TestRootBecomesWritableUnlessTheKernelIsToldOtherwise(t *testing.T) {
	const mounted = "22 1 254:0 / / ro,relatime - ext4 /dev/root rw\n"
	b := treeOf(t, map[string]string{"/proc/self/mountinfo": mounted})
	if steps := b.fstabSteps(); len(steps) != 1 || !strings.Contains(steps[0].what, "remount / for writing") {
		t.Errorf("steps: %+v", steps)
	}
	b.words.readOnly = true
	if steps := b.fstabSteps(); len(steps) != 0 {
		t.Errorf("with ro: %+v", steps)
	}
}

// Devices by name.

func TestProbeDevice(t *testing.T) {
	image := func(parts map[int]string) *bytes.Reader {
		data := make([]byte, 0x11000)
		for at, s := range parts {
			copy(data[at:], s)
		}
		return bytes.NewReader(data)
	}
	id := "\x01\x23\x45\x67\x89\xab\xcd\xef\x01\x23\x45\x67\x89\xab\xcd\xef"
	const uuid = "01234567-89ab-cdef-0123-456789abcdef"
	for _, c := range []struct {
		parts             map[int]string
		kind, uuid, label string
	}{
		{map[int]string{0x438: "\x53\xef", 0x468: id, 0x478: "data"}, "ext4", uuid, "data"},
		{map[int]string{0: "XFSB", 32: id, 108: "twelve-chars"}, "xfs", uuid, "twelve-chars"},
		{map[int]string{0x10040: "_BHRfS_M", 0x10020: id, 0x1012b: "pool"}, "btrfs", uuid, "pool"},
		{map[int]string{0x52: "FAT32   ", 0x43: "\x78\x56\x34\x12", 0x47: "EFI        "}, "vfat", "1234-5678", "EFI"},
		{map[int]string{4086: "SWAPSPACE2", 1036: id}, "swap", uuid, ""},
		{map[int]string{0: "hsqs"}, "squashfs", "", ""},
		{nil, "", "", ""},
	} {
		kind, uuid, label := probeDevice(image(c.parts))
		if kind != c.kind || uuid != c.uuid || label != c.label {
			t.Errorf("got %s %s %q, want %s %s %q", kind, uuid, label, c.kind, c.uuid, c.label)
		}
	}
	if kind, _, _ := probeDevice(strings.NewReader("short")); kind != "" {
		t.Errorf("a short device is %s", kind)
	}
}

func TestDeviceIsFoundByItsContent(t *testing.T) {
	swap := make([]byte, 8192)
	copy(swap[4086:], "SWAPSPACE2")
	copy(swap[1036:], "0123456789abcdef")
	copy(swap[1052:], "more")
	b := treeOf(t, map[string]string{"/sys/class/block/vda/size": "0\n", "/sys/class/block/vdb/size": "16\n", "/dev/vda": "", "/dev/vdb": string(swap)})
	for source, want := range map[string]string{
		"LABEL=more": "/dev/vdb",
		"UUID=30313233-3435-3637-3839-616263646566":   "/dev/vdb",
		`UUID="30313233-3435-3637-3839-616263646566"`: "/dev/vdb",
		"/dev/vda": "/dev/vda",
	} {
		if got, err := b.device(source, time.Time{}); err != nil || got != b.path(want) {
			t.Errorf("%s is %s, %v; want %s", source, got, err, want)
		}
	}
	if got, err := b.device("tmpfs", time.Time{}); err != nil || got != "tmpfs" {
		t.Errorf("tmpfs is %s, %v", got, err)
	}
	if _, err := b.device("UUID=none", time.Time{}); err == nil || err.Error() != "there is no UUID=none; is the module of its driver in /etc/modules?" {
		t.Errorf("no device: %v", err)
	}
}

func TestDeviceIsWaitedFor(t *testing.T) {
	b := treeOf(t, map[string]string{"/dev/x": ""})
	found := make(chan error)
	go func() {
		_, err := b.device("/dev/late", time.Now().Add(patience))
		found <- err
	}()
	writeTree(t, b.root, map[string]string{"/dev/late": ""})
	if err := <-found; err != nil {
		t.Error(err)
	}
}

// sysctl.

func TestSysctl(t *testing.T) {
	settings, complaints := parseSysctl(`# comment
; comment
kernel.sysrq = 0
-net.ipv4.tcp_x=1
net/ipv4/conf/eth0.100/rp_filter = 2
kernel.domainname = a b = c
-net.ipv4.conf.lo.rp_filter
nonsense
../../etc/passwd = x
`)
	want := []sysctlLine{
		{3, "kernel.sysrq", "0", false}, {4, "net.ipv4.tcp_x", "1", true},
		{5, "net/ipv4/conf/eth0.100/rp_filter", "2", false}, {6, "kernel.domainname", "a b = c", false},
	}
	if !slices.Equal(settings, want) {
		t.Errorf("got %+v\nwant %+v", settings, want)
	}
	if got := errors.Join(complaints...).Error(); got != "line 8: \"nonsense\" is not KEY = VALUE\nline 9: \"../../etc/passwd = x\" is not KEY = VALUE" {
		t.Errorf("complaints: %s", got)
	}
	for key, want := range map[string]string{
		"net.ipv4.ip_forward": "net/ipv4/ip_forward", "net/ipv4/conf/eth0.1/x": "net/ipv4/conf/eth0.1/x",
		"net.ipv4.conf.eth0/1.x": "net/ipv4/conf/eth0.1/x", "a": "a", "": "", "/a": "", "a..b": "",
	} {
		if got := sysctlPath(key); got != want {
			t.Errorf("%s is %s, want %s", key, got, want)
		}
	}
}

func FuzzSysctl(f *testing.F) {
	f.Add("a.b = c\n-x/../y = 1\n")
	f.Fuzz(func(t *testing.T, text string) {
		settings, _ := parseSysctl(text)
		for _, s := range settings {
			if p := sysctlPath(s.key); !filepath.IsLocal(p) {
				t.Fatalf("key %q leads to %q", s.key, p)
			}
		}
	})
}

func TestSysctlWritesWhatItsPatternsMean(t *testing.T) {
	b := treeOf(t, map[string]string{
		"/etc/sysctl.d/10-a.conf":             "net.ipv4.conf.*.rp_filter = 1\nkernel.no.such = 1\n-kernel.no.such = 1\n",
		"/etc/sysctl.conf":                    "kernel.panic = 7\nbad line\n",
		"/proc/sys/net/ipv4/conf/a/rp_filter": "0", "/proc/sys/net/ipv4/conf/b/rp_filter": "0", "/proc/sys/kernel/panic": "0",
	})
	steps := b.sysctlSteps()
	var errs []string
	for _, s := range steps {
		if err := s.do(); err != nil && !s.maybe {
			errs = append(errs, s.what+": "+err.Error())
		}
	}
	for _, name := range []string{"net/ipv4/conf/a/rp_filter", "net/ipv4/conf/b/rp_filter", "kernel/panic"} {
		want := "1"
		if name == "kernel/panic" {
			want = "7"
		}
		if got, _ := b.read("/proc/sys/" + name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	want := []string{
		"set kernel.no.such = 1 (/etc/sysctl.d/10-a.conf:2): this kernel has no such setting; does it come with a module?",
		"read all of /etc/sysctl.conf: line 2: \"bad line\" is not KEY = VALUE",
	}
	if !slices.Equal(errs, want) {
		t.Errorf("errors: %q", errs)
	}
}

// The table.

func TestBootTableAsPrinted(t *testing.T) {
	b := treeOf(t, map[string]string{
		"/etc/hostname": "# the name\nbox\n", "/proc/cmdline": "quiet zinit.target=web zinit.dbug",
		"/etc/fstab": "tmpfs /tmp tmpfs size=1M\n", "/etc/sysctl.conf": "kernel.panic=5\n", "/var/lib/misc/random-seed": "x",
	})
	var out bytes.Buffer
	b.print(&out)
	for _, want := range []string{
		"file systems of the kernel:\n  mount proc on /proc (nosuid,noexec,nodev)\n  mount sysfs on /sys (nosuid,noexec,nodev)\n  mount devtmpfs on /dev (nosuid,mode=0755)\n",
		"  mount devpts on /dev/pts (nosuid,noexec,gid=5,mode=620,ptmxmode=666)\n",
		"  mount tmpfs on /tmp (nosuid,nodev,mode=1777): /etc/fstab has one of its own\n",
		"  mount cgroup2 on /sys/fs/cgroup (nosuid,noexec,nodev,nsdelegate)\n  make links in /dev: /dev/fd /dev/stdin",
		"\nkernel command line:\n  zinit.target=web: noted\n  obey the kernel's command line\n",
		"\nhost name:\n  set the host name to box\n",
		"\nloopback:\n  bring up the network interface lo\n/etc/fstab:\n  mount tmpfs on /tmp (tmpfs, size=1M)\n",
		"\nsysctl:\n  set kernel.panic = 5 (/etc/sysctl.conf:1)\n",
		"\nCtrl-Alt-Del:\n  have Ctrl-Alt-Del sent to PID 1 as SIGINT\nrandom seed:\n  load the random seed from /var/lib/misc/random-seed\n",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("missing:\n%s\nin:\n%s", want, out.String())
		}
	}
	if entries, _ := os.ReadDir(b.path("/run")); entries != nil {
		t.Error("printing has done something")
	}
}

func TestStepsThatFailAreSkippedAndVitalOnesEndTheBoot(t *testing.T) {
	var did []string
	step := func(name string, err error, vital bool) bootStep {
		return bootStep{what: name, vital: vital, do: func() error { did = append(did, name); return err }}
	}
	bad := errors.New("bad")
	err := runSteps([]bootStep{
		step("a", bad, false), {what: "panics", do: func() error { panic("oh") }}, {what: "b", done: "was done"},
		step("c", nil, true), {what: "m", maybe: true, do: func() error { return bad }}, step("d", bad, true), step("e", nil, false),
	})
	if err == nil || err.Error() != "cannot d: bad" || strings.Join(did, " ") != "a c d" {
		t.Errorf("did %v, error %v", did, err)
	}
}

// What is unmounted.

func TestUnmountOrder(t *testing.T) {
	mounts := parseMountinfo(`22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/root rw
23 22 0:21 / /proc rw - proc proc rw
24 22 0:22 / /sys rw - sysfs sysfs rw
25 24 0:23 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw
26 22 0:24 / /dev rw - devtmpfs dev rw
27 22 254:1 / /srv/my\040data rw,noatime - ext4 /dev/vdb rw,errors=remount-ro
28 27 0:25 / /srv/my\040data/cache rw - tmpfs tmpfs rw
29 22 0:26 / /run rw - tmpfs run rw
broken line
`)
	if want := []string{"/run", "/srv/my data/cache", "/srv/my data"}; !slices.Equal(newBoot("/").toUnmount(mounts), want) {
		t.Errorf("got %q, want %q", newBoot("/").toUnmount(mounts), want)
	}
	if want := (mountEntry{"/dev/vdb", "/srv/my data", "ext4", "rw,noatime,rw,errors=remount-ro"}); mounts[5] != want {
		t.Errorf("got %+v", mounts[5])
	}
}

func TestPowerOffReturnsWhereTheMachineIsNotOurs(t *testing.T) {
	machineDown("poweroff", nil) // this process is not PID 1
	if onMachine() {
		t.Error("the test believes to be PID 1 of a machine")
	}
}

func TestBoundedGivesUp(t *testing.T) {
	block := make(chan struct{})
	defer close(block)
	if bounded("wait for ever", time.Millisecond, func() { <-block }) || !bounded("panic", time.Minute, func() { panic("oh") }) {
		t.Error("bounded does not tell what was done in time from what was not")
	}
}

// The emergency.

// emergencyTree has a console that is a terminal of the test.
func emergencyTree(t *testing.T) (*emergencyRoom, *os.File) {
	t.Helper()
	master, slave := openPTY(t)
	b := treeOf(t, map[string]string{"/dev/x": ""})
	if err := os.Symlink(slave.Name(), b.path("/dev/console")); err != nil {
		t.Fatal(err)
	}
	e := newEmergencyRoom(waitUntilEnd)
	e.root = b.root
	return e, master
}

// typeAndRead opens the room, types when it is asked to, and gives what was printed until the room was left.
func typeAndRead(t *testing.T, e *emergencyRoom, master *os.File, prompt, keys string) (printed, wish string) {
	t.Helper()
	done := make(chan string, 1)
	go func() { done <- e.open("web is failed \x1b[2J") }()
	buf := make([]byte, 4096)
	for !strings.Contains(printed, prompt) {
		n, err := master.Read(buf)
		if err != nil {
			t.Fatal(err)
		}
		printed += string(buf[:n])
	}
	if _, err := io.WriteString(master, keys); err != nil {
		t.Fatal(err)
	}
	wish = <-done
	for { // what is left in the terminal; it was not closed: the test holds its other end
		if n, _ := unix.Poll([]unix.PollFd{{Fd: int32(master.Fd()), Events: unix.POLLIN}}, 0); n == 0 {
			return printed, wish
		}
		n, err := master.Read(buf)
		if err != nil {
			return printed, wish
		}
		printed += string(buf[:n])
	}
}

func TestEmergencyGivesAShellWithJobControl(t *testing.T) {
	e, master := emergencyTree(t)
	if err := os.MkdirAll(filepath.Join(e.root, "bin"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/bin/sh", filepath.Join(e.root, "bin/sh")); err != nil {
		t.Fatal(err)
	}
	e.sleep = func(time.Duration) {}
	printed, wish := typeAndRead(t, e, master, "to try again", "exec 3</dev/tty && echo terminal-$((40+2)); exit\n")
	if wish != "" || !strings.Contains(printed, "terminal-42") || !strings.Contains(printed, `emergency: web is failed ^[[2J`) {
		t.Errorf("wish %q, printed:\n%s", wish, printed)
	}
}

func TestRow41_EmergencyWithoutAShellIsALineLoop(t *testing.T) {
	e, master := emergencyTree(t)
	consoleProgram = func() string { return "/bin/echo" }
	defer func() { consoleProgram = ownProgram }()
	writeTree(t, e.root, map[string]string{"/etc/motd": "look \x1b[31m here\n"})
	keys := "nonsense\nshow " + e.root + "/etc\nshow " + e.root + "/etc/motd\nshow /no/such\nreboot\n"
	printed, wish := typeAndRead(t, e, master, "zinit> ", keys)
	if wish != "reboot" {
		t.Errorf("wish %q", wish)
	}
	for _, want := range []string{"nonsense\r", "motd\r", "look ^[[31m here", "no such file"} {
		if !strings.Contains(printed, want) {
			t.Errorf("missing %q in:\n%s", want, printed)
		}
	}
}

func TestRow41_EmergencyThatEndsAtOnceIsSlowedDown(t *testing.T) {
	e, _ := emergencyTree(t)
	var pauses []time.Duration
	e.sleep = func(d time.Duration) { pauses = append(pauses, d) }
	writeTree(t, e.root, map[string]string{"/bin/sh": ""})
	e.run = func(func() (int, error)) error { return nil }
	for range 7 {
		if wish := e.open("x"); wish != "" {
			t.Fatalf("wish %q", wish)
		}
	}
	if err := os.Remove(filepath.Join(e.root, "/dev/console")); err != nil {
		t.Fatal(err)
	}
	e.open("without a console") // row 17: nothing worse than a pause
	if got := fmt.Sprint(pauses); got != "[1s 2s 4s 8s 16s 30s 30s 30s]" {
		t.Errorf("pauses %s", got)
	}
}

// The watchdog.

func TestWatchdogIsFedAndStopped(t *testing.T) {
	name := filepath.Join(t.TempDir(), "watchdog")
	if err := os.WriteFile(name, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	dog, err := openWatchdog(name, 60)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(dog.feed(), dog.feed()); err != nil {
		t.Fatal(err)
	}
	dog.close()
	if data, _ := os.ReadFile(name); string(data) != "11V" || dog.every != 2*time.Second {
		t.Errorf("wrote %q, every %v", data, dog.every)
	}
	var none *watchdog
	if none.feed() != nil {
		t.Error("no watchdog cannot be fed")
	}
	none.close()
	if _, err := openWatchdog(name+".none", 60); err == nil {
		t.Error("a missing device opens")
	}
}

// Real mounts, in namespaces of their own.

// treeOf makes a tree of files for a boot.
func treeOf(t *testing.T, files map[string]string) *boot {
	t.Helper()
	b := newBoot(os.Getenv("ZINIT_TEST_TREE"))
	if b.root == "" {
		b.root = t.TempDir()
	}
	// What is mounted below must go before the directory is deleted: a devtmpfs is one for all namespaces, and its nodes would go for everybody.
	t.Cleanup(func() {
		for _, m := range slices.Backward(newBoot("/").mounts()) {
			if strings.HasPrefix(m.target, b.root+"/") {
				if err := unix.Unmount(m.target, unix.MNT_DETACH); err != nil {
					panic("still mounted: " + m.target)
				}
			}
		}
	})
	writeTree(t, b.root, files)
	return b
}

func writeTree(t *testing.T, root string, files map[string]string) {
	t.Helper()
	for name, content := range files {
		p := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(p, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// inNamespaces says whether this process has user, mount, pid, network, cgroup and host name namespaces of its own, with private mounts.
// If not it runs the test again in a process that has. The user namespace keeps it from everything that is shared with this machine:
// devtmpfs is one for all, and so are the flags of a mounted disk. The tree is made and deleted outside, where no mount of the test is
// ever seen: what deletes it must not get into the file systems that are mounted there.
func inNamespaces(t *testing.T) bool {
	t.Helper()
	if os.Getenv("ZINIT_TEST_NAMESPACES") == t.Name() {
		if uids, _ := os.ReadFile("/proc/self/uid_map"); os.Getpid() != 1 || strings.Contains(string(uids), "4294967295") {
			t.Fatal("this is no namespace of the test")
		}
		if err := unix.Mount("", "/", "", unix.MS_PRIVATE|unix.MS_REC, ""); err != nil {
			t.Fatal(err)
		}
		return true
	}
	if os.Geteuid() != 0 {
		skip(t, "only root can map the groups that devices belong to")
	}
	cmd := exec.Command("/proc/self/exe", "-test.run=^"+t.Name()+"$", "-test.v")
	cmd.Env = append(os.Environ(), "ZINIT_TEST_NAMESPACES="+t.Name(), "ZINIT_TEST_TREE="+t.TempDir())
	ids := []syscall.SysProcIDMap{{ContainerID: 0, HostID: 0, Size: 65536}}
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  unix.CLONE_NEWUSER | unix.CLONE_NEWNS | unix.CLONE_NEWPID | unix.CLONE_NEWNET | unix.CLONE_NEWUTS | unix.CLONE_NEWCGROUP,
		UidMappings: ids, GidMappings: ids, GidMappingsEnableSetgroups: true,
	}
	out, err := cmd.CombinedOutput()
	switch {
	case errors.Is(err, unix.EPERM) || errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EINVAL):
		skip(t, "namespaces are not allowed here")
	case err != nil:
		t.Fatalf("in namespaces: %v\n%s", err, out)
	}
	return false
}

func TestBootInNamespaces(t *testing.T) {
	if !inNamespaces(t) {
		return
	}
	b := treeOf(t, map[string]string{
		"/etc/hostname":        "box\n",
		"/etc/fstab":           "tmpfs /tmp tmpfs size=1M,nosuid\ntmpfs /data tmpfs ro,mode=0700\n/data /again none bind,ro\ntmpfs /dev/shm tmpfs size=2M\n",
		"/etc/sysctl.d/a.conf": "net.ipv4.conf.lo.rp_filter = 2\n",
	})
	if err := b.run(); err != nil {
		t.Fatal(err)
	}
	for target, want := range map[string]string{
		"/proc": "proc nosuid nodev noexec", "/sys": "sysfs nosuid nodev noexec", "/dev": "tmpfs nosuid mode=755", "/dev/pts": "devpts nosuid noexec gid=5",
		"/dev/shm": "tmpfs size=2048k", "/run": "tmpfs nosuid nodev mode=755", "/tmp": "tmpfs nosuid size=1024k",
		"/sys/fs/cgroup": "cgroup2 nosuid nodev noexec", "/data": "tmpfs ro", "/again": "tmpfs ro",
	} {
		checkMount(t, b.path(target), want)
	}
	if name, _ := os.Hostname(); name != "box" {
		t.Errorf("the host name is %s", name)
	}
	if flags, _ := os.ReadFile(b.path("/sys/class/net/lo/flags")); strings.TrimSpace(string(flags)) != "0x9" { // IFF_UP, IFF_LOOPBACK
		t.Errorf("lo has flags %s", flags)
	}
	if got, _ := b.read("/proc/sys/net/ipv4/conf/lo/rp_filter"); got != "2\n" {
		t.Errorf("rp_filter is %q", got)
	}
	for _, name := range []string{"/dev/fd", "/dev/stdin", "/dev/ptmx"} { // the nodes are not for a user namespace to make
		if _, err := os.Lstat(b.path(name)); err != nil {
			t.Error(err)
		}
	}
	before := len(newBoot("/").mounts())
	if err := b.run(); err != nil || len(newBoot("/").mounts()) != before {
		t.Errorf("a second run mounts again: %v", err)
	}
}

// checkMount looks for a mount with that type and those options.
func checkMount(t *testing.T, target, want string) {
	t.Helper()
	var got []string
	for _, m := range newBoot("/").mounts() {
		if m.target == target {
			got = append(strings.Split(m.options, ","), m.kind)
		}
	}
	for _, w := range strings.Fields(want) {
		if !slices.Contains(got, w) {
			t.Errorf("%s has %q, want %s", target, got, want)
			return
		}
	}
}

func TestUnmountAllInNamespaces(t *testing.T) {
	if !inNamespaces(t) {
		return
	}
	b := treeOf(t, nil)
	dir := b.root
	for _, step := range []error{
		unix.Mount("tmpfs", dir, "tmpfs", 0, ""), os.Mkdir(dir+"/busy", 0o755), unix.Mount("tmpfs", dir+"/busy", "tmpfs", 0, ""),
		os.Mkdir(dir+"/free", 0o755), unix.Mount("tmpfs", dir+"/free", "tmpfs", 0, ""), os.Chdir(dir + "/busy"),
	} {
		if step != nil {
			t.Fatal(step)
		}
	}
	outside := len(b.toUnmount(newBoot("/").mounts()))
	if outside != 2 {
		t.Fatalf("%d mounts below the tree, want 2", outside)
	}
	b.unmountAll(newBoot("/").mounts)
	if sysMounted(dir + "/free") {
		t.Error("what is free is still mounted")
	}
	if err := os.WriteFile("x", nil, 0o644); !errors.Is(err, unix.EROFS) {
		t.Errorf("what is busy can still be written: %v", err)
	}
	if err := os.WriteFile(dir+"/x", nil, 0o644); !errors.Is(err, unix.EROFS) {
		t.Errorf("the root can still be written: %v", err)
	}
}

func TestSwitchRootNeverDeletesOnADisk(t *testing.T) {
	if !inNamespaces(t) {
		return
	}
	old := treeOf(t, nil).root
	for _, step := range []error{
		unix.Mount("tmpfs", old, "tmpfs", 0, ""), os.MkdirAll(old+"/a/b", 0o755), os.WriteFile(old+"/a/b/c", nil, 0o644),
		os.Symlink("/etc", old+"/link"), os.Mkdir(old+"/other", 0o755), unix.Mount("tmpfs", old+"/other", "tmpfs", 0, ""),
		os.WriteFile(old+"/other/keep", nil, 0o644),
	} {
		if step != nil {
			t.Fatal(step)
		}
	}
	fd, err := unix.Open(old, unix.O_RDONLY|unix.O_DIRECTORY, 0)
	if err != nil {
		t.Fatal(err)
	}
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		t.Fatal(err)
	}
	emptyTree(fd, uint64(st.Dev))
	entries, _ := os.ReadDir(old)
	if len(entries) != 1 || entries[0].Name() != "other" {
		t.Errorf("left: %v", entries)
	}
	if _, err := os.Stat(old + "/other/keep"); err != nil {
		t.Errorf("deleted in another file system: %v", err)
	}
	if _, err := os.Stat("/etc/passwd"); err != nil {
		t.Errorf("deleted through a link: %v", err)
	}
	if sysVolatile("/proc") || !sysVolatile(old) {
		t.Error("memory and other file systems are mixed up")
	}
}

func TestRootFileSystemWithoutMountpointsThatCannotBeWritten(t *testing.T) {
	if !inNamespaces(t) {
		return
	}
	root := treeOf(t, nil).root
	for _, step := range []error{
		unix.Mount("tmpfs", root, "tmpfs", 0, ""), os.Mkdir(root+"/dev", 0o755), unix.Mount("", root, "", unix.MS_REMOUNT|unix.MS_RDONLY, ""),
	} {
		if step != nil {
			t.Fatal(step)
		}
	}
	err := makeMountpoints(root)
	if err == nil || err.Error() != "it has no directory /proc, and none can be made: read-only file system" {
		t.Errorf("got %v", err)
	}
	if err := unix.Mount("", root, "", unix.MS_REMOUNT, ""); err != nil {
		t.Fatal(err)
	}
	if err := makeMountpoints(root); err != nil {
		t.Error(err)
	}
}

func TestConsoleTakesDescriptorsThatLeadNowhere(t *testing.T) {
	_, terminal := openPTY(t)
	slave, name := int(terminal.Fd()), terminal.Name()
	null, err := unix.Open("/dev/null", unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(null)
	if !sysLeadsNowhere(null) || !sysLeadsNowhere(1<<20) || sysLeadsNowhere(slave) {
		t.Fatal("what leads nowhere is not known")
	}
	if err := sysConsole(name, []int{null}); err != nil || !logSameFile(null, slave) {
		t.Errorf("the console was not opened: %v", err)
	}
}

// --- in virtual machines ---

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
	room := newEmergencyRoom(reapUntilEnd)
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
			"/etc/fstab":           "LABEL=data /data auto noatime 0 2\n/dev/vdb none swap sw,pri=3\n/dev/nope /nope ext4 nofail\n",
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

func TestMachineInAnEmergencyHasAShell(t *testing.T) {
	t.Parallel()
	busybox := "/bin/busybox"
	if f, err := elf.Open(busybox); err != nil || slices.ContainsFunc(f.Progs, func(p *elf.Prog) bool { return p.Type == elf.PT_INTERP }) {
		skip(t, "no static busybox here (apt-get install busybox-static)")
	}
	m := startMachine(t, machineSpec{
		init: probeBinary(t), words: "zinit.root=/dev/nothing", files: map[string]string{probeMark: ""},
		copies: map[string]string{"/bin/busybox": busybox}, links: map[string]string{"/bin/sh": "busybox"},
	})
	m.expect("zinit: emergency: cannot go over to the root file system on /dev/nothing: there is no /dev/nothing")
	m.expect("to try again\n")
	m.typeLine("exec 3</dev/tty && echo terminal-$((40+2))")
	if text := m.expect("terminal-42"); strings.Contains(text, "job control turned off") {
		t.Errorf("the shell has no job control:\n%s", text)
	}
	m.typeLine("exit")
	m.expect("zinit: emergency: ")
	m.typeLine("rm /bin/sh; exit")
	m.expect("zinit> ")
	m.typeLine("halt")
	m.expect("reboot: System halted")
}

// --- the real program as /init

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
	busybox := staticBusybox(t)
	spec.copies = map[string]string{"/bin/busybox": busybox, "/bin/actor": actorBinary(t)}
	if spec.init == "" {
		spec.init = zinitBinary(t)
	}
	spec.links = map[string]string{"/bin/zinit": "/init", "/bin/poweroff": "/init"}
	for _, name := range []string{"sh", "setsid", "kill", "cat", "cp", "mv", "echo", "logger", "pidof", "grep", "sleep", "ps"} {
		spec.links["/bin/"+name] = "busybox"
	}
	if spec.files == nil {
		spec.files = map[string]string{}
	}
	spec.files["/etc/zinit/services/console.toml"] = consoleShell
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

// TestMachineOfOneFile: an initramfs with nothing but the program and its configuration, as in the README.
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
	m.does("cp /init /init.new; mv /init.new /init; echo upgrade $(zinit upgrade | grep -c version)", "upgrade 1")
	m.expect("PID 1 is version " + version + " now")
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
	m := startMachine(t, machineSpec{init: zinitBinary(t), words: "quiet zinit.emergency zinit.config=/srv zinit.target=bye", links: map[string]string{"/bin/zinit": "/init"}, files: map[string]string{
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
// The watchdog is fed as long as the server answers, and no longer.
func TestMachineWithItsServicesOnADisk(t *testing.T) {
	t.Parallel()
	busybox := staticBusybox(t)
	root := machineDisk(t, "root", map[string]string{
		"/etc/hostname": "disk\n", "/etc/fstab": "LABEL=root / ext4 rw,noatime 0 1\n", "/dev/.keep": "", "/proc/.keep": "", "/sys/.keep": "", "/run/.keep": "", "/tmp/.keep": "",
		"/etc/zinit/services/console.toml": consoleShell,
	}, map[string]string{"/sbin/init": zinitBinary(t), "/bin/zinit": zinitBinary(t), "/bin/sh": busybox, "/bin/setsid": busybox, "/bin/cat": busybox, "/bin/kill": busybox, "/bin/pidof": busybox, "/bin/hostname": busybox})
	spec := machineSpec{
		init: zinitBinary(t), modules: []string{"virtio_pci", "virtio_blk", "softdog"}, disks: []string{root}, words: "ro zinit.root=LABEL=root zinit.debug zinit.watchdog=/dev/watchdog",
		files: map[string]string{"/etc/modules": "virtio_pci\nvirtio_blk\nsoftdog soft_margin=8\n", "/etc/hostname": "initramfs\n"},
	}
	first := startMachine(t, spec)
	first.does("echo host-$(cat /proc/sys/kernel/hostname)", "host-disk")
	first.does("zinit poweroff", "")
	first.expect("reboot: Power down")
	first.waitEnd()
	if !cleanlyUnmounted(t, root) {
		t.Error("the root file system was not made read-only")
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
	rows := []struct {
		name string
		spec machineSpec
	}{
		{"zinit", machineSpec{init: zinitBinary(t), files: services}},
		{"busybox init", machineSpec{init: busybox, files: map[string]string{"/etc/inittab": inittab}}},
	}
	tooLong := func() bool { return times["zinit"] <= 0 || times["zinit"] > times["busybox init"]+5000 }
	for i := 0; i < 2*len(rows) && (i < len(rows) || tooLong()); i++ { // the host may be busy: the better of two
		row := rows[i%len(rows)]
		row.spec.copies = map[string]string{"/bin/actor": actorBinary(t)}
		row.spec.words = "loglevel=7"
		m := startMachine(t, row.spec)
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
		if took := last - int(seconds*1000); i < len(rows) || took < times[row.name] {
			times[row.name] = took
		}
		_ = m.cmd.Process.Kill()
	}
	t.Logf("from the start of PID 1 to the last of ten services: %v ms", times)
	if tooLong() {
		t.Errorf("zinit takes %d ms, busybox init %d", times["zinit"], times["busybox init"])
	}
}
