/* SPDX-License-Identifier: Apache-2.0
 *
 * unit/test-lent.c - which attributes of checkpoints the kernel is told to ask for again
 */
#include "config.h"

#include "ckpt/set.h"
#include "ns/lent.h"
#include "ns/ns.h"

#define MORE_THAN_ARE_LENT 20000

typedef struct {
	MneView live; /* nothing is looked up in it */
	MneCkpts *ckpts;
	MneLent *lent;
} Fixture;

static void set_up(Fixture *f, gconstpointer data G_GNUC_UNUSED)
{
	f->ckpts = mne_ckpts_new(NULL, &f->live, &mne_ckpt_tags);
	f->lent = mne_lent_new(f->ckpts);
}

static void tear_down(Fixture *f, gconstpointer data G_GNUC_UNUSED)
{
	mne_lent_free(f->lent);
	mne_ckpts_free(f->ckpts);
}

static MneCkpt *make_checkpoint(Fixture *f)
{
	const MneCkptSpec spec = { .name = mne_slice_str("c") };
	MneCkpt *ckpt = mne_ckpt_new(f->ckpts, &spec);

	mne_ckpts_add(f->ckpts, ckpt);
	mne_ckpt_unref(ckpt); /* the set has it */
	return ckpt;
}

static bool lend(Fixture *f, uint64_t number)
{
	return mne_lent_note(f->lent, mne_lent_begin(f->lent), number);
}

/* How many are to be asked for again. */
static guint taken(Fixture *f)
{
	g_autoptr(GArray) numbers = mne_lent_take(f->lent);

	return numbers->len;
}

static void test_nothing_is_told_while_checkpoints_stay_as_they_are(
	Fixture *f, gconstpointer data G_GNUC_UNUSED)
{
	g_assert_true(lend(f, 1));
	g_assert_cmpuint(taken(f), ==, 0);
}

static void test_what_is_lent_is_told_once_when_a_checkpoint_is_made(
	Fixture *f, gconstpointer data G_GNUC_UNUSED)
{
	g_autoptr(GArray) numbers = NULL;

	g_assert_true(lend(f, 5));
	g_assert_true(lend(f, 6));
	(void)make_checkpoint(f);
	numbers = mne_lent_take(f->lent);
	g_assert_cmpuint(numbers->len, ==, 2);
	g_assert_cmpuint(g_array_index(numbers, uint64_t, 0), ==, 5);
	g_assert_cmpuint(g_array_index(numbers, uint64_t, 1), ==, 6);
	g_assert_cmpuint(taken(f), ==, 0);
	(void)make_checkpoint(f);
	g_assert_cmpuint(taken(f), ==, 0);
}

static void test_what_is_lent_is_told_when_a_checkpoint_is_dropped(
	Fixture *f, gconstpointer data G_GNUC_UNUSED)
{
	MneCkpt *ckpt = make_checkpoint(f);

	g_assert_true(lend(f, 5));
	g_assert_cmpuint(taken(f), ==, 1); /* it was made after they were taken last */
	g_assert_true(lend(f, 5));
	mne_ckpts_set_dropping(f->ckpts, ckpt);
	g_assert_cmpuint(taken(f), ==, 1);
}

static void test_nothing_is_lent_that_was_found_before_a_checkpoint_was_made(
	Fixture *f, gconstpointer data G_GNUC_UNUSED)
{
	uint64_t begun = mne_lent_begin(f->lent);

	(void)make_checkpoint(f);
	g_assert_false(mne_lent_note(f->lent, begun, 5));
	g_assert_cmpuint(taken(f), ==, 0);
}

static void test_what_the_kernel_believes_no_more_is_not_told(
	Fixture *f, gconstpointer data G_GNUC_UNUSED)
{
	g_assert_true(lend(f, 5));
	g_usleep((gulong)(3 * MNE_PAST_TIMEOUT * G_USEC_PER_SEC));
	g_assert_true(lend(f, 6));
	(void)make_checkpoint(f);
	g_assert_cmpuint(taken(f), ==, 1);
}

static void test_there_is_a_limit_to_what_is_lent_and_it_frees_itself(
	Fixture *f, gconstpointer data G_GNUC_UNUSED)
{
	guint lent = 0;

	for (int i = 0; i < MORE_THAN_ARE_LENT; i++)
		lent += lend(f, (uint64_t)i);
	g_assert_cmpuint(lent, >, 0);
	g_assert_false(lend(f, 1) && lent < MORE_THAN_ARE_LENT / 2);
	g_usleep((gulong)(3 * MNE_PAST_TIMEOUT * G_USEC_PER_SEC));
	g_assert_true(lend(f, 1));
}

#define TEST(name) \
	g_test_add("/lent/" #name, Fixture, NULL, set_up, test_##name, tear_down)

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	TEST(nothing_is_told_while_checkpoints_stay_as_they_are);
	TEST(what_is_lent_is_told_once_when_a_checkpoint_is_made);
	TEST(what_is_lent_is_told_when_a_checkpoint_is_dropped);
	TEST(nothing_is_lent_that_was_found_before_a_checkpoint_was_made);
	TEST(what_the_kernel_believes_no_more_is_not_told);
	TEST(there_is_a_limit_to_what_is_lent_and_it_frees_itself);
	return g_test_run();
}
