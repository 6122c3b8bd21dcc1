/* SPDX-License-Identifier: Apache-2.0
 *
 * cli/cmd_create.c - mnefs checkpoint create
 *
 * What mkdir can say is said with mkdir, so that it may be done by whoever may write to
 * `.checkpoints`.  All else is a line to `.mnefs/ctl`, which belongs to the owner of the
 * mount; who may only mkdir writes pin, note and expiry afterwards into the files of his
 * new checkpoint.
 */
#define G_LOG_DOMAIN "mne-cli"

#include "config.h"

#include "ckpt/ckpt.h"
#include "cli/ckpt.h"
#include "cli/cli.h"
#include "cli/json.h"
#include "cli/place.h"
#include "cli/say.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define WAIT_POLL_US 50000u

/* What was asked for; the strings belong to cli. */
typedef struct {
	char *root; /* owned */
	GPtrArray *tables; /* those of -t, --min and --max */
	GPtrArray *max; /* … and of these those of --max */
	const char *note, *expires, *dump, *remote; /* NULL: not given */
	bool pin, refuse;
	char *answer; /* owned: why the daemon did not */
} Asked;

static void asked_clear(Asked *asked)
{
	g_free(asked->root);
	g_free(asked->answer);
	g_clear_pointer(&asked->tables, g_ptr_array_unref);
	g_clear_pointer(&asked->max, g_ptr_array_unref);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Asked, asked_clear)

static bool has_name(const GPtrArray *names, const char *name)
{
	return names && g_ptr_array_find_with_equal_func((GPtrArray *)names, name,
							 g_str_equal, NULL);
}

/* Each of the tables once. */
static MneExit add_tables(Asked *asked, GPtrArray *names, bool max)
{
	for (unsigned i = 0; i < names->len; i++) {
		char *name = g_ptr_array_index(names, i);

		if (!*name) {
			mne_say_error(
				"a list of no tables: without -t all are covered");
			return MNE_EXIT_USAGE;
		}
		if (has_name(asked->tables, name)) {
			if (max && !has_name(asked->max, name))
				mne_say_error("table %s cannot be in both --min and "
					      "--max",
					      name);
			else
				mne_say_error("table %s is given twice", name);
			return MNE_EXIT_USAGE;
		}
		g_ptr_array_add(asked->tables, name);
		if (max)
			g_ptr_array_add(asked->max, name);
	}
	return MNE_EXIT_OK;
}

static MneExit check_switch(const char *option, const char *value)
{
	if (!value || strcmp(value, "yes") == 0 || strcmp(value, "no") == 0)
		return MNE_EXIT_OK;
	mne_say_error("--%s is yes or no, not %s", option, value);
	return MNE_EXIT_USAGE;
}

static MneExit check_note(const char *note)
{
	int err = note ? mne_ckpt_check_note(mne_slice_str(note)) : 0;

	if (err < 0)
		mne_say_error("%s", mne_err_sentence(err));
	return err < 0 ? MNE_EXIT_USAGE : MNE_EXIT_OK;
}

static MneExit read_asked(MneCli *cli, Asked *asked)
{
	static const char *const min[] = { "table", "min" };
	MneExit status = MNE_EXIT_OK;

	asked->tables = g_ptr_array_new();
	asked->max = g_ptr_array_new();
	asked->pin = mne_cli_has(cli, "pin");
	asked->refuse = mne_cli_has(cli, "refuse");
	asked->note = mne_cli_value(cli, "note");
	asked->expires = mne_cli_value(cli, "expires");
	asked->dump = mne_cli_value(cli, "ram-overrides-dump");
	asked->remote = mne_cli_value(cli, "allow-remote");
	for (unsigned i = 0; i < G_N_ELEMENTS(min) && status == MNE_EXIT_OK; i++) {
		g_autoptr(GPtrArray) names = mne_cli_values(cli, min[i]);

		status = add_tables(asked, names, false);
	}
	if (status == MNE_EXIT_OK) {
		g_autoptr(GPtrArray) names = mne_cli_values(cli, "max");

		status = add_tables(asked, names, true);
	}
	if (status == MNE_EXIT_OK)
		status = check_switch("ram-overrides-dump", asked->dump);
	if (status == MNE_EXIT_OK)
		status = check_switch("allow-remote", asked->remote);
	return status == MNE_EXIT_OK ? check_note(asked->note) : status;
}

