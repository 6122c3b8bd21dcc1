/* SPDX-License-Identifier: Apache-2.0
 *
 * fs-tests/unit/test-check.c - what the passes find in a store damaged on purpose, and mend
 *
 * Every test damages a store that is clean, expects a finding of one pass, and, where it
 * can be mended, a clean store afterwards.
 */
#include "config.h"

#include "check/check.h"

#include "txns.h"

static void populate(Fixture *f)
{
	const MneMake dir = { .mode = S_IFDIR | 0755 };
	const char big[4000] = "x";
	g_auto(MneNode) node = { 0 };
	g_auto(MneNode) after = { 0 };
	MneSpot sub = spot_of(f, "sub");
	MnePlace linked;
	MneSpot link;

	write_text(f, "small", "a few bytes");
	write_file(f, "big", 1, 300000);
	write_file(f, "linked", 2, 9000);
	linked = place_of(f, "linked");
	g_assert_cmpint(mne_setxattr(f->store, &linked, mne_slice_str("user.big"),
				     mne_slice(big, sizeof(big)), 0),
			==, 0);
	g_assert_cmpint(mne_make(f->store, &sub, &dir, &node), ==, 0);
	link = (MneSpot){ f->table, node.rec, mne_slice_str("second") };
	g_assert_cmpint(mne_link(f->store, &linked, &link, &after), ==, 0);
	mne_ckpt_unref(checkpoint(f, "c"));
	write_file(f, "big", 3, 200000);
	write_text(f, "small", "some other bytes");
}

static void set_up(Fixture *f, gconstpointer data)
{
	fixture_set_up(f, data);
	populate(f);
}

static uint64_t sub_dir(const Fixture *f)
{
	return place_of(f, "sub").rec;
}

static void destroy(Fixture *f, const MneKey *key)
{
	g_autoptr(MneKvBatch) batch = mne_kv_batch_new();

	mne_kv_batch_del(batch, mne_key_slice(key));
	g_assert_cmpint(mne_kv_apply(mne_store_kv(f->store), batch), ==, 0);
}

static void overwrite(Fixture *f, MneSlice key, MneSlice value)
{
	g_autoptr(MneKvBatch) batch = mne_kv_batch_new();

	mne_kv_batch_put(batch, key, value);
	g_assert_cmpint(mne_kv_apply(mne_store_kv(f->store), batch), ==, 0);
}

static GBytes *value_at(Fixture *f, const MneKey *key)
{
	GBytes *value = NULL;

	g_assert_cmpint(mne_kv_get(mne_store_kv(f->store), mne_key_slice(key), &value),
			==, 0);
	return value;
}

/* How often pass had something to say. */
static unsigned findings_of(Fixture *f, bool repair, const char *pass,
			    uint64_t *out_all)
{
	g_auto(MneCheckReport) report = { 0 };
	unsigned count = 0;

	mne_check_report_init(&report);
	g_assert_cmpint(mne_check_run(f->store, repair, &report), ==, 0);
	for (unsigned i = 0; i < report.findings->len; i++) {
		const MneCheckFinding *finding = &g_array_index(report.findings,
								MneCheckFinding, i);

		g_test_message("%s: %s", finding->pass, finding->text);
		count += pass && strcmp(finding->pass, pass) == 0;
	}
	*out_all = report.found;
	return count;
}

static void assert_clean(Fixture *f)
{
	uint64_t all;

	(void)findings_of(f, false, NULL, &all);
	g_assert_cmpuint(all, ==, 0);
}

static void assert_found(Fixture *f, const char *pass)
{
	uint64_t all;

	g_assert_cmpuint(findings_of(f, false, pass, &all), >, 0);
}

static void assert_mended(Fixture *f, const char *pass)
{
	uint64_t all;

	assert_found(f, pass);
	g_assert_cmpuint(findings_of(f, true, pass, &all), >, 0);
	assert_clean(f);
	fixture_reopen(f);
	assert_clean(f);
}

static void test_a_store_in_use_is_clean_at_every_stage(Fixture *f, gconstpointer data)
{
	(void)data;
	assert_clean(f);
	remove_file(f, "linked");
	mne_ckpt_unref(checkpoint(f, "d"));
	remove_file(f, "big");
	assert_clean(f);
	g_assert_cmpint(mne_store_drop(f->store, mne_slice_str("c")), ==, 0);
	assert_clean(f);
	while (mne_store_work(f->store))
		assert_clean(f);
	g_assert_cmpint(mne_store_drop(f->store, mne_slice_str("d")), ==, 0);
	work_off(f);
	assert_clean(f);
	fixture_reopen(f);
	assert_clean(f);
}

