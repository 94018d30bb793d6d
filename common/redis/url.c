/* SPDX-License-Identifier: MIT */
#include "redis/url.h"

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/bytes.h"
#include "base/file.h"

#define DEFAULT_HOST "localhost"
#define DEFAULT_PORT 6379

static us_err_t s_refuse (char *why, size_t why_len, const char *text)
{
    if (why)
        snprintf (why, why_len, "%s", text);
    return US_ERR_INVALID;
}

static us_err_t s_replace (char **field, const char *value, size_t len)
{
    char *copy = usi_bytes_dup_text (usi_bytes (value, len));
    if (!copy)
        return US_ERR_NOMEM;
    free (*field);
    *field = copy;
    return US_OK;
}

static int s_digit (char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Percent-decodes; a NUL inside would cut the text short and is refused. */
static us_err_t s_decode (char **field, const char *text, size_t len)
{
    us_err_t err = s_replace (field, text, len);
    if (err)
        return err;
    char *out = *field;
    for (size_t i = 0; i < len; i++) {
        char c = text[i];
        if (c == '%') {
            int high = i + 1 < len ? s_digit (text[i + 1]) : -1;
            int low = i + 2 < len ? s_digit (text[i + 2]) : -1;
            if (high < 0 || low < 0 || high + low == 0)
                return US_ERR_INVALID;
            c = (char) (high << 4 | low);
            i += 2;
        }
        *out++ = c;
    }
    *out = 0;
    return US_OK;
}

static us_err_t s_number (int *field, const char *text, size_t len, int least, int most)
{
    int value = 0;
    if (len == 0 || len > 9)
        return US_ERR_INVALID;
    for (size_t i = 0; i < len; i++) {
        if (text[i] < '0' || text[i] > '9')
            return US_ERR_INVALID;
        value = value * 10 + (text[i] - '0');
    }
    if (value < least || value > most)
        return US_ERR_INVALID;
    *field = value;
    return US_OK;
}

static us_err_t s_credentials (usi_redis_url_t *url, const char *text, size_t len)
{
    const char *colon = memchr (text, ':', len);
    size_t user_len = colon ? (size_t) (colon - text) : len;
    us_err_t err = US_OK;
    if (user_len)
        err = s_decode (&url->user, text, user_len);
    if (!err && colon)
        err = s_decode (&url->password, colon + 1, len - user_len - 1);
    return err;
}

static us_err_t s_host (usi_redis_url_t *url, const char *text, size_t len)
{
    const char *end = text + len;
    const char *host = text, *host_end = memchr (text, ':', len);
    if (len && text[0] == '[') { /* [::1]:6379 */
        host = text + 1;
        host_end = memchr (text, ']', len);
        if (!host_end)
            return US_ERR_INVALID;
    }
    if (!host_end)
        host_end = end;
    const char *port = host_end + (host_end < end && *host_end == ']');
    if (port < end) {
        us_err_t err = *port == ':' ? s_number (&url->port, port + 1,
                                                (size_t) (end - port - 1), 1, 65535)
                                    : US_ERR_INVALID;
        if (err)
            return err;
    }
    size_t host_len = (size_t) (host_end - host);
    if (memchr (host, '[', host_len) || memchr (host, ']', host_len))
        return US_ERR_INVALID;
    return host_len > 0 ? s_replace (&url->host, host, host_len) : US_OK;
}

static us_err_t s_parse_tcp (usi_redis_url_t *url, const char *text)
{
    size_t len = strcspn (text, "/?#");
    const char *rest = text + len;
    const char *at = NULL;
    for (size_t i = 0; i < len; i++)
        if (text[i] == '@')
            at = text + i;
    us_err_t err = US_OK;
    if (at) {
        err = s_credentials (url, text, (size_t) (at - text));
        len -= (size_t) (at - text) + 1;
        text = at + 1;
    }
    if (!err)
        err = s_host (url, text, len);
    if (!err && *rest == '/' && rest[1])
        err = s_number (&url->db, rest + 1, strlen (rest + 1), 0, 1000000);
    else if (!err && *rest && *rest != '/')
        err = US_ERR_INVALID;
    return err;
}

static us_err_t s_query (usi_redis_url_t *url, const char *text)
{
    while (*text) {
        size_t len = strcspn (text, "&");
        const char *equals = memchr (text, '=', len);
        if (!equals)
            return US_ERR_INVALID;
        size_t name_len = (size_t) (equals - text);
        size_t value_len = len - name_len - 1;
        us_err_t err = US_ERR_INVALID;
        if (name_len == 2 && !memcmp (text, "db", 2))
            err = s_number (&url->db, equals + 1, value_len, 0, 1000000);
        else if (name_len == 8 && !memcmp (text, "password", 8))
            err = s_decode (&url->password, equals + 1, value_len);
        else if (name_len == 8 && !memcmp (text, "username", 8))
            err = s_decode (&url->user, equals + 1, value_len);
        if (err)
            return err;
        text += len + (text[len] == '&');
    }
    return US_OK;
}

static us_err_t s_parse_unix (usi_redis_url_t *url, const char *text)
{
    size_t len = strcspn (text, "?");
    if (len == 0)
        return US_ERR_INVALID;
    us_err_t err = s_decode (&url->path, text, len);
    if (!err && text[len] == '?')
        err = s_query (url, text + len + 1);
    return err;
}

us_err_t usi_redis_url_parse (usi_redis_url_t *url, const char *text, char *why,
                              size_t why_len)
{
    us_err_t err = US_ERR_INVALID;
    *url = (usi_redis_url_t){.port = DEFAULT_PORT};
    if (strncasecmp (text, "redis://", 8) == 0)
        err = s_parse_tcp (url, text + 8);
    else if (strncasecmp (text, "unix://", 7) == 0)
        err = s_parse_unix (url, text + 7);
    if (!err && !url->path && !url->host)
        err = s_replace (&url->host, DEFAULT_HOST, strlen (DEFAULT_HOST));
    if (err == US_ERR_INVALID)
        s_refuse (why, why_len,
                  "not a Redis URL: redis://[user:password@]host[:port][/db] or "
                  "unix:///path[?db=N]");
    return err;
}

void usi_redis_url_free (usi_redis_url_t *url)
{
    free (url->path);
    free (url->host);
    free (url->user);
    free (url->password);
    *url = (usi_redis_url_t){0};
}

static void s_encode (usi_buf_t *buf, const char *text)
{
    for (; text && *text; text++) {
        bool plain = strchr ("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
                             "0123456789-._~",
                             *text) != NULL;
        usi_buf_printf (buf, plain ? "%c" : "%%%02X", (unsigned char) *text);
    }
}

static void s_encode_path (usi_buf_t *buf, const char *path)
{
    for (; *path; path++)
        if (*path == '?' || *path == '%')
            usi_buf_printf (buf, "%%%02X", (unsigned char) *path);
        else
            usi_buf_append (buf, path, 1);
}

static void s_format_unix (usi_buf_t *buf, const usi_redis_url_t *url, bool secrets)
{
    const char *before = "?";
    usi_buf_text (buf, "unix://");
    s_encode_path (buf, url->path);
    if (url->db) {
        usi_buf_printf (buf, "?db=%d", url->db);
        before = "&";
    }
    if (secrets && url->user) {
        usi_buf_printf (buf, "%susername=", before);
        s_encode (buf, url->user);
        before = "&";
    }
    if (secrets && url->password) {
        usi_buf_printf (buf, "%spassword=", before);
        s_encode (buf, url->password);
    }
}

static void s_format_tcp (usi_buf_t *buf, const usi_redis_url_t *url, bool secrets)
{
    const char *host = url->host ? url->host : DEFAULT_HOST;
    bool colons = strchr (host, ':') != NULL;
    usi_buf_text (buf, "redis://");
    if (secrets && (url->user || url->password)) {
        s_encode (buf, url->user);
        usi_buf_text (buf, ":");
        s_encode (buf, url->password);
        usi_buf_text (buf, "@");
    }
    usi_buf_printf (buf, colons ? "[%s]:%d" : "%s:%d", host,
                    url->port ? url->port : DEFAULT_PORT);
    if (url->db)
        usi_buf_printf (buf, "/%d", url->db);
}

static char *s_format (const usi_redis_url_t *url, bool secrets)
{
    usi_buf_t buf = {0};
    if (url->path)
        s_format_unix (&buf, url, secrets);
    else
        s_format_tcp (&buf, url, secrets);
    char *text = buf.failed ? NULL : usi_bytes_dup_text (usi_buf_bytes (&buf));
    usi_buf_free (&buf);
    return text;
}

char *usi_redis_url_text (const usi_redis_url_t *url)
{
    return s_format (url, true);
}

char *usi_redis_url_shown (const usi_redis_url_t *url)
{
    return s_format (url, false);
}

/* --- credentials ------------------------------------------------------------------ */

#define AUTH_MAX 4096

/* The line, without its end; the rest begins after it. */
static char *s_cut_line (char **rest)
{
    char *line = *rest;
    size_t len = strcspn (line, "\r\n");
    *rest += len + strspn (line + len, "\r\n");
    line[len] = '\0';
    return line;
}

/* "user:password" is taken apart. */
static us_err_t s_take_first (usi_redis_url_t *url, const char *line)
{
    const char *colon = strchr (line, ':');
    free (url->user);
    free (url->password);
    url->user = colon && colon > line ? strndup (line, (size_t) (colon - line)) : NULL;
    url->password = strdup (colon ? colon + 1 : line);
    return url->password && (url->user || !colon || colon == line) ? US_OK
                                                                   : US_ERR_NOMEM;
}

char *usi_redis_url_for (const usi_redis_url_t *url, const char *user,
                         const char *password)
{
    usi_redis_url_t other = *url;
    other.user = (char *) user;
    other.password = (char *) password;
    other.db = 0;
    return usi_redis_url_text (&other);
}

static us_err_t s_take_second (const usi_redis_url_t *url, char *line, char **nodes)
{
    char *colon = strchr (line, ':');
    if (!nodes || !colon || colon == line)
        return US_OK;
    *colon = '\0';
    *nodes = usi_redis_url_for (url, line, colon + 1);
    return *nodes ? US_OK : US_ERR_NOMEM;
}

static us_err_t s_take_auth (usi_redis_url_t *url, usi_buf_t *file, char **nodes)
{
    usi_buf_append (file, "", 1);
    if (file->failed)
        return US_ERR_NOMEM;
    char *rest = (char *) file->data;
    us_err_t err = s_take_first (url, s_cut_line (&rest));
    return err ? err : s_take_second (url, s_cut_line (&rest), nodes);
}

static us_err_t s_read_auth (usi_redis_url_t *url, const char *path, char **nodes,
                             char *why, size_t why_len)
{
    usi_buf_t file = {0};
    int error = usi_file_read_secret (path, AUTH_MAX, &file);
    us_err_t err = error ? US_ERR_INVALID : s_take_auth (url, &file, nodes);
    if (error)
        snprintf (why, why_len, "redis-auth: %s: %s", path,
                  error == EPERM ? "others may read it: chmod 600 it"
                                 : strerror (error));
    usi_buf_free (&file);
    return err;
}

char *usi_redis_url_complete (const char *text, const char *auth_path, bool is_public,
                              char **nodes, char *why, size_t why_len)
{
    usi_redis_url_t url;
    if (nodes)
        *nodes = NULL;
    char *whole = NULL;
    us_err_t err = usi_redis_url_parse (&url, text, why, why_len);
    if (err == US_OK && is_public && url.password) {
        snprintf (
            why, why_len,
            "the address of Redis holds a password, which every user can read on a "
            "command line: give it in a file with --redis-auth, or the whole address "
            "in UNDERSTUDY_REDIS or understudy.conf");
        err = US_ERR_INVALID;
    }
    if (err == US_OK && auth_path)
        err = s_read_auth (&url, auth_path, nodes, why, why_len);
    if (err == US_OK)
        whole = usi_redis_url_text (&url);
    usi_redis_url_free (&url);
    return whole;
}
