/* SPDX-License-Identifier: Apache-2.0
 *
 * ns/ctl_text.c - control files that are a text, and take lines
 */
#define G_LOG_DOMAIN "mne-ns"

#include "config.h"

#include "ns/ctl_text.h"

#include <fcntl.h>

#define LINE_MAX_BYTES 65536u

typedef struct {
	MneCtlFile base;
	MneNs *ns; /* borrowed */
	const MneCtlKind *kind;
	const char *const *args; /* borrowed */
	MneLock lock;
	GString *text;
} Text;

ssize_t mne_ctl_text_read(MneSlice text, uint64_t offset, void *buffer, size_t len)
{
	if (offset >= text.len)
		return 0;
	len = MIN(len, text.len - offset);
	memcpy(buffer, text.data + offset, len);
	return (ssize_t)len;
}

static ssize_t text_read(MneCtlFile *file, uint64_t offset, void *buffer, size_t len,
			 const MneCtlWait *wait)
{
	Text *text = (Text *)file;

	(void)wait;
	MNE_WITH_LOCK(&text->lock);
	return mne_ctl_text_read(mne_slice(text->text->str, text->text->len), offset,
				 buffer, len);
}

static int run_lines(const Text *text, char **lines, GString *answer)
{
	for (; *lines; lines++) {
		int err;

		if (!**lines)
			continue;
		err = text->kind->line(text->ns, text->args, *lines, answer);
		if (err < 0) {
			g_string_assign(answer, mne_err_sentence(err));
			return err;
		}
	}
	return 0;
}

static void set_text(Text *text, GString *to)
{
	MNE_WITH_LOCK(&text->lock);
	g_string_assign(text->text, to->str);
}

static int text_write(MneCtlFile *file, MneSlice bytes,
		      const MneCtlWait *wait G_GNUC_UNUSED)
{
	Text *text = (Text *)file;
	g_autofree char *copy = NULL;
	g_auto(GStrv) lines = NULL;
	GString *answer;
	int err;

	if (bytes.len > LINE_MAX_BYTES)
		return mne_throw(BAD_CTL, "more than %u bytes at once", LINE_MAX_BYTES);
	if (bytes.len > 0 && memchr(bytes.data, 0, bytes.len))
		return mne_throw(BAD_CTL, "a NUL in a control line");
	copy = g_strndup((const char *)bytes.data, bytes.len);
	lines = g_strsplit(copy, "\n", -1);
	answer = g_string_new(NULL);
	err = run_lines(text, lines, answer);
	set_text(text, answer);
	g_string_free(answer, TRUE);
	return err;
}

static void text_close(MneCtlFile *file)
{
	Text *text = (Text *)file;

	g_string_free(text->text, TRUE);
	mne_lock_clear(&text->lock);
	g_free(text);
}

int mne_ctl_text_open(MneNs *ns, const MneCtlKind *kind, const char *const *args,
		      const MneCtlOpen *how, MneCtlFile **out_file)
{
	static const MneCtlFileOps read_only = { .read = text_read,
						 .close = text_close };
	static const MneCtlFileOps writable = { .read = text_read,
						.write = text_write,
						.close = text_close };
	int way = how->flags & O_ACCMODE;
	Text *text;
	int err;

	if ((way != O_RDONLY && !kind->line) || (way == O_RDONLY && !kind->print))
		return -EACCES;
	text = g_new0(Text, 1);
	text->base.ops = kind->line ? &writable : &read_only;
	text->ns = ns;
	text->kind = kind;
	text->args = args;
	text->text = g_string_new(NULL);
	mne_lock_init(&text->lock, MNE_RANK_HANDLE);
	err = kind->print && way != O_WRONLY ? kind->print(ns, args, text->text) : 0;
	if (err < 0)
		text_close(&text->base);
	else
		*out_file = &text->base;
	return err;
}
