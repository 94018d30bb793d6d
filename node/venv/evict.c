/* SPDX-License-Identifier: MIT
 *
 * Removing environments: see evict.h. */
#include "venv/evict.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "host/process.h"
#include "venv/build.h"

#define UNFINISHED_S 3600 /* without `.ready` for so long: nobody will finish it */

typedef struct item {
    char *path;
    bool ready;
    int64_t used_ms;
    uint64_t size;
} item_t;

void evict_init (evict_t *self, const char *cache, const char *dir, const char *trash)
{
    *self = (evict_t){.cache = cache, .dir = dir, .trash = trash};
}

void evict_touch (const char *env)
{
    char *path = usi_sprintf ("%s/.used", env);
    int fd = open (path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    if (fd >= 0) {
        futimens (fd, NULL);
        close (fd);
    }
    free (path);
}

int64_t evict_last_used (const char *env)
{
    struct stat st;
    char *path = usi_sprintf ("%s/.used", env);
    int rc = stat (path, &st);
    free (path);
    if (rc != 0 && stat (env, &st) != 0)
        return 0;
    return (int64_t) st.st_mtim.tv_sec * 1000 + st.st_mtim.tv_nsec / 1000000;
}

static int s_older (const void *a, const void *b)
{
    int64_t one = ((const item_t *) a)->used_ms, two = ((const item_t *) b)->used_ms;
    return (one > two) - (one < two);
}

static size_t s_list (const char *dir_path, item_t **items, uint64_t *total)
{
    size_t count = 0, cap = 0;
    DIR *dir = opendir (dir_path);
    for (struct dirent *entry; dir && (entry = readdir (dir));) {
        env_facts_t facts;
        if (strlen (entry->d_name) != ENV_KEY_LEN)
            continue;
        if (count == cap) {
            cap = cap ? cap * 2 : 32;
            *items = usi_realloc (*items, cap * sizeof **items);
        }
        item_t *item = &(*items)[count++];
        *item = (item_t){.path = usi_sprintf ("%s/%s", dir_path, entry->d_name)};
        item->used_ms = evict_last_used (item->path);
        item->ready = build_read_facts (item->path, &facts);
        if (item->ready) {
            item->size = facts.size;
            env_facts_clear (&facts);
        }
        *total += item->size;
    }
    if (dir)
        closedir (dir);
    return count;
}

/* A rename takes it out of sight at once; the exclusive lock says that nobody uses it.
 * Closes the lock. */
static bool s_move (evict_t *self, const char *path, int lock)
{
    char *gone =
        usi_sprintf ("%s/%d-gone-%u", self->trash, (int) getpid (), ++self->names);
    bool done =
        lock >= 0 && flock (lock, LOCK_EX | LOCK_NB) == 0 && rename (path, gone) == 0;
    if (lock >= 0)
        close (lock);
    free (gone);
    return done;
}

static bool s_remove (evict_t *self, const item_t *item)
{
    char *lock_path = usi_sprintf ("%s.lock", item->path);
    int lock = open (lock_path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    bool done = s_move (self, item->path, lock);
    if (done)
        usi_info ("env.evicted", "an environment is removed env=%.12s",
                  strrchr (item->path, '/') + 1);
    free (lock_path);
    return done;
}

bool evict_reaped (evict_t *self, pid_t pid)
{
    if (self->cleaner != pid)
        return false;
    self->cleaner = 0;
    return true;
}

/* A child removes the files, for thousands of them take their time. */
void evict_empty (evict_t *self)
{
    static const char script[] = "exec find \"$1\" -mindepth 1 -maxdepth 1"
                                 " -exec rm -rf -- {} +";
    char *argv[] = {
        "/bin/sh", "-c", (char *) script, "understudy-clean", (char *) self->trash,
        NULL};
    process_t process = {.argv = argv};
    self->cleaner = process_start (&process);
    if (self->cleaner < 0)
        usi_warning ("env.clean", "cannot start a process to remove old files");
}

bool evict_run (evict_t *self, uint64_t limit)
{
    item_t *items = NULL;
    uint64_t total = 0;
    bool removed = false;
    size_t count = s_list (self->dir, &items, &total);
    int64_t unfinished_ms = usi_wall_ms () - UNFINISHED_S * 1000LL;
    if (count > 0)
        qsort (items, count, sizeof *items, s_older);
    for (size_t i = 0; i < count; i++) {
        bool abandoned = !items[i].ready && items[i].used_ms < unfinished_ms;
        if ((abandoned || (items[i].ready && total > limit)) &&
            s_remove (self, &items[i])) {
            total -= items[i].size;
            removed = true;
        }
        free (items[i].path);
    }
    free (items);
    return removed;
}

/* --- bundles ---------------------------------------------------------------------- */

static bool s_is_unfinished (int dir, const char *name)
{
    struct stat st;
    return fstatat (dir, name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
           st.st_mtim.tv_sec < usi_wall_ms () / 1000 - UNFINISHED_S;
}

/* HEX is a bundle, .HEX.PID one that is being unpacked, or was when its process died. */
static bool s_is_unwanted (int dir, const char *name, const char *blob)
{
    if (strcmp (name, ".") == 0 || strcmp (name, "..") == 0)
        return false;
    return *name == '.' ? s_is_unfinished (dir, name) : access (blob, F_OK) != 0;
}

static bool s_remove_bundle (evict_t *self, int dir, const char *name, const char *path)
{
    int lock = openat (dir, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bool done = s_move (self, path, lock);
    if (done)
        usi_debug ("bundle.evicted", "a bundle is removed bundle=%.12s", name);
    return done;
}

bool evict_bundles (evict_t *self)
{
    bool removed = false;
    char *bundles = usi_sprintf ("%s/bundles", self->cache);
    DIR *dir = opendir (bundles);
    for (struct dirent *entry; dir && (entry = readdir (dir));) {
        const char *name = entry->d_name;
        char *path = usi_sprintf ("%s/%s", bundles, name);
        char *blob = usi_sprintf ("%s/blobs/%s", self->cache, name);
        if (s_is_unwanted (dirfd (dir), name, blob))
            removed |= s_remove_bundle (self, dirfd (dir), name, path);
        free (path);
        free (blob);
    }
    if (dir)
        closedir (dir);
    free (bundles);
    return removed;
}
