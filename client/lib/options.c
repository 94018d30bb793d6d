/* SPDX-License-Identifier: MIT
 *
 * Options: see options.h. */
#include "options.h"

#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/config.h"
#include "base/log.h"
#include "base/place.h"
#include "base/sum.h"
#include "proto/limits.h"
#include "proto/pack.h"

#define NAME_MAX_LEN 256

static const usi_setting_t s_settings[] = {
    {.name = "broker", .arg = "ENDPOINT", .list = true},
    {.name = "redis", .arg = "URL"},
    {.name = "connect-timeout", .arg = "TIME", .initial = "5s"},
    {.name = "max-payload", .arg = "SIZE", .initial = "64M"},
    {.name = "owner", .arg = "NAME"},
    {.name = "key", .arg = "FILE"},
    {.name = "cluster", .arg = "FILE"},
    {0},
};

static void s_quiet (void)
{
    usi_log_set_level (US_LOG_ERROR); /* the library never prints */
}

static us_err_t s_replace (char **place, const char *text)
{
    char *copy = strdup (text);
    if (!copy)
        return US_ERR_NOMEM;
    free (*place);
    *place = copy;
    return US_OK;
}

/* Addresses tcp://host:port or ipc://path, by comma, with blanks around them. */
static bool s_endpoints_valid (const char *text)
{
    bool any = false;
    while (*text) {
        size_t len = strcspn (text, ",");
        const char *at = text + strspn (text, " ");
        bool is_tcp = strncmp (at, "tcp://", 6) == 0;
        if (!is_tcp && strncmp (at, "ipc://", 6) != 0)
            return false;
        at += 6;
        size_t rest = len - (size_t) (at - text);
        if (rest == 0 || (is_tcp && !memchr (at + 1, ':', rest - 1)))
            return false;
        any = true;
        text += len + (text[len] == ',');
    }
    return any;
}

static us_err_t s_set_own_broker (us_options_t *self)
{
    char *endpoint = usi_place_endpoint ();
    us_err_t err = endpoint ? us_options_set_broker (self, endpoint) : US_ERR_NOMEM;
    free (endpoint);
    return err;
}

static us_err_t s_load (us_options_t *self, usi_config_t *config)
{
    uint64_t bytes;
    us_err_t err = usi_config_load (config, NULL);
    if (err == US_OK)
        err = usi_config_is_set (config, "broker")
                  ? us_options_set_broker (self, usi_config_get (config, "broker"))
                  : s_set_own_broker (self);
    if (err == US_OK && !usi_config_is_set (config, "broker") &&
        usi_config_is_set (config, "redis"))
        err = us_options_set_redis (self, usi_config_get (config, "redis"));
    if (err == US_OK)
        err = usi_config_ms (config, "connect-timeout", &self->connect_timeout_ms);
    if (err == US_OK)
        err = usi_config_bytes (config, "max-payload", &bytes);
    if (err == US_OK)
        err = us_options_set_max_payload (self, bytes);
    if (err == US_OK && usi_config_is_set (config, "owner"))
        err = us_options_set_owner (self, usi_config_get (config, "owner"));
    return err;
}

/* --- keys ------------------------------------------------------------------------- */

us_err_t us_options_set_key (us_options_t *options, const char *key,
                             const char *cluster, char *text, size_t text_len)
{
    usi_identity_t *identity;
    char *hint;
    if (!options)
        return US_ERR_INVALID;
    char *wrong = usi_trust_find (&identity, &hint, key, cluster, USI_ROLE_CLIENT);
    if (wrong) {
        us_err_t err = *wrong ? US_ERR_CONFIG : US_ERR_NOMEM;
        if (text && text_len > 0)
            snprintf (text, text_len, "%s", *wrong ? wrong : us_err_text (err));
        free (wrong);
        return err;
    }
    usi_identity_free (&options->identity);
    free (options->no_key);
    options->identity = identity;
    options->no_key = hint;
    return US_OK;
}

/* --- who submits ------------------------------------------------------------------ */

static us_err_t s_set_user (us_options_t *self)
{
    char room[4096], number[16];
    struct passwd entry, *found = NULL;
    snprintf (number, sizeof number, "%u", (unsigned) geteuid ());
    getpwuid_r (geteuid (), &entry, room, sizeof room, &found);
    us_err_t err = found ? us_options_set_owner (self, found->pw_name) : US_ERR_INVALID;
    return err == US_ERR_INVALID ? us_options_set_owner (self, number) : err;
}

static us_err_t s_set_executable (us_options_t *self)
{
    char path[PATH_MAX] = "", place[PATH_MAX] = "";
    struct stat st = {0};
    usi_buf_t words = {0};
    ssize_t len = readlink ("/proc/self/exe", path, sizeof path - 1);
    (void) stat ("/proc/self/exe", &st);
    if (!getcwd (place, sizeof place))
        place[0] = 0;
    usi_buf_printf (&words, "%.*s\n%lld\n%lld.%09ld\n%s", (int) (len > 0 ? len : 0),
                    path, (long long) st.st_size, (long long) st.st_mtim.tv_sec,
                    st.st_mtim.tv_nsec, place);
    us_err_t err = words.failed ? US_ERR_NOMEM
                                : us_options_set_program (self, words.data, words.len);
    usi_buf_free (&words);
    return err;
}

us_err_t us_options_set_program (us_options_t *options, const void *bytes, size_t len)
{
    if (!options || !bytes || len == 0)
        return US_ERR_INVALID;
    usi_sha256 (bytes, len, options->program);
    return US_OK;
}

