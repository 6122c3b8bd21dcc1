/* SPDX-License-Identifier: Apache-2.0
 *
 * unit/test-util.c - errors, locks, coding, log
 */
#define G_LOG_DOMAIN "mne-test"

#include "config.h"

#include "util/coding.h"
#include "util/error.h"
#include "util/lock.h"
#include "util/log.h"
#include "util/ref.h"
#include "util/slice.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include <glib.h>

/* --- errors ------------------------------------------------------------------- */

static void test_every_private_error_is_its_parent_and_becomes_it(void)
{
	for (int code = MNE_E_BASE + 1; code < MNE_E_END; code++) {
		int parent = mne_err_errno(-code);

		g_assert_cmpint(parent, >, 0);
		g_assert_cmpint(parent, <, MNE_E_BASE);
		g_assert_true(mne_err_is(-code, parent));
		g_assert_true(mne_err_is(-code, -parent));
		g_assert_true(mne_err_is(code, code));
		g_assert_true(mne_err_is(-code, code));
		g_assert_cmpint(mne_err_errno(-parent), ==, parent);
		g_assert_cmpstr(mne_err_text(-code), !=, "");
		g_assert_cmpstr(mne_err_name(-code), !=, mne_err_name(-parent));
	}
}

static void test_a_parent_is_not_its_child_nor_is_a_sibling(void)
{
	g_assert_false(mne_err_is(-ENOENT, MNE_E_NO_TABLE));
	g_assert_false(mne_err_is(-MNE_E_NO_RECORD, MNE_E_NO_TABLE));
	g_assert_false(mne_err_is(-MNE_E_NO_RECORD, EIO));
	g_assert_true(mne_err_is(-ENOENT, ENOENT));
	g_assert_false(mne_err_is(0, ENOENT));
}

static void test_a_sentence_of_the_system_tells_the_error(void)
{
	static const int told[] = { ENOSPC, EDQUOT, EROFS, EACCES, EMFILE, ENOMEM };

	for (size_t i = 0; i < G_N_ELEMENTS(told); i++) {
		g_autofree char *sentence = g_strconcat(
			"cannot write /s/kv/000007.log: ", g_strerror(told[i]), NULL);

		g_assert_cmpint(mne_err_in_sentence(sentence), ==, -told[i]);
	}
	g_assert_cmpint(mne_err_in_sentence("Input/output error"), ==, -EIO);
	g_assert_cmpint(mne_err_in_sentence("something else"), ==, -EIO);
	g_assert_cmpint(mne_err_in_sentence(""), ==, -EIO);
}

static void test_no_number_confuses_the_error_table(void)
{
	static const int odd[] = { INT_MIN, INT_MAX, -MNE_E_BASE, -MNE_E_END, -4095,
				   0,       7 };

	for (size_t i = 0; i < G_N_ELEMENTS(odd); i++) {
		g_assert_nonnull(mne_err_name(odd[i]));
		g_assert_nonnull(mne_err_text(odd[i]));
		g_assert_nonnull(mne_err_sentence(odd[i]));
		g_assert_false(mne_err_is(odd[i], EIO));
		g_assert_cmpint(mne_err_errno(odd[i]), >=, 0);
		g_assert_cmpint(mne_err_errno(odd[i]), <, MNE_E_BASE);
	}
	g_assert_cmpint(mne_err_errno(7), ==, 0);
	g_assert_cmpint(mne_err_errno(-MNE_E_END), ==, EIO);
	g_assert_cmpstr(mne_err_name(-EIO), ==, "EIO");
	g_assert_cmpstr(mne_err_name(-MNE_E_KV_CORRUPT), ==, "KV_CORRUPT");
}

static uint64_t count_of(const char *wanted)
{
	const char *name = NULL;
	uint64_t count = 0;
	unsigned i = 0;

	while (mne_err_counter(i++, &name, &count))
		if (strcmp(name, wanted) == 0)
			return count;
	g_assert_not_reached();
}