static void add_pair(GString *line, const char *what, const char *value)
{
	if (value)
		g_string_append_printf(line, "\t%s\t%s", what, value);
}

/* 0 or an errno. */
static int make_by_line(Asked *asked, const char *name)
{
	g_autoptr(GString) line = g_string_new("activate\t");

	g_string_append(line, name);
	for (unsigned i = 0; i < asked->tables->len; i++) {
		const char *table = g_ptr_array_index(asked->tables, i);

		add_pair(line, has_name(asked->max, table) ? "max" : "min", table);
	}
	add_pair(line, "pinned", asked->pin ? "yes" : NULL);
	add_pair(line, "note", asked->note);
	add_pair(line, "expires", asked->expires);
	add_pair(line, "transactions", asked->refuse ? "refuse" : NULL);
	add_pair(line, "ram_overrides_dump", asked->dump);
	add_pair(line, "allow_remote", asked->remote);
	g_string_append_c(line, '\n');
	g_clear_pointer(&asked->answer, g_free);
	return -mne_place_ask(asked->root, "ctl", line->str, &asked->answer);
}

static int make_by_mkdir(Asked *asked, const char *name)
{
	const char *table = asked->tables->len > 0 ? g_ptr_array_index(asked->tables, 0)
						   : NULL;
	g_autofree char *path = mne_ckpt_path(asked->root, table, name);

	return mkdir(path, 0755) < 0 ? errno : 0;
}

static int write_trait(Asked *asked, const char *name, const char *trait,
		       const char *value)
{
	g_autofree char *file = g_build_filename("checkpoints", name, trait, NULL);

	if (!value)
		return 0;
	g_clear_pointer(&asked->answer, g_free);
	return -mne_place_ask(asked->root, file, value, &asked->answer);
}

/* A checkpoint that is not as it was asked for does not stay. */
static int make_in_steps(Asked *asked, const char *name)
{
	g_autofree char *path = mne_ckpt_path(asked->root, NULL, name);
	int err = make_by_mkdir(asked, name);

	if (err)
		return err;
	err = write_trait(asked, name, "note", asked->note);
	if (!err)
		err = write_trait(asked, name, "expires", asked->expires);
	if (!err)
		err = write_trait(asked, name, "pinned", asked->pin ? "yes" : NULL);
	if (err)
		(void)rmdir(path);
	return err;
}

static int make(Asked *asked, const char *name)
{
	bool has_traits = asked->note || asked->expires || asked->pin;
	bool is_owners = asked->tables->len > 1 || asked->max->len > 0 || asked->dump ||
			 asked->remote || asked->refuse;
	int err;

	if (!has_traits && !is_owners)
		return make_by_mkdir(asked, name);
	err = make_by_line(asked, name);
	return err == EACCES && !is_owners ? make_in_steps(asked, name) : err;
}

/* The first of the tables that is not there, or NULL. */
static const char *missing_table(const Asked *asked)
{
	for (unsigned i = 0; i < asked->tables->len; i++) {
		const char *table = g_ptr_array_index(asked->tables, i);
		g_autofree char *path = g_build_filename(asked->root, table, NULL);

		if (!g_file_test(path, G_FILE_TEST_IS_DIR))
			return table;
	}
	return NULL;
}

