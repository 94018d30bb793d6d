/* SPDX-License-Identifier: MIT
 *
 * See keyfile.h. */
#include "auth/keyfile.h"

#include <errno.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/file.h"

#define FILE_MAX (512 * 1024)
#define BASE64   sodium_base64_VARIANT_URLSAFE_NO_PADDING

#define HEAD_KEY         "understudy key"
#define HEAD_CLUSTER     "understudy cluster"
#define HEAD_CLUSTER_KEY "understudy cluster key"
#define HEAD_CERTIFICATE "understudy certificate"

/* One line that says what is wrong; "" where memory has ended. */
static char *s_wrong (const char *path, const char *why)
{
    char *text;
    return asprintf (&text, "%s: %s", path, why) < 0 ? strdup ("") : text;
}

/* --- reading a file -------------------------------------------------------------------- */

/* Secret: a file that others may read is one that others have read. */
static const char *s_reason (int error)
{
    switch (error) {
    case EPERM:
        return "others may read this secret, or it is another user's: make another key "
               "with understudy-ctl keygen, or, if nobody did, chmod 600 it";
    case EINVAL: return "this is not a file";
    case EFBIG: return "this is too long for a file of keys";
    default: return strerror (error);
    }
}

/* Its text, NUL terminated, in file. NULL: *why says why. s_unload follows in both cases. */
static char *s_load (const char *path, bool is_secret, usi_buf_t *file,
                     const char **why)
{
    int error = is_secret ? usi_file_read_secret (path, FILE_MAX, file)
                          : usi_file_read (path, FILE_MAX, file);
    *why = error ? s_reason (error) : NULL;
    if (error)
        return NULL;
    usi_buf_append (file, "", 1);
    return (char *) file->data;
}

static void s_unload (usi_buf_t *file)
{
    if (file->data)
        usi_wipe (file->data, (unsigned) file->len);
    usi_buf_free (file);
}

/* The next line that says something: its word and its value, NUL terminated in place. False:
 * there is none. */
static bool s_next (char **at, char **word, char **value)
{
    while (**at) {
        char *line = *at;
        size_t len = strcspn (line, "\r\n");
        *at = line + len + (line[len] != '\0');
        line[len] = '\0';
        line += strspn (line, " \t");
        if (*line == '\0' || *line == '#')
            continue;
        *word = line;
        line += strcspn (line, " \t");
        *value = *line ? line + 1 + strspn (line + 1, " \t") : line;
        *line = '\0';
        return true;
    }
    return false;
}

/* The first line says what the file is. */
static const char *s_check_head (char **at, const char *const *heads)
{
    char *line = *at;
    size_t len = strcspn (line, "\r\n");
    *at = line + len + (line[len] != '\0');
    for (; *heads; heads++)
        if (strlen (*heads) == len && strncmp (line, *heads, len) == 0)
            return NULL;
    if (strncmp (line, "understudy ", 11) == 0)
        return "this is another of the files that understudy-ctl keygen makes";
    return "this is not a file of understudy-ctl keygen";
}

/* --- values ----------------------------------------------------------------------------- */

static bool s_take_seed (const char *value, uint8_t seed[USI_KEY_LEN])
{
    size_t len = 0;
    return strlen (value) == 2 * USI_KEY_LEN &&
           sodium_hex2bin (seed, USI_KEY_LEN, value, 2 * USI_KEY_LEN, NULL, &len,
                           NULL) == 0 &&
           len == USI_KEY_LEN;
}

static const char *s_take_certificate (const char *value,
                                       usi_certificate_t *certificate,
                                       const uint8_t cluster[USI_KEY_LEN])
{
    uint8_t bytes[USI_MAX_CERTIFICATE];
    size_t len = 0;
    const char *end = NULL;
    if (sodium_base642bin (bytes, sizeof bytes, value, strlen (value), NULL, &len, &end,
                           BASE64) != 0 ||
        *end)
        return "a certificate in it is damaged";
    return usi_certificate_read (certificate, usi_bytes (bytes, len), cluster);
}

static bool s_take_name (const char *value, char *name)
{
    if (!usi_auth_name_valid (value))
        return false;
    snprintf (name, USI_AUTH_NAME_MAX + 1, "%s", value);
    return true;
}

/* --- cluster ----------------------------------------------------------------------------- */

static const char *s_add_broker (usi_cluster_t *self, const char *value)
{
    if (self->brokers_len == USI_CLUSTER_BROKERS_MAX)
        return "it lists more than 64 brokers";
    usi_certificate_t *broker = malloc (sizeof *broker);
    if (!broker)
        return strerror (ENOMEM);
    const char *why = s_take_certificate (value, broker, self->key);
    if (!why && broker->role != USI_ROLE_BROKER)
        why = "it lists somebody who is no broker";
    if (why)
        free (broker);
    else
        self->brokers[self->brokers_len++] = broker;
    return why;
}

