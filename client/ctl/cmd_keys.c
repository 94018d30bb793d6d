/* SPDX-License-Identifier: MIT
 *
 * keys: which keys a cluster knows; brings it one, and takes one away. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "auth/keyfile.h"
#include "auth/revocation.h"
#include "base/place.h"
#include "ctl.h"
#include "json.h"
#include "mem.h"
#include "output.h"

enum { KEY_DIR = 'o' };
static const struct argp_option s_options[] = {
    {"dir", KEY_DIR, "DIR", 0,
     "the folder of cluster.key and cluster.pub (default: ~/.config/understudy)", 2},
    {0},
};

typedef struct keys {
    ctl_t *ctl;
    const char *dir;
    const char *verb, *what;
    char *folder;
} keys_t;

static error_t s_parse (int key, char *arg, struct argp_state *state)
{
    keys_t *self = state->input;
    switch (key) {
    case KEY_DIR: self->dir = arg; return 0;
    case ARGP_KEY_ARG:
        if (self->what)
            argp_error (state, "unexpected argument '%s'", arg);
        *(self->verb ? &self->what : &self->verb) = arg;
        return 0;
    case ARGP_KEY_END:
        if (!self->verb || strcmp (self->verb, "list") == 0)
            return 0;
        if (strcmp (self->verb, "add") != 0 && strcmp (self->verb, "revoke") != 0)
            argp_error (state, "'%s' is not one of list, add, revoke", self->verb);
        if (!self->what)
            argp_error (state, "%s needs %s", self->verb,
                        self->verb[0] == 'a' ? "a file" : "the name of a key");
        return 0;
    default: return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp s_argp = {.options = s_options, .parser = s_parse};

/* Consumes the line. */
static int s_wrong (char *line)
{
    ctl_say (*line ? line : "out of memory");
    free (line);
    return EXIT_SETTINGS;
}

/* --- list -------------------------------------------------------------------------------- */

static const column_t s_columns[] = {
    {"NAME", "name", FORM_TEXT},
    {"ROLE", "role", FORM_TEXT},
    {"GROUP", "group", FORM_TEXT},
    {"STATE", "state", FORM_TEXT},
    {"PEERS", "connections", FORM_NUMBER},
    {"CHANNELS", "channels", FORM_TEXT},
    {"SHELL", "shell", FORM_TEXT},
    {"SEE", "see", FORM_TEXT},
    {"READ", "read", FORM_TEXT},
    {"CANCEL", "cancel", FORM_TEXT},
    {"RETRY", "retry", FORM_TEXT},
    {"MADE", "made_ms", FORM_TIME},
    {"EXPIRES", "expires_ms", FORM_TIME},
    {"KEY", "public", FORM_TEXT},
    {NULL, NULL, 0},
};

static int s_list (ctl_t *ctl)
{
    us_query_t *query = ctl_query ("keys");
    int exit_code = ctl_ask (ctl, query);
    if (exit_code == EXIT_DONE)
        output_rows (ctl, query, s_columns);
    us_query_destroy (&query);
    return exit_code;
}

/* --- add ---------------------------------------------------------------------------------- */

static int s_admit (ctl_t *ctl, const usi_certificate_t *certificate)
{
    int exit_code = ctl_admit (ctl, certificate->bytes, certificate->len);
    if (exit_code == EXIT_DONE && ctl->json)
        output_json (json_pack ("{s:s, s:s}", "name", certificate->name, "role",
                                usi_role_name (certificate->role)));
    else if (exit_code == EXIT_DONE)
        printf ("%s may connect now\n", certificate->name);
    return exit_code;
}

static int s_add (keys_t *self)
{
    usi_cluster_t cluster;
    usi_certificate_t certificate;
    char *path = mem_printf ("%s/cluster.pub", self->folder);
    char *wrong = usi_cluster_read (&cluster, path);
    free (path);
    if (wrong)
        return s_wrong (wrong);
    wrong = usi_certificate_read_file (&certificate, self->what, cluster.key);
    usi_cluster_clear (&cluster);
    return wrong ? s_wrong (wrong) : s_admit (self->ctl, &certificate);
}

/* --- revoke --------------------------------------------------------------------------------- */

/* The list as the brokers have it. */
static int s_ask_revoked (ctl_t *ctl, usi_revocation_t *list, const usi_keys_t *cluster)
{
    us_query_t *query = ctl_query ("revoked");
    int exit_code = ctl_ask (ctl, query);
    const void *row;
    size_t len;
    const char *why = NULL;
    if (exit_code == EXIT_DONE && us_query_row (query, 0, &row, &len) == US_OK) {
        us_reader_t reader = usi_map_find (usi_bytes (row, len), "revoked");
        us_value_t value = usi_read (&reader);
        if (value.type == US_TYPE_BIN && value.len > 0)
            why = usi_revocation_take (list, usi_bytes (value.data, value.len),
                                       cluster->signing_public);
    }
    us_query_destroy (&query);
    return why ? s_wrong (mem_printf ("the brokers' list of revoked keys: %s", why))
               : exit_code;
}

static int s_send_revoked (ctl_t *ctl, const usi_buf_t *list)
{
    us_query_t *query = ctl_query ("revoke");
    us_err_t err = us_query_set_revoked (query, list->data, list->len);
    int exit_code = err == US_OK ? ctl_ask (ctl, query) : ctl_fail (ctl, err, "revoke");
    us_query_destroy (&query);
    return exit_code;
}

