// SPDX-License-Identifier: GPL-2.0
/*
 * test_module_load with 4 MiB more, or as much as Kbuild says: what a burst of a
 * large module costs.
 */
#include <linux/module.h>
#include <linux/sizes.h>

#ifndef BALLAST
#define BALLAST SZ_4M
#endif

int test_module_gate_init(void);
void test_module_gate_exit(void);

/* Not zero, or it would be .bss and take no space in the image. */
static const u8 ballast[BALLAST] __used = { [0 ... BALLAST - 1] = 0x5a };

static int __init burst_big_init(void)
{
	return test_module_gate_init();
}
module_init(burst_big_init);

static void __exit burst_big_exit(void)
{
	test_module_gate_exit();
}
module_exit(burst_big_exit);

MODULE_DESCRIPTION("A large module whose init is decided by test_module_gate");
MODULE_LICENSE("GPL");
