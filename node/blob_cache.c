/* SPDX-License-Identifier: MIT
 *
 * Fetching and putting blobs: see blob_cache.h. A fetch asks for one chunk at a time, in
 * order, so it is hashed and written as it comes. A put, and a file of which it is not
 * known that it is sound, is hashed in steps between which the loop turns, for hashing
 * 64 MiB takes longer than a heartbeat should wait. */
#include "blob_cache.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/sum.h"
#include "conn.h"
#include "proto/chunk.h"
#include "sound_blobs.h"

#define REPEAT_MS   5000 /* an answer is overdue */
#define HASH_STEP   ((size_t) 4 * 1024 * 1024)
#define PUT_WINDOW  4
#define TIDY_MS     60000
#define CACHE_SHARE 4 /* blobs may take one part in so many of the limit */

typedef struct waiter {
    struct waiter *next;
    blob_fn *fn;
    const void *arg;
} waiter_t;

typedef struct fetch {
    struct fetch *next;
    uint8_t digest[USI_DIGEST_LEN];
    waiter_t *waiters;
    char *temporary;
    int fd;
    int checked; /* the file that is here and is compared with its sum first; or -1 */
    struct stat file; /* checked, as it was before */
    uint32_t index;   /* the chunk that is asked for */
    uint64_t size, got;
    int64_t asked_ms; /* 0: not yet */
    usi_sum_t hash;
} fetch_t;

typedef struct put {
    struct put *next;
    usi_bytes_t bytes;
    blob_put_fn *fn;
    void *arg;
    usi_sum_t hash;
    size_t hashed;
    bool named; /* hashed to the end */
    uint8_t digest[USI_DIGEST_LEN];
    uint32_t sent, kept, chunks;
    int64_t heard_ms;
} put_t;

struct blob_cache {
    node_t *node;
    blob_in_use_fn *in_use;
    char *dir;
    sound_blobs_t *sound;
    fetch_t *fetches;
    fetch_t *ending; /* whose waiters are being told */
    put_t *puts;
    int step_timer;
    int64_t tidied_ms;
    unsigned names;
    usi_msg_t msg;
};

/* --- files ------------------------------------------------------------------------ */

blob_cache_t *blob_cache_new (node_t *node, blob_in_use_fn *in_use)
{
    blob_cache_t *self = usi_new (blob_cache_t);
    self->node = node;
    self->in_use = in_use;
    self->dir = usi_sprintf ("%s/blobs", node->options.cache);
    self->sound = sound_blobs_new ();
    mkdir (self->dir, 0700);
    return self;
}

char *blob_cache_path (const blob_cache_t *self, const uint8_t digest[USI_DIGEST_LEN])
{
    char name[2 * USI_DIGEST_LEN + 1];
    usi_hex (digest, USI_DIGEST_LEN, name);
    return usi_sprintf ("%s/%s", self->dir, name);
}

/* Whether it is a file. What a job has put in its place gives way: whoever opened a FIFO
 * would wait in there. */
static bool s_is_file (const char *path)
{
    struct stat st;
    if (lstat (path, &st) != 0)
        return false;
    if (!S_ISREG (st.st_mode) && unlink (path) != 0)
        rmdir (path);
    return S_ISREG (st.st_mode);
}

/* A descriptor of the blob's file, sound or not; -1: there is none. */
static int s_open_file (const blob_cache_t *self, const uint8_t *digest,
                        struct stat *st)
{
    char *path = blob_cache_path (self, digest);
    int fd = s_is_file (path) ? open (path, O_RDONLY | O_NONBLOCK | O_CLOEXEC) : -1;
    free (path);
    if (fd >= 0 && fstat (fd, st) != 0) {
        close (fd);
        return -1;
    }
    return fd;
}

int blob_cache_open (blob_cache_t *self, const uint8_t digest[USI_DIGEST_LEN])
{
    const struct timespec used[2] = {{.tv_nsec = UTIME_NOW}, {.tv_nsec = UTIME_OMIT}};
    struct stat st;
    int fd = s_open_file (self, digest, &st);
    if (fd >= 0 && !sound_blobs_has (self->sound, digest, &st)) {
        close (fd);
        return -1;
    }
    if (fd >= 0)
        futimens (fd, used); /* least recently used goes first */
    return fd;
}

/* --- fetching --------------------------------------------------------------------- */

