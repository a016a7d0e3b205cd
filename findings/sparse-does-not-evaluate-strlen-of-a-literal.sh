#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
# MODULE_LICENSE() and its like of Linux 7.3 assert that sizeof(text) - 1 equals
# __builtin_strlen(text), so that no string has a null byte in its middle. GCC and clang evaluate the
# strlen of a literal. sparse 0.6.4 (Debian 12, 0.6.4-3) does not: it reports the assertion as "bad
# constant expression", once for each such macro, in every module that it checks. With sizeof alone,
# it reports nothing. Its exit status is 0 in both cases. Needs gcc. Runs on Debian 12.
#
# Seen: "gcc: 0 errors", "sparse, strlen: bad constant expression, exit status 0",
# "sparse, sizeof: , exit status 0"
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
apt-get download sparse=0.6.4-3 > apt.log 2>&1 || { cat apt.log; exit 1; }
dpkg-deb -x sparse_*.deb root

echo '_Static_assert(sizeof("GPL") - 1 == __builtin_strlen("GPL"), "a null byte");' > strlen.c
echo '_Static_assert(sizeof("GPL") - 1 == 3, "a null byte");' > sizeof.c
check() {
	status=0
	root/usr/bin/sparse "$1" > log 2>&1 || status=$?
	echo "$(sed -n 's/.*error: //p' log), exit status $status"
}
gcc -c -pedantic -Wall strlen.c sizeof.c 2> gcc.log || true
seen="gcc: $(grep -c error gcc.log || true) errors
sparse, strlen: $(check strlen.c)
sparse, sizeof: $(check sizeof.c)"
echo "$seen"
[ "$seen" = "gcc: 0 errors
sparse, strlen: bad constant expression, exit status 0
sparse, sizeof: , exit status 0" ] || { echo "this has changed"; exit 1; }
