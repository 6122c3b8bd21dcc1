/* SPDX-License-Identifier: Apache-2.0
 *
 * cli/args.h - argv into a command, its options and its words
 */
#pragma once

#include "cli/cli.h"

typedef enum {
	MNE_ARGS_RUN, /* cli->command is set */
	MNE_ARGS_HELP, /* --help, of cli->command when that is set */
	MNE_ARGS_VERSION,
	MNE_ARGS_LIST, /* --list-commands */
	MNE_ARGS_WRONG, /* said why on stderr */
} MneArgsResult;

MneArgsResult mne_args_parse(MneCli *cli, int argc, char **argv);
void mne_args_clear(MneCli *cli);
