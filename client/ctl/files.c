/* SPDX-License-Identifier: MIT
 *
 * See files.h. */
#include "files.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "mem.h"

#define FOLDER ".files/"

typedef struct file {
    char *name; /* in the bundle */
    char *data;
    size_t len;
} file_t;

/* Relative, without empty, "." and ".." parts. */
static bool s_is_name (const char *name)
{
    for (const char *part = name;; part = strchr (part, '/') + 1) {
        size_t len = strcspn (part, "/");
        if (len == 0 || (len <= 2 && strncmp (part, "..", len) == 0))
            return false;
        if (part[len] == '\0')
            return true;
    }
}

static int s_read (const char *path, file_t *file)
{
    struct stat st;
    FILE *stream = fopen (path, "re");
    if (!stream)
        return ctl_bad_usage ("%s: %s", path, strerror (errno));
    bool is_file = fstat (fileno (stream), &st) == 0 && S_ISREG (st.st_mode);
    file->len = is_file ? (size_t) st.st_size : 0;
    file->data = mem_alloc (file->len + 1);
    bool whole = is_file && fread (file->data, 1, file->len, stream) == file->len;
    fclose (stream);
    return whole ? EXIT_DONE : ctl_bad_usage ("%s is no file that can be read", path);
}

static int s_take (const char *arg, file_t *file)
{
    const char *equals = strchr (arg, '='), *path = equals ? equals + 1 : arg;
    const char *slash = strrchr (path, '/');
    char *name = equals ? mem_printf ("%.*s", (int) (equals - arg), arg)
                        : mem_printf ("%s", slash ? slash + 1 : path);
    int exit_code = s_is_name (name)
                        ? s_read (path, file)
                        : ctl_bad_usage ("'%s' is no name for a file of a job", name);
    file->name = mem_printf (FOLDER "%s", name);
    free (name);
    return exit_code;
}

static int s_by_name (const void *a, const void *b)
{
    return strcmp (((const file_t *) a)->name, ((const file_t *) b)->name);
}

/* The same files, the same bytes: they are sorted. */
static int s_pack (file_t *files, int count, us_blob_t **blob)
{
    us_writer_t *writer = NULL;
    const void *data = NULL;
    size_t len = 0;
    qsort (files, (size_t) count, sizeof *files, s_by_name);
    for (int i = 1; i < count; i++)
        if (strcmp (files[i - 1].name, files[i].name) == 0)
            return ctl_bad_usage ("two files are called %s",
                                  files[i].name + strlen (FOLDER));
    if (us_writer_new (&writer) != US_OK)
        mem_none ();
    us_write_map (writer, (uint32_t) count);
    for (int i = 0; i < count; i++) {
        us_write_str (writer, files[i].name, strlen (files[i].name));
        us_write_bin (writer, files[i].data, files[i].len);
    }
    if (us_writer_data (writer, &data, &len) != US_OK ||
        us_blob_new (blob, data, len) != US_OK)
        mem_none ();
    us_writer_destroy (&writer);
    return EXIT_DONE;
}

int files_read (char *const *args, int count, us_blob_t **blob)
{
    file_t *files = mem_alloc ((size_t) count * sizeof *files);
    int exit_code = EXIT_DONE;
    for (int i = 0; i < count && exit_code == EXIT_DONE; i++)
        exit_code = s_take (args[i], &files[i]);
    if (exit_code == EXIT_DONE)
        exit_code = s_pack (files, count, blob);
    for (int i = 0; i < count; i++) {
        free (files[i].name);
        free (files[i].data);
    }
    free (files);
    return exit_code;
}
