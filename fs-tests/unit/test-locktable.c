/* SPDX-License-Identifier: Apache-2.0
 *
 * unit/test-locktable.c - who gets a lock, who waits, who dies
 *
 * Owners are named by their age: "1" is the oldest.
 */
#define G_LOG_DOMAIN "mne-test"

#include "config.h"

#include "txn/locktable.h"

#include <string.h>

typedef struct {
	MneLockTable *table;
	MneLockOwner *one, *two, *three;
} Locks;

static MneLockOwner *born(MneLockTable *table, unsigned age)
{
	g_autofree char *name = g_strdup_printf("%u", age);

	return mne_lock_owner_new(table, age, name);
}

static void set_up(Locks *f, gconstpointer data)
{
	(void)data;
	f->table = mne_lock_table_new();
	f->one = born(f->table, 1);
	f->two = born(f->table, 2);
	f->three = born(f->table, 3);
}

static void tear_down(Locks *f, gconstpointer data)
{
	(void)data;
	g_clear_pointer(&f->one, mne_lock_owner_free);
	g_clear_pointer(&f->two, mne_lock_owner_free);
	g_clear_pointer(&f->three, mne_lock_owner_free);
	while (mne_lock_table_take_granted(f->table))
		;
	g_assert_true(mne_lock_table_is_empty(f->table));
	mne_lock_table_free(f->table);
}

/* "write t/a", "read t", "write global:g" */
static MneLockWant want_of(const char *text, char **out_copy)
{
	MneLockWant want = { .write = g_str_has_prefix(text, "write ") };
	char *path = g_strdup(strchr(text, ' ') + 1);
	char *slash = strchr(path, '/');

	*out_copy = path;
	if (g_str_has_prefix(path, "global:")) {
		want.name = path + strlen("global:");
		return want;
	}
	want.table = path;
	if (slash) {
		*slash = '\0';
		want.name = slash + 1;
	}
	return want;
}

static MneLockVerdict ask(MneLockOwner *owner, const char *text,
			  MneLockRequest **out_request)
{
	char *copy;
	MneLockWant want = want_of(text, &copy);
	MneLockAnswer answer;
	MneLockVerdict verdict = mne_lock_ask(owner, &want, 1, owner, &answer);

	g_free(copy);
	g_free(answer.lost);
	g_free(answer.culprit);
	if (out_request)
		*out_request = answer.request;
	else
		g_assert_null(answer.request);
	return verdict;
}

static void assert_granted(MneLockOwner *owner, const char *text)
{
	g_assert_cmpint(ask(owner, text, NULL), ==, MNE_LOCK_GRANTED);
}

static MneLockRequest *assert_waits(MneLockOwner *owner, const char *text, bool parked)
{
	MneLockRequest *request = NULL;

	g_assert_cmpint(ask(owner, text, &request), ==, MNE_LOCK_WAITS);
	g_assert_cmpint(mne_lock_request_is_parked(request), ==, parked);
	return request;
}

static void assert_dies(MneLockOwner *owner, const char *text)
{
	g_assert_cmpint(ask(owner, text, NULL), ==, MNE_LOCK_DIES);
}

static void assert_got(MneLockRequest *request)
{
	g_assert_true(mne_lock_request_is_granted(request));
	mne_lock_request_free(request);
}

static void assert_holds(const MneLockOwner *owner, const char *text)
{
	g_autoptr(GString) got = g_string_new(NULL);

	mne_lock_owner_print(owner, "", got);
	g_assert_cmpstr(got->str, ==, text);
}

static void test_readers_share_and_different_records_never_wait(Locks *f,
								gconstpointer data)
{
	(void)data;
	assert_granted(f->one, "read t/a");
	assert_granted(f->two, "read t/a");
	assert_granted(f->three, "write t/b");
	assert_granted(f->one, "write u/b");
	assert_granted(f->two, "write global:b");
	assert_granted(f->three, "read t");
}

static void test_what_is_held_is_granted_again(Locks *f, gconstpointer data)
{
	(void)data;
	assert_granted(f->one, "write t/a");
	assert_granted(f->one, "write t/a");
	assert_granted(f->one, "read t/a");
	assert_granted(f->one, "write t");
	assert_granted(f->one, "read t/b");
	assert_holds(f->one, "write t\nwrite t/a\n");
}

