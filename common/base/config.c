/* SPDX-License-Identifier: MIT
 *
 * Settings, see config.h. Each value remembers the rank of where it came from, so the
 * order in which argv, variables and file are read does not matter.
 *
 * The file is ZPL as czmq's zconfig reads it. It is read here, line by line, because
 * zconfig prints what it finds wrong on stdout and forgets line numbers; the library must
 * not print, and an operator wants the line. Nothing here aborts when memory ends. */
#include "base/config.h"

#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "understudy/version.h"

#define KEY_CONFIG 0x10000 /* beyond every key of a table */
#define INDENT     4       /* spaces a level, as ZPL has it */

typedef enum rank {
    RANK_NONE,
    RANK_INITIAL,
    RANK_FILE,    /* top level of the file */
    RANK_SECTION, /* the program's own section */
    RANK_VARIABLE,
    RANK_FLAG,
} rank_t;

typedef struct value {
    rank_t rank;
    int line;       /* of the file */
    char *text;     /* of a list: its elements, by comma */
    char *elements; /* of a list: NUL terminated, one after the other */
    size_t count;
} value_t;

struct usi_config {
    const char *section;
    const usi_setting_t *settings;
    value_t *values; /* one for each setting */
    char *path;      /* of the file that was read; NULL: none */
    char *flag_path; /* --config */
    char *error;
};

/* --- values ------------------------------------------------------------------------ */

static size_t s_table_len (const usi_setting_t *settings)
{
    size_t len = 0;
    while (settings[len].name)
        len++;
    return len;
}

/* Index of a setting; the length of the table where there is none. */
static size_t s_find (const usi_config_t *self, const char *name)
{
    size_t i = 0;
    while (self->settings[i].name && strcmp (self->settings[i].name, name) != 0)
        i++;
    return i;
}

static us_err_t s_fail (usi_config_t *self, const char *format, ...)
    __attribute__ ((format (printf, 2, 3)));

static us_err_t s_fail (usi_config_t *self, const char *format, ...)
{
    free (self->error);
    va_list args;
    va_start (args, format);
    if (vasprintf (&self->error, format, args) < 0)
        self->error = NULL;
    va_end (args);
    return US_ERR_CONFIG;
}

/* The elements of a list, without blanks around them and without empty ones. */
static us_err_t s_split (value_t *value)
{
    char *elements = malloc (strlen (value->text) + 1);
    if (!elements)
        return US_ERR_NOMEM;

    size_t count = 0;
    char *to = elements;
    const char *from = value->text;
    while (*from) {
        size_t len = strcspn (from, ",");
        const char *next = from + len + (from[len] == ',');
        while (len && isspace ((unsigned char) *from))
            from++, len--;
        while (len && isspace ((unsigned char) from[len - 1]))
            len--;
        if (len) {
            memcpy (to, from, len);
            to[len] = '\0';
            to += len + 1;
            count++;
        }
        from = next;
    }
    free (value->elements);
    value->elements = elements;
    value->count = count;
    return US_OK;
}

/* A higher rank replaces a lower one; a list grows by what comes with the same rank. */
static us_err_t s_set (usi_config_t *self, size_t index, rank_t rank, const char *text,
                       int line)
{
    value_t *value = &self->values[index];
    if (rank < value->rank)
        return US_OK;

    bool is_list = self->settings[index].list;
    char *copy = NULL;
    if (is_list && rank == value->rank) {
        if (asprintf (&copy, "%s,%s", value->text, text) < 0)
            copy = NULL;
    } else
        copy = strdup (text);
    if (!copy)
        return US_ERR_NOMEM;

    free (value->text);
    value->text = copy;
    value->rank = rank;
    value->line = line;
    return is_list ? s_split (value) : US_OK;
}

usi_config_t *usi_config_new (const char *section, const usi_setting_t *settings)
{
    usi_config_t *self = calloc (1, sizeof *self);
    if (!self)
        return NULL;
    self->section = section;
    self->settings = settings;
    self->values = calloc (s_table_len (settings) + 1, sizeof *self->values);
    if (!self->values)
        usi_config_destroy (&self);
    for (size_t i = 0; self && settings[i].name; i++)
        if (settings[i].initial &&
            s_set (self, i, RANK_INITIAL, settings[i].initial, 0) != US_OK)
            usi_config_destroy (&self);
    return self;
}