static void test_throwing_counts_and_keeps_the_sentence(void)
{
	uint64_t before = count_of("NO_TABLE");
	int err = mne_throw(NO_TABLE, "no table \"%s\" of %d", "users", 3);

	g_assert_cmpint(err, ==, -MNE_E_NO_TABLE);
	g_assert_cmpstr(mne_err_sentence(err), ==, "no table \"users\" of 3");
	g_assert_cmpstr(mne_err_sentence(-MNE_E_NO_RECORD), ==, "no such record");
	g_assert_cmpstr(mne_err_sentence(-ENOENT), ==, g_strerror(ENOENT));
	g_assert_cmpuint(count_of("NO_TABLE"), ==, before + 1);
}

static void *throw_elsewhere(void *unused)
{
	g_assert_cmpstr(mne_err_sentence(-MNE_E_NO_TABLE), ==, "no such table");
	return GINT_TO_POINTER(mne_throw(NO_TABLE, "elsewhere, not %p", unused));
}

static void test_a_thread_keeps_its_own_sentence(void)
{
	int err = mne_throw(NO_TABLE, "here");
	pthread_t thread;

	g_assert_cmpint(pthread_create(&thread, NULL, throw_elsewhere, NULL), ==, 0);
	g_assert_cmpint(pthread_join(thread, NULL), ==, 0);
	g_assert_cmpstr(mne_err_sentence(err), ==, "here");
}

static void test_a_sentence_of_any_length_is_kept_whole_or_cut(void)
{
	g_autofree char *name = g_strnfill(5000, 'x');
	int err = mne_throw(NO_RECORD, "%s", name);

	g_assert_true(g_str_has_prefix(name, mne_err_sentence(err)));
	g_assert_cmpuint(strlen(mne_err_sentence(err)), >, 100);
}

static int succeed(int value)
{
	MNE_TRY(value);
	return 1;
}

static void test_try_leaves_only_on_failure(void)
{
	g_assert_cmpint(succeed(0), ==, 1);
	g_assert_cmpint(succeed(5), ==, 1);
	g_assert_cmpint(succeed(-MNE_E_NO_TABLE), ==, -MNE_E_NO_TABLE);
}

/* --- locks -------------------------------------------------------------------- */

typedef struct {
	MneLock lock;
	MneCond cond;
	int turns;
	bool go;
} Shared;

static void *take_turns(void *user)
{
	Shared *shared = user;

	for (int i = 0; i < 1000; i++) {
		MNE_WITH_LOCK(&shared->lock);
		while (!shared->go)
			mne_cond_wait(&shared->cond, &shared->lock);
		shared->turns++;
	}
	return NULL;
}

static void test_a_lock_lets_one_in_and_a_condition_wakes_all(void)
{
	Shared shared = { .turns = 0 };
	pthread_t threads[4];

	mne_lock_init(&shared.lock, MNE_RANK_TXN);
	mne_cond_init(&shared.cond);
	for (size_t i = 0; i < G_N_ELEMENTS(threads); i++)
		g_assert_cmpint(pthread_create(&threads[i], NULL, take_turns, &shared),
				==, 0);
	mne_lock(&shared.lock);
	mne_lock_assert_held(&shared.lock);
	shared.go = true;
	mne_cond_broadcast(&shared.cond);
	mne_unlock(&shared.lock);
	for (size_t i = 0; i < G_N_ELEMENTS(threads); i++)
		g_assert_cmpint(pthread_join(threads[i], NULL), ==, 0);
	mne_lock_assert_none_held();
	g_assert_cmpint(shared.turns, ==, 4000);
	mne_cond_clear(&shared.cond);
	mne_lock_clear(&shared.lock);
}

static void test_a_wait_ends_without_a_signal(void)
{
	MneLock lock = MNE_LOCK_INIT(MNE_RANK_TXN);
	MneCond cond;
	bool woken = true;

	mne_cond_init(&cond);
	MNE_WITH_LOCK(&lock);
	/* A wait may end early for no reason, but not for ever. */
	while (woken)
		woken = mne_cond_wait_ms(&cond, &lock, 1);
	mne_cond_clear(&cond);
}

