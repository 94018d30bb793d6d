/* SPDX-License-Identifier: MIT
 *
 * Scratch directories: see scratch.h. */
#include "host/scratch.h"

#include <dirent.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define PREFIX    "usw-"
#define NAMES     22 /* bytes for the folder's name and a worker's number, with slashes */
#define YOUNG_S   60 /* its owner may not have locked it yet */
#define TRIES     8
#define OPEN_DIRS 16

/* --- removing --------------------------------------------------------------------- */

static int s_remove (const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void) st, (void) ftw;
    if (type == FTW_DNR || type == FTW_DP)
        (void) chmod (path, 0700);
    (void) remove (path);
    return 0;
}

/* Stays on its file system, and follows no link. What may not be read at first is
 * readable in the next round. */
static void s_remove_tree (const char *path)
{
    struct stat st;
    for (int i = 0; i < TRIES && lstat (path, &st) == 0; i++)
        nftw (path, s_remove, OPEN_DIRS, FTW_DEPTH | FTW_PHYS | FTW_MOUNT);
}

/* --- what others have left -------------------------------------------------------- */

static int s_lock (const char *folder, int flags)
{
    char path[SCRATCH_PATH_MAX + 16];
    snprintf (path, sizeof path, "%s/.lock", folder);
    int fd = open (path, O_RDWR | O_NOFOLLOW | O_CLOEXEC | flags, 0600);
    if (fd >= 0 && flock (fd, LOCK_EX | LOCK_NB) != 0) {
        close (fd);
        return -1;
    }
    return fd;
}

static void s_sweep_one (const char *folder)
{
    struct stat st;
    char lock[SCRATCH_PATH_MAX + 16];
    snprintf (lock, sizeof lock, "%s/.lock", folder);
    if (lstat (folder, &st) != 0 || !S_ISDIR (st.st_mode) || st.st_uid != geteuid () ||
        (access (lock, F_OK) != 0 && time (NULL) - st.st_mtime < YOUNG_S))
        return;
    int fd = s_lock (folder, O_CREAT);
    if (fd < 0)
        return; /* its owner lives */
    s_remove_tree (folder);
    close (fd);
}

static void s_sweep (const char *base)
{
    char path[SCRATCH_PATH_MAX + 1];
    DIR *dir = opendir (base);
    if (!dir)
        return;
    for (struct dirent *entry; (entry = readdir (dir));) {
        if (strncmp (entry->d_name, PREFIX, strlen (PREFIX)) != 0)
            continue;
        int len = snprintf (path, sizeof path, "%s/%s", base, entry->d_name);
        if (len > 0 && (size_t) len < sizeof path)
            s_sweep_one (path);
    }
    closedir (dir);
}

/* --- ours ------------------------------------------------------------------------- */

static const char *s_base (void)
{
    const char *given = getenv ("TMPDIR");
    bool fits = given && *given == '/' && strlen (given) <= SCRATCH_PATH_MAX - NAMES;
    return fits && access (given, W_OK | X_OK) == 0 ? given : "/tmp";
}

int scratch_open (scratch_t *self)
{
    const char *base = s_base ();
    s_sweep (base);
    snprintf (self->path, sizeof self->path, "%s/" PREFIX "XXXXXX", base);
    if (!mkdtemp (self->path)) {
        self->path[0] = 0;
        return -1;
    }
    self->lock = s_lock (self->path, O_CREAT);
    return 0;
}

void scratch_close (scratch_t *self)
{
    if (!self->path[0])
        return;
    s_remove_tree (self->path);
    if (self->lock >= 0)
        close (self->lock);
    self->path[0] = 0;
}
