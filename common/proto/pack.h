/* SPDX-License-Identifier: MIT
 *
 * msgpack, in one place. Writing goes through msgpack-c's packer into a usi_buf. Reading
 * is a cursor of our own: msgpack-c builds a tree first, which lets 20 MB of nil become
 * half a gigabyte; the cursor allocates nothing and knows its end. The public us_reader and
 * us_writer are thin covers of this. */
#ifndef COMMON_PROTO_PACK_H
#define COMMON_PROTO_PACK_H

#include "base/bytes.h"
#include "understudy/understudy.h"

void usi_pack_nil (usi_buf_t *buf);
void usi_pack_bool (usi_buf_t *buf, bool value);
void usi_pack_int (usi_buf_t *buf, int64_t value);
void usi_pack_uint (usi_buf_t *buf, uint64_t value);
void usi_pack_double (usi_buf_t *buf, double value);
void usi_pack_str (usi_buf_t *buf, const void *text, size_t len);
void usi_pack_bin (usi_buf_t *buf, const void *data, size_t len);
void usi_pack_array (usi_buf_t *buf, uint32_t count);
void usi_pack_map (usi_buf_t *buf, uint32_t count);

/* As us_reader, us_read and us_skip. */
us_reader_t usi_reader (usi_bytes_t bytes);
us_value_t usi_read (us_reader_t *reader);
bool usi_skip (us_reader_t *reader, const void **data, size_t *len);
/* A reader that stands at the value of this key of a map. It stands at its end, so that
 * reading gives US_TYPE_END, where the bytes are no map or hold no such key. */
us_reader_t usi_map_find (usi_bytes_t map, const char *key);

/* Valid UTF-8, without NUL. */
bool usi_is_text (const void *data, size_t len);

/* One value and nothing after it, of depth at most max_depth, with all strings inside the
 * bytes. What a hostile peer sends is checked with this before it is passed on. */
bool usi_pack_check (usi_bytes_t bytes, unsigned max_depth);

#endif
