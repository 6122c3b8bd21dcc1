/* SPDX-License-Identifier: Apache-2.0
 *
 * ns/moment.h - names that ask for a time: "@yesterday", "@-2h", "@2026-11-20"
 *
 *	@latest				now
 *	@yesterday @today		the end of that day
 *	@-90m @-1d12h			so long ago: s, m, h, d, w
 *	@2026-11-20			the end of that day
 *	@2026-11-20T03:00 @…T0300Z	the end of that minute; with seconds, of that second
 *	@GMT-2026.11.20-03.00.00	the same in UTC, as Samba writes it
 *	@1795143600			seconds since the epoch
 *
 * Without Z, or +01:00, times are local.  Pure, but for the time zone.
 */
#pragma once

#include "util/slice.h"

#include <stdbool.h>
#include <stdint.h>

/* Does it ask for a time? */
bool mne_moment_is(MneSlice name);

/* The last nanosecond that belongs to it.  false: it was not understood. */
bool mne_moment_parse(MneSlice name, int64_t now_ns, int64_t *out_ns);

/* "7d", "1d12h": 0 … 200 years.  false: it was not understood. */
bool mne_moment_parse_span(const char *text, int64_t *out_seconds);