static void test_locks_of_growing_rank_are_taken_and_scopes_end(void)
{
	MneLock gate = MNE_LOCK_INIT(MNE_RANK_GATE);
	MneLock engine = MNE_LOCK_INIT(MNE_RANK_ENGINE);

	for (int i = 0; i < 3; i++) {
		MNE_WITH_LOCK(&gate);
		MNE_WITH_LOCK(&engine);
		mne_lock_assert_held(&gate);
		mne_lock_assert_held(&engine);
	}
	mne_lock_assert_none_held();
}

/* Each does one forbidden thing, in a process of its own. */

static void take_in_wrong_order(void)
{
	MneLock gate = MNE_LOCK_INIT(MNE_RANK_GATE);
	MneLock engine = MNE_LOCK_INIT(MNE_RANK_ENGINE);

	mne_lock(&engine);
	mne_lock(&gate);
}

static void take_two_of_one_rank(void)
{
	MneLock one = MNE_LOCK_INIT(MNE_RANK_INODE);
	MneLock two = MNE_LOCK_INIT(MNE_RANK_INODE);

	mne_lock(&one);
	mne_lock(&two);
}

static void give_what_another_holds(void)
{
	MneLock one = MNE_LOCK_INIT(MNE_RANK_INODE);
	MneLock two = MNE_LOCK_INIT(MNE_RANK_INODE);

	mne_lock(&one);
	mne_unlock(&two);
}

static void claim_to_hold(void)
{
	MneLock gate = MNE_LOCK_INIT(MNE_RANK_GATE);

	mne_lock_assert_held(&gate);
}

static void claim_to_hold_none(void)
{
	MneLock gate = MNE_LOCK_INIT(MNE_RANK_GATE);

	mne_lock(&gate);
	mne_lock_assert_none_held();
}

static const struct {
	const char *name;
	void (*func)(void);
} misuses[] = {
	{ "/util/lock/misuse/order", take_in_wrong_order },
	{ "/util/lock/misuse/twice", take_two_of_one_rank },
	{ "/util/lock/misuse/give", give_what_another_holds },
	{ "/util/lock/misuse/held", claim_to_hold },
	{ "/util/lock/misuse/none", claim_to_hold_none },
};

#ifdef MNE_DEBUG_LOCKS
#define LOCKS_ARE_CHECKED true
#else
#define LOCKS_ARE_CHECKED false
#endif

static void test_debug_builds_report_a_lock_that_is_misused(gconstpointer user)
{
	size_t i = GPOINTER_TO_SIZE(user);

	if (!LOCKS_ARE_CHECKED) {
		g_test_skip("only with --enable-debug");
		return;
	}
	if (g_test_subprocess()) {
		misuses[i].func();
		return;
	}
	g_test_trap_subprocess(NULL, 0, 0);
	g_test_trap_assert_failed();
	g_test_trap_assert_stderr("*lock order: * rank *, holding*");
}

/* --- references ----------------------------------------------------------------- */

static void test_only_the_last_reference_says_so(void)
{
	MneRef ref;

	mne_ref_init(&ref);
	mne_ref_get(&ref);
	g_assert_false(mne_ref_put(&ref));
	g_assert_true(mne_ref_put(&ref));
}

/* --- slices --------------------------------------------------------------------- */

static void test_slices_sort_bytewise_and_shorter_first(void)
{
	static const char *const sorted[] = { "",  "a",    "a\x01", "ab",
					      "b", "\x7f", "\x80",  "\xff" };

	for (size_t i = 0; i < G_N_ELEMENTS(sorted); i++) {
		for (size_t j = 0; j < G_N_ELEMENTS(sorted); j++) {
			MneSlice a = mne_slice_str(sorted[i]),
				 b = mne_slice_str(sorted[j]);
			int order = mne_slice_compare(a, b);

			g_assert_cmpint((order > 0) - (order < 0), ==,
					(i > j) - (i < j));
			g_assert_cmpint(mne_slice_equal(a, b), ==, i == j);
		}
		g_assert_true(mne_slice_has_prefix(mne_slice_str(sorted[i]),
						   MNE_SLICE_EMPTY));
	}
	g_assert_true(mne_slice_equal(MNE_SLICE_EMPTY, mne_slice_str("")));
	g_assert_true(mne_slice_has_prefix(mne_slice_str("ab"), mne_slice_str("a")));
	g_assert_false(mne_slice_has_prefix(mne_slice_str("a"), mne_slice_str("ab")));
}

