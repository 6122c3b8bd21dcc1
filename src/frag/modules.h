/* SPDX-License-Identifier: Apache-2.0
 *
 * frag/modules.h - hash modules by name: built in, or from one directory
 *
 * A module of that directory is a shared object, NAME.so (frag/frag-hash.h says what it
 * exports).  It runs as this process does; so the directory and the file must belong to
 * root or to who runs us, and nobody else may write to them.
 *
 * Threads: all functions.
 */
#pragma once

#include "frag/hash.h"

typedef struct MneFragModules MneFragModules;

/* dir NULL or empty: only those built in. */
MneFragModules *mne_frag_modules_new(const char *dir);
/* What it has loaded goes: no map may be left that uses it. */
void mne_frag_modules_free(MneFragModules *modules);

/* NULL: there is none of that name; the log says why when its file is there.  modules NULL:
 * only those built in. */
const MneFragHash *mne_frag_modules_find(MneFragModules *modules, const char *name);
