/* SPDX-License-Identifier: Apache-2.0
 *
 * fs-tests/unit/test-ckpt.c - checkpoints of a store, without a mount
 */
#include "config.h"

#include "txns.h"

static void test_a_checkpoint_shows_what_was_and_the_live_view_what_is(
	Fixture *f, gconstpointer data)
{
	g_autoptr(MneCkpt) ckpt = NULL;
	MneView *live = mne_store_live(f->store);

	(void)data;
	write_text(f, "kept", "same");
	write_text(f, "changed", "before");
	write_text(f, "removed", "gone");
	ckpt = checkpoint(f, "c");
	write_text(f, "changed", "after");
	write_text(f, "changed", "after that");
	write_text(f, "made", "new");
	remove_file(f, "removed");

	assert_text(&ckpt->view, f, "kept", "same");
	assert_text(&ckpt->view, f, "changed", "before");
	assert_text(&ckpt->view, f, "removed", "gone");
	assert_text(&ckpt->view, f, "made", NULL);
	assert_text(live, f, "changed", "after that");
	assert_text(live, f, "removed", NULL);

	g_autofree char *past_names = names_in(&ckpt->view, f);
	g_autofree char *live_names = names_in(live, f);

	g_assert_cmpstr(past_names, ==, "changed kept removed");
	g_assert_cmpstr(live_names, ==, "changed kept made");
}

static void test_big_files_are_kept_by_extents_and_given_back(Fixture *f,
							      gconstpointer data)
{
	const size_t size = 3 * 1024 * 1024 + 17;
	g_autoptr(MneCkpt) ckpt = NULL;
	MneStoreStats stats;

	(void)data;
	write_file(f, "big", 1, size);
	ckpt = checkpoint(f, "c");
	write_file(f, "big", 2, size);
	work_off(f);
	assert_made(&ckpt->view, f, "big", 1, size);
	assert_made(mne_store_live(f->store), f, "big", 2, size);
	mne_store_stats(f->store, &stats);
	g_assert_cmpuint(stats.live_bytes, ==, 2 * size);

	g_assert_cmpint(mne_store_drop(f->store, mne_slice_str("c")), ==, 0);
	work_off(f);
	mne_store_stats(f->store, &stats);
	g_assert_cmpuint(stats.live_bytes, ==, size);
	assert_made(mne_store_live(f->store), f, "big", 2, size);
	remove_file(f, "big");
	work_off(f);
	mne_store_stats(f->store, &stats);
	g_assert_cmpuint(stats.live_bytes, ==, 0);
}

static void overwrite_middle(Fixture *f, const char *name, uint64_t offset, size_t len)
{
	g_autofree uint8_t *bytes = g_malloc(len);
	MnePlace place = place_of(f, name);
	MneFile *file = NULL;

	memset(bytes, 'x', len);
	g_assert_cmpint(mne_file_open(f->store, &place, true, false, &file), ==, 0);
	g_assert_cmpint(mne_file_write(file, offset, bytes, len, false, false), ==,
			len);
	g_assert_cmpint(mne_file_close(file, true), ==, 0);
}

static void test_overwriting_inside_a_big_file_changes_only_the_live_one(
	Fixture *f, gconstpointer data)
{
	const size_t size = 1000000, at = 131072 - 5, len = 300000;
	g_autoptr(MneCkpt) ckpt = NULL;
	g_autoptr(GBytes) got = NULL;
	g_autoptr(GBytes) was = made_bytes(7, size);
	g_autofree uint8_t *want = g_memdup2(g_bytes_get_data(was, NULL), size);

	(void)data;
	write_file(f, "big", 7, size);
	ckpt = checkpoint(f, "c");
	overwrite_middle(f, "big", at, len);
	overwrite_middle(f, "big", 10, 1);
	overwrite_middle(f, "big", 12, 1);
	memset(want + at, 'x', len);
	want[10] = want[12] = 'x';

	got = bytes_in(mne_store_live(f->store), f, "big");
	g_assert_cmpmem(g_bytes_get_data(got, NULL), g_bytes_get_size(got), want, size);
	assert_made(&ckpt->view, f, "big", 7, size);
	fixture_reopen(f);
	g_clear_pointer(&got, g_bytes_unref);
	got = bytes_in(mne_store_live(f->store), f, "big");
	g_assert_cmpmem(g_bytes_get_data(got, NULL), g_bytes_get_size(got), want, size);
	/* The checkpoint object belongs to the closed store: only its memory is left. */
}

