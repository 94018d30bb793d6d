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

/* The client keeps accepted jobs until they have ended, to submit them again, up to so
 * many bytes; us_submit waits while unaccepted jobs have more than so many. */
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
    atomic_size_t max_payload;             /* see client_max_payload */
    atomic_size_t max_buffer, max_buffers; /* of the broker; SIZE_MAX: not yet known */
    uint8_t key[OPTIONS_KEY_LEN];
    struct us_client *next; /* the next client of the process, see fork.h */
    pthread_mutex_t lock;
    unsigned generation; /* of the process that owns the engine */
    bool closed;

    /* The engine, NULL before the first use, and what callers leave for it. */
    engine_t *engine;
    int wake_fd;
    driver_t driver;
    bool called;     /* the mailbox is not empty */
    bool asleep;     /* the driver may be in poll, and has to be woken by wake_fd */
    bool timed;      /* the thread stands by for a moment only */
    unsigned drives; /* how often a caller has driven */
    bool stop;
    size_t tracked; /* results */
    bool want_connect;
    us_result_t *commands, **commands_end;
    list_t questions;

    /* What the engine tells. */
    waiter_t *waiters; /* wait for a connection, acceptance of all jobs, room */
    bool connected;
    bool ever_connected;
    unsigned failures; /* how often the search for a broker was given up */
    us_err_t failure_code;
    char failure[1024]; /* why, the last time */
    char endpoint[256];
    size_t unaccepted; /* jobs */
    size_t unsent_bytes;
    size_t kept_bytes;

    /* Results with events, the oldest first; each holds a reference. */
    int event_fd;
    us_result_t *events, **events_end;
};

#endif
