/* SPDX-License-Identifier: MIT
 *
 * Items about jobs: see items.h. */
#include "items.h"

void items_each (engine_t *self, const usi_msg_t *msg, item_fn *fn)
{
    engine_lock (self);
    for (size_t i = 0; i < msg->items_len; i++) {
        us_result_t *next;
        us_result_t *result = table_find (&self->track.table, &msg->items[i].id);
        for (; result; result = next) {
            next = table_next (result);
            fn (self, result, msg, i);
        }
    }
    waiters_wake (self->client->waiters);
    engine_unlock (self);
}
