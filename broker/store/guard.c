/* SPDX-License-Identifier: MIT
 *
 * See guard.h. Most jobs name no blobs, or some that this broker has seen a moment ago:
 * they go to the batch at once and meet only an empty table here. */
#include "store/guard.h"

#include <stdlib.h>

#include "store/blobs.h"

typedef struct guard {
    store_t *self;
    op_t *op;
    op_t *behind, **tail; /* came later and are about the same job */
    us_err_t err;
    unsigned waiting;
} guard_t;

static size_t s_hash (const void *key)
{
    return (size_t) usi_get_be (key, 8);
}

static int s_compare (const void *a, const void *b)
{
    return memcmp (a, b, US_ID_LEN);
}

void guard_start (store_t *self)
{
    self->guards = zhashx_new ();
    zhashx_set_key_hasher (self->guards, s_hash);
    zhashx_set_key_comparator (self->guards, s_compare);
    zhashx_set_key_duplicator (self->guards, NULL); /* the id within the operation */
    zhashx_set_key_destructor (self->guards, NULL);
}

void guard_stop (store_t *self)
{
    zhashx_destroy (&self->guards);
}

static guard_t *s_new (store_t *self, op_t *op)
{
    guard_t *guard = usi_new (guard_t);
    *guard = (guard_t){.self = self, .op = op};
    guard->tail = &guard->behind;
    /* An earlier guard of the job ends before this one. */
    zhashx_delete (self->guards, op->id.bytes);
    zhashx_insert (self->guards, op->id.bytes, guard);
    op_count (self, op);
    return guard;
}

static void s_end (guard_t *guard)
{
    store_t *self = guard->self;
    if (zhashx_lookup (self->guards, guard->op->id.bytes) == guard)
        zhashx_delete (self->guards, guard->op->id.bytes);
    if (guard->err)
        op_finish (self, guard->op, guard->err, NULL);
    else
        op_queue_now (self, guard->op);
    while (guard->behind) {
        op_t *op = guard->behind;
        guard->behind = op->next;
        op_queue_now (self, op);
    }
    free (guard);
}

static void s_on_size (us_err_t code, uint64_t size, void *arg)
{
    guard_t *guard = arg;
    if (code)
        guard->err = US_ERR_STORE;
    else if (size == 0 && !guard->err)
        guard->err = US_ERR_MISSING_BLOB;
    if (--guard->waiting == 0)
        s_end (guard);
}

/* False: nothing about this job waits. */
static bool s_put_behind (store_t *self, op_t *op)
{
    if (zhashx_size (self->guards) == 0)
        return false;
    guard_t *guard = zhashx_lookup (self->guards, op->id.bytes);
    if (!guard)
        return false;
    op_count (self, op);
    op->next = NULL;
    *guard->tail = op;
    guard->tail = &op->next;
    return true;
}

void guard_queue (store_t *self, op_t *op, usi_bytes_t blobs)
{
    guard_t *guard = NULL;
    for (size_t at = 0; at + USI_DIGEST_LEN <= blobs.len; at += USI_DIGEST_LEN) {
        const uint8_t *digest = blobs.data + at;
        if (blob_is_known (self, digest))
            continue;
        if (!guard)
            guard = s_new (self, op);
        guard->waiting++;
        store_blob_find (self, digest, s_on_size, guard);
    }
    if (!guard && !s_put_behind (self, op))
        op_queue (self, op);
}