/* As when an older inode comes back whose data was given up since. */
static void test_data_that_counts_as_deleted_and_is_not_is_kept(Fixture *f,
								gconstpointer data)
{
	g_autoptr(MneKvBatch) batch = mne_kv_batch_new();
	g_autoptr(GByteArray) value = g_byte_array_new();
	g_auto(MneNode) node = { 0 };
	MneSpot big = spot_of(f, "big");
	uint32_t table;
	MneKey key;

	(void)data;
	g_assert_cmpint(
		mne_live_lookup(f->store, f->table, f->dir, big.name, &table, &node),
		==, 0);
	mne_key_orphan(&key, table, node.data);
	mne_value_begin(value, MNE_KIND_ORPHAN, f->store->volume->seq);
	mne_value_end(value);
	overwrite(f, mne_key_slice(&key), mne_slice(value->data, value->len));
	fixture_reopen(f);
	assert_mended(f, "extents");
	work_off(f);
	assert_clean(f);
}

/* A repair that changes what tables show is remembered; others are not. */
static void assert_break(Fixture *f, bool expected)
{
	g_assert_cmpint(mne_store_mended(f->store) > 0, ==, expected);
	fixture_reopen(f);
	g_assert_cmpint(mne_store_mended(f->store) > 0, ==, expected);
	g_assert_cmpuint(mne_store_mended(f->store), <=, f->store->volume->seq);
}

/* What a rollback to the checkpoint looks at. */
static void assert_changed(Fixture *f, const MneKey *key)
{
	uint64_t newest = mne_ckpts_newest(mne_store_ckpts(f->store), f->table);
	g_autoptr(GBytes) value = NULL;
	MneKey changed;

	mne_key_changed(&changed, newest, mne_key_slice(key));
	value = value_at(f, &changed);
	g_assert_nonnull(value);
}

static void test_a_key_of_no_kind_is_removed(Fixture *f, gconstpointer data)
{
	(void)data;
	overwrite(f, mne_slice_str("\x99 what is this?"), mne_slice_str("nothing"));
	assert_mended(f, "keys");
}

static void test_a_value_that_does_not_decode_is_removed(Fixture *f, gconstpointer data)
{
	MneKey key;

	(void)data;
	mne_key_node(&key, f->table, f->dir, mne_slice_str("small"));
	overwrite(f, mne_key_slice(&key), mne_slice_str("no inode at all"));
	assert_mended(f, "keys");
	assert_text(mne_store_live(f->store), f, "small", NULL);
	assert_break(f, true);
	assert_changed(f, &key);
}

static void test_a_directory_without_inode_gets_one(Fixture *f, gconstpointer data)
{
	MneKey key;

	(void)data;
	mne_key_node(&key, f->table, sub_dir(f), MNE_SLICE_EMPTY);
	destroy(f, &key);
	assert_mended(f, "directories");
	g_assert_true(place_of(f, "sub").is_dir);
}

static void test_a_directory_without_name_gets_its_own_back(Fixture *f,
							    gconstpointer data)
{
	uint64_t dir = sub_dir(f);
	MneKey key;

	(void)data;
	mne_key_node(&key, f->table, f->dir, mne_slice_str("sub"));
	destroy(f, &key);
	assert_mended(f, "directories");
	g_assert_cmpuint(sub_dir(f), ==, dir);
}

static void test_a_directory_without_name_and_inode_is_called_lost(Fixture *f,
								   gconstpointer data)
{
	g_autofree char *lost = g_strdup_printf("lost-%" G_GUINT64_FORMAT,
						(guint64)sub_dir(f));
	MneKey key;

	(void)data;
	mne_key_node(&key, f->table, sub_dir(f), MNE_SLICE_EMPTY);
	destroy(f, &key);
	mne_key_node(&key, f->table, f->dir, mne_slice_str("sub"));
	destroy(f, &key);
	assert_mended(f, "directories");
	g_assert_true(place_of(f, lost).is_dir);
}

static void test_a_name_that_leads_to_no_file_is_removed(Fixture *f, gconstpointer data)
{
	MneKey key;

	(void)data;
	mne_key_inode(&key, f->table, place_of(f, "linked").rec);
	destroy(f, &key);
	assert_mended(f, "links");
	assert_text(mne_store_live(f->store), f, "linked", NULL);
}

static void test_a_linked_file_without_names_is_called_lost(Fixture *f,
							    gconstpointer data)
{
	uint64_t rec = place_of(f, "linked").rec;
	g_autofree char *lost = g_strdup_printf("lost-%" G_GUINT64_FORMAT,
						(guint64)rec);
	MneKey key;

	(void)data;
	mne_key_node(&key, f->table, f->dir, mne_slice_str("linked"));
	destroy(f, &key);
	mne_key_node(&key, f->table, sub_dir(f), mne_slice_str("second"));
	destroy(f, &key);
	assert_mended(f, "links");
	assert_made(mne_store_live(f->store), f, lost, 2, 9000);
}

static void test_an_entry_that_vanished_is_no_longer_counted(Fixture *f,
							     gconstpointer data)
{
	MneKey key;

	(void)data;
	mne_key_node(&key, f->table, f->dir, mne_slice_str("small"));
	destroy(f, &key);
	assert_mended(f, "counters");
}

