// SPDX-License-Identifier: GPL-2.0
/*
 * What trial_user depends on: a load of that waits for the init of this.
 */
#include <linux/export.h>
#include <linux/module.h>

int test_module_gate_init(void);
void test_module_gate_exit(void);
void trial_base(void);

void trial_base(void)
{
}
EXPORT_SYMBOL_GPL(trial_base);

static int __init trial_base_init(void)
{
	return test_module_gate_init();
}
module_init(trial_base_init);

static void __exit trial_base_exit(void)
{
	test_module_gate_exit();
}
module_exit(trial_base_exit);

MODULE_DESCRIPTION("Module that another depends on");
MODULE_LICENSE("GPL");