static void test_of_many_checkpoints_each_shows_its_own_moment(Fixture *f,
							       gconstpointer data)
{
	enum { N = 12 };
	MneCkpt *ckpts[N];

	(void)data;
	for (unsigned i = 0; i < N; i++) {
		g_autofree char *text = g_strdup_printf("version %u", i);
		g_autofree char *name = g_strdup_printf("c%02u", i);

		write_text(f, i % 3 == 0 ? "a" : "b", text);
		ckpts[i] = checkpoint(f, name);
	}
	/* Drop every second one, reclaim, and look at the rest. */
	for (unsigned i = 1; i < N; i += 2) {
		g_autofree char *name = g_strdup_printf("c%02u", i);

		g_assert_cmpint(mne_store_drop(f->store, mne_slice_str(name)), ==, 0);
	}
	for (unsigned round = 0; round < 2; round++) {
		for (unsigned i = 0; i < N; i += 2) {
			g_autofree char *a = g_strdup_printf("version %u", i - i % 3);
			unsigned last_b = i % 3 == 0 ? i - 1 : i;
			g_autofree char *b = g_strdup_printf("version %u", last_b);

			assert_text(&ckpts[i]->view, f, "a", a);
			assert_text(&ckpts[i]->view, f, "b", i == 0 ? NULL : b);
		}
		work_off(f);
	}
	for (unsigned i = 0; i < N; i++)
		mne_ckpt_unref(ckpts[i]);
}

static void test_a_dropped_checkpoint_answers_estale(Fixture *f, gconstpointer data)
{
	g_autoptr(MneCkpt) ckpt = NULL;
	g_autoptr(MneListing) listing = NULL;
	g_auto(MneNode) node = { 0 };
	MneEntry entry;
	uint32_t table;

	(void)data;
	write_text(f, "a", "1");
	ckpt = checkpoint(f, "c");
	g_assert_cmpint(
		mne_view_list(&ckpt->view, f->table, f->dir, MNE_SLICE_EMPTY, &listing),
		==, 0);
	g_assert_cmpint(mne_store_drop(f->store, mne_slice_str("c")), ==, 0);
	g_assert_true(mne_err_is(mne_view_lookup(&ckpt->view, f->table, f->dir,
						 mne_slice_str("a"), &table, &node),
				 ESTALE));
	g_assert_true(mne_err_is(mne_listing_next(listing, &entry, NULL), ESTALE));
}

static void test_an_open_file_is_in_no_checkpoint_until_it_is_closed(Fixture *f,
								     gconstpointer data)
{
	const MneMake what = { .mode = S_IFREG | 0644 };
	g_autoptr(MneCkpt) before = NULL;
	g_autoptr(MneCkpt) after = NULL;
	MneSpot spot = spot_of(f, "new");
	MneFile *file = NULL;
	MneNode node;

	(void)data;
	g_assert_cmpint(mne_file_create(f->store, &spot, &what, &file, &node), ==, 0);
	g_assert_cmpint(mne_file_write(file, 0, "half", 4, false, false), ==, 4);
	before = checkpoint(f, "before");
	assert_text(&before->view, f, "new", NULL);
	g_assert_cmpint(mne_file_write(file, 4, "whole", 5, false, false), ==, 5);
	g_assert_cmpint(mne_file_close(file, true), ==, 0);
	after = checkpoint(f, "after");
	assert_text(&before->view, f, "new", NULL);
	assert_text(&after->view, f, "new", "halfwhole");
}

static void test_checkpoints_survive_a_reopen(Fixture *f, gconstpointer data)
{
	g_autoptr(MneCkpt) ckpt = NULL;
	g_autofree char *name = NULL;

	(void)data;
	write_text(f, "a", "old");
	mne_ckpt_unref(checkpoint(f, "c"));
	write_text(f, "a", "new");
	fixture_reopen(f);
	g_assert_cmpint(
		mne_ckpts_find(mne_store_ckpts(f->store), mne_slice_str("c"), &ckpt),
		==, 0);
	assert_text(&ckpt->view, f, "a", "old");
	assert_text(mne_store_live(f->store), f, "a", "new");
	g_assert_cmpint(
		mne_store_rename_ckpt(f->store, mne_slice_str("c"), mne_slice_str("d")),
		==, 0);
	name = mne_ckpt_name(ckpt);
	g_assert_cmpstr(name, ==, "d");
}