/* --- coding --------------------------------------------------------------------- */

static const uint64_t numbers[] = { 0,
				    1,
				    0x7f,
				    0x80,
				    0x3fff,
				    0x4000,
				    0xffff,
				    0x01020304,
				    G_MAXUINT32,
				    0x0102030405060708,
				    (uint64_t)1 << 62,
				    (uint64_t)1 << 63,
				    G_MAXUINT64 };

static MneSlice slice_of(const GByteArray *array)
{
	return mne_slice(array->data, array->len);
}

static void test_what_is_added_reads_back(void)
{
	g_autoptr(GByteArray) bytes = g_byte_array_new();
	MneReader reader;

	for (size_t i = 0; i < G_N_ELEMENTS(numbers); i++) {
		mne_add_u8(bytes, (uint8_t)numbers[i]);
		mne_add_be32(bytes, (uint32_t)numbers[i]);
		mne_add_be64(bytes, numbers[i]);
		mne_add_varint(bytes, numbers[i]);
		mne_add_sized(bytes, mne_slice(&numbers[i], i % 9));
		mne_add_bytes(bytes, mne_slice(&numbers[i], i % 9));
	}
	reader = mne_reader(slice_of(bytes));
	for (size_t i = 0; i < G_N_ELEMENTS(numbers); i++) {
		MneSlice part = mne_slice(&numbers[i], i % 9);

		g_assert_false(mne_reader_done(&reader));
		g_assert_cmpuint(mne_read_u8(&reader), ==, (uint8_t)numbers[i]);
		g_assert_cmpuint(mne_read_be32(&reader), ==, (uint32_t)numbers[i]);
		g_assert_cmpuint(mne_read_be64(&reader), ==, numbers[i]);
		g_assert_cmpuint(mne_read_varint(&reader), ==, numbers[i]);
		g_assert_true(mne_slice_equal(mne_read_sized(&reader), part));
		g_assert_true(mne_slice_equal(mne_read_bytes(&reader, i % 9), part));
	}
	g_assert_true(mne_reader_done(&reader));
}

static void test_put_and_get_are_inverse_and_big_endian(void)
{
	uint8_t two[2], four[4], eight[8];

	for (size_t i = 0; i < G_N_ELEMENTS(numbers); i++) {
		mne_put_be16(two, (uint16_t)numbers[i]);
		mne_put_be32(four, (uint32_t)numbers[i]);
		mne_put_be64(eight, numbers[i]);
		g_assert_cmpuint(mne_get_be16(two), ==, (uint16_t)numbers[i]);
		g_assert_cmpuint(mne_get_be32(four), ==, (uint32_t)numbers[i]);
		g_assert_cmpuint(mne_get_be64(eight), ==, numbers[i]);
	}
	mne_put_be64(eight, 0x0102030405060708);
	g_assert_cmpmem(eight, 8, "\1\2\3\4\5\6\7\10", 8);
}

static void test_fixed_numbers_sort_as_they_count(void)
{
	for (size_t i = 1; i < G_N_ELEMENTS(numbers); i++) {
		uint8_t less[8], more[8];

		mne_put_be64(less, numbers[i - 1]);
		mne_put_be64(more, numbers[i]);
		g_assert_cmpint(memcmp(less, more, 8), <, 0);
	}
}