static void test_an_older_one_waits_for_a_younger(Locks *f, gconstpointer data)
{
	MneLockRequest *request;

	(void)data;
	assert_granted(f->one, "read t/x");
	assert_granted(f->two, "write t/a");
	request = assert_waits(f->one, "read t/a", false);
	g_clear_pointer(&f->two, mne_lock_owner_free);
	assert_got(request);
	assert_holds(f->one, "read t/a\nread t/x\n");
}

static void test_a_younger_one_that_holds_a_lock_dies(Locks *f, gconstpointer data)
{
	char *copy;
	MneLockWant want = want_of("write t/a", &copy);
	MneLockAnswer answer;

	(void)data;
	assert_granted(f->one, "write t/a");
	assert_granted(f->two, "write t/b");
	g_assert_cmpint(mne_lock_ask(f->two, &want, 1, NULL, &answer), ==,
			MNE_LOCK_DIES);
	g_assert_cmpstr(answer.lost, ==, "write t/a");
	g_assert_cmpstr(answer.culprit, ==, "1");
	g_free(answer.lost);
	g_free(answer.culprit);
	g_free(copy);
	assert_dies(f->two, "write t");
	assert_holds(f->two, "write t/b\n");
}

static void test_who_holds_nothing_waits_whatever_its_age(Locks *f, gconstpointer data)
{
	MneLockRequest *request;

	(void)data;
	assert_granted(f->one, "write t/a");
	request = assert_waits(f->two, "write t/a", true);
	g_clear_pointer(&f->one, mne_lock_owner_free);
	assert_got(request);
}

/* Two locks taken in both orders: the classic. */
static void test_a_deadlock_ends_with_the_death_of_the_younger(Locks *f,
							       gconstpointer data)
{
	MneLockRequest *request;

	(void)data;
	assert_granted(f->one, "write t/a");
	assert_granted(f->two, "write t/b");
	request = assert_waits(f->one, "write t/b", false);
	assert_dies(f->two, "write t/a");
	g_clear_pointer(&f->two, mne_lock_owner_free);
	assert_got(request);
}

static void test_of_two_readers_that_want_to_write_one_dies(Locks *f,
							    gconstpointer data)
{
	MneLockRequest *request;

	(void)data;
	assert_granted(f->one, "read t/a");
	assert_granted(f->two, "read t/a");
	request = assert_waits(f->one, "write t/a", false);
	assert_dies(f->two, "write t/a");
	g_clear_pointer(&f->two, mne_lock_owner_free);
	assert_got(request);
	assert_holds(f->one, "write t/a\n");
}

static void test_who_is_waited_for_may_take_more(Locks *f, gconstpointer data)
{
	MneLockRequest *request;

	(void)data;
	assert_granted(f->one, "write u/x");
	assert_granted(f->two, "read t/a");
	request = assert_waits(f->one, "write t", false);
	assert_granted(f->two, "write t/a");
	assert_granted(f->two, "write t/b");
	g_clear_pointer(&f->two, mne_lock_owner_free);
	assert_got(request);
}

static void test_a_lock_of_a_table_stands_against_those_of_its_records(
	Locks *f, gconstpointer data)
{
	MneLockRequest *request;

	(void)data;
	assert_granted(f->one, "write u/x");
	assert_granted(f->two, "write t/a");
	assert_granted(f->three, "read t/b");
	request = assert_waits(f->one, "read t", false);
	mne_lock_request_free(request);
	request = assert_waits(f->one, "write t", false);
	g_clear_pointer(&f->two, mne_lock_owner_free);
	g_assert_false(mne_lock_request_is_granted(request));
	g_clear_pointer(&f->three, mne_lock_owner_free);
	assert_got(request);
}

static void test_a_writer_is_not_starved_by_readers_that_come_later(Locks *f,
								    gconstpointer data)
{
	MneLockRequest *writer, *reader;

	(void)data;
	assert_granted(f->one, "read t/a");
	writer = assert_waits(f->two, "write t/a", true);
	reader = assert_waits(f->three, "read t/a", true);
	g_clear_pointer(&f->one, mne_lock_owner_free);
	assert_got(writer);
	g_assert_false(mne_lock_request_is_granted(reader));
	g_clear_pointer(&f->two, mne_lock_owner_free);
	assert_got(reader);
}

