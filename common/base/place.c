/* SPDX-License-Identifier: MIT
 *
 * See place.h. */
#include "base/place.h"

#include <errno.h>
#include <limits.h>
#include <pwd.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* One behind the other, from malloc; NULL where memory has ended. */
static char *s_join (const char *a, const char *b, const char *c)
{
    char *text;
    return asprintf (&text, "%s%s%s", a, b, c) < 0 ? NULL : text;
}

/* The folder that the variable names, else the default below the home; and ours in it. */
static char *s_ours_in (const char *variable, const char *below_home)
{
    char room[4096];
    struct passwd entry, *found = NULL;
    const char *folder = getenv (variable);
    const char *home = getenv ("HOME");
    if (folder && folder[0] == '/')
        return s_join (folder, "/understudy", "");
    if (!home || home[0] != '/') {
        getpwuid_r (geteuid (), &entry, room, sizeof room, &found);
        home = found ? found->pw_dir : NULL;
    }
    return home && home[0] == '/' ? s_join (home, below_home, "/understudy") : NULL;
}

char *usi_place_state (void)
{
    return s_ours_in ("XDG_STATE_HOME", "/.local/state");
}

char *usi_place_config (void)
{
    return s_ours_in ("XDG_CONFIG_HOME", "/.config");
}

static bool s_is_ours (const char *path)
{
    struct stat st;
    return path && path[0] == '/' && stat (path, &st) == 0 && S_ISDIR (st.st_mode) &&
           st.st_uid == geteuid () && (st.st_mode & 077) == 0;
}

char *usi_place_sockets (void)
{
    char runtime[64], host[HOST_NAME_MAX + 1] = "";
    const char *given = getenv ("XDG_RUNTIME_DIR");
    snprintf (runtime, sizeof runtime, "/run/user/%u", (unsigned) geteuid ());
    if (s_is_ours (given))
        return s_join (given, "/understudy", "");
    gethostname (host, sizeof host - 1);
    for (char *at = host; (at = strchr (at, '/'));)
        *at = '_';
    char *state = s_is_ours (runtime) ? NULL : usi_place_state ();
    /* Without a home nobody can listen; whoever looks finds nobody there. */
    char *place =
        state ? s_join (state, "/at-", host) : s_join (runtime, "/understudy", "");
    free (state);
    return place;
}

char *usi_place_endpoint (void)
{
    char *folder = usi_place_sockets ();
    char *endpoint = folder ? s_join ("ipc://", folder, "/broker.sock") : NULL;
    free (folder);
    return endpoint;
}

int usi_place_make (const char *path)
{
    char *copy = strdup (path);
    int rc = copy ? 0 : ENOMEM;
    for (char *at = copy ? copy + 1 : NULL; rc == 0 && at; at++) {
        if (*at && *at != '/')
            continue;
        char end = *at;
        *at = '\0';
        if (mkdir (copy, 0700) < 0 && errno != EEXIST)
            rc = errno;
        *at = end;
        if (!end)
            break;
    }
    free (copy);
    return rc;
}
