/* SPDX-License-Identifier: MIT
 *
 * Claims whose answer went with the connection. Their function may have run, and then
 * nobody has its jobs: no node was told, so nobody renews or ends them. The nonce of a
 * claim stands in all that it took; on the next connection the store asks for these
 * jobs and they go back into their queues, uncounted. A broker that dies before that
 * leaves them to the end of their lease. */
#include "store/claim_recovery.h"

#include "base/log.h"
#include "store/events.h"

#define CLAIM_LEN 20                 /* node 8, boot 4, nonce 8: how a claim begins */
#define LOST_MAX  (4096 * CLAIM_LEN) /* beyond that the lease heals */

static void s_add (store_t *self, uint8_t partition, const uint8_t *claims, size_t len)
{
    usi_buf_t *lost = &self->partitions[partition].lost;
    if (lost->len + len <= LOST_MAX)
        usi_buf_append (lost, claims, len);
}

void claim_recovery_note (store_t *self, const op_t *claim)
{
    s_add (self, claim->partition, claim->data, CLAIM_LEN);
}

static void s_on_recovered (store_t *self, op_t *op, us_err_t err,
                            const usi_reply_t *answer)
{
    if (err) {
        s_add (self, op->partition, op->data, op->len); /* with the next connection */
        return;
    }
    int64_t count = usi_reply_int (usi_reply_at (answer, 0));
    if (count > 0)
        usi_notice ("store.taken_back",
                    "claimed while the connection was lost, and given back jobs=%lld",
                    (long long) count);
    events_tell_ended (self, usi_reply_at (answer, 1));
}

void claim_recovery_run (store_t *self)
{
    for (unsigned i = 0; i < PARTITIONS; i++) {
        usi_buf_t *lost = &self->partitions[i].lost;
        if (lost->len == 0)
            continue;
        op_t *op = op_new (OP_RECOVER, (uint8_t) i, lost->len, s_on_recovered, NULL);
        op_arg_copy (op, lost->data, lost->len);
        usi_buf_free (lost);
        op_queue (self, op);
    }
}

void claim_recovery_stop (store_t *self)
{
    for (unsigned i = 0; i < PARTITIONS; i++)
        usi_buf_free (&self->partitions[i].lost);
}