static void test_several_are_granted_together_or_not_at_all(Locks *f,
							    gconstpointer data)
{
	const MneLockWant wants[] = { { .write = true, .table = "t", .name = "a" },
				      { .write = true, .table = "t", .name = "b" },
				      { .write = false, .table = "t", .name = "a" } };
	MneLockAnswer answer;

	(void)data;
	assert_granted(f->one, "write t/b");
	g_assert_cmpint(mne_lock_ask(f->two, wants, 3, f->two, &answer), ==,
			MNE_LOCK_WAITS);
	assert_holds(f->two, "");
	assert_granted(f->one, "write t/a");
	g_clear_pointer(&f->one, mne_lock_owner_free);
	g_assert_true(mne_lock_table_take_granted(f->table) == f->two);
	g_assert_null(mne_lock_table_take_granted(f->table));
	assert_got(answer.request);
	assert_holds(f->two, "write t/a\nwrite t/b\n");
}

static void test_a_request_that_is_withdrawn_makes_way(Locks *f, gconstpointer data)
{
	MneLockRequest *writer, *reader;

	(void)data;
	assert_granted(f->one, "read t/a");
	writer = assert_waits(f->two, "write t/a", true);
	reader = assert_waits(f->three, "read t/a", true);
	mne_lock_request_free(writer);
	assert_got(reader);
}

static void test_who_ends_while_it_waits_leaves_nothing(Locks *f, gconstpointer data)
{
	MneLockRequest *request;

	(void)data;
	assert_granted(f->one, "read t/a");
	request = assert_waits(f->two, "write t/a", true);
	g_clear_pointer(&f->two, mne_lock_owner_free);
	mne_lock_request_free(request);
}

static void test_what_is_waited_for_can_be_printed(Locks *f, gconstpointer data)
{
	g_autoptr(GString) text = g_string_new(NULL);
	MneLockRequest *request;

	(void)data;
	assert_granted(f->one, "write global:a b");
	request = assert_waits(f->two, "read global:a b", true);
	g_assert_cmpstr(mne_lock_request_print(request, "- ", text), ==, "1");
	g_assert_cmpstr(text->str, ==, "- read global:a b\n");
	mne_lock_request_free(request);
}

/* ---- against a model ---- */

#define ACTORS    8u
#define RESOURCES 7u
#define STEPS     4000u

/* t, t/a, t/b, t/c, u, u/a, and a global one. */
static const MneLockWant resources[RESOURCES] = {
	{ false, "t", NULL }, { false, "t", "a" },  { false, "t", "b" },
	{ false, "t", "c" },  { false, "u", NULL }, { false, "u", "a" },
	{ false, NULL, "g" },
};

typedef struct {
	unsigned mode[RESOURCES]; /* 0 none, 1 read, 2 write */
} Set;

typedef struct {
	MneLockOwner *owner;
	MneLockRequest *request;
	unsigned age;
	Set held, wanted;
	bool waits, parked;
	unsigned since; /* of its request */
} Actor;

typedef struct {
	MneLockTable *table;
	Actor actors[ACTORS];
	GRand *random;
	unsigned ages, clock;
	unsigned deaths, waits, grants;
} World;

/* Do the two speak of something that both have in them? */
static bool overlap(unsigned i, unsigned j)
{
	const MneLockWant *a = &resources[i], *b = &resources[j];

	if (g_strcmp0(a->table, b->table) != 0)
		return false;
	return g_strcmp0(a->name, b->name) == 0 || (a->table && (!a->name || !b->name));
}

static bool conflict(const Set *a, const Set *b)
{
	for (unsigned i = 0; i < RESOURCES; i++)
		for (unsigned j = 0; j < RESOURCES; j++)
			if (a->mode[i] && b->mode[j] && overlap(i, j) &&
			    (a->mode[i] == 2 || b->mode[j] == 2))
				return true;
	return false;
}

/* What it asks for beyond what it has. */
static Set news(const Actor *actor, const Set *wanted)
{
	Set set = *wanted;

	for (unsigned i = 0; i < RESOURCES; i++)
		for (unsigned j = 0; j < RESOURCES; j++)
			if (actor->held.mode[j] >= set.mode[i] &&
			    (i == j || (resources[j].table && !resources[j].name &&
					overlap(i, j))))
				set.mode[i] = 0;
	return set;
}

