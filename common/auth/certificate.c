/* SPDX-License-Identifier: MIT
 *
 * See certificate.h. Signed is the DSSE pre-authentication encoding of type and body
 * (https://github.com/secure-systems-lab/dsse/blob/master/protocol.md). */
#include "auth/certificate.h"

#include <ctype.h>
#include <fnmatch.h>
#include <sodium.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#define TYPE    "application/vnd.understudy.certificate.v1+msgpack"
#define DEPTH   4
#define OWNER   "understudy owner:"
#define PATTERN 512

/* --- words -------------------------------------------------------------------------- */

static const char *const s_roles[USI_ROLE__COUNT] = {NULL, "client", "node", "broker",
                                                     "admin"};
static const char *const s_whose[] = {"none", "own", "group", "all"};
static const char *const s_verbs[USI_VERBS] = {"see", "read", "cancel", "retry"};

static int s_find (const char *const *words, size_t count, const char *word)
{
    for (size_t i = 0; i < count; i++)
        if (words[i] && strcmp (words[i], word) == 0)
            return (int) i;
    return -1;
}

const char *usi_role_name (usi_role_t role)
{
    return role < USI_ROLE__COUNT ? s_roles[role] : NULL;
}

usi_role_t usi_role_find (const char *name)
{
    int role = s_find (s_roles, USI_ROLE__COUNT, name);
    return role < 0 ? USI_ROLE_NONE : (usi_role_t) role;
}

const char *usi_whose_name (usi_whose_t whose)
{
    return s_whose[whose];
}

int usi_whose_find (const char *name)
{
    return s_find (s_whose, sizeof s_whose / sizeof *s_whose, name);
}

const char *usi_verb_name (usi_verb_t verb)
{
    return s_verbs[verb];
}

bool usi_auth_name_valid (const char *name)
{
    size_t len = strlen (name);
    if (len == 0 || len > USI_AUTH_NAME_MAX || !isalnum ((unsigned char) name[0]))
        return false;
    for (size_t i = 0; i < len; i++)
        if (!isalnum ((unsigned char) name[i]) && !strchr ("._-@", name[i]))
            return false;
    return true;
}

/* --- signatures ---------------------------------------------------------------------- */

static void s_encode (usi_buf_t *out, const char *type, usi_bytes_t body)
{
    usi_buf_printf (out, "DSSEv1 %zu %s %zu ", strlen (type), type, body.len);
    usi_buf_append (out, body.data, body.len);
}

void usi_sign (usi_buf_t *out, const char *type, usi_bytes_t body,
               const usi_keys_t *keys)
{
    usi_buf_t text = {0};
    uint8_t signature[USI_SIGNATURE_LEN];
    s_encode (&text, type, body);
    crypto_sign_detached (signature, NULL, text.data, text.len, keys->signing_secret);
    usi_pack_array (out, 2);
    usi_pack_bin (out, body.data, body.len);
    usi_pack_bin (out, signature, sizeof signature);
    out->failed |= text.failed;
    usi_buf_free (&text);
}

bool usi_signed_body (usi_bytes_t bytes, const char *type,
                      const uint8_t key[USI_KEY_LEN], usi_bytes_t *body)
{
    if (!usi_pack_check (bytes, 2))
        return false;
    us_reader_t reader = usi_reader (bytes);
    us_value_t array = usi_read (&reader);
    us_value_t inner = usi_read (&reader), signature = usi_read (&reader);
    if (array.type != US_TYPE_ARRAY || array.as.count != 2 ||
        inner.type != US_TYPE_BIN || signature.type != US_TYPE_BIN ||
        signature.len != USI_SIGNATURE_LEN)
        return false;
    usi_buf_t text = {0};
    *body = usi_bytes (inner.data, inner.len);
    s_encode (&text, type, *body);
    bool is_good =
        !text.failed && crypto_sign_verify_detached ((const uint8_t *) signature.data,
                                                     text.data, text.len, key) == 0;
    usi_buf_free (&text);
    return is_good;
}

/* --- the body ------------------------------------------------------------------------ */

/* How a member of the certificate stands in its body. */
typedef enum s_kind {
    NAME,
    ROLE,
    KEY,
    SECONDS,
    NUMBER,
    SMALL,
    SWITCH,
    LIST,
    WHOSE
} s_kind_t;

