/* SPDX-License-Identifier: Apache-2.0
 *
 * cli/mount_options.c - what stands behind -o
 *
 * Ours are in one table.  Those of mount(8) and fstab are passed to the kernel or
 * ignored; anything else is an error, because an option that is silently not there is
 * worse than a mount that fails.
 */
#define G_LOG_DOMAIN "mne-cli"

#include "config.h"

#include "cli/mount_options.h"

#include "cli/history_options.h"
#include "cli/say.h"
#include "cli/suggest.h"
#include "cli/tx_options.h"
#include "txn/store.h"

#include <string.h>
#include <unistd.h>

#define HOOKS_DIR    "/etc/mnefs/hooks.d"
#define HOOK_SECONDS 10

/* false: the value makes no sense. */
typedef bool (*Setter)(MneMountOptions *options, const char *value);

static bool set_ro(MneMountOptions *options, const char *value)
{
	(void)value;
	options->read_only = true;
	return true;
}

static bool set_rw(MneMountOptions *options, const char *value)
{
	(void)value;
	options->read_only = false;
	return true;
}

static bool set_create(MneMountOptions *options, const char *value)
{
	(void)value;
	options->create = true;
	return true;
}

static bool set_allow_other(MneMountOptions *options, const char *value)
{
	(void)value;
	options->allow_other = true;
	return true;
}

static bool set_debug(MneMountOptions *options, const char *value)
{
	(void)value;
	options->debug = true;
	return true;
}

static bool set_ctl(MneMountOptions *options, const char *value)
{
	static const char *const names[] = { "hidden", "visible", "off", NULL };

	for (unsigned i = 0; names[i]; i++) {
		if (strcmp(names[i], value) != 0)
			continue;
		options->ctl = (MneShow)i;
		return true;
	}
	return false;
}

/* "5" or "5s"; 1 … one day. */
static bool parse_seconds(const char *value, int *out)
{
	char *end = NULL;
	gint64 seconds = g_ascii_strtoll(value, &end, 10);

	if (end == value || (strcmp(end, "") != 0 && strcmp(end, "s") != 0) ||
	    seconds < 1 || seconds > 86400)
		return false;
	*out = (int)seconds;
	return true;
}

static bool set_sync(MneMountOptions *options, const char *value)
{
	if (strcmp(value, "commit") == 0)
		options->sync_seconds = MNE_SYNC_COMMIT;
	else if (strcmp(value, "off") == 0)
		options->sync_seconds = MNE_SYNC_OFF;
	else
		return parse_seconds(value, &options->sync_seconds);
	return true;
}

/* The flag `sync` of every mount. */
static bool set_sync_flag(MneMountOptions *options, const char *value)
{
	(void)value;
	options->sync_seconds = MNE_SYNC_COMMIT;
	return true;
}

static bool set_commit(MneMountOptions *options, const char *value)
{
	int seconds;

	if (!parse_seconds(value, &seconds))
		return false;
	options->commit_seconds = (unsigned)seconds;
	return true;
}

static bool set_cplinks(MneMountOptions *options, const char *value)
{
	options->no_cplinks = strcmp(value, "off") == 0;
	return options->no_cplinks || strcmp(value, "on") == 0;
}

static bool set_cp(MneMountOptions *options, const char *value)
{
	if (!*value || strchr(value, '/'))
		return false;
	g_free(options->ckpt);
	options->ckpt = g_strdup(value);
	options->read_only = true;
	return true;
}

static bool set_io_uring(MneMountOptions *options, const char *value)
{
	options->no_uring = strcmp(value, "off") == 0;
	return options->no_uring || strcmp(value, "on") == 0;
}

static bool set_history(MneMountOptions *options, const char *value)
{
	return mne_parse_history(value, &options->history_bytes,
				 &options->history_percent);
}

static bool set_full(MneMountOptions *options, const char *value)
{
	options->full_drops = strcmp(value, "drop") == 0;
	return options->full_drops || strcmp(value, "fail") == 0;
}

