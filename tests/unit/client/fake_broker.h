/* SPDX-License-Identifier: MIT
 *
 * A small broker in a thread, for the tests of the client: it keeps jobs and blobs in
 * memory and, unless told otherwise, "runs" a job at once by giving its body back. What
 * it does is steered by atomics that a test sets. */
#ifndef TESTS_FAKE_BROKER_H
#define TESTS_FAKE_BROKER_H

#include <arpa/inet.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/mem.h"
#include "proto/message.h"
#include "tsan.h"

typedef struct fake_job {
    struct fake_job *next;
    usi_id_t id;
    usi_buf_t body;
    uint8_t blob[USI_DIGEST_LEN]; /* of the body, where it is one */
    bool has_blob;
    int state;
} fake_job_t;

typedef struct fake_blob {
    struct fake_blob *next;
    uint8_t digest[USI_DIGEST_LEN];
    uint8_t *data;
    size_t size;
    size_t had;
} fake_blob_t;

typedef struct fake_broker {
    pthread_t thread;
    void *context, *socket;
    int port_fd; /* bound, does not listen: keeps the port from all others */
    char endpoint[64];
    atomic_bool stop;
    atomic_bool hold;          /* do not run jobs */
    atomic_int refuse;         /* code for the next SUBMITs */
    atomic_size_t max_payload; /* 0: the usual one */
    atomic_int spoil;        /* so many blobs have a wrong sum when they are complete */
    atomic_bool forget_peer; /* answer the next message with UNKNOWN_PEER */
    atomic_bool mute;        /* read, but say nothing */
    atomic_bool flood;       /* tell the last peer of errors, always */
    atomic_bool stutter;     /* an older ENDED comes before each answer to WATCH */
    atomic_int submits, puts, watches, hellos, finished;
    const char *_Atomic log; /* of every job */
    fake_job_t *jobs[1024];
    fake_blob_t *blobs;
} fake_broker_t;

static size_t fake_max_payload (fake_broker_t *self)
{
    size_t set = atomic_load (&self->max_payload);
    return set > 0 ? set : USI_MAX_PAYLOAD;
}

static fake_job_t **fake_place (fake_broker_t *self, const usi_id_t *id)
{
    fake_job_t **at = &self->jobs[usi_get_be (id->bytes, 2) % 1024];
    while (*at && !usi_id_equal (&(*at)->id, id))
        at = &(*at)->next;
    return at;
}

static fake_blob_t *fake_blob (fake_broker_t *self, usi_bytes_t digest)
{
    fake_blob_t *blob = self->blobs;
    while (blob && memcmp (blob->digest, digest.data, USI_DIGEST_LEN) != 0)
        blob = blob->next;
    return blob;
}

static bool fake_blob_whole (fake_broker_t *self, usi_bytes_t digest)
{
    fake_blob_t *blob = fake_blob (self, digest);
    return blob && blob->had >= blob->size;
}

/* The job's log, then its end. */
static void fake_end (fake_broker_t *self, fake_job_t *job, bool log, usi_msg_t *out,
                      usi_bytes_t peer)
{
    const char *text = self->log;
    size_t log_len = text ? strlen (text) : 0;
    if (log && log_len > 0) {
        usi_msg_begin (out, USI_LOGGED);
        usi_fields_t *item = usi_msg_add (out);
        USI_SET (item, ID, id, job->id);
        USI_SET (item, STREAM, stream, 0);
        USI_SET (item, OFFSET, offset, 0);
        usi_msg_body (out, text, log_len);
        usi_msg_send (out, self->socket, peer);
    }
    job->state = job->state >= US_STATE_SUCCEEDED ? job->state : US_STATE_SUCCEEDED;
    usi_msg_begin (out, USI_ENDED);
    usi_fields_t *item = usi_msg_add (out);
    USI_SET (item, ID, id, job->id);
    USI_SET (item, STATE, state, (uint64_t) job->state);
    USI_SET (item, CODE, code, 0);
    USI_SET (item, LOG_END, log_end, log_len);
    if (job->has_blob && job->state == US_STATE_SUCCEEDED) {
        fake_blob_t *blob = fake_blob (self, usi_bytes (job->blob, USI_DIGEST_LEN));
        USI_SET (item, BLOB, blob, usi_bytes (blob->digest, USI_DIGEST_LEN));
        USI_SET (item, SIZE, size, blob->size);
    } else if (job->state == US_STATE_SUCCEEDED)
        usi_msg_body (out, job->body.data, job->body.len);
    usi_msg_send (out, self->socket, peer);
    atomic_fetch_add (&self->finished, 1);
}

