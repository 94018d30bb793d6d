/* SPDX-License-Identifier: MIT
 *
 * See waiting.h. */
#include "waiting.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "json.h"
#include "mem.h"

#define QUERY_MS 2000

int64_t waiting_pause_ms (const waiting_t *self)
{
    static const int64_t pauses[] = {1000, 2000, 4000, 8000, 15000, 30000};
    size_t last = sizeof pauses / sizeof *pauses - 1;
    return pauses[self->looks < last ? self->looks : last];
}

static bool s_is_quiet (void)
{
    const char *quiet = getenv ("UNDERSTUDY_QUIET");
    return quiet && *quiet && strcmp (quiet, "0") != 0;
}

/* That it runs, or is about to, is not worth a word. */
static bool s_is_worth_a_word (const waiting_t *self, const char *why)
{
    static const char *const silent[] = {"soon", "running", "ended"};
    bool worth = strcmp (why, self->said) != 0;
    for (size_t i = 0; i < sizeof silent / sizeof *silent; i++)
        worth = worth && strcmp (why, silent[i]) != 0;
    return worth;
}

static void s_say (waiting_t *self, json_t *row)
{
    const char *why = json_string_value (json_object_get (row, "why"));
    const char *text = json_string_value (json_object_get (row, "text"));
    if (!why || !text)
        return;
    if (s_is_worth_a_word (self, why)) {
        char *line = mem_printf ("the job waits: %s", text);
        ctl_say (line);
        free (line);
    }
    snprintf (self->said, sizeof self->said, "%s", why);
}

void waiting_look (waiting_t *self)
{
    us_id_t id = us_result_id (self->result);
    self->looks++;
    if (s_is_quiet ())
        return;
    us_query_t *query = ctl_query ("why");
    if (us_query_set_id (query, &id) == US_OK &&
        us_query_run (self->ctl->client, query, QUERY_MS) == US_OK &&
        us_query_rows (query) == 1) {
        json_t *row = json_from_query (query, 0);
        s_say (self, row);
        json_decref (row);
    }
    us_query_destroy (&query);
}
