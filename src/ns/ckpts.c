/* SPDX-License-Identifier: Apache-2.0
 *
 * ns/ckpts.c - the `.checkpoints` directories
 *
 * Every live directory has one.  It shows the checkpoints in which that directory (by id,
 * not by name) existed.  Those of the root and of a table can be changed: mkdir makes a
 * checkpoint of all tables, or of the one; rmdir drops it, wherever it was made; a rename
 * renames it.  All of them are names in the one set of checkpoints.
 */
#define G_LOG_DOMAIN "mne-ns"

#include "config.h"

#include "ns/attr.h"
#include "ns/grave.h"
#include "ns/moment.h"
#include "ns/ns.h"
#include "ns/outcome.h"
#include "ns/visit.h"

#include <linux/fs.h>
#include <stdlib.h>

#define DOMAIN 1u /* of hidden inode numbers: this kind */

static MnePlace place_of(const MneIdentity *dir)
{
	return (MnePlace){ .table = dir->table, .rec = dir->rec, .is_dir = true };
}

/* The directory's node as it was at ckpt; NO_CKPT when it did not exist then. */
static int past_node(MneCkpt *ckpt, const MneIdentity *dir, MneNode *out_node)
{
	MnePlace place = place_of(dir);
	int err = -ESTALE;

	if (mne_ckpt_covers(ckpt, dir->table))
		err = mne_view_node(&ckpt->view, &place, out_node);
	if (err < 0 && (mne_err_is(err, ESTALE) || mne_err_is(err, ENOENT)))
		return mne_throw(NO_CKPT, "this directory is in no such checkpoint");
	return err;
}

static bool is_in(MneCkpt *ckpt, const MneIdentity *dir)
{
	g_auto(MneNode) node = { 0 };

	return past_node(ckpt, dir, &node) == 0;
}

/* The newest that is not after that moment, and in which dir exists. */
static int find_by_time(MneStore *store, const MneIdentity *dir, MneSlice name,
			MneCkpt **out_ckpt)
{
	g_autoptr(GPtrArray) ckpts = mne_ckpts_list(mne_store_ckpts(store));
	int64_t moment;

	if (!mne_moment_parse(name, g_get_real_time() * 1000, &moment))
		return mne_throw(NO_CKPT,
				 "%.*s is no time: try @latest, @yesterday, @-2h, "
				 "@2026-11-20 or @2026-11-20T03:00",
				 (int)name.len, (const char *)name.data);
	for (unsigned i = ckpts->len; i-- > 0;) {
		MneCkpt *ckpt = g_ptr_array_index(ckpts, i);

		if (ckpt->time_ns > moment || !is_in(ckpt, dir))
			continue;
		*out_ckpt = mne_ckpt_ref(ckpt);
		return 0;
	}
	return mne_throw(NO_CKPT, "no checkpoint is as old as %.*s", (int)name.len,
			 (const char *)name.data);
}

/* A new reference to the checkpoint of that name, if dir is in it. */
static int find(MneNs *ns, const MneIdentity *dir, MneSlice name, MneCkpt **out_ckpt,
		MneNode *out_node)
{
	g_autoptr(MneCkpt) ckpt = NULL;

	MNE_TRY(mne_ckpts_find(mne_store_ckpts(ns->store), name, &ckpt));
	MNE_TRY(past_node(ckpt, dir, out_node));
	*out_ckpt = g_steal_pointer(&ckpt);
	return 0;
}

int mne_ckpts_by_name_or_time(MneStore *store, MneSlice name, MneCkpt **out_ckpt)
{
	const MneIdentity root = { .is_dir = true,
				   .table = MNE_ROOT_TABLE,
				   .rec = MNE_ROOT_DIR };

	if (mne_moment_is(name))
		return find_by_time(store, &root, name, out_ckpt);
	return mne_ckpts_find(mne_store_ckpts(store), name, out_ckpt);
}

int mne_ns_find_ckpt(MneNs *ns, MneSlice name, MneCkpt **out_ckpt)
{
	return mne_ckpts_by_name_or_time(ns->store, name, out_ckpt);
}

/* The kernel wants a directory to stand in one place: so what is reached by a time is
 * another inode than the same reached by its name. */
