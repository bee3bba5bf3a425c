// init_boot_test.go tries the table of the boot, in a tree of files and in namespaces.

//go:build linux

package main

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

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
		"\nkernel command line:\n  zinit.target=web: noted\n  quiet: noted\n  obey the kernel's command line\n",
		"\nhost name:\n  set the host name to box\n",
		"\nloopback:\n  bring up the network interface lo\n/etc/fstab:\n  mount tmpfs on /tmp (tmpfs, size=1M)\n",
		"\nsysctl:\n  set kernel.panic = 5 (/etc/sysctl.conf:1)\n",
		"\nCtrl-Alt-Del:\n  have Ctrl-Alt-Del sent to PID 1 as SIGINT\nrandom seed:\n  load the random seed from /var/lib/misc/random-seed\nutmp:\n  note the boot in /var/log/wtmp and /run/utmp: there is no /var/log/wtmp\n",
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

// TestBootStepsThatCannotBeWorkedOut: a panic in what reads a file is a step that failed, and an error of the boot only where it cannot go on.
func TestBootStepsThatCannotBeWorkedOut(t *testing.T) {
	b := newBoot(t.TempDir())
	broken := bootStage{name: "modules", steps: func(*boot) []bootStep { panic("as the test wants it") }}
	if err := runSteps(b.stepsOf(broken)); err != nil {
		t.Error(err)
	}
	broken.vital = true
	if err := runSteps(b.stepsOf(broken)); err == nil || !strings.Contains(err.Error(), "cannot work out what to do: modules: panic: as the test wants it") {
		t.Errorf("a vital stage: %v", err)
	}
}

// TestMachineBootsPastAPanic: a defect in one part of the boot, or in the reading of the kernel's words, is no kernel panic.
func TestMachineBootsPastAPanic(t *testing.T) {
	t.Parallel()
	needs(t, "nsenter")
	b := startInit(t, map[string]string{"web": "[service]\nexec = [\"/actor\", \"block\"]\n"}, boxOptions{system: true, empty: true, binary: probeBinary(t), panics: true,
		dirs: []string{"dev"}, enter: []string{"tmpfs=dev"}, env: []string{"ZINIT_TEST_BROKEN_BOOT=1"}})
	b.says("cannot work out what to do: broken: panic: as the test wants it")
	eventually(t, "web runs", func() bool { // it is not said where the kernel of the host has the word quiet
		return slices.ContainsFunc(b.children(), func(pid int) bool { return strings.Contains(commandLine(pid), "/actor block") })
	})
	b.signal(sigTerm)
	if code := b.ends(patience); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

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
