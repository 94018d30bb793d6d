/* SPDX-License-Identifier: MIT
 *
 * Buffers: see bytes.h. */
#include "base/bytes.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

char *usi_bytes_dup_text (usi_bytes_t bytes)
{
    char *text = malloc (bytes.len + 1);
    if (!text)
        return NULL;
    if (bytes.len > 0)
        memcpy (text, bytes.data, bytes.len);
    text[bytes.len] = '\0';
    return text;
}

usi_bytes_t usi_bytes_dup (usi_bytes_t bytes)
{
    return usi_bytes (usi_bytes_dup_text (bytes), bytes.len);
}

void usi_buf_free (usi_buf_t *buf)
{
    free (buf->data);
    *buf = (usi_buf_t){0};
}

bool usi_buf_reserve (usi_buf_t *buf, size_t len)
{
    if (buf->cap - buf->len >= len)
        return true;
    size_t cap = buf->cap ? buf->cap : 256;
    while (cap - buf->len < len) {
        if (cap > SIZE_MAX / 2) {
            buf->failed = true;
            return false;
        }
        cap *= 2;
    }
    uint8_t *data = realloc (buf->data, cap);
    if (!data) {
        buf->failed = true;
        return false;
    }
    buf->data = data;
    buf->cap = cap;
    return true;
}

void usi_buf_append (usi_buf_t *buf, const void *data, size_t len)
{
    if (len == 0 || buf->failed || !usi_buf_reserve (buf, len))
        return;
    memcpy (buf->data + buf->len, data, len);
    buf->len += len;
}

void usi_buf_text (usi_buf_t *buf, const char *text)
{
    usi_buf_append (buf, text, strlen (text));
}

void usi_buf_printf (usi_buf_t *buf, const char *format, ...)
{
    va_list args, again;
    va_start (args, format);
    va_copy (again, args);
    int len = vsnprintf (NULL, 0, format, args);
    /* One more than the text: vsnprintf closes it with a NUL, which does not count. */
    if (len >= 0 && usi_buf_reserve (buf, (size_t) len + 1)) {
        vsnprintf ((char *) buf->data + buf->len, (size_t) len + 1, format, again);
        buf->len += (size_t) len;
    }
    va_end (again);
    va_end (args);
}

void usi_buf_consume (usi_buf_t *buf, size_t len)
{
    if (len >= buf->len) {
        buf->len = 0;
        return;
    }
    memmove (buf->data, buf->data + len, buf->len - len);
    buf->len -= len;
}
