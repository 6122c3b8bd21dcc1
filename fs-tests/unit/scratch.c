/* SPDX-License-Identifier: Apache-2.0
 *
 * fs-tests/unit/scratch.c - directories for a test, and their end
 */
#include "config.h"

#include "scratch.h"

#include <glib.h>
#include <glib/gstdio.h>

void scratch_empty(const char *path)
{
	g_autoptr(GDir) dir = g_dir_open(path, 0, NULL);
	const char *name;

	while (dir && (name = g_dir_read_name(dir))) {
		g_autofree char *file = g_build_filename(path, name, NULL);

		if (g_file_test(file, G_FILE_TEST_IS_DIR))
			scratch_remove(file);
		else
			g_unlink(file);
	}
}

void scratch_remove(const char *path)
{
	scratch_empty(path);
	g_rmdir(path);
}
