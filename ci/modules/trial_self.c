// SPDX-License-Identifier: GPL-2.0
/*
 * Its init asks user space to load the module that is being loaded.
 */
#include <linux/kmod.h>
#include <linux/module.h>

static int __init trial_self_init(void)
{
	return request_module(KBUILD_MODNAME) ? -ECHILD : 0;
}
module_init(trial_self_init);

static void __exit trial_self_exit(void)
{
}
module_exit(trial_self_exit);

MODULE_DESCRIPTION("Module that loads itself from its init");
MODULE_LICENSE("GPL");
