/* SPDX-License-Identifier: MIT
 *
 * The dictionary behind usi_fields_t: what message.c needs beyond message.h. Functions
 * that return a text return NULL for success and otherwise what is wrong. */
#ifndef COMMON_PROTO_FIELDS_H
#define COMMON_PROTO_FIELDS_H

#include "proto/message.h"
#include "proto/pack.h"

#define USI_UINT48 (((uint64_t) 1 << 48) - 1) /* what stands in six bytes in records */

/* -1: no such field. */
int usi_field_find (const char *name, size_t len);
const char *usi_field_name (int field);

unsigned usi_fields_count (const usi_fields_t *fields);
/* Keys and values without the map's own header. */
void usi_fields_encode_pairs (const usi_fields_t *fields, usi_buf_t *buf);
/* The value at the reader becomes this field. */
const char *usi_field_decode (usi_fields_t *fields, usi_field_t field,
                              us_reader_t *reader);
/* The whole map at the reader; fields must be zeroed. The reader's bytes have passed
 * usi_pack_check. */
const char *usi_fields_decode_map (usi_fields_t *fields, us_reader_t *reader);

#endif
