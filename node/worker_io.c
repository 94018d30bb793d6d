/* SPDX-License-Identifier: MIT
 *
 * A worker's job socket and log pipe: see worker_io.h. Results come in batches; the marker
 * of each stands in the pipe before the result is sent, so the pipe is read exactly when
 * it has what is needed. */
#include "worker_io.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "blob_cache.h"
#include "host/process.h"
#include "proto/pack.h"

#define INLINE_MAX   (64 * 1024)
#define BATCH        16
#define RESULT_HEAD  11
#define JOB_HEAD     36
#define NAME_MAX_LEN 256
#define RECYCLE_JOBS 10000
#define RECYCLE_RSS  ((size_t) 1024 * 1024 * 1024)
#define RSS_EVERY    256    /* jobs between two looks at its memory */
#define RSS_LONG_US  100000 /* a job of this length is worth a look by itself */
#define LOOSE_MAX    (64 * 1024)
#define STARTED_MS   2

#define FLAG_MEMFD    1
#define FLAG_SHELL    2
#define FLAG_CHILDREN 2
#define FLAG_REPLACE  4
#define FLAG_BUFFERS  8

/* --- the log pipe ----------------------------------------------------------------- */

static job_t *s_log_owner (worker_t *self)
{
    job_t *job = worker_head (self);
    while (job && job->marked)
        job = job_behind (job);
    return job;
}

static void s_on_bytes (void *arg, const uint8_t *data, size_t len)
{
    worker_t *self = arg;
    job_t *job = s_log_owner (self);
    if (job)
        job_write_log (self->node, job, 0, data, len);
    else if (self->loose.len + len <= LOOSE_MAX)
        usi_buf_append (&self->loose, data, len);
}

static void s_on_marker (void *arg, uint32_t seq)
{
    job_t *job = s_log_owner (arg);
    /* Marks of jobs that are settled already mean nothing any more. */
    if (job && job->seq == seq)
        job->marked = true;
}

static int s_on_pipe (zloop_t *loop, zmq_pollitem_t *item, void *arg);

void worker_watch_pipe (worker_t *self, bool on)
{
    if (self->pipe_watched == on || self->pipe < 0 || (on && self->pipe_ended))
        return;
    self->pipe_watched = on;
    if (on)
        loop_watch (self->node->loop, self->pipe, s_on_pipe, self);
    else
        loop_unwatch (self->node->loop, self->pipe);
}

/* false: there is nothing to read now. */
static bool s_read_pipe (worker_t *self)
{
    const log_pipe_sink_t sink = {s_on_bytes, s_on_marker, self};
    long got = self->pipe_ended ? 0 : log_pipe_read (&self->log, self->pipe, &sink);
    if (got > 0)
        return true;
    if (got == 0 && !self->pipe_ended) {
        self->pipe_ended = true;
        log_pipe_end (&self->log, &sink);
        worker_watch_pipe (self, false);
    }
    return false;
}

static bool s_read_up_to (worker_t *self, const job_t *job)
{
    while (!job->marked)
        if (!s_read_pipe (self))
            return false;
    return true;
}

/* --- what a worker has to know ---------------------------------------------------- */

static bool s_send (const worker_t *self, const usi_buf_t *bytes)
{
    return send (self->sock, bytes->data, bytes->len, MSG_DONTWAIT | MSG_NOSIGNAL) > 0;
}

/* Its program, once. */
static bool s_tell_program (worker_t *self)
{
    usi_buf_t bytes = {0};
    const node_limits_t *limits = &self->node->limits;
    uint8_t numbers[24];
    if (self->told)
        return true;
    usi_put_be (numbers, limits->max_payload, 8);
    usi_put_be (numbers + 8, limits->max_buffer, 8);
    usi_put_be (numbers + 16, limits->max_buffers, 8);
    usi_buf_append (&bytes, "P", 1);
    usi_buf_append (&bytes, numbers, sizeof numbers);
    usi_buf_append (&bytes, self->program->words.data, self->program->words.len);
    self->told = s_send (self, &bytes);
    usi_buf_free (&bytes);
    return self->told;
}

