/* SPDX-License-Identifier: MIT
 *
 * How large the buffers of a job may be: as configured, and never more than the store can
 * hold. Stands on the store. */
#ifndef BROKER_LIMITS_H
#define BROKER_LIMITS_H

#include "core/broker.h"

/* One that takes more than half of the store's memory could never be put beside others. */
static inline uint64_t limit_of_store (const broker_t *self, uint64_t configured)
{
    uint64_t half = store_memory (self->store) / 2;
    return half && half < configured ? half : configured;
}

/* Bytes of one buffer. */
static inline uint64_t limit_buffer (const broker_t *self)
{
    return limit_of_store (self, self->max_buffer);
}

/* Bytes of all buffers of a job, or of its result, together. */
static inline uint64_t limit_buffers (const broker_t *self)
{
    return limit_of_store (self, self->max_buffers);
}

/* Bytes of any blob, be it a body, code or a buffer. */
static inline uint64_t limit_blob (const broker_t *self)
{
    uint64_t buffer = limit_buffer (self);
    return buffer > self->max_payload ? buffer : self->max_payload;
}

#endif
