/* SPDX-License-Identifier: MIT
 *
 * Which brokers there are, in the order in which to try them: those of a list, or those
 * that the registry in Redis shows at the moment. Redis is asked in a thread of its own
 * for each look, so that whoever waits for the answer goes on with everything else.
 *
 * The addresses come in rounds. usi_discovery_begin starts one; where it has to look,
 * usi_discovery_collect tells when the answer is there; usi_discovery_next then gives
 * each address once.
 *
 * Where there are keys, an address tcp://host:port#KEY names the broker's; one without is
 * tried with each that the cluster file lists.
 *
 * One thread at a time uses it. Stands on the registry (common/redis), the cluster file
 * (common/auth) and common/base;
 * knows nothing of sockets. */
#ifndef COMMON_NET_DISCOVERY_H
#define COMMON_NET_DISCOVERY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "auth/keyfile.h"
#include "proto/fields.h"
#include "understudy/error.h"

typedef struct usi_discovery usi_discovery_t;

/* The texts are borrowed for as long as the discovery lives. */
typedef struct usi_brokers {
    const char *endpoints;        /* a list by comma, blanks allowed; for redis NULL */
    const char *redis;            /* URL of the registry; NULL: the list counts */
    const usi_cluster_t *cluster; /* whose brokers have keys; NULL: without keys */
    int64_t look_ms;              /* the registry may take so long to answer */
    /* A round begins behind the address that was tried last. Otherwise the first of the
     * list is preferred to the others, and each round begins there. A round from the
     * registry begins anywhere, so that many peers spread over the brokers. */
    bool in_turn;
} usi_brokers_t;

/* NULL: no memory or no descriptor is left. */
usi_discovery_t *usi_discovery_new (const usi_brokers_t *brokers);
/* Waits for the end of a look that is under way, at most look_ms. */
void usi_discovery_destroy (usi_discovery_t **self_p);
/* Takes the addresses with keys that a broker has told of last, behind the others, for the
 * rounds to come. A registry, where there is one, knows better. */
#define USI_DISCOVERY_LEARNED_MAX 64
void usi_discovery_learn (usi_discovery_t *self, const usi_list_t *addresses);
/* A new round. */
void usi_discovery_begin (usi_discovery_t *self);
/* The registry has been asked, and usi_discovery_collect has not yet told of the end. */
bool usi_discovery_is_looking (const usi_discovery_t *self);
/* Readable once a look has ended; -1 for a list. */
int usi_discovery_fd (const usi_discovery_t *self);
/* Ends a look whose answer is there. False: it is still under way. */
bool usi_discovery_collect (usi_discovery_t *self);
/* The next address of this round, valid until the next round; NULL: none is left. */
const char *usi_discovery_next (usi_discovery_t *self);
/* How many addresses this round has. */
size_t usi_discovery_count (const usi_discovery_t *self);
/* Why the round has none: a code and words for it. */
us_err_t usi_discovery_error (const usi_discovery_t *self);
const char *usi_discovery_why (const usi_discovery_t *self);

#endif
