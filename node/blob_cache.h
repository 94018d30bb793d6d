/* SPDX-License-Identifier: MIT
 *
 * Big bytes: fetched from the broker in chunks, checked against their name, kept in
 * CACHE/blobs under it; results are put the other way. Both go on by themselves after
 * a new connection. The owner says which blobs are in use and so have to stay. Stands on
 * conn.h, sound_blobs.h and host/. */
#ifndef NODE_BLOB_CACHE_H
#define NODE_BLOB_CACHE_H

#include "node.h"

/* US_OK: the blob is in its file. Otherwise what is wrong, in words. */
typedef void blob_fn (node_t *node, void *arg, us_err_t err, const char *why);

typedef bool blob_in_use_fn (const node_t *node, const uint8_t digest[USI_DIGEST_LEN]);

blob_cache_t *blob_cache_new (node_t *node, blob_in_use_fn *in_use);
void blob_cache_destroy (blob_cache_t **self_p);
/* The caller frees it. */
char *blob_cache_path (const blob_cache_t *self, const uint8_t digest[USI_DIGEST_LEN]);
/* Opens the blob's file for reading and returns its descriptor; -1: the blob is not
 * here, or its file has changed since it was compared with its sum. */
int blob_cache_open (blob_cache_t *self, const uint8_t digest[USI_DIGEST_LEN]);
/* Fetches the blob unless it is here. A file that was here before this node, or has
 * changed, is compared with its sum first. true: it is here, and fn is not called. false:
 * fn is called once, later. */
bool blob_cache_need (blob_cache_t *self, const uint8_t digest[USI_DIGEST_LEN],
                      blob_fn *fn, void *arg);
/* Callbacks with this arg are not called any more. */
void blob_cache_forget (blob_cache_t *self, const void *arg);
/* Sends the bytes (borrowed until fn is called or blob_cache_forget) and names them. */
typedef void blob_put_fn (node_t *node, void *arg, us_err_t err,
                          const uint8_t digest[USI_DIGEST_LEN]);
void blob_cache_put (blob_cache_t *self, usi_bytes_t bytes, blob_put_fn *fn, void *arg);

void blob_cache_data (blob_cache_t *self, const usi_msg_t *msg); /* BLOB_DATA */
void blob_cache_kept (blob_cache_t *self, const usi_msg_t *msg); /* BLOB_KEPT */
/* There is a new connection: asks for all chunks again, and sends all puts anew. */
void blob_cache_announce (blob_cache_t *self);
/* Repeats what the broker has not answered; keeps the files within their part of the
 * limit. */
void blob_cache_tidy (blob_cache_t *self);

#endif
