/* SPDX-License-Identifier: MIT */
#include "redis/registry.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/id.h"
#include "proto/fields.h"
#include "redis/ask.h"

/* The last pair of an entry: the key as msgpack, then a uint64. */
static const char SEEN_KEY[] = "\xa7seen_ms\xcf";
#define SEEN_KEY_LEN (sizeof SEEN_KEY - 1)
#define SEEN_LEN     (SEEN_KEY_LEN + 8)

us_err_t usi_registry_seal (usi_bytes_t value, int64_t now_ms, usi_buf_t *out)
{
    uint8_t pair[SEEN_LEN], head[3];
    size_t skip = 1, pairs;
    if (value.len >= 1 && (value.data[0] & 0xf0) == 0x80) {
        pairs = value.data[0] & 0x0f;
    } else if (value.len >= 3 && value.data[0] == 0xde) {
        pairs = (size_t) usi_get_be (value.data + 1, 2);
        skip = 3;
    } else {
        return US_ERR_INVALID;
    }
    head[0] = 0xde; /* map 16 */
    usi_put_be (head + 1, pairs + 1, 2);
    memcpy (pair, SEEN_KEY, SEEN_KEY_LEN);
    usi_put_be (pair + SEEN_KEY_LEN, (uint64_t) now_ms, 8);
    usi_buf_append (out, head, sizeof head);
    usi_buf_append (out, value.data + skip, value.len - skip);
    usi_buf_append (out, pair, sizeof pair);
    return out->failed ? US_ERR_NOMEM : US_OK;
}

int64_t usi_registry_seen (usi_bytes_t entry)
{
    if (entry.len < SEEN_LEN)
        return -1;
    const uint8_t *pair = entry.data + entry.len - SEEN_LEN;
    if (memcmp (pair, SEEN_KEY, SEEN_KEY_LEN) != 0)
        return -1;
    return (int64_t) usi_get_be (pair + SEEN_KEY_LEN, 8);
}

int usi_registry_is_live (usi_bytes_t entry, int64_t now_ms)
{
    int64_t seen = usi_registry_seen (entry);
    return seen >= 0 && now_ms - seen <= USI_REGISTRY_VALID_MS &&
           seen - now_ms <= USI_REGISTRY_VALID_MS;
}

static bool s_is_loopback (usi_bytes_t endpoint)
{
    static const char *const prefixes[] = {"tcp://127.",
                                           "tcp://localhost:", "tcp://[::1]", "ipc://"};
    for (size_t i = 0; i < sizeof prefixes / sizeof *prefixes; i++) {
        size_t len = strlen (prefixes[i]);
        if (endpoint.len >= len && memcmp (endpoint.data, prefixes[i], len) == 0)
            return true;
    }
    return false;
}

/* A unix socket that is not there, or is another user's, whose broker serves only that
 * one. */
static bool s_is_gone (usi_bytes_t endpoint)
{
    static const char ipc[] = "ipc://";
    struct stat st;
    if (endpoint.len < sizeof ipc || memcmp (endpoint.data, ipc, sizeof ipc - 1) != 0)
        return false;
    char *path = usi_bytes_dup_text (
        usi_bytes (endpoint.data + sizeof ipc - 1, endpoint.len - (sizeof ipc - 1)));
    bool is_there =
        path && (*path == '@' || (stat (path, &st) == 0 && st.st_uid == geteuid ()));
    free (path);
    return !is_there;
}

static void s_add_broker (usi_bytes_t entry, usi_buf_t *endpoints)
{
    usi_fields_t fields = {0};
    if (usi_fields_decode (&fields, entry, NULL) != US_OK ||
        !usi_has (&fields, USI_F_ENDPOINTS))
        return;
    bool here = usi_bytes_equal (fields.host, usi_bytes_of (usi_host ()));
    usi_bytes_t endpoint;
    size_t position = 0;
    while (usi_list_next (&fields.endpoints, &position, &endpoint)) {
        if ((s_is_loopback (endpoint) && !here) || s_is_gone (endpoint))
            continue;
        if (endpoints->len)
            usi_buf_text (endpoints, ",");
        usi_buf_append (endpoints, endpoint.data, endpoint.len);
    }
}

static us_err_t s_collect (usi_ask_t *ask, usi_buf_t *endpoints, char *why,
                           size_t why_len)
{
    int64_t now_ms = usi_reply_time_ms (usi_ask (ask, "TIME", NULL));
    if (now_ms < 0)
        return US_ERR_UNREACHABLE;
    const usi_reply_t *reply = usi_ask (ask, "HGETALL", USI_REGISTRY_BROKERS, NULL);
    if (!usi_reply_is (reply, USI_REPLY_ARRAY))
        return US_ERR_UNREACHABLE;
    size_t before = endpoints->len;
    for (size_t i = 1; i < usi_reply_count (reply); i += 2) {
        usi_bytes_t entry = usi_reply_bytes (usi_reply_at (reply, i));
        if (usi_registry_is_live (entry, now_ms))
            s_add_broker (entry, endpoints);
    }
    if (endpoints->failed)
        return US_ERR_NOMEM;
    if (endpoints->len == before) {
        if (why)
            snprintf (why, why_len, "no broker is registered there");
        return US_ERR_UNREACHABLE;
    }
    return US_OK;
}

us_err_t usi_registry_brokers (const char *url, int64_t timeout_ms,
                               usi_buf_t *endpoints, char *why, size_t why_len)
{
    usi_redis_url_t parsed;
    usi_ask_t *ask = NULL;
    if (why && why_len)
        *why = 0;
    us_err_t err = usi_redis_url_parse (&parsed, url, why, why_len);
    if (err == US_ERR_INVALID)
        err = US_ERR_CONFIG;
    if (!err)
        err =
            usi_ask_open (&ask, &parsed, timeout_ms > 0 ? timeout_ms : 1, why, why_len);
    if (!err)
        err = s_collect (ask, endpoints, why, why_len);
    if (err == US_ERR_UNREACHABLE && why && why_len && !*why)
        snprintf (why, why_len, "Redis does not answer");
    usi_ask_close (&ask);
    usi_redis_url_free (&parsed);
    return err;
}