static int s_revoke_key (ctl_t *ctl, const uint8_t *key, const usi_keys_t *cluster)
{
    usi_revocation_t list = {0};
    usi_buf_t next = {0};
    int exit_code = s_ask_revoked (ctl, &list, cluster);
    if (exit_code == EXIT_DONE && !usi_revocation_sign (&list, key, cluster, &next))
        exit_code = s_wrong (mem_printf ("the list of revoked keys is full"));
    if (exit_code == EXIT_DONE)
        exit_code = s_send_revoked (ctl, &next);
    usi_revocation_clear (&list);
    usi_buf_free (&next);
    return exit_code;
}

/* A public key, or a name: then all keys of that name are meant, also one that was made
 * anew. */
static bool s_is_meant (const keys_t *self, const char *name, const char *public)
{
    return strcmp (name, self->what) == 0 || strcmp (public, self->what) == 0;
}

static int s_revoke_named (keys_t *self, const us_query_t *query,
                           const usi_keys_t *cluster, size_t *count)
{
    int exit_code = EXIT_DONE;
    *count = 0;
    for (size_t i = 0; exit_code == EXIT_DONE && i < us_query_rows (query); i++) {
        uint8_t key[USI_KEY_LEN];
        json_t *row = json_from_query (query, i);
        const char *name = json_string_value (json_object_get (row, "name"));
        const char *public = json_string_value (json_object_get (row, "public"));
        if (name && public && s_is_meant (self, name, public) &&
            usi_key_parse (public, key)) {
            exit_code = s_revoke_key (self->ctl, key, cluster);
            (*count)++;
        }
        json_decref (row);
    }
    return exit_code;
}

/* Brokers are no members; their keys stand in the cluster's file. */
static int s_revoke_brokers (keys_t *self, const usi_keys_t *keys, size_t *count)
{
    usi_cluster_t cluster;
    char *path = mem_printf ("%s/cluster.pub", self->folder);
    char *wrong = usi_cluster_read (&cluster, path);
    int exit_code = wrong ? s_wrong (wrong) : EXIT_DONE;
    size_t kept = 0, before = cluster.brokers_len;
    for (size_t i = 0; i < before; i++) {
        usi_certificate_t *broker = cluster.brokers[i];
        char public[USI_KEY_TEXT_LEN + 1];
        usi_key_text (broker->transport, public);
        bool is_meant = s_is_meant (self, broker->name, public);
        if (is_meant && exit_code == EXIT_DONE)
            exit_code = s_revoke_key (self->ctl, broker->transport, keys);
        if (is_meant)
            free (broker);
        else
            cluster.brokers[kept++] = broker;
    }
    cluster.brokers_len = kept;
    if (exit_code == EXIT_DONE && kept < before && usi_cluster_write (path, &cluster))
        exit_code = s_wrong (mem_printf ("%s cannot be written", path));
    *count += before - kept;
    usi_cluster_clear (&cluster);
    free (path);
    return exit_code;
}

static int s_revoke_with (keys_t *self, const usi_keys_t *cluster)
{
    size_t count = 0;
    us_query_t *query = ctl_query ("keys");
    int exit_code = ctl_ask (self->ctl, query);
    if (exit_code == EXIT_DONE)
        exit_code = s_revoke_named (self, query, cluster, &count);
    us_query_destroy (&query);
    if (exit_code == EXIT_DONE)
        exit_code = s_revoke_brokers (self, cluster, &count);
    if (exit_code == EXIT_DONE && count == 0) {
        char *line = mem_printf ("no key has the name %s, or is it", self->what);
        ctl_say (line);
        free (line);
        return EXIT_NO;
    }
    if (exit_code == EXIT_DONE && self->ctl->json)
        output_json (
            json_pack ("{s:s, s:I}", "name", self->what, "keys", (json_int_t) count));
    else if (exit_code == EXIT_DONE)
        printf ("%s is not heard any more\n", self->what);
    return exit_code;
}

static int s_revoke (keys_t *self)
{
    usi_cluster_key_t cluster;
    char *path = mem_printf ("%s/cluster.key", self->folder);
    char *wrong = usi_cluster_key_read (&cluster, path);
    free (path);
    if (wrong)
        return s_wrong (wrong);
    int exit_code = s_revoke_with (self, &cluster.keys);
    usi_wipe (&cluster, sizeof cluster);
    return exit_code;
}

/* --- the command ------------------------------------------------------------------------------ */

static int s_run (ctl_t *ctl, const command_t *command, int argc, char **argv)
{
    keys_t self = {.ctl = ctl};
    ctl_parse (ctl, command, &s_argp, &self, argc, argv);
    if (!self.verb || strcmp (self.verb, "list") == 0)
        return s_list (ctl);
    self.folder = self.dir ? mem_printf ("%s", self.dir) : usi_place_config ();
    if (!self.folder)
        return s_wrong (mem_printf ("HOME is not set: say where with --dir"));
    if (!usi_keys_init ())
        return s_wrong (mem_printf ("the system gives no random bytes"));
    int exit_code = self.verb[0] == 'a' ? s_add (&self) : s_revoke (&self);
    free (self.folder);
    return exit_code;
}

const command_t cmd_keys = {
    "keys", "[list]\nadd FILE\nrevoke NAME|KEY", "see, add and revoke keys",
    "list    the keys that brokers admit, with their rights\n"
    "add     brings a certificate (NAME.cert) to the brokers: that key may connect "
    "then\n"
    "revoke  no broker hears that name any more, or that one of its keys; what it has "
    "submitted stays. Needs cluster.key",
    s_run};
