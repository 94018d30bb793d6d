/* SPDX-License-Identifier: MIT
 *
 * A redis-server (or valkey-server, where there is no other) of the test's own, on a unix
 * socket in a temporary directory, ended with the test whatever happens. With cluster it
 * is a one-node cluster that owns all slots and so refuses what a plain server forgives. */
#ifndef TESTS_REDIS_SERVER_H
#define TESTS_REDIS_SERVER_H

#include <arpa/inet.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "temp.h"
#include "base/clock.h"
#include "redis/ask.h"

typedef struct redis_server {
    char dir[64];
    char url[128];
    pid_t pid;
    int port; /* 0: unix socket only */
    const char *extra[8];
} redis_server_t;

__attribute__ ((unused)) static void redis_nap (void)
{
    struct timespec nap = {.tv_nsec = 5 * 1000 * 1000};
    nanosleep (&nap, NULL);
}

#define REDIS_WAIT_MS 20000

/* A port that is free at this moment, as is the one 10,000 above it (the cluster's
 * bus). */
static int redis_free_port (void)
{
    for (int tries = 0; tries < 100; tries++) {
        struct sockaddr_in address = {.sin_family = AF_INET,
                                      .sin_addr.s_addr = htonl (INADDR_LOOPBACK)};
        socklen_t len = sizeof address;
        int one = socket (AF_INET, SOCK_STREAM, 0),
            two = socket (AF_INET, SOCK_STREAM, 0);
        int port = 0,
            ok = bind (one, (struct sockaddr *) &address, sizeof address) == 0 &&
                 getsockname (one, (struct sockaddr *) &address, &len) == 0;
        port = ntohs (address.sin_port);
        address.sin_port = htons ((uint16_t) (port + 10000));
        ok = ok && port < 55000 &&
             bind (two, (struct sockaddr *) &address, sizeof address) == 0;
        close (one);
        close (two);
        if (ok)
            return port;
    }
    abort ();
}

static void redis_exec (const redis_server_t *server)
{
    char port[16];
    const char *argv[24] = {"redis-server", "--port", port,     "--bind", "127.0.0.1",
                            "--unixsocket", "r.sock", "--save", "",       "--logfile",
                            "log",          "--dir",  "."};
    size_t argc = 13;
    snprintf (port, sizeof port, "%d", server->port);
    for (size_t i = 0; i < 8 && server->extra[i]; i++)
        argv[argc++] = server->extra[i];
    prctl (PR_SET_PDEATHSIG, SIGKILL);
    if (chdir (server->dir) == 0) {
        execvp (argv[0], (char **) argv);
        argv[0] = "valkey-server";
        execvp (argv[0], (char **) argv);
    }
    _exit (127);
}

static usi_ask_t *redis_ask (const redis_server_t *server)
{
    usi_redis_url_t url;
    usi_ask_t *ask = NULL;
    if (usi_redis_url_parse (&url, server->url, NULL, 0) == US_OK)
        usi_ask_open (&ask, &url, REDIS_WAIT_MS, NULL, 0);
    usi_redis_url_free (&url);
    return ask;
}

/* Whether it answers; it may have ended instead. */
static bool redis_try (redis_server_t *server)
{
    server->pid = fork ();
    if (server->pid == 0)
        redis_exec (server);
    int64_t deadline_ms = usi_now_ms () + REDIS_WAIT_MS;
    for (;;) {
        usi_ask_t *ask = redis_ask (server);
        if (ask) {
            usi_ask_close (&ask);
            return true;
        }
        if (waitpid (server->pid, NULL, WNOHANG) > 0)
            return false;
        if (usi_now_ms () > deadline_ms)
            abort ();
        redis_nap ();
    }
}

__attribute__ ((unused)) static void redis_launch (redis_server_t *server)
{
    if (!redis_try (server))
        abort ();
}

static void redis_make_folder (redis_server_t *server)
{
    temp_template (server->dir, sizeof server->dir);
    if (!mkdtemp (server->dir))
        abort ();
    snprintf (server->url, sizeof server->url, "unix://%s/r.sock", server->dir);
}

__attribute__ ((unused)) static void redis_start (redis_server_t *server)
{
    redis_make_folder (server);
    redis_launch (server);
}

__attribute__ ((unused)) static void redis_start_cluster (redis_server_t *server)
{
    *server = (redis_server_t){.extra = {"--cluster-enabled", "yes"}};
    redis_make_folder (server);
    int tries = 0;
    do { /* its port may be somebody's by the time it binds it */
        if (tries++ == 20)
            abort ();
        server->port = redis_free_port ();
    } while (!redis_try (server));
    usi_ask_t *ask = redis_ask (server);
    usi_ask (ask, "CLUSTER", "ADDSLOTSRANGE", "0", "16383", NULL);
    int64_t deadline_ms = usi_now_ms () + REDIS_WAIT_MS;
    for (;;) {
        const usi_reply_t *reply = usi_ask (ask, "CLUSTER", "INFO", NULL);
        if (strstr ((const char *) usi_reply_bytes (reply).data, "cluster_state:ok"))
            break;
        if (usi_now_ms () > deadline_ms)
            abort ();
        redis_nap ();
    }
    usi_ask_close (&ask);
}

/* It reads nothing any more when this returns. */
__attribute__ ((unused)) static void redis_pause (const redis_server_t *server)
{
    kill (server->pid, SIGSTOP);
    if (waitpid (server->pid, NULL, WUNTRACED) != server->pid)
        abort ();
}

/* Whether what is published there reaches somebody. */
__attribute__ ((unused)) static bool redis_has_subscriber (usi_ask_t *ask,
                                                           const char *topic)
{
    const usi_reply_t *reply = usi_ask (ask, "PUBSUB", "NUMSUB", topic, NULL);
    return usi_reply_int (usi_reply_at (reply, 1)) > 0;
}

/* kill -9; the directory and what is in it stay. */
__attribute__ ((unused)) static void redis_kill (redis_server_t *server)
{
    if (server->pid > 0) {
        kill (server->pid, SIGKILL);
        waitpid (server->pid, NULL, 0);
    }
    server->pid = 0;
}

__attribute__ ((unused)) static void redis_stop (redis_server_t *server)
{
    char command[128];
    redis_kill (server);
    snprintf (command, sizeof command, "rm -rf '%s'", server->dir);
    if (*server->dir && system (command) != 0)
        abort ();
}

#endif