static int fake_submit_one (fake_broker_t *self, const usi_fields_t *item,
                            usi_bytes_t body)
{
    int refuse = atomic_load (&self->refuse);
    if (refuse)
        return refuse;
    size_t position = 0;
    usi_bytes_t digest = {0};
    for (uint32_t i = 0; i < item->blobs.count; i++)
        if (usi_list_next (&item->blobs, &position, &digest) &&
            !fake_blob_whole (self, digest))
            return US_ERR_MISSING_BLOB;
    fake_job_t **at = fake_place (self, &item->id);
    if (*at)
        return US_OK;
    usi_fields_t spec;
    US_ASSERT (usi_fields_decode (&spec, item->spec, NULL) == US_OK);
    fake_job_t *job = *at = usi_new (fake_job_t);
    job->id = item->id;
    job->state = US_STATE_QUEUED;
    usi_buf_append (&job->body, body.data, body.len);
    if (usi_has (&spec, USI_F_BLOB)) {
        job->has_blob = true;
        memcpy (job->blob, spec.blob.data, USI_DIGEST_LEN);
    }
    return US_OK;
}

static void fake_on_submit (fake_broker_t *self, const usi_msg_t *in, usi_msg_t *out,
                            usi_bytes_t peer)
{
    atomic_fetch_add (&self->submits, 1);
    usi_msg_begin (out, USI_SUBMITTED);
    for (size_t i = 0; i < in->items_len; i++) {
        int code = fake_submit_one (self, &in->items[i], usi_msg_item_body (in, i));
        usi_fields_t *item = usi_msg_add (out);
        USI_SET (item, ID, id, in->items[i].id);
        USI_SET (item, CODE, code, code);
        if (code == US_ERR_INVALID)
            USI_SET (item, TEXT, text, usi_bytes_of ("the fake broker refuses"));
    }
    usi_msg_send (out, self->socket, peer);
    for (size_t i = 0; i < in->items_len && !atomic_load (&self->hold); i++) {
        fake_job_t *job = *fake_place (self, &in->items[i].id);
        if (job && !(in->items[i].flags & USI_SUBMIT_DETACHED))
            fake_end (self, job, in->items[i].flags & USI_SUBMIT_STREAM_LOG, out, peer);
    }
}

static void fake_on_watch (fake_broker_t *self, const usi_msg_t *in, usi_msg_t *out,
                           usi_bytes_t peer)
{
    atomic_fetch_add (&self->watches, 1);
    for (size_t i = 0; i < in->items_len; i++) {
        fake_job_t *job = *fake_place (self, &in->items[i].id);
        unsigned flags = (unsigned) in->items[i].flags;
        if (job && !atomic_load (&self->hold))
            job->state = US_STATE_SUCCEEDED;
        bool same = job && (flags & USI_WATCH_CHANGED) &&
                    in->items[i].state == (uint64_t) job->state;
        if (same)
            continue;
        if (job && job->state >= US_STATE_SUCCEEDED) {
            if (atomic_load (&self->stutter))
                fake_end (self, job, false, out, peer);
            fake_end (self, job, flags & USI_WATCH_LOG, out, peer);
            continue;
        }
        usi_msg_begin (out, USI_STATE);
        usi_fields_t *item = usi_msg_add (out);
        USI_SET (item, ID, id, in->items[i].id);
        USI_SET (item, CODE, code, job ? 0 : US_ERR_UNKNOWN_JOB);
        if (job)
            USI_SET (item, STATE, state, (uint64_t) job->state);
        usi_msg_send (out, self->socket, peer);
    }
}

