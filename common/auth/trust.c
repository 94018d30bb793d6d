/* SPDX-License-Identifier: MIT
 *
 * See trust.h. */
#include "auth/trust.h"

#include <errno.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/place.h"

#define CLUSTER_FILE "cluster.pub"

static char *s_join (const char *folder, const char *name)
{
    char *path;
    return asprintf (&path, "%s/%s", folder, name) < 0 ? NULL : path;
}

/* --- the folder of the settings ------------------------------------------------------------ */

/* Of the key files those of this role; the first of them in path. */
static size_t s_look (const char *folder, const usi_cluster_t *cluster, usi_role_t role,
                      char **path)
{
    glob_t found;
    size_t count = 0;
    char *pattern = s_join (folder, "*.key");
    usi_certificate_t *certificate = malloc (sizeof *certificate);
    int rc = pattern && certificate ? glob (pattern, 0, NULL, &found) : GLOB_NOMATCH;
    for (size_t i = 0; rc == 0 && i < found.gl_pathc; i++) {
        char *wrong =
            usi_certificate_read_file (certificate, found.gl_pathv[i], cluster->key);
        if (!wrong && certificate->role == role && count++ == 0)
            *path = strdup (found.gl_pathv[i]);
        free (wrong);
    }
    if (rc == 0)
        globfree (&found);
    free (certificate);
    free (pattern);
    return count;
}

static char *s_hint (const char *folder, usi_role_t role, size_t count)
{
    char *text;
    const char *word = usi_role_name (role);
    int len =
        count > 1
            ? asprintf (&text, "several keys of a %s are in %s: say which with --key",
                        word, folder)
            : asprintf (&text,
                        "there is no key of a %s in %s: see understudy-ctl "
                        "keygen --help",
                        word, folder);
    return len < 0 ? NULL : text;
}

static char *s_find_in (const char *folder, const char *cluster_path,
                        usi_identity_t **identity, char **hint, usi_role_t role)
{
    usi_cluster_t cluster;
    char *path = NULL;
    char *wrong = usi_cluster_read (&cluster, cluster_path);
    if (wrong)
        return wrong;
    size_t count = s_look (folder, &cluster, role, &path);
    /* An admin's key serves where a client's is wanted and there is none. */
    if (count == 0 && role == USI_ROLE_CLIENT)
        count = s_look (folder, &cluster, USI_ROLE_ADMIN, &path);
    usi_cluster_clear (&cluster);
    if (count == 1 && path)
        wrong = usi_identity_read (identity, path, cluster_path, role);
    else
        *hint = s_hint (folder, role, count);
    free (path);
    return wrong;
}

char *usi_trust_find (usi_identity_t **identity, char **hint, const char *key_path,
                      const char *cluster_path, usi_role_t role)
{
    *identity = NULL;
    *hint = NULL;
    if (key_path && strcmp (key_path, USI_NO_KEY) == 0)
        return NULL;
    char *folder = usi_place_config ();
    char *own = folder ? s_join (folder, CLUSTER_FILE) : NULL;
    const char *cluster = cluster_path ? cluster_path : own;
    char *wrong = NULL;
    if (!usi_keys_init () || (folder && !own))
        wrong = strdup ("");
    else if (key_path && cluster)
        wrong = usi_identity_read (identity, key_path, cluster, role);
    else if (folder && (cluster_path || access (own, F_OK) == 0))
        wrong = s_find_in (folder, cluster, identity, hint, role);
    else
        *hint = s_hint (folder ? folder : "~/.config/understudy", role, 0);
    free (own);
    free (folder);
    return wrong;
}

/* --- brokers --------------------------------------------------------------------------------- */

const char *usi_trust_broker (const usi_identity_t *identity,
                              const usi_revocation_t *revoked, usi_bytes_t certificate,
                              const uint8_t key[USI_KEY_LEN])
{
    const char *why = NULL;
    usi_certificate_t *read = malloc (sizeof *read);
    if (!read)
        return strerror (ENOMEM);
    if (usi_certificate_read (read, certificate, identity->cluster.key))
        why = "the broker shows no certificate of this cluster";
    else if (read->role != USI_ROLE_BROKER ||
             memcmp (read->transport, key, USI_KEY_LEN) != 0)
        why = "the broker's certificate belongs to another key";
    else if (usi_certificate_is_over (read, (int64_t) time (NULL)))
        why = "the broker's certificate has expired";
    else if (usi_revocation_has (revoked, key))
        why = "the broker's key was revoked";
    free (read);
    return why;
}
