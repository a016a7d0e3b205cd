// SPDX-License-Identifier: GPL-2.0
/*
 * An init and no exit: only a forced removal gets rid of it.
 */
#include <linux/module.h>

static int __init trial_stay_init(void)
{
	return 0;
}
module_init(trial_stay_init);

MODULE_DESCRIPTION("Module that stays");
MODULE_LICENSE("GPL");