static void read_some(MneReader *reader, unsigned kind)
{
	switch (kind % 5) {
	case 0: g_assert_cmpuint(mne_read_be32(reader), <=, G_MAXUINT32); break;
	case 1: (void)mne_read_be64(reader); break;
	case 2: (void)mne_read_varint(reader); break;
	case 3: (void)mne_read_sized(reader); break;
	case 4: (void)mne_read_bytes(reader, kind); break;
	}
}

static void test_a_reader_never_leaves_its_input(void)
{
	for (unsigned round = 0; round < 20000; round++) {
		size_t len = (size_t)g_test_rand_int_range(0, 24);
		g_autofree uint8_t *exact = g_malloc(len + 1);
		MneReader reader = mne_reader(mne_slice(exact, len));

		for (size_t i = 0; i < len; i++)
			exact[i] = (uint8_t)g_test_rand_int_range(0, 256);
		exact[len] = 0xaa;
		for (unsigned n = 0; n < 12; n++) {
			read_some(&reader, (unsigned)g_test_rand_int_range(0, 40));
			g_assert_true(reader.at >= exact);
			g_assert_true(reader.at <= exact + len);
			g_assert_true(reader.end == exact + len);
		}
	}
}

static void test_a_failed_reader_answers_zeros_for_ever(void)
{
	MneReader reader = mne_reader(mne_slice("abc", 3));

	g_assert_cmpuint(mne_read_be32(&reader), ==, 0);
	g_assert_true(reader.failed);
	g_assert_cmpuint(mne_read_u8(&reader), ==, 0);
	g_assert_cmpuint(mne_read_varint(&reader), ==, 0);
	g_assert_cmpuint(mne_read_sized(&reader).len, ==, 0);
	g_assert_cmpuint(mne_read_bytes(&reader, 1).len, ==, 0);
	g_assert_false(mne_reader_done(&reader));

	reader = mne_reader(MNE_SLICE_EMPTY);
	g_assert_true(mne_reader_done(&reader));
	g_assert_cmpuint(mne_read_u8(&reader), ==, 0);
	g_assert_false(mne_reader_done(&reader));
}

static bool varint_fails(const char *bytes, size_t len)
{
	MneReader reader = mne_reader(mne_slice(bytes, len));

	g_assert_cmpuint(mne_read_varint(&reader), ==, 0);
	return reader.failed;
}

static void test_a_varint_has_one_encoding(void)
{
	g_assert_true(varint_fails("", 0));
	g_assert_true(varint_fails("\x80", 1));
	g_assert_true(varint_fails("\x80\x00", 2));
	g_assert_true(varint_fails("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02", 10));
	g_assert_true(varint_fails("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x81\x00", 11));
	g_assert_false(varint_fails("\x00", 1));
}

static void test_a_length_larger_than_the_input_fails(void)
{
	g_autoptr(GByteArray) bytes = g_byte_array_new();
	MneReader reader;

	mne_add_varint(bytes, G_MAXUINT64);
	mne_add_u8(bytes, 'x');
	reader = mne_reader(slice_of(bytes));
	g_assert_cmpuint(mne_read_sized(&reader).len, ==, 0);
	g_assert_true(reader.failed);
}

/* --- CRC-32C -------------------------------------------------------------------- */

static void test_crc32c_gives_what_rfc_3720_lists(void)
{
	uint8_t bytes[32];

	g_assert_cmphex(mne_crc32c(0, "123456789", 9), ==, 0xe3069283);
	memset(bytes, 0, sizeof(bytes));
	g_assert_cmphex(mne_crc32c(0, bytes, 32), ==, 0x8a9136aa);
	memset(bytes, 0xff, sizeof(bytes));
	g_assert_cmphex(mne_crc32c(0, bytes, 32), ==, 0x62a8ab43);
	for (unsigned i = 0; i < 32; i++)
		bytes[i] = (uint8_t)i;
	g_assert_cmphex(mne_crc32c(0, bytes, 32), ==, 0x46dd794e);
	for (unsigned i = 0; i < 32; i++)
		bytes[i] = (uint8_t)(31 - i);
	g_assert_cmphex(mne_crc32c(0, bytes, 32), ==, 0x113fdb5c);
	g_assert_cmphex(mne_crc32c(0, NULL, 0), ==, 0);
}

