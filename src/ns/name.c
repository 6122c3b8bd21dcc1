/* SPDX-License-Identifier: Apache-2.0
 *
 * ns/name.c - the names that are not records
 */
#define G_LOG_DOMAIN "mne-ns"

#include "config.h"

#include "ns/name.h"

#include "record/keys.h"

typedef struct {
	const char *name;
	MneNameKind kind;
	unsigned
		places; /* MneNamePlace bits: where it is listed, if hidden names are */
} Reserved;

static const Reserved reserved[] = {
	{ ".checkpoints", MNE_NAME_CHECKPOINTS,
	  MNE_AT_ROOT | MNE_IN_TABLE | MNE_BELOW_TABLE },
	{ ".mnefs", MNE_NAME_CTL, MNE_AT_ROOT },
	{ ".frag", MNE_NAME_FRAG, MNE_IN_TABLE },
	{ ".by", MNE_NAME_BY, 0 },
	{ ".tx", MNE_NAME_TX, MNE_AT_ROOT },
};

MneNameKind mne_name_kind(MneSlice name)
{
	if (name.len == 0 || name.data[0] != '.')
		return MNE_NAME_ORDINARY;

	for (unsigned i = 0; i < G_N_ELEMENTS(reserved); i++)
		if (mne_slice_equal(name, mne_slice_str(reserved[i].name)))
			return reserved[i].kind;
	return MNE_NAME_ORDINARY;
}

int mne_name_check(MneSlice name)
{
	if (name.len > MNE_NAME_MAX)
		return -ENAMETOOLONG;
	if (mne_name_kind(name) != MNE_NAME_ORDINARY)
		return mne_throw(RESERVED_NAME, "%.*s is a reserved name",
				 (int)name.len, (const char *)name.data);
	return 0;
}

const char *mne_name_visible(unsigned i, MneNamePlace place)
{
	for (unsigned row = 0; row < G_N_ELEMENTS(reserved); row++) {
		bool is_here = reserved[row].places & place;

		if (is_here && i-- == 0)
			return reserved[row].name;
	}
	return NULL;
}
