#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
# While the init function of a module runs, Linux 7.3.4 (7.3.4-1~bpo13+1 of trixie-backports) lets the
# other requests for its name, from other files, wait. On PREEMPT_RT they can keep each other awake:
# they take CPU time, seconds after the last other load has ended. Without PREEMPT_RT they sleep.
#
# finished_loading() takes module_mutex inside the condition of wait_event_interruptible(). On
# PREEMPT_RT, a mutex_lock() that had to wait sets the state of the task to TASK_RUNNING
# (rt_mutex_slowlock_block()). So the task looks once more, which makes the next one wait. The comment
# there calls that harmless. Any load that ends wakes all of them at once, and so starts it. Each look
# passes the modules that were added after the slow one. In an emulator on 2 cores, the requests fell
# asleep again with 30 of these or fewer, in most runs, and with 70 modules from before the slow one.
# With 60 or more from after it, they stayed awake.
#
# tcrypt measures SHA-256 for minutes in its init. Needs qemu-system-x86_64 (seen with 10.0.2) and xz.
# Gets the kernels from trixie-backports. Runs on Debian 12, for 3 to 6 minutes.
#
# Seen: "PREEMPT_RT: 16 of 16 requests woke, 3345 switches, 4510 ms of CPU time, 0 asleep; tcrypt is
# coming, 83 modules", "otherwise: 0 of 16 requests woke, 0 switches, 0 ms of CPU time, 16 asleep;
# tcrypt is coming, 83 modules". The numbers of PREEMPT_RT vary.
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
	for kernel in 7.3.4+deb13-rt-amd64 7.3.4+deb13-amd64; do
		newer download linux-binary-$kernel=7.3.4-1~bpo13+1 linux-modules-$kernel=7.3.4-1~bpo13+1
	done
	apt-get download busybox-static=1:1.35.0-4+deb12u1+b1 cpio=2.13+dfsg-7.1
} > apt.log 2>&1 || { cat apt.log; exit 1; }
for deb in *.deb; do nice -n 10 dpkg-deb -x "$deb" root; done

# Sixteen requests wait for tcrypt, and other loads end. From a second later, it watches them for
# three seconds, in which no load ends.
cat > init <<'INIT'
#!/bin/busybox sh
/bin/busybox --install -s /bin
export PATH=/bin
mount -t devtmpfs dev /dev
mount -t proc proc /proc
mount -t sysfs sysfs /sys
state=/sys/module/tcrypt/initstate
look() {
	awk '/^voluntary_ctxt/ { print $2 }' $status > "switches.$1"
	awk '{ print $14 + $15 }' $stat > "ticks.$1"
}
load() { for file in "$@"; do insmod "$file" 2> /dev/null; done; }
for i in $(seq 16); do cp tcrypt.ko "$i.ko"; done
insmod tcrypt.ko mode=304 sec=20 &
until [ "$(cat $state 2> /dev/null)" = coming ]; do sleep 0.1; done
load /first/*
for i in $(seq 16); do
	insmod "$i.ko" &
	status="$status /proc/$!/status" stat="$stat /proc/$!/stat" wchan="$wchan /proc/$!/wchan"
done
sleep 3
load /then/*
sleep 1
look 1
sleep 3
look 2
for file in $wchan; do cat "$file"; echo; done > wchans
paste switches.1 switches.2 ticks.1 ticks.2 | awk -v "state=$(cat $state)" -v "modules=$(wc -l < /proc/modules)" \
	-v "asleep=$(grep -c module_patient_check_exists wchans)" '
	NF == 4 { n++; switches += $2 - $1; ms += ($4 - $3) * 10 }
	$2 > $1 { woke++ }
	END {
		printf "seen %d of %d requests woke, %d switches, %d ms of CPU time, %d asleep; ", woke, n, switches, ms, asleep
		print "tcrypt is " state ", " modules " modules."
	}' > /dev/console
poweroff -f
INIT
chmod 755 init

boot() {
	local modules=root/usr/lib/modules/$1 file name
	rm -rf guest
	mkdir -p guest/bin guest/dev guest/proc guest/sys guest/first guest/then
	cp root/bin/busybox guest/bin/
	cp init guest/
	for file in "$modules"/kernel/crypto/*.ko.xz "$modules"/kernel/fs/nls/*.ko.xz; do
		name=$(basename "$file" .xz)
		xz -dc "$file" > module.ko
		case $name in
		tcrypt.ko) mv module.ko guest/tcrypt.ko ;;
		nls_iso8859-*) mv module.ko "guest/then/$name" ;;
		*) if grep -qazx depends= module.ko; then mv module.ko "guest/first/$name"; fi ;;
		esac
	done
	(cd guest && find . | "$dir/root/bin/cpio" --quiet -o -H newc) > initrd
	timeout 400 nice -n 10 qemu-system-x86_64 -machine q35 -accel tcg,thread=multi -cpu max -smp 8 -m 1G \
		-nic none -nographic -no-reboot -kernel "$modules/vmlinuz" -initrd initrd \
		-append 'console=ttyS0 panic=-1 quiet no_timer_check' < /dev/null > "$1.log" 2>&1 || true
	tr -d '\r' < "$1.log" | sed -n 's/.*seen \(.*\)\./\1/p'
}
rt=$(boot 7.3.4+deb13-rt-amd64)
echo "PREEMPT_RT: $rt"
other=$(boot 7.3.4+deb13-amd64)
echo "otherwise: $other"

# Most of the requests that wait, and many switches. Otherwise, next to none.
pattern='^([0-9]+) of 16 requests woke, ([0-9]+) switches, .* ms of CPU time, ([0-9]+) asleep; tcrypt is coming,'
[[ $rt =~ $pattern ]] && [ "${BASH_REMATCH[1]}" -gt 8 ] && [ "${BASH_REMATCH[2]}" -gt 500 ] &&
	[[ $other =~ $pattern ]] && [ "${BASH_REMATCH[2]}" -lt 50 ] && [ "${BASH_REMATCH[3]}" = 16 ] ||
	{ echo "this has changed: PREEMPT_RT: ${rt:-nothing seen}; otherwise: ${other:-nothing seen}"; exit 1; }
