/* SPDX-License-Identifier: Apache-2.0
 *
 * unit/blobs.h - what the tests of the blob layer share: a store of their own
 */
#pragma once

#include "blob/store.h"

#include <stdint.h>

#include <glib.h>

typedef struct {
	char *path;
	MneBlobStore *store;
} Blobs;

/* For g_test_add(): an empty store in a new directory. */
void blobs_set_up(Blobs *f, const void *data);
void blobs_tear_down(Blobs *f, const void *data);
void blobs_reopen(Blobs *f);

char *blobs_path_of(const Blobs *f, uint64_t id);
/* Bytes that tell their number and length. */
uint8_t *blobs_payload(uint64_t number, uint32_t len);

int blobs_try_append(Blobs *f, uint64_t number, uint32_t len, MneBlobRef *out_ref);
MneBlobRef blobs_append(Blobs *f, uint64_t number, uint32_t len);

int blobs_read_part(Blobs *f, const MneBlobRef *ref, uint32_t from, uint32_t len);
/* The whole and a part are what blobs_append() of number wrote. */
void blobs_assert_reads(Blobs *f, const MneBlobRef *ref, uint64_t number);

/* Overwrite bytes of a segment's file. */
void blobs_damage(const Blobs *f, uint64_t segment, uint64_t at, const void *bytes,
		  size_t len);
unsigned blobs_count_walked(Blobs *f, uint64_t segment);

#define BLOBS_TEST(name)                                                   \
	g_test_add("/blob/" #name, Blobs, NULL, blobs_set_up, test_##name, \
		   blobs_tear_down)
