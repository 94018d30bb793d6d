/* SPDX-License-Identifier: MIT
 *
 * Files that a job finds in its directory: a bundle of them (docs/worker-protocol.md).
 *
 * Stands on ctl.h and mem.h. */
#ifndef CLIENT_CTL_FILES_H
#define CLIENT_CTL_FILES_H

#include "ctl.h"

/* Reads files, each PATH, which is found under its last part, or NAME=PATH. EXIT_DONE, or
 * EXIT_USAGE after saying what is wrong. The caller destroys the blob; count is not 0. */
int files_read (char *const *args, int count, us_blob_t **blob);

#endif
