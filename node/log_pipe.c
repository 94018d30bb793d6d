/* SPDX-License-Identifier: MIT
 *
 * Markers in a log pipe: see log_pipe.h. */
#include "log_pipe.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/id.h"

#define READ_SIZE (128 * 1024)

void log_pipe_token (uint8_t token[LOG_TOKEN_LEN])
{
    for (size_t i = 0; i < LOG_TOKEN_LEN; i += sizeof (uint64_t)) {
        uint64_t random = usi_random64 ();
        memcpy (token + i, &random, sizeof random);
    }
    token[0] = 0xff;
}

void log_pipe_init (log_pipe_t *self, const uint8_t token[LOG_TOKEN_LEN])
{
    memcpy (self->token, token, LOG_TOKEN_LEN);
    self->held_len = 0;
}

static void s_give (const log_pipe_sink_t *sink, const uint8_t *from, const uint8_t *to)
{
    if (from < to)
        sink->bytes (sink->arg, from, (size_t) (to - from));
}

/* How many of the last bytes may be the beginning of a token. */
static size_t s_tail (const log_pipe_t *self, const uint8_t *at, const uint8_t *end)
{
    size_t most = (size_t) (end - at);
    if (most > LOG_TOKEN_LEN - 1)
        most = LOG_TOKEN_LEN - 1;
    for (size_t len = most; len > 0; len--)
        if (memcmp (end - len, self->token, len) == 0)
            return len;
    return 0;
}

void log_pipe_feed (log_pipe_t *self, uint8_t *data, size_t len,
                    const log_pipe_sink_t *sink)
{
    uint8_t *at = data - self->held_len;
    const uint8_t *end = data + len;
    memcpy (at, self->held, self->held_len);
    self->held_len = 0;
    while (at < end) {
        uint8_t *token = memmem (at, (size_t) (end - at), self->token, LOG_TOKEN_LEN);
        if (token && end - token >= LOG_MARKER_LEN) {
            s_give (sink, at, token);
            sink->marker (sink->arg, (uint32_t) usi_get_be (token + LOG_TOKEN_LEN, 4));
            at = token + LOG_MARKER_LEN;
            continue;
        }
        size_t hold = token ? (size_t) (end - token) : s_tail (self, at, end);
        s_give (sink, at, end - hold);
        memcpy (self->held, end - hold, hold);
        self->held_len = hold;
        break;
    }
}

void log_pipe_end (log_pipe_t *self, const log_pipe_sink_t *sink)
{
    s_give (sink, self->held, self->held + self->held_len);
    self->held_len = 0;
}

long log_pipe_read (log_pipe_t *self, int fd, const log_pipe_sink_t *sink)
{
    /* One thread reads all pipes, one after the other. */
    static uint8_t buffer[LOG_MARKER_LEN + READ_SIZE];
    ssize_t got;
    do
        got = read (fd, buffer + LOG_MARKER_LEN, READ_SIZE);
    while (got < 0 && errno == EINTR);
    if (got > 0)
        log_pipe_feed (self, buffer + LOG_MARKER_LEN, (size_t) got, sink);
    return got;
}