/* The definition: polynomial division, a bit at a time. */
static uint32_t crc_by_bits(const uint8_t *data, size_t len)
{
	uint32_t crc = ~0u;

	for (size_t i = 0; i < len; i++) {
		crc ^= data[i];
		for (int bit = 0; bit < 8; bit++)
			crc = (crc >> 1) ^ (crc & 1 ? 0x82f63b78u : 0);
	}
	return ~crc;
}

static void test_crc32c_by_words_by_bytes_and_by_definition_agree(void)
{
	uint8_t bytes[300];

	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)g_test_rand_int_range(0, 256);
	for (size_t from = 0; from < 9; from++) {
		for (size_t len = 0; len < sizeof(bytes) - 9; len++) {
			uint32_t whole = mne_crc32c(0, bytes + from, len);
			uint32_t single = 0;

			for (size_t i = 0; i < len; i++)
				single = mne_crc32c(single, bytes + from + i, 1);
			g_assert_cmphex(whole, ==, single);
			g_assert_cmphex(whole, ==, crc_by_bits(bytes + from, len));
			single = mne_crc32c(0, bytes + from, len / 3);
			single = mne_crc32c(single, bytes + from + len / 3,
					    len - len / 3);
			g_assert_cmphex(whole, ==, single);
		}
	}
}

/* --- log ------------------------------------------------------------------------ */

static unsigned count_lines(const char *text)
{
	unsigned n = 0;

	for (; *text; text++)
		n += *text == '\n';
	return n;
}

static void test_the_ring_keeps_the_last_256_messages_in_order(void)
{
	g_autofree char *recent = NULL;

	if (!g_test_subprocess()) {
		g_test_trap_subprocess(NULL, 0, 0);
		g_test_trap_assert_passed();
		g_test_trap_assert_stderr("*mnefs: message number 299\n*");
		g_test_trap_assert_stderr_unmatched("*whisper*");
		return;
	}
	mne_log_init();
	for (int i = 0; i < 300; i++)
		mne_log_say("number %d", i);
	g_debug("whisper");
	recent = mne_log_recent();
	g_assert_cmpuint(count_lines(recent), ==, 256);
	g_assert_null(strstr(recent, "number 43\n"));
	g_assert_nonnull(strstr(recent, "message number 44\n"));
	g_assert_true(g_str_has_suffix(recent, "message number 299\n"));
	g_assert_true(strstr(recent, "number 44\n") < strstr(recent, "number 45\n"));
}

static void test_a_message_is_one_line_whatever_is_in_it(void)
{
	g_autofree char *recent = NULL;

	if (!g_test_subprocess()) {
		g_test_trap_subprocess(NULL, 0, 0);
		g_test_trap_assert_passed();
		return;
	}
	mne_log_init();
	mne_log_say("a name with\na line end, \x1b[31m and \xc3\xa9");
	recent = mne_log_recent();
	g_assert_cmpuint(count_lines(recent), ==, 1);
	g_assert_nonnull(strstr(recent, "with?a line end, ?[31m and \xc3\xa9\n"));
}

static void test_debug_messages_appear_when_verbose_and_stay_out_of_the_ring(void)
{
	g_autofree char *recent = NULL;

	if (!g_test_subprocess()) {
		g_test_trap_subprocess(NULL, 0, 0);
		g_test_trap_assert_passed();
		g_test_trap_assert_stderr("*mnefs: debug mne-test: whisper\n*");
		g_test_trap_assert_stderr("*mnefs: debug mne-util: *NO_TABLE: gone*");
		return;
	}
	mne_log_init();
	mne_log_set_level(MNE_LOG_DEBUG);
	g_debug("whisper");
	g_assert_cmpint(mne_throw(NO_TABLE, "gone"), <, 0);
	recent = mne_log_recent();
	g_assert_cmpstr(recent, ==, "");
}

