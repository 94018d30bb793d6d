/* SPDX-License-Identifier: MIT
 *
 * A borrowed run of bytes, and a buffer that grows. Daemons abort when memory ends;
 * the buffer instead remembers it (`failed`), so that the library can return
 * US_ERR_NOMEM. */
#ifndef COMMON_BASE_BYTES_H
#define COMMON_BASE_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

typedef struct usi_bytes {
    const uint8_t *data;
    size_t len;
} usi_bytes_t;

static inline usi_bytes_t usi_bytes (const void *data, size_t len)
{
    return (usi_bytes_t){.data = (const uint8_t *) data, .len = len};
}

static inline usi_bytes_t usi_bytes_of (const char *text)
{
    return usi_bytes (text, text ? strlen (text) : 0);
}

static inline bool usi_bytes_equal (usi_bytes_t a, usi_bytes_t b)
{
    return a.len == b.len && (a.len == 0 || memcmp (a.data, b.data, a.len) == 0);
}

/* A NUL terminated copy; the caller frees it. NULL: out of memory. */
char *usi_bytes_dup_text (usi_bytes_t bytes);
/* A copy of the bytes; the caller frees data. data NULL with len > 0: out of memory. */
usi_bytes_t usi_bytes_dup (usi_bytes_t bytes);

typedef struct usi_buf {
    uint8_t *data;
    size_t len;
    size_t cap;
    bool failed; /* an append found no memory; data holds what came before */
} usi_buf_t;

/* Zero-initialise before use. usi_buf_free leaves it ready for use again. */
void usi_buf_free (usi_buf_t *buf);
/* Room for len more bytes; false and failed set where there is none. */
bool usi_buf_reserve (usi_buf_t *buf, size_t len);
void usi_buf_append (usi_buf_t *buf, const void *data, size_t len);
void usi_buf_text (usi_buf_t *buf, const char *text);
void usi_buf_printf (usi_buf_t *buf, const char *format, ...)
    __attribute__ ((format (printf, 2, 3)));
/* Drops the first len bytes. */
void usi_buf_consume (usi_buf_t *buf, size_t len);
static inline usi_bytes_t usi_buf_bytes (const usi_buf_t *buf)
{
    return usi_bytes (buf->data, buf->len);
}

/* Big endian integers of 1 to 8 bytes in packed records. */
static inline void usi_put_be (uint8_t *at, uint64_t value, unsigned size)
{
    for (unsigned i = size; i-- > 0; value >>= 8)
        at[i] = (uint8_t) value;
}

static inline uint64_t usi_get_be (const uint8_t *at, unsigned size)
{
    uint64_t value = 0;
    for (unsigned i = 0; i < size; i++)
        value = value << 8 | at[i];
    return value;
}

#endif
