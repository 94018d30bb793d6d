/* SPDX-License-Identifier: MIT
 *
 * See health.h. */
#include "store/health.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

/* The value of a line "name:value\r\n" of INFO; empty where there is none. */
static usi_bytes_t s_line (usi_bytes_t info, const char *name)
{
    size_t name_len = strlen (name);
    const char *at = (const char *) info.data, *end = at + info.len;
    while (at < end) {
        const char *stop = memchr (at, '\n', (size_t) (end - at));
        if (!stop)
            stop = end;
        size_t len = (size_t) (stop - at);
        if (len > name_len && memcmp (at, name, name_len) == 0 && at[name_len] == ':') {
            len -= name_len + 1;
            const char *value = at + name_len + 1;
            while (len && (value[len - 1] == '\r' || value[len - 1] == '\n'))
                len--;
            return usi_bytes (value, len);
        }
        at = stop + 1;
    }
    return usi_bytes ("", 0);
}

static void s_copy (char *to, size_t size, usi_bytes_t value)
{
    size_t len = value.len < size ? value.len : size - 1;
    memcpy (to, value.data, len);
    to[len] = 0;
}

static bool s_is (usi_bytes_t value, const char *text)
{
    return usi_bytes_equal (value, usi_bytes_of (text));
}

static uint64_t s_number (usi_bytes_t info, const char *name)
{
    char number[24];
    s_copy (number, sizeof number, s_line (info, name));
    return strtoull (number, NULL, 10);
}

void health_info (health_t *self, usi_bytes_t info)
{
    s_copy (self->version, sizeof self->version, s_line (info, "redis_version"));
    s_copy (self->run_id, sizeof self->run_id, s_line (info, "run_id"));
    self->maxmemory = s_number (info, "maxmemory");
    self->whole_memory = s_number (info, "total_system_memory");
    s_copy (self->policy, sizeof self->policy, s_line (info, "maxmemory_policy"));
    self->replica = s_is (s_line (info, "role"), "slave");
    self->loading = s_is (s_line (info, "loading"), "1");
    self->aof = s_is (s_line (info, "aof_enabled"), "1");
    self->write_failed = s_is (s_line (info, "aof_last_write_status"), "err");
}

void health_config (health_t *self, const char *name, usi_bytes_t value)
{
    if (strcmp (name, "maxmemory-policy") == 0)
        s_copy (self->policy, sizeof self->policy, value);
    else if (strcmp (name, "appendonly") == 0)
        s_copy (self->appendonly, sizeof self->appendonly, value);
    else if (strcmp (name, "appendfsync") == 0)
        s_copy (self->appendfsync, sizeof self->appendfsync, value);
}

char *health_fatal (const health_t *self, const char *where)
{
    int major = atoi (self->version);
    if (*self->version && major < 7)
        return usi_sprintf ("Redis %s at %s is too old: 7.0 or newer is needed",
                            self->version, where);
    if (self->replica)
        return usi_sprintf (
            "Redis at %s is a read-only replica: give the address of its "
            "primary",
            where);
    if (*self->policy && strcmp (self->policy, "noeviction") != 0)
        return usi_sprintf (
            "Redis at %s drops data when memory is short "
            "(maxmemory-policy %s): CONFIG SET maxmemory-policy noeviction",
            where, self->policy);
    return NULL;
}

const char *health_durability (const health_t *self)
{
    bool on = *self->appendonly ? strcmp (self->appendonly, "yes") == 0 : self->aof;
    if (!on)
        return "memory";
    return strcmp (self->appendfsync, "always") == 0 ? "always" : "everysec";
}

static char *s_durability_verdict (const health_t *self, const char *wanted, bool *weak)
{
    const char *actual = health_durability (self);
    *weak = strcmp (actual, "memory") == 0 ||
            (strcmp (wanted, "always") == 0 && *self->appendfsync &&
             strcmp (actual, "always") != 0);
    if (strcmp (actual, "memory") == 0)
        return usi_sprintf (
            "no append-only file: jobs do not survive a restart of Redis; "
            "CONFIG SET appendonly yes");
    if (!*self->appendfsync)
        return usi_sprintf ("append-only file; how often it is synced to disk is not"
                            " known, since this user of Redis may not look");
    if (strcmp (actual, "everysec") == 0)
        return usi_sprintf (
            "everysec: up to a second of accepted jobs is lost in a crash "
            "of the machine; CONFIG SET appendfsync always");
    return usi_sprintf ("always: accepted jobs are on disk");
}

static char *s_memory_verdict (const health_t *self)
{
    if (self->maxmemory == 0)
        return usi_sprintf ("no limit");
    return usi_sprintf ("%llu bytes; when it is full, submits are refused and running "
                        "jobs still end",
                        (unsigned long long) self->maxmemory);
}

bool health_finding (const health_t *self, const char *wanted, unsigned i,
                     char **setting, char **verdict, bool *weak)
{
    static const char *const names[] = {"redis", "durability", "eviction", "memory",
                                        "writes"};
    if (i >= sizeof names / sizeof *names)
        return false;
    *weak = false;
    *setting = usi_strdup (names[i]);
    if (i == 0) {
        *verdict = usi_sprintf ("version %s", self->version);
    } else if (i == 1) {
        *verdict = s_durability_verdict (self, wanted, weak);
    } else if (i == 2) {
        *weak = *self->policy && strcmp (self->policy, "noeviction") != 0;
        *verdict = usi_sprintf ("%s", *self->policy ? self->policy : "not known");
    } else if (i == 3) {
        *verdict = s_memory_verdict (self);
    } else {
        *weak = self->write_failed;
        *verdict =
            usi_sprintf ("%s", self->write_failed
                                   ? "the last write of the append-only file failed"
                                   : "fine");
    }
    return true;
}
