/* SPDX-License-Identifier: MIT
 *
 * What others in the store ask about blobs; finding, reading and putting them is in
 * store.h. */
#ifndef BROKER_STORE_BLOBS_H
#define BROKER_STORE_BLOBS_H

#include "store/store_internal.h"

/* This broker has seen it lately, and would have been told if it was lost. */
bool blob_is_known (const store_t *self, const uint8_t digest[USI_DIGEST_LEN]);

#endif
