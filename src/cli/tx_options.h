/* SPDX-License-Identifier: Apache-2.0
 *
 * cli/tx_options.h - what -o says of transactions: pure
 */
#pragma once

#include "ns/tx.h"

/* "10m", "90s", "90", "2h", or "0": for ever.  false: it says something else. */
bool mne_parse_tx_idle(const char *text, MneNsTxLimits *limits);
/* The same. */
bool mne_parse_tx_lock_timeout(const char *text, MneNsTxLimits *limits);
/* 1 … 100000. */
bool mne_parse_tx_max(const char *text, MneNsTxLimits *limits);
/* "256M", "1G", bytes; at least 64 KiB. */
bool mne_parse_tx_mem(const char *text, MneNsTxLimits *limits);