void usi_config_destroy (usi_config_t **self_p)
{
    usi_config_t *self = *self_p;
    if (!self)
        return;
    for (size_t i = 0; self->values && self->settings[i].name; i++) {
        free (self->values[i].text);
        free (self->values[i].elements);
    }
    free (self->values);
    free (self->path);
    free (self->flag_path);
    free (self->error);
    free (self);
    *self_p = NULL;
}

/* --- variables --------------------------------------------------------------------- */

/* UNDERSTUDY_CACHE_LIMIT for cache-limit. */
static void s_variable_name (const char *name, char *variable, size_t size)
{
    size_t at = (size_t) snprintf (variable, size, "UNDERSTUDY_");
    for (; *name && at + 1 < size; name++)
        variable[at++] = *name == '-' ? '_' : (char) toupper ((unsigned char) *name);
    variable[at] = '\0';
}

static us_err_t s_read_variables (usi_config_t *self)
{
    us_err_t err = US_OK;
    for (size_t i = 0; self->settings[i].name && err == US_OK; i++) {
        char variable[96];
        s_variable_name (self->settings[i].name, variable, sizeof variable);
        const char *text = getenv (variable);
        if (text && *text)
            err = s_set (self, i, RANK_VARIABLE, text, 0);
    }
    return err;
}

/* --- the file ---------------------------------------------------------------------- */

typedef struct line {
    size_t level;
    const char *name;  /* NULL: nothing but blanks or a comment */
    const char *value; /* NULL: there was no '=' */
} line_t;

static bool s_is_name_char (char c)
{
    return isalnum ((unsigned char) c) || (c && strchr ("$-_@.&+/", c));
}

/* What may follow a quoted value or a name without one. */
static bool s_is_blank (const char *at)
{
    at += strspn (at, " \t");
    return *at == '\0' || *at == '#';
}

/* Reads what stands behind '='; returns what is wrong or NULL. */
static const char *s_parse_value (char *at, const char **value)
{
    at += strspn (at, " \t");
    if (*at == '"' || *at == '\'') {
        char *end = strchr (at + 1, *at);
        if (!end)
            return "the closing quote is missing";
        if (!s_is_blank (end + 1))
            return "there is more behind the closing quote";
        *end = '\0';
        *value = at + 1;
        return NULL;
    }
    at[strcspn (at, "#")] = '\0';
    for (size_t len = strlen (at); len && isspace ((unsigned char) at[len - 1]);)
        at[--len] = '\0';
    *value = at;
    return NULL;
}

/* Takes a line apart in place; returns what is wrong or NULL. */
static const char *s_parse_line (char *text, line_t *line)
{
    *line = (line_t){0};
    for (size_t len = strlen (text); len && isspace ((unsigned char) text[len - 1]);)
        text[--len] = '\0';
    if (s_is_blank (text))
        return NULL;

    size_t indent = strspn (text, " ");
    if (text[indent] == '\t')
        return "a tab; indent by four spaces";
    if (indent % INDENT)
        return "the indent is not a multiple of four spaces";
    line->level = indent / INDENT;

    char *name = text + indent;
    char *at = name;
    while (s_is_name_char (*at))
        at++;
    if (at == name)
        return "a line begins with the name of a setting";
    char *end = at;
    at += strspn (at, " \t");
    if (*at == '=') {
        const char *why = s_parse_value (at + 1, &line->value);
        if (why)
            return why;
    } else if (*at != '\0' && *at != '#')
        return "an equals sign must follow the name";
    *end = '\0';
    line->name = name;
    return NULL;
}

static bool s_is_section (const char *name)
{
    return strcmp (name, "broker") == 0 || strcmp (name, "node") == 0 ||
           strcmp (name, "client") == 0;
}

/* Where the reader of a file is. */
typedef struct place {
    const char *path;
    int line;
    bool has_section; /* a line of level 0 came before */
    bool is_own;      /* and it names this program's section */
} place_t;

