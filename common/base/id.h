/* SPDX-License-Identifier: MIT
 *
 * Job ids, digests, random numbers and the names that people choose. */
#ifndef COMMON_BASE_ID_H
#define COMMON_BASE_ID_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "understudy/understudy.h"

typedef us_id_t usi_id_t;

#define USI_DIGEST_LEN  32
#define USI_CHANNEL_MAX 128
#define USI_NEEDS_SIZE  64 /* room for what a class needs, with its NUL */

void usi_sha256 (const void *data, size_t len, uint8_t digest[USI_DIGEST_LEN]);
uint64_t usi_random64 (void);
uint32_t usi_random32 (void); /* never 0 */

/* First byte of sha-256(channel). */
uint8_t usi_partition (usi_bytes_t channel);
/* 1 to 128 of A-Z a-z 0-9 . _ -, beginning with a letter or digit. */
bool usi_channel_valid (usi_bytes_t channel);
/* "3.11": digits, dot, digits; at most 15 bytes. */
bool usi_python_valid (usi_bytes_t python);
/* The class of a set of needs: 0 for none, else from the digest of "python=3.11", which is
 * written to needs, which may be NULL. */
uint32_t usi_class (usi_bytes_t python, char needs[USI_NEEDS_SIZE]);

void usi_id_make (usi_id_t *id, usi_bytes_t channel);
static inline bool usi_id_equal (const usi_id_t *a, const usi_id_t *b)
{
    return memcmp (a->bytes, b->bytes, sizeof a->bytes) == 0;
}
/* A UUID of version 8 and of the variant of RFC 9562. */
static inline bool usi_id_valid (const usi_id_t *id)
{
    return id->bytes[6] >> 4 == 8 && id->bytes[8] >> 6 == 2;
}
static inline uint8_t usi_id_partition (const usi_id_t *id)
{
    return id->bytes[US_ID_LEN - 1];
}

/* Lower case hex; text has room for 2 * len + 1. */
void usi_hex (const void *data, size_t len, char *text);
/* Any even number of hex digits into at most size bytes; -1 where malformed. */
int usi_unhex (const char *text, uint8_t *data, size_t size);

/* Machine id and network namespace, joined by '/': same text = same loopback. Static. */
const char *usi_host (void);

#endif