/* The key stands before what it has signed. */
static const char *s_parse_cluster (usi_cluster_t *self, char *at)
{
    static const char *const heads[] = {HEAD_CLUSTER, NULL};
    const char *why = s_check_head (&at, heads);
    bool has_key = false, has_name = false;
    for (char *word, *value; !why && s_next (&at, &word, &value);) {
        if (strcmp (word, "key") == 0)
            why = (has_key = usi_key_parse (value, self->key)) ? NULL
                                                               : "its key is damaged";
        else if (strcmp (word, "name") == 0)
            why = (has_name = s_take_name (value, self->name)) ? NULL
                                                               : "its name is damaged";
        else if (strcmp (word, "broker") == 0)
            why = has_key ? s_add_broker (self, value) : "it is damaged";
    }
    return why ? why : has_key && has_name ? NULL : "it is not complete";
}

char *usi_cluster_read (usi_cluster_t *cluster, const char *path)
{
    const char *why;
    usi_buf_t file = {0};
    *cluster = (usi_cluster_t){0};
    char *text = s_load (path, false, &file, &why);
    if (text)
        why = s_parse_cluster (cluster, text);
    s_unload (&file);
    if (why)
        usi_cluster_clear (cluster);
    return why ? s_wrong (path, why) : NULL;
}

void usi_cluster_clear (usi_cluster_t *cluster)
{
    while (cluster->brokers_len > 0)
        free (cluster->brokers[--cluster->brokers_len]);
}

/* --- seeds ------------------------------------------------------------------------------- */

static const char *s_parse_cluster_key (usi_cluster_key_t *self, char *at)
{
    static const char *const heads[] = {HEAD_CLUSTER_KEY, NULL};
    const char *why = s_check_head (&at, heads);
    bool has_seed = false, has_name = false;
    for (char *word, *value; !why && s_next (&at, &word, &value);) {
        if (strcmp (word, "seed") == 0)
            has_seed = s_take_seed (value, self->seed);
        else if (strcmp (word, "name") == 0)
            has_name = s_take_name (value, self->name);
    }
    if (!why && !(has_seed && has_name))
        why = "it is damaged";
    if (!why)
        usi_keys_derive (&self->keys, self->seed);
    return why;
}

char *usi_cluster_key_read (usi_cluster_key_t *key, const char *path)
{
    const char *why;
    usi_buf_t file = {0};
    *key = (usi_cluster_key_t){0};
    char *text = s_load (path, true, &file, &why);
    if (text)
        why = s_parse_cluster_key (key, text);
    s_unload (&file);
    return why ? s_wrong (path, why) : NULL;
}

/* seed may be NULL. */
static const char *s_parse_certificate (char *at, uint8_t *seed,
                                        usi_certificate_t *certificate,
                                        const uint8_t cluster[USI_KEY_LEN])
{
    static const char *const keys[] = {HEAD_KEY, NULL};
    static const char *const both[] = {HEAD_KEY, HEAD_CERTIFICATE, NULL};
    const char *why = s_check_head (&at, seed ? keys : both);
    bool has_seed = !seed, has_certificate = false;
    for (char *word, *value; !why && s_next (&at, &word, &value);) {
        if (seed && strcmp (word, "seed") == 0)
            has_seed = s_take_seed (value, seed);
        else if (strcmp (word, "certificate") == 0) {
            why = s_take_certificate (value, certificate, cluster);
            has_certificate = true;
        }
    }
    return why || (has_seed && has_certificate) ? why : "it is damaged";
}

char *usi_certificate_read_file (usi_certificate_t *certificate, const char *path,
                                 const uint8_t cluster[USI_KEY_LEN])
{
    const char *why;
    usi_buf_t file = {0};
    char *text = s_load (path, false, &file, &why);
    if (text)
        why = s_parse_certificate (text, NULL, certificate, cluster);
    s_unload (&file);
    return why ? s_wrong (path, why) : NULL;
}

/* --- identity ---------------------------------------------------------------------------- */

static const char *s_check_identity (const usi_identity_t *self, usi_role_t role,
                                     char *room, size_t size)
{
    const usi_certificate_t *own = &self->certificate;
    if (memcmp (own->transport, self->keys.transport_public, USI_KEY_LEN) != 0 ||
        memcmp (own->signing, self->keys.signing_public, USI_KEY_LEN) != 0 ||
        memcmp (own->sealing, self->keys.sealing_public, USI_KEY_LEN) != 0)
        return "its certificate belongs to another key";
    if (own->role != role &&
        !(own->role == USI_ROLE_ADMIN && role == USI_ROLE_CLIENT)) {
        snprintf (room, size, "this is the key of a %s, but the key of a %s is needed",
                  usi_role_name (own->role), usi_role_name (role));
        return room;
    }
    if (usi_certificate_is_over (own, (int64_t) time (NULL)))
        return "it has expired: make another with understudy-ctl keygen";
    return NULL;
}