#define MEMBER(member) offsetof (usi_certificate_t, member)
static const struct s_member {
    const char *name;
    s_kind_t kind;
    size_t offset;
} s_members[] = {
    {"name", NAME, MEMBER (name)},
    {"group", NAME, MEMBER (group)},
    {"role", ROLE, MEMBER (role)},
    {"transport", KEY, MEMBER (transport)},
    {"signing", KEY, MEMBER (signing)},
    {"sealing", KEY, MEMBER (sealing)},
    {"made", SECONDS, MEMBER (made_s)},
    {"expires", SECONDS, MEMBER (expires_s)},
    {"channels", LIST, MEMBER (rights.channels)},
    {"packages", LIST, MEMBER (rights.packages)},
    {"shell", SWITCH, MEMBER (rights.shell)},
    {"max_size", NUMBER, MEMBER (rights.max_size)},
    {"rate", SMALL, MEMBER (rights.rate)},
    {"queued", SMALL, MEMBER (rights.queued)},
    {"see", WHOSE, MEMBER (rights.whose[USI_MAY_SEE])},
    {"read", WHOSE, MEMBER (rights.whose[USI_MAY_READ])},
    {"cancel", WHOSE, MEMBER (rights.whose[USI_MAY_CANCEL])},
    {"retry", WHOSE, MEMBER (rights.whose[USI_MAY_RETRY])},
};
enum { MEMBERS = sizeof s_members / sizeof *s_members };

static void s_put (usi_buf_t *buf, const struct s_member *member, const void *at)
{
    const usi_list_t *list = at;
    const char *text = member->kind == ROLE    ? s_roles[*(const usi_role_t *) at]
                       : member->kind == WHOSE ? s_whose[*(const usi_whose_t *) at]
                                               : at;
    usi_pack_str (buf, member->name, strlen (member->name));
    switch (member->kind) {
    case KEY: usi_pack_bin (buf, at, USI_KEY_LEN); break;
    case SECONDS: usi_pack_int (buf, *(const int64_t *) at); break;
    case NUMBER: usi_pack_uint (buf, *(const uint64_t *) at); break;
    case SMALL: usi_pack_uint (buf, *(const uint32_t *) at); break;
    case SWITCH: usi_pack_bool (buf, *(const bool *) at); break;
    case LIST:
        usi_pack_array (buf, list->count);
        usi_buf_append (buf, list->raw.data, list->raw.len);
        break;
    default: usi_pack_str (buf, text, strlen (text));
    }
}

bool usi_certificate_sign (usi_certificate_t *self, const usi_keys_t *cluster)
{
    usi_buf_t body = {0}, whole = {0};
    usi_pack_map (&body, MEMBERS);
    for (int i = 0; i < MEMBERS; i++)
        s_put (&body, &s_members[i], (const char *) self + s_members[i].offset);
    usi_sign (&whole, TYPE, usi_buf_bytes (&body), cluster);
    bool fits =
        !body.failed && !whole.failed &&
        !usi_certificate_read (self, usi_buf_bytes (&whole), cluster->signing_public);
    usi_buf_free (&body);
    usi_buf_free (&whole);
    return fits;
}

static bool s_take_text (us_value_t value, char *text, size_t max)
{
    if (value.type != US_TYPE_STR || value.len > max)
        return false;
    memcpy (text, value.data, value.len);
    text[value.len] = '\0';
    return true;
}

static bool s_take_name (us_value_t value, char *name)
{
    return s_take_text (value, name, USI_AUTH_NAME_MAX) &&
           (name[0] == '\0' || usi_auth_name_valid (name));
}

static int s_take_word (us_value_t value, const char *const *words, size_t count)
{
    char text[16];
    return s_take_text (value, text, sizeof text - 1) ? s_find (words, count, text)
                                                      : -1;
}

static bool s_take_key (us_value_t value, uint8_t *key)
{
    bool is_key = value.type == US_TYPE_BIN && value.len == USI_KEY_LEN;
    if (is_key)
        memcpy (key, value.data, USI_KEY_LEN);
    return is_key;
}

static bool s_take_list (us_reader_t *reader, us_value_t value, usi_list_t *list)
{
    const uint8_t *from = reader->at;
    if (value.type != US_TYPE_ARRAY || value.as.count > USI_AUTH_LIST_MAX)
        return false;
    for (uint32_t i = 0; i < value.as.count; i++) {
        us_value_t element = usi_read (reader);
        if (element.type != US_TYPE_STR || element.len > PATTERN)
            return false;
    }
    *list =
        (usi_list_t){value.as.count, usi_bytes (from, (size_t) (reader->at - from))};
    return true;
}

static bool s_take_number (const struct s_member *member, us_value_t value, void *at)
{
    int64_t most = member->kind == SMALL ? UINT32_MAX : (int64_t) USI_UINT48;
    if (value.type != US_TYPE_INT || value.as.integer < 0 || value.as.integer > most)
        return false;
    if (member->kind == SMALL)
        *(uint32_t *) at = (uint32_t) value.as.integer;
    else if (member->kind == NUMBER)
        *(uint64_t *) at = (uint64_t) value.as.integer;
    else
        *(int64_t *) at = value.as.integer;
    return true;
}

