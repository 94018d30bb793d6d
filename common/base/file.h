/* SPDX-License-Identifier: MIT
 *
 * Small files, read and written as a whole: whoever reads finds the old one or the new one,
 * also after a loss of power. 0, or an errno. Stands on bytes.h. */
#ifndef COMMON_BASE_FILE_H
#define COMMON_BASE_FILE_H

#include <sys/types.h>

#include "base/bytes.h"

/* EFBIG: it is longer than max. A file that is no regular one is EINVAL. */
int usi_file_read (const char *path, size_t max, usi_buf_t *bytes);
/* The same for a secret: EPERM where others can read it, or where it is another user's. Also
 * from a pipe, such as /dev/fd/3. Leaves no copy of it in memory but that in bytes. */
int usi_file_read_secret (const char *path, size_t max, usi_buf_t *bytes);
/* In place of what stands there. */
int usi_file_write (const char *path, usi_bytes_t bytes, mode_t mode);
/* A secret, mode 0600; EEXIST: nothing is written over. */
int usi_file_create (const char *path, usi_bytes_t bytes);

#endif