static void test_a_version_counts_the_checkpoints_that_share_it(Fixture *f,
								gconstpointer data)
{
	g_autoptr(MneCkpt) one = NULL;
	g_autoptr(MneCkpt) two = NULL;
	g_autoptr(MneCkpt) three = NULL;
	g_auto(MneNode) in_one = { 0 };
	g_auto(MneNode) in_three = { 0 };
	g_auto(MneNode) now = { 0 };
	MnePlace place;
	unsigned count;

	(void)data;
	write_text(f, "a", "old");
	place = place_of(f, "a");
	one = checkpoint(f, "1");
	two = checkpoint(f, "2");
	write_text(f, "a", "new");
	three = checkpoint(f, "3");
	g_assert_cmpint(mne_view_node(&one->view, &place, &in_one), ==, 0);
	g_assert_cmpint(mne_view_node(&three->view, &place, &in_three), ==, 0);
	g_assert_cmpint(mne_live_node(f->store, &place, &now), ==, 0);
	g_assert_cmpint(mne_ckpt_sharers_of(one, &place, &in_one, &count), ==, 0);
	g_assert_cmpuint(count, ==, 2);
	g_assert_cmpint(mne_ckpt_sharers_of(three, &place, &in_three, &count), ==, 0);
	g_assert_cmpuint(count, ==, 1);
	g_assert_cmpuint(in_one.version, !=, in_three.version);
	g_assert_cmpuint(in_one.rec, ==, now.rec);
	g_assert_cmpuint(in_one.version, !=, now.rec);
	/* rsync compares seconds: they differ. */
	g_assert_cmpint(in_three.mtime.tv_sec, >, in_one.mtime.tv_sec);
}

static void test_segments_mostly_dead_are_swept_and_nothing_is_lost(Fixture *f,
								    gconstpointer data)
{
	const size_t size = 900000;
	g_autoptr(MneCkpt) ckpt = NULL;
	MneStoreStats stats;

	(void)data;
	for (unsigned i = 0; i < 8; i++) {
		g_autofree char *name = g_strdup_printf("f%u", i);

		write_file(f, name, i, size);
	}
	ckpt = checkpoint(f, "c");
	for (unsigned i = 1; i < 8; i++) {
		g_autofree char *name = g_strdup_printf("f%u", i);

		remove_file(f, name);
	}
	mne_blob_seal(mne_store_blob(f->store));
	work_off(f);
	assert_made(&ckpt->view, f, "f5", 5, size);
	g_assert_cmpint(mne_store_drop(f->store, mne_slice_str("c")), ==, 0);
	work_off(f);
	mne_store_stats(f->store, &stats);
	g_assert_cmpuint(stats.live_bytes, ==, size);
	g_assert_cmpuint(stats.blob_bytes, <, 2 * size);
	assert_made(mne_store_live(f->store), f, "f0", 0, size);
}

static int change(Fixture *f, unsigned set, bool pinned, int64_t expires_ns, char *note)
{
	MneCkptChange change = { set, { pinned, expires_ns, note } };

	return mne_store_change_ckpt(f->store, mne_slice_str("c"), &change);
}

static void assert_traits(Fixture *f, bool pinned, int64_t expires_ns, const char *note)
{
	g_auto(MneCkptTraits) traits = { 0 };
	g_autoptr(MneCkpt) ckpt = NULL;

	g_assert_cmpint(
		mne_ckpts_find(mne_store_ckpts(f->store), mne_slice_str("c"), &ckpt),
		==, 0);
	mne_ckpt_traits(ckpt, &traits);
	g_assert_cmpint(traits.pinned, ==, pinned);
	g_assert_cmpint(traits.expires_ns, ==, expires_ns);
	g_assert_cmpstr(traits.note, ==, note);
}

