/* SPDX-License-Identifier: MIT
 *
 * Names and texts of errors, from the one list in understudy/error.h. */
#include "understudy/error.h"

#include <stddef.h>

typedef struct s_entry {
    int number;
    const char *name, *text, *python;
} s_entry_t;

static const s_entry_t s_entries[] = {{US_OK, "US_OK", "ok", "UnderstudyError"},
#define X(id, code, words, class) {code, "US_ERR_" #id, words, class},
                                      US_ERR_MAP (X)
#undef X
};

static const s_entry_t *s_find (int number)
{
    static const s_entry_t unknown = {1, "US_ERR_UNKNOWN", "unknown error",
                                      "UnderstudyError"};
    for (size_t i = 0; i < sizeof s_entries / sizeof s_entries[0]; i++)
        if (s_entries[i].number == number)
            return &s_entries[i];
    return &unknown;
}

const char *us_err_name (int err)
{
    return s_find (err)->name;
}

const char *us_err_text (int err)
{
    return s_find (err)->text;
}

const char *us_err_python (int err)
{
    return s_find (err)->python;
}
