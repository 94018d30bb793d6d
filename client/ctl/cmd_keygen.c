/* SPDX-License-Identifier: MIT
 *
 * keygen: makes the files of keys. The cluster's own key signs a certificate for each; it
 * is needed here and nowhere else. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "auth/keyfile.h"
#include "base/place.h"
#include "ctl.h"
#include "mem.h"
#include "output.h"
#include "redis_users.h"
#include "rights.h"

typedef struct keygen {
    ctl_t *ctl;
    rights_t rights;
    const char *dir; /* NULL: that of the settings */
    const char *what, *name;
    char *folder, *cluster_key, *cluster, *key, *certificate; /* paths */
} keygen_t;

enum { KEY_DIR = 'o' };
static const struct argp_option s_options[] = {
    {"dir", KEY_DIR, "DIR", 0,
     "the folder of cluster.key, and of what is made (default: ~/.config/understudy)",
     2},
    {0},
};

static void s_check_words (const keygen_t *self, struct argp_state *state)
{
    bool is_cluster = strcmp (self->what, "cluster") == 0;
    bool is_redis = strcmp (self->what, "redis") == 0;
    if (!is_cluster && !is_redis && !usi_role_find (self->what))
        argp_error (state,
                    "'%s' is not one of cluster, broker, node, client, admin, redis",
                    self->what);
    if (self->name && is_redis)
        argp_error (state, "the users of Redis have their names already");
    if (!self->name && !is_cluster && !is_redis)
        argp_error (state, "give the %s a name", self->what);
    if (self->name && !usi_auth_name_valid (self->name))
        argp_error (state, "'%s' is not a name: letters, digits and ._-@, at most 64",
                    self->name);
}