static void s_pack_set (const pool_t *pool, size_t number, usi_buf_t *out)
{
    uint8_t head[5] = {'B'};
    usi_put_be (head + 1, number, 4);
    usi_buf_append (out, head, sizeof head);
    usi_pack_array (out, (uint32_t) pool->blobs_len);
    for (size_t i = 0; i < pool->blobs_len; i++) {
        char *path = blob_cache_path (pool->node->blobs, pool->blobs[i]);
        usi_pack_array (out, 2);
        usi_pack_bin (out, pool->blobs[i], USI_DIGEST_LEN);
        usi_pack_str (out, path, strlen (path));
        free (path);
    }
}

/* The set of bundles, once. false: its socket is full, or a bundle is not there. */
static bool s_tell_set (worker_t *self, pool_t *pool, size_t *number)
{
    for (*number = 0; *number < self->sets_len; ++*number)
        if (self->sets[*number] == pool)
            return true;
    if (!pool_has_bundles (pool))
        return false;
    usi_buf_t bytes = {0};
    s_pack_set (pool, *number, &bytes);
    bool sent = s_send (self, &bytes);
    usi_buf_free (&bytes);
    if (sent) {
        self->sets = usi_realloc (self->sets, (*number + 1) * sizeof *self->sets);
        self->sets[self->sets_len++] = pool;
        pool->refs++;
    }
    return sent;
}

/* It did not take what it was told. */
static void s_untell (worker_t *self, const uint8_t *data, size_t len)
{
    size_t number = len >= 5 ? (size_t) usi_get_be (data + 1, 4) : self->sets_len;
    if (data[0] == 'P')
        self->told = false;
    if (data[0] != 'B' || number >= self->sets_len)
        return;
    self->sets[number]->refs--;
    self->sets[number] = NULL;
}

/* --- giving jobs ------------------------------------------------------------------ */

static int s_memfd_of (const usi_buf_t *bytes)
{
    int fd = memfd_create ("understudy-body", MFD_CLOEXEC);
    for (size_t at = 0; fd >= 0 && at < bytes->len;) {
        ssize_t put = write (fd, bytes->data + at, bytes->len - at);
        if (put < 0 && errno == EINTR)
            continue;
        if (put < 0) {
            close (fd);
            return -1;
        }
        at += (size_t) put;
    }
    if (fd >= 0)
        lseek (fd, 0, SEEK_SET);
    return fd;
}

/* What travels with a job as descriptors: a large body, then its buffers. */
typedef struct parcel {
    int fds[USI_MAX_BLOBS + 1];
    size_t len;
    bool has_body;
} parcel_t;

static bool s_add (parcel_t *parcel, int fd)
{
    if (fd >= 0)
        parcel->fds[parcel->len++] = fd;
    return fd >= 0;
}

/* false: something is not there (any more). */
static bool s_pack (worker_t *self, const job_t *job, parcel_t *parcel)
{
    blob_cache_t *blobs = self->node->blobs;
    const job_spec_t *spec = job->spec;
    parcel->has_body = spec->has_blob || job->body.len > INLINE_MAX;
    if (parcel->has_body &&
        !s_add (parcel, spec->has_blob ? blob_cache_open (blobs, spec->blob)
                                       : s_memfd_of (&job->body)))
        return false;
    for (size_t i = 0; i < spec->buffers_len; i++)
        if (!s_add (parcel, blob_cache_open (blobs, job_spec_buffer (spec, i))))
            return false;
    return true;
}

static void s_unpack (parcel_t *parcel)
{
    while (parcel->len > 0)
        close (parcel->fds[--parcel->len]);
}

static size_t s_fill_head (uint8_t *head, const job_t *job, size_t set, bool in_memfd)
{
    const job_spec_t *spec = job->spec;
    size_t name_len = spec->name ? strlen (spec->name) : 0;
    if (name_len > NAME_MAX_LEN)
        name_len = NAME_MAX_LEN;
    head[0] = 'J';
    usi_put_be (head + 1, job->seq, 4);
    head[5] = (uint8_t) ((in_memfd ? FLAG_MEMFD : 0) | (spec->shell ? FLAG_SHELL : 0));
    memcpy (head + 6, job->id.bytes, 16);
    usi_put_be (head + 22, job->attempt, 4);
    usi_put_be (head + 26, spec->soft_ms, 4);
    usi_put_be (head + 30, set, 4);
    usi_put_be (head + 34, name_len, 2);
    if (name_len > 0)
        memcpy (head + JOB_HEAD, spec->name, name_len);
    return JOB_HEAD + name_len;
}