static void test_bytes_of_no_file_become_a_file(Fixture *f, gconstpointer data)
{
	MneStoreStats before, after;
	MneKey key;

	(void)data;
	g_assert_cmpint(mne_store_drop(f->store, mne_slice_str("c")), ==, 0);
	work_off(f);
	mne_store_stats(f->store, &before);
	mne_key_node(&key, f->table, f->dir, mne_slice_str("big"));
	destroy(f, &key);
	assert_mended(f, "extents");
	work_off(f);
	assert_clean(f);
	mne_store_stats(f->store, &after);
	g_assert_cmpuint(after.live_bytes, ==, before.live_bytes);
	g_assert_cmpuint(after.records, ==, before.records);
}

static void test_an_attribute_of_no_record_is_removed(Fixture *f, gconstpointer data)
{
	g_autoptr(GBytes) value = NULL;
	MneKey key;

	(void)data;
	mne_key_xattr(&key, f->table, place_of(f, "linked").rec,
		      mne_slice_str("user.big"));
	value = value_at(f, &key);
	mne_key_xattr(&key, f->table, 999999, mne_slice_str("user.big"));
	overwrite(f, mne_key_slice(&key), mne_slice_of(value));
	assert_mended(f, "xattrs");
}

static void test_what_is_retained_for_no_checkpoint_is_removed(Fixture *f,
							       gconstpointer data)
{
	g_autoptr(GBytes) value = NULL;
	MneKey key, retained;

	(void)data;
	mne_key_node(&key, f->table, f->dir, mne_slice_str("small"));
	value = value_at(f, &key);
	mne_key_retained(&retained, mne_key_slice(&key), 1);
	overwrite(f, mne_key_slice(&retained), mne_slice_of(value));
	assert_mended(f, "history");
}

static void test_live_bytes_are_counted_again(Fixture *f, gconstpointer data)
{
	MneKey key;

	(void)data;
	mne_key_segment(&key, 1);
	destroy(f, &key);
	assert_mended(f, "segments");
	assert_break(f, false);
}

static void test_a_flipped_bit_in_a_segment_is_found(Fixture *f, gconstpointer data)
{
	g_autofree char *path = g_build_filename(f->path, "blob",
						 "0000000000000001.seg", NULL);
	g_autofree char *bytes = NULL;
	gsize len;

	(void)data;
	g_assert_true(g_file_get_contents(path, &bytes, &len, NULL));
	bytes[1000] ^= 1;
	g_assert_true(g_file_set_contents_full(path, bytes, (gssize)len,
					       G_FILE_SET_CONTENTS_NONE, 0600, NULL));
	fixture_reopen(f);
	assert_found(f, "frames");
}

static void test_a_wrong_count_of_what_is_retained_is_mended(Fixture *f,
							     gconstpointer data)
{
	MneTally *tally = mne_ckpts_tally(mne_store_ckpts(f->store));
	const MneTallyCell wrong = { f->table, 1, 2, 1000, 3 };
	g_autoptr(MneKvBatch) batch = mne_kv_batch_new();

	(void)data;
	mne_tally_put(tally, &wrong, 1, batch);
	g_assert_cmpint(mne_store_apply_raw(f->store, batch), ==, 0);
	fixture_reopen(f);
	assert_mended(f, "tally");
	fixture_reopen(f);
	assert_clean(f);
	assert_break(f, false);
}

static void add(const char *name, void (*func)(Fixture *, gconstpointer))
{
	g_autofree char *path = g_strdup_printf("/check/%s", name);

	g_test_add(path, Fixture, NULL, set_up, func, fixture_tear_down);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	add("clean", test_a_store_in_use_is_clean_at_every_stage);
	add("key", test_a_key_of_no_kind_is_removed);
	add("value", test_a_value_that_does_not_decode_is_removed);
	add("dir-inode", test_a_directory_without_inode_gets_one);
	add("dir-name", test_a_directory_without_name_gets_its_own_back);
	add("dir-both", test_a_directory_without_name_and_inode_is_called_lost);
	add("link", test_a_name_that_leads_to_no_file_is_removed);
	add("link-lost", test_a_linked_file_without_names_is_called_lost);
	add("counters", test_an_entry_that_vanished_is_no_longer_counted);
	add("extents", test_bytes_of_no_file_become_a_file);
	add("orphan", test_data_that_counts_as_deleted_and_is_not_is_kept);
	add("xattr", test_an_attribute_of_no_record_is_removed);
	add("history", test_what_is_retained_for_no_checkpoint_is_removed);
	add("tally", test_a_wrong_count_of_what_is_retained_is_mended);
	add("segments", test_live_bytes_are_counted_again);
	add("frames", test_a_flipped_bit_in_a_segment_is_found);
	return g_test_run();
}