static char *s_read_identity (usi_identity_t *self, const char *key_path,
                              const char *cluster_path, usi_role_t role)
{
    const char *why;
    usi_buf_t file = {0};
    char room[128];
    uint8_t seed[USI_KEY_LEN];
    char *wrong = usi_cluster_read (&self->cluster, cluster_path);
    if (wrong)
        return wrong;
    char *text = s_load (key_path, true, &file, &why);
    if (text)
        why = s_parse_certificate (text, seed, &self->certificate, self->cluster.key);
    s_unload (&file);
    if (!why) {
        usi_keys_derive (&self->keys, seed);
        why = s_check_identity (self, role, room, sizeof room);
    }
    usi_wipe (seed, sizeof seed);
    return why ? s_wrong (key_path, why) : NULL;
}

char *usi_identity_read (usi_identity_t **identity, const char *key_path,
                         const char *cluster_path, usi_role_t role)
{
    *identity = calloc (1, sizeof **identity);
    if (*identity)
        atomic_init (&(*identity)->refs, 1);
    if (!*identity || !usi_keys_init ()) {
        usi_identity_free (identity);
        return strdup ("");
    }
    char *wrong = s_read_identity (*identity, key_path, cluster_path, role);
    if (wrong)
        usi_identity_free (identity);
    return wrong;
}

void usi_identity_free (usi_identity_t **identity_p)
{
    usi_identity_t *self = *identity_p;
    *identity_p = NULL;
    if (!self || atomic_fetch_sub (&self->refs, 1) > 1)
        return;
    usi_keys_wipe (&self->keys);
    usi_cluster_clear (&self->cluster);
    free (self);
}

usi_identity_t *usi_identity_share (usi_identity_t *identity)
{
    if (identity)
        atomic_fetch_add (&identity->refs, 1);
    return identity;
}

/* --- writing ------------------------------------------------------------------------------ */

static void s_put_certificate (usi_buf_t *text, const char *word,
                               const usi_certificate_t *certificate)
{
    char room[2 * USI_MAX_CERTIFICATE];
    sodium_bin2base64 (room, sizeof room, certificate->bytes, certificate->len, BASE64);
    usi_buf_printf (text, "%s %s\n", word, room);
}

static void s_put_seed (usi_buf_t *text, const uint8_t seed[USI_KEY_LEN])
{
    char room[2 * USI_KEY_LEN + 1];
    sodium_bin2hex (room, sizeof room, seed, USI_KEY_LEN);
    usi_buf_printf (text, "seed %s\n", room);
    usi_wipe (room, sizeof room);
}

/* Both consume the text. */
static int s_create (usi_buf_t *text, const char *path)
{
    int rc = text->failed ? ENOMEM : usi_file_create (path, usi_buf_bytes (text));
    s_unload (text);
    return rc;
}

static int s_replace (usi_buf_t *text, const char *path)
{
    int rc = text->failed ? ENOMEM : usi_file_write (path, usi_buf_bytes (text), 0644);
    usi_buf_free (text);
    return rc;
}

int usi_key_write (const char *path, const uint8_t seed[USI_KEY_LEN],
                   const usi_certificate_t *certificate)
{
    usi_buf_t text = {0};
    usi_buf_printf (&text,
                    HEAD_KEY
                    "\n# Secret: whoever has this file is %s (%s) to everybody.\n",
                    certificate->name, usi_role_name (certificate->role));
    s_put_seed (&text, seed);
    s_put_certificate (&text, "certificate", certificate);
    return s_create (&text, path);
}

int usi_cluster_key_write (const char *path, const usi_cluster_key_t *key)
{
    usi_buf_t text = {0};
    usi_buf_printf (&text,
                    HEAD_CLUSTER_KEY
                    "\n# Secret: whoever has this file may make any key "
                    "of this cluster. Keep it away from brokers and "
                    "nodes.\nname %s\n",
                    key->name);
    s_put_seed (&text, key->seed);
    return s_create (&text, path);
}

int usi_cluster_write (const char *path, const usi_cluster_t *cluster)
{
    usi_buf_t text = {0};
    char key[USI_KEY_TEXT_LEN + 1];
    usi_key_text (cluster->key, key);
    usi_buf_printf (&text,
                    HEAD_CLUSTER "\n# Public: every peer has a copy of this file.\nkey "
                                 "%s\nname %s\n",
                    key, cluster->name);
    for (size_t i = 0; i < cluster->brokers_len; i++)
        s_put_certificate (&text, "broker", cluster->brokers[i]);
    return s_replace (&text, path);
}

int usi_certificate_write (const char *path, const usi_certificate_t *certificate)
{
    usi_buf_t text = {0};
    usi_buf_printf (&text, HEAD_CERTIFICATE "\n# Public: %s (%s)\n", certificate->name,
                    usi_role_name (certificate->role));
    s_put_certificate (&text, "certificate", certificate);
    return s_replace (&text, path);
}