static void s_fetch_reset (fetch_t *fetch)
{
    usi_sum_begin (&fetch->hash);
    fetch->index = 0;
    fetch->got = 0;
    fetch->asked_ms = 0;
    if (ftruncate (fetch->fd, 0) != 0)
        usi_warning ("blob.file", "cannot truncate: %s", strerror (errno));
}

static void s_ask (blob_cache_t *self, fetch_t *fetch)
{
    if (!node_conn_is_up (self->node->conn))
        return; /* blob_cache_tidy or blob_cache_announce asks */
    usi_msg_begin (&self->msg, USI_BLOB_GET);
    usi_fields_t *item = usi_msg_add (&self->msg);
    USI_SET (item, BLOB, blob, usi_bytes (fetch->digest, USI_DIGEST_LEN));
    USI_SET (item, INDEX, index, fetch->index);
    fetch->asked_ms = usi_now_ms ();
    node_conn_send (self->node->conn, &self->msg);
}

static int s_on_step (zloop_t *loop, int timer, void *arg);

static void s_step_soon (blob_cache_t *self)
{
    if (!self->step_timer)
        self->step_timer = loop_after (self->node->loop, 0, s_on_step, self);
}

static fetch_t **s_find_fetch (blob_cache_t *self, const uint8_t *digest)
{
    fetch_t **at = &self->fetches;
    while (*at && memcmp ((*at)->digest, digest, USI_DIGEST_LEN) != 0)
        at = &(*at)->next;
    return at;
}

static void s_fetch_end (blob_cache_t *self, fetch_t **at, us_err_t err,
                         const char *why)
{
    fetch_t *fetch = *at;
    *at = fetch->next;
    fetch->next = self->ending;
    self->ending = fetch;
    if (fetch->fd >= 0)
        close (fetch->fd);
    if (fetch->checked >= 0)
        close (fetch->checked);
    if (err != US_OK && fetch->temporary)
        unlink (fetch->temporary);
    while (fetch->waiters) {
        waiter_t *waiter = fetch->waiters;
        fetch->waiters = waiter->next;
        if (waiter->fn)
            waiter->fn (self->node, (void *) waiter->arg, err, why);
        free (waiter);
    }
    self->ending = fetch->next;
    free (fetch->temporary);
    usi_sum_drop (&fetch->hash);
    free (fetch);
}

/* Asks the broker. Where the file cannot be written, blob_cache_tidy ends the fetch. */
static void s_fetch_begin (blob_cache_t *self, fetch_t *fetch)
{
    mkdir (self->dir, 0700); /* again, where somebody has removed it */
    fetch->temporary =
        usi_sprintf ("%s/.%d-%u", self->dir, (int) getpid (), ++self->names);
    fetch->fd = open (fetch->temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fetch->fd < 0) {
        usi_error ("blob.file", "cannot write %s: %s", fetch->temporary,
                   strerror (errno));
        return;
    }
    s_fetch_reset (fetch);
    s_ask (self, fetch);
}

/* checked: a descriptor of the file that is here already, or -1. */
static fetch_t *s_fetch_new (blob_cache_t *self, const uint8_t *digest, int checked,
                             const struct stat *file)
{
    fetch_t *fetch = usi_new (fetch_t);
    memcpy (fetch->digest, digest, USI_DIGEST_LEN);
    fetch->fd = -1;
    fetch->checked = checked;
    if (checked >= 0)
        fetch->file = *file;
    usi_sum_begin (&fetch->hash);
    fetch->next = self->fetches;
    self->fetches = fetch;
    if (checked < 0)
        s_fetch_begin (self, fetch);
    else
        s_step_soon (self);
    return fetch;
}

bool blob_cache_need (blob_cache_t *self, const uint8_t digest[USI_DIGEST_LEN],
                      blob_fn *fn, void *arg)
{
    fetch_t *fetch = *s_find_fetch (self, digest);
    if (!fetch) {
        struct stat st;
        int fd = s_open_file (self, digest, &st);
        if (fd >= 0 && sound_blobs_has (self->sound, digest, &st)) {
            close (fd);
            return true;
        }
        fetch = s_fetch_new (self, digest, fd, &st);
    }
    waiter_t *waiter = usi_new (waiter_t);
    *waiter = (waiter_t){.next = fetch->waiters, .fn = fn, .arg = arg};
    fetch->waiters = waiter;
    return false;
}

