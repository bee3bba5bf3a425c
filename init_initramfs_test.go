// init_initramfs_test.go boots the machines of examples/initramfs: zinit alone, and with busybox.

//go:build linux

package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// exampleInitramfs has build.sh make one, as somebody who is not root could, with the modules for a network card where it is to have them.
func exampleInitramfs(t testing.TB, kind string, modules ...string) string {
	t.Helper()
	needs(t, "cpio")
	extra, file := t.TempDir(), filepath.Join(t.TempDir(), "initramfs.gz")
	put := func(name string, data []byte) {
		name = filepath.Join(extra, name)
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if len(modules) > 0 {
		kernel := machineKinds["amd64"].kernel(t)
		files, dep := kernelModules(t, kernel, modules)
		for name, data := range files {
			put("lib/modules/"+kernel.release+"/"+name, data)
		}
		put("lib/modules/"+kernel.release+"/modules.dep", []byte(dep))
		names := ""
		for _, name := range modules {
			names += name + "\n"
		}
		put("etc/modules", []byte(names))
	}
	build := exec.Command("examples/initramfs/build.sh", kind, file)
	build.Env = append(os.Environ(), "ZINIT="+zinitBinary(t), "EXTRA="+extra)
	if kind == "rescue" {
		build.Env = append(build.Env, "BUSYBOX="+staticBusybox(t))
	}
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build.sh %s: %v\n%s", kind, err, out)
	}
	if info, err := os.Stat(file); err != nil || info.Size() > 10<<20 {
		t.Errorf("the initramfs has %d bytes: %v", info.Size(), err)
	}
	return file
}

// TestMachineRescue: a shell, the tools of busybox, and the network.
func TestMachineRescue(t *testing.T) {
	t.Parallel()
	m := startMachine(t, machineSpec{initramfs: exampleInitramfs(t, "rescue", "virtio_pci", "virtio_net"),
		qemu: []string{"-netdev", "user,id=net", "-device", "virtio-net-pci,netdev=net,romfile="}})
	m.expect("~ # ")
	m.typeLine("until grep -q nameserver /etc/resolv.conf; do sleep 1; done 2>/dev/null; ip route; echo end-$((40+2))")
	m.expect("default via 10.0.2.2 dev eth0")
	m.expect("end-42")
	m.typeLine("hostname; exec 3</dev/tty && echo terminal-$((40+2)); exit")
	m.expect("rescue\n")
	m.expect("terminal-42")
	m.expect("~ # ") // the next shell
	m.typeLine("poweroff")
	m.expect("reboot: Power down")
	m.waitEnd()
}

// TestMachineBare: no file but the program and its configuration; the console has its prompt.
func TestMachineBare(t *testing.T) {
	t.Parallel()
	m := startMachine(t, machineSpec{initramfs: exampleInitramfs(t, "bare")})
	m.expect("zinit> ")
	m.typeLine("is-running console@ttyS0")
	m.expect("console@ttyS0 is running")
	m.expect("zinit> ")
	m.typeLine("poweroff")
	m.expect("reboot: Power down")
	m.waitEnd()
}

// TestInitramfsOfNoKind: a wrong word is answered with the right ones, before anything is built.
func TestInitramfsOfNoKind(t *testing.T) {
	out, err := exec.Command("examples/initramfs/build.sh", "foo", filepath.Join(shortDir(t), "x.gz")).CombinedOutput()
	if err == nil || string(out) != "examples/initramfs/build.sh: bare or rescue, not foo\n" {
		t.Errorf("%v: %s", err, out)
	}
}
