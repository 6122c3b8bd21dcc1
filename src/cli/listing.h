/* SPDX-License-Identifier: Apache-2.0
 *
 * cli/listing.h - what tables list, for commands that copy them
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <glib.h>

typedef struct {
	bool fragments; /* directories of fragments, in place of the records */
	uint64_t since; /* the commit since which it is so, and records stay where they
			 * are */
} MneListingFact;

/* Of the directory of a table, live or in a checkpoint: 0 or a negative errno. */
int mne_listing_read(const char *dir, MneListingFact *out);

/* All names in a directory but "." and "..": strings, owned.  0 or a negative errno. */
int mne_listing_names(const char *dir, GPtrArray **out_names);
