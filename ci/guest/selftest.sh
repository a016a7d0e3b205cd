# SPDX-License-Identifier: GPL-2.0
# Runs in a guest whose process 1 is systemd, once udev is settled: says what it finds, runs
# /selftest, and writes all of it into the kernel's log, where no line of the kernel can end up in
# the middle of it. Then powers off.

mkdir -p /usr/local/bin
/bin/busybox --install -s /usr/local/bin
export PATH=/usr/sbin:/usr/bin:/sbin:/bin:/usr/local/bin

log() {
	while IFS= read -r line; do
		echo "$line" > /dev/kmsg
	done
}

# A unit that failed fails the guest, after the selftest.
found() {
	echo "# process 1: $(cat /proc/1/comm)"
	echo "# $(systemctl --version | head -n 1)"
	echo "# loaded by udev: $(cut -d ' ' -f 1 /proc/modules | sort | xargs)"
	systemctl --failed --no-legend --plain > /run/failed
	sed 's/^/# failed: /' /run/failed
}

run() {
	MODULE_DIR=/ /selftest
	status=$?
	[ -s /run/failed ] && status=1
	echo $status > /run/status
}

echo '{UP}' > /dev/kmsg
found 2>&1 | log
run 2>&1 | log
echo "{DONE}$(cat /run/status)" > /dev/kmsg
systemctl --no-block poweroff