static bool is_empty(const Set *set)
{
	for (unsigned i = 0; i < RESOURCES; i++)
		if (set->mode[i])
			return false;
	return true;
}

/* Is `other`, which waits, in the way of actor, who wants that since then? */
static bool is_queued_before(const Actor *actor, const Set *wanted, const Actor *other)
{
	return other->waits && conflict(wanted, &other->wanted) &&
	       !conflict(&other->wanted, &actor->held);
}

typedef struct {
	bool any, older, queued_parked;
} InTheWay;

static InTheWay in_the_way(const World *world, const Actor *actor, const Set *wanted)
{
	InTheWay way = { false, false, false };

	for (unsigned i = 0; i < ACTORS; i++) {
		const Actor *other = &world->actors[i];
		bool queued, holds;

		if (other == actor)
			continue;
		holds = conflict(wanted, &other->held);
		queued = is_queued_before(actor, wanted, other);
		way.queued_parked |= queued && other->parked;
		if (!holds && !(queued && !other->parked))
			continue;
		way.any = true;
		way.older |= other->age < actor->age;
	}
	return way;
}

static MneLockVerdict model_verdict(const World *world, const Actor *actor,
				    const Set *wanted)
{
	InTheWay way = in_the_way(world, actor, wanted);
	bool holds_any = !is_empty(&actor->held);

	if (!way.any && (holds_any || !way.queued_parked))
		return MNE_LOCK_GRANTED;
	if (way.any && !way.older)
		return MNE_LOCK_WAITS;
	return holds_any ? MNE_LOCK_DIES : MNE_LOCK_WAITS;
}

static void hold(Actor *actor)
{
	for (unsigned i = 0; i < RESOURCES; i++)
		actor->held.mode[i] = MAX(actor->held.mode[i], actor->wanted.mode[i]);
	actor->waits = actor->parked = false;
}

static void make(World *world, Actor *actor, unsigned age)
{
	*actor = (Actor){ .age = age };
	actor->owner = born(world->table, age);
}

static void collect(World *world)
{
	const Actor *actor;

	while ((actor = mne_lock_table_take_granted(world->table))) {
		Actor *it = &world->actors[actor - world->actors];

		g_assert_true(it->waits);
		assert_got(it->request);
		it->request = NULL;
		hold(it);
		world->grants++;
	}
}

/* With the same age again, or as somebody new. */
static void end(World *world, Actor *actor, bool again)
{
	unsigned age = again ? actor->age : ++world->ages;

	mne_lock_owner_free(actor->owner);
	if (actor->request)
		mne_lock_request_free(actor->request);
	make(world, actor, age);
	collect(world);
}

static void step_ask(World *world, Actor *actor)
{
	MneLockWant wants[3];
	Set wanted = { { 0 } }, fresh;
	unsigned n = (unsigned)g_rand_int_range(world->random, 1, 4);
	MneLockVerdict expected;
	MneLockAnswer answer;

	for (unsigned i = 0; i < n; i++) {
		unsigned which = (unsigned)g_rand_int_range(world->random, 0,
							    RESOURCES);

		wants[i] = resources[which];
		wants[i].write = g_rand_boolean(world->random);
		wanted.mode[which] = MAX(wanted.mode[which], wants[i].write ? 2u : 1u);
	}
	fresh = news(actor, &wanted);
	expected = model_verdict(world, actor, &fresh);
	g_assert_cmpint(mne_lock_ask(actor->owner, wants, n, actor, &answer), ==,
			expected);
	actor->wanted = fresh;
	switch (expected) {
	case MNE_LOCK_GRANTED: hold(actor); break;
	case MNE_LOCK_WAITS:
		actor->request = answer.request;
		actor->waits = true;
		actor->parked = mne_lock_request_is_parked(answer.request);
		actor->since = ++world->clock;
		world->waits++;
		break;
	case MNE_LOCK_DIES:
		g_free(answer.lost);
		g_free(answer.culprit);
		world->deaths++;
		end(world, actor, true);
		break;
	}
}

static void check_grants(const World *world)
{
	for (unsigned i = 0; i < ACTORS; i++)
		for (unsigned j = 0; j < i; j++)
			g_assert_false(conflict(&world->actors[i].held,
						&world->actors[j].held));
}

