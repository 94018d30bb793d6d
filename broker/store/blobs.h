/* SPDX-License-Identifier: MIT
 *
 * Finding, reading and putting blobs (store.h), and what others in the store ask about
 * them. Stands on blob_keys.h, blob_check.h and blob_memory.h. */
#ifndef BROKER_STORE_BLOBS_H
#define BROKER_STORE_BLOBS_H

#include "store/store_internal.h"

/* This broker has seen it lately, and would have been told if it was lost. */
bool blob_is_known (const store_t *self, const uint8_t digest[USI_DIGEST_LEN]);

#endif