static us_err_t s_take_line (usi_config_t *self, place_t *place, const line_t *line)
{
    if (line->level > 1)
        return s_fail (self, "%s:%d: '%s' is indented too deep", place->path,
                       place->line, line->name);
    if (line->level == 1 && !place->has_section)
        return s_fail (self, "%s:%d: '%s' is indented, but no section stands above it",
                       place->path, place->line, line->name);

    size_t index = s_find (self, line->name);
    bool known = self->settings[index].name != NULL;
    if (line->level == 0) {
        /* `broker = …` is a setting, `broker` alone a section; others' settings may stand
         * on this level, so only a section can be seen to be unknown. */
        place->has_section = true;
        place->is_own = strcmp (line->name, self->section) == 0;
        if (!line->value && !s_is_section (line->name))
            usi_warning ("config.unknown", "unknown section %s file=%s line=%d",
                         line->name, place->path, place->line);
        if (!line->value || !known)
            return US_OK;
        return s_set (self, index, RANK_FILE, line->value, place->line);
    }
    if (!place->is_own)
        return US_OK;
    if (!known) {
        usi_warning ("config.unknown",
                     "unknown setting %s in section %s file=%s line=%d", line->name,
                     self->section, place->path, place->line);
        return US_OK;
    }
    const char *value = line->value                 ? line->value
                        : self->settings[index].arg ? ""
                                                    : "1";
    return s_set (self, index, RANK_SECTION, value, place->line);
}

static us_err_t s_read_file (usi_config_t *self, FILE *file, const char *path)
{
    us_err_t err = US_OK;
    char *text = NULL;
    size_t size = 0;
    place_t place = {.path = path};
    ssize_t len;
    errno = 0;
    while (err == US_OK && (len = getline (&text, &size, file)) >= 0) {
        line_t line;
        place.line++;
        const char *why =
            strlen (text) == (size_t) len ? s_parse_line (text, &line) : "a NUL byte";
        if (why)
            err = s_fail (self, "%s:%d: %s", path, place.line, why);
        else if (line.name)
            err = s_take_line (self, &place, &line);
        errno = 0;
    }
    if (err == US_OK && ferror (file))
        err = s_fail (self, "%s: %s", path, strerror (errno));
    free (text);
    return err;
}

/* must: somebody named this file, so it has to be there. *found tells whether it is. */
static us_err_t s_try_file (usi_config_t *self, const char *path, bool must,
                            bool *found)
{
    *found = false;
    FILE *file = fopen (path, "re");
    if (!file) {
        if (!must && (errno == ENOENT || errno == ENOTDIR))
            return US_OK;
        return s_fail (self, "%s: %s", path, strerror (errno));
    }
    *found = true;
    free (self->path);
    self->path = strdup (path);
    us_err_t err = self->path ? s_read_file (self, file, path) : US_ERR_NOMEM;
    fclose (file);
    return err;
}

static us_err_t s_try_default (usi_config_t *self, const char *folder,
                               const char *subfolder, bool *found)
{
    char *path = NULL;
    if (asprintf (&path, "%s%s/understudy/understudy.conf", folder, subfolder) < 0)
        return US_ERR_NOMEM;
    us_err_t err = s_try_file (self, path, false, found);
    free (path);
    return err;
}

/* The first that is found counts: named, variable, the user's, the machine's. */
static us_err_t s_read_files (usi_config_t *self, const char *path)
{
    bool found = false;
    if (!path || !*path)
        path = getenv ("UNDERSTUDY_CONFIG");
    if (path && *path)
        return s_try_file (self, path, true, &found);

    us_err_t err = US_OK;
    const char *config_home = getenv ("XDG_CONFIG_HOME");
    const char *home = getenv ("HOME");
    if (config_home && *config_home == '/')
        err = s_try_default (self, config_home, "", &found);
    else if (home && *home)
        err = s_try_default (self, home, "/.config", &found);
    if (err == US_OK && !found)
        err = s_try_default (self, "/etc", "", &found);
    return err;
}

/* --- reading values ---------------------------------------------------------------- */

/* Says where a bad value came from. */
static us_err_t s_bad_value (usi_config_t *self, size_t index, const char *expected)
{
    const value_t *value = &self->values[index];
    const char *name = self->settings[index].name;
    char variable[96];
    s_variable_name (name, variable, sizeof variable);
    switch (value->rank) {
    case RANK_FILE:
    case RANK_SECTION:
        return s_fail (self, "%s:%d: %s = '%s' is not %s", self->path, value->line,
                       name, value->text, expected);
    case RANK_VARIABLE:
        return s_fail (self, "%s='%s' is not %s", variable, value->text, expected);
    default: return s_fail (self, "--%s '%s' is not %s", name, value->text, expected);
    }
}

