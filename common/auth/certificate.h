/* SPDX-License-Identifier: MIT
 *
 * Certificates: what the cluster's key says of a peer: its public keys, its name, what it is
 * and what it may do, and until when. Signed bytes are decoded as they are, never encoded
 * anew. The signature covers a type beside the bytes, so that what is signed for one purpose
 * is nothing for another. Stands on keys.h and the codec (common/proto). */
#ifndef COMMON_AUTH_CERTIFICATE_H
#define COMMON_AUTH_CERTIFICATE_H

#include "auth/keys.h"
#include "proto/fields.h"

#define USI_AUTH_NAME_MAX 64
#define USI_AUTH_LIST_MAX 64

typedef enum usi_role {
    USI_ROLE_NONE,
    USI_ROLE_CLIENT,
    USI_ROLE_NODE,
    USI_ROLE_BROKER,
    USI_ROLE_ADMIN,
    USI_ROLE__COUNT
} usi_role_t;

/* Whose jobs one may do something with. */
typedef enum usi_whose { USI_NOBODYS, USI_OWN, USI_GROUPS, USI_ALL } usi_whose_t;

/* What may be done with jobs that are there. */
typedef enum usi_verb {
    USI_MAY_SEE,    /* that it is there, its state and its description */
    USI_MAY_READ,   /* its result and its log */
    USI_MAY_CANCEL, /* also purge */
    USI_MAY_RETRY,
    USI_VERBS
} usi_verb_t;

typedef struct usi_rights {
    usi_list_t
        channels; /* patterns of fnmatch(3): submit to, or listen on; none: nowhere */
    usi_list_t packages; /* patterns of names of packages; an array of "*": all */
    bool shell;          /* shell commands */
    uint64_t max_size;   /* bytes of a job's or result's parts; 0: as the broker says */
    uint32_t rate;       /* jobs a second; 0: no limit */
    uint32_t queued; /* jobs handed in and not ended; 0: no limit. Not looked at yet */
    usi_whose_t whose[USI_VERBS];
} usi_rights_t;

typedef struct usi_certificate {
    uint8_t transport[USI_KEY_LEN], signing[USI_KEY_LEN], sealing[USI_KEY_LEN];
    char name[USI_AUTH_NAME_MAX + 1],
        group[USI_AUTH_NAME_MAX + 1]; /* group may be "" */
    usi_role_t role;
    int64_t made_s, expires_s; /* since 1970; expires_s 0: never */
    usi_rights_t rights;       /* its lists borrow from the certificate's own bytes */
    size_t len;
    uint8_t bytes[USI_MAX_CERTIFICATE]; /* as signed and sent */
} usi_certificate_t;

/* "client", "node", "broker", "admin"; NULL and USI_ROLE_NONE for others. */
const char *usi_role_name (usi_role_t role);
usi_role_t usi_role_find (const char *name);
const char *usi_whose_name (usi_whose_t whose);
/* -1: no such word. */
int usi_whose_find (const char *name);
const char *usi_verb_name (usi_verb_t verb);

/* Letters, digits, and . _ - @, beginning with a letter or digit; 1 to 64. */
bool usi_auth_name_valid (const char *name);

/* Signs what stands in certificate (all but len and bytes) with the cluster's key and fills in
 * len and bytes, from which the lists borrow then. False: it has no room. */
bool usi_certificate_sign (usi_certificate_t *certificate, const usi_keys_t *cluster);
/* Reads and checks one; the bytes are copied. NULL, or what is wrong with it, static. Whether
 * it has expired is asked apart: clocks differ, and an old one is still worth showing. */
const char *usi_certificate_read (usi_certificate_t *certificate, usi_bytes_t bytes,
                                  const uint8_t cluster[USI_KEY_LEN]);
bool usi_certificate_is_over (const usi_certificate_t *certificate, int64_t now_s);

/* Whether one of the patterns fits; "*" fits everything. */
bool usi_pattern_fits (const usi_list_t *patterns, usi_bytes_t text);
/* Names who submits, in records and to nodes: the same for all certificates of one name.
 * Never 0. */
uint64_t usi_certificate_owner (const char *name);
/* The id of a node of this name: its upper half says whose it is, the lower is that of id. */
uint64_t usi_certificate_node (const char *name, uint64_t id);

/* --- for what else is signed ------------------------------------------------------------- */

/* [body, signature] in msgpack, appended to out. type: what the body is. */
void usi_sign (usi_buf_t *out, const char *type, usi_bytes_t body,
               const usi_keys_t *keys);
/* The body, where the signature is of this key over this type; borrowed. False: not so. */
bool usi_signed_body (usi_bytes_t bytes, const char *type,
                      const uint8_t key[USI_KEY_LEN], usi_bytes_t *body);

#endif
