// init_modules_test.go tries which kernel modules are loaded, in what order.

//go:build linux

package main

import (
	"slices"
	"strings"
	"testing"
)

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
	if len(steps) != 3 || steps[0].what != "load module nosuch" || steps[2].done == "" {
		t.Fatalf("steps: %+v", steps)
	}
	if err := steps[0].do(); err == nil || !strings.Contains(err.Error(), "has none of that name") {
		t.Errorf("nosuch: %v", err)
	}
	if err := steps[1].do(); err != nil {
		t.Errorf("built in: %v", err)
	}
}

// TestModulesOfThePowerButton are loaded where they are modules, and nobody said to ignore the button.
func TestModulesOfThePowerButton(t *testing.T) {
	_, release, _ := strings.Cut(kernelName(), " ")
	b := treeOf(t, map[string]string{"/lib/modules/" + release + "/modules.dep": "kernel/drivers/acpi/button.ko:\nkernel/x.ko:\n"})
	if steps := b.moduleSteps(); len(steps) != 1 || steps[0].what != "load module button" || !steps[0].maybe {
		t.Errorf("steps: %+v", steps)
	}
	b.words.powerButton = "ignore"
	if steps := b.moduleSteps(); len(steps) != 0 {
		t.Errorf("with ignore: %+v", steps)
	}
}
