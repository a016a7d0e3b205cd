#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
# readprofile of util-linux 2.38.1 (Debian 12, 2.38.1-5+deb12u3) reads System.map in pieces of 127
# characters. Mangled symbols of Rust are longer, so it refuses the map of a kernel with RUST=y as
# "wrong map line". With lines cut to 120 characters it works. Runs on Debian 12.
#
# Seen: "wrong map line", then "6 total"
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
apt-get download util-linux=2.38.1-5+deb12u3 > apt.log 2>&1 || { cat apt.log; exit 1; }
dpkg-deb -x util-linux_*.deb root
readprofile=$dir/root/usr/sbin/readprofile
"$readprofile" --version

# A function of a kernel with RUST=y, as rustc names it, between two of C.
symbol=_RNvXsh_NtCsl7L7n58I0Vr_6kernel8platformINtNtNtB7_4sync4aref4ARefNtB5_6DeviceEINtNtCs2DxGA1hvVcO_4core7convert4FromRIB10_NtNtB7_6device12CoreInternalEE4from
cat > System.map <<MAP
ffffffff81000000 T _stext
ffffffff81000004 T first
ffffffff81000008 t $symbol
ffffffff8100000c T last
ffffffff81000010 T _etext
MAP
# The step in bytes, and a count for each step.
perl -e 'print pack("L*", 4, 1, 2, 3, 1, 0)' > profile
whole=$("$readprofile" -m System.map -p profile 2>&1 | grep -o "wrong map line") || true
cut -c1-120 System.map > short.map
short=$("$readprofile" -m short.map -p profile | awk '$2 == "total" { print $1, $2 }')
echo "$whole"
echo "$short"
[ "$whole $short" = "wrong map line 6 total" ] || { echo "this has changed"; exit 1; }
