/* SPDX-License-Identifier: MIT
 *
 * Finding brokers: see finder.h. */
#include "finder.h"

#include <stdlib.h>

#include "base/mem.h"
#include "redis/registry.h"

#define ASK_MS 2000

struct finder {
    node_t *node;
    const char *redis; /* NULL: a fixed list */
    char **endpoints;
    size_t count, next;
    zactor_t *asker;
    finder_fn *fn; /* waits for the asker */
    void *arg;
};

/* --- the list --------------------------------------------------------------------- */

static void s_clear (finder_t *self)
{
    for (size_t i = 0; i < self->count; i++)
        free (self->endpoints[i]);
    self->count = 0;
}

static void s_add (finder_t *self, const char *endpoint)
{
    self->endpoints =
        usi_realloc (self->endpoints, (self->count + 1) * sizeof *self->endpoints);
    self->endpoints[self->count++] = usi_strdup (endpoint);
}

static void s_add_all (finder_t *self, char *list)
{
    for (char *endpoint; (endpoint = strsep (&list, ",")) != NULL;)
        if (*endpoint)
            s_add (self, endpoint);
}

static const char *s_take (finder_t *self)
{
    return self->count > 0 ? self->endpoints[self->next++ % self->count] : NULL;
}

/* --- the registry ----------------------------------------------------------------- */

/* In the thread: each message is a question, the answer is "endpoints" and "why". */
static void s_ask (zsock_t *pipe, void *arg)
{
    const char *url = arg;
    zsock_signal (pipe, 0);
    for (char *question; (question = zstr_recv (pipe)) != NULL;) {
        bool end = streq (question, "$TERM");
        zstr_free (&question);
        if (end)
            break;
        usi_buf_t found = {0};
        char why[256] = "";
        usi_registry_brokers (url, ASK_MS, &found, why, sizeof why);
        char *text = usi_bytes_dup_text (usi_buf_bytes (&found));
        zstr_sendx (pipe, text ? text : "", why, NULL);
        free (text);
        usi_buf_free (&found);
    }
}

static int s_on_answer (zloop_t *loop, zsock_t *pipe, void *arg)
{
    finder_t *self = arg;
    char *list = NULL, *why = NULL;
    (void) loop;
    if (zstr_recvx (pipe, &list, &why, NULL) == 2) {
        s_clear (self);
        s_add_all (self, list);
        finder_fn *fn = self->fn;
        self->fn = NULL;
        if (fn)
            fn (self->arg, s_take (self), why);
    }
    zstr_free (&list);
    zstr_free (&why);
    return 0;
}

/* --- both ------------------------------------------------------------------------- */

finder_t *finder_new (node_t *node)
{
    const node_options_t *options = &node->options;
    finder_t *self = usi_new (finder_t);
    self->node = node;
    self->redis = options->redis;
    for (size_t i = 0; !self->redis && i < options->brokers_len; i++)
        s_add (self, options->brokers[i]);
    if (self->redis) {
        self->asker = zactor_new (s_ask, (void *) self->redis);
        zloop_reader (node->loop, zactor_sock (self->asker), s_on_answer, self);
        zloop_reader_set_tolerant (node->loop, zactor_sock (self->asker));
    }
    return self;
}

void finder_destroy (finder_t **self_p)
{
    finder_t *self = *self_p;
    if (!self)
        return;
    if (self->asker)
        zloop_reader_end (self->node->loop, zactor_sock (self->asker));
    zactor_destroy (&self->asker);
    s_clear (self);
    free (self->endpoints);
    free (self);
    *self_p = NULL;
}

size_t finder_count (const finder_t *self)
{
    return self->count;
}

void finder_next (finder_t *self, finder_fn *fn, void *arg)
{
    if (!self->redis) {
        fn (arg, s_take (self), "none is configured");
        return;
    }
    /* The rest of the last look first: it is younger than a broker's entry is valid. */
    if (self->count > 0 && self->next % self->count != 0) {
        fn (arg, s_take (self), "");
        return;
    }
    self->fn = fn;
    self->arg = arg;
    zstr_send (self->asker, "brokers");
}
