/* SPDX-License-Identifier: MIT
 *
 * Printing a log as it grows, see follow.h. */
#include "follow.h"

#include <jansson.h>
#include <string.h>

#include "json.h"
#include "output.h"
#include "text.h"

#define CHUNK 65536

static void s_print (const ctl_t *ctl, const follow_t *follow, uint64_t offset,
                     const char *data, size_t len)
{
    if (ctl->json)
        output_json (json_pack ("{s:I, s:o}", "offset", (json_int_t) offset, "text",
                                json_from_text (data, len)));
    else
        output_bytes (follow->to, data, len, follow->raw);
    fflush (ctl->json ? stdout : follow->to);
}

/* To the end of the log: as long as it takes, and who waits is told why. */
static us_err_t s_read_on (const follow_t *follow, uint64_t offset, char *data,
                           size_t size, size_t *len)
{
    int64_t pause_ms = waiting_pause_ms (follow->waiting);
    us_err_t err = us_result_read_log (follow->result, follow->stream, offset, data,
                                       size, len, pause_ms);
    if (err == US_ERR_TIMEOUT)
        waiting_look (follow->waiting);
    return err;
}

static us_err_t s_read (const ctl_t *ctl, const follow_t *follow, uint64_t offset,
                        char *data, size_t size, size_t *len)
{
    us_err_t err;
    bool to_the_end = follow->end == FOLLOW_TO_THE_END;
    if (!to_the_end && follow->end - offset < size)
        size = (size_t) (follow->end - offset);
    do {
        err = to_the_end ? s_read_on (follow, offset, data, size, len)
                         : us_result_read_log (follow->result, follow->stream, offset,
                                               data, size, len, ctl->timeout_ms);
        /* A signal that is not ours to answer is like a resized terminal. */
    } while ((err == US_ERR_INTERRUPTED && !ctl_interrupted ()) ||
             (err == US_ERR_TIMEOUT && to_the_end));
    return err;
}

/* How much of a chunk to print now: not half a character, as long as more may come. */
static size_t s_whole (const ctl_t *ctl, const follow_t *follow, uint64_t offset,
                       const char *data, size_t len)
{
    size_t cut = text_cut (data, len);
    if (cut < len || follow->end != FOLLOW_TO_THE_END)
        return cut < len ? len - cut : len;
    char next;
    size_t more = 0;
    us_err_t err = s_read (ctl, follow, offset + len, &next, 1, &more);
    return err == US_OK && more ? 0 : len;
}

int follow_log (ctl_t *ctl, const follow_t *follow)
{
    static char data[CHUNK];
    uint64_t offset = 0;
    while (offset < follow->end) {
        size_t len = 0;
        us_err_t err = s_read (ctl, follow, offset, data, sizeof data, &len);
        if (err == US_ERR_INTERRUPTED)
            return EXIT_INTERRUPTED;
        if (err != US_OK)
            return ctl_fail (ctl, err, "cannot read the log");
        if (len == 0)
            break;
        len = s_whole (ctl, follow, offset, data, len);
        if (len)
            s_print (ctl, follow, offset, data, len);
        offset += len;
    }
    return EXIT_DONE;
}
