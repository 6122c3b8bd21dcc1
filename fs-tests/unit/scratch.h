/* SPDX-License-Identifier: Apache-2.0
 *
 * fs-tests/unit/scratch.h - directories for a test, and their end
 */
#pragma once

/* What is in it goes, with all that is below; what cannot go stays. */
void scratch_empty(const char *path);
/* The directory, too. */
void scratch_remove(const char *path);
