/* SPDX-License-Identifier: MIT
 *
 * Zygote and workers for the node's tests: see fake_zygote.h. */
#include "fake_zygote.h"

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/id.h"
#include "proto/pack.h"

#define FAKE_ROOM (128 * 1024)
#define FAKE_HEAD 36

typedef struct worker_end {
    int sock, pipe;
    uint8_t token[16];
} worker_end_t;

static void s_send (int sock, const void *bytes, size_t len, int fd, unsigned fds)
{
    struct iovec part = {.iov_base = (void *) (uintptr_t) bytes, .iov_len = len};
    union {
        struct cmsghdr align;
        char bytes[CMSG_SPACE (8 * sizeof (int))];
    } control = {0};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
    if (fds > 0) {
        message.msg_control = control.bytes;
        message.msg_controllen = CMSG_SPACE (fds * sizeof (int));
        struct cmsghdr *head = CMSG_FIRSTHDR (&message);
        head->cmsg_level = SOL_SOCKET;
        head->cmsg_type = SCM_RIGHTS;
        head->cmsg_len = CMSG_LEN (fds * sizeof (int));
        for (unsigned i = 0; i < fds; i++)
            memcpy (CMSG_DATA (head) + i * sizeof (int), &fd, sizeof fd);
    }
    if (sendmsg (sock, &message, MSG_NOSIGNAL) < 0)
        _exit (1);
}

/* The next datagram, and a descriptor that came with it (-1: none). */
static size_t s_receive (int sock, uint8_t *data, int fds[2])
{
    struct iovec part = {.iov_base = data, .iov_len = FAKE_ROOM};
    union {
        struct cmsghdr align;
        char bytes[CMSG_SPACE (2 * sizeof (int))];
    } control;
    struct msghdr message = {.msg_iov = &part,
                             .msg_iovlen = 1,
                             .msg_control = control.bytes,
                             .msg_controllen = sizeof control.bytes};
    fds[0] = fds[1] = -1;
    ssize_t got = recvmsg (sock, &message, 0);
    if (got <= 0)
        _exit (0); /* the daemon is gone */
    struct cmsghdr *head = CMSG_FIRSTHDR (&message);
    if (head)
        memcpy (fds, CMSG_DATA (head), head->cmsg_len - CMSG_LEN (0));
    return (size_t) got;
}

/* --- a worker --------------------------------------------------------------------- */

static void s_end (const worker_end_t *self, const uint8_t *job, int outcome,
                   unsigned flags, const void *body, size_t len, int fd)
{
    uint8_t marker[20], *result = malloc (11 + len);
    memcpy (marker, self->token, 16);
    memcpy (marker + 16, job + 1, 4);
    if (write (self->pipe, marker, sizeof marker) != sizeof marker)
        _exit (70);
    memset (result, 0, 11);
    result[0] = 'R';
    memcpy (result + 1, job + 1, 4);
    result[5] = (uint8_t) outcome;
    result[6] = (uint8_t) flags;
    if (len > 0)
        memcpy (result + 11, body, len);
    s_send (self->sock, result, 11 + len, fd, fd >= 0);
    free (result);
}

static void s_large (const worker_end_t *self, const uint8_t *job, size_t size)
{
    int fd = memfd_create ("fake", MFD_CLOEXEC);
    if (fd < 0 || ftruncate (fd, (off_t) size) != 0)
        _exit (1);
    s_end (self, job, 1, 1, NULL, 0, fd);
    close (fd);
}

/* The job has begun: its log says so. */
static void s_say (const worker_end_t *self, const char *text)
{
    if (write (self->pipe, text, strlen (text)) != (ssize_t) strlen (text))
        _exit (70);
}

/* Until the daemon interrupts the job. */
static void s_wait (const worker_end_t *self, const uint8_t *job)
{
    uint8_t data[FAKE_ROOM];
    int fds[2], number;
    sigset_t set;
    s_say (self, "begun\n");
    sigemptyset (&set);
    sigaddset (&set, SIGUSR1);
    do {
        sigwait (&set, &number);
        s_receive (self->sock, data, fds);
    } while (data[0] != 'I' || memcmp (data + 1, job + 1, 4) != 0);
    s_end (self, job, 4, 0, NULL, 0, -1);
}

static _Noreturn void s_flood (const worker_end_t *self, unsigned fds)
{
    for (;;)
        s_send (self->sock, "Xwords", 6, self->sock, fds);
}

