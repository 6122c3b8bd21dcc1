/* SPDX-License-Identifier: Apache-2.0
 *
 * ns/activation.c - a checkpoint as it is asked for in words
 */
#define G_LOG_DOMAIN "mne-ns"

#include "config.h"

#include "ns/activation.h"

#include "ns/outcome.h"

#include <string.h>

void mne_ctl_activation_init(MneCtlActivation *asked, const char *name)
{
	*asked = (MneCtlActivation){ .spec = { .name = mne_slice_str(name) } };
	asked->tables = g_array_new(FALSE, FALSE, sizeof(uint32_t));
	asked->max_tables = g_array_new(FALSE, FALSE, sizeof(uint32_t));
}

void mne_ctl_activation_clear(MneCtlActivation *asked)
{
	g_clear_pointer(&asked->tables, g_array_unref);
	g_clear_pointer(&asked->max_tables, g_array_unref);
	g_clear_pointer(&asked->note, g_free);
}

static int find_table(MneNs *ns, const char *name, uint32_t *out_id)
{
	g_autoptr(GArray) tables = NULL;

	MNE_TRY(mne_store_tables(ns->store, &tables));
	for (unsigned i = 0; i < tables->len; i++) {
		const MneTableInfo *table = &g_array_index(tables, MneTableInfo, i);

		if (strcmp(table->name, name) == 0) {
			*out_id = table->id;
			return 0;
		}
	}
	return mne_throw(NO_TABLE, "there is no table %.255s", name);
}

static bool is_among(const GArray *ids, uint32_t id)
{
	for (unsigned i = 0; i < ids->len; i++)
		if (g_array_index(ids, uint32_t, i) == id)
			return true;
	return false;
}

static int add_table(MneNs *ns, MneCtlActivation *asked, const char *name, bool max)
{
	uint32_t id;

	if (!*name)
		return mne_throw(CKPT_NO_TABLES, "a checkpoint of no table");
	MNE_TRY(find_table(ns, name, &id));
	if (is_among(asked->tables, id)) {
		if (is_among(asked->max_tables, id) != max)
			return mne_throw(CKPT_TWICE,
					 "table %.255s cannot be in both min and max",
					 name);
		return mne_throw(CKPT_TWICE, "table %.255s is given twice", name);
	}
	g_array_append_val(asked->tables, id);
	if (max)
		g_array_append_val(asked->max_tables, id);
	return 0;
}

static int parse_bool(const char *what, const char *value, bool *out)
{
	*out = strcmp(value, "yes") == 0;
	if (!*out && strcmp(value, "no") != 0)
		return mne_throw(BAD_CTL, "%s is yes or no, not %.64s", what, value);
	return 0;
}

/* A flag is set where the answer is no. */
static int refuse(const char *what, const char *value, unsigned flag,
		  unsigned *io_flags)
{
	bool yes;

	MNE_TRY(parse_bool(what, value, &yes));
	*io_flags = yes ? *io_flags & ~flag : *io_flags | flag;
	return 0;
}

static int set_note(MneCtlActivation *asked, const char *value)
{
	MNE_TRY(mne_ckpt_check_note(mne_slice_str(value)));
	g_free(asked->note);
	asked->note = g_strdup(value);
	return 0;
}

static int set_transactions(const char *value, bool *out_refuses)
{
	*out_refuses = strcmp(value, "refuse") == 0;
	if (!*out_refuses && strcmp(value, "ignore") != 0)
		return mne_throw(BAD_CTL, "transactions is ignore or refuse, not %.64s",
				 value);
	return 0;
}

int mne_ctl_activation_add(MneNs *ns, MneCtlActivation *asked, const char *what,
			   const char *value)
{
	MneCkptSpec *spec = &asked->spec;

	if (strcmp(what, "table") == 0 || strcmp(what, "min") == 0)
		return add_table(ns, asked, value, false);
	if (strcmp(what, "max") == 0)
		return add_table(ns, asked, value, true);
	if (strcmp(what, "pinned") == 0)
		return parse_bool(what, value, &spec->traits.pinned);
	if (strcmp(what, "note") == 0)
		return set_note(asked, value);
	if (strcmp(what, "expires") == 0)
		return mne_ctl_parse_expiry(value, &spec->traits.expires_ns);
	if (strcmp(what, "transactions") == 0)
		return set_transactions(value, &spec->refuses);
	if (strcmp(what, "ram_overrides_dump") == 0)
		return refuse(what, value, MNE_CKPT_OF_DUMP, &spec->flags);
	if (strcmp(what, "allow_remote") == 0)
		return refuse(what, value, MNE_CKPT_LOCAL_ONLY, &spec->flags);
	return mne_throw(BAD_CTL, "a checkpoint has no %.64s", what);
}

int mne_ctl_activate(MneNs *ns, MneCtlActivation *asked)
{
	g_autoptr(MneCkpt) ckpt = NULL;
	MneCkptSpec spec = asked->spec;

	spec.traits.note = asked->note;
	spec.tables = asked->tables->len > 0 ? asked->tables : NULL;
	spec.max_tables = asked->max_tables;
	return mne_ns_checkpoint(ns, &spec, &ckpt);
}
