/* SPDX-License-Identifier: MIT
 *
 * Splits what a worker's log pipe gives into the logs of its jobs: at the end of
 * each job the worker writes a marker, its token and the job's number
 * (docs/worker-protocol.md). A marker may be split over reads. One reader, one pipe;
 * the descriptor stays the caller's. */
#ifndef NODE_LOG_PIPE_H
#define NODE_LOG_PIPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LOG_TOKEN_LEN  16
#define LOG_MARKER_LEN 20

typedef struct log_pipe {
    uint8_t token[LOG_TOKEN_LEN];
    uint8_t held[LOG_MARKER_LEN]; /* may be the beginning of a marker */
    size_t held_len;
} log_pipe_t;

typedef struct log_pipe_sink {
    void (*bytes) (void *arg, const uint8_t *data, size_t len);
    void (*marker) (void *arg, uint32_t seq);
    void *arg;
} log_pipe_sink_t;

/* A token for a new pipe. No text in UTF-8 has its first byte: of what could begin a
 * marker, nothing is given before more comes, and the end of a line must not wait so. */
void log_pipe_token (uint8_t token[LOG_TOKEN_LEN]);

void log_pipe_init (log_pipe_t *self, const uint8_t token[LOG_TOKEN_LEN]);

/* Gives everything in data to the sink, in order. The LOG_MARKER_LEN bytes before
 * data must be writable: what was held back from the last read is put there. */
void log_pipe_feed (log_pipe_t *self, uint8_t *data, size_t len,
                    const log_pipe_sink_t *sink);
/* The pipe has ended: what was held back is no marker. */
void log_pipe_end (log_pipe_t *self, const log_pipe_sink_t *sink);

/* Reads once from fd, without blocking. Returns what read(2) returned: 0 at the end, -1
 * with errno EAGAIN where nothing is there. */
long log_pipe_read (log_pipe_t *self, int fd, const log_pipe_sink_t *sink);

#endif
