/* SPDX-License-Identifier: Apache-2.0
 *
 * unit/test-inode.c - the inodes the kernel knows: found again, named, moved, forgotten
 */
#include "config.h"

#include "ns/inode.h"
#include "record/keys.h"

#include <string.h>

static const MneIdentity live = { .object = MNE_OBJECT_LIVE, .table = 7, .rec = 42 };

static MneSlice letters(char *buffer, size_t len)
{
	memset(buffer, 'a' + (int)(len % 26), len);
	return mne_slice((const uint8_t *)buffer, len);
}

static void assert_place(MneInodes *inodes, MneInode *inode, uint64_t dir,
			 MneSlice name)
{
	MneFinding finding;

	mne_inode_find(inodes, inode, &finding);
	g_assert_cmpuint(finding.place.dir, ==, dir);
	g_assert_cmpmem(finding.place.name.data, finding.place.name.len, name.data,
			name.len);
}

static void test_a_name_of_any_length_replaces_one_of_any_other(void)
{
	static const size_t lengths[] = { 1, 13, 14, 15, 16, 100, 254, 255 };
	char first[MNE_NAME_MAX], then[MNE_NAME_MAX];

	for (size_t i = 0; i < G_N_ELEMENTS(lengths); i++) {
		for (size_t j = 0; j < G_N_ELEMENTS(lengths); j++) {
			g_autoptr(MneInodes) inodes = mne_inodes_new(NULL);
			MneSlice one = letters(first, lengths[i]);
			MneSlice two = letters(then, lengths[j]);
			MneInode *inode = mne_inodes_look_up(inodes, &live, 5, one);

			assert_place(inodes, inode, 5, one);
			mne_inodes_moved(inodes, NULL, live.rec, 6, two);
			assert_place(inodes, inode, 6, two);
			g_assert_true(mne_inodes_look_up(inodes, &live, 8, one) ==
				      inode);
			assert_place(inodes, inode, 8, one);
			mne_inodes_forget(inodes, inode, 2);
			g_assert_cmpuint(mne_inodes_count(inodes), ==, 1);
		}
	}
}

static void test_whatever_is_seen_otherwise_is_another_inode(void)
{
	g_autoptr(MneInodes) inodes = mne_inodes_new(NULL);
	MneIdentity other[5];
	MneInode *known[G_N_ELEMENTS(other)];
	const MneSlice name = mne_slice_str("n");

	for (size_t i = 0; i < G_N_ELEMENTS(other); i++)
		other[i] = live;
	other[1].rec++;
	other[2].via = 9;
	other[3].frag = 3;
	other[4].object = MNE_OBJECT_CTL;
	for (size_t i = 0; i < G_N_ELEMENTS(other); i++) {
		known[i] = mne_inodes_look_up(inodes, &other[i], 5, name);
		for (size_t j = 0; j < i; j++)
			g_assert_true(known[i] != known[j]);
	}
	for (size_t i = 0; i < G_N_ELEMENTS(other); i++) {
		MneIdentity is = mne_inode_identity(known[i]);

		g_assert_true(mne_inodes_look_up(inodes, &other[i], 5, name) ==
			      known[i]);
		g_assert_cmpuint(is.rec, ==, other[i].rec);
		g_assert_cmpuint(is.via, ==, other[i].via);
		g_assert_cmpuint(is.frag, ==, other[i].frag);
		g_assert_cmpint(is.object, ==, other[i].object);
		g_assert_cmpuint(is.table, ==, live.table);
		g_assert_null(is.ckpt);
	}
	g_assert_cmpuint(mne_inodes_number_of(inodes, NULL, live.rec), ==,
			 mne_inode_number(inodes, known[0]));
}

static void test_the_root_is_number_one_and_stays(void)
{
	g_autoptr(MneInodes) inodes = mne_inodes_new(NULL);
	MneInode *root = mne_inodes_root(inodes);

	g_assert_cmpuint(mne_inode_number(inodes, root), ==, 1);
	g_assert_true(mne_inode_of_number(inodes, 1) == root);
	g_assert_true(mne_inode_identity(root).is_dir);
	mne_inodes_forget(inodes, root, 1000);
	g_assert_cmpuint(mne_inode_identity(root).rec, ==, 1);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/inode/a-name-of-any-length-replaces-one-of-any-other",
			test_a_name_of_any_length_replaces_one_of_any_other);
	g_test_add_func("/inode/whatever-is-seen-otherwise-is-another-inode",
			test_whatever_is_seen_otherwise_is_another_inode);
	g_test_add_func("/inode/the-root-is-number-one-and-stays",
			test_the_root_is_number_one_and_stays);
	return g_test_run();
}
