#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
# gcc 12.2.0 (Debian 12, 12.2.0-14+deb12u1) with -O2 puts the variables of a section in the reverse
# order of the source. clang keeps that order, and -fno-toplevel-reorder makes GCC keep it.
# MODULE_INFO() makes such variables, in .modinfo. So GCC and clang put different tags after the
# name of a module. Runs on Debian 12.
#
# Seen: "-O2: license author name", "-O2 -fno-toplevel-reorder: name author license"
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
apt-get download cpp-12=12.2.0-14+deb12u1 libmpc3=1.3.1-1 libmpfr6=4.2.0-1 \
	libgmp10=2:6.2.1+dfsg1-1.1 libisl23=0.25-1.1 > apt.log 2>&1 || { cat apt.log; exit 1; }
for deb in *.deb; do dpkg-deb -x "$deb" root; done
lib=$(gcc -print-multiarch)
export LD_LIBRARY_PATH=$dir/root/usr/lib/$lib:$dir/root/lib/$lib

cat > module.c <<'C'
#define TAG(tag) static const char tag[] __attribute__((used, section(".modinfo"))) = #tag "=x"
TAG(name);
TAG(author);
TAG(license);
C

# The tags in the order of the assembler's input.
order() {
	"root/usr/lib/gcc/$lib/12/cc1" -quiet "$@" module.c -o module.s
	echo "$*: $(grep -oE 'name|author|license' <(grep string module.s) | tr '\n' ' ' | sed 's/ $//')"
}
reordered=$(order -O2)
kept=$(order -O2 -fno-toplevel-reorder)
echo "$reordered"
echo "$kept"
[ "$reordered" = "-O2: license author name" ] &&
	[ "$kept" = "-O2 -fno-toplevel-reorder: name author license" ] || { echo "this has changed"; exit 1; }
