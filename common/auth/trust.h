/* SPDX-License-Identifier: MIT
 *
 * Whom a peer trusts, and as whom it comes: finds the files of keys that stand in place, and
 * checks what a broker shows of itself. Stands on keyfile.h. */
#ifndef COMMON_AUTH_TRUST_H
#define COMMON_AUTH_TRUST_H

#include "auth/keyfile.h"
#include "auth/revocation.h"

#define USI_NO_KEY "none" /* in place of a path: without keys */

/* Reads the key file and the cluster file that are given, or those in the folder of the
 * settings: cluster.pub and the only key file of this role. *identity is NULL where there is
 * none, and then *hint says so in words for whoever would have needed one (from malloc, NULL
 * where USI_NO_KEY was asked for). NULL, or what is wrong as in keyfile.h. */
char *usi_trust_find (usi_identity_t **identity, char **hint, const char *key_path,
                      const char *cluster_path, usi_role_t role);

/* What a broker shows in WELCOME: whether it is one of this cluster, has the key that the
 * handshake proved, and was not revoked. NULL, or what is wrong, static. */
const char *usi_trust_broker (const usi_identity_t *identity,
                              const usi_revocation_t *revoked, usi_bytes_t certificate,
                              const uint8_t key[USI_KEY_LEN]);

#endif