/* The file is hashed to its end, or cannot be read. */
static void s_check_end (blob_cache_t *self, fetch_t **at)
{
    fetch_t *fetch = *at;
    uint8_t digest[USI_DIGEST_LEN];
    usi_sum_end (&fetch->hash, digest);
    if (memcmp (digest, fetch->digest, USI_DIGEST_LEN) == 0) {
        sound_blobs_add (self->sound, digest, &fetch->file);
        s_fetch_end (self, at, US_OK, NULL);
        return;
    }
    char *path = blob_cache_path (self, fetch->digest);
    usi_warning ("blob.damaged", "%s is not what it is named by: it is fetched anew",
                 path);
    unlink (path);
    free (path);
    close (fetch->checked);
    fetch->checked = -1;
    s_fetch_begin (self, fetch);
}

/* One step of one file. false: there is none to check. */
static bool s_check_step (blob_cache_t *self)
{
    fetch_t **at = &self->fetches;
    while (*at && (*at)->checked < 0)
        at = &(*at)->next;
    if (!*at)
        return false;
    uint8_t *bytes = usi_alloc (HASH_STEP);
    ssize_t len = pread ((*at)->checked, bytes, HASH_STEP, (off_t) (*at)->got);
    if (len > 0) {
        usi_sum_add (&(*at)->hash, usi_bytes (bytes, (size_t) len));
        (*at)->got += (uint64_t) len;
    } else
        s_check_end (self, at);
    free (bytes);
    return true;
}

/* Takes one chunk. A blob that cannot be written ends its fetch here or in
 * blob_cache_tidy, never inside blob_cache_need, whose caller is not ready for an
 * answer. */
static void s_fetch_chunk (blob_cache_t *self, fetch_t **at, const usi_fields_t *item,
                           usi_bytes_t body)
{
    fetch_t *fetch = *at;
    fetch->size = item->size;
    const node_limits_t *limits = &self->node->limits;
    uint64_t most = limits->max_buffer > limits->max_payload ? limits->max_buffer
                                                             : limits->max_payload;
    bool last = fetch->got + body.len == fetch->size;
    if (fetch->size > most || fetch->got + body.len > fetch->size ||
        (!last && body.len != USI_MAX_CHUNK)) {
        s_fetch_end (self, at, US_ERR_PROTOCOL, "a blob is not as long as it says");
        return;
    }
    if (pwrite (fetch->fd, body.data, body.len, (off_t) fetch->got) !=
        (ssize_t) body.len) {
        s_fetch_end (self, at, US_ERR_SYSTEM, "a blob cannot be written to the cache");
        return;
    }
    usi_sum_add (&fetch->hash, body);
    fetch->got += body.len;
    fetch->index++;
    if (!last) {
        s_ask (self, fetch);
        return;
    }
    uint8_t digest[USI_DIGEST_LEN];
    usi_sum_end (&fetch->hash, digest);
    char *path = blob_cache_path (self, fetch->digest);
    struct stat st;
    if (memcmp (digest, fetch->digest, USI_DIGEST_LEN) != 0)
        s_fetch_end (self, at, US_ERR_PROTOCOL,
                     "a blob does not have the sum it is named by");
    else if (fstat (fetch->fd, &st) != 0 || rename (fetch->temporary, path) != 0)
        s_fetch_end (self, at, US_ERR_SYSTEM, "a blob cannot be kept in the cache");
    else {
        sound_blobs_add (self->sound, digest, &st);
        s_fetch_end (self, at, US_OK, NULL);
    }
    free (path);
}

void blob_cache_data (blob_cache_t *self, const usi_msg_t *msg)
{
    for (size_t i = 0; i < msg->items_len; i++) {
        const usi_fields_t *item = &msg->items[i];
        if (item->blob.len != USI_DIGEST_LEN)
            continue;
        fetch_t **at = s_find_fetch (self, item->blob.data);
        if (!*at || (*at)->fd < 0 || item->index != (*at)->index)
            continue;
        if (item->code == US_OK)
            s_fetch_chunk (self, at, item, usi_msg_item_body (msg, i));
        else if (item->code == US_ERR_MISSING_BLOB)
            s_fetch_end (self, at, US_ERR_MISSING_BLOB,
                         "bytes that the job needs are not in the store any more");
    }
}

/* --- putting ---------------------------------------------------------------------- */