static bool s_take (const struct s_member *member, us_reader_t *reader, void *at)
{
    us_value_t value = usi_read (reader);
    int word;
    switch (member->kind) {
    case NAME: return s_take_name (value, at);
    case KEY: return s_take_key (value, at);
    case LIST: return s_take_list (reader, value, at);
    case SWITCH:
        *(bool *) at = value.type == US_TYPE_BOOL && value.as.boolean;
        return value.type == US_TYPE_BOOL;
    case ROLE:
        word = s_take_word (value, s_roles, USI_ROLE__COUNT);
        *(usi_role_t *) at = word < 0 ? USI_ROLE_NONE : (usi_role_t) word;
        return word >= 0;
    case WHOSE:
        word = s_take_word (value, s_whose, sizeof s_whose / sizeof *s_whose);
        *(usi_whose_t *) at = word < 0 ? USI_NOBODYS : (usi_whose_t) word;
        return word >= 0;
    default: return s_take_number (member, value, at);
    }
}

static const struct s_member *s_member (us_value_t key)
{
    for (int i = 0; key.type == US_TYPE_STR && i < MEMBERS; i++)
        if (usi_bytes_equal (usi_bytes (key.data, key.len),
                             usi_bytes_of (s_members[i].name)))
            return &s_members[i];
    return NULL;
}

/* All members have to be there, and nothing else: a right that is not known here might be a
 * limit that whoever signed it meant. */
static bool s_read_body (usi_certificate_t *self, usi_bytes_t body)
{
    uint32_t has = 0;
    us_reader_t reader = usi_reader (body);
    us_value_t map = usi_read (&reader);
    if (!usi_pack_check (body, DEPTH) || map.type != US_TYPE_MAP ||
        map.as.count != MEMBERS)
        return false;
    for (int i = 0; i < MEMBERS; i++) {
        const struct s_member *member = s_member (usi_read (&reader));
        if (!member || !s_take (member, &reader, (char *) self + member->offset))
            return false;
        has |= (uint32_t) 1 << (member - s_members);
    }
    return has == ((uint32_t) 1 << MEMBERS) - 1 && self->name[0];
}

const char *usi_certificate_read (usi_certificate_t *certificate, usi_bytes_t bytes,
                                  const uint8_t cluster[USI_KEY_LEN])
{
    usi_bytes_t body;
    if (bytes.len > USI_MAX_CERTIFICATE)
        return "it is longer than a certificate may be";
    *certificate = (usi_certificate_t){.len = bytes.len};
    memcpy (certificate->bytes, bytes.data, bytes.len);
    if (!usi_signed_body (usi_bytes (certificate->bytes, certificate->len), TYPE,
                          cluster, &body))
        return "it is not signed by this cluster";
    return s_read_body (certificate, body) ? NULL
                                           : "it says something that is not known here";
}

bool usi_certificate_is_over (const usi_certificate_t *self, int64_t now_s)
{
    return self->expires_s > 0 && now_s >= self->expires_s;
}

/* --- what it allows ------------------------------------------------------------------- */

static bool s_fits (usi_bytes_t pattern, usi_bytes_t text)
{
    char a[PATTERN + 1], b[PATTERN + 1];
    if (pattern.len == 1 && pattern.data[0] == '*')
        return true;
    if (pattern.len > PATTERN || text.len > PATTERN)
        return false;
    memcpy (a, pattern.data, pattern.len);
    a[pattern.len] = '\0';
    memcpy (b, text.data, text.len);
    b[text.len] = '\0';
    return fnmatch (a, b, 0) == 0;
}

bool usi_pattern_fits (const usi_list_t *patterns, usi_bytes_t text)
{
    size_t position = 0;
    for (usi_bytes_t pattern; usi_list_next (patterns, &position, &pattern);)
        if (s_fits (pattern, text))
            return true;
    return false;
}

uint64_t usi_certificate_owner (const char *name)
{
    uint8_t digest[USI_DIGEST_LEN];
    char text[sizeof OWNER + USI_AUTH_NAME_MAX];
    int len = snprintf (text, sizeof text, OWNER "%s", name);
    usi_sha256 (text, (size_t) len, digest);
    uint64_t owner = usi_get_be (digest, 8);
    return owner ? owner : 1;
}

uint64_t usi_certificate_node (const char *name, uint64_t id)
{
    return (usi_certificate_owner (name) & ~(uint64_t) UINT32_MAX) | (id & UINT32_MAX);
}
