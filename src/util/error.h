/* SPDX-License-Identifier: Apache-2.0
 *
 * util/error.h - failures as negative ints: an errno, or a private subclass of one
 *
 * Below cli/ and fuse/ every fallible function returns int: 0 or a count on
 * success, negative on failure: -EIO, or -MNE_E_KV_CORRUPT, whose parent is EIO.
 * mne_throw() also keeps a sentence for the log, per thread.
 *
 * Threads: everything may be called from any thread.
 */
#pragma once

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>

#include <glib.h>

#define MNE_CHECKED __attribute__((warn_unused_result))

enum {
	MNE_E_BASE = 4096, /* above every errno */
#define MNE_ERR(name, parent, text) MNE_E_##name,
#include "util/error.def"
#undef MNE_ERR
	MNE_E_END
};

/* The one macro that hides control flow: leave on failure, keep the code. */
#define MNE_TRY(call)                         \
	do {                                  \
		int try_err_ = (call);        \
		if (G_UNLIKELY(try_err_ < 0)) \
			return try_err_;      \
	} while (0)

/* Make a private failure: counts it, traces it with file and line, and keeps the
 * formatted sentence for mne_err_sentence() on this thread.  Returns -MNE_E_name. */
#define mne_throw(name, ...) mne_throw_at(MNE_E_##name, __FILE__, __LINE__, __VA_ARGS__)
int mne_throw_at(int code, const char *file, int line, const char *format, ...)
	G_GNUC_PRINTF(4, 5);

/* Is err, or a parent of it, the errno or code class?  Signs do not matter. */
bool mne_err_is(int err, int class);

/* The positive errno that err becomes at the border; 0 for err >= 0. */
int mne_err_errno(int err);

/* "KV_CORRUPT" or "EIO". */
const char *mne_err_name(int err);

/* The sentence of the code, or strerror(): never NULL. */
const char *mne_err_text(int err);

/* What the last mne_throw() of exactly this err said on this thread, with its
 * values filled in; falls back to mne_err_text().  Valid until the next throw. */
const char *mne_err_sentence(int err);

/* The errno, negative, of a sentence that ends with what strerror() says of it, as those of
 * LevelDB and of GLib do: of no room, no rights, no descriptors and the like; else -EIO. */
int mne_err_in_sentence(const char *sentence);

/* How often the code was thrown since start: for .mnefs/stats.
 * index runs from 0; returns false past the end. */
bool mne_err_counter(unsigned index, const char **out_name, uint64_t *out_count);
