/* SPDX-License-Identifier: MIT
 *
 * See blob_check.h. One chunk is under way at a time, whatever the number of blobs: they
 * take turns. Who puts the same parts while they are checked waits for the same check. */
#include "store/blob_check.h"

#include <stdlib.h>

#include "base/sum.h"
#include "store/blob_keys.h"

typedef struct waiter {
    struct waiter *next;
    store_code_fn *fn;
    void *arg;
} waiter_t;

typedef struct check {
    list_node_t node; /* in store_t.checks */
    store_t *self;
    uint8_t digest[USI_DIGEST_LEN];
    uint8_t token[BLOB_TOKEN_LEN];
    uint64_t size;
    uint32_t index; /* the chunk that is read next */
    usi_sum_t sum;
    waiter_t *waiters;
} check_t;

static void s_end (check_t *check, us_err_t err)
{
    list_remove (&check->node);
    while (check->waiters) {
        waiter_t *waiter = check->waiters;
        check->waiters = waiter->next;
        waiter->fn (err, waiter->arg);
        free (waiter);
    }
    usi_sum_drop (&check->sum);
    free (check);
}

static void s_on_settled (const usi_reply_t *reply, void *arg)
{
    check_t *check = arg;
    if (usi_reply_is (reply, USI_REPLY_INT))
        s_end (check, usi_reply_int (reply) == 1 ? US_OK : US_ERR_MISSING_BLOB);
    else
        s_end (check, blob_reply_error (check->self, reply));
}

/* The functions look at the token again. */
static void s_settle (check_t *check, const char *function)
{
    uint8_t size[BLOB_SIZE_LEN];
    usi_put_be (size, check->size, sizeof size);
    const usi_bytes_t args[] = {usi_bytes (check->token, BLOB_TOKEN_LEN),
                                usi_bytes (size, sizeof size)};
    list_remove (&check->node);
    blob_call (check->self, check->digest, function, args, 2, s_on_settled, check);
}

static void s_finish (check_t *check)
{
    uint8_t digest[USI_DIGEST_LEN];
    usi_sum_end (&check->sum, digest);
    bool right = memcmp (digest, check->digest, sizeof digest) == 0;
    s_settle (check, right ? "blob_whole" : "blob_drop");
}

static void s_next (store_t *self);

static void s_add (check_t *check, usi_bytes_t chunk)
{
    store_t *self = check->self;
    if (chunk.len != usi_chunk_len (check->size, check->index)) {
        s_settle (check, "blob_drop");
        return;
    }
    usi_sum_add (&check->sum, chunk);
    if (++check->index == usi_chunk_count (check->size))
        s_finish (check);
    else
        list_append (&self->checks, &check->node); /* behind the others */
}

static void s_on_chunk (const usi_reply_t *reply, void *arg)
{
    store_t *self = arg;
    check_t *check = LIST_ELEMENT (self->checks.first, check_t, node);
    self->is_checking = false;
    if (!reply) {
        while (self->checks.first)
            s_end (LIST_ELEMENT (self->checks.first, check_t, node), US_ERR_STORE);
    } else if (usi_reply_is (reply, USI_REPLY_ERROR)) {
        s_end (check, US_ERR_STORE);
    } else {
        s_add (check, usi_reply_bytes (reply));
    }
    s_next (self);
}

static void s_next (store_t *self)
{
    check_t *check = LIST_ELEMENT (self->checks.first, check_t, node);
    if (!check || self->is_checking)
        return;
    self->is_checking = true;
    blob_read_chunk (self, check->digest, check->index, s_on_chunk, self);
}

static check_t *s_find (store_t *self, const uint8_t *digest, uint64_t size,
                        const uint8_t *token)
{
    LIST_EACH (&self->checks, check_t, check, node)
        if (memcmp (check->digest, digest, USI_DIGEST_LEN) == 0 &&
            check->size == size && memcmp (check->token, token, BLOB_TOKEN_LEN) == 0)
            return check;
    return NULL;
}

static check_t *s_new (store_t *self, const uint8_t *digest, uint64_t size,
                       const uint8_t *token)
{
    check_t *check = usi_new (check_t);
    check->self = self;
    check->size = size;
    memcpy (check->digest, digest, USI_DIGEST_LEN);
    memcpy (check->token, token, BLOB_TOKEN_LEN);
    usi_sum_begin (&check->sum);
    list_append (&self->checks, &check->node);
    return check;
}

void blob_check (store_t *self, const uint8_t digest[USI_DIGEST_LEN], uint64_t size,
                 const uint8_t token[BLOB_TOKEN_LEN], store_code_fn *fn, void *arg)
{
    check_t *check = s_find (self, digest, size, token);
    if (!check)
        check = s_new (self, digest, size, token);
    waiter_t *waiter = usi_new (waiter_t);
    *waiter = (waiter_t){.next = check->waiters, .fn = fn, .arg = arg};
    check->waiters = waiter;
    s_next (self);
}
