#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
# If a later cpio archive of an initramfs has a directory where an earlier one has a symbolic link,
# Linux 6.1.176 (Debian 12's cloud kernel) removes the link and makes an empty directory. So an
# archive that adds lib/modules to a root file system with a merged /usr, where /lib is a link to
# usr/lib, takes all of /lib away, the dynamic loader included.
# An archive that adds usr/lib/modules does not.
#
# Needs qemu-system-x86_64 (seen with 7.2). Runs on Debian 12.
#
# Seen: "added as lib/modules: directory, loader missing", "added as usr/lib/modules: symbolic link,
# loader there"
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
image=linux-image-6.1.0-50-cloud-amd64
apt-get download $image=6.1.176-1 busybox-static=1:1.35.0-4+deb12u1+b1 cpio=2.13+dfsg-7.1 > apt.log 2>&1 || { cat apt.log; exit 1; }
for deb in *.deb; do dpkg-deb -x "$deb" root; done
pack() { (cd "$1" && find . | "$dir/root/bin/cpio" --quiet -o -H newc); }

# A root file system with a merged /usr, of which the loader is a file.
mkdir -p base/bin base/dev base/usr/lib lib/lib/modules usr/usr/lib/modules
ln -s usr/lib base/lib
echo loader > base/usr/lib/ld-linux.so
cp root/bin/busybox base/bin/
cat > base/init <<'INIT'
#!/bin/busybox sh
busybox stat -c "lib is a %F" /lib > /dev/console
if [ -e /lib/ld-linux.so ]; then echo "loader there"; else echo "loader missing"; fi > /dev/console
busybox poweroff -f
INIT
chmod 755 base/init

boot() {
	{ pack base; pack "$1"; } > initrd
	timeout 300 qemu-system-x86_64 -m 512 -nographic -no-reboot -kernel root/boot/vmlinuz-* \
		-initrd initrd -append 'console=ttyS0 panic=-1 quiet' < /dev/null > "$1.log" 2>&1 || true
	tr -d '\r' < "$1.log" | sed -n 's/.*lib is a \(.*\)/\1/p; s/.*\(loader there\|loader missing\)/\1/p' | paste -sd, | sed 's/,/, /'
}
as_lib=$(boot lib)
as_usr=$(boot usr)
echo "added as lib/modules: $as_lib"
echo "added as usr/lib/modules: $as_usr"
[ "$as_lib; $as_usr" = "directory, loader missing; symbolic link, loader there" ] || { echo "this has changed"; exit 1; }
