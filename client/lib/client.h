/* SPDX-License-Identifier: MIT
 *
 * The client: what the callers' threads and the engine's thread share. One mutex guards
 * it and the public half of all its results. Callers leave commands in the mailbox; the
 * engine (engine.h) takes them all at once, works on its own data without the lock, and
 * takes the lock once for each message it receives. */
#ifndef CLIENT_LIB_CLIENT_H
#define CLIENT_LIB_CLIENT_H

#include <pthread.h>
#include <stdatomic.h>

#include "base/bytes.h"
#include "base/list.h"
#include "options.h"

typedef struct engine engine_t;
typedef struct ask ask_t;

/* Bytes of jobs that are kept until they have ended, and bytes of unaccepted jobs over
 * which us_submit waits. */
#define CLIENT_KEEP_BYTES   ((size_t) 64 * 1024 * 1024)
#define CLIENT_UNSENT_BYTES ((size_t) 64 * 1024 * 1024)

/* A thread that waits: an eventfd, because a signal must end its wait. It stands in
 * the list of the object for which it waits, and checks its condition whenever it is
 * woken. One that drives the engine (drive.c) needs none. */
typedef struct waiter {
    struct waiter *next;
    int fd; /* -1: drives */
} waiter_t;

/* Who takes the engine's turns. */
typedef enum driver {
    DRIVER_THREAD,
    DRIVER_CALLER,
    DRIVER_NOBODY /* for a moment, see drive.c */
} driver_t;

struct us_client {
    atomic_uint refs; /* its handle, and each result */
    us_options_t options;
    atomic_size_t max_payload; /* of the options, or less where the broker takes less */
    struct us_client *next;    /* in the process, for fork */
    pthread_mutex_t lock;
    unsigned generation; /* of the process that owns the engine */
    bool closed;

    /* The engine, NULL before the first use; what the callers leave for it. */
    engine_t *engine;
    int wake_fd;
    driver_t driver;
    bool called;     /* there is something in the mailbox */
    bool asleep;     /* the driver may be in poll: write to wake_fd */
    bool timed;      /* the thread stands by for a moment only */
    unsigned drives; /* of callers, so far */
    bool stop;
    size_t tracked; /* results */
    bool want_connect;
    us_result_t *commands, **commands_end;
    list_t asks;

    /* What the engine tells. */
    waiter_t *waiters; /* for a connection, acceptance of all, room */
    bool connected;
    bool ever_connected;
    unsigned failures;  /* connect timeouts */
    char failure[1024]; /* text of the last one */
    char endpoint[256];
    size_t unaccepted; /* jobs */
    size_t unsent_bytes;
    size_t kept_bytes;

    /* Results with events, first in first out; each holds a count. */
    int event_fd;
    us_result_t *events, **events_end;
};

void client_unref (us_client_t *client);
/* Locks; in a child of fork it first begins anew. */
void client_lock (us_client_t *client);
void client_unlock (us_client_t *client);
/* With the lock held: starts the engine where there is none. US_ERR_CLOSED after
 * us_client_destroy. */
us_err_t client_start (us_client_t *client);

/* With the lock held, which it gives back while it waits: until done (arg), or
 * US_ERR_TIMEOUT, US_ERR_INTERRUPTED, US_ERR_CLOSED. */
typedef bool client_done_fn (void *arg);
us_err_t client_wait (us_client_t *client, waiter_t **waiters, client_done_fn *done,
                      void *arg, int64_t timeout_ms);
void waiters_wake (waiter_t *waiters);

/* Words for this thread's last failure; gives err back. */
us_err_t client_fail (us_client_t *client, us_err_t err, const char *format, ...)
    __attribute__ ((format (printf, 3, 4)));
void client_log (us_client_t *client, us_log_level_t level, const char *format, ...)
    __attribute__ ((format (printf, 3, 4)));

/* fork.c: the children of this process count from 0. */
unsigned fork_generation (void);
bool fork_register (us_client_t *client);
void fork_unregister (us_client_t *client);

#endif