/* Does nothing any more, until the daemon is gone and nobody reads the log. */
static _Noreturn void s_stand_still (const worker_end_t *self)
{
    struct pollfd log = {.fd = self->pipe};
    while (poll (&log, 1, -1) <= 0)
        ;
    _exit (0);
}

static _Noreturn void s_shut_down (const worker_end_t *self)
{
    shutdown (self->sock, SHUT_RDWR);
    s_stand_still (self);
}

static void s_run (const worker_end_t *self, const uint8_t *job, const char *body)
{
    unsigned long number = 0;
    size_t len = strlen (body);
    if (sscanf (body, "large %lu", &number) == 1) {
        s_large (self, job, number);
    } else if (sscanf (body, "descriptors %lu", &number) == 1) {
        s_flood (self, (unsigned) number);
    } else if (strncmp (body, "send ", 5) == 0) {
        s_send (self->sock, body + 5, len - 5, -1, 0);
        _exit (0);
    } else if (strcmp (body, "shut down") == 0) {
        s_shut_down (self);
    } else if (strcmp (body, "wait") == 0) {
        s_wait (self, job);
    } else if (strcmp (body, "deaf") == 0) {
        signal (SIGTERM, SIG_IGN);
        s_say (self, "begun\n");
        s_stand_still (self);
    } else if (strcmp (body, "die") == 0) {
        _exit (9);
    } else if (strcmp (body, "early") == 0) {
        uint8_t other[5] = {'J', 0xff};
        s_end (self, other, 1, 0, NULL, 0, -1);
    } else {
        if (strncmp (body, "say ", 4) == 0)
            s_say (self, body + 4);
        s_end (self, job, 1, strcmp (body, "replace") == 0 ? 4 : 0, body, len, -1);
    }
}

static _Noreturn void s_serve (const worker_end_t *self)
{
    uint8_t ready[5] = {'W'};
    sigset_t set;
    sigemptyset (&set);
    sigaddset (&set, SIGUSR1);
    sigprocmask (SIG_BLOCK, &set, NULL);
    setsid ();
    usi_put_be (ready + 1, (uint64_t) getpid (), 4);
    s_send (self->sock, ready, sizeof ready, -1, 0);
    for (;;) {
        uint8_t data[FAKE_ROOM + 1];
        int fds[2];
        size_t len = s_receive (self->sock, data, fds);
        data[len] = 0;
        if (data[0] == 'Q')
            _exit (0);
        if (data[0] == 'J')
            s_run (self, data, (char *) data + FAKE_HEAD + usi_get_be (data + 34, 2));
        if (fds[0] >= 0)
            close (fds[0]);
    }
}

/* --- the zygote ------------------------------------------------------------------- */

/* A file of this name lies in the cache's folder. */
static bool s_is_told (const char *what)
{
    const char *env = getenv ("VIRTUAL_ENV");
    char path[512];
    snprintf (path, sizeof path, "%s/../../%s", env ? env : "", what);
    return access (path, F_OK) == 0;
}

/* Twice, so that the worker becomes a child of the daemon. */
static void s_fork (int control, const worker_end_t *worker, bool dies)
{
    pid_t middle = fork ();
    if (middle == 0) {
        if (fork () == 0) {
            close (control);
            if (dies)
                _exit (9);
            s_serve (worker);
        }
        _exit (0);
    }
    waitpid (middle, NULL, 0);
}

void fake_zygote (int argc, char **argv)
{
    static uint8_t data[FAKE_ROOM];
    if (argc < 2 || strcmp (argv[argc - 2], "understudy-zygote") != 0)
        return;
    int control = atoi (argv[argc - 1]);
    if (s_is_told ("no-zygote")) {
        s_send (control, "Eit has no wings", 16, -1, 0);
        _exit (1);
    }
    s_send (control, "R\x80", 2, -1, 0);
    for (;;) {
        worker_end_t worker;
        int fds[2];
        size_t len = s_receive (control, data, fds);
        usi_bytes_t request = usi_bytes (data + 1, len - 1);
        us_reader_t at = usi_map_find (request, "token");
        us_value_t token = usi_read (&at);
        memcpy (worker.token, token.data, sizeof worker.token);
        worker.sock = fds[0];
        worker.pipe = fds[1];
        s_fork (control, &worker, s_is_told ("no-worker"));
        close (fds[0]);
        close (fds[1]);
    }
}