static uint64_t way_to(const MneIdentity *dir, MneSlice name)
{
	uint64_t hash = dir->rec;

	if (!mne_moment_is(name))
		return dir->rec;
	for (size_t i = 0; i < name.len; i++)
		hash = (hash ^ name.data[i]) * G_GUINT64_CONSTANT(0x100000001b3);
	/* No record's number, and no tree of changes: see ns/delta.c. */
	return hash >> 8 | G_GUINT64_CONSTANT(1) << 56;
}

static int find_any(MneNs *ns, const MneIdentity *dir, MneSlice name,
		    MneCkpt **out_ckpt, MneNode *out_node)
{
	if (!mne_moment_is(name))
		return find(ns, dir, name, out_ckpt, out_node);
	MNE_TRY(find_by_time(ns->store, dir, name, out_ckpt));
	return past_node(*out_ckpt, dir, out_node);
}

static int show(MneNs *ns, const MneIdentity *dir, MneSlice name, MneCkpt *ckpt,
		const MneNode *node, MneFound *out)
{
	MneIdentity parent = *dir;

	parent.ckpt = ckpt;
	parent.via = way_to(dir, name);
	MNE_TRY(mne_ns_found_past(ns, &parent, dir->table, node, name, out));
	out->entry_timeout = 0;
	return 0;
}

int mne_ckpts_dir_lookup(MneNs *ns, const MneIdentity *dir, MneSlice name,
			 MneFound *out)
{
	g_autoptr(MneCkpt) ckpt = NULL;
	g_auto(MneNode) node = { 0 };

	MNE_TRY(find_any(ns, dir, name, &ckpt, &node));
	return show(ns, dir, name, ckpt, &node, out);
}

int mne_ckpts_dir_lookup_for(MneNs *ns, const MneIdentity *dir, MneSlice name,
			     pid_t pid, MneFound *out)
{
	g_autoptr(MneCkpt) ckpt = NULL;
	g_auto(MneNode) node = { 0 };
	int err = find_any(ns, dir, name, &ckpt, &node);

	if (err == 0 || mne_err_is(err, ENOENT))
		MNE_TRY(mne_visit(ns->visits, dir, name, pid, err == 0 ? ckpt : NULL));
	return err < 0 ? err : show(ns, dir, name, ckpt, &node, out);
}

int mne_ckpts_dir_stat(MneNs *ns, const MneIdentity *dir, struct stat *out)
{
	MnePlace root = { .table = MNE_ROOT_TABLE,
			  .rec = MNE_ROOT_DIR,
			  .is_dir = true };
	uint32_t gid = atomic_load(&ns->ckpts_gid);
	g_auto(MneNode) node = { 0 };
	struct stat like;

	MNE_TRY(mne_live_node(ns->store, &root, &node));
	mne_attr_of_live(&node, &like);
	mne_attr_of_hidden(&like, DOMAIN, dir->rec,
			   S_IFDIR | atomic_load(&ns->ckpts_mode), out);
	if (gid != UINT32_MAX)
		out->st_gid = gid;
	return 0;
}

int mne_ckpts_dir_setattr(MneNs *ns, const MneIdentity *dir,
			  const MneAttrChange *change)
{
	if (dir->table != MNE_ROOT_TABLE || change->set & MNE_SET_UID)
		return mne_throw(RESERVED_NAME,
				 "mode and group are those of .checkpoints at "
				 "the root; the owner cannot be changed");
	if (change->set & MNE_SET_MODE)
		atomic_store(&ns->ckpts_mode, change->mode & 07777);
	if (change->set & MNE_SET_GID)
		atomic_store(&ns->ckpts_gid, change->gid);
	return 0;
}

static bool is_root_of_a_table(MneNs *ns, const MneIdentity *dir)
{
	g_autoptr(GArray) tables = NULL;

	if (mne_store_tables(ns->store, &tables) < 0)
		return false;
	for (unsigned i = 0; i < tables->len; i++)
		if (g_array_index(tables, MneTableInfo, i).dir == dir->rec)
			return true;
	return false;
}

static int require_changeable(MneNs *ns, const MneIdentity *dir)
{
	if (dir->table == MNE_ROOT_TABLE || is_root_of_a_table(ns, dir))
		return 0;
	return mne_throw(CKPT_DEEP,
			 "checkpoints cover whole tables; make it in %s or in "
			 "the table's own .checkpoints",
			 ns->options.mount_point);
}