static void fake_on_cancel (fake_broker_t *self, const usi_msg_t *in, usi_msg_t *out,
                            usi_bytes_t peer)
{
    for (size_t i = 0; i < in->items_len; i++) {
        fake_job_t *job = *fake_place (self, &in->items[i].id);
        bool queued = job && job->state == US_STATE_QUEUED;
        if (queued)
            job->state = US_STATE_CANCELLED;
        usi_msg_begin (out, USI_CANCELLED);
        usi_fields_t *item = usi_msg_add (out);
        USI_SET (item, ID, id, in->items[i].id);
        USI_SET (item, CODE, code,
                 queued ? 0
                 : job  ? US_ERR_ENDED
                        : US_ERR_UNKNOWN_JOB);
        USI_SET (item, STATE, state, job ? (uint64_t) job->state : 0);
        usi_msg_send (out, self->socket, peer);
        if (queued)
            fake_end (self, job, false, out, peer);
    }
}

/* Two rows on each of two pages. */
static void fake_on_query (fake_broker_t *self, const usi_msg_t *in, usi_msg_t *out,
                           usi_bytes_t peer)
{
    bool second = in->head.cursor.len > 0;
    usi_msg_begin (out, USI_ANSWER);
    USI_SET (&out->head, REF, ref, in->head.ref);
    if (usi_bytes_equal (in->head.what, usi_bytes_of ("nothing"))) {
        USI_SET (&out->head, CODE, code, US_ERR_UNKNOWN_NODE);
        USI_SET (&out->head, TEXT, text, usi_bytes_of ("no node is called so"));
    } else {
        USI_SET (&out->head, CODE, code, 0);
        USI_SET (&out->head, COUNT, count, 2);
        if (!second)
            USI_SET (&out->head, CURSOR, cursor, usi_bytes_of ("more"));
        for (int i = 0; i < 2; i++) {
            uint8_t row[] = {0x81, 0xa1, 'n', (uint8_t) (i + (second ? 2 : 0))};
            usi_msg_add (out);
            usi_msg_body (out, row, sizeof row);
        }
    }
    usi_msg_send (out, self->socket, peer);
}

static void fake_on_find (fake_broker_t *self, const usi_msg_t *in, usi_msg_t *out,
                          usi_bytes_t peer)
{
    usi_msg_begin (out, USI_BLOB_FOUND);
    for (size_t i = 0; i < in->items_len; i++) {
        usi_fields_t *item = usi_msg_add (out);
        bool whole = fake_blob_whole (self, in->items[i].blob);
        USI_SET (item, BLOB, blob, in->items[i].blob);
        USI_SET (item, SIZE, size,
                 whole ? fake_blob (self, in->items[i].blob)->size : 0);
    }
    usi_msg_send (out, self->socket, peer);
}

static void fake_on_put (fake_broker_t *self, const usi_msg_t *in, usi_msg_t *out,
                         usi_bytes_t peer)
{
    atomic_fetch_add (&self->puts, 1);
    usi_msg_begin (out, USI_BLOB_KEPT);
    for (size_t i = 0; i < in->items_len; i++) {
        const usi_fields_t *from = &in->items[i];
        usi_bytes_t chunk = usi_msg_item_body (in, i);
        fake_blob_t *blob = fake_blob (self, from->blob);
        if (!blob) {
            blob = usi_new (fake_blob_t);
            memcpy (blob->digest, from->blob.data, USI_DIGEST_LEN);
            blob->size = from->size;
            blob->data = usi_alloc (from->size);
            blob->next = self->blobs;
            self->blobs = blob;
        }
        bool too_large = from->size > fake_max_payload (self);
        memcpy (blob->data + from->index * USI_MAX_CHUNK, chunk.data, chunk.len);
        blob->had += chunk.len;
        bool spoilt = blob->had >= blob->size && atomic_load (&self->spoil) > 0;
        if (spoilt) {
            blob->had = 0;
            atomic_fetch_sub (&self->spoil, 1);
        }
        usi_fields_t *item = usi_msg_add (out);
        USI_SET (item, BLOB, blob, from->blob);
        USI_SET (item, INDEX, index, from->index);
        USI_SET (item, CODE, code,
                 too_large ? US_ERR_TOO_LARGE
                 : spoilt  ? US_ERR_MISSING_BLOB
                           : 0);
    }
    usi_msg_send (out, self->socket, peer);
}

