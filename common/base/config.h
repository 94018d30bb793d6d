/* SPDX-License-Identifier: MIT
 *
 * Settings: flag, then environment variable, then configuration file (ZPL), then default.
 * A program hands in its table of settings and gets values; one table makes the argp
 * options, the names of variables (UNDERSTUDY_<NAME>), the keys of the file and --help. */
#ifndef COMMON_BASE_CONFIG_H
#define COMMON_BASE_CONFIG_H

#include <argp.h>
#include <stdbool.h>
#include <stdint.h>

#include "understudy/error.h"

typedef struct usi_config usi_config_t;

typedef struct usi_setting {
    const char *name;    /* "cache-limit": --cache-limit, UNDERSTUDY_CACHE_LIMIT, key */
    int key;             /* short option letter or a number above 255 */
    const char *arg;     /* name of the argument in --help; NULL: a switch */
    const char *initial; /* default as text; NULL: none */
    const char *help;
    bool list;   /* may be given several times, or by comma */
} usi_setting_t; /* a table ends with a NULL name */

/* For the doc of a program: where its settings come from. argp wraps at 79 columns and
 * leaves lines that begin with a space as they are. */
#define USI_SETTINGS_DOC                                                               \
    "Every option is also a variable (--log-level: UNDERSTUDY_LOG_LEVEL; lists by "    \
    "comma) and a key of understudy.conf, at its top level or in the section of the "  \
    "program (\"broker\", \"node\"). The flag wins, then the variable, then the "      \
    "file. The first of these files that is there is read:\n"                          \
    "  the one that --config names, or else $UNDERSTUDY_CONFIG\n"                      \
    "  ~/.config/understudy/understudy.conf ($XDG_CONFIG_HOME where that is set)\n"    \
    "  /etc/understudy/understudy.conf\n\n"

/* section: "broker", "node", "client": where the file keeps the keys of this program; keys
 * at the top level of the file count for all. */
usi_config_t *usi_config_new (const char *section, const usi_setting_t *settings);
void usi_config_destroy (usi_config_t **self_p);

/* Parses argv (argp: --help, --usage, --version included; doc as in struct argp), then
 * variables and file. Ends the process with exit code 64 on bad usage, as argp does. Returns
 * US_ERR_CONFIG with a line for the operator in usi_config_error. --config FILE is
 * understood by all. rest: index of the first argument that is no option; parsing ends
 * there (argc where there is none). NULL: such arguments are bad usage. */
us_err_t usi_config_parse (usi_config_t *self, int argc, char **argv,
                           const char *args_doc, const char *doc, int *rest);
/* The same without argv, for the library. */
us_err_t usi_config_load (usi_config_t *self, const char *path_or_null);
const char *usi_config_error (const usi_config_t *self);

/* Values; NULL where neither given nor defaulted. Borrowed. */
const char *usi_config_get (const usi_config_t *self, const char *name);
bool usi_config_is_set (const usi_config_t *self,
                        const char *name); /* not by default */
/* Given on the command line, where every user of the machine can read it. */
bool usi_config_is_flag (const usi_config_t *self, const char *name);
bool usi_config_switch (const usi_config_t *self, const char *name);
/* Elements of a list setting, by comma or repetition. */
size_t usi_config_count (const usi_config_t *self, const char *name);
const char *usi_config_item (const usi_config_t *self, const char *name, size_t index);

/* "10G", "512M", "64K", "1000"; "15s", "500ms", "24h", "2d", "5" (seconds). 0 where there is
 * no value. US_ERR_CONFIG with usi_config_error naming the setting and its place. */
us_err_t usi_config_bytes (usi_config_t *self, const char *name, uint64_t *bytes);
us_err_t usi_config_ms (usi_config_t *self, const char *name, int64_t *ms);
us_err_t usi_config_uint (usi_config_t *self, const char *name, uint64_t max,
                          uint64_t *value);

#endif
