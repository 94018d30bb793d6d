/* SPDX-License-Identifier: MIT
 *
 * See file.h. */
#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static int s_check (int fd, bool is_secret)
{
    struct stat st;
    if (fstat (fd, &st) < 0)
        return errno;
    if (is_secret && S_ISFIFO (st.st_mode))
        return 0;
    if (!S_ISREG (st.st_mode))
        return EINVAL;
    bool is_ours = st.st_uid == geteuid () || st.st_uid == 0;
    return is_secret && (!is_ours || (st.st_mode & 077)) ? EPERM : 0;
}

/* The room is there from the start, so that what is read is never moved. */
static int s_read (int fd, size_t max, usi_buf_t *bytes)
{
    if (!usi_buf_reserve (bytes, max + 2)) /* one to see the excess, one for a NUL */
        return ENOMEM;
    while (bytes->len <= max) {
        ssize_t got = read (fd, bytes->data + bytes->len, max + 1 - bytes->len);
        if (got < 0 && errno != EINTR)
            return errno;
        if (got == 0)
            return 0;
        bytes->len += got > 0 ? (size_t) got : 0;
    }
    return EFBIG;
}

static int s_read_file (const char *path, int flags, size_t max, usi_buf_t *bytes)
{
    int fd = open (path, O_RDONLY | O_CLOEXEC | flags);
    if (fd < 0)
        return errno;
    int rc = s_check (fd, flags == 0);
    if (rc == 0)
        rc = s_read (fd, max, bytes);
    close (fd);
    return rc;
}

int usi_file_read (const char *path, size_t max, usi_buf_t *bytes)
{
    return s_read_file (path, O_NONBLOCK, max, bytes);
}

int usi_file_read_secret (const char *path, size_t max, usi_buf_t *bytes)
{
    return s_read_file (path, 0, max, bytes);
}

static int s_write (int fd, usi_bytes_t bytes)
{
    while (bytes.len > 0) {
        ssize_t sent = write (fd, bytes.data, bytes.len);
        if (sent < 0 && errno != EINTR)
            return errno;
        bytes.data += sent > 0 ? sent : 0;
        bytes.len -= sent > 0 ? (size_t) sent : 0;
    }
    return fsync (fd) < 0 ? errno : 0;
}

int usi_file_create (const char *path, usi_bytes_t bytes)
{
    int fd = open (path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return errno;
    int rc = s_write (fd, bytes);
    close (fd);
    if (rc)
        unlink (path);
    return rc;
}

int usi_file_write (const char *path, usi_bytes_t bytes, mode_t mode)
{
    char *aside;
    if (asprintf (&aside, "%s.XXXXXX", path) < 0)
        return ENOMEM;
    int fd = mkostemp (aside, O_CLOEXEC);
    int rc = fd < 0 ? errno : s_write (fd, bytes);
    if (rc == 0 && (fchmod (fd, mode) < 0 || rename (aside, path) < 0))
        rc = errno;
    if (fd >= 0)
        close (fd);
    if (fd >= 0 && rc)
        unlink (aside);
    free (aside);
    return rc;
}
