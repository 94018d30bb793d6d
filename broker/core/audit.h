/* SPDX-License-Identifier: MIT
 *
 * Who did what: a file of JSON lines, which the broker writes where there are keys (or nobody
 * needs one), and understudy-ctl audit reads. What comes in bursts is gathered: one line a
 * second for the jobs that a peer hands in. The file is rotated, so that nobody can fill the
 * disk with it. A line that cannot be written is lost, and said so in the log. Stands on
 * the peers. */
#ifndef BROKER_AUDIT_H
#define BROKER_AUDIT_H

#include "core/broker.h"

/* Opens FOLDER/audit.log. NULL, or what is wrong, for the operator, from malloc. */
char *audit_open (broker_t *self, const char *folder);
void audit_close (broker_t *self);

/* One line. what: a word; detail: what more there is to say, NULL: nothing. member: NULL for the
 * user of the broker. */
void audit_note (broker_t *self, const char *what, const member_t *member,
                 const char *name, const char *detail);
void audit_peer (broker_t *self, const char *what, const peer_t *peer,
                 const char *detail);
/* Counts jobs of a SUBMIT. */
void audit_submitted (broker_t *self, peer_t *peer, usi_bytes_t channel, bool refused);
/* Writes what was counted: each second, and when a peer leaves. */
void audit_flush (broker_t *self, peer_t *peer);

#endif