static void test_a_pin_a_note_and_an_expiry_are_kept_and_can_be_taken_back(
	Fixture *f, gconstpointer data)
{
	char note[] = "before the move";
	char bad[] = "two\nlines";
	g_autoptr(MneCkpt) ckpt = checkpoint(f, "c");

	(void)data;
	assert_traits(f, false, 0, NULL);
	g_assert_cmpint(change(f, MNE_CKPT_SET_PINNED, true, 0, NULL), ==, 0);
	g_assert_cmpint(change(f, MNE_CKPT_SET_NOTE, false, 0, note), ==, 0);
	g_assert_cmpint(change(f, MNE_CKPT_SET_EXPIRES, false, 77, NULL), ==, 0);
	g_assert_cmpint(change(f, MNE_CKPT_SET_NOTE, false, 0, bad), ==,
			-MNE_E_CKPT_NOTE);
	assert_traits(f, true, 77, note);
	g_assert_cmpint(
		mne_store_rename_ckpt(f->store, mne_slice_str("c"), mne_slice_str("d")),
		==, 0);
	g_assert_cmpint(
		mne_store_rename_ckpt(f->store, mne_slice_str("d"), mne_slice_str("c")),
		==, 0);
	g_clear_pointer(&ckpt, mne_ckpt_unref);
	fixture_reopen(f);
	assert_traits(f, true, 77, note);
	g_assert_cmpint(change(f, 7, false, 0, NULL), ==, 0);
	fixture_reopen(f);
	assert_traits(f, false, 0, NULL);
}

static void test_a_pinned_checkpoint_is_dropped_by_force_alone(Fixture *f,
							       gconstpointer data)
{
	MneSlice name = mne_slice_str("c");
	g_autoptr(MneCkpt) ckpt = checkpoint(f, "c");

	(void)data;
	g_assert_cmpint(change(f, MNE_CKPT_SET_PINNED, true, 0, NULL), ==, 0);
	g_assert_cmpint(mne_store_drop(f->store, name), ==, -MNE_E_CKPT_PINNED);
	g_assert_true(mne_ckpt_is_active(ckpt));
	g_assert_cmpint(mne_store_drop_by_force(f->store, name), ==, 0);
	g_assert_false(mne_ckpt_is_active(ckpt));
}

static void test_a_list_of_tables_must_be_one(Fixture *f, gconstpointer data)
{
	g_autoptr(GArray) tables = g_array_new(FALSE, FALSE, sizeof(uint32_t));
	g_autoptr(MneCkpt) ckpt = NULL;
	MneCkptSpec spec = { .name = mne_slice_str("c"), .tables = tables };
	uint32_t unknown = 4711;

	(void)data;
	g_assert_cmpint(mne_store_checkpoint(f->store, &spec, &ckpt), ==,
			-MNE_E_CKPT_NO_TABLES);
	g_array_append_val(tables, f->table);
	g_array_append_val(tables, f->table);
	g_assert_cmpint(mne_store_checkpoint(f->store, &spec, &ckpt), ==,
			-MNE_E_CKPT_TWICE);
	g_array_index(tables, uint32_t, 1) = unknown;
	g_assert_cmpint(mne_store_checkpoint(f->store, &spec, &ckpt), ==,
			-MNE_E_NO_TABLE);
	g_array_set_size(tables, 1);
	spec.max_tables = tables;
	spec.flags = MNE_CKPT_OF_DUMP;
	g_assert_cmpint(mne_store_checkpoint(f->store, &spec, &ckpt), ==, 0);
	g_clear_pointer(&ckpt, mne_ckpt_unref);
	fixture_reopen(f);
	g_assert_cmpint(mne_ckpts_find(mne_store_ckpts(f->store), spec.name, &ckpt), ==,
			0);
	g_assert_cmpuint(ckpt->max_tables->len, ==, 1);
	g_assert_cmpuint(ckpt->flags, ==, MNE_CKPT_OF_DUMP);
}

#define ADD(func)                                                       \
	g_test_add("/ckpt/" #func, Fixture, NULL, fixture_set_up, func, \
		   fixture_tear_down)

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	ADD(test_a_checkpoint_shows_what_was_and_the_live_view_what_is);
	ADD(test_big_files_are_kept_by_extents_and_given_back);
	ADD(test_overwriting_inside_a_big_file_changes_only_the_live_one);
	ADD(test_of_many_checkpoints_each_shows_its_own_moment);
	ADD(test_a_dropped_checkpoint_answers_estale);
	ADD(test_an_open_file_is_in_no_checkpoint_until_it_is_closed);
	ADD(test_checkpoints_survive_a_reopen);
	ADD(test_a_version_counts_the_checkpoints_that_share_it);
	ADD(test_a_pin_a_note_and_an_expiry_are_kept_and_can_be_taken_back);
	ADD(test_a_pinned_checkpoint_is_dropped_by_force_alone);
	ADD(test_a_list_of_tables_must_be_one);
	ADD(test_segments_mostly_dead_are_swept_and_nothing_is_lost);
	return g_test_run();
}
