/* SPDX-License-Identifier: MIT
 *
 * The list of keys that are good no more, signed by the cluster's key and numbered: whoever
 * has seen a number takes no lower one, so that nobody can bring back an old list by taking
 * the new one away. Stands on certificate.h. */
#ifndef COMMON_AUTH_REVOCATION_H
#define COMMON_AUTH_REVOCATION_H

#include "auth/certificate.h"

/* Zero-initialise: number 0 and no key. */
typedef struct usi_revocation {
    uint64_t number;
    uint32_t count;
    const uint8_t *keys; /* one behind the other, sorted; in bytes */
    usi_buf_t bytes;     /* as signed and sent */
    usi_buf_t sorted;
} usi_revocation_t;

void usi_revocation_clear (usi_revocation_t *self);
/* Takes a list that has a higher number. NULL, also where it has not; or what is wrong with
 * it, static. */
const char *usi_revocation_take (usi_revocation_t *self, usi_bytes_t bytes,
                                 const uint8_t cluster[USI_KEY_LEN]);
bool usi_revocation_has (const usi_revocation_t *self, const uint8_t key[USI_KEY_LEN]);
/* The list with this key in it and the next number, appended to out. False: it is full. */
bool usi_revocation_sign (const usi_revocation_t *self, const uint8_t key[USI_KEY_LEN],
                          const usi_keys_t *cluster, usi_buf_t *out);

#endif
