/* SPDX-License-Identifier: MIT
 *
 * The keys of one blob, and the commands that all who work on blobs have in common. What
 * is written to these keys is written by functions/50_blobs.lua alone. */
#ifndef BROKER_STORE_BLOB_KEYS_H
#define BROKER_STORE_BLOB_KEYS_H

#include "proto/chunk.h"
#include "store/store_internal.h"

#define BLOB_KEY_LEN  96
#define BLOB_SIZE_LEN 6 /* of the mark "whole", which holds the size */

typedef struct blob_key {
    char text[BLOB_KEY_LEN];
} blob_key_t;

/* us:{b:DIGEST}:WHAT */
blob_key_t blob_key (const uint8_t digest[USI_DIGEST_LEN], const char *what);
/* Reads one chunk as it stands. */
void blob_read_chunk (store_t *self, const uint8_t digest[USI_DIGEST_LEN],
                      uint32_t index, usi_reply_fn *fn, void *arg);
/* Calls one of the functions on this blob, by its name behind us_HASH_. */
void blob_call (store_t *self, const uint8_t digest[USI_DIGEST_LEN], const char *name,
                const usi_bytes_t *args, size_t count, usi_reply_fn *fn, void *arg);
/* What no answer, or one that is an error, means. Asks for the function library where
 * that has gone. */
us_err_t blob_reply_error (store_t *self, const usi_reply_t *reply);
/* ZADD us:blobs [XX] now digest: the collector leaves it alone for an hour. */
void blob_touch (store_t *self, const uint8_t digest[USI_DIGEST_LEN],
                 bool only_if_there, usi_reply_fn *fn, void *arg);

#endif
