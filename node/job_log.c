/* SPDX-License-Identifier: MIT
 *
 * Bytes of a log between pipe and broker: see job_log.h. */
#include "job_log.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "proto/limits.h"

#define CHUNK_MIN 1024

struct log_chunk {
    log_chunk_t *next;
    uint64_t offset;
    size_t len, cap;
    uint8_t data[];
};

void job_log_free (job_log_t *self)
{
    while (self->first) {
        log_chunk_t *chunk = self->first;
        self->first = chunk->next;
        free (chunk);
    }
    free (self->tail);
    *self = (job_log_t){0};
}

static log_chunk_t *s_chunk (job_log_t *self, size_t wanted)
{
    /* The first chunk of a log is small, for the many jobs that write a line. */
    size_t cap = self->last ? USI_MAX_LOG : CHUNK_MIN;
    while (cap < wanted && cap < USI_MAX_LOG)
        cap *= 2;
    log_chunk_t *chunk = usi_realloc (NULL, sizeof *chunk + cap);
    *chunk = (log_chunk_t){.offset = self->end, .cap = cap};
    if (self->last)
        self->last->next = chunk;
    else
        self->first = chunk;
    self->last = chunk;
    return chunk;
}

static void s_store (job_log_t *self, const uint8_t *data, size_t len)
{
    while (len > 0) {
        log_chunk_t *chunk = self->last;
        if (!chunk || chunk->len == chunk->cap)
            chunk = s_chunk (self, len);
        size_t part = chunk->cap - chunk->len;
        if (part > len)
            part = len;
        memcpy (chunk->data + chunk->len, data, part);
        chunk->len += part;
        self->end += part;
        if (!self->next)
            self->next = chunk;
        data += part;
        len -= part;
    }
}

static void s_say_gap (job_log_t *self)
{
    char line[80];
    int len = snprintf (line, sizeof line, "\n[understudy: %llu bytes dropped]\n",
                        (unsigned long long) self->gap);
    self->gap = 0;
    s_store (self, (const uint8_t *) line, (size_t) len);
}

static void s_keep_tail (job_log_t *self, const uint8_t *data, size_t len)
{
    if (!self->tail)
        self->tail = usi_alloc (JOB_LOG_TAIL);
    self->gap += len;
    self->dropped += len;
    if (len > JOB_LOG_TAIL) {
        data += len - JOB_LOG_TAIL;
        len = JOB_LOG_TAIL;
    }
    size_t first = JOB_LOG_TAIL - self->tail_at;
    if (first > len)
        first = len;
    memcpy (self->tail + self->tail_at, data, first);
    memcpy (self->tail, data + first, len - first);
    self->tail_at = (self->tail_at + len) % JOB_LOG_TAIL;
    self->tail_len += len;
    if (self->tail_len > JOB_LOG_TAIL)
        self->tail_len = JOB_LOG_TAIL;
}

void job_log_append (job_log_t *self, const void *data, size_t len, uint64_t limit)
{
    const uint8_t *at = data;
    if (self->tail || self->end + len > JOB_LOG_HEAD) {
        uint64_t room = 0;
        if (!self->tail && self->end < JOB_LOG_HEAD)
            room = JOB_LOG_HEAD - self->end;
        s_store (self, at, (size_t) room);
        s_keep_tail (self, at + room, len - (size_t) room);
        return;
    }
    uint64_t unkept = job_log_unkept (self);
    uint64_t room = unkept < limit ? limit - unkept : 0;
    if (len > room) {
        /* Nothing more until a whole piece fits: one gap, not many. */
        size_t part = self->gap == 0 ? (size_t) room : 0;
        s_store (self, at, part);
        self->gap += len - part;
        self->dropped += len - part;
        return;
    }
    if (self->gap > 0)
        s_say_gap (self);
    s_store (self, at, len);
}

void job_log_finish (job_log_t *self)
{
    if (self->tail) {
        self->gap -= self->tail_len;
        self->dropped -= self->tail_len;
    }
    if (self->gap > 0)
        s_say_gap (self);
    if (!self->tail)
        return;
    size_t begin = (self->tail_at + JOB_LOG_TAIL - self->tail_len) % JOB_LOG_TAIL;
    size_t first = JOB_LOG_TAIL - begin;
    if (first > self->tail_len)
        first = self->tail_len;
    s_store (self, self->tail + begin, first);
    s_store (self, self->tail, self->tail_len - first);
    free (self->tail);
    self->tail = NULL;
    self->tail_len = self->tail_at = 0;
}

usi_bytes_t job_log_next (job_log_t *self)
{
    while (self->next) {
        size_t at = (size_t) (self->sent - self->next->offset);
        if (at < self->next->len)
            return usi_bytes (self->next->data + at, self->next->len - at);
        if (!self->next->next)
            break;
        self->next = self->next->next;
    }
    return usi_bytes (NULL, 0);
}

void job_log_advance (job_log_t *self, size_t len)
{
    self->sent += len;
    US_ASSERT (self->sent <= self->end);
    if (self->sent == self->end)
        self->next = NULL;
}

void job_log_keep (job_log_t *self, uint64_t offset)
{
    if (offset > self->end)
        offset = self->end; /* a peer's number, not ours */
    if (offset > self->kept)
        self->kept = offset;
    if (self->sent < self->kept)
        job_log_rewind (self);
    /* The last two chunks stay: job_log_last is asked for them when a worker dies. */
    while (self->first && self->first->next && self->first->next->next &&
           self->first->offset + self->first->len <= self->kept &&
           self->first != self->next) {
        log_chunk_t *chunk = self->first;
        self->first = chunk->next;
        free (chunk);
    }
}

void job_log_rewind (job_log_t *self)
{
    self->sent = self->kept;
    self->next = NULL;
    for (log_chunk_t *chunk = self->first; chunk && !self->next; chunk = chunk->next)
        if (chunk->offset + chunk->len > self->sent)
            self->next = chunk;
}

void job_log_last (const job_log_t *self, size_t max, unsigned lines, usi_buf_t *out)
{
    usi_buf_t all = {0};
    for (const log_chunk_t *chunk = self->first; chunk; chunk = chunk->next)
        if (self->end - chunk->offset <= max + chunk->len)
            usi_buf_append (&all, chunk->data, chunk->len);
    size_t at = all.len;
    unsigned seen = 0;
    while (at > 0 && all.len - at < max) {
        /* The newline at the very end closes the last line. */
        if (all.data[at - 1] == '\n' && at < all.len && ++seen == lines)
            break;
        at--;
    }
    usi_buf_append (out, all.data + at, all.len - at);
    usi_buf_free (&all);
}
