// SPDX-License-Identifier: GPL-2.0
/*
 * A module that depends on trial_base.
 */
#include <linux/module.h>

void trial_base(void);

static int __init trial_user_init(void)
{
	trial_base();
	return 0;
}
module_init(trial_user_init);

static void __exit trial_user_exit(void)
{
}
module_exit(trial_user_exit);

MODULE_DESCRIPTION("Module that depends on another");
MODULE_LICENSE("GPL");
