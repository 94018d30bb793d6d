/* SPDX-License-Identifier: MIT
 *
 * The nodes connected to this broker and the channels they listen on: who serves what, and
 * how much credit is free. A channel is known here as long as a node listens on it. Stands
 * on the table of peers; claims are made in core/schedule.h. */
#ifndef BROKER_NODES_H
#define BROKER_NODES_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "peers/peers.h"
#include "proto/fields.h"

#define NODE_CLASSES_MAX 17 /* 0 and one for each python */
#define NODE_CREDIT_MAX  65536

typedef struct node node_t;

typedef struct channel {
    char *name;
    /* Jobs submitted here: a claim under way may have missed the last. */
    uint64_t submits;
    node_t **nodes;
    size_t nodes_len, nodes_cap;
    size_t turn; /* where the next distribution begins */
} channel_t;

typedef struct node_channel {
    channel_t *channel;
    bool waiting; /* the node's topic stands in the channel's waiting sets */
} node_channel_t;

struct node {
    peer_t *peer;
    uint64_t id;
    uint32_t boot;
    uint32_t generation; /* of this object: answers to an earlier one do not count */
    unsigned slots, busy;
    usi_buf_t pythons; /* msgpack strings */
    uint32_t pythons_len;
    uint32_t classes[NODE_CLASSES_MAX];
    size_t classes_len;
    node_channel_t *channels;
    size_t channels_len;
    uint32_t credit;  /* jobs that the node takes */
    uint32_t claimed; /* of the credit: asked of the store, not yet answered */
    size_t turn;      /* channel of the next claim */
    size_t pass_left; /* channels that this pass has still to ask; 0: no pass */
    bool pass_again;  /* new credit or jobs came during this pass */
    bool draining;
    bool relayed;   /* this broker receives its wakes */
    usi_buf_t envs; /* msgpack maps, one for each environment */
    uint32_t envs_len;
};

typedef struct nodes nodes_t;

nodes_t *nodes_new (void);
void nodes_destroy (nodes_t **self_p);

/* Makes the node of a HELLO. US_ERR_INVALID and *why (static): the HELLO makes no sense. */
us_err_t nodes_add (nodes_t *self, peer_t *peer, const usi_fields_t *hello,
                    node_t **node, const char **why);
/* Frees the node and clears peer->node. */
void nodes_remove (nodes_t *self, node_t *node);
node_t *nodes_find (const nodes_t *self, uint64_t id);
/* A node of this id and name is meant by the words called: its name, or its id in hex. */
bool node_is_called (uint64_t id, usi_bytes_t name, usi_bytes_t called);
/* Finds the node that is called so. *several: more than one is. */
node_t *nodes_find_name (const nodes_t *self, usi_bytes_t name, bool *several);
size_t nodes_count (const nodes_t *self);
node_t *nodes_at (const nodes_t *self, size_t index);

/* NULL: no node listens on it. */
channel_t *nodes_channel (const nodes_t *self, usi_bytes_t name);
channel_t *nodes_first_channel (nodes_t *self);
channel_t *nodes_next_channel (nodes_t *self);
/* Some node listens on it that takes new jobs of this class. */
bool channel_is_served (const channel_t *channel, uint32_t class_id);
/* The class of jobs that need this Python, by any of its versions; 0: it is none. */
uint32_t nodes_class_of (usi_bytes_t python);

/* Credit that no claim is using; 0 while the node must not get jobs. */
uint32_t node_available (const node_t *node);
void node_add_credit (node_t *node, uint64_t credit);
bool node_serves (const node_t *node, uint32_t class_id);
/* Index of the channel among the node's own. */
size_t node_channel_index (const node_t *node, const channel_t *channel);

/* Spreads count jobs of a class over the channel's nodes with credit: calls claim for each
 * that gets a share. Returns what is left over. */
typedef void channel_claim_fn (node_t *node, size_t index, uint32_t count, void *arg);
uint32_t channel_spread (channel_t *channel, uint32_t class_id, uint32_t count,
                         channel_claim_fn *claim, void *arg);

#endif
