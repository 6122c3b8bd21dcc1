/* SPDX-License-Identifier: Apache-2.0
 *
 * ns/query.h - the names of a table that match, in their order
 *
 * Asks only the fragments that can have such names, as the table's hash module says, and
 * begins where the fixed part of the pattern does.
 */
#pragma once

#include "ns/ns.h"

typedef struct {
	const char *glob; /* as of glob(7); NULL: any name */
	const char *from, *before; /* from <= name < before; NULL: no limit */
	uint64_t limit; /* so many at most; 0: all */
} MneQuery;

/* Lines of JSON are appended: one with "asked" and "fragments", then one for each name. */
int mne_query_run(MneNs *ns, const char *table, const MneQuery *query, GString *to)
	MNE_CHECKED;
