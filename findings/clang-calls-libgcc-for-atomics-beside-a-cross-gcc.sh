#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
# clang 19.1.7 (Debian 12, 1:19.1.7-3~deb12u1) for --target=aarch64-linux-gnu compiles an atomic
# exchange in line, or as a call of libgcc's __aarch64_swp4_relax(). It emits the call if it finds a GCC
# for arm64, such as libgcc-12-dev-arm64-cross, in its toolchain folder. So a program that is linked
# without libgcc, such as one over nolibc, no longer links once a cross GCC is installed.
# -mno-outline-atomics compiles the exchange in line on each host. Runs on Debian 12.
#
# Seen: "without GCC: in line", "with GCC: call", "with GCC, -mno-outline-atomics: in line"
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
apt-get download clang-19=1:19.1.7-3~deb12u1 libclang-cpp19=1:19.1.7-3~deb12u1 \
	libllvm19=1:19.1.7-3~deb12u1 libedit2=3.1-20221030-2 libz3-4=4.8.12-3.1 \
	libxml2=2.9.14+dfsg-1.3~deb12u6 libgcc-12-dev-arm64-cross=12.2.0-14cross1 > apt.log 2>&1 || { cat apt.log; exit 1; }
for deb in *.deb; do
	case $deb in
	libgcc*) dpkg-deb -x "$deb" gcc ;;
	*) dpkg-deb -x "$deb" root ;;
	esac
done
lib=root/usr/lib/$(gcc -print-multiarch)
export LD_LIBRARY_PATH=$dir/$lib:$dir/root/usr/lib/llvm-19/lib
mkdir none
echo 'int exchange(int *word) { return __atomic_exchange_n(word, 1, __ATOMIC_RELAXED); }' > atomic.c

# How the exchange is compiled with a folder of GCCs, and options.
kind() {
	local what=$1 folder=$2
	shift 2
	root/usr/lib/llvm-19/bin/clang --target=aarch64-linux-gnu "--gcc-toolchain=$folder" -O2 "$@" \
		-S atomic.c -o atomic.s
	if grep -q __aarch64_swp4_relax atomic.s; then echo "$what: call"; else echo "$what: in line"; fi
}
seen=$(
	kind "without GCC" none
	kind "with GCC" gcc/usr
	kind "with GCC, -mno-outline-atomics" gcc/usr -mno-outline-atomics
)
echo "$seen"
[ "$seen" = "without GCC: in line
with GCC: call
with GCC, -mno-outline-atomics: in line" ] || { echo "this has changed"; exit 1; }
