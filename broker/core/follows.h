/* SPDX-License-Identifier: MIT
 *
 * Logs that are sent to clients as they grow. A follow remembers for one peer and job how
 * far each stream has been sent. A chunk that just came from a node goes out directly
 * where the offsets meet; everything else is read from the store, one piece at a time, as
 * fast as the peer takes it. The ENDED of a job goes out after the last byte of its log.
 * Stands on notify.h. */
#ifndef BROKER_FOLLOWS_H
#define BROKER_FOLLOWS_H

#include "core/broker.h"

/* As length: read on until the store says where the stream ends. */
#define FOLLOW_ALL UINT64_MAX

typedef struct follow_stream {
    bool wanted;
    bool reading;  /* an answer of the store is awaited */
    bool again;    /* the stream grew since; that answer may not tell */
    uint64_t sent; /* bytes up to here were sent */
    uint64_t len;  /* so many are known to be in the store */
} follow_stream_t;

typedef struct follow {
    struct {
        usi_id_t id;
        uint32_t peer;
    } key;
    uint32_t generation;
    follow_stream_t streams[2];
    bool ended;       /* ENDED is sent once all is sent */
    list_node_t node; /* in the peer's list */
} follow_t;

void follows_init (broker_t *self);
void follows_destroy (broker_t *self);

follow_t *follow_find (broker_t *self, const peer_t *peer, const usi_id_t *id);
/* Finds or makes a follow. flags: USI_WATCH_LOG from offset, USI_WATCH_BUILD from its start. A
 * stream that is already followed goes back to offset only where rewind is true. */
follow_t *follow_open (broker_t *self, peer_t *peer, const usi_id_t *id, unsigned flags,
                       uint64_t offset, bool rewind);
/* The stream is known to have at least this length. */
void follow_grow (broker_t *self, follow_t *follow, int number, uint64_t len);
void follow_grow_to (broker_t *self, follow_t *follow, uint64_t log_len,
                     uint64_t build_len);
/* Streams have grown, nobody knows how far: asks the store. */
void follow_grow_all (broker_t *self, follow_t *follow);
/* These bytes of the stream were just stored. */
void follow_chunk (broker_t *self, follow_t *follow, int number, uint64_t offset,
                   usi_bytes_t bytes);
/* The job has ended: sends what is missing, then ENDED from the store. Consumes. */
void follow_end (broker_t *self, follow_t *follow);
/* True: all wanted bytes up to these ends were sent. */
bool follow_is_complete (const follow_t *follow, uint64_t log_end, uint64_t build_end);
void follow_drop (broker_t *self, follow_t *follow);
void follow_drop_all (broker_t *self, peer_t *peer);
/* The peer did not take the bytes from offset on. */
void follow_unsent (broker_t *self, peer_t *peer, const usi_id_t *id, int stream,
                    uint64_t offset);
/* The peer reads again: sends on what it follows. */
void follow_resume_all (broker_t *self, peer_t *peer);

#endif
