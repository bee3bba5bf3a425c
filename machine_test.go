//go:build linux

// machine_test.go boots virtual machines: QEMU, Debian's kernel for clouds, an initramfs made here, and a serial console that a test reads
// and types into. It never uses more of this machine than a directory for temporary files.

package main

import (
	"bytes"
	"debug/elf"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// machineSpec says what to boot.
type machineSpec struct {
	init    string            // file of this machine that becomes /init
	files   map[string]string // path in the initramfs: its content
	copies  map[string]string // path in the initramfs: a file of this machine, made executable
	links   map[string]string // path in the initramfs: where the symbolic link leads
	modules []string          // kernel modules, with what they need and a modules.dep
	words   string            // for the kernel's command line
	disks   []string          // raw images: /dev/vda, /dev/vdb, …
	qemu    []string          // more for QEMU
}

// machine is a running QEMU.
type machine struct {
	t     testing.TB
	cmd   *exec.Cmd
	keys  io.WriteCloser
	ended chan struct{}

	mu     sync.Mutex
	screen []byte
	seen   int // up to here expect has found what it was asked for
}

// bootLimit is how long a boot may take without hardware virtualisation on a busy machine.
const bootLimit = 3 * time.Minute

// startMachine boots what spec says. The machine is killed at the end of the test; if that failed, what it printed is shown.
func startMachine(t testing.TB, spec machineSpec) *machine {
	t.Helper()
	qemu, err := exec.LookPath("qemu-system-x86_64")
	if err != nil || runtime.GOARCH != "amd64" {
		skip(t, "no QEMU for amd64 here (apt-get install qemu-system-x86)")
	}
	kernel := machineKernel(t)
	initramfs := filepath.Join(t.TempDir(), "initramfs")
	writeInitramfs(t, initramfs, kernel, spec)
	args := []string{"-accel", "tcg", "-cpu", "max", "-m", "512", "-nic", "none", "-display", "none", "-serial", "stdio",
		"-monitor", "none", "-no-reboot", "-kernel", kernel.image, "-initrd", initramfs,
		"-append", "console=ttyS0 panic=-1 loglevel=4 " + spec.words}
	for _, d := range spec.disks {
		args = append(args, "-drive", "if=virtio,format=raw,cache=unsafe,file="+d)
	}
	m := &machine{t: t, cmd: exec.Command(qemu, append(args, spec.qemu...)...), ended: make(chan struct{})}
	m.keys, err = m.cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	m.cmd.Stdout, m.cmd.Stderr = m, m
	oneMachine.Lock()
	if err := m.cmd.Start(); err != nil {
		oneMachine.Unlock()
		t.Fatal(err)
	}
	go func() {
		_ = m.cmd.Wait()
		oneMachine.Unlock()
		close(m.ended)
	}()
	t.Cleanup(func() {
		_ = m.cmd.Process.Kill()
		<-m.ended
		if t.Failed() {
			t.Logf("the console of the machine:\n%s", m.text())
		}
	})
	return m
}

// Write takes what the machine prints.
func (m *machine) Write(p []byte) (int, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.screen = append(m.screen, p...)
	return len(p), nil
}

// text is all that the machine has printed, with plain newlines.
func (m *machine) text() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return strings.ReplaceAll(string(m.screen), "\r", "")
}

// expect waits for a text behind the one that was expected last, and gives what stands between them.
func (m *machine) expect(text string) (before string) {
	m.t.Helper()
	find := func() bool {
		all := m.text()
		i := strings.Index(all[m.seen:], text)
		if i < 0 {
			return false
		}
		before = all[m.seen : m.seen+i]
		m.seen += i + len(text)
		return true
	}
	within(m.t, bootLimit, "the machine prints "+text, func() bool {
		select {
		case <-m.ended:
			if !find() {
				m.t.Fatalf("the machine ended without printing %q", text)
			}
			return true
		default:
			return find()
		}
	})
	return before
}

// typeLine types on the console.
func (m *machine) typeLine(text string) {
	m.t.Helper()
	if _, err := io.WriteString(m.keys, text+"\r"); err != nil {
		m.t.Fatalf("cannot type into the machine: %v", err)
	}
}