us_err_t us_options_set_owner (us_options_t *options, const char *owner)
{
    if (!options || !owner || !*owner || strlen (owner) > NAME_MAX_LEN ||
        !usi_is_text (owner, strlen (owner)))
        return US_ERR_INVALID;
    return s_replace (&options->owner, owner);
}

void options_key (const us_options_t *options, uint8_t *key)
{
    uint8_t digest[USI_DIGEST_LEN];
    usi_sum_t sum = {0};
    usi_sum_begin (&sum);
    usi_sum_add (&sum, usi_bytes (options->program, sizeof options->program));
    usi_sum_add (&sum, usi_bytes_of (options->owner));
    usi_sum_end (&sum, digest);
    memcpy (key, digest, OPTIONS_KEY_LEN);
}

/* --- life ------------------------------------------------------------------------- */

static void s_say (char *text, size_t text_len, const usi_config_t *config,
                   us_err_t err)
{
    const char *why = usi_config_error (config);
    if (!text || text_len == 0)
        return;
    if (err == US_ERR_INVALID && why[0] == '\0')
        why = "broker is not a list of addresses tcp://host:port, redis not a URL, or "
              "owner not a name of at most 256 bytes";
    snprintf (text, text_len, "%s", why[0] ? why : us_err_text (err));
}

us_err_t us_options_new (us_options_t **options, char *text, size_t text_len)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    if (!options)
        return US_ERR_INVALID;
    if (text && text_len > 0)
        text[0] = '\0';
    pthread_once (&once, s_quiet);

    us_err_t err = US_ERR_NOMEM;
    usi_config_t *config = NULL;
    us_options_t *self = calloc (1, sizeof *self);
    if (!self)
        goto out;
    config = usi_config_new ("client", s_settings);
    if (!config)
        goto out;
    err = us_options_set_name (self, program_invocation_short_name);
    if (err == US_ERR_INVALID)
        err = us_options_set_name (self, "client");
    if (err == US_OK)
        err = s_set_user (self);
    if (err == US_OK)
        err = s_set_executable (self);
    if (err == US_OK)
        err = s_load (self, config);
    if (err != US_OK)
        s_say (text, text_len, config, err);
    else
        err = us_options_set_key (self, usi_config_get (config, "key"),
                                  usi_config_get (config, "cluster"), text, text_len);
    if (err == US_ERR_INVALID)
        err = US_ERR_CONFIG;
out:
    if (config)
        usi_config_destroy (&config);
    if (err != US_OK)
        us_options_destroy (&self);
    *options = self;
    return err;
}

void us_options_destroy (us_options_t **options)
{
    if (!options || !*options)
        return;
    options_clear (*options);
    free (*options);
    *options = NULL;
}

us_err_t us_options_set_broker (us_options_t *options, const char *endpoints)
{
    if (!options || !endpoints || !s_endpoints_valid (endpoints))
        return US_ERR_INVALID;
    us_err_t err = s_replace (&options->endpoints, endpoints);
    if (err == US_OK) {
        free (options->redis);
        options->redis = NULL;
    }
    return err;
}

us_err_t us_options_set_redis (us_options_t *options, const char *url)
{
    if (!options || !url ||
        (strncmp (url, "redis://", 8) != 0 && strncmp (url, "unix://", 7) != 0))
        return US_ERR_INVALID;
    return s_replace (&options->redis, url);
}

us_err_t us_options_set_connect_timeout_ms (us_options_t *options, int64_t ms)
{
    if (!options || ms < 0 || ms > INT32_MAX)
        return US_ERR_INVALID;
    options->connect_timeout_ms = ms;
    return US_OK;
}

us_err_t us_options_set_max_payload (us_options_t *options, size_t bytes)
{
    if (!options || bytes == 0 || bytes > (size_t) USI_MAX_CHUNK * 65536)
        return US_ERR_INVALID;
    options->max_payload = bytes;
    return US_OK;
}

us_err_t us_options_set_name (us_options_t *options, const char *name)
{
    if (!options || !name)
        return US_ERR_INVALID;
    size_t len = strlen (name);
    if (len > NAME_MAX_LEN || !usi_is_text (name, len))
        return US_ERR_INVALID;
    return s_replace (&options->name, name);
}

void us_options_set_log (us_options_t *options, us_log_fn *fn, void *arg)
{
    options->log = fn;
    options->log_arg = arg;
}

bool options_copy (us_options_t *copy, const us_options_t *options)
{
    *copy = *options;
    copy->endpoints = strdup (options->endpoints);
    copy->redis = options->redis ? strdup (options->redis) : NULL;
    copy->name = strdup (options->name);
    copy->owner = strdup (options->owner);
    copy->identity = usi_identity_share (options->identity);
    copy->no_key = options->no_key ? strdup (options->no_key) : NULL;
    if (copy->endpoints && copy->name && copy->owner &&
        (copy->redis || !options->redis) && (copy->no_key || !options->no_key))
        return true;
    options_clear (copy);
    return false;
}

void options_clear (us_options_t *options)
{
    free (options->endpoints);
    free (options->redis);
    free (options->name);
    free (options->owner);
    free (options->no_key);
    usi_identity_free (&options->identity);
    *options = (us_options_t){0};
}

void options_show_redis (const char *url, char *text, size_t text_len)
{
    const char *start = strstr (url, "://");
    start = start ? start + 3 : url;
    const char *at = strncmp (url, "redis", 5) == 0 ? strrchr (start, '@') : NULL;
    const char *rest = at ? at + 1 : start;
    /* The password of unix://path?password=… stands behind the question mark. */
    snprintf (text, text_len, "%.*s%.*s", (int) (start - url), url,
              (int) strcspn (rest, "?"), rest);
}
