/* SPDX-License-Identifier: MIT
 *
 * Rights: see rights.h. */
#include "rights.h"

#include <stdlib.h>
#include <string.h>

#include "mem.h"

enum {
    KEY_CHANNEL = 'c',
    KEY_PACKAGE = 'p',
    KEY_GROUP = 'g',
    KEY_NO_SHELL = 1200,
    KEY_MAX_SIZE,
    KEY_RATE,
    KEY_QUEUED,
    KEY_EXPIRES,
    KEY_WHOSE /* and one for each verb */
};

static const struct argp_option s_options[] = {
    {"channel", KEY_CHANNEL, "PATTERN", 0,
     "channels to submit to or to listen on, like calc*; may be repeated (default: "
     "all)",
     3},
    {"package", KEY_PACKAGE, "PATTERN", 0,
     "packages that jobs may ask for, like numpy; may be repeated (default: all)", 3},
    {"no-shell", KEY_NO_SHELL, NULL, 0, "no shell commands", 3},
    {"max-size", KEY_MAX_SIZE, "SIZE", 0,
     "most bytes of a job's arguments and code together, like 64K or 2M (default: as "
     "the "
     "broker says)",
     3},
    {"rate", KEY_RATE, "N", 0, "most jobs a second (default: no limit)", 3},
    {"queued", KEY_QUEUED, "N", 0,
     "most jobs in a channel that have not ended; whoever has more waits (default: no "
     "limit)",
     3},
    {"group", KEY_GROUP, "NAME", 0, "the group that it belongs to", 4},
    {"see", KEY_WHOSE + USI_MAY_SEE, "WHOSE", 0,
     "whose jobs it sees: none, own, group or all (default: own, or those that it may "
     "do "
     "something with)",
     4},
    {"read", KEY_WHOSE + USI_MAY_READ, "WHOSE", 0, "whose results and logs it reads",
     4},
    {"cancel", KEY_WHOSE + USI_MAY_CANCEL, "WHOSE", 0,
     "whose jobs it cancels or purges", 4},
    {"retry", KEY_WHOSE + USI_MAY_RETRY, "WHOSE", 0, "whose jobs it submits again", 4},
    {"expires", KEY_EXPIRES, "TIME", 0,
     "good for so long, like 90d (default: for ever)", 5},
    {0},
};

static void s_add (struct argp_state *state, const char *name, usi_buf_t *list,
                   uint32_t *count, const char *pattern)
{
    if (!*pattern || strlen (pattern) > 128 || *count == USI_AUTH_LIST_MAX)
        argp_error (state, "--%s: 64 patterns of 1 to 128 bytes at most", name);
    usi_list_add_str (list, usi_bytes_of (pattern));
    (*count)++;
}

static unsigned s_count (struct argp_state *state, const char *name, const char *text)
{
    unsigned count = 0;
    if (!parse_count (text, INT32_MAX, &count) || count == 0)
        argp_error (state, "--%s '%s' is not a number from 1", name, text);
    return count;
}

static void s_parse_whose (rights_t *rights, struct argp_state *state, int verb,
                           const char *text)
{
    int whose = usi_whose_find (text);
    if (whose < 0)
        argp_error (state, "--%s '%s' is not one of none, own, group, all",
                    usi_verb_name ((usi_verb_t) verb), text);
    rights->whose[verb] = whose + 1;
}

static error_t s_parse (int key, char *arg, struct argp_state *state)
{
    rights_t *rights = state->input;
    switch (key) {
    case KEY_CHANNEL:
        s_add (state, "channel", &rights->channels, &rights->channels_len, arg);
        break;
    case KEY_PACKAGE:
        s_add (state, "package", &rights->packages, &rights->packages_len, arg);
        break;
    case KEY_NO_SHELL: rights->no_shell = true; break;
    case KEY_MAX_SIZE:
        if (!parse_size (arg, &rights->max_size) || rights->max_size == 0)
            argp_error (state, "--max-size '%s' is not a size like 64K or 2M", arg);
        break;
    case KEY_RATE: rights->rate = s_count (state, "rate", arg); break;
    case KEY_QUEUED: rights->queued = s_count (state, "queued", arg); break;
    case KEY_GROUP:
        if (!usi_auth_name_valid (arg))
            argp_error (state, "--group '%s' is not a name", arg);
        rights->group = arg;
        break;
    case KEY_EXPIRES:
        if (!parse_ms (arg, &rights->expires_ms) || rights->expires_ms < 1000)
            argp_error (state, "--expires '%s' is not a time like 90d or 12h", arg);
        break;
    default:
        if (key < KEY_WHOSE || key >= KEY_WHOSE + USI_VERBS)
            return ARGP_ERR_UNKNOWN;
        s_parse_whose (rights, state, key - KEY_WHOSE, arg);
    }
    rights->any = true;
    return 0;
}

