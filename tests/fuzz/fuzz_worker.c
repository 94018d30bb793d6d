/* SPDX-License-Identifier: MIT
 *
 * What a job may make its worker say: the log pipe with its markers, read in pieces whose
 * length the first byte tells, and failure envelopes. Nothing of a log is lost. */
#include "fuzz.h"
#include "log_pipe.h"
#include "host/failure.h"

static const uint8_t s_token[LOG_TOKEN_LEN] = "0123456789abcdef";

static void s_on_bytes (void *arg, const uint8_t *data, size_t len)
{
    US_ASSERT (len > 0 && data);
    *(size_t *) arg += len;
}

static void s_on_marker (void *arg, uint32_t seq)
{
    (void) seq;
    *(size_t *) arg += LOG_MARKER_LEN;
}

static void s_feed (const uint8_t *data, size_t len, size_t step)
{
    log_pipe_t pipe;
    size_t given = 0;
    const log_pipe_sink_t sink = {s_on_bytes, s_on_marker, &given};
    log_pipe_init (&pipe, s_token);
    for (size_t at = 0; at < len; at += step) {
        size_t part = len - at < step ? len - at : step;
        uint8_t *room = malloc (LOG_MARKER_LEN + part);
        memcpy (room + LOG_MARKER_LEN, data + at, part);
        log_pipe_feed (&pipe, room + LOG_MARKER_LEN, part, &sink);
        free (room);
    }
    log_pipe_end (&pipe, &sink);
    US_ASSERT (given == len);
}

int LLVMFuzzerTestOneInput (const uint8_t *data, size_t len)
{
    failure_code (usi_bytes (data, len));
    if (len > 1)
        s_feed (data + 1, len - 1, data[0] + 1u);
    return 0;
}
