#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# Records requests for kernel modules, on an unpatched kernel, for storm to read:
#   record.sh cmdline          what to add to the kernel's command line to record a boot
#   record.sh grub             the same, as /etc/default/grub.d/storm.cfg of Debian and Ubuntu
#   record.sh start            records from now on, as root
#   record.sh stop > a.trace   ends that, and prints the trace, as root

set -e

tracing=/sys/kernel/tracing
ours=$tracing/instances/storm
buffer_kib=4096

events='
syscalls:sys_enter_init_module
syscalls:sys_exit_init_module
syscalls:sys_enter_finit_module
syscalls:sys_exit_finit_module
module:module_load
module:module_free
initcall:initcall_start
initcall:initcall_finish
'

# The fields say what a probe tells; a kernel that lacks a function does without its probe.
# name: the look for the name, and the layout, for a kernel that has inlined the look.
# image: how long the image is: len is the fourth word of struct load_info.
# alloc: memory for the module: before 6.10, and from 6.10 on.
# wait: a request for a file waits for another one; the inode is the first, the completion
#       the fourth word of struct idempotent. Before 6.11, and from 6.11 on.
# file: its file, where the type information (BTF) tells it.
# read: the file that is read, and its inode, from the same information.
probes='
p:storm/name,find_module_all,name=+0($arg1):string
p:storm/name,module_frob_arch_sections,name=+24($arg4):string
p:storm/image,module_sig_check,len=+24($arg1):u64
p:storm/alloc,module_alloc,size=$arg1:u64
p:storm/alloc,execmem_alloc,size=$arg2:u64
p:storm/wait,wait_for_completion,cookie=-24($arg1):x64
p:storm/wait,wait_for_completion_interruptible,cookie=-24($arg1):x64
p:storm/file,idempotent_init_module,name=f->f_path.dentry->d_name.name:string
p:storm/read,kernel_read_file,name=file->f_path.dentry->d_name.name:string,inode=file->f_inode:x64
'

fail() {
	echo "record.sh: $1" >&2
	exit 1
}

joined() {
	echo $1 | tr ' ' "$2"
}

parameters() {
	echo "trace_clock=global trace_buf_size=${buffer_kib}K trace_event=$(joined "$events" ,)"
}

for_tracing() {
	[ "$(id -u)" = 0 ] || fail "recording is for root: use sudo"
	[ -e $tracing/kprobe_events ] || mount -t tracefs nodev $tracing 2>/dev/null || true
	[ -e $tracing/kprobe_events ] || fail "no $tracing/kprobe_events: this kernel has no KPROBE_EVENTS"
}

start() {
	for_tracing
	[ ! -e $ours ] || fail "it records already: run record.sh stop first"
	mkdir $ours
	echo global > $ours/trace_clock
	echo $buffer_kib > $ours/buffer_size_kb
	for probe in $probes; do
		echo "$probe" | tr , ' ' 2>/dev/null >> $tracing/kprobe_events ||
			echo "left out, as this kernel has not got it (some are for other versions): $probe" >&2
	done
	for event in $events storm:; do
		echo "$event" 2>/dev/null >> $ours/set_event || {
			stop > /dev/null
			fail "this kernel has no events $event: it needs FTRACE_SYSCALLS, or is too old"
		}
	done
}

stop() {
	for_tracing
	[ -e $ours ] || fail "nothing is recorded: run record.sh start first, or, after a boot, cat $tracing/trace"
	echo 0 > $ours/tracing_on
	cat $ours/trace
	echo > $ours/set_event
	rmdir $ours
	sed -n 's,^p:\(storm/[a-z]*\) .*,-:\1,p' $tracing/kprobe_events | sort -u >> $tracing/kprobe_events
}

case $1 in
cmdline) echo "$(parameters) kprobe_event=$(joined "$probes" ';')" ;;
# GRUB has its own meaning for ; and $.
grub) echo "GRUB_CMDLINE_LINUX=\"\$GRUB_CMDLINE_LINUX $(parameters) 'kprobe_event=$(joined "$probes" ';' | sed 's/\$/\\$/g')'\"" ;;
start | stop) $1 ;;
*) fail "say cmdline, grub, start or stop: the head of this script tells what they do" ;;
esac
