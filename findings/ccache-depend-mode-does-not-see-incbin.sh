#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
# ccache 4.7.5 (Debian 12, 4.8+really4.7.5-1) in depend mode returns a stale object if only a file
# that .incbin includes has changed. Without depend mode, ccache finds the directive and compiles.
# On arm, piggy.S of the kernel includes the compressed image and does not change itself. So the
# build succeeds, with an old kernel. Runs on Debian 12.
#
# Seen: "depend mode: one", "otherwise: two"
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
apt-get download ccache=4.8+really4.7.5-1 libhiredis0.14=0.14.1-3 > apt.log 2>&1 || { cat apt.log; exit 1; }
for deb in *.deb; do dpkg-deb -x "$deb" root; done
export LD_LIBRARY_PATH=$dir/root/usr/lib/$(gcc -print-multiarch)
root/usr/bin/ccache --version | head -1

# What the object has in it after a second build, with another content of the included file.
content() {
	echo '.incbin "data"' > piggy.S
	for word in one two; do
		echo "$word" > data
		env "$@" CCACHE_DIR="$dir/cache" root/usr/bin/ccache gcc -MD -c piggy.S -o piggy.o
		sleep 2
	done
	grep -aowE 'one|two' piggy.o
}
depend=$(content CCACHE_DEPEND=1)
rm -rf cache
otherwise=$(content CCACHE_NODEPEND=1)
echo "depend mode: $depend"
echo "otherwise: $otherwise"
[ "$depend $otherwise" = "one two" ] || { echo "this has changed"; exit 1; }