/* Following who waits for whom, nobody comes back to where he began. */
static void check_no_circle(const World *world)
{
	bool reaches[ACTORS][ACTORS];

	for (unsigned i = 0; i < ACTORS; i++)
		for (unsigned j = 0; j < ACTORS; j++)
			reaches[i][j] = mne_lock_waits_for(world->actors[i].owner,
							   world->actors[j].owner);
	for (unsigned k = 0; k < ACTORS; k++)
		for (unsigned i = 0; i < ACTORS; i++)
			for (unsigned j = 0; j < ACTORS; j++)
				reaches[i][j] |= reaches[i][k] && reaches[k][j];
	for (unsigned i = 0; i < ACTORS; i++)
		g_assert_false(reaches[i][i]);
}

/* Who waits has a reason, and if he is not parked it is a younger one. */
static void check_waiting(const World *world)
{
	for (unsigned i = 0; i < ACTORS; i++) {
		const Actor *actor = &world->actors[i];
		bool any = false;

		for (unsigned j = 0; j < ACTORS; j++) {
			if (!mne_lock_waits_for(actor->owner, world->actors[j].owner))
				continue;
			any = true;
			g_assert_true(actor->parked ||
				      actor->age < world->actors[j].age);
		}
		g_assert_cmpint(any, ==, actor->waits);
	}
}

static void step(World *world)
{
	Actor *actor = &world->actors[g_rand_int_range(world->random, 0, ACTORS)];
	unsigned what = (unsigned)g_rand_int_range(world->random, 0, 10);

	if (what < 2) {
		end(world, actor, what == 0);
	} else if (!actor->waits) {
		step_ask(world, actor);
	} else if (what == 2) { /* it was interrupted */
		mne_lock_request_free(actor->request);
		actor->request = NULL;
		actor->waits = actor->parked = false;
		collect(world);
	}
	check_grants(world);
	check_no_circle(world);
	check_waiting(world);
}

static void run_world(guint32 seed)
{
	World world = { .table = mne_lock_table_new(),
			.random = g_rand_new_with_seed(seed) };

	for (unsigned i = 0; i < ACTORS; i++)
		make(&world, &world.actors[i], ++world.ages);
	for (unsigned i = 0; i < STEPS; i++)
		step(&world);
	g_assert_cmpuint(world.deaths, >, 10);
	g_assert_cmpuint(world.waits, >, 100);
	g_assert_cmpuint(world.grants, >, 10);
	for (unsigned i = 0; i < ACTORS; i++) {
		Actor *actor = &world.actors[i];

		mne_lock_owner_free(actor->owner);
		if (actor->request)
			mne_lock_request_free(actor->request);
	}
	while (mne_lock_table_take_granted(world.table))
		;
	g_assert_true(mne_lock_table_is_empty(world.table));
	mne_lock_table_free(world.table);
	g_rand_free(world.random);
}

static void test_any_history_is_as_the_model_says(void)
{
	for (guint32 seed = 0; seed < 20; seed++)
		run_world(seed);
}

#define ADD(name, func) \
	g_test_add("/locktable/" name, Locks, NULL, set_up, func, tear_down)

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	ADD("share", test_readers_share_and_different_records_never_wait);
	ADD("again", test_what_is_held_is_granted_again);
	ADD("older-waits", test_an_older_one_waits_for_a_younger);
	ADD("younger-dies", test_a_younger_one_that_holds_a_lock_dies);
	ADD("parked", test_who_holds_nothing_waits_whatever_its_age);
	ADD("deadlock", test_a_deadlock_ends_with_the_death_of_the_younger);
	ADD("upgrade", test_of_two_readers_that_want_to_write_one_dies);
	ADD("more", test_who_is_waited_for_may_take_more);
	ADD("tables", test_a_lock_of_a_table_stands_against_those_of_its_records);
	ADD("starved", test_a_writer_is_not_starved_by_readers_that_come_later);
	ADD("together", test_several_are_granted_together_or_not_at_all);
	ADD("withdrawn", test_a_request_that_is_withdrawn_makes_way);
	ADD("ends", test_who_ends_while_it_waits_leaves_nothing);
	ADD("printed", test_what_is_waited_for_can_be_printed);
	g_test_add_func("/locktable/model", test_any_history_is_as_the_model_says);
	return g_test_run();
}
