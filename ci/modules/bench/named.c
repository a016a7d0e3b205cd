// SPDX-License-Identifier: GPL-2.0
/*
 * One of many modules: exports a function NAME, needs another's function NEEDS.
 */
#include <linux/delay.h>
#include <linux/export.h>
#include <linux/module.h>

void NAME(void);

void NAME(void)
{
}
EXPORT_SYMBOL_GPL(NAME);

#ifdef NEEDS
void NEEDS(void);
#else
static void NEEDS(void)
{
}
#endif

#ifdef GATED
int test_module_gate_init(void);
#else
/* Long enough that others ask for this name meanwhile. */
static int test_module_gate_init(void)
{
	msleep(20);
	return 0;
}
#endif

static int __init named_init(void)
{
	NEEDS();
	return test_module_gate_init();
}
module_init(named_init);

static void __exit named_exit(void)
{
}
module_exit(named_exit);

/* For udev's coldplug: fits each CPU. */
MODULE_ALIAS("cpu:type:*");
MODULE_DESCRIPTION("One of many modules that depend on each other");
MODULE_LICENSE("GPL");
