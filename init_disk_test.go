// init_disk_test.go boots virtual machines whose disks are to be checked before they are mounted, and whose power button is pressed.

//go:build linux

package main

import (
	"io"
	"net"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// uncleanDisk is an image with an ext2 file system that was not unmounted.
func uncleanDisk(t *testing.T) string {
	t.Helper()
	image := machineDisk(t, "other", nil, nil)
	for _, argv := range [][]string{{"mke2fs", "-q", "-F", "-t", "ext2", image}, {"debugfs", "-w", "-R", "ssv state 0", image}} {
		if out, err := exec.Command(argv[0], argv[1:]...).CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", argv, err, out)
		}
	}
	return image
}

// TestMachineWithAFstab: the words of fstab(5), checks by its field 6, what is known of a file system without a check, and at last the power button.
func TestMachineWithAFstab(t *testing.T) {
	t.Parallel()
	monitor := filepath.Join(shortDir(t), "monitor")
	data := machineDisk(t, "data", nil, nil)
	m := shellMachine(t, machineSpec{
		modules: []string{"virtio_pci", "virtio_blk", "button", "evdev"}, words: "zinit.shutdown-timeout-ms=0",
		disks: []string{data, machineDisk(t, "bad", nil, nil), uncleanDisk(t)},
		qemu:  []string{"-monitor", "unix:" + monitor + ",server=on,wait=off"},
		files: map[string]string{
			"/etc/modules":  "virtio_pci\nvirtio_blk\n",
			"/etc/fstab":    "LABEL=data /data auto defaults 0 2\n/dev/vdb /bad ext4 nofail 0 2\n/dev/vdc /other ext2 ro 0 2\n/dev/vda /not auto noauto 0 2\nhost:/x /net nfs _netdev 0 0\n/dev/none /none ext4 nofail,x-systemd.device-timeout=1ms 0 2\n",
			"/var/log/wtmp": "",
			"/etc/zinit/services/polite.toml": `[service]
exec = ["/bin/sh", "-c", "trap 'sleep 1; echo was-asked >/dev/console; exit 0' TERM; while :; do sleep 1; done"]
env = { PATH = "/bin" }
`,
		},
		scripts: map[string]string{"/sbin/fsck.ext4": "#!/bin/sh\necho \"fsck of $2\"\ncase $2 in */vdb) exit 4;; esac\nexit 1\n"},
	})
	m.does("for d in data bad other not net none; do echo mounted-$d-$(grep -c \" /$d \" /proc/mounts); done; echo noted-$(grep -c reboot /var/log/wtmp)-$(grep -c reboot /run/utmp); zinit wait polite", "mounted-data-1\nmounted-bad-0\nmounted-other-1\nmounted-not-0\nmounted-net-0\nmounted-none-0\nnoted-1-1\n")
	says(t, m.text(), "boot: fsck.ext4 has mended /dev/vda\n", "boot: cannot mount /dev/vdb on /bad (ext4, nofail): fsck.ext4 /dev/vdb: exit code 4; mend it by hand",
		"boot: /dev/vdc on /other is not clean and there is no fsck.ext2; not checked", "mount host:/x on /net (nfs, _netdev): left to the service that brings up the network",
		"boot: did not mount /dev/none on /none")
	if n := strings.Count(m.text(), "fsck of "); n != 2 {
		t.Errorf("%d file systems were checked", n)
	}
	m.expect("box> ")
	conn, err := net.Dial("unix", monitor)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, "system_powerdown\n"); err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{"the power button was pressed", "was-asked", "all services are stopped", "reboot: Power down"} {
		m.expect(text)
	}
	m.waitEnd()
	isClean(t, data)
}