/* 1, 0, or -1 for neither. */
static int s_parse_switch (const char *text)
{
    static const char *const yes[] = {"1", "true", "yes", "on"};
    static const char *const no[] = {"0", "false", "no", "off"};
    for (size_t i = 0; i < 4; i++) {
        if (strcasecmp (text, yes[i]) == 0)
            return 1;
        if (strcasecmp (text, no[i]) == 0)
            return 0;
    }
    return -1;
}

static us_err_t s_check_switches (usi_config_t *self)
{
    for (size_t i = 0; self->settings[i].name; i++)
        if (!self->settings[i].arg && self->values[i].text &&
            s_parse_switch (self->values[i].text) < 0)
            return s_bad_value (self, i, "yes or no");
    return US_OK;
}

us_err_t usi_config_load (usi_config_t *self, const char *path_or_null)
{
    us_err_t err = s_read_variables (self);
    if (err == US_OK)
        err = s_read_files (self, path_or_null);
    if (err == US_OK)
        err = s_check_switches (self);
    if (err == US_ERR_NOMEM)
        s_fail (self, "out of memory");
    return err;
}

const char *usi_config_error (const usi_config_t *self)
{
    return self->error ? self->error : "";
}

const char *usi_config_get (const usi_config_t *self, const char *name)
{
    size_t index = s_find (self, name);
    return self->settings[index].name ? self->values[index].text : NULL;
}

bool usi_config_is_set (const usi_config_t *self, const char *name)
{
    size_t index = s_find (self, name);
    return self->settings[index].name && self->values[index].rank > RANK_INITIAL;
}

bool usi_config_is_flag (const usi_config_t *self, const char *name)
{
    size_t index = s_find (self, name);
    return self->settings[index].name && self->values[index].rank == RANK_FLAG;
}

bool usi_config_switch (const usi_config_t *self, const char *name)
{
    const char *text = usi_config_get (self, name);
    return text && s_parse_switch (text) > 0;
}

size_t usi_config_count (const usi_config_t *self, const char *name)
{
    size_t index = s_find (self, name);
    return self->settings[index].name ? self->values[index].count : 0;
}

const char *usi_config_item (const usi_config_t *self, const char *name, size_t index)
{
    if (index >= usi_config_count (self, name))
        return NULL;
    const char *element = self->values[s_find (self, name)].elements;
    while (index--)
        element += strlen (element) + 1;
    return element;
}

/* --- numbers ----------------------------------------------------------------------- */

typedef struct unit {
    const char *suffix;
    uint64_t factor;
} unit_t;

static const unit_t s_sizes[] = {
    {"", 1},
    {"K", (uint64_t) 1 << 10},
    {"M", (uint64_t) 1 << 20},
    {"G", (uint64_t) 1 << 30},
    {"T", (uint64_t) 1 << 40},
    {0},
};

static const unit_t s_times[] = {
    {"", 1000},     {"ms", 1},       {"s", 1000}, {"m", 60000},
    {"h", 3600000}, {"d", 86400000}, {0},
};

static const unit_t s_plain[] = {{"", 1}, {0}};

/* Digits and the suffix of a unit; false where malformed or over max. */
static bool s_parse_number (const char *text, const unit_t *units, uint64_t max,
                            uint64_t *number)
{
    if (!isdigit ((unsigned char) *text))
        return false;
    char *end = NULL;
    errno = 0;
    unsigned long long digits = strtoull (text, &end, 10);
    if (errno)
        return false;
    for (; units->suffix; units++)
        if (strcasecmp (end, units->suffix) == 0) {
            *number = digits * units->factor;
            return digits <= max / units->factor;
        }
    return false;
}

static us_err_t s_number (usi_config_t *self, const char *name, const unit_t *units,
                          uint64_t max, const char *expected, uint64_t *number)
{
    *number = 0;
    const char *text = usi_config_get (self, name);
    if (!text || s_parse_number (text, units, max, number))
        return US_OK;
    *number = 0;
    return s_bad_value (self, s_find (self, name), expected);
}

