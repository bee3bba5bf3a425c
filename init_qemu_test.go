// init_qemu_test.go boots virtual machines: QEMU, a kernel of Debian, an initramfs made here, and a serial console that a test reads
// and types into. It never uses more of this machine than a directory for temporary files.

//go:build linux

package main

import (
	"bytes"
	"cmp"
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
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// machineSpec says what to boot.
type machineSpec struct {
	arch    string            // as Go calls it; "": amd64
	memory  int               // in MB; 0: 512
	init    string            // file of this machine that becomes /init
	files   map[string]string // path in the initramfs: its content
	copies  map[string]string // path in the initramfs: a file of this machine, made executable
	scripts map[string]string // path in the initramfs: its content, made executable
	links   map[string]string // path in the initramfs: where the symbolic link leads
	modules []string          // kernel modules, with what they need and a modules.dep
	words   string            // for the kernel's command line
	disks   []string          // raw images: /dev/vda, /dev/vdb, …
	qemu    []string          // more for QEMU

	initramfs string // a file that is there already, instead of one with all of the above
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
	kind := machineKinds[cmp.Or(spec.arch, "amd64")]
	qemu, err := exec.LookPath(kind.qemu)
	if err != nil || spec.arch == "" && runtime.GOARCH != "amd64" {
		skip(t, "no "+kind.qemu+" for this machine (apt-get install qemu-system-x86 qemu-system-arm)")
	}
	kernel := kind.kernel(t)
	initramfs := spec.initramfs
	if initramfs == "" {
		initramfs = filepath.Join(t.TempDir(), "initramfs")
		writeInitramfs(t, initramfs, kernel, spec)
	}
	args := append([]string{"-accel", "tcg", "-m", strconv.Itoa(cmp.Or(spec.memory, 512)), "-nic", "none", "-display", "none", "-serial", "stdio",
		"-monitor", "none", "-no-reboot", "-kernel", kernel.image, "-initrd", initramfs,
		"-append", "console=" + kind.console + " panic=-1 loglevel=4 " + spec.words}, kind.args...)
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

// kernelFiles is a kernel with the tree of its modules, and a static busybox where this machine cannot have it installed.
type kernelFiles struct{ image, release, modules, busybox string }

// machineKind is an architecture that can be booted here.
type machineKind struct {
	qemu    string   // its program
	args    []string // for it
	console string
	debian  string // what Debian calls the architecture …
	pkg     string // … and the kernel for it
	images  string // the names of its files

	once  sync.Once
	found kernelFiles
	why   string // why there is none
}

var machineKinds = map[string]*machineKind{
	"amd64": {qemu: "qemu-system-x86_64", args: []string{"-cpu", "max"}, console: "ttyS0", debian: "amd64", pkg: "linux-image-cloud-amd64", images: "vmlinuz-*-cloud-amd64"},
	"arm64": {qemu: "qemu-system-aarch64", args: []string{"-M", "virt", "-cpu", "cortex-a57"}, console: "ttyAMA0", debian: "arm64", pkg: "linux-image-cloud-arm64", images: "vmlinuz-*-cloud-arm64"},
	"arm":   {qemu: "qemu-system-arm", args: []string{"-M", "virt", "-cpu", "cortex-a15"}, console: "ttyAMA0", debian: "armhf", pkg: "linux-image-armmp", images: "vmlinuz-*-armmp"},
}

// countedClock gives a machine a processor of 500 million instructions a second by its own clock: what else runs here makes a test longer and no time that it measures.
var countedClock = []string{"-icount", "shift=1"}

// oneMachine is held while a machine runs: without hardware virtualisation each takes a processor for itself.
var oneMachine sync.Mutex

// kernel finds a kernel of Debian: installed, or unpacked once into a directory for temporary files.
func (k *machineKind) kernel(t testing.TB) kernelFiles {
	t.Helper()
	k.once.Do(func() {
		cache := filepath.Join(cacheDir, "zinit-kernel")
		if k.debian != "amd64" {
			cache += "-" + k.debian
		}
		for _, root := range []string{"/", cache} {
			if k.find(root) {
				return
			}
		}
		k.fetch(cache)
	})
	if k.found.image == "" {
		skip(t, "no kernel for virtual machines ("+k.pkg+"): "+k.why)
	}
	return k.found
}

func (k *machineKind) find(root string) bool {
	images, _ := filepath.Glob(filepath.Join(root, "boot", k.images))
	for _, image := range images {
		f := kernelFiles{image: image, release: strings.TrimPrefix(filepath.Base(image), "vmlinuz-")}
		if k.debian != "amd64" {
			f.busybox = filepath.Join(root, "bin/busybox")
			if _, err := os.Stat(f.busybox); err == nil && root != "/" {
				k.found = f
				return true
			}
			continue
		}
		for _, lib := range []string{"lib/modules", "usr/lib/modules"} {
			f.modules = filepath.Join(root, lib, f.release)
			if _, err := os.Stat(filepath.Join(f.modules, "kernel")); err == nil {
				k.found = f
				return true
			}
		}
	}
	return false
}

// fetch downloads the package without installing it. For another architecture apt looks in lists of its own, and a busybox comes along instead of the modules. A
// list that cannot be had is no matter as long as another one has the packages.
func (k *machineKind) fetch(cache string) {
	script := `set -e
new=$(mktemp -d "$1.XXXXXX"); trap 'rm -rf "$new"' EXIT; cd "$new"
apt= more=
if [ "$2" != amd64 ]; then
	mkdir -p lists/partial archives/partial
	apt="-o Dir::State=$new -o Dir::State::status=/dev/null -o Dir::Cache=$new -o APT::Architecture=$2 -o APT::Architectures=$2 -o Acquire::Languages=none"
	more=busybox-static
	apt-get $apt -q update || true
fi
name=$(apt-cache $apt depends "$3" | sed -n 's/^ *Depends: //p' | head -n1)
test -n "$name" || { echo "apt-cache knows no $3"; exit 1; }
apt-get $apt download "$name" $more
mkdir tree
for p in *.deb; do dpkg --fsys-tarfile "$p" | tar -x -C tree ${more:+--exclude=./lib/modules}; done
rm -rf "$1"; mv tree "$1"`
	if out, err := exec.Command("sh", "-c", script, "sh", cache, k.debian, k.pkg).CombinedOutput(); err != nil {
		k.why = err.Error() + ": " + string(out)
		return
	}
	if !k.find(cache) {
		k.why = "the package has no kernel"
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
	for to, content := range spec.scripts {
		a.add(to, 0o100755, []byte(content))
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

// isClean has e2fsck look at an image, which needs neither repair nor recovery.
func isClean(t testing.TB, image string) {
	t.Helper()
	if out, err := exec.Command("e2fsck", "-fn", image).CombinedOutput(); err != nil || !cleanlyUnmounted(t, image) {
		t.Errorf("the file system is not clean: %v\n%s", err, out)
	}
}