static void s_put_end (blob_cache_t *self, put_t **at, us_err_t err)
{
    put_t *put = *at;
    *at = put->next;
    if (put->fn)
        put->fn (self->node, put->arg, err, put->digest);
    usi_sum_drop (&put->hash);
    free (put);
}

static void s_put_send (blob_cache_t *self, put_t *put)
{
    while (put->named && put->fn && put->sent < put->chunks &&
           put->sent - put->kept < PUT_WINDOW && node_conn_is_up (self->node->conn)) {
        size_t from = (size_t) put->sent * USI_MAX_CHUNK;
        usi_msg_begin (&self->msg, USI_BLOB_PUT);
        usi_fields_t *item = usi_msg_add (&self->msg);
        USI_SET (item, BLOB, blob, usi_bytes (put->digest, USI_DIGEST_LEN));
        USI_SET (item, SIZE, size, put->bytes.len);
        USI_SET (item, INDEX, index, put->sent);
        usi_msg_body (&self->msg, put->bytes.data + from,
                      usi_chunk_len (put->bytes.len, put->sent));
        put->sent++;
        put->heard_ms = usi_now_ms ();
        node_conn_send (self->node->conn, &self->msg);
    }
}

static void s_put_hash (put_t *put)
{
    size_t left = put->bytes.len - put->hashed;
    size_t len = left < HASH_STEP ? left : HASH_STEP;
    usi_sum_add (&put->hash, usi_bytes (put->bytes.data + put->hashed, len));
    put->hashed += len;
    if (put->hashed == put->bytes.len) {
        usi_sum_end (&put->hash, put->digest);
        put->named = true;
    }
}

static bool s_put_step (blob_cache_t *self)
{
    put_t *put = self->puts;
    while (put && (put->named || !put->fn))
        put = put->next;
    if (!put)
        return false;
    s_put_hash (put);
    s_put_send (self, put);
    return true;
}

static int s_on_step (zloop_t *loop, int timer, void *arg)
{
    blob_cache_t *self = arg;
    (void) loop, (void) timer;
    self->step_timer = 0;
    if (s_check_step (self) || s_put_step (self))
        s_step_soon (self);
    return 0;
}

void blob_cache_put (blob_cache_t *self, usi_bytes_t bytes, blob_put_fn *fn, void *arg)
{
    put_t *put = usi_new (put_t);
    *put = (put_t){.bytes = bytes,
                   .fn = fn,
                   .arg = arg,
                   .chunks = (uint32_t) usi_chunk_count (bytes.len),
                   .next = self->puts};
    usi_sum_begin (&put->hash);
    self->puts = put;
    s_step_soon (self);
}

void blob_cache_kept (blob_cache_t *self, const usi_msg_t *msg)
{
    for (size_t i = 0; i < msg->items_len; i++) {
        const usi_fields_t *item = &msg->items[i];
        for (put_t **at = &self->puts; *at; at = &(*at)->next) {
            put_t *put = *at;
            if (!put->named || !put->fn || item->blob.len != USI_DIGEST_LEN ||
                memcmp (item->blob.data, put->digest, USI_DIGEST_LEN) != 0)
                continue;
            put->heard_ms = usi_now_ms ();
            if (item->code == US_OK)
                put->kept++;
            else if (item->code == US_ERR_TOO_LARGE)
                put->kept = UINT32_MAX;
            /* Anything else: blob_cache_tidy sends all again. */
            if (put->kept == UINT32_MAX)
                s_put_end (self, at, US_ERR_TOO_LARGE);
            else if (put->kept >= put->chunks)
                s_put_end (self, at, US_OK);
            else
                s_put_send (self, put);
            break;
        }
    }
}

/* --- both ------------------------------------------------------------------------- */

static void s_forget_waiters (fetch_t *fetches, const void *arg)
{
    for (fetch_t *fetch = fetches; fetch; fetch = fetch->next)
        for (waiter_t *waiter = fetch->waiters; waiter; waiter = waiter->next)
            if (waiter->arg == arg)
                waiter->fn = NULL;
}

void blob_cache_forget (blob_cache_t *self, const void *arg)
{
    s_forget_waiters (self->fetches, arg);
    s_forget_waiters (self->ending, arg);
    for (put_t *put = self->puts; put; put = put->next)
        if (put->arg == arg)
            put->fn = NULL; /* its bytes are gone: freed in blob_cache_tidy */
}

