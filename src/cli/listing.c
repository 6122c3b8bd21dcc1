/* SPDX-License-Identifier: Apache-2.0
 *
 * cli/listing.c - what tables list, for commands that copy them
 */
#define G_LOG_DOMAIN "mne-cli"

#include "config.h"

#include "cli/listing.h"

#include <dirent.h>
#include <errno.h>
#include <string.h>
#include <sys/xattr.h>

int mne_listing_read(const char *dir, MneListingFact *out)
{
	char text[64];
	ssize_t len = getxattr(dir, "mnefs.listing", text, sizeof(text) - 1);
	const char *blank;

	if (len < 0)
		return -errno;
	text[len] = 0;
	blank = strchr(text, ' ');
	*out = (MneListingFact){ .fragments = g_str_has_prefix(text, "fragments ") };
	if (!blank || !g_ascii_string_to_unsigned(blank + 1, 10, 0, G_MAXUINT64,
						  &out->since, NULL))
		return -EPROTO;
	return 0;
}

int mne_listing_names(const char *dir, GPtrArray **out_names)
{
	g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func(g_free);
	DIR *stream = opendir(dir);
	const struct dirent *entry;
	int err;

	if (!stream)
		return -errno;
	while ((errno = 0, entry = readdir(stream)))
		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
			g_ptr_array_add(names, g_strdup(entry->d_name));
	err = errno;
	closedir(stream);
	if (err == 0)
		*out_names = g_steal_pointer(&names);
	return -err;
}
