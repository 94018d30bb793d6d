/* SPDX-License-Identifier: MIT
 *
 * Finding brokers: see discovery.h. The thread of a look has the members under "the
 * look" to itself, from its start until usi_discovery_collect has joined it. */
#include "net/discovery.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/id.h"
#include "redis/registry.h"

struct usi_discovery {
    usi_brokers_t brokers;
    char *addresses;           /* NUL terminated, one behind the other */
    size_t count, tried, next; /* next: index of the one to try */
    char *given; /* the list of the settings, likewise; NULL with a registry */
    size_t given_len;
    usi_buf_t learned; /* what a broker has told last, likewise */
    us_err_t error;
    char why[256];
    bool looking;

    /* The look. */
    pthread_t thread;
    int fd;
    us_err_t found_error;
    usi_buf_t found;
    char found_why[256];
};

/* --- addresses -------------------------------------------------------------------- */

/* Splits a list by comma in place; blanks around its elements are dropped. */
static size_t s_split (char *list)
{
    size_t count = 0;
    char *to = list;
    for (const char *from = list; *from;) {
        size_t len = strcspn (from, ",");
        const char *next = from + len + (from[len] == ',');
        for (; len > 0 && *from == ' '; from++)
            len--;
        while (len > 0 && from[len - 1] == ' ')
            len--;
        bool is_last = *next == '\0';
        if (len > 0) {
            memmove (to, from, len);
            to += len;
            *to++ = '\0';
            count++;
        }
        if (is_last)
            break;
        from = next;
    }
    return count;
}

/* Where the key of its broker is not said, an address stands there once for each. */
static void s_add_address (usi_buf_t *list, const char *address,
                           const usi_cluster_t *cluster)
{
    bool is_open =
        cluster && strncmp (address, "tcp://", 6) == 0 && !strchr (address, '#');
    size_t count = is_open ? cluster->brokers_len : 0;
    if (count == 0)
        usi_buf_append (list, address, strlen (address) + 1);
    for (size_t i = 0; i < count; i++) {
        char key[USI_KEY_TEXT_LEN + 1];
        usi_key_text (cluster->brokers[i]->transport, key);
        usi_buf_printf (list, "%s#%s", address, key);
        usi_buf_append (list, "", 1);
    }
}

/* In place of the addresses of before. */
static void s_take_addresses (usi_discovery_t *self, usi_buf_t *all)
{
    free (self->addresses);
    self->count = 0;
    for (size_t i = 0; i < all->len; i++)
        self->count += all->data[i] == '\0';
    self->addresses = all->data ? (char *) all->data : strdup ("");
    self->next = self->count > 0 ? self->next % self->count : 0;
}

/* Takes a list, which came from malloc, in place of the addresses of before. */
static void s_set_list (usi_discovery_t *self, char *list)
{
    usi_buf_t all = {0};
    size_t given = list ? s_split (list) : 0;
    const char *at = list;
    for (size_t i = 0; i < given; i++, at += strlen (at) + 1)
        s_add_address (&all, at, self->brokers.cluster);
    free (list);
    s_take_addresses (self, &all);
    self->next = 0;
}

const char *usi_discovery_next (usi_discovery_t *self)
{
    if (self->tried >= self->count)
        return NULL;
    const char *at = self->addresses;
    for (size_t i = 0; i < self->next; i++)
        at += strlen (at) + 1;
    self->tried++;
    self->next = (self->next + 1) % self->count;
    return at;
}

size_t usi_discovery_count (const usi_discovery_t *self)
{
    return self->count;
}

us_err_t usi_discovery_error (const usi_discovery_t *self)
{
    return self->error;
}

const char *usi_discovery_why (const usi_discovery_t *self)
{
    return self->why;
}

/* --- what brokers tell --------------------------------------------------------------- */

static bool s_is_known (const usi_buf_t *list, usi_bytes_t address)
{
    for (size_t at = 0; at < list->len; at += strlen ((char *) list->data + at) + 1)
        if (usi_bytes_equal (usi_bytes_of ((char *) list->data + at), address))
            return true;
    return false;
}

static bool s_is_address (usi_bytes_t address)
{
    return address.len > 6 && memcmp (address.data, "tcp://", 6) == 0 &&
           memchr (address.data, '#', address.len) &&
           !memchr (address.data, '\0', address.len);
}

/* The next round takes the list; an address of this one may be in use. */
void usi_discovery_learn (usi_discovery_t *self, const usi_list_t *addresses)
{
    size_t position = 0, count = 0;
    if (self->brokers.redis || addresses->count == 0)
        return;
    self->learned.len = 0;
    for (usi_bytes_t at; usi_list_next (addresses, &position, &at);)
        if (count < USI_DISCOVERY_LEARNED_MAX && s_is_address (at)) {
            usi_buf_append (&self->learned, at.data, at.len);
            usi_buf_append (&self->learned, "", 1);
            count++;
        }
}