us_err_t usi_config_bytes (usi_config_t *self, const char *name, uint64_t *bytes)
{
    return s_number (self, name, s_sizes, INT64_MAX, "a size like 512M or 10G", bytes);
}

us_err_t usi_config_ms (usi_config_t *self, const char *name, int64_t *ms)
{
    uint64_t number;
    us_err_t err = s_number (self, name, s_times, INT64_MAX,
                             "a time like 500ms, 15s or 24h", &number);
    *ms = (int64_t) number;
    return err;
}

us_err_t usi_config_uint (usi_config_t *self, const char *name, uint64_t max,
                          uint64_t *value)
{
    char expected[64];
    snprintf (expected, sizeof expected, "a number from 0 to %llu",
              (unsigned long long) max);
    return s_number (self, name, s_plain, max, expected, value);
}

/* --- argv -------------------------------------------------------------------------- */

typedef struct parse {
    usi_config_t *self;
    int *rest;
} parse_t;

static void s_print_version (FILE *stream, struct argp_state *state)
{
    (void) state;
    fprintf (stream, "%s %s\n", program_invocation_short_name, US_VERSION_STRING);
}

static error_t s_parse_option (int key, char *arg, struct argp_state *state)
{
    parse_t *parse = state->input;
    usi_config_t *self = parse->self;
    if (key == KEY_CONFIG) {
        free (self->flag_path);
        self->flag_path = strdup (arg);
        return self->flag_path ? 0 : ENOMEM;
    }
    if (key == ARGP_KEY_ARG) {
        if (!parse->rest)
            argp_error (state, "unexpected argument '%s'", arg);
        else {
            *parse->rest = state->next - 1;
            state->next = state->argc;
        }
        return 0;
    }
    for (size_t i = 0; self->settings[i].name; i++)
        if (self->settings[i].key == key)
            return s_set (self, i, RANK_FLAG, arg ? arg : "1", 0) == US_OK ? 0 : ENOMEM;
    return ARGP_ERR_UNKNOWN;
}

/* The options of the table, each with its default in its text; --config; the end. */
static struct argp_option *s_make_options (const usi_config_t *self)
{
    size_t len = s_table_len (self->settings);
    struct argp_option *options = calloc (len + 2, sizeof *options);
    if (!options)
        return NULL;
    for (size_t i = 0; i < len; i++) {
        const usi_setting_t *setting = &self->settings[i];
        char *doc = NULL;
        int made =
            setting->initial && *setting->initial
                ? asprintf (&doc, "%s (default: %s)", setting->help, setting->initial)
                : asprintf (&doc, "%s", setting->help);
        options[i] = (struct argp_option){.name = setting->name,
                                          .key = setting->key,
                                          .arg = setting->arg,
                                          .doc = made < 0 ? NULL : doc};
    }
    options[len] = (struct argp_option){.name = "config",
                                        .key = KEY_CONFIG,
                                        .arg = "FILE",
                                        .doc = "read settings from this file alone"};
    return options;
}

static void s_free_options (struct argp_option *options, size_t len)
{
    for (size_t i = 0; options && i < len; i++)
        free ((char *) options[i].doc);
    free (options);
}

static us_err_t s_parse_argv (usi_config_t *self, int argc, char **argv,
                              const char *args_doc, const char *doc, int *rest)
{
    struct argp_option *options = s_make_options (self);
    if (!options)
        return US_ERR_NOMEM;
    if (rest)
        *rest = argc;
    if (!argp_program_version_hook)
        argp_program_version_hook = s_print_version;
    parse_t parse = {.self = self, .rest = rest};
    struct argp argp = {.options = options,
                        .parser = s_parse_option,
                        .args_doc = args_doc,
                        .doc = doc};
    /* In order: what follows the first argument may be another command's options. */
    error_t err = argp_parse (&argp, argc, argv, ARGP_IN_ORDER, NULL, &parse);
    s_free_options (options, s_table_len (self->settings));
    return err ? US_ERR_NOMEM : US_OK;
}

us_err_t usi_config_parse (usi_config_t *self, int argc, char **argv,
                           const char *args_doc, const char *doc, int *rest)
{
    us_err_t err = s_parse_argv (self, argc, argv, args_doc, doc, rest);
    if (err == US_OK)
        err = usi_config_load (self, self->flag_path);
    return err;
}
