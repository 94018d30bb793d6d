/* SPDX-License-Identifier: MIT
 *
 * See endpoints.h. */
#include "core/endpoints.h"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

#define TCP "tcp://"
#define IPC "ipc://"

static bool s_begins (const char *text, const char *start)
{
    return strncmp (text, start, strlen (start)) == 0;
}

static bool s_is_port (const char *text)
{
    char *end;
    if (strcmp (text, "*") == 0)
        return true;
    return *text >= '0' && *text <= '9' && strtoul (text, &end, 10) <= 65535 && !*end;
}

/* Host of tcp://host:port without brackets, into a buffer; false where malformed. */
static bool s_host (const char *endpoint, char *host, size_t size)
{
    if (!s_begins (endpoint, TCP))
        return false;
    const char *start = endpoint + strlen (TCP);
    const char *colon = strrchr (start, ':');
    if (!colon || colon == start || !s_is_port (colon + 1))
        return false;
    size_t len = (size_t) (colon - start);
    if (start[0] == '[' && colon[-1] == ']') {
        start++;
        len -= 2;
    }
    if (len == 0 || len >= size)
        return false;
    memcpy (host, start, len);
    host[len] = '\0';
    return true;
}

bool endpoint_is_valid (const char *endpoint)
{
    char host[256];
    if (s_begins (endpoint, IPC))
        return strlen (endpoint) > strlen (IPC);
    return s_host (endpoint, host, sizeof host);
}

bool endpoint_is_unix (const char *endpoint)
{
    return s_begins (endpoint, IPC);
}

char *endpoint_to_bind (const char *endpoint)
{
    size_t len = strlen (endpoint);
    if (s_begins (endpoint, TCP) && len > 2 && strcmp (endpoint + len - 2, ":0") == 0)
        return usi_sprintf ("%.*s:*", (int) (len - 2), endpoint);
    return usi_strdup (endpoint);
}

/* What does not fit is left out: the others suffice to find the broker. */
static void s_add (endpoints_t *self, const char *endpoint)
{
    for (size_t i = 0; i < self->count; i++)
        if (strcmp (self->texts[i], endpoint) == 0)
            return;
    if (self->count < ENDPOINTS_MAX)
        self->texts[self->count++] = usi_strdup (endpoint);
}

static void s_add_address (endpoints_t *self, const struct sockaddr *address,
                           const char *port, bool any6)
{
    char host[INET6_ADDRSTRLEN], text[INET6_ADDRSTRLEN + 32];
    if (address->sa_family == AF_INET) {
        const struct sockaddr_in *in = (const void *) address;
        inet_ntop (AF_INET, &in->sin_addr, host, sizeof host);
        snprintf (text, sizeof text, TCP "%s:%s", host, port);
        s_add (self, text);
    } else if (address->sa_family == AF_INET6 && any6) {
        const struct sockaddr_in6 *in6 = (const void *) address;
        if (IN6_IS_ADDR_LINKLOCAL (&in6->sin6_addr))
            return; /* it needs a scope, so others cannot use it */
        inet_ntop (AF_INET6, &in6->sin6_addr, host, sizeof host);
        snprintf (text, sizeof text, TCP "[%s]:%s", host, port);
        s_add (self, text);
    }
}

void endpoints_add_bound (endpoints_t *self, const char *bound)
{
    char host[256];
    struct ifaddrs *all = NULL;
    bool is_tcp = s_host (bound, host, sizeof host);
    bool any6 = is_tcp && strcmp (host, "::") == 0;
    bool any =
        any6 || (is_tcp && (strcmp (host, "0.0.0.0") == 0 || strcmp (host, "*") == 0));
    if (!any || getifaddrs (&all) != 0) {
        s_add (self, bound);
        return;
    }
    for (const struct ifaddrs *at = all; at; at = at->ifa_next)
        if (at->ifa_addr && (at->ifa_flags & IFF_UP))
            s_add_address (self, at->ifa_addr, strrchr (bound, ':') + 1, any6);
    freeifaddrs (all);
}

void endpoints_clear (endpoints_t *self)
{
    while (self->count > 0)
        free (self->texts[--self->count]);
}

char *endpoints_join (const endpoints_t *self, const char *separator)
{
    usi_buf_t buf = {0};
    for (size_t i = 0; i < self->count; i++) {
        if (i > 0)
            usi_buf_text (&buf, separator);
        usi_buf_text (&buf, self->texts[i]);
    }
    usi_buf_append (&buf, "", 1);
    return (char *) buf.data;
}
