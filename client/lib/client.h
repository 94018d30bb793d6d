/* SPDX-License-Identifier: MIT
 *
 * The client: what the callers' threads and the engine's driver share. One mutex guards
 * it and the public half of all its results. Callers leave commands in the mailbox; the
 * engine takes them all at once, works on its own data without the lock, and takes the
 * lock once for each message that it receives.
 *
 * Only the struct: its functions are in shared.h, wait.h and understudy.h. */
#ifndef CLIENT_LIB_CLIENT_H
#define CLIENT_LIB_CLIENT_H

#include <pthread.h>
#include <stdatomic.h>

#include "base/bytes.h"
#include "base/list.h"
#include "options.h"
#include "waiters.h"

typedef struct engine engine_t;

/* Bytes of jobs that are kept until they have ended, and bytes of unaccepted jobs over
 * which us_submit waits. */
#define CLIENT_KEEP_BYTES   ((size_t) 64 * 1024 * 1024)
#define CLIENT_UNSENT_BYTES ((size_t) 64 * 1024 * 1024)

/* Who takes the engine's turns. */
typedef enum driver {
    DRIVER_THREAD,
    DRIVER_CALLER,
    DRIVER_NOBODY /* for a moment, see drive.h */
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
    list_t questions;

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

#endif
