/* SPDX-License-Identifier: MIT */
#include "redis/ask.h"

#include <hiredis/hiredis.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "redis/quiet.h"

#define MAX_ARGS 8

struct usi_ask {
    redisContext *context;
    redisReply *reply;
};

static us_err_t s_fail (us_err_t err, char *why, size_t why_len, const char *text)
{
    if (why)
        snprintf (why, why_len, "%s", text);
    return err;
}

static us_err_t s_expect_ok (const usi_reply_t *reply, char *why, size_t why_len)
{
    if (!reply)
        return s_fail (US_ERR_UNREACHABLE, why, why_len, "no answer");
    if (usi_reply_is (reply, USI_REPLY_ERROR))
        return s_fail (US_ERR_CONFIG, why, why_len,
                       (const char *) usi_reply_bytes (reply).data);
    return US_OK;
}

static us_err_t s_introduce (usi_ask_t *self, const usi_redis_url_t *url, char *why,
                             size_t why_len)
{
    us_err_t err = US_OK;
    if (url->password && url->user)
        err = s_expect_ok (usi_ask (self, "AUTH", url->user, url->password, NULL), why,
                           why_len);
    else if (url->password)
        err = s_expect_ok (usi_ask (self, "AUTH", url->password, NULL), why, why_len);
    if (!err && url->db) {
        char db[16];
        snprintf (db, sizeof db, "%d", url->db);
        err = s_expect_ok (usi_ask (self, "SELECT", db, NULL), why, why_len);
    }
    return err;
}

us_err_t usi_ask_open (usi_ask_t **self_p, const usi_redis_url_t *url,
                       int64_t timeout_ms, char *why, size_t why_len)
{
    struct timeval timeout = {.tv_sec = timeout_ms / 1000,
                              .tv_usec = timeout_ms % 1000 * 1000};
    us_err_t err = US_OK;
    *self_p = NULL;
    usi_ask_t *self = calloc (1, sizeof *self);
    if (!self)
        return US_ERR_NOMEM;
    self->context = url->path
                        ? redisConnectUnixWithTimeout (url->path, timeout)
                        : redisConnectWithTimeout (url->host ? url->host : "localhost",
                                                   url->port, timeout);
    if (!self->context)
        err = US_ERR_NOMEM;
    else if (self->context->err)
        err = s_fail (US_ERR_UNREACHABLE, why, why_len, self->context->errstr);
    else
        redisSetTimeout (self->context, timeout);
    if (!err)
        err = s_introduce (self, url, why, why_len);
    if (err)
        usi_ask_close (&self);
    *self_p = self;
    return err;
}

void usi_ask_close (usi_ask_t **self_p)
{
    usi_ask_t *self = *self_p;
    if (!self)
        return;
    if (self->reply)
        freeReplyObject (self->reply);
    if (self->context)
        redisFree (self->context);
    free (self);
    *self_p = NULL;
}

static const usi_reply_t *s_command (usi_ask_t *self, int argc, const char **argv,
                                     const size_t *lens)
{
    usi_quiet_t quiet;
    if (self->reply)
        freeReplyObject (self->reply);
    usi_quiet_begin (&quiet);
    self->reply = redisCommandArgv (self->context, argc, argv, lens);
    usi_quiet_end (&quiet, self->reply == NULL);
    return (const usi_reply_t *) self->reply;
}

const usi_reply_t *usi_ask (usi_ask_t *self, const char *command, ...)
{
    const char *argv[MAX_ARGS] = {command};
    int argc = 1;
    va_list args;
    va_start (args, command);
    const char *arg;
    while ((arg = va_arg (args, const char *)) && argc < MAX_ARGS)
        argv[argc++] = arg;
    va_end (args);
    return s_command (self, argc, argv, NULL);
}

const usi_reply_t *usi_ask_bytes (usi_ask_t *self, const usi_bytes_t *args,
                                  size_t count)
{
    const usi_reply_t *reply = NULL;
    const char **argv = calloc (count, sizeof *argv);
    size_t *lens = calloc (count, sizeof *lens);
    if (argv && lens) {
        for (size_t i = 0; i < count; i++) {
            argv[i] = (const char *) args[i].data;
            lens[i] = args[i].len;
        }
        reply = s_command (self, (int) count, argv, lens);
    }
    free (argv);
    free (lens);
    return reply;
}
