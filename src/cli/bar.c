/* SPDX-License-Identifier: Apache-2.0
 *
 * cli/bar.c - a progress bar, on a terminal alone
 */
#define G_LOG_DOMAIN "mne-cli"

#include "config.h"

#include "cli/bar.h"

#include "cli/say.h"

#include <stdio.h>
#include <unistd.h>

#define WIDTH   40u
#define DRAW_US (G_USEC_PER_SEC / 10)

void mne_bar_init(MneBar *bar, const MneCli *cli)
{
	const char *term = g_getenv("TERM");

	*bar = (MneBar){ .begun = g_get_monotonic_time() };
	bar->is_on = isatty(STDERR_FILENO) && !cli->quiet && !cli->json &&
		     g_strcmp0(term, "dumb") != 0;
}

static void draw(MneBar *bar, uint64_t done, int64_t now)
{
	double part = (double)MIN(done, bar->total) / (double)bar->total;
	double spent = (double)(now - bar->begun) / G_USEC_PER_SEC;
	double left = part > 0.01 ? spent / part - spent : 0;
	g_autofree char *time = mne_text_duration((int64_t)left);
	char cells[WIDTH + 1];

	for (unsigned i = 0; i < WIDTH; i++)
		cells[i] = i < (unsigned)(part * WIDTH) ? '#' : '.';
	cells[WIDTH] = '\0';
	fprintf(stderr, "\r[%s] %3.0f %%  %s left \033[K", cells, part * 100,
		part > 0.01 ? time : "?");
	fflush(stderr);
	bar->is_shown = true;
	bar->drawn = now;
}

void mne_bar_show(MneBar *bar, uint64_t done)
{
	int64_t now = g_get_monotonic_time();

	if (bar->is_on && bar->total > 0 && now - bar->drawn >= DRAW_US)
		draw(bar, done, now);
}

void mne_bar_clear(MneBar *bar)
{
	if (bar->is_shown)
		fprintf(stderr, "\r\033[K");
	bar->is_shown = false;
}