static void *say_much(void *user)
{
	for (int i = 0; i < 200; i++) {
		g_autofree char *recent = NULL;

		mne_log_say("%s", (const char *)user);
		recent = mne_log_recent();
		g_assert_nonnull(strstr(recent, user));
	}
	return NULL;
}

static void test_many_threads_may_log_at_once(void)
{
	static char names[4][8] = { "first", "second", "third", "fourth" };
	pthread_t threads[4];

	if (!g_test_subprocess()) {
		g_test_trap_subprocess(NULL, 0, 0);
		g_test_trap_assert_passed();
		return;
	}
	mne_log_init();
	for (size_t i = 0; i < 4; i++)
		g_assert_cmpint(pthread_create(&threads[i], NULL, say_much, names[i]),
				==, 0);
	for (size_t i = 0; i < 4; i++)
		g_assert_cmpint(pthread_join(threads[i], NULL), ==, 0);
}

static void test_debug_words_are_found_whole_and_with_their_number(void)
{
	uint64_t value = 0;

	g_unsetenv("MNE_DEBUG");
	g_assert_false(mne_debug_has("fault", NULL));
	g_assert_true(g_setenv("MNE_DEBUG", "trace-kv, fault=17,bad=x,tail", TRUE));
	g_assert_true(mne_debug_has("trace-kv", &value));
	g_assert_cmpuint(value, ==, 1);
	g_assert_true(mne_debug_has("fault", &value));
	g_assert_cmpuint(value, ==, 17);
	g_assert_true(mne_debug_has("tail", NULL));
	g_assert_false(mne_debug_has("trace", &value));
	g_assert_false(mne_debug_has("bad", &value));
	g_assert_false(mne_debug_has("", &value));
	g_assert_cmpuint(value, ==, 17);
	g_unsetenv("MNE_DEBUG");
}

#define ADD(folder, name) g_test_add_func("/util/" folder "/" #name, test_##name)

static void add_error_and_lock_tests(void)
{
	ADD("error", every_private_error_is_its_parent_and_becomes_it);
	ADD("error", a_parent_is_not_its_child_nor_is_a_sibling);
	ADD("error", a_sentence_of_the_system_tells_the_error);
	ADD("error", no_number_confuses_the_error_table);
	ADD("error", throwing_counts_and_keeps_the_sentence);
	ADD("error", a_thread_keeps_its_own_sentence);
	ADD("error", a_sentence_of_any_length_is_kept_whole_or_cut);
	ADD("error", try_leaves_only_on_failure);
	ADD("lock", a_lock_lets_one_in_and_a_condition_wakes_all);
	ADD("lock", a_wait_ends_without_a_signal);
	ADD("lock", locks_of_growing_rank_are_taken_and_scopes_end);
	for (size_t i = 0; i < G_N_ELEMENTS(misuses); i++)
		g_test_add_data_func(misuses[i].name, GSIZE_TO_POINTER(i),
				     test_debug_builds_report_a_lock_that_is_misused);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	add_error_and_lock_tests();
	ADD("ref", only_the_last_reference_says_so);
	ADD("slice", slices_sort_bytewise_and_shorter_first);
	ADD("coding", what_is_added_reads_back);
	ADD("coding", put_and_get_are_inverse_and_big_endian);
	ADD("coding", fixed_numbers_sort_as_they_count);
	ADD("coding", a_reader_never_leaves_its_input);
	ADD("coding", a_failed_reader_answers_zeros_for_ever);
	ADD("coding", a_varint_has_one_encoding);
	ADD("coding", a_length_larger_than_the_input_fails);
	ADD("crc", crc32c_gives_what_rfc_3720_lists);
	ADD("crc", crc32c_by_words_by_bytes_and_by_definition_agree);
	ADD("log", the_ring_keeps_the_last_256_messages_in_order);
	ADD("log", a_message_is_one_line_whatever_is_in_it);
	ADD("log", debug_messages_appear_when_verbose_and_stay_out_of_the_ring);
	ADD("log", many_threads_may_log_at_once);
	ADD("log", debug_words_are_found_whole_and_with_their_number);
	return g_test_run();
}
