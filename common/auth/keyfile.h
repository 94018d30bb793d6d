/* SPDX-License-Identifier: MIT
 *
 * The files of keys, lines of "word value" under a first line that says what the file is:
 *
 *   key file       understudy key          seed, certificate       0600, of one peer
 *   cluster file   understudy cluster      key, name, broker…      public
 *   cluster's key  understudy cluster key  seed, name              0600, signs all the others
 *   certificate    understudy certificate  certificate             public
 *
 * Values are hexadecimal (seed) or base64url. Stands on certificate.h. */
#ifndef COMMON_AUTH_KEYFILE_H
#define COMMON_AUTH_KEYFILE_H

#include <stdatomic.h>

#include "auth/certificate.h"

#define USI_CLUSTER_BROKERS_MAX 64

/* What a cluster file says. */
typedef struct usi_cluster {
    uint8_t key[USI_KEY_LEN]; /* public, of signing */
    char name[USI_AUTH_NAME_MAX + 1];
    size_t brokers_len;
    usi_certificate_t *brokers[USI_CLUSTER_BROKERS_MAX];
} usi_cluster_t;

/* Who a peer is: its keys, its certificate and its cluster. */
typedef struct usi_identity {
    usi_keys_t keys;
    usi_certificate_t certificate;
    usi_cluster_t cluster;
    atomic_uint refs;
} usi_identity_t;

/* The cluster's own key. */
typedef struct usi_cluster_key {
    uint8_t seed[USI_KEY_LEN];
    char name[USI_AUTH_NAME_MAX + 1];
    usi_keys_t keys;
} usi_cluster_key_t;

/* All that read return NULL or one line that says what is wrong with which file and what to
 * do, from malloc; "" where memory has ended. */

/* Both files of a peer. role: what it has to be; an admin may also be a client. The identity
 * comes from malloc; the last usi_identity_free wipes it. */
char *usi_identity_read (usi_identity_t **identity, const char *key_path,
                         const char *cluster_path, usi_role_t role);
/* One more owner, each of whom calls usi_identity_free. NULL stays NULL. */
usi_identity_t *usi_identity_share (usi_identity_t *identity);
void usi_identity_free (usi_identity_t **identity_p);
char *usi_cluster_read (usi_cluster_t *cluster, const char *path);
void usi_cluster_clear (usi_cluster_t *cluster);
char *usi_cluster_key_read (usi_cluster_key_t *key, const char *path);
/* The certificate of a file of certificates or of a key file, whose seed is not looked at. */
char *usi_certificate_read_file (usi_certificate_t *certificate, const char *path,
                                 const uint8_t cluster[USI_KEY_LEN]);

/* 0 or an errno. What is secret is made anew and never written over; the others are
 * replaced as a whole. */
int usi_key_write (const char *path, const uint8_t seed[USI_KEY_LEN],
                   const usi_certificate_t *certificate);
int usi_cluster_key_write (const char *path, const usi_cluster_key_t *key);
int usi_cluster_write (const char *path, const usi_cluster_t *cluster);
int usi_certificate_write (const char *path, const usi_certificate_t *certificate);

#endif
