/* SPDX-License-Identifier: MIT
 *
 * The connection to one broker out of several, for clients and nodes alike: it looks for
 * a broker, says HELLO, keeps the heartbeat, and goes on to the next broker when this
 * one is gone. conn_state.h says what may follow what. Nothing that was sent on one
 * connection is ever sent by itself on another: after each WELCOME its owner tells again
 * what matters.
 *
 * It has no loop and no thread. Its owner, one thread at a time, calls usi_conn_receive
 * when a descriptor of usi_conn_fds is readable, and usi_conn_service when the time of
 * usi_conn_due_ms has come; both after a call that changed something, too. It tells the
 * owner by the calls in usi_conn_events_t, and knows nothing of jobs.
 *
 * Where it has keys, a TCP connection is made with CURVE, to the broker's key alone, and the
 * broker has to show a certificate for that key.
 *
 * Stands on dealer.h, discovery.h, conn_state.h, the messages (common/proto) and keys
 * (common/auth). */
#ifndef COMMON_NET_CONNECTION_H
#define COMMON_NET_CONNECTION_H

#include "auth/trust.h"
#include "net/conn_state.h"
#include "net/discovery.h"
#include "proto/message.h"

typedef struct usi_conn usi_conn_t;

/* The texts are borrowed for as long as the connection lives. */
typedef struct usi_conn_options {
    const char *role, *name; /* in HELLO */
    usi_brokers_t brokers;
    const usi_identity_t *identity; /* NULL: without keys */
    /* Keys that are good no more, as brokers tell them; NULL: known only to this connection. */
    usi_revocation_t *revoked;
    /* The first connection may take so long, then the search is given up. All addresses
     * of a round share this time; each gets a part of it within these bounds, the only
     * one all of it, but the upper bound at least. */
    int64_t connect_timeout_ms;
    int64_t attempt_min_ms, attempt_max_ms;
    bool patient; /* never gives up, as it never does after the first connection */
    /* But gives up where its key has been refused by all for connect_timeout_ms: waiting
     * would not help who was turned away. */
    bool heeds_refusal;
    /* Between two rounds: short_pauses times pause_min_ms, then each twice the one
     * before, up to pause_max_ms; always with jitter. */
    int64_t pause_min_ms, pause_max_ms;
    unsigned short_pauses;
    int linger_ms;   /* BYE may take so long to leave */
    int receive_max; /* messages that may wait to be read */
} usi_conn_options_t;

typedef struct usi_conn_events {
    void *arg;
    /* Each event of the table, when the state is the new one already. why is for LOST and
     * NO_ADDRESS, welcome for WELCOME. At ADDRESS the sockets are open, unless they could
     * not be opened: then there are none, and LOST follows. At LOST, GIVE_UP and STOP
     * they are still open, but only until the call returns: who polls them ends that. */
    void (*changed) (void *arg, usi_conn_state_t before, usi_conn_event_t event,
                     const char *why, const usi_msg_t *welcome);
    /* Adds to HELLO what is the owner's; what the fields point to is borrowed until the
     * next call of it. NULL: nothing is to be added. */
    void (*hello) (void *arg, usi_fields_t *head);
    /* A message that is not the connection's own, while READY; its views are valid for
     * the call. Also an ERROR with `ref`: it answers a question of the owner. */
    void (*message) (void *arg, const usi_msg_t *msg);
    /* The broker says ERROR: to be logged, the connection does what follows. */
    void (*error) (void *arg, const usi_msg_t *msg);
    /* What came could not be read: msg->why. To be logged. */
    void (*malformed) (void *arg, const usi_msg_t *msg);
} usi_conn_events_t;

#define USI_CONN_FDS_MAX 3

/* In state IDLE. NULL: no memory or no descriptor is left. */
usi_conn_t *usi_conn_new (const usi_conn_options_t *options,
                          const usi_conn_events_t *events);
/* Says BYE where nobody has, and waits until it has left, for linger_ms at most. */
void usi_conn_destroy (usi_conn_t **self_p);
/* Somebody wants a broker: leaves IDLE. */
void usi_conn_want (usi_conn_t *self);
/* BYE, with a text unless it is NULL, and no new connection. */
void usi_conn_stop (usi_conn_t *self, const char *text);
/* Sends without waiting, and clears the message. Where there is no connection, or it is
 * lost over it, the message is gone. */
void usi_conn_send (usi_conn_t *self, usi_msg_t *msg);

/* Reads what has come, some hundreds of messages at most, then looks whether the
 * connection still stands. */
void usi_conn_receive (usi_conn_t *self);
/* Reads what has come and no more, for a loop that knows that only the socket is readable:
 * a look at the monitor costs a system call. */
void usi_conn_read (usi_conn_t *self);
/* More is there to be read: nobody may sleep on the descriptors now. */
bool usi_conn_is_readable (const usi_conn_t *self);
/* The descriptors of this moment; how many. */
int usi_conn_fds (const usi_conn_t *self, int fds[USI_CONN_FDS_MAX]);
/* Does what is due now: takes what the registry says, tries addresses, sends PING, gives
 * up. Does not wait. */
void usi_conn_service (usi_conn_t *self);
/* When usi_conn_service wants to be called again though nothing comes, monotonic ms;
 * INT64_MAX: never. */
int64_t usi_conn_due_ms (const usi_conn_t *self);

usi_conn_state_t usi_conn_state (const usi_conn_t *self);
bool usi_conn_is_ready (const usi_conn_t *self);
/* The address in use, or the last one; "" before the first. */
const char *usi_conn_address (const usi_conn_t *self);
/* Why there is no broker: the last reason, "" where none is known. */
const char *usi_conn_why (const usi_conn_t *self);
/* The last address wanted keys and there are none, or those that there are were not admitted. */
bool usi_conn_is_refused (const usi_conn_t *self);
/* The last address was a unix socket of another user, whose broker serves only that one. */
bool usi_conn_is_foreign (const usi_conn_t *self);
/* Redis refuses us, or its URL is wrong: no broker that is started would help. */
bool usi_conn_is_misconfigured (const usi_conn_t *self);

/* For a loop of zmq_poll: the DEALER socket of this attempt, to be polled as it is since
 * its descriptor tells of changes only; NULL: there is none. The other two are as good
 * polled by their descriptors: of the monitor, valid as long as the socket; of the
 * registry's answer, valid always, -1 where the brokers are a list. */
void *usi_conn_socket (const usi_conn_t *self);
int usi_conn_monitor_fd (const usi_conn_t *self);
int usi_conn_discovery_fd (const usi_conn_t *self);

#endif