const struct argp rights_argp = {.options = s_options, .parser = s_parse};

void rights_clear (rights_t *rights)
{
    usi_buf_free (&rights->channels);
    usi_buf_free (&rights->packages);
}

static usi_list_t s_list (usi_buf_t *list, uint32_t *count)
{
    if (*count == 0) {
        usi_list_add_str (list, usi_bytes_of ("*"));
        *count = 1;
    }
    return usi_list_of (list, *count);
}

/* Who may do something with a job wants to see it, too. */
static usi_whose_t s_widest (const usi_rights_t *rights)
{
    usi_whose_t widest = USI_NOBODYS;
    for (int verb = 0; verb < USI_VERBS; verb++)
        if (rights->whose[verb] > widest)
            widest = rights->whose[verb];
    return widest;
}

void rights_apply (rights_t *rights, usi_certificate_t *certificate)
{
    bool is_admin = certificate->role == USI_ROLE_ADMIN;
    usi_rights_t *into = &certificate->rights;
    *into =
        (usi_rights_t){.channels = s_list (&rights->channels, &rights->channels_len),
                       .packages = s_list (&rights->packages, &rights->packages_len),
                       .shell = !rights->no_shell,
                       .max_size = rights->max_size,
                       .rate = rights->rate,
                       .queued = rights->queued};
    for (int verb = 0; verb < USI_VERBS; verb++)
        into->whose[verb] = rights->whose[verb]
                                ? (usi_whose_t) (rights->whose[verb] - 1)
                            : is_admin ? USI_ALL
                                       : USI_OWN;
    if (!rights->whose[USI_MAY_SEE])
        into->whose[USI_MAY_SEE] = s_widest (into);
    if (rights->group)
        snprintf (certificate->group, sizeof certificate->group, "%s", rights->group);
    if (rights->expires_ms)
        certificate->expires_s = certificate->made_s + rights->expires_ms / 1000;
}

static json_t *s_json_list (const usi_list_t *list)
{
    json_t *array = json_array ();
    size_t position = 0;
    for (usi_bytes_t element; usi_list_next (list, &position, &element);)
        json_array_append_new (array,
                               json_stringn ((const char *) element.data, element.len));
    return array;
}

static void s_set_number (json_t *row, const char *key, uint64_t number)
{
    if (number)
        json_object_set_new (row, key, json_integer ((json_int_t) number));
}

json_t *rights_json (const usi_certificate_t *certificate)
{
    char public[USI_KEY_TEXT_LEN + 1];
    const usi_rights_t *rights = &certificate->rights;
    usi_key_text (certificate->transport, public);
    json_t *row = json_pack ("{s:s, s:s, s:s, s:I}", "name", certificate->name, "role",
                             usi_role_name (certificate->role), "public", public,
                             "made_ms", (json_int_t) certificate->made_s * 1000);
    if (certificate->group[0])
        json_object_set_new (row, "group", json_string (certificate->group));
    s_set_number (row, "expires_ms", (uint64_t) certificate->expires_s * 1000);
    json_object_set_new (row, "channels", s_json_list (&rights->channels));
    json_object_set_new (row, "packages", s_json_list (&rights->packages));
    json_object_set_new (row, "shell", json_boolean (rights->shell));
    s_set_number (row, "max_size", rights->max_size);
    s_set_number (row, "rate", rights->rate);
    s_set_number (row, "queued", rights->queued);
    for (int verb = 0; verb < USI_VERBS; verb++)
        json_object_set_new (row, usi_verb_name ((usi_verb_t) verb),
                             json_string (usi_whose_name (rights->whose[verb])));
    return row;
}
