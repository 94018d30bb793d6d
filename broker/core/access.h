/* SPDX-License-Identifier: MIT
 *
 * What a peer may do, by its certificate: the one home of all rights. A peer without one is
 * the user of this broker, or anybody where --insecure says so, and may do everything.
 * Functions that return a text return NULL for yes, and otherwise what to tell the peer.
 * Stands on the members. */
#ifndef BROKER_ACCESS_H
#define BROKER_ACCESS_H

#include "core/broker.h"

/* Who has said this HELLO. member: of the key that the handshake proved, NULL without. */
const char *access_greet (const broker_t *self, const member_t *member,
                          const usi_fields_t *hello, bool is_node);
/* US_ERR_DENIED: not with this key. US_ERR_BUSY: not now; the peer asks again by itself. */
us_err_t access_submit (const peer_t *peer, const usi_fields_t *job, usi_bytes_t body,
                        const char **text);
const char *access_blob (const peer_t *peer, uint64_t size);
/* Whether it may steer the cluster. */
bool access_is_admin (const peer_t *peer);
bool access_channel (const peer_t *peer, usi_bytes_t channel);
/* Whether it may do this with everybody's jobs: then nobody needs to look whose one is. */
bool access_all (const peer_t *peer, usi_verb_t verb);
bool access_job (const broker_t *self, const peer_t *peer, usi_verb_t verb,
                 uint64_t owner);
/* In records of jobs that it submits; 0: nobody's in particular. */
uint64_t access_owner (const peer_t *peer);
/* How many jobs of a channel, that have not ended, it may have; 0: any number. */
uint32_t access_queued (const peer_t *peer);

#endif
