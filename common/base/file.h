/* SPDX-License-Identifier: MIT
 *
 * Small files, read and replaced as a whole: whoever reads finds the old one or the new one,
 * also after a loss of power. 0, or an errno. Stands on bytes.h. */
#ifndef COMMON_BASE_FILE_H
#define COMMON_BASE_FILE_H

#include "base/bytes.h"

/* EFBIG: it is longer than max. A file that is no regular one is EINVAL. */
int usi_file_read (const char *path, size_t max, usi_buf_t *bytes);
/* The same for what nobody else may read: EPERM where others can. Also from a pipe, such as
 * /dev/fd/3. */
int usi_file_read_secret (const char *path, size_t max, usi_buf_t *bytes);
/* Mode 0600. */
int usi_file_write (const char *path, usi_bytes_t bytes);

#endif
