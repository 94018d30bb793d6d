/* SPDX-License-Identifier: MIT
 *
 * The way of a job with nothing on it: client, broker, node and worker are processes of
 * one thread that block, joined by TCP and a socket pair; the broker writes twice to
 * Redis on the way, as it does for a job, and waits for it each time. What an empty job
 * takes here is what this machine takes for the hops and the flushes alone.
 *
 *     bench_relay REDIS_SOCKET COUNT      prints p50 and p99 in microseconds */
#include <arpa/inet.h>
#include <hiredis/hiredis.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define MESSAGE 300 /* bytes of SUBMIT, JOBS, RESULT, ENDED: about that */
#define RECORD  600 /* bytes that a transition appends to Redis' file: about that */

enum { ENDS = 6 };

static char s_message[RECORD];

static void s_die (const char *what)
{
    perror (what);
    exit (1);
}

static void s_send (int fd)
{
    if (send (fd, s_message, MESSAGE, MSG_NOSIGNAL) != MESSAGE)
        exit (1);
}

/* The end of its peer is the end of each process. */
static void s_receive (int fd)
{
    if (recv (fd, s_message, MESSAGE, MSG_WAITALL) != MESSAGE)
        exit (1);
}

static void s_record (redisContext *redis)
{
    redisReply *reply =
        redisCommand (redis, "SET bench:relay %b", s_message, (size_t) RECORD);
    if (!reply || reply->type == REDIS_REPLY_ERROR)
        exit (1);
    freeReplyObject (reply);
}

static void s_tcp_pair (int ends[2])
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_addr.s_addr = htonl (INADDR_LOOPBACK)};
    socklen_t len = sizeof address;
    const int on = 1;
    int server = socket (AF_INET, SOCK_STREAM, 0);
    if (bind (server, (struct sockaddr *) &address, len) || listen (server, 1) ||
        getsockname (server, (struct sockaddr *) &address, &len))
        s_die ("listen");
    ends[0] = socket (AF_INET, SOCK_STREAM, 0);
    if (connect (ends[0], (struct sockaddr *) &address, len))
        s_die ("connect");
    ends[1] = accept (server, NULL, NULL);
    for (int i = 0; i < 2; i++)
        setsockopt (ends[i], IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    close (server);
}

/* As the operator of the broker's own Redis, whose password is in the environment. */
static void s_log_in (redisContext *redis)
{
    const char *password = getenv ("REDISCLI_AUTH");
    redisReply *reply =
        password ? redisCommand (redis, "AUTH us-admin %s", password) : NULL;
    if (password && (!reply || reply->type == REDIS_REPLY_ERROR))
        s_die ("AUTH");
    freeReplyObject (reply);
}

static void s_broker (int client, int node, const char *path)
{
    redisContext *redis = redisConnectUnix (path);
    if (!redis || redis->err)
        s_die (path);
    s_log_in (redis);
    for (;;) {
        s_receive (client);
        s_record (redis);
        s_send (node);
        s_receive (node);
        s_record (redis);
        s_send (client);
    }
}

static void s_node (int broker, int worker)
{
    for (;;) {
        s_receive (broker);
        s_send (worker);
        s_receive (worker);
        s_send (broker);
    }
}

static void s_worker (int node)
{
    for (;;) {
        s_receive (node);
        s_send (node);
    }
}

static double s_now_us (void)
{
    struct timespec now;
    clock_gettime (CLOCK_MONOTONIC, &now);
    return (double) now.tv_sec * 1e6 + (double) now.tv_nsec / 1e3;
}

static int s_compare (const void *a, const void *b)
{
    double x = *(const double *) a, y = *(const double *) b;
    return (x > y) - (x < y);
}

static void s_client (int broker, size_t count)
{
    double *times = calloc (count, sizeof *times);
    if (!times)
        exit (1);
    for (size_t i = 0; i < count; i++) {
        double begin = s_now_us ();
        s_send (broker);
        s_receive (broker);
        times[i] = s_now_us () - begin;
    }
    qsort (times, count, sizeof *times, s_compare);
    printf ("%.1f %.1f\n", times[count / 2], times[count * 99 / 100]);
    free (times);
}

static void s_reap (void)
{
    while (wait (NULL) > 0)
        ;
}

/* Only one's own ends stay open: where one part ends, so do all. */
static void s_keep (const int *ends, int a, int b)
{
    for (int i = 0; i < ENDS; i++)
        if (ends[i] != a && ends[i] != b)
            close (ends[i]);
}

int main (int argc, char **argv)
{
    int ends[ENDS]; /* client-broker, broker-node, node-worker */
    long count = argc == 3 ? atol (argv[2]) : 0;
    if (count < 1) {
        fputs ("usage: bench_relay REDIS_SOCKET COUNT\n", stderr);
        return 2;
    }
    atexit (s_reap);
    s_tcp_pair (ends);
    s_tcp_pair (ends + 2);
    if (socketpair (AF_UNIX, SOCK_STREAM, 0, ends + 4))
        s_die ("socketpair");
    if (fork () == 0) {
        s_keep (ends, ends[1], ends[2]);
        s_broker (ends[1], ends[2], argv[1]);
    }
    if (fork () == 0) {
        s_keep (ends, ends[3], ends[4]);
        s_node (ends[3], ends[4]);
    }
    if (fork () == 0) {
        s_keep (ends, ends[5], -1);
        s_worker (ends[5]);
    }
    s_keep (ends, ends[0], -1);
    s_client (ends[0], (size_t) count);
    close (ends[0]);
    return 0;
}