int mne_ckpts_dir_make(MneNs *ns, const MneIdentity *dir, MneSlice name,
		       const MneMake *what, MneFound *out)
{
	MneCkptSpec spec = { .name = name, .uid = what->uid, .gid = what->gid };
	g_autoptr(GArray) tables = NULL;
	g_autoptr(MneCkpt) ckpt = NULL;

	MNE_TRY(require_changeable(ns, dir));
	MNE_TRY(mne_ckpt_check_name(name));
	if (dir->table != MNE_ROOT_TABLE) {
		tables = g_array_new(FALSE, FALSE, sizeof(uint32_t));
		g_array_append_val(tables, dir->table);
	}
	spec.tables = tables;
	MNE_TRY(mne_ns_checkpoint(ns, &spec, &ckpt));
	return mne_ckpts_dir_lookup(ns, dir, name, out);
}

/* Which one a time means may change while it is typed. */
static int require_own_name(MneSlice name)
{
	if (mne_moment_is(name))
		return mne_throw(CKPT_NAME, "%.*s is a time, not a name: say which",
				 (int)name.len, (const char *)name.data);
	return 0;
}

int mne_ckpts_dir_remove(MneNs *ns, const MneIdentity *dir, MneSlice name, pid_t pid)
{
	g_autoptr(MneCkpt) ckpt = NULL;
	g_auto(MneNode) node = { 0 };

	if (mne_graves_fill(ns->graves, dir, name, pid))
		return 0;
	MNE_TRY(require_changeable(ns, dir));
	MNE_TRY(require_own_name(name));
	MNE_TRY(find(ns, dir, name, &ckpt, &node));
	MNE_TRY(mne_store_drop(ns->store, name));
	if (pid == 0)
		return 0;
	mne_visits_forget(ns->visits, pid, ckpt);
	mne_graves_dig(ns->graves, dir, name, pid, ckpt);
	return -ESTALE;
}

/* It belongs to whom it is for: `.checkpoints` is sticky. */
bool mne_ckpts_dir_find_grave(MneNs *ns, const MneIdentity *dir, MneSlice name,
			      pid_t pid, MneFound *out)
{
	MneIdentity self;

	if (!mne_graves_find(ns->graves, dir, name, pid, &self))
		return false;
	*out = (MneFound){ .attr_timeout = 1 };
	mne_attr_of_hidden(&(struct stat){ 0 }, DOMAIN, self.via, S_IFDIR | 0755,
			   &out->attr);
	out->inode = mne_inodes_look_up(ns->inodes, &self, dir->rec, name);
	mne_ckpt_unref(self.ckpt);
	return true;
}

int mne_ckpts_dir_rename(MneNs *ns, const MneIdentity *dir, MneSlice name,
			 const MneIdentity *new_dir, MneSlice new_name, unsigned flags)
{
	g_autoptr(MneCkpt) ckpt = NULL;
	g_auto(MneNode) node = { 0 };

	if (flags & ~(unsigned)RENAME_NOREPLACE)
		return -EINVAL;
	MNE_TRY(require_changeable(ns, dir));
	MNE_TRY(require_changeable(ns, new_dir));
	MNE_TRY(require_own_name(name));
	MNE_TRY(mne_ckpt_check_name(new_name));
	MNE_TRY(find(ns, dir, name, &ckpt, &node));
	if (mne_slice_equal(name, new_name))
		return 0;
	return mne_store_rename_ckpt(ns->store, name, new_name);
}

static int compare_names(const void *first, const void *second)
{
	return strcmp(*(const char *const *)first, *(const char *const *)second);
}

GPtrArray *mne_ckpts_dir_list(MneNs *ns, const MneIdentity *dir)
{
	g_autoptr(GPtrArray) ckpts = mne_ckpts_list(mne_store_ckpts(ns->store));
	GPtrArray *names = g_ptr_array_new_with_free_func(g_free);

	for (unsigned i = 0; i < ckpts->len; i++) {
		MneCkpt *ckpt = g_ptr_array_index(ckpts, i);
		g_auto(MneNode) node = { 0 };

		if (past_node(ckpt, dir, &node) == 0)
			g_ptr_array_add(names, mne_ckpt_name(ckpt));
	}
	if (names->len > 1)
		qsort(names->pdata, names->len, sizeof(gpointer), compare_names);
	return names;
}