/* What was given, and behind it what was learned. */
static void s_gather (usi_discovery_t *self)
{
    usi_buf_t all = {0};
    usi_buf_append (&all, self->given, self->given_len);
    for (size_t at = 0; at < self->learned.len;) {
        const char *address = (const char *) self->learned.data + at;
        at += strlen (address) + 1;
        if (!s_is_known (&all, usi_bytes_of (address)))
            usi_buf_append (&all, address, strlen (address) + 1);
    }
    if (all.failed)
        usi_buf_free (&all); /* the round goes through those of before */
    else
        s_take_addresses (self, &all);
}

/* --- the registry ----------------------------------------------------------------- */

static void *s_look (void *arg)
{
    usi_discovery_t *self = arg;
    self->found_error =
        usi_registry_brokers (self->brokers.redis, self->brokers.look_ms, &self->found,
                              self->found_why, sizeof self->found_why);
    eventfd_write (self->fd, 1);
    return NULL;
}

static void s_set_why (usi_discovery_t *self, us_err_t error, const char *why)
{
    self->error = error;
    snprintf (self->why, sizeof self->why, "%s", why);
}

static void s_begin_look (usi_discovery_t *self)
{
    sigset_t all, before;
    self->found_why[0] = '\0';
    /* Signals are the program's: its own threads take them. */
    sigfillset (&all);
    pthread_sigmask (SIG_SETMASK, &all, &before);
    self->looking = pthread_create (&self->thread, NULL, s_look, self) == 0;
    pthread_sigmask (SIG_SETMASK, &before, NULL);
    if (!self->looking)
        s_set_why (self, US_ERR_SYSTEM, "no thread can be started");
}

static void s_end_look (usi_discovery_t *self)
{
    pthread_join (self->thread, NULL);
    self->looking = false;
    if (self->found_error != US_OK)
        s_set_why (self, self->found_error,
                   self->found_why[0] ? self->found_why
                                      : us_err_text (self->found_error));
    else {
        s_set_list (self, usi_bytes_dup_text (usi_buf_bytes (&self->found)));
        if (self->count > 0)
            self->next = usi_random32 () % self->count;
        else
            s_set_why (self, US_ERR_NOMEM, us_err_text (US_ERR_NOMEM));
    }
    usi_buf_free (&self->found);
}

bool usi_discovery_is_looking (const usi_discovery_t *self)
{
    return self->looking;
}

int usi_discovery_fd (const usi_discovery_t *self)
{
    return self->fd;
}

bool usi_discovery_collect (usi_discovery_t *self)
{
    eventfd_t value;
    if (!self->looking)
        return true;
    if (eventfd_read (self->fd, &value) != 0)
        return false;
    s_end_look (self);
    return true;
}

/* --- rounds ----------------------------------------------------------------------- */

void usi_discovery_begin (usi_discovery_t *self)
{
    if (self->looking)
        return;
    self->tried = 0;
    s_set_why (self, US_OK, "");
    if (self->brokers.redis) {
        s_set_list (self, NULL);
        s_begin_look (self);
    } else {
        s_gather (self);
        self->next = self->brokers.in_turn ? self->next : 0;
    }
    if (!self->brokers.redis && self->count == 0)
        s_set_why (self, US_ERR_UNREACHABLE, "none is configured");
}

static void s_take_given (usi_discovery_t *self, const char *endpoints)
{
    s_set_list (self, strdup (endpoints));
    for (size_t i = 0; self->addresses && i < self->count; i++)
        self->given_len += strlen (self->addresses + self->given_len) + 1;
    self->given = self->addresses ? malloc (self->given_len + 1) : NULL;
    if (self->given)
        memcpy (self->given, self->addresses, self->given_len);
}

usi_discovery_t *usi_discovery_new (const usi_brokers_t *brokers)
{
    usi_discovery_t *self = calloc (1, sizeof *self);
    if (!self)
        return NULL;
    self->brokers = *brokers;
    self->fd = -1;
    if (brokers->redis)
        self->fd = eventfd (0, EFD_CLOEXEC | EFD_NONBLOCK);
    else
        s_take_given (self, brokers->endpoints);
    if (brokers->redis ? self->fd < 0 : !self->given)
        usi_discovery_destroy (&self);
    return self;
}

void usi_discovery_destroy (usi_discovery_t **self_p)
{
    usi_discovery_t *self = *self_p;
    if (!self)
        return;
    if (self->looking)
        s_end_look (self);
    if (self->fd >= 0)
        close (self->fd);
    free (self->addresses);
    free (self->given);
    usi_buf_free (&self->learned);
    free (self);
    *self_p = NULL;
}
