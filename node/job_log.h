/* SPDX-License-Identifier: MIT
 *
 * One stream of one attempt on its way to the broker: bytes wait here until
 * LOG_KEPT. Offsets count from the beginning of the attempt. Up to JOB_LOG_HEAD
 * bytes are passed on as they come; of what follows only the last JOB_LOG_TAIL are
 * kept, and given after a line that says how much is missing. A job that never
 * writes costs nothing. */
#ifndef NODE_JOB_LOG_H
#define NODE_JOB_LOG_H

#include "base/bytes.h"

#define JOB_LOG_HEAD   ((uint64_t) 63 * 1024 * 1024)
#define JOB_LOG_TAIL   ((size_t) 1024 * 1024)
#define JOB_LOG_WINDOW ((uint64_t) 1024 * 1024) /* unkept; beyond it the job waits */
#define JOB_LOG_ALONE  ((uint64_t) 8 * 1024 * 1024) /* unkept while no broker answers */

typedef struct log_chunk log_chunk_t;

/* Zero-initialise. */
typedef struct job_log {
    log_chunk_t *first, *last;
    log_chunk_t *next; /* where the first unsent byte stands; NULL: all is sent */
    uint64_t end;      /* offset behind the last byte */
    uint64_t sent;     /* on this connection */
    uint64_t kept;     /* by the store */
    uint64_t dropped;  /* in all */
    uint64_t gap;      /* dropped since the last line that said so */
    uint8_t *tail;     /* a ring, beyond JOB_LOG_HEAD */
    size_t tail_at, tail_len;
} job_log_t;

void job_log_free (job_log_t *self);
/* Takes bytes; what would leave more than limit unkept is dropped and counted. */
void job_log_append (job_log_t *self, const void *data, size_t len, uint64_t limit);
/* No more bytes come: says what was dropped and gives the tail. */
void job_log_finish (job_log_t *self);
/* The next unsent piece, at most USI_MAX_LOG long, beginning at self->sent; empty where
 * all is sent. */
usi_bytes_t job_log_next (job_log_t *self);
void job_log_advance (job_log_t *self, size_t len);
/* The store has everything up to offset. */
void job_log_keep (job_log_t *self, uint64_t offset);
/* Send again from what is kept. */
void job_log_rewind (job_log_t *self);

static inline uint64_t job_log_unkept (const job_log_t *self)
{
    return self->end - self->kept;
}

/* The last lines, at most max bytes, copied to out. */
void job_log_last (const job_log_t *self, size_t max, unsigned lines, usi_buf_t *out);

#endif