// waitEnd waits until QEMU has ended: the machine powered off, or rebooted (-no-reboot).
func (m *machine) waitEnd() {
	m.t.Helper()
	within(m.t, bootLimit, "the machine ends", func() bool {
		select {
		case <-m.ended:
			return true
		default:
			return false
		}
	})
}

// kernelFiles is a kernel with the tree of its modules.
type kernelFiles struct{ image, release, modules string }

var kernelOnce struct {
	sync.Once
	kernelFiles
	why string
}

// oneMachine is held while a machine runs: without hardware virtualisation each takes a processor for itself.
var oneMachine sync.Mutex

// machineKernel finds Debian's kernel for clouds: installed, or unpacked once into a directory for temporary files.
func machineKernel(t testing.TB) kernelFiles {
	t.Helper()
	kernelOnce.Do(func() {
		for _, root := range []string{"/", filepath.Join(cacheDir, "zinit-kernel")} {
			if findKernel(root) {
				return
			}
		}
		fetchKernel(filepath.Join(cacheDir, "zinit-kernel"))
	})
	if kernelOnce.image == "" {
		skip(t, "no kernel for virtual machines (apt-get install linux-image-cloud-amd64): "+kernelOnce.why)
	}
	return kernelOnce.kernelFiles
}

func findKernel(root string) bool {
	images, _ := filepath.Glob(filepath.Join(root, "boot/vmlinuz-*-cloud-amd64"))
	for _, image := range images {
		release := strings.TrimPrefix(filepath.Base(image), "vmlinuz-")
		for _, lib := range []string{"lib/modules", "usr/lib/modules"} {
			modules := filepath.Join(root, lib, release)
			if _, err := os.Stat(filepath.Join(modules, "kernel")); err == nil {
				kernelOnce.kernelFiles = kernelFiles{image, release, modules}
				return true
			}
		}
	}
	return false
}

// fetchKernel downloads the package without installing it.
func fetchKernel(cache string) {
	script := `set -e
name=$(apt-cache depends linux-image-cloud-amd64 | sed -n 's/^ *Depends: //p' | head -n1)
test -n "$name" || { echo "apt-cache knows no linux-image-cloud-amd64"; exit 1; }
new=$(mktemp -d "$1.XXXXXX"); cd "$new"; apt-get download "$name"; dpkg -x ./*.deb tree; rm -rf "$1"; mv tree "$1"; rm -rf "$new"`
	if out, err := exec.Command("sh", "-c", script, "sh", cache).CombinedOutput(); err != nil {
		kernelOnce.why = err.Error() + ": " + string(out)
		return
	}
	if !findKernel(cache) {
		kernelOnce.why = "the package has no kernel"
	}
}

