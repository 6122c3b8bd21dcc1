/* SPDX-License-Identifier: Apache-2.0
 *
 * ns/clock.c - what happens because time passes
 *
 * Automatic checkpoints come before expiry: when nothing has changed, the newest of them is
 * kept on, however long the store was not mounted.
 */
#define G_LOG_DOMAIN "mne-ns"

#include "config.h"

#include "ns/clock.h"

#include "ns/outcome.h"
#include "ns/reopen.h"
#include "txn/expiry.h"
#include "util/log.h"

#include <pthread.h>

#define SECOND_NS   INT64_C(1000000000)
#define RETRY_AFTER 60 /* seconds after a failure */

struct MneClock {
	MneNs *ns; /* borrowed */
	MneLock lock;
	MneCond wake;
	pthread_t thread;
	bool runs, stop;
	/* Of the thread alone. */
	int64_t served[MNE_N_AUTO]; /* the period that was, this mount */
	int64_t not_before; /* after a failure */
};

/* --- automatic checkpoints --------------------------------------------------- */

/* What the automatic checkpoints there are say. */
typedef struct {
	int64_t newest[MNE_N_AUTO]; /* seconds */
	MneCkpt *last; /* reference; NULL: none */
	unsigned last_kinds;
} Made;

static void made_clear(Made *made)
{
	g_clear_pointer(&made->last, mne_ckpt_unref);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Made, made_clear)

static void note_made(MneCkpt *ckpt, Made *made)
{
	g_auto(MneCkptTraits) traits = { 0 };
	unsigned kinds;

	mne_ckpt_traits(ckpt, &traits);
	kinds = mne_auto_kinds_of(traits.note);
	for (unsigned i = 0; i < MNE_N_AUTO; i++)
		if (kinds & (1u << i))
			made->newest[i] = MAX(made->newest[i],
					      ckpt->time_ns / SECOND_NS);
	if (kinds == 0)
		return;
	mne_ckpt_unref(made->last);
	made->last = mne_ckpt_ref(ckpt);
	made->last_kinds = kinds;
}

static void find_made(MneNs *ns, Made *out)
{
	g_autoptr(GPtrArray) ckpts = mne_ckpts_list(mne_store_ckpts(ns->store));

	*out = (Made){ 0 };
	for (unsigned i = 0; i < ckpts->len; i++) /* they come oldest first */
		note_made(g_ptr_array_index(ckpts, i), out);
}

static unsigned due_kinds(const MneClock *clock, const Made *made, int64_t now)
{
	unsigned due = 0;

	for (unsigned i = 0; i < MNE_N_AUTO; i++) {
		int64_t period = mne_auto_period(i, now);

		if (clock->ns->options.automatic.keep[i] > 0 &&
		    made->newest[i] < period && clock->served[i] < period)
			due |= 1u << i;
	}
	return due;
}

static int keep_on(MneNs *ns, const Made *made, unsigned kinds, int64_t now)
{
	g_autofree char *note = mne_auto_note(made->last_kinds | kinds);
	g_autofree char *name = mne_ckpt_name(made->last);
	g_auto(MneCkptTraits) traits = { 0 };
	MneCkptChange change = { .set = MNE_CKPT_SET_EXPIRES | MNE_CKPT_SET_NOTE };
	int64_t expires = mne_auto_expiry(&ns->options.automatic, kinds, now);

	mne_ckpt_traits(made->last, &traits);
	change.traits.note = note;
	change.traits.expires_ns = traits.expires_ns == 0 ? 0
							  : MAX(traits.expires_ns,
								expires * SECOND_NS);
	return mne_store_change_ckpt(ns->store, mne_slice_str(name), &change);
}

