/* SPDX-License-Identifier: MIT
 *
 * The keys of one peer: all come from one seed of 32 bytes, by libsodium's key derivation
 * with a label each, so that a key file holds one secret. The transport pair is for CURVE
 * (the handshake proves it), the signing pair for Ed25519, the sealing pair for boxes that
 * only this peer opens. Stands on libsodium alone. */
#ifndef COMMON_AUTH_KEYS_H
#define COMMON_AUTH_KEYS_H

#include <stdbool.h>
#include <stdint.h>

#define USI_KEY_LEN       32
#define USI_SIGNATURE_LEN 64
#define USI_KEY_TEXT_LEN  43 /* of a key as text: base64url without padding */

typedef struct usi_keys {
    uint8_t transport_public[USI_KEY_LEN], transport_secret[USI_KEY_LEN];
    uint8_t sealing_public[USI_KEY_LEN], sealing_secret[USI_KEY_LEN];
    uint8_t signing_public[USI_KEY_LEN], signing_secret[2 * USI_KEY_LEN];
} usi_keys_t;

/* False: libsodium does not work here (the system gives no random bytes). */
bool usi_keys_init (void);
void usi_keys_make_seed (uint8_t seed[USI_KEY_LEN]);
void usi_keys_derive (usi_keys_t *keys, const uint8_t seed[USI_KEY_LEN]);
/* Overwrites what is secret. */
void usi_keys_wipe (usi_keys_t *keys);
void usi_wipe (void *secret, unsigned len);

/* A key as text and back; false: not a key. */
void usi_key_text (const uint8_t key[USI_KEY_LEN], char text[USI_KEY_TEXT_LEN + 1]);
bool usi_key_parse (const char *text, uint8_t key[USI_KEY_LEN]);

#endif
