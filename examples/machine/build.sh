#!/bin/sh
# build.sh DIR: makes a Debian with zinit as its init, as root: DIR/disk.img (an ext4 file system, label root), DIR/vmlinuz and
# DIR/initramfs.gz. It is for amd64, and needs debootstrap, cpio, e2fsprogs, apt and dpkg with
# Debian's sources, and Go if there is no ZINIT. From the environment:
#   ZINIT=FILE      the program; default: built from this source
#   KEY=FILE        who may log in as root over ssh (authorized_keys)
#   PASSWORD=TEXT   of root, at the console; default: none, only ssh
#   BASE=FILE       archive of what debootstrap made; made if it is missing, so that the next image takes seconds
#   KERNEL=DIR      where boot/vmlinuz-* and lib/modules/* are; default: Debian's kernel for clouds is downloaded
#   SUITE, MIRROR   default: bookworm, and the mirror that apt knows
#   SIZE            of the disk, as mke2fs(8) reads it; default: 1G
set -eu
out=${1:?build.sh DIR}
here=$(cd "$(dirname "$0")" && pwd)
suite=${SUITE:-bookworm}
mirror=${MIRROR:-$(apt-get indextargets --format '$(SITE)' "Codename: $suite" 'Component: main' 2>/dev/null | head -n1)}
packages=udev,kmod,dbus,dhcpcd-base,chrony,openssh-server,cron,iproute2,procps,e2fsprogs,systemd-standalone-tmpfiles
mkdir -p "$out"
work=$(mktemp -d)
trap 'rm -rf --one-file-system "$work"' EXIT
root=$work/root

# 1. Debian, as an archive
base=${BASE:-$work/base.tar}
if [ ! -e "$base" ]; then
	debootstrap --variant=minbase --include="$packages" "$suite" "$root" "${mirror:-http://deb.debian.org/debian}" >&2
	rm -rf "$root"/var/cache/apt/archives/*.deb "$root"/var/lib/apt/lists/* "$root"/etc/ssh/ssh_host_* "$root"/etc/machine-id "$root"/var/lib/dbus/machine-id "$root"/etc/resolv.conf
	tar -C "$root" -cf "$base.$$" . && mv "$base.$$" "$base"
	rm -rf "$root"
fi
mkdir "$root"
tar -C "$root" -xpf "$base"

# 2. zinit and its services
if [ -z "${ZINIT:-}" ]; then
	ZINIT=$work/zinit
	(cd "$here/../.." && CGO_ENABLED=0 go build -trimpath -ldflags='-s -w' -o "$ZINIT" .)
fi
install -m 755 "$ZINIT" "$root/usr/sbin/zinit"
for name in init poweroff reboot halt shutdown; do
	ln -sf zinit "$root/usr/sbin/$name"
done
mkdir -p "$root/etc/zinit" "$root/etc/tmpfiles.d" "$root/usr/local/sbin"
cp -r "$here/system" "$here/services" "$root/etc/zinit/"
install -m 755 "$here/policy-rc.d" "$root/usr/sbin/policy-rc.d"
install -m 755 "$here/service" "$root/usr/local/sbin/service"
# /var/lock leads there; on Debian it is for the init to make.
echo 'd /run/lock 1777 root root' >"$root/etc/tmpfiles.d/lock.conf"
# No package may bring another /sbin/init.
printf 'Package: systemd-sysv sysvinit-core runit-init\nPin: release *\nPin-Priority: -1\n' >"$root/etc/apt/preferences.d/zinit"

# 3. the machine
echo debian >"$root/etc/hostname"
printf '127.0.0.1 localhost debian\n::1 localhost\n' >"$root/etc/hosts"
printf 'LABEL=root / ext4 noatime,errors=remount-ro 0 1\nLABEL=data /srv ext4 nofail 0 2\n' >"$root/etc/fstab"
if [ -n "${PASSWORD:-}" ]; then
	printf 'root:%s\n' "$PASSWORD" | chroot "$root" chpasswd
fi
if [ -n "${KEY:-}" ]; then
	install -D -m 600 "$KEY" "$root/root/.ssh/authorized_keys"
	chmod 700 "$root/root/.ssh"
fi
echo 'HostKey /etc/ssh/ssh_host_ed25519_key' >"$root/etc/ssh/sshd_config.d/hostkey.conf"

# 4. the kernel, and an initramfs of zinit, the modules of the disk and fsck: it checks and mounts the root file system, and goes over to its init
if [ -z "${KERNEL:-}" ]; then
	KERNEL=$work/kernel
	package=$(apt-cache depends linux-image-cloud-amd64 | sed -n 's/^ *Depends: //p' | head -n1)
	(cd "$work" && apt-get download "$package" >&2 && dpkg -x "$package"_*.deb kernel)
fi
vmlinuz=$(ls "$KERNEL"/boot/vmlinuz-* | head -n1)
release=${vmlinuz##*/vmlinuz-}
cp "$vmlinuz" "$out/vmlinuz"
mkdir -p "$root/lib/modules"
for lib in lib usr/lib; do
	[ ! -d "$KERNEL/$lib/modules/$release" ] || cp -r "$KERNEL/$lib/modules/$release" "$root/lib/modules/"
done
chroot "$root" depmod "$release"
initramfs=$work/initramfs
mkdir -p "$initramfs/etc" "$initramfs/lib/modules/$release"
cp "$ZINIT" "$initramfs/init"
printf 'virtio_pci\nvirtio_blk\n' >"$initramfs/etc/modules"
for module in virtio_pci virtio_blk; do
	chroot "$root" modprobe -S "$release" --show-depends "$module"
done | sed -n 's/^insmod \([^ ]*\).*/\1/p' | sort -u | while read -r file; do
	install -D -m 644 "$root$file" "$initramfs$file"
	grep "^${file#/lib/modules/$release/}:" "$root/lib/modules/$release/modules.dep" >>"$initramfs/lib/modules/$release/modules.dep"
done
install -D -m 755 "$root/sbin/e2fsck" "$initramfs/sbin/fsck.ext4"
chroot "$root" ldd /sbin/e2fsck | grep -o '/[^ ]*' | while read -r file; do
	install -D -m 755 "$root$file" "$initramfs$file"
done
(cd "$initramfs" && find . | cpio -o -H newc -R 0:0 --quiet) | gzip -1 >"$out/initramfs.gz"

# 5. the disk: mke2fs fills it by itself, without mounting anything
rm -f "$out/disk.img"
mke2fs -q -t ext4 -L root -d "$root" "$out/disk.img" "${SIZE:-1G}"
echo "$out/disk.img $out/vmlinuz $out/initramfs.gz"