static int make_named(MneNs *ns, const char *name, unsigned kinds, int64_t now)
{
	g_autofree char *note = mne_auto_note(kinds);
	g_autoptr(MneCkpt) ckpt = NULL;
	MneCkptSpec spec = { .name = mne_slice_str(name) };
	g_auto(MneNode) root = { 0 };
	MnePlace place = { .table = MNE_ROOT_TABLE,
			   .rec = MNE_ROOT_DIR,
			   .is_dir = true };

	MNE_TRY(mne_live_node(ns->store, &place, &root));
	spec.uid = root.uid;
	spec.gid = root.gid;
	spec.traits.note = note;
	spec.traits.expires_ns = mne_auto_expiry(&ns->options.automatic, kinds, now) *
				 SECOND_NS;
	MNE_TRY(mne_ns_checkpoint(ns, &spec, &ckpt));
	mne_log_say("made checkpoint %s (%s)", name, note);
	return 0;
}

static int make(MneNs *ns, unsigned kinds, int64_t now)
{
	static const char *const formats[] = { "%Y-%m-%dT%H%MZ", "%Y-%m-%dT%H%M%SZ" };
	g_autoptr(GDateTime) when = g_date_time_new_from_unix_utc(now);
	int err = -EEXIST;

	for (unsigned i = 0; when && i < G_N_ELEMENTS(formats); i++) {
		g_autofree char *name = g_date_time_format(when, formats[i]);

		err = make_named(ns, name, kinds, now);
		if (!mne_err_is(err, EEXIST))
			break;
	}
	return err;
}

static bool has_tables(MneNs *ns)
{
	g_autoptr(GArray) tables = NULL;

	return mne_store_tables(ns->store, &tables) == 0 && tables->len > 0;
}

static void look_automatic(MneClock *clock, int64_t now)
{
	g_auto(Made) made = { 0 };
	unsigned due;
	int err;

	if (!mne_auto_is_on(&clock->ns->options.automatic) || now < clock->not_before)
		return;
	find_made(clock->ns, &made);
	due = due_kinds(clock, &made, now);
	if (due == 0 || !has_tables(clock->ns))
		return;
	err = made.last && mne_store_is_unchanged_since(clock->ns->store, made.last)
		      ? keep_on(clock->ns, &made, due, now)
		      : make(clock->ns, due, now);
	if (err < 0) {
		g_warning("an automatic checkpoint could not be made: %s",
			  mne_err_sentence(err));
		clock->not_before = now + RETRY_AFTER;
		return;
	}
	for (unsigned i = 0; i < MNE_N_AUTO; i++)
		if (due & (1u << i))
			clock->served[i] = mne_auto_period(i, now);
}

/* --- the thread --------------------------------------------------------------- */

void mne_clock_look(MneClock *clock, int64_t now_ns)
{
	look_automatic(clock, now_ns / SECOND_NS);
	mne_store_expire(clock->ns->store, now_ns);
	mne_reopens_expire(clock->ns);
}

/* Sleep for a second: true, unless it is to end. */
static bool wait_a_second(MneClock *clock)
{
	MNE_WITH_LOCK(&clock->lock);
	if (!clock->stop)
		(void)mne_cond_wait_ms(&clock->wake, &clock->lock, 1000);
	return !clock->stop;
}

static void *run(void *data)
{
	MneClock *clock = data;
	uint64_t ahead = 0;

	(void)mne_debug_has("clock", &ahead);
	do
		mne_clock_look(clock,
			       g_get_real_time() * 1000 + (int64_t)ahead * SECOND_NS);
	while (wait_a_second(clock));
	return NULL;
}

MneClock *mne_clock_new(MneNs *ns)
{
	MneClock *clock = g_new0(MneClock, 1);

	clock->ns = ns;
	mne_lock_init(&clock->lock, MNE_RANK_QUEUE);
	mne_cond_init(&clock->wake);
	if (ns->options.read_only)
		return clock;
	clock->runs = pthread_create(&clock->thread, NULL, run, clock) == 0;
	if (!clock->runs)
		g_warning("no thread for the clock: nothing expires");
	return clock;
}

static void tell_to_stop(MneClock *clock)
{
	MNE_WITH_LOCK(&clock->lock);
	clock->stop = true;
	mne_cond_signal(&clock->wake);
}

void mne_clock_free(MneClock *clock)
{
	tell_to_stop(clock);
	if (clock->runs)
		pthread_join(clock->thread, NULL);
	mne_lock_clear(&clock->lock);
	mne_cond_clear(&clock->wake);
	g_free(clock);
}