static void fake_on_get (fake_broker_t *self, const usi_msg_t *in, usi_msg_t *out,
                         usi_bytes_t peer)
{
    for (size_t i = 0; i < in->items_len; i++) {
        fake_blob_t *blob = fake_blob (self, in->items[i].blob);
        size_t start = in->items[i].index * USI_MAX_CHUNK;
        size_t left = blob ? blob->size - start : 0;
        usi_msg_begin (out, USI_BLOB_DATA);
        usi_fields_t *item = usi_msg_add (out);
        USI_SET (item, BLOB, blob, in->items[i].blob);
        USI_SET (item, INDEX, index, in->items[i].index);
        USI_SET (item, SIZE, size, blob ? blob->size : 0);
        USI_SET (item, CODE, code, blob ? 0 : US_ERR_MISSING_BLOB);
        if (blob)
            usi_msg_body (out, blob->data + start,
                          left < USI_MAX_CHUNK ? left : USI_MAX_CHUNK);
        usi_msg_send (out, self->socket, peer);
    }
}

static void fake_dispatch (fake_broker_t *self, const usi_msg_t *in, usi_msg_t *out,
                           usi_bytes_t peer)
{
    if (in->type != USI_HELLO && atomic_exchange (&self->forget_peer, false)) {
        usi_msg_begin (out, USI_ERROR);
        USI_SET (&out->head, CODE, code, US_ERR_UNKNOWN_PEER);
        USI_SET (&out->head, TEXT, text, usi_bytes_of ("say HELLO first"));
        usi_msg_send (out, self->socket, peer);
        return;
    }
    switch (in->type) {
    case USI_HELLO:
        atomic_fetch_add (&self->hellos, 1);
        usi_msg_begin (out, USI_WELCOME);
        USI_SET (&out->head, BROKER, broker, 1);
        USI_SET (&out->head, CLUSTER, cluster, usi_bytes_of ("0123456789abcdef"));
        USI_SET (&out->head, VERSION, version, usi_bytes_of ("0.1.0"));
        USI_SET (&out->head, DURABILITY, durability, usi_bytes_of ("always"));
        USI_SET (&out->head, LEASE_MS, lease_ms, 15000);
        USI_SET (&out->head, HEARTBEAT_MS, heartbeat_ms, 200);
        USI_SET (&out->head, MAX_BODY, max_body, USI_MAX_BODY);
        USI_SET (&out->head, MAX_PAYLOAD, max_payload, fake_max_payload (self));
        usi_msg_send (out, self->socket, peer);
        return;
    case USI_PING:
        usi_msg_begin (out, USI_PONG);
        usi_msg_send (out, self->socket, peer);
        return;
    case USI_SUBMIT: fake_on_submit (self, in, out, peer); return;
    case USI_WATCH: fake_on_watch (self, in, out, peer); return;
    case USI_CANCEL: fake_on_cancel (self, in, out, peer); return;
    case USI_QUERY: fake_on_query (self, in, out, peer); return;
    case USI_BLOB_FIND: fake_on_find (self, in, out, peer); return;
    case USI_BLOB_PUT: fake_on_put (self, in, out, peer); return;
    case USI_BLOB_GET: fake_on_get (self, in, out, peer); return;
    default: return;
    }
}

