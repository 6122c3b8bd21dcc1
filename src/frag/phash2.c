/* SPDX-License-Identifier: Apache-2.0
 *
 * frag/phash2.c - Erlang's phash2 of a byte string
 */
#define G_LOG_DOMAIN "mne-frag"

#include "config.h"

#include "frag/phash2.h"

#define GOLDEN 0x9E3779B9u
#define BINARY (13u * GOLDEN) /* phash2's constant for the type of byte strings */

typedef struct {
	uint32_t a, b, c;
} Mix;

static void mix(Mix *m)
{
	static const uint8_t right[] = { 13, 13, 12, 5, 3, 15 };
	static const uint8_t left[] = { 8, 16, 10 };
	uint32_t a = m->a, b = m->b, c = m->c;

	for (unsigned round = 0; round < 3; round++) {
		a = (a - b - c) ^ (c >> right[2 * round]);
		b = (b - c - a) ^ (a << left[round]);
		c = (c - a - b) ^ (b >> right[2 * round + 1]);
	}
	*m = (Mix){ a, b, c };
}

/* Up to four bytes, little-endian, missing ones 0. */
static uint32_t word(const uint8_t *at, size_t len)
{
	uint32_t value = 0;

	for (size_t i = 0; i < len && i < 4; i++)
		value |= (uint32_t)at[i] << (8 * i);
	return value;
}

uint32_t mne_phash2(MneSlice bytes)
{
	Mix m = { GOLDEN, GOLDEN, BINARY };
	const uint8_t *at = bytes.data;
	size_t left = bytes.len;

	if (left == 0)
		return BINARY;

	for (; left >= 12; at += 12, left -= 12) {
		m.a += word(at, 4);
		m.b += word(at + 4, 4);
		m.c += word(at + 8, 4);
		mix(&m);
	}
	m.c += (uint32_t)bytes.len;
	m.a += word(at, left);
	if (left > 4)
		m.b += word(at + 4, left - 4);
	if (left > 8)
		m.c += word(at + 8, left - 8) << 8;
	mix(&m);
	return m.c;
}
