// SPDX-License-Identifier: GPL-2.0
/*
 * A module notifier that forbids modules of one name: their load fails late,
 * after all that could fail in the loader itself.
 */
#include <linux/module.h>
#include <linux/moduleparam.h>
#include <linux/notifier.h>
#include <linux/string.h>

static char veto[MODULE_NAME_LEN];
module_param_string(veto, veto, sizeof(veto), 0600);
MODULE_PARM_DESC(veto, "Name of the module that must not be loaded");

static int judge(struct notifier_block *nb, unsigned long state, void *data)
{
	const struct module *mod = data;

	if (state == MODULE_STATE_COMING && !strcmp(mod->name, veto))
		return notifier_from_errno(-ENOSPC);
	return NOTIFY_OK;
}

static struct notifier_block judge_nb = { .notifier_call = judge };

static int __init trial_notifier_init(void)
{
	return register_module_notifier(&judge_nb);
}
module_init(trial_notifier_init);

static void __exit trial_notifier_exit(void)
{
	unregister_module_notifier(&judge_nb);
}
module_exit(trial_notifier_exit);

MODULE_DESCRIPTION("Forbids to load modules of one name");
MODULE_LICENSE("GPL");
