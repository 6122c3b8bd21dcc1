/* SPDX-License-Identifier: Apache-2.0
 *
 * util/error.c - the table of private failures, at work
 *
 * Mutable globals are forbidden here as elsewhere, but for one thing: the counters
 * of thrown codes.  They are atomic, only grow, and only statistics read them.
 */
#define G_LOG_DOMAIN "mne-util"

#include "config.h"

#include "util/error.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <string.h>

typedef struct {
	const char *name;
	int parent;
	const char *text;
} Code;

#define N_CODES ((unsigned)(MNE_E_END - MNE_E_BASE - 1))

/* By code - (MNE_E_BASE + 1). */
static const Code codes[] = {
#define MNE_ERR(name, parent, text) { #name, parent, text },
#include "util/error.def"
#undef MNE_ERR
};

G_STATIC_ASSERT(G_N_ELEMENTS(codes) == N_CODES);

static atomic_uint_fast64_t counts[G_N_ELEMENTS(codes)]; /* NOLINT */

/* What this thread threw last. */
static _Thread_local struct {
	int code;
	char sentence[512];
} last; /* NOLINT */

/* NULL when err, of either sign, is no private code. */
static const Code *code_of(int err)
{
	unsigned code = err < 0 ? 0u - (unsigned)err : (unsigned)err;
	unsigned index = code - (MNE_E_BASE + 1u);

	return index < N_CODES ? &codes[index] : NULL;
}

int mne_throw_at(int code, const char *file, int line, const char *format, ...)
{
	const Code *private = code_of(code);
	va_list args;

	g_assert(private && code > 0);
	last.code = code;
	va_start(args, format);
	g_vsnprintf(last.sentence, sizeof(last.sentence), format, args);
	va_end(args);

	atomic_fetch_add_explicit(&counts[private - codes], 1, memory_order_relaxed);
	/* Looking up what is not there is daily bread: do not format for nobody. */
	if (!g_log_writer_default_would_drop(G_LOG_LEVEL_DEBUG, G_LOG_DOMAIN))
		g_debug("%s:%d: %s: %s", file, line, private->name, last.sentence);
	return -code;
}

bool mne_err_is(int err, int class)
{
	const Code *private = code_of(err);

	if (err == class || (err > INT_MIN && -err == class))
		return true;
	return private && (private->parent == class || -private->parent == class);
}

int mne_err_errno(int err)
{
	const Code *private = code_of(err);

	if (err >= 0)
		return 0;
	if (private)
		return private->parent;
	return err > -MNE_E_BASE ? -err : EIO;
}

const char *mne_err_name(int err)
{
	const Code *private = code_of(err);
	const char *name;

	if (err == 0)
		return "OK";
	if (private)
		return private->name;
	name = err > INT_MIN ? strerrorname_np(ABS(err)) : NULL;
	return name ? name : "UNKNOWN";
}

const char *mne_err_text(int err)
{
	const Code *private = code_of(err);

	if (private)
		return private->text;
	return g_strerror(err > INT_MIN ? ABS(err) : EIO);
}

const char *mne_err_sentence(int err)
{
	const Code *private = code_of(err);

	if (private && code_of(last.code) == private && last.sentence[0] != '\0')
		return last.sentence;
	return mne_err_text(err);
}

bool mne_err_counter(unsigned index, const char **out_name, uint64_t *out_count)
{
	if (index >= N_CODES)
		return false;

	*out_name = codes[index].name;
	*out_count = atomic_load_explicit(&counts[index], memory_order_relaxed);
	return true;
}

int mne_err_in_sentence(const char *sentence)
{
	static const int known[] = { ENOSPC, EDQUOT, EROFS,  EACCES, EPERM,
				     EMFILE, ENFILE, ENOMEM, EFBIG };

	for (size_t i = 0; i < G_N_ELEMENTS(known); i++)
		if (g_str_has_suffix(sentence, g_strerror(known[i])))
			return -known[i];
	return -EIO;
}