static bool s_send_job (worker_t *self, const job_t *job, size_t set,
                        const parcel_t *parcel)
{
    uint8_t head[JOB_HEAD + NAME_MAX_LEN];
    union {
        struct cmsghdr align;
        char bytes[CMSG_SPACE (sizeof parcel->fds)];
    } control;
    size_t inline_len = parcel->has_body ? 0 : job->body.len;
    struct iovec parts[2] = {
        {.iov_base = head, .iov_len = s_fill_head (head, job, set, parcel->has_body)},
        {.iov_base = job->body.data, .iov_len = inline_len},
    };
    struct msghdr message = {.msg_iov = parts, .msg_iovlen = 2};
    if (parcel->len > 0) {
        size_t size = parcel->len * sizeof *parcel->fds;
        memset (&control, 0, sizeof control);
        message.msg_control = control.bytes;
        message.msg_controllen = CMSG_SPACE (size);
        struct cmsghdr *cmsg = CMSG_FIRSTHDR (&message);
        cmsg->cmsg_level = SOL_SOCKET;
        cmsg->cmsg_type = SCM_RIGHTS;
        cmsg->cmsg_len = CMSG_LEN (size);
        memcpy (CMSG_DATA (cmsg), parcel->fds, size);
    }
    return sendmsg (self->sock, &message, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0;
}

static void s_begin_head (worker_t *self, int64_t now_us)
{
    self->head_since_us = now_us;
    self->soft_sent = false;
    self->long_head = false;
    if (self->jobs.first)
        self->events.watch (self->events.arg, STARTED_MS);
    else
        self->turn_since_us = now_us;
}

void worker_tell (worker_t *self, pool_t *pool)
{
    size_t set;
    if (s_tell_program (self))
        s_tell_set (self, pool, &set);
}

bool worker_give (worker_t *self, job_t *job)
{
    parcel_t parcel = {0};
    size_t set;
    if (!s_tell_program (self) || !s_tell_set (self, job->pool, &set)) {
        self->full = job->pool->state == POOL_READY;
        return false;
    }
    if (!s_pack (self, job, &parcel)) {
        int error = errno;
        s_unpack (&parcel);
        list_remove (&job->place);
        if (job->spec->has_blob || job->spec->buffers_len > 0) /* evicted meanwhile */
            pool_add (job->pool, job);
        else
            job_fail (self->node, job, USI_FAILED, US_ERR_SYSTEM, strerror (error));
        return true;
    }
    job->seq = self->next_seq;
    bool sent = s_send_job (self, job, set, &parcel);
    s_unpack (&parcel);
    if (!sent) {
        self->full = true;
        return false;
    }
    self->next_seq++;
    list_append (&self->jobs, &job->place);
    job->worker = self;
    job->marked = false;
    job_set_state (self->node, job, JOB_GIVEN);
    if (self->loose.len > 0) {
        job_write_log (self->node, job, 0, self->loose.data, self->loose.len);
        usi_buf_free (&self->loose);
    }
    if (self->jobs.len == 1) {
        s_begin_head (self, job->since_us);
        self->turn_since_us = job->since_us;
    }
    return true;
}

static job_t *s_job_of (const worker_t *self, uint32_t seq)
{
    job_t *job = job_at (self->jobs.last);
    while (job && job->seq != seq)
        job = job_at (job->place.prev);
    return job;
}

/* The worker may take some at the same time, so what we got need not be the last
 * ones. */
void worker_take_back (worker_t *self)
{
    uint8_t head[JOB_HEAD];
    list_t taken = {0};
    const list_node_t *first = self->jobs.first;
    if (self->peer < 0 || self->jobs.len == 0)
        return;
    /* Descriptors that travel along are closed by the kernel: there is no room for
     * them. */
    for (ssize_t got; (got = recv (self->peer, head, sizeof head, MSG_DONTWAIT)) > 0;) {
        job_t *job = head[0] == 'J'
                         ? s_job_of (self, (uint32_t) usi_get_be (head + 1, 4))
                         : NULL;
        if (job)
            list_append (&taken, &job->place);
        else
            s_untell (self, head, (size_t) got);
    }
    /* A worker that is short of processor time may not have taken even the first. */
    if (taken.first && taken.first == first)
        s_begin_head (self, usi_now_us ());
    while (taken.last)
        pool_take_back (job_at (taken.last));
    if (self->jobs.len == 0)
        self->full = false;
}

/* --- results ---------------------------------------------------------------------- */

static bool s_read_fd (int fd, size_t size, usi_buf_t *out)
{
    if (!usi_buf_reserve (out, size))
        return false;
    while (out->len < size) {
        ssize_t got =
            pread (fd, out->data + out->len, size - out->len, (off_t) out->len);
        if (got <= 0)
            return false;
        out->len += (size_t) got;
    }
    return true;
}

/* The body and its size. One over the limit, which a job can make of nothing (a sparse
 * file), is not read. */
static bool s_read_body (worker_t *self, const uint8_t *data, size_t len, int fd,
                         usi_buf_t *out, uint64_t *size)
{
    struct stat st;
    *size = len - RESULT_HEAD;
    if (!(data[6] & FLAG_MEMFD)) {
        usi_buf_append (out, data + RESULT_HEAD, len - RESULT_HEAD);
        return true;
    }
    if (fd < 0 || fstat (fd, &st) != 0 || !S_ISREG (st.st_mode))
        return false;
    *size = (uint64_t) st.st_size;
    return *size > self->node->limits.max_payload ||
           s_read_fd (fd, (size_t) st.st_size, out);
}

static bool s_wants_rest (worker_t *self, int64_t took_us)
{
    if (self->done >= RECYCLE_JOBS)
        return true;
    bool look = self->done % RSS_EVERY == 0 || took_us > RSS_LONG_US;
    return look && process_rss (self->pid) > RECYCLE_RSS;
}

static void s_measure (worker_t *self, pool_t *pool, int64_t now_us)
{
    int64_t took_us = now_us - self->head_since_us;
    pool_measure (&pool->ewma_us, took_us);
    self->events.measured (self->events.arg, took_us);
    self->done++;
    self->full = false;
    if (s_wants_rest (self, took_us))
        self->replace = true;
    s_begin_head (self, now_us);
}

/* Decides what comes after a job. A worker that was being stopped, and finished
 * instead, is replaced. */
static void s_after_job (worker_t *self, unsigned flags)
{
    if (flags & FLAG_CHILDREN)
        self->children = true;
    if (flags & (FLAG_CHILDREN | FLAG_REPLACE))
        self->replace = true;
    if (self->state == WORKER_STOPPING && self->stop != STOP_FAULT &&
        worker_apply (self, WORKER_RESUME)) {
        self->stop = STOP_NONE;
        self->replace = true;
    }
    if (self->replace)
        worker_take_back (self);
    job_t *next = worker_head (self);
    if (next && (next->cancelled || next->forgotten))
        worker_begin_stop (self, next->forgotten ? STOP_DROP : STOP_CANCEL,
                           next->forgotten);
    self->throttled = false;
    worker_watch_pipe (self, false);
    loop_touch (self->node->loop);
}

static void s_finish (worker_t *self, job_t *job, const uint8_t *head, usi_buf_t *body,
                      uint64_t size, job_buffers_t *buffers)
{
    uint64_t limit = self->node->limits.max_payload;
    int outcome = head[5];
    int32_t code = (int32_t) usi_get_be (head + 7, 4);
    bool drained = self->stop == STOP_DRAIN && outcome == USI_STOPPED;
    if (drained) {
        usi_buf_free (body);
        job_hand_back (self->node, job);
    } else if (size > limit) {
        usi_buf_free (body);
        job_too_large (self->node, job, size, limit);
    } else if (buffers->len > 0 && outcome == USI_SUCCEEDED) {
        job_end_with (self->node, job, body, buffers);
    } else {
        job_end (self->node, job, outcome, code, body);
    }
}

/* The buffers of a result, which come behind its body. */
static bool s_take_buffers (const uint8_t *data, const parcel_t *parcel,
                            job_buffers_t *buffers)
{
    for (size_t i = parcel->has_body; i < parcel->len; i++)
        if (!job_buffers_add (buffers, parcel->fds[i]))
            return false;
    return (buffers->len > 0) == ((data[6] & FLAG_BUFFERS) != 0);
}

static void s_on_result (worker_t *self, const uint8_t *data, size_t len,
                         const parcel_t *parcel, int64_t now_us)
{
    int fd = parcel->has_body && parcel->len > 0 ? parcel->fds[0] : -1;
    job_buffers_t buffers = {0};
    job_t *job = worker_head (self);
    usi_buf_t body = {0};
    uint64_t size;
    if (!job || len < RESULT_HEAD || usi_get_be (data + 1, 4) != job->seq ||
        data[5] < USI_SUCCEEDED || data[5] > USI_STOPPED || data[5] == USI_CRASHED) {
        worker_fault (self, "a result that does not belong to its job");
        return;
    }
    if (!s_read_up_to (self, job)) {
        worker_fault (self, "a result without its marker in the log");
        return;
    }
    if (!s_read_body (self, data, len, fd, &body, &size)) {
        usi_buf_free (&body);
        worker_fault (self, "a result without its body");
        return;
    }
    if (!s_take_buffers (data, parcel, &buffers)) {
        usi_buf_free (&body);
        job_buffers_free (&buffers);
        worker_fault (self, "a result without its buffers");
        return;
    }
    pool_t *pool = job->pool;
    s_finish (self, job, data, &body, size, &buffers);
    job_buffers_free (&buffers); /* unless the job has taken them */
    s_measure (self, pool, now_us);
    s_after_job (self, data[6]);
}

static void s_on_ready (worker_t *self, const uint8_t *data, size_t len, int64_t now_us)
{
    int status;
    if (len != 5) {
        worker_fault (self, "a message that is cut short");
        return;
    }
    self->pid = (pid_t) usi_get_be (data + 1, 4);
    worker_apply (self, WORKER_READY);
    if (self->program)
        self->program->start_failures = 0;
    worker_watch_pipe (self, false);
    s_begin_head (self, now_us); /* it may have been given a job already */
    loop_touch (self->node->loop);
    if (children_take_early (&self->node->children, self->pid, &status))
        self->ended = true, self->end_status = status;
}

/* A job that it has taken and not begun goes back, unless nobody wants it any more. */
static void s_give_up (worker_t *self, job_t *job)
{
    if (job->cancelled || job->forgotten)
        job_end (self->node, job, USI_STOPPED, US_ERR_CANCELLED, NULL);
    else
        pool_take_back (job);
}

/* It has found something that a job has left behind only after it had answered, or
 * cannot load what the next job needs beside what is loaded already: it begins with none
 * of those that it was given. */
static void s_on_leaving (worker_t *self, const uint8_t *data, size_t len)
{
    usi_info ("worker.leaving", "%.*s slot=%u pid=%d", (int) len - 1, data + 1,
              self->slot, (int) self->pid);
    self->replace = true;
    worker_take_back (self);
    while (self->jobs.last)
        s_give_up (self, job_at (self->jobs.last));
    s_begin_head (self, usi_now_us ());
    loop_touch (self->node->loop);
}

/* The initializer of its program begins or has ended. */
static void s_on_setting_up (worker_t *self, const uint8_t *data, size_t len,
                             int64_t now_us)
{
    bool begins = len == 2 && data[1] == 1;
    if (len != 2 || data[1] > 1 || begins == self->setting_up ||
        (begins && self->set_up)) {
        worker_fault (self, "a second setting up");
        return;
    }
    self->setting_up = begins;
    self->set_up = true;
    s_begin_head (self, now_us);
    loop_touch (self->node->loop);
}

static void s_on_datagram (worker_t *self, const uint8_t *data, size_t len,
                           const parcel_t *parcel, int64_t now_us)
{
    /* How a worker begins, once: what comes later is of the job's making. */
    if (data[0] == 'W' && self->pid > 0) {
        worker_fault (self, "a second beginning");
        return;
    }
    switch (data[0]) {
    case 'W': s_on_ready (self, data, len, now_us); break;
    case 'R': s_on_result (self, data, len, parcel, now_us); break;
    case 'S': s_on_setting_up (self, data, len, now_us); break;
    case 'L': s_on_leaving (self, data, len); break;
    default: worker_fault (self, "an unknown message");
    }
}

/* --- receiving -------------------------------------------------------------------- */

typedef struct slab {
    uint8_t data[INLINE_MAX + 4096];
    union {
        struct cmsghdr align;
        char bytes[CMSG_SPACE (USI_MAX_BLOBS * sizeof (int))];
    } control;
} slab_t;

static void s_find_fds (struct msghdr *message, parcel_t *parcel)
{
    struct cmsghdr *cmsg = CMSG_FIRSTHDR (message);
    if (!cmsg || cmsg->cmsg_level != SOL_SOCKET || cmsg->cmsg_type != SCM_RIGHTS)
        return;
    size_t size = cmsg->cmsg_len - CMSG_LEN (0);
    memcpy (parcel->fds, CMSG_DATA (cmsg), size);
    parcel->len = size / sizeof *parcel->fds;
}

/* Only a result whose body is in a memfd, or which has buffers, comes with descriptors.
 * The message is cut short too where this process may open no more: then some are missing,
 * and the result is one without its body or buffers. */
static bool s_has_wrong_fds (const uint8_t *data, size_t len, const parcel_t *parcel,
                             int flags)
{
    bool buffers = len >= RESULT_HEAD && data[0] == 'R' && (data[6] & FLAG_BUFFERS);
    size_t most = parcel->has_body + (buffers ? JOB_BUFFERS_MAX : 0);
    return parcel->len > 0 && (parcel->len > most || (flags & MSG_CTRUNC));
}

static void s_on_message (worker_t *self, const uint8_t *data, struct mmsghdr *message,
                          int64_t now_us)
{
    int flags = message->msg_hdr.msg_flags;
    size_t len = message->msg_len;
    parcel_t parcel = {0};
    s_find_fds (&message->msg_hdr, &parcel);
    parcel.has_body = len >= RESULT_HEAD && data[0] == 'R' && (data[6] & FLAG_MEMFD);
    if (flags & MSG_TRUNC)
        worker_fault (self, "a message over its limit");
    else if (s_has_wrong_fds (data, len, &parcel, flags))
        worker_fault (self, "a message with descriptors that it should not have");
    else if (len ==
             0) /* so the end of the socket looks, too, that a job has shut down */
        worker_fault (self, "an empty message");
    else
        s_on_datagram (self, data, len, &parcel, now_us);
    s_unpack (&parcel);
}

/* false: there are no more, or only empty ones, of which there may be no end. */
static bool s_receive (worker_t *self)
{
    static slab_t slabs[BATCH]; /* one thread, one batch at a time */
    struct mmsghdr messages[BATCH];
    struct iovec parts[BATCH];
    for (int i = 0; i < BATCH; i++) {
        parts[i] = (struct iovec){slabs[i].data, sizeof slabs[i].data};
        /* Room for so many descriptors: CMSG_SPACE could hold one more. The kernel closes
         * those that it has no room for. */
        messages[i].msg_hdr =
            (struct msghdr){.msg_iov = &parts[i],
                            .msg_iovlen = 1,
                            .msg_control = slabs[i].control.bytes,
                            .msg_controllen = CMSG_LEN (USI_MAX_BLOBS * sizeof (int))};
    }
    int got =
        recvmmsg (self->sock, messages, BATCH, MSG_DONTWAIT | MSG_CMSG_CLOEXEC, NULL);
    int64_t now_us = usi_now_us ();
    for (int i = 0; i < got; i++)
        s_on_message (self, slabs[i].data, &messages[i], now_us);
    return got > 0 && messages[got - 1].msg_len > 0;
}

static int s_on_socket (zloop_t *loop, zmq_pollitem_t *item, void *arg)
{
    worker_t *self = arg;
    (void) loop, (void) item;
    s_receive (self);
    if (self->ended)
        self->end (self, self->end_status);
    return 0;
}

void worker_drain (worker_t *self)
{
    while (s_receive (self))
        ;
    while (s_read_pipe (self))
        ;
    log_pipe_end (&self->log, &(log_pipe_sink_t){s_on_bytes, s_on_marker, self});
}

static void s_never_ready (worker_t *self)
{
    if (!self->fault)
        self->fault = usi_strdup ("it ended before it was ready");
    self->end (self, 0);
}

static int s_on_pipe (zloop_t *loop, zmq_pollitem_t *item, void *arg)
{
    worker_t *self = arg;
    (void) loop, (void) item;
    bool more = s_read_pipe (self);
    if (!more && self->pipe_ended && self->state == WORKER_STARTING && self->pid == 0) {
        s_receive (self); /* it may have said who it is */
        if (self->ended)
            self->end (self, self->end_status);
        else if (self->pid == 0)
            s_never_ready (self);
        return 0;
    }
    const job_t *job = worker_head (self);
    if (job && job_log_is_full (self->node, job)) {
        self->throttled = true;
        worker_watch_pipe (self, false);
    }
    return 0;
}

void worker_listen (worker_t *self)
{
    loop_watch (self->node->loop, self->sock, s_on_socket, self);
    worker_watch_pipe (self, true);
}
