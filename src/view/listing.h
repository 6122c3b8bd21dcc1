/* SPDX-License-Identifier: Apache-2.0
 *
 * view/listing.h - for those who implement a directory listing
 */
#pragma once

#include "view/view.h"

typedef struct {
	int (*next)(MneListing *listing, MneEntry *out_entry, MneNode *out_node);
	void (*free)(MneListing *listing);
} MneListingOps;

/* Listings embed this first. */
struct MneListing {
	const MneListingOps *ops;
};