static MneExit say_why(const Asked *asked, const char *name, int err)
{
	const char *missing = err == ENOENT ? missing_table(asked) : NULL;

	if (missing)
		mne_say_error("there is no table %s in %s", missing, asked->root);
	else if (asked->answer && *asked->answer && err != EEXIST)
		mne_say_error("checkpoint %s: %s", name, asked->answer);
	else
		return mne_ckpt_say_make(asked->root, name, err);
	return err == EINVAL ? MNE_EXIT_USAGE : mne_exit_of(err);
}

/* Make one named by the time; in *out_name what it is called. */
static int make_timed(Asked *asked, char **out_name)
{
	static const char *const formats[] = { "%Y-%m-%dT%H%MZ", "%Y-%m-%dT%H%M%SZ" };
	g_autoptr(GDateTime) now = g_date_time_new_now_utc();
	int err = EEXIST;

	for (unsigned i = 0; i < 100 && err == EEXIST; i++) {
		const char *format = formats[MIN(i, 1)];

		g_free(*out_name);
		*out_name = g_date_time_format(now, format);
		if (i > 1) {
			char *numbered = g_strdup_printf("%s-%u", *out_name, i);

			g_free(*out_name);
			*out_name = numbered;
		}
		err = make(asked, *out_name);
	}
	return err;
}

/* It was made; was it made well? */
static MneExit check_outcome(const Asked *asked, const char *name)
{
	g_autoptr(GHashTable) object = mne_ckpt_read(asked->root, name);

	if (!object || strcmp(mne_json_text(object, "outcome", "checkpointed"),
			      "checkpointed") == 0)
		return MNE_EXIT_OK;
	mne_say_error("checkpoint %s was made, but not every hook was ready for it",
		      name);
	mne_say_hint("mnefs hook list shows which");
	return MNE_EXIT_PARTIAL;
}

/* Paths of the transactions that are open, with the inode number each has: a set. */
static GHashTable *open_transactions(const char *root)
{
	GHashTable *open = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
	g_autofree char *top = g_build_filename(root, ".tx", NULL);
	g_autoptr(GDir) dir = g_dir_open(top, 0, NULL);
	const char *name;

	while (dir && (name = g_dir_read_name(dir))) {
		g_autofree char *path = g_build_filename(top, name, NULL);
		struct stat st;

		if (lstat(path, &st) == 0)
			g_hash_table_add(
				open, g_strdup_printf("%s/%llu", name,
						      (unsigned long long)st.st_ino));
	}
	return open;
}

static gboolean has_ended(gpointer key, gpointer value, gpointer open)
{
	(void)value;
	return !g_hash_table_contains(open, key);
}

/* Those that begin meanwhile are not waited for. */
static void wait_for_transactions(const char *root)
{
	g_autoptr(GHashTable) awaited = open_transactions(root);

	while (g_hash_table_size(awaited) > 0) {
		g_autoptr(GHashTable) open = NULL;

		g_usleep(WAIT_POLL_US);
		open = open_transactions(root);
		g_hash_table_foreach_remove(awaited, has_ended, open);
	}
}

MneExit mne_cmd_ckpt_create(MneCli *cli)
{
	g_autofree char *name = g_strdup(mne_cli_word(cli, 0));
	g_auto(Asked) asked = { 0 };
	MneExit status = mne_place_find(cli, &asked.root);
	int err;

	if (status == MNE_EXIT_OK && name)
		status = mne_ckpt_must_be_name(name);
	if (status == MNE_EXIT_OK)
		status = read_asked(cli, &asked);
	if (status != MNE_EXIT_OK)
		return status;
	if (mne_cli_has(cli, "wait"))
		wait_for_transactions(asked.root);
	err = name ? make(&asked, name) : make_timed(&asked, &name);
	if (err)
		return say_why(&asked, name, err);
	status = check_outcome(&asked, name);
	if (cli->json)
		return MAX(status, mne_ckpt_print_json(asked.root, name));
	printf("%s\n", name);
	return status;
}