static bool set_auto(MneMountOptions *options, const char *value)
{
	return mne_parse_auto(value, &options->automatic);
}

static bool set_hooks(MneMountOptions *options, const char *value)
{
	if (!g_path_is_absolute(value))
		return false;
	g_free(options->hooks);
	options->hooks = g_strdup(value);
	return true;
}

static bool set_hook_timeout(MneMountOptions *options, const char *value)
{
	return parse_seconds(value, &options->hook_seconds);
}

static bool set_hash_modules(MneMountOptions *options, const char *value)
{
	g_free(options->hash_modules);
	options->hash_modules = g_strdup(value);
	return *value == '/';
}

static bool set_tx_idle(MneMountOptions *options, const char *value)
{
	return mne_parse_tx_idle(value, &options->tx);
}

static bool set_tx_lock_timeout(MneMountOptions *options, const char *value)
{
	return mne_parse_tx_lock_timeout(value, &options->tx);
}

static bool set_tx_max(MneMountOptions *options, const char *value)
{
	return mne_parse_tx_max(value, &options->tx);
}

static bool set_tx_mem(MneMountOptions *options, const char *value)
{
	return mne_parse_tx_mem(value, &options->tx);
}

static bool ignore(MneMountOptions *options, const char *value)
{
	(void)options;
	(void)value;
	return true;
}

typedef struct {
	const char *name;
	const char *values; /* what may stand behind '='; NULL: nothing */
	Setter set;
} Row;

static const Row rows[] = {
	{ "ro", NULL, set_ro },
	{ "rw", NULL, set_rw },
	{ "create", NULL, set_create },
	{ "ctl", "hidden, visible or off", set_ctl },
	{ "sync", "commit, off or seconds", set_sync },
	{ "sync", NULL, set_sync_flag },
	{ "commit", "seconds", set_commit },
	{ "cplinks", "on or off", set_cplinks },
	{ "cp", "the name of a checkpoint, or a time", set_cp },
	{ "io_uring", "on or off", set_io_uring },
	{ "history", "a size such as 500M, or 10% of the disk", set_history },
	{ "full", "fail or drop", set_full },
	{ "auto", "hourly:N, daily:N, weekly:N, monthly:N", set_auto },
	{ "hooks", "the absolute path of a directory", set_hooks },
	{ "hook_timeout", "seconds", set_hook_timeout },
	{ "hash_modules", "the absolute path of a directory", set_hash_modules },
	{ "tx_idle", "a time such as 10m, or 0: for ever", set_tx_idle },
	{ "tx_lock_timeout", "a time such as 60s, or 0: for ever",
	  set_tx_lock_timeout },
	{ "tx_max", "a number", set_tx_max },
	{ "tx_mem", "a size such as 256M", set_tx_mem },
	{ "allow_other", NULL, set_allow_other },
	{ "debug", NULL, set_debug },
	{ "default_permissions", NULL, ignore }, /* always on */
	{ "async", NULL, ignore },
};

/* Of mount(8) and fstab: not for us, nor for the kernel. */
static const char *const ignored[] = {
	"defaults", "auto",       "noauto",   "user",       "nouser",
	"users",    "owner",      "group",    "nofail",     "_netdev",
	"atime",    "relatime",   "diratime", "norelatime", "strictatime",
	"lazytime", "nolazytime", "loud",     "silent",
};

static const char *const passed[] = { "noexec", "nosuid", "nodev", "noatime",
				      "nodiratime" };

/* The kernel's defaults; fusermount lets only root ask for dev and suid. */
static const char *const passed_if_root[] = { "exec", "suid", "dev" };

const char *mne_mount_option_name(unsigned i)
{
	if (i < G_N_ELEMENTS(rows))
		return rows[i].name;
	i -= G_N_ELEMENTS(rows);
	return i < G_N_ELEMENTS(passed) ? passed[i] : NULL;
}

