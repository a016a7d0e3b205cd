// SPDX-License-Identifier: GPL-2.0
/*
 * /init of a guest that boots from an initramfs, over nolibc: runs /selftest and
 * copies what it prints into the kernel's log line by line, where no line of the
 * kernel can end up in the middle of it. Then powers off.
 */
#include <fcntl.h>
#include <linux/reboot.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/wait.h>
#include <unistd.h>

/* One record of the kernel's log */
static char record[800];

static void run(int output)
{
	char *argv[] = { "/selftest", NULL };
	char *envp[] = { "MODULE_DIR=/", NULL };

	dup2(output, STDOUT_FILENO);
	dup2(output, STDERR_FILENO);
	close(output);
	execve(argv[0], argv, envp);
	perror("cannot run /selftest");
	_exit(127);
}

static void copy_lines(int from, int to)
{
	size_t used = 0;

	while (read(from, record + used, 1) == 1) {
		if (record[used++] != '\n' && used < sizeof(record))
			continue;
		write(to, record, used);
		used = 0;
	}
	write(to, record, used);
}

/*
 * Loads the policy of SELinux, if there is one. The kernel takes it only as a whole, logs what
 * it thinks of it, and enforces it from then on: without SECURITY_SELINUX_DEVELOP it has no
 * permissive mode.
 */
static void load_policy(void)
{
	int policy = open("/policy", O_RDONLY), load;
	size_t size;
	void *text;

	if (policy < 0)
		return;
	size = lseek(policy, 0, SEEK_END);
	text = mmap(NULL, size, PROT_READ, MAP_PRIVATE, policy, 0);
	mount("selinuxfs", "/sys/fs/selinux", "selinuxfs", 0, NULL);
	load = open("/sys/fs/selinux/load", O_WRONLY);
	write(load, text, size);
}

/*
 * The kernel reports in its log. It takes what changed since its last scan, and what
 * is younger than five seconds, for no leak.
 */
static void scan_for_leaks(void)
{
	int scanner = open("/sys/kernel/debug/kmemleak", O_WRONLY);

	if (scanner < 0)
		return;
	sleep(6);
	write(scanner, "scan", 4);
	write(scanner, "scan", 4);
	close(scanner);
}

static int exit_code(int status)
{
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

int main(void)
{
	int log, output[2], status = 0;
	pid_t pid;

	mount("proc", "/proc", "proc", 0, NULL);
	mount("sysfs", "/sys", "sysfs", 0, NULL);
	mount("debugfs", "/sys/kernel/debug", "debugfs", 0, NULL);
	mount("tracefs", "/sys/kernel/tracing", "tracefs", 0, NULL);
	mount("securityfs", "/sys/kernel/security", "securityfs", 0, NULL);
	mount("tmpfs", "/tmp", "tmpfs", 0, NULL);
	log = open("/dev/kmsg", O_WRONLY);
	load_policy();
	pipe(output);

	/* What the driver's guests/verdict.rs waits for. */
	write(log, UP, strlen(UP));
	pid = fork();
	if (pid == 0) {
		close(output[0]);
		run(output[1]);
	}
	close(output[1]);
	copy_lines(output[0], log);
	waitpid(pid, &status, 0);
	scan_for_leaks();
	write(log, record, snprintf(record, sizeof(record), DONE "%d", exit_code(status)));

	/* s390x's console shows a line when the next one comes. */
	write(log, "ci: off", 7);
	reboot(LINUX_REBOOT_CMD_POWER_OFF);
	return 1;
}
