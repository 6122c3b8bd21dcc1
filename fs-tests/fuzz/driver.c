/* SPDX-License-Identifier: Apache-2.0
 *
 * fuzz/driver.c - main() of a fuzz target where there is no libFuzzer
 *
 * Runs the target over the files, and the files in the directories, that its command
 * line names.  A target fails by aborting; the last line says over what.  D5: whatever the
 * bytes are, a decoder answers.
 */
#define G_LOG_DOMAIN "mne-fuzz"

#include "config.h"

#include <stdint.h>
#include <stdio.h>

#include <glib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int run_file(const char *path)
{
	g_autoptr(GError) error = NULL;
	g_autofree char *text = NULL;
	g_autoptr(GBytes) exact = NULL;
	gsize size;

	if (!g_file_get_contents(path, &text, &size, &error)) {
		fprintf(stderr, "%s\n", error->message);
		return 1;
	}
	/* Not one byte more than the input, so that a sanitizer sees an overrun. */
	exact = g_bytes_new(text, size);
	fprintf(stderr, "%s\n", path);
	(void)LLVMFuzzerTestOneInput(g_bytes_get_data(exact, NULL), size);
	return 0;
}

static int run_path(const char *path)
{
	g_autoptr(GDir) dir = g_dir_open(path, 0, NULL);
	const char *name;
	int failures = 0;

	if (!dir)
		return run_file(path);
	while ((name = g_dir_read_name(dir))) {
		g_autofree char *below = g_build_filename(path, name, NULL);

		failures += run_path(below);
	}
	return failures;
}

int main(int argc, char **argv)
{
	int failures = 0;

	for (int i = 1; i < argc; i++)
		failures += run_path(argv[i]);
	return failures > 0;
}