// kernelModules gives the content of modules and of all that they need, by their paths, and the modules.dep for them.
func kernelModules(t testing.TB, kernel kernelFiles, names []string) (files map[string][]byte, dep string) {
	t.Helper()
	where := map[string]string{}
	err := filepath.WalkDir(kernel.modules, func(p string, d fs.DirEntry, err error) error {
		if err == nil && strings.Contains(d.Name(), ".ko") {
			where[moduleName(p)] = p
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	files = map[string][]byte{}
	short := func(name string) string {
		rel, _ := filepath.Rel(kernel.modules, where[name])
		return strings.TrimSuffix(rel, ".xz")
	}
	for todo := slices.Clone(names); len(todo) > 0; todo = todo[1:] {
		name := todo[0]
		if files[short(name)] != nil {
			continue
		}
		data := moduleContent(t, name, where[name])
		needs := moduleNeeds(t, name, data)
		files[short(name)] = data
		dep += short(name) + ":"
		for _, need := range needs {
			dep += " " + short(need)
		}
		dep += "\n"
		todo = append(todo, needs...)
	}
	return files, dep
}

func moduleContent(t testing.TB, name, file string) (data []byte) {
	t.Helper()
	var err error
	switch {
	case file == "":
		t.Fatalf("the kernel has no module %s", name)
	case strings.HasSuffix(file, ".xz"):
		data, err = exec.Command("xz", "-dc", file).Output()
	default:
		data, err = os.ReadFile(file)
	}
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// moduleNeeds reads the field "depends" that modinfo(8) shows.
func moduleNeeds(t testing.TB, name string, data []byte) (needs []string) {
	t.Helper()
	f, err := elf.NewFile(bytes.NewReader(data))
	if err != nil {
		t.Fatalf("module %s: %v", name, err)
	}
	info, err := f.Section(".modinfo").Data()
	if err != nil {
		t.Fatalf("module %s: %v", name, err)
	}
	for _, field := range strings.Split(string(info), "\x00") {
		if list, found := strings.CutPrefix(field, "depends="); found && list != "" {
			needs = strings.Split(strings.ReplaceAll(list, "-", "_"), ",")
		}
	}
	return needs
}

// writeInitramfs writes the archive that the kernel unpacks as its first file system.
func writeInitramfs(t testing.TB, name string, kernel kernelFiles, spec machineSpec) {
	t.Helper()
	var a cpioArchive
	copyIn := func(to, from string) {
		data, err := os.ReadFile(from)
		if err != nil {
			t.Fatal(err)
		}
		a.add(to, 0o100755, data)
	}
	if spec.init != "" {
		copyIn("/init", spec.init)
	}
	for to, from := range spec.copies {
		copyIn(to, from)
	}
	for to, content := range spec.files {
		a.add(to, 0o100644, []byte(content))
	}
	for to, target := range spec.links {
		a.add(to, 0o120777, []byte(target))
	}
	if len(spec.modules) > 0 {
		modules, dep := kernelModules(t, kernel, spec.modules)
		for file, data := range modules {
			a.add("/lib/modules/"+kernel.release+"/"+file, 0o100644, data)
		}
		a.add("/lib/modules/"+kernel.release+"/modules.dep", 0o100644, []byte(dep))
	}
	if err := os.WriteFile(name, a.end(), 0o644); err != nil {
		t.Fatal(err)
	}
}

// cpioArchive is an archive in the format "newc" (Documentation/driver-api/early-userspace/buffer-format.rst of the kernel).
type cpioArchive struct {
	out  bytes.Buffer
	have map[string]bool
	inum int
}

// add appends a file with its type and mode, after the directories that it is in.
func (a *cpioArchive) add(name string, mode int, data []byte) {
	name = strings.TrimPrefix(path.Clean(name), "/")
	if a.have == nil {
		a.have = map[string]bool{".": true}
	}
	if dir := path.Dir(name); !a.have[dir] {
		a.add(dir, 0o040755, nil)
	}
	a.have[name] = true
	a.inum++
	fmt.Fprintf(&a.out, "070701%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x", a.inum, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(name)+1, 0)
	a.out.WriteString(name + "\x00")
	a.pad()
	a.out.Write(data)
	a.pad()
}

func (a *cpioArchive) pad() {
	for a.out.Len()%4 != 0 {
		a.out.WriteByte(0)
	}
}

func (a *cpioArchive) end() []byte {
	a.add("TRAILER!!!", 0, nil)
	return a.out.Bytes()
}

// machineDisk makes an image with an ext4 file system of that label and content.
func machineDisk(t testing.TB, label string, files, copies map[string]string) string {
	t.Helper()
	mkfs, err := exec.LookPath("mkfs.ext4")
	if err != nil {
		skip(t, "no mkfs.ext4 here (apt-get install e2fsprogs)")
	}
	dir, image := t.TempDir(), filepath.Join(t.TempDir(), label+".img")
	put := func(to string, data []byte, mode os.FileMode) {
		to = filepath.Join(dir, to)
		if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(to, data, mode); err != nil {
			t.Fatal(err)
		}
	}
	for to, content := range files {
		put(to, []byte(content), 0o644)
	}
	for to, from := range copies {
		data, err := os.ReadFile(from)
		if err != nil {
			t.Fatal(err)
		}
		put(to, data, 0o755)
	}
	if out, err := exec.Command(mkfs, "-q", "-L", label, "-d", dir, image, "64M").CombinedOutput(); err != nil {
		t.Fatalf("mkfs.ext4: %v: %s", err, out)
	}
	return image
}

// cleanlyUnmounted says whether the ext4 file system in an image needs no recovery (s_state and s_feature_incompat of its superblock).
func cleanlyUnmounted(t testing.TB, image string) bool {
	t.Helper()
	f, err := os.Open(image)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var super [1024]byte
	if _, err := f.ReadAt(super[:], 1024); err != nil {
		t.Fatal(err)
	}
	const valid, needsRecovery = 1, 4
	return super[0x3a]&valid != 0 && super[0x60]&needsRecovery == 0
}
