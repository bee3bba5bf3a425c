#!/bin/sh
# build.sh bare|rescue FILE: makes an initramfs, without root: zinit alone, or with busybox. It needs cpio, and Go if there is no ZINIT.
#   ZINIT=FILE     the program; default: built from this source
#   BUSYBOX=FILE   for rescue: a static one; default: /bin/busybox, of the package busybox-static
#   EXTRA=DIR      what else belongs into it: services, programs, lib/modules/RELEASE with etc/modules
set -eu
kind=${1:?bare or rescue} out=${2:?FILE}
case $kind in bare | rescue) ;; *) echo "$0: bare or rescue, not $kind" >&2; exit 2 ;; esac
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
root=$work/root
mkdir -p "$root/bin"
if [ -z "${ZINIT:-}" ]; then
	ZINIT=$work/zinit
	(cd "$here/../.." && CGO_ENABLED=0 go build -trimpath -ldflags='-s -w' -o "$ZINIT" .)
fi
install -m 755 "$ZINIT" "$root/init"
cp -r "$here/$kind/." "$root/"
for name in zinit poweroff reboot halt; do
	ln -s /init "$root/bin/$name"
done
if [ "$kind" = rescue ]; then
	busybox=${BUSYBOX:-/bin/busybox}
	install -m 755 "$busybox" "$root/bin/busybox"
	"$busybox" --list | while read -r name; do
		[ -e "$root/bin/$name" ] || [ -L "$root/bin/$name" ] || ln -s busybox "$root/bin/$name"
	done
fi
[ -z "${EXTRA:-}" ] || cp -r "$EXTRA/." "$root/"
(cd "$root" && find . | cpio -o -H newc -R 0:0 --quiet) | gzip -9 >"$out"
