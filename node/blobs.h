/* SPDX-License-Identifier: MIT
 *
 * Big bytes: fetched from the broker in chunks, checked against their name, kept in
 * CACHE/blobs under it; results are put the other way. Both go on by themselves after
 * a new connection. */
#ifndef NODE_BLOBS_H
#define NODE_BLOBS_H

#include "node.h"

/* US_OK: the blob is in its file. Otherwise what is wrong, in words. */
typedef void blob_fn (node_t *node, void *arg, us_err_t err, const char *why);

blobs_t *blobs_new (node_t *node);
void blobs_destroy (blobs_t **self_p);
/* The caller frees it. */
char *blobs_path (const blobs_t *self, const uint8_t digest[USI_DIGEST_LEN]);
/* A descriptor of the blob's file, open for reading; -1: it is not here. */
int blobs_open (blobs_t *self, const uint8_t digest[USI_DIGEST_LEN]);
/* true: it is here, fn is not called. false: fn is called once, later. */
bool blobs_need (blobs_t *self, const uint8_t digest[USI_DIGEST_LEN], blob_fn *fn,
                 void *arg);
/* Whoever waits with this arg is not called any more. */
void blobs_forget (blobs_t *self, const void *arg);
/* Sends the bytes (borrowed until fn is called or blobs_forget) and names them. */
typedef void blob_put_fn (node_t *node, void *arg, us_err_t err,
                          const uint8_t digest[USI_DIGEST_LEN]);
void blobs_put (blobs_t *self, usi_bytes_t bytes, blob_put_fn *fn, void *arg);

void blobs_data (blobs_t *self, const usi_msg_t *msg); /* BLOB_DATA */
void blobs_kept (blobs_t *self, const usi_msg_t *msg); /* BLOB_KEPT */
/* A new connection: what was asked is asked again. */
void blobs_announce (blobs_t *self);
/* Asks again what got no answer; keeps the files within their part of the limit. */
void blobs_tidy (blobs_t *self);

#endif
