/* SPDX-License-Identifier: MIT
 *
 * The rights of a certificate as options of keygen, and as words for people.
 *
 * Stands on ctl.h and mem.h, and on common/auth. */
#ifndef CLIENT_CTL_RIGHTS_H
#define CLIENT_CTL_RIGHTS_H

#include <jansson.h>

#include "auth/certificate.h"
#include "ctl.h"

/* What keygen is told. Zero-initialise; rights_clear frees what it holds. */
typedef struct rights {
    usi_buf_t channels, packages; /* elements in msgpack */
    uint32_t channels_len, packages_len;
    const char *group;
    bool no_shell;
    uint64_t max_size;
    unsigned rate, queued;
    int whose[USI_VERBS]; /* usi_whose_t + 1; 0: not given */
    int64_t expires_ms;   /* from now on; 0: never */
    bool any;             /* one of them was given */
} rights_t;

extern const struct argp rights_argp; /* the input of its parser is a rights_t */
void rights_clear (rights_t *rights);
/* Puts them into the certificate, whose role is set: what was not given is what that role
 * has. The lists borrow from rights. */
void rights_apply (rights_t *rights, usi_certificate_t *certificate);
/* As rows show a certificate. New reference. */
json_t *rights_json (const usi_certificate_t *certificate);

#endif
