/* SPDX-License-Identifier: Apache-2.0
 *
 * cli/mount_options.h - what stands behind -o
 */
#pragma once

#include "ns/auto.h"
#include "ns/tx.h"

#include <stdbool.h>

#include <glib.h>

typedef enum { MNE_SHOW_HIDDEN, MNE_SHOW_VISIBLE, MNE_SHOW_OFF } MneShow;

typedef struct {
	bool read_only, create, allow_other, no_cplinks, no_uring, debug;
	MneShow ctl;
	int sync_seconds; /* as MneStoreOptions has it */
	unsigned commit_seconds;
	uint64_t history_bytes; /* as MneStoreOptions has it */
	unsigned history_percent;
	bool full_drops;
	char *hash_modules; /* directory; NULL: the default */
	MneAutoRules automatic;
	char *ckpt; /* cp=: owned; NULL: all of the store */
	char *hooks; /* directory of programs */
	int hook_seconds; /* for each call of one */
	MneNsTxLimits tx;
	GString *kernel; /* "noexec,nodev": for mount(2) */
	GString *shown; /* what the user asked for */
} MneMountOptions;

void mne_mount_options_init(MneMountOptions *options);
void mne_mount_options_clear(MneMountOptions *options);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(MneMountOptions, mne_mount_options_clear)

/* Take in "ro,sync=commit,noexec".  False: said why on stderr. */
bool mne_mount_options_parse(MneMountOptions *options, const char *text);

/* Name number i of those known, for completion and suggestions; NULL past the end. */
const char *mne_mount_option_name(unsigned i);
