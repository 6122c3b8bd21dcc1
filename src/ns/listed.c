/* SPDX-License-Identifier: Apache-2.0
 *
 * ns/listed.c - where a walk of a moment finds the record at a path
 */
#define G_LOG_DOMAIN "mne-ns"

#include "config.h"

#include "ns/listed.h"

#include "ns/frags.h"

/* What the first part of a path leads to; paths of one table come together. */
struct MneListed {
	MneNs *ns; /* borrowed */
	MneCkpt *ckpt; /* reference; NULL: live */
	char *table; /* owned: its name; NULL: none yet */
	MneIdentity dir;
	bool fragments;
};

MneListed *mne_listed_new(MneNs *ns, MneCkpt *ckpt)
{
	MneListed *listed = g_new0(MneListed, 1);

	listed->ns = ns;
	listed->ckpt = ckpt ? mne_ckpt_ref(ckpt) : NULL;
	return listed;
}

void mne_listed_free(MneListed *listed)
{
	g_clear_pointer(&listed->ckpt, mne_ckpt_unref);
	g_free(listed->table);
	g_free(listed);
}

static int find_table(MneListed *listed, MneSlice name)
{
	MneView *view = listed->ckpt ? &listed->ckpt->view
				     : mne_store_live(listed->ns->store);
	g_auto(MneNode) node = { 0 };
	uint32_t table;
	int err;

	g_free(listed->table);
	listed->table = g_strndup((const char *)name.data, name.len);
	listed->fragments = false;
	err = mne_view_lookup(view, MNE_ROOT_TABLE, MNE_ROOT_DIR, name, &table, &node);
	if (err == -ENOENT || mne_err_is(err, ENOENT))
		return 0;
	MNE_TRY(err);
	listed->dir = (MneIdentity){
		.object = listed->ckpt ? MNE_OBJECT_PAST : MNE_OBJECT_LIVE,
		.is_dir = true,
		.table = table,
		.rec = node.rec,
		.ckpt = listed->ckpt,
	};
	listed->fragments = mne_frags_are_listed(listed->ns, &listed->dir);
	return 0;
}

static bool is_same_table(const MneListed *listed, MneSlice name)
{
	return listed->table && mne_slice_equal(mne_slice_str(listed->table), name);
}

int mne_listed_path(MneListed *listed, const char *path, GString *to)
{
	const char *slash = strchr(path, '/');
	MneSlice table = mne_slice(path, slash ? (size_t)(slash - path) : strlen(path));
	char frag[5];

	if (slash && !is_same_table(listed, table))
		MNE_TRY(find_table(listed, table));
	if (!slash || !listed->fragments) {
		g_string_append(to, path);
		return 0;
	}
	MNE_TRY(mne_frags_shown_in(listed->ns, &listed->dir,
				   mne_slice(slash + 1, strcspn(slash + 1, "/")),
				   frag));
	g_string_append_len(to, path, slash - path);
	g_string_append_printf(to, "/%s%s", frag, slash);
	return 0;
}
