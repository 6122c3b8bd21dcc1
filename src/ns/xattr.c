/* SPDX-License-Identifier: Apache-2.0
 *
 * ns/xattr.c - extended attributes, by what stands where
 *
 * `mnefs.*` is ours: read-only, never listed.  POSIX ACLs are not supported, and are
 * refused rather than kept without effect.
 */
#define G_LOG_DOMAIN "mne-ns"

#include "config.h"

#include "ns/frags.h"

#include <sys/xattr.h>

#define OUR_PREFIX "mnefs."
#define ACL_PREFIX "system.posix_acl_"

static bool has_prefix(MneSlice name, const char *prefix)
{
	return mne_slice_has_prefix(name, mne_slice_str(prefix));
}

/* security.* and trusted.* are the kernel's to allow. */
static int check_name_space(MneSlice name)
{
	static const char *const known[] = { "user.", "security.", "trusted." };

	if (has_prefix(name, OUR_PREFIX))
		return -EPERM;
	for (unsigned i = 0; i < G_N_ELEMENTS(known); i++)
		if (has_prefix(name, known[i]) && name.len > strlen(known[i]))
			return 0;
	return -EOPNOTSUPP;
}

static bool is_record(const MneInode *inode)
{
	MneObject object = mne_inode_identity(inode).object;

	return object == MNE_OBJECT_LIVE || object == MNE_OBJECT_PAST;
}

int mne_ns_setxattr(MneNs *ns, MneInode *inode, MneSlice name, MneSlice value,
		    int flags)
{
	MneIdentity self = mne_inode_identity(inode);
	MneFinding finding;
	int err;

	MNE_TRY(mne_ns_require_live(inode));
	MNE_TRY(check_name_space(name));
	if (!is_record(inode))
		return -EOPNOTSUPP;

	mne_inode_find(ns->inodes, inode, &finding);
	do
		err = mne_setxattr(mne_ns_store_of(ns, &self), &finding.place, name,
				   value, flags);
	while (mne_inode_retry(ns->inodes, inode, err, &finding));
	return err;
}

/* In which fragment of its table a record is. */
static int get_frag(MneNs *ns, MneInode *inode, GBytes **out_value)
{
	MneIdentity self = mne_inode_identity(inode);
	MneFinding finding;
	uint32_t frag;
	char *text;

	mne_inode_find(ns->inodes, inode, &finding);
	MNE_TRY(mne_frag_of_place(ns, &self, &finding.place, &frag));
	text = g_strdup_printf("%u", frag);
	*out_value = g_bytes_new_take(text, strlen(text));
	return 0;
}

/* Whether a table lists fragments or records, and since which commit. */
static int get_listing(MneNs *ns, const MneInode *inode, GBytes **out_value)
{
	MneIdentity self = mne_inode_identity(inode);
	bool fragments;
	uint64_t since;
	char *text;

	MNE_TRY(mne_frags_listing(ns, &self, &fragments, &since));
	text = g_strdup_printf("%s %" G_GUINT64_FORMAT,
			       fragments ? "fragments" : "records", since);
	*out_value = g_bytes_new_take(text, strlen(text));
	return 0;
}

static int get_fact(MneNs *ns, MneInode *inode, MneSlice name, GBytes **out_value)
{
	static const char *const facts[] = { "mnefs.seq", "mnefs.version",
					     "mnefs.mtime_ns", "mnefs.btime" };
	g_auto(MneNode) node = { 0 };
	uint64_t values[G_N_ELEMENTS(facts)];
	MneFinding finding;

	if (mne_slice_equal(name, mne_slice_str("mnefs.frag")))
		return get_frag(ns, inode, out_value);
	if (mne_slice_equal(name, mne_slice_str("mnefs.listing")))
		return get_listing(ns, inode, out_value);
	MNE_TRY(mne_ns_node(ns, inode, &finding, &node));
	values[0] = node.seq;
	values[1] = node.version;
	values[2] = (uint64_t)node.mtime.tv_sec * 1000000000 +
		    (uint64_t)node.mtime.tv_nsec;
	values[3] = (uint64_t)node.btime.tv_sec * 1000000000 +
		    (uint64_t)node.btime.tv_nsec;
	for (unsigned i = 0; i < G_N_ELEMENTS(facts); i++) {
		char *text;

		if (!mne_slice_equal(name, mne_slice_str(facts[i])))
			continue;
		text = g_strdup_printf("%" G_GUINT64_FORMAT, values[i]);
		*out_value = g_bytes_new_take(text, strlen(text));
		return 0;
	}
	return -ENODATA;
}

int mne_ns_getxattr(MneNs *ns, MneInode *inode, MneSlice name, GBytes **out_value)
{
	MneIdentity self = mne_inode_identity(inode);
	g_auto(MneNode) node = { 0 };
	MneFinding finding;
	int err;

	if (has_prefix(name, ACL_PREFIX))
		return -EOPNOTSUPP;
	if (!is_record(inode))
		return -ENODATA;
	if (has_prefix(name, OUR_PREFIX))
		return get_fact(ns, inode, name, out_value);
	if (self.ckpt) {
		MNE_TRY(mne_ns_node(ns, inode, &finding, &node));
		return mne_view_xattr(&self.ckpt->view, self.table, &node, name,
				      out_value);
	}
	mne_inode_find(ns->inodes, inode, &finding);
	do
		err = mne_live_xattr(mne_ns_store_of(ns, &self), &finding.place, name,
				     out_value);
	while (mne_inode_retry(ns->inodes, inode, err, &finding));
	return err;
}

int mne_ns_listxattr(MneNs *ns, MneInode *inode, GByteArray *out)
{
	MneIdentity self = mne_inode_identity(inode);
	g_auto(MneNode) node = { 0 };
	MneFinding finding;
	int err;

	if (!is_record(inode))
		return 0;
	if (self.ckpt) {
		MNE_TRY(mne_ns_node(ns, inode, &finding, &node));
		return mne_view_xattr_names(&self.ckpt->view, self.table, &node, out);
	}
	mne_inode_find(ns->inodes, inode, &finding);
	do
		err = mne_live_xattr_names(mne_ns_store_of(ns, &self), &finding.place,
					   out);
	while (mne_inode_retry(ns->inodes, inode, err, &finding));
	return err;
}
