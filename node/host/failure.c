/* SPDX-License-Identifier: MIT
 *
 * Failure envelopes: see failure.h. */
#include "host/failure.h"

#include "proto/pack.h"

/* Length of the UTF-8 sequence at the front; 0 where there is none. */
static size_t s_sequence (const uint8_t *at, size_t len)
{
    if (at[0] < 0x80)
        return at[0] != 0;
    size_t want = at[0] >= 0xf0 ? 4 : at[0] >= 0xe0 ? 3 : 2;
    return want <= len && usi_is_text (at, want) ? want : 0;
}

static void s_text (usi_buf_t *out, usi_bytes_t bytes)
{
    if (usi_is_text (bytes.data, bytes.len)) {
        usi_pack_str (out, bytes.data, bytes.len);
        return;
    }
    usi_buf_t clean = {0};
    for (size_t at = 0; at < bytes.len;) {
        size_t len = s_sequence (bytes.data + at, bytes.len - at);
        if (len > 0)
            usi_buf_append (&clean, bytes.data + at, len);
        else
            usi_buf_text (&clean, "\xef\xbf\xbd");
        at += len ? len : 1;
    }
    usi_pack_str (out, clean.data, clean.len);
    usi_buf_free (&clean);
}

static void s_pair (usi_buf_t *out, const char *key, usi_bytes_t text)
{
    usi_pack_str (out, key, strlen (key));
    s_text (out, text);
}

static void s_number (usi_buf_t *out, const char *key, int64_t value)
{
    usi_pack_str (out, key, strlen (key));
    usi_pack_int (out, value);
}

static void s_detail (usi_buf_t *out, const failure_t *failure)
{
    uint32_t count = (failure->node != NULL) + (failure->command != NULL) +
                     (failure->output.len > 0) + (failure->log.len > 0) +
                     (failure->signal > 0) + (failure->exit_code >= 0);
    usi_pack_str (out, "detail", 6);
    usi_pack_map (out, count);
    if (failure->node)
        s_pair (out, "node", usi_bytes_of (failure->node));
    if (failure->command)
        s_pair (out, "command", usi_bytes_of (failure->command));
    if (failure->output.len > 0)
        s_pair (out, "output", failure->output);
    if (failure->log.len > 0)
        s_pair (out, "log", failure->log);
    if (failure->signal > 0)
        s_number (out, "signal", failure->signal);
    if (failure->exit_code >= 0)
        s_number (out, "exit_code", failure->exit_code);
}

void failure_pack (usi_buf_t *out, const failure_t *failure)
{
    usi_pack_map (out, 7);
    s_number (out, "code", failure->code);
    s_pair (out, "type", usi_bytes_of (us_err_python (failure->code)));
    s_pair (out, "module", usi_bytes_of ("understudy.exceptions"));
    s_pair (out, "message", usi_bytes_of (failure->message));
    s_pair (out, "traceback", usi_bytes_of (""));
    usi_pack_str (out, "frames", 6);
    usi_pack_array (out, 0);
    s_detail (out, failure);
}

void failure_tail (usi_buf_t *out, usi_bytes_t printed, size_t max)
{
    static const char cut[] = "[earlier lines are left out; all of them: "
                              "understudy-ctl logs --build ID]\n";
    if (printed.len > max) {
        const uint8_t *tail = printed.data + printed.len - max;
        /* From the line end before the tail, if it is one. A line that is longer than
         * all that is shown cannot but begin in the middle. */
        const uint8_t *end = memchr (tail - 1, '\n', max);
        if (end)
            tail = end + 1;
        usi_buf_text (out, cut);
        printed = usi_bytes (tail, (size_t) (printed.data + printed.len - tail));
    }
    usi_buf_append (out, printed.data, printed.len);
}

int failure_code (usi_bytes_t envelope)
{
    us_reader_t at = usi_map_find (envelope, "code");
    us_value_t value = usi_read (&at);
    return value.type == US_TYPE_INT ? (int) value.as.integer : US_ERR_INTERNAL;
}
