#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
# scripts/selinux/mdp of Linux writes a small policy for SELinux, which enables every capability that
# the kernel knows. checkpolicy 3.4 of Debian 12 refuses the policy of Linux 7.3.4, because it does
# not know userspace_initial_context. Without the lines "policycap", it compiles it. So the kernel's
# own dummy policy needs a checkpolicy as new as the kernel, or no capabilities.
#
# Needs gcc. Gets the source of Linux from trixie-backports. Runs on Debian 12.
#
# Seen: "as it is: invalid policy capability name userspace_initial_context", "without capabilities:
# compiled"
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
mirror=$(apt-get indextargets --format '$(LABEL) $(REPO_URI)' | sed -n 's/^Debian //p' | head -n 1)
keys=/usr/share/keyrings/debian-archive-keyring.gpg
mkdir -p apt/lists/partial apt/cache/archives/partial
echo "deb [signed-by=$keys] $mirror trixie-backports main" > apt/sources.list
newer() {
	apt-get -o Dir::Etc::sourcelist="$dir/apt/sources.list" -o Dir::Etc::sourceparts=- \
		-o Dir::State::lists="$dir/apt/lists" -o Dir::Cache="$dir/apt/cache" -o APT::Sandbox::User=root "$@"
}
{
	newer update
	newer download linux-source-7.3=7.3.4-1~bpo13+1
	apt-get download checkpolicy=3.4-1+b2
} > apt.log 2>&1 || { cat apt.log; exit 1; }
for deb in *.deb; do dpkg-deb -x "$deb" root; done
checkpolicy=root/usr/bin/checkpolicy
tar -xf root/usr/src/linux-source-7.3.tar.xz --wildcards '*/scripts/selinux/mdp' '*/security/selinux/include' \
	'*/include/linux' '*/include/uapi'
source=linux-source-7.3

# With an empty configuration, the policy has fewer rules, and all capabilities.
mkdir -p made/generated
: > made/generated/autoconf.h
gcc -Imade -I"$source/include" -I"$source/security/selinux/include" -o mdp "$source/scripts/selinux/mdp/mdp.c"
./mdp policy.conf file_contexts
sed '/^policycap /d' policy.conf > without.conf

compile() {
	if "$checkpolicy" -o policy "$1" > log 2>&1; then
		echo compiled
	else
		sed -n "s/.*ERROR '\(invalid policy capability name [a-z_]*\)'.*/\1/p" log
	fi
}
as_it_is=$(compile policy.conf)
without=$(compile without.conf)
echo "as it is: $as_it_is"
echo "without capabilities: $without"
[ "$as_it_is; $without" = "invalid policy capability name userspace_initial_context; compiled" ] ||
	{ echo "this has changed"; exit 1; }
