/* SPDX-License-Identifier: MIT
 *
 * Which files of the cache of blobs have been compared with their sums, and have not changed
 * since: those that a crash of the machine, another process or a job has damaged are not
 * among them. blob_cache.c does the comparing. Stands on common/base. */
#ifndef NODE_SOUND_BLOBS_H
#define NODE_SOUND_BLOBS_H

#include <stdbool.h>
#include <sys/stat.h>

#include "base/id.h"

typedef struct sound_blobs sound_blobs_t;

sound_blobs_t *sound_blobs_new (void);
void sound_blobs_destroy (sound_blobs_t **self_p);
/* The file, as it is now, has the sum that it is named by. */
void sound_blobs_add (sound_blobs_t *self, const uint8_t digest[USI_DIGEST_LEN],
                      const struct stat *file);
/* Whether the file is still the one that was added. */
bool sound_blobs_has (sound_blobs_t *self, const uint8_t digest[USI_DIGEST_LEN],
                      const struct stat *file);
void sound_blobs_remove (sound_blobs_t *self, const uint8_t digest[USI_DIGEST_LEN]);

#endif