static error_t s_parse (int key, char *arg, struct argp_state *state)
{
    keygen_t *self = state->input;
    switch (key) {
    case ARGP_KEY_INIT: state->child_inputs[0] = &self->rights; return 0;
    case KEY_DIR: self->dir = arg; return 0;
    case ARGP_KEY_ARG:
        if (self->name)
            argp_error (state, "unexpected argument '%s'", arg);
        *(self->what ? &self->name : &self->what) = arg;
        return 0;
    case ARGP_KEY_END:
        if (!self->what)
            argp_error (state,
                        "say what for: cluster, broker, node, client, admin or redis");
        else
            s_check_words (self, state);
        return 0;
    default: return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp_child s_children[] = {{.argp = &rights_argp}, {0}};
static const struct argp s_argp = {.options = s_options,
                                   .parser = s_parse,
                                   .children = s_children};

/* Consumes the line. */
static int s_wrong (char *line)
{
    ctl_say (*line ? line : "out of memory");
    free (line);
    return EXIT_SETTINGS;
}

/* --- the cluster ----------------------------------------------------------------------- */

static int s_make_cluster (keygen_t *self)
{
    usi_cluster_key_t key = {0};
    usi_cluster_t cluster = {0};
    char host[USI_AUTH_NAME_MAX + 1] = "";
    gethostname (host, sizeof host - 1);
    const char *name = self->name                   ? self->name
                       : usi_auth_name_valid (host) ? host
                                                    : "cluster";
    snprintf (key.name, sizeof key.name, "%s", name);
    snprintf (cluster.name, sizeof cluster.name, "%s", name);
    usi_keys_make_seed (key.seed);
    usi_keys_derive (&key.keys, key.seed);
    memcpy (cluster.key, key.keys.signing_public, USI_KEY_LEN);
    int error = usi_cluster_key_write (self->cluster_key, &key);
    usi_wipe (&key, sizeof key);
    if (error)
        return ctl_cannot_make (self->cluster_key, error);
    error = usi_cluster_write (self->cluster, &cluster);
    if (error)
        return ctl_cannot_make (self->cluster, error);
    if (self->ctl->json)
        output_json (json_pack ("{s:s, s:s, s:s}", "name", name, "key",
                                self->cluster_key, "cluster", self->cluster));
    else
        printf ("%s  signs keys; keep it secret, here\n%s  every peer needs a copy\n",
                self->cluster_key, self->cluster);
    return EXIT_DONE;
}

/* --- a peer ------------------------------------------------------------------------------ */

static bool s_sign (keygen_t *self, const usi_keys_t *keys,
                    const usi_cluster_key_t *cluster, usi_certificate_t *certificate)
{
    *certificate = (usi_certificate_t){.role = usi_role_find (self->what),
                                       .made_s = (int64_t) time (NULL)};
    snprintf (certificate->name, sizeof certificate->name, "%s", self->name);
    memcpy (certificate->transport, keys->transport_public, USI_KEY_LEN);
    memcpy (certificate->signing, keys->signing_public, USI_KEY_LEN);
    memcpy (certificate->sealing, keys->sealing_public, USI_KEY_LEN);
    rights_apply (&self->rights, certificate);
    return usi_certificate_sign (certificate, &cluster->keys);
}

/* A broker stands in the cluster's file, so that its peers know its key. A key made anew for
 * the same name takes the place of the old one. */
static int s_list_broker (keygen_t *self, const usi_cluster_key_t *key,
                          const usi_certificate_t *broker)
{
    usi_cluster_t cluster;
    char *wrong = usi_cluster_read (&cluster, self->cluster);
    int error = 0;
    if (wrong)
        return s_wrong (wrong);
    if (memcmp (cluster.key, key->keys.signing_public, USI_KEY_LEN) != 0)
        error = s_wrong (mem_printf ("%s belongs to another cluster than %s",
                                     self->cluster, self->cluster_key));
    else if (cluster.brokers_len == USI_CLUSTER_BROKERS_MAX)
        error = s_wrong (
            mem_printf ("%s lists 64 brokers, which is the most", self->cluster));
    if (!error) {
        usi_certificate_t *copy = mem_alloc (sizeof *copy);
        *copy = *broker; /* only its bytes are written */
        cluster.brokers[cluster.brokers_len++] = copy;
        int rc = usi_cluster_write (self->cluster, &cluster);
        error = rc ? ctl_cannot_make (self->cluster, rc) : EXIT_DONE;
    }
    usi_cluster_clear (&cluster);
    return error;
}

/* Whether a broker is named, or one of this user is here. */
static bool s_has_broker (const ctl_t *ctl)
{
    char *endpoint = usi_place_endpoint ();
    bool is_here = ctl->broker || ctl->redis || getenv ("UNDERSTUDY_BROKER") ||
                   (endpoint && access (endpoint + strlen ("ipc://"), F_OK) == 0);
    free (endpoint);
    return is_here;
}

static int s_tell (const keygen_t *self, const usi_certificate_t *certificate,
                   bool is_admitted)
{
    if (self->ctl->json) {
        json_t *row = rights_json (certificate);
        json_object_set_new (row, "admitted", json_boolean (is_admitted));
        json_object_set_new (row, "key", json_string (self->key));
        json_object_set_new (row, "certificate", json_string (self->certificate));
        output_json (row);
        return EXIT_DONE;
    }
    printf ("%s  the key of %s: bring it and %s to ~/.config/understudy there\n",
            self->key, certificate->name, self->cluster);
    if (certificate->role != USI_ROLE_BROKER && !is_admitted)
        printf ("%s  no broker is here: bring it this with understudy-ctl keys add\n",
                self->certificate);
    return EXIT_DONE;
}

/* Brokers come to nobody: only their peers need to know their keys. */
static int s_bring (const keygen_t *self, const usi_certificate_t *certificate)
{
    bool is_admitted = certificate->role != USI_ROLE_BROKER && s_has_broker (self->ctl);
    int rc = is_admitted ? ctl_admit (self->ctl, certificate->bytes, certificate->len)
                         : EXIT_DONE;
    if (rc) {
        char *line =
            mem_printf ("%s is made, but no broker knows it: bring it one with "
                        "understudy-ctl keys add",
                        self->certificate);
        ctl_say (line);
        free (line);
    }
    return rc ? rc : s_tell (self, certificate, is_admitted);
}

static int s_write_peer (keygen_t *self, const usi_cluster_key_t *cluster)
{
    usi_keys_t keys;
    usi_certificate_t certificate;
    uint8_t seed[USI_KEY_LEN];
    usi_keys_make_seed (seed);
    usi_keys_derive (&keys, seed);
    if (!s_sign (self, &keys, cluster, &certificate))
        return ctl_bad_usage ("these are more rights than a certificate can hold");
    int error = usi_key_write (self->key, seed, &certificate);
    usi_wipe (seed, sizeof seed);
    usi_keys_wipe (&keys);
    if (error)
        return ctl_cannot_make (self->key, error);
    error = usi_certificate_write (self->certificate, &certificate);
    if (error)
        return ctl_cannot_make (self->certificate, error);
    int rc = certificate.role == USI_ROLE_BROKER
                 ? s_list_broker (self, cluster, &certificate)
                 : EXIT_DONE;
    return rc ? rc : s_bring (self, &certificate);
}

static int s_make_peer (keygen_t *self)
{
    usi_cluster_key_t key;
    if (access (self->cluster_key, F_OK) != 0 && errno == ENOENT)
        return s_wrong (
            mem_printf ("%s is not there: understudy-ctl keygen cluster makes "
                        "it, once",
                        self->cluster_key));
    char *wrong = usi_cluster_key_read (&key, self->cluster_key);
    if (wrong)
        return s_wrong (wrong);
    int rc = s_write_peer (self, &key);
    usi_wipe (&key, sizeof key);
    return rc;
}

/* --- the command ------------------------------------------------------------------------- */

static int s_set_paths (keygen_t *self)
{
    char *own = self->dir ? NULL : usi_place_config ();
    if (!self->dir && !own)
        return s_wrong (mem_printf ("HOME is not set: say where with --dir"));
    self->folder = mem_printf ("%s", own ? own : self->dir);
    free (own);
    self->cluster_key = mem_printf ("%s/cluster.key", self->folder);
    self->cluster = mem_printf ("%s/cluster.pub", self->folder);
    self->key = mem_printf ("%s/%s.key", self->folder, self->name ? self->name : "");
    self->certificate =
        mem_printf ("%s/%s.cert", self->folder, self->name ? self->name : "");
    int error = usi_place_make (self->folder);
    return error ? ctl_cannot_make (self->folder, error) : EXIT_DONE;
}

static void s_clear (keygen_t *self)
{
    free (self->folder);
    free (self->cluster_key);
    free (self->cluster);
    free (self->key);
    free (self->certificate);
    rights_clear (&self->rights);
}

static int s_run (ctl_t *ctl, const command_t *command, int argc, char **argv)
{
    keygen_t self = {.ctl = ctl};
    ctl_parse (ctl, command, &s_argp, &self, argc, argv);
    bool is_cluster = strcmp (self.what, "cluster") == 0;
    bool is_redis = strcmp (self.what, "redis") == 0;
    int rc;
    if ((is_cluster || is_redis) && self.rights.any)
        rc = ctl_bad_usage ("%s has no rights of its own", self.what);
    else if (self.name && !is_cluster && strcmp (self.name, "cluster") == 0)
        rc = ctl_bad_usage ("'cluster' is the name of the cluster's own files");
    else if (!usi_keys_init ())
        rc = s_wrong (mem_printf ("the system gives no random bytes"));
    else
        rc = s_set_paths (&self);
    if (rc == EXIT_DONE)
        rc = is_cluster ? s_make_cluster (&self)
             : is_redis ? redis_users_make (ctl, self.folder)
                        : s_make_peer (&self);
    s_clear (&self);
    return rc;
}

const command_t cmd_keygen = {
    "keygen", "cluster [NAME]\nbroker|node|client|admin NAME\nredis",
    "make keys for a cluster, or users for its Redis",
    "Examples:\n"
    "  understudy-ctl keygen cluster\n"
    "      once, on a host that is yours: what signs all other keys\n"
    "  understudy-ctl keygen node gpu1 --channel 'gpu*'\n"
    "      the key of a node that listens on these channels only\n"
    "  understudy-ctl keygen client alice --group staff --see group --no-shell\n"
    "      the key of somebody who submits\n"
    "  understudy-ctl keygen redis\n"
    "      users and passwords for a Redis that brokers share\n"
    "\n"
    "NAME.key is secret and goes to that peer with cluster.pub, which is public. A "
    "broker of "
    "yours that runs here (or --broker) learns of the key at once; others are brought "
    "NAME.cert with understudy-ctl keys add. A broker is listed in cluster.pub, so "
    "make its "
    "key before that file is given away.",
    s_run};
