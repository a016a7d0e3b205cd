// SPDX-License-Identifier: GPL-2.0
/*
 * Its init dies: the load of this name never ends.
 */
#include <linux/compiler.h>
#include <linux/module.h>

/* Never mapped, and nothing else oopses there: ci/splats.toml knows it. */
#define NOWHERE ((int *)0x7e57)

static int __init trial_oops_init(void)
{
	WRITE_ONCE(*NOWHERE, 1);
	return 0;
}
module_init(trial_oops_init);

MODULE_DESCRIPTION("Module whose init oopses");
MODULE_LICENSE("GPL");
