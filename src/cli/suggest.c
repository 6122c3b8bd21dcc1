/* SPDX-License-Identifier: Apache-2.0
 *
 * cli/suggest.c - the nearest word to a mistyped one
 *
 * Optimal string alignment over three rows.  A third of the word, and at least one
 * letter, may be wrong; a word that begins with what was given counts as near, too.
 */
#define G_LOG_DOMAIN "mne-cli"

#include "config.h"

#include "cli/suggest.h"

#include <string.h>

enum { WORD_MAX = 64 };

static unsigned least(unsigned a, unsigned b, unsigned c)
{
	return MIN(a, MIN(b, c));
}

unsigned mne_edit_distance(const char *a, const char *b)
{
	size_t rows = strlen(a), columns = strlen(b);
	unsigned row[3][WORD_MAX + 1];

	if (rows > WORD_MAX || columns > WORD_MAX)
		return WORD_MAX;
	for (size_t j = 0; j <= columns; j++)
		row[0][j] = (unsigned)j;
	for (size_t i = 1; i <= rows; i++) {
		unsigned *now = row[i % 3], *above = row[(i + 2) % 3];
		const unsigned *two_above = row[(i + 1) % 3];

		now[0] = (unsigned)i;
		for (size_t j = 1; j <= columns; j++) {
			bool same = a[i - 1] == b[j - 1];

			now[j] = least(above[j] + 1, now[j - 1] + 1,
				       above[j - 1] + !same);
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] &&
			    a[i - 2] == b[j - 1])
				now[j] = MIN(now[j], two_above[j - 2] + 1);
		}
	}
	return row[rows % 3][columns];
}

/* The best word so far. */
typedef struct {
	const char *given;
	const char *word;
	unsigned distance;
} Best;

static Best best_of(const char *given)
{
	unsigned allowed = (unsigned)strlen(given) / 3;

	return (Best){ given, NULL, MAX(allowed, 1) + 1 };
}

static void consider(Best *best, const char *word)
{
	unsigned distance = mne_edit_distance(best->given, word);

	if (strlen(best->given) >= 2 && g_str_has_prefix(word, best->given))
		distance = 1;
	if (distance < best->distance) {
		best->word = word;
		best->distance = distance;
	}
}

const char *mne_suggest_word(const char *const *words, size_t count, const char *given)
{
	Best best = best_of(given);

	for (size_t i = 0; i < count; i++)
		consider(&best, words[i]);
	return best.word;
}

char *mne_suggest_command(const char *given)
{
	Best best = best_of(given);

	for (const MneCommand *c = mne_commands(); c->name; c++)
		consider(&best, c->name);
	if (!best.word && !strchr(given, ' '))
		consider(&best, "checkpoint");
	return g_strdup(best.word);
}

static void consider_options(Best *best, const MneOption *options)
{
	for (; options->name[0]; options++)
		consider(best, options->name);
}

char *mne_suggest_option(const MneCommand *command, const char *given)
{
	const char *bare = given + strspn(given, "-");
	Best best = best_of(bare);

	if (strlen(bare) < 2)
		return NULL;
	if (command)
		consider_options(&best, command->options);
	consider_options(&best, mne_global_options());
	return best.word ? g_strdup_printf("--%s", best.word) : NULL;
}