static void s_put_again (blob_cache_t *self, put_t *put)
{
    put->sent = put->kept = 0;
    s_put_send (self, put);
}

void blob_cache_announce (blob_cache_t *self)
{
    for (fetch_t *fetch = self->fetches; fetch; fetch = fetch->next)
        if (fetch->fd >= 0)
            s_ask (self, fetch);
    for (put_t *put = self->puts; put; put = put->next)
        s_put_again (self, put);
}

static void s_tidy_transfers (blob_cache_t *self, int64_t now_ms)
{
    for (fetch_t **at = &self->fetches; *at;) {
        fetch_t *fetch = *at;
        if (fetch->fd < 0 && fetch->checked < 0) {
            s_fetch_end (self, at, US_ERR_SYSTEM,
                         "the cache of the node is not writable");
            at = &self->fetches; /* a callback may have changed the list */
            continue;
        }
        if (fetch->fd >= 0 && now_ms - fetch->asked_ms > REPEAT_MS)
            s_ask (self, fetch);
        at = &fetch->next;
    }
    for (put_t **at = &self->puts; *at;) {
        put_t *put = *at;
        if (!put->fn) {
            s_put_end (self, at, US_OK);
            continue;
        }
        if (put->named && now_ms - put->heard_ms > REPEAT_MS)
            s_put_again (self, put);
        at = &put->next;
    }
}

typedef struct blob_file {
    char name[2 * USI_DIGEST_LEN + 1];
    int64_t used;
    uint64_t size;
} blob_file_t;

static int s_older (const void *a, const void *b)
{
    int64_t one = ((const blob_file_t *) a)->used,
            two = ((const blob_file_t *) b)->used;
    return (one > two) - (one < two);
}

static size_t s_list_files (DIR *dir, blob_file_t **files, uint64_t *total)
{
    size_t count = 0, cap = 0;
    for (struct dirent *entry; (entry = readdir (dir));) {
        struct stat st;
        if (strlen (entry->d_name) != 2 * USI_DIGEST_LEN ||
            fstatat (dirfd (dir), entry->d_name, &st, 0) != 0)
            continue;
        if (count == cap) {
            cap = cap ? cap * 2 : 64;
            *files = usi_realloc (*files, cap * sizeof **files);
        }
        blob_file_t *file = &(*files)[count++];
        memcpy (file->name, entry->d_name, sizeof file->name);
        file->used = st.st_atim.tv_sec;
        file->size = (uint64_t) st.st_size;
        *total += file->size;
    }
    return count;
}

static void s_tidy_files (blob_cache_t *self)
{
    uint64_t total = 0, limit = self->node->options.cache_limit / CACHE_SHARE;
    blob_file_t *files = NULL;
    DIR *dir = opendir (self->dir);
    if (!dir)
        return;
    size_t count = s_list_files (dir, &files, &total);
    if (total > limit)
        qsort (files, count, sizeof *files, s_older);
    for (size_t i = 0; i < count && total > limit; i++) {
        uint8_t digest[USI_DIGEST_LEN];
        if (usi_unhex (files[i].name, digest, sizeof digest) < 0 ||
            self->in_use (self->node, digest))
            continue;
        if (unlinkat (dirfd (dir), files[i].name, 0) == 0) {
            total -= files[i].size;
            sound_blobs_remove (self->sound, digest);
        }
    }
    closedir (dir);
    free (files);
}

void blob_cache_tidy (blob_cache_t *self)
{
    int64_t now_ms = usi_now_ms ();
    s_tidy_transfers (self, now_ms);
    if (now_ms - self->tidied_ms < TIDY_MS)
        return;
    self->tidied_ms = now_ms;
    s_tidy_files (self);
}

void blob_cache_destroy (blob_cache_t **self_p)
{
    blob_cache_t *self = *self_p;
    if (!self)
        return;
    for (fetch_t *fetch = self->fetches; fetch; fetch = fetch->next)
        for (waiter_t *waiter = fetch->waiters; waiter; waiter = waiter->next)
            waiter->fn = NULL;
    while (self->fetches)
        s_fetch_end (self, &self->fetches, US_ERR_CLOSED, "");
    while (self->puts) {
        self->puts->fn = NULL;
        s_put_end (self, &self->puts, US_ERR_CLOSED);
    }
    usi_msg_free (&self->msg);
    sound_blobs_destroy (&self->sound);
    free (self->dir);
    free (self);
    *self_p = NULL;
}