static void fake_flood (fake_broker_t *self, usi_msg_t *out, usi_bytes_t peer)
{
    for (int i = 0; i < 10; i++) {
        usi_msg_begin (out, USI_ERROR);
        USI_SET (&out->head, CODE, code, US_ERR_STORE);
        USI_SET (&out->head, TEXT, text, usi_bytes_of ("again"));
        usi_msg_send (out, self->socket, peer);
    }
}

static void *fake_main (void *arg)
{
    fake_broker_t *self = arg;
    usi_msg_t in = USI_MSG_INIT, out = USI_MSG_INIT;
    uint8_t routing[256];
    size_t routing_len = 0;
    while (!atomic_load (&self->stop)) {
        bool flood = atomic_load (&self->flood);
        zmq_pollitem_t item = {.socket = self->socket, .events = ZMQ_POLLIN};
        zmq_poll (&item, 1, flood ? 1 : 20);
        if (flood)
            fake_flood (self, &out, usi_bytes (routing, routing_len));
        while (usi_msg_recv (&in, self->socket, routing, &routing_len) == 0)
            if (!atomic_load (&self->mute))
                fake_dispatch (self, &in, &out, usi_bytes (routing, routing_len));
    }
    usi_msg_free (&in);
    usi_msg_free (&out);
    return NULL;
}

/* Those of whoever runs the tests. */
static void fake_no_settings (void)
{
    static const char prefix[] = "UNDERSTUDY_";
    char **at = environ;
    while (*at) {
        if (strncmp (*at, prefix, sizeof prefix - 1) != 0) {
            at++;
            continue;
        }
        char *name = strndup (*at, strcspn (*at, "="));
        unsetenv (name);
        free (name);
        at = environ;
    }
    setenv ("UNDERSTUDY_CONFIG", "/dev/null", 1);
}

/* A port that is this broker's until fake_free, also while it is stopped. */
static void fake_take_port (fake_broker_t *self)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_addr.s_addr = htonl (INADDR_LOOPBACK)};
    socklen_t len = sizeof address;
    int yes = 1;
    self->port_fd = socket (AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    setsockopt (self->port_fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    US_ASSERT (bind (self->port_fd, (struct sockaddr *) &address, len) == 0);
    US_ASSERT (getsockname (self->port_fd, (struct sockaddr *) &address, &len) == 0);
    snprintf (self->endpoint, sizeof self->endpoint, "tcp://127.0.0.1:%d",
              ntohs (address.sin_port));
}

/* At the same address again after fake_stop. */
static void fake_start (fake_broker_t *self)
{
    int no = 0;
    if (self->port_fd == 0)
        fake_take_port (self);
    self->context = zmq_ctx_new ();
    self->socket = zmq_socket (self->context, ZMQ_ROUTER);
    zmq_setsockopt (self->socket, ZMQ_SNDHWM, &no, sizeof no);
    zmq_setsockopt (self->socket, ZMQ_RCVHWM, &no, sizeof no);
    zmq_setsockopt (self->socket, ZMQ_LINGER, &no, sizeof no);
    US_ASSERT (zmq_bind (self->socket, self->endpoint) == 0);
    atomic_store (&self->stop, false);
    US_ASSERT (pthread_create (&self->thread, NULL, fake_main, self) == 0);
}

/* Jobs and blobs stay, as they do in a store. */
static void fake_stop (fake_broker_t *self)
{
    atomic_store (&self->stop, true);
    pthread_join (self->thread, NULL);
    zmq_close (self->socket);
    zmq_ctx_term (self->context);
}

static void fake_lose_jobs (fake_broker_t *self)
{
    for (size_t i = 0; i < 1024; i++) {
        while (self->jobs[i]) {
            fake_job_t *job = self->jobs[i];
            self->jobs[i] = job->next;
            usi_buf_free (&job->body);
            free (job);
        }
    }
}

static void fake_free (fake_broker_t *self)
{
    fake_lose_jobs (self);
    close (self->port_fd);
    self->port_fd = 0;
    while (self->blobs) {
        fake_blob_t *blob = self->blobs;
        self->blobs = blob->next;
        free (blob->data);
        free (blob);
    }
}

#endif
