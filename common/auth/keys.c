/* SPDX-License-Identifier: MIT
 *
 * See keys.h. */
#include "auth/keys.h"

#include <sodium.h>
#include <string.h>

/* Labels of the derivation: eight bytes each. They never change, or all keys would. */
#define LABEL_TRANSPORT "us-trans"
#define LABEL_SIGNING   "us-signs"
#define LABEL_SEALING   "us-seals"
#define BASE64          sodium_base64_VARIANT_URLSAFE_NO_PADDING

_Static_assert(sizeof LABEL_TRANSPORT - 1 == crypto_kdf_CONTEXTBYTES, "label");
_Static_assert(sizeof LABEL_SIGNING - 1 == crypto_kdf_CONTEXTBYTES, "label");
_Static_assert(sizeof LABEL_SEALING - 1 == crypto_kdf_CONTEXTBYTES, "label");
_Static_assert(crypto_kdf_KEYBYTES == USI_KEY_LEN, "seed");

bool usi_keys_init (void)
{
    return sodium_init () >= 0;
}

void usi_keys_make_seed (uint8_t seed[USI_KEY_LEN])
{
    randombytes_buf (seed, USI_KEY_LEN);
}

void usi_keys_derive (usi_keys_t *keys, const uint8_t seed[USI_KEY_LEN])
{
    uint8_t signing[USI_KEY_LEN];
    crypto_kdf_derive_from_key (keys->transport_secret, USI_KEY_LEN, 1, LABEL_TRANSPORT,
                                seed);
    crypto_scalarmult_base (keys->transport_public, keys->transport_secret);
    crypto_kdf_derive_from_key (keys->sealing_secret, USI_KEY_LEN, 1, LABEL_SEALING,
                                seed);
    crypto_scalarmult_base (keys->sealing_public, keys->sealing_secret);
    crypto_kdf_derive_from_key (signing, USI_KEY_LEN, 1, LABEL_SIGNING, seed);
    crypto_sign_seed_keypair (keys->signing_public, keys->signing_secret, signing);
    usi_wipe (signing, sizeof signing);
}

void usi_keys_wipe (usi_keys_t *keys)
{
    usi_wipe (keys, sizeof *keys);
}

void usi_wipe (void *secret, unsigned len)
{
    sodium_memzero (secret, len);
}

void usi_key_text (const uint8_t key[USI_KEY_LEN], char text[USI_KEY_TEXT_LEN + 1])
{
    sodium_bin2base64 (text, USI_KEY_TEXT_LEN + 1, key, USI_KEY_LEN, BASE64);
}

bool usi_key_parse (const char *text, uint8_t key[USI_KEY_LEN])
{
    size_t len = 0;
    const char *end = NULL;
    return strlen (text) == USI_KEY_TEXT_LEN &&
           sodium_base642bin (key, USI_KEY_LEN, text, USI_KEY_TEXT_LEN, NULL, &len,
                              &end, BASE64) == 0 &&
           len == USI_KEY_LEN && end == text + USI_KEY_TEXT_LEN;
}