static bool is_among(const char *const *names, size_t count, const char *name)
{
	for (size_t i = 0; i < count; i++)
		if (strcmp(names[i], name) == 0)
			return true;
	return false;
}

static void append(GString *list, const char *word)
{
	if (list->len > 0)
		g_string_append_c(list, ',');
	g_string_append(list, word);
}

static const Row *find_row(const char *name, bool with_value)
{
	for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++)
		if (strcmp(rows[i].name, name) == 0 &&
		    (rows[i].values != NULL) == with_value)
			return &rows[i];
	return NULL;
}

static bool unknown(const char *name)
{
	g_autoptr(GPtrArray) names = g_ptr_array_new();
	const char *known, *near;

	for (unsigned i = 0; (known = mne_mount_option_name(i)); i++)
		g_ptr_array_add(names, (gpointer)known);
	near = mne_suggest_word((const char *const *)names->pdata, names->len, name);
	mne_say_error("unknown mount option %s", name);
	if (near && strcmp(near, name) != 0)
		mne_say_hint("did you mean %s?", near);
	else
		mne_say_hint("mnefs(1) lists them");
	return false;
}

static bool set_own(MneMountOptions *options, const char *word, const char *name,
		    const char *value)
{
	const Row *row = find_row(name, value != NULL);
	const Row *other = find_row(name, value == NULL);

	if (!row && other && other->values) {
		mne_say_error("mount option %s needs a value: %s", name, other->values);
		return false;
	}
	if (!row && other) {
		mne_say_error("mount option %s takes no value", name);
		return false;
	}
	if (!row)
		return unknown(name);
	if (!row->set(options, value)) {
		mne_say_error("mount option %s=%s: it may be %s", name, value,
			      row->values);
		return false;
	}
	if (row->set != ignore && row->set != set_ro && row->set != set_rw)
		append(options->shown, word);
	return true;
}

static bool take_word(MneMountOptions *options, const char *word)
{
	const char *equals = strchr(word, '=');

	/* auto=hourly:24,daily:7 was cut at its commas. */
	if (mne_auto_is_on(&options->automatic) &&
	    mne_parse_auto(word, &options->automatic)) {
		append(options->shown, word);
		return true;
	}

	g_autofree char *name = g_strndup(word, equals ? (gsize)(equals - word)
						       : strlen(word));

	if ((is_among(ignored, G_N_ELEMENTS(ignored), name) &&
	     !(equals && find_row(name, true))) ||
	    g_str_has_prefix(name, "x-") || g_str_has_prefix(name, "comment"))
		return true;
	if (is_among(passed_if_root, G_N_ELEMENTS(passed_if_root), name)) {
		if (getuid() == 0)
			append(options->kernel, name);
		return true;
	}
	if (is_among(passed, G_N_ELEMENTS(passed), name)) {
		append(options->kernel, name);
		append(options->shown, name);
		return true;
	}
	return set_own(options, word, name, equals ? equals + 1 : NULL);
}

void mne_mount_options_init(MneMountOptions *options)
{
	const MneStoreOptions defaults = MNE_STORE_OPTIONS_DEFAULT;

	*options = (MneMountOptions){
		.sync_seconds = defaults.sync_seconds,
		.commit_seconds = defaults.commit_seconds,
		.hooks = g_strdup(HOOKS_DIR),
		.hook_seconds = HOOK_SECONDS,
		.tx = MNE_NS_TX_LIMITS_DEFAULT,
		.kernel = g_string_new(NULL),
		.shown = g_string_new(NULL),
	};
}

void mne_mount_options_clear(MneMountOptions *options)
{
	g_free(options->ckpt);
	g_free(options->hooks);
	g_string_free(options->kernel, TRUE);
	g_string_free(options->shown, TRUE);
	g_free(options->hash_modules);
}

bool mne_mount_options_parse(MneMountOptions *options, const char *text)
{
	g_auto(GStrv) words = g_strsplit(text, ",", -1);

	for (char **word = words; *word; word++)
		if (**word && !take_word(options, *word))
			return false;
	return true;
}
