// init_arch_test.go tries the program on other architectures than this machine's: in virtual machines, and under QEMU's user emulation.

//go:build linux

package main

import (
	"fmt"
	"os/exec"
	"strings"
	"sync"
	"testing"
)

var foreignBinaries sync.Map // name-arch: *built

// foreignBinary builds, once, the package in dir for another architecture.
func foreignBinary(t testing.TB, arch, name, dir string) string {
	t.Helper()
	one, _ := foreignBinaries.LoadOrStore(name+"-"+arch, &built{})
	return one.(*built).build(t, name+"-"+arch, dir, "GOARCH="+arch)
}

// userEmulator finds QEMU's user emulation.
func userEmulator(t testing.TB, arch string) string {
	t.Helper()
	name := map[string]string{"arm64": "qemu-aarch64", "arm": "qemu-arm", "riscv64": "qemu-riscv64"}[arch]
	for _, name := range []string{name, name + "-static"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	skip(t, "no "+name+" here (apt-get install qemu-user)")
	return ""
}

// TestUserEmulation: what is built for other architectures reads files and supervises there, as far as QEMU's user emulation shows it.
func TestUserEmulation(t *testing.T) {
	t.Parallel()
	for _, arch := range []string{"arm64", "arm", "riscv64"} {
		t.Run(arch, func(t *testing.T) {
			t.Parallel()
			qemu, zinit := userEmulator(t, arch), foreignBinary(t, arch, "zinit", ".")
			for words, want := range map[string]string{"version": "zinit " + version + "\n", "check examples/services": "5 good files, 0 errors, 0 warnings\n"} {
				out, err := exec.Command(qemu, append([]string{zinit}, strings.Fields(words)...)...).CombinedOutput()
				if err != nil || string(out) != want {
					t.Errorf("zinit %s: %v: %q, want %q", words, err, out, want)
				}
			}
			s := newServer(t, map[string]string{"web": service(t, "print=hello block"), "crash": service(t, "exit=3", "[lifecycle]\nrestart = \"never\"")})
			s.prepare = func(cmd *exec.Cmd) { cmd.Path, cmd.Args = qemu, append([]string{qemu, zinit}, cmd.Args[1:]...) }
			s.run()
			s.is("running", "web")
			s.is("failed", "crash")
			if st := s.status("crash"); st.ExitCode == nil || *st.ExitCode != 3 {
				t.Errorf("crash is %+v", st)
			}
			says(t, s.ok("logs", "web"), "hello")
			s.ok("stop", "web", "--wait")
			s.is("exited", "web")
		})
	}
}

// TestRow60_UserEmulation: keeper and server under QEMU's user emulation, which refuses CLONE_PARENT, as a container for another architecture has them.
func TestRow60_UserEmulation(t *testing.T) {
	t.Parallel()
	qemu := userEmulator(t, "arm")
	if out, err := exec.Command("unshare", "-Urm", "mount", "-t", "binfmt_misc", "none", "/proc/sys/fs/binfmt_misc").CombinedOutput(); err != nil {
		skip(t, "no binfmt_misc in a user namespace (Linux 6.7): "+string(out))
	}
	// The first 20 bytes of an ELF program for ARM, 32 bits, little-endian (elf(5)), and which bits of them count.
	format := `:zinit-test:M::\x7fELF\x01\x01\x01` + strings.Repeat(`\x00`, 9) + `\x02\x00\x28\x00:` +
		strings.Repeat(`\xff`, 7) + strings.Repeat(`\x00`, 9) + `\xfe\xff\xff\xff:` + qemu + `:F`
	o := boxOptions{user: true, enter: []string{"format=" + format}, binary: foreignBinary(t, "arm", "zinit", ".")}
	withoutSiblings(t, o)
}

// TestMachineArm64 boots ten services on another architecture; they outlive the server, and the machine powers off.
func TestMachineArm64(t *testing.T) {
	t.Parallel()
	tenServices(t, machineSpec{arch: "arm64"})
}

// TestMachineArmv7In64MB: the same with 32 bits, and with less memory than any such machine has today.
func TestMachineArmv7In64MB(t *testing.T) {
	t.Parallel()
	tenServices(t, machineSpec{arch: "arm", memory: 64})
}

func tenServices(t *testing.T, spec machineSpec) {
	t.Helper()
	spec.files = map[string]string{}
	for i := range 8 { // and web, and the shell
		spec.files[fmt.Sprintf("/etc/zinit/services/s%d.toml", i)] = "[service]\nexec = [\"/bin/actor\", \"block\"]\n"
	}
	m := shellMachine(t, spec)
	m.does("running() { zinit list --json | grep -o '\"state\":\"running\"' | grep -c .; }; for i in 0 1 2 3 4 5 6 7; do zinit wait s$i; done; zinit wait web; echo ten-$(running)", "ten-10")
	m.does("web=$(zinit status web --json | grep -o '\"pid\":[0-9]*'); kill -9 $(pidof zinit); zinit wait web; echo after-$(running)-$(zinit status web --json | grep -c $web,)", "after-10-1")
	m.does("echo killed-$(grep '^oom_kill ' /proc/vmstat), $(grep MemAvailable /proc/meminfo)", "killed-oom_kill 0, ")
	t.Logf("memory: %s", strings.TrimSpace(m.expect("kB")))
	m.expect("box> ")
	m.typeLine("zinit poweroff")
	m.expect("all services are stopped")
	m.expect("reboot: Power down")
	m.waitEnd()
}
