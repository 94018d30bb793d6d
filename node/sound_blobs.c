/* SPDX-License-Identifier: MIT
 *
 * A list with those first that were asked for last: see sound_blobs.h. The time of the last
 * use is not compared, so that it may be written to the file. */
#include "sound_blobs.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

typedef struct sound {
    struct sound *next;
    uint8_t digest[USI_DIGEST_LEN];
    dev_t dev;
    ino_t ino;
    off_t size;
    struct timespec written;
} sound_t;

struct sound_blobs {
    sound_t *first;
};

sound_blobs_t *sound_blobs_new (void)
{
    return usi_new (sound_blobs_t);
}

void sound_blobs_destroy (sound_blobs_t **self_p)
{
    sound_blobs_t *self = *self_p;
    if (!self)
        return;
    while (self->first)
        sound_blobs_remove (self, self->first->digest);
    free (self);
    *self_p = NULL;
}

/* NULL: it is not there. Otherwise it is the first now. */
static sound_t *s_find (sound_blobs_t *self, const uint8_t *digest)
{
    sound_t **at = &self->first;
    while (*at && memcmp ((*at)->digest, digest, USI_DIGEST_LEN) != 0)
        at = &(*at)->next;
    sound_t *sound = *at;
    if (sound) {
        *at = sound->next;
        sound->next = self->first;
        self->first = sound;
    }
    return sound;
}

void sound_blobs_add (sound_blobs_t *self, const uint8_t digest[USI_DIGEST_LEN],
                      const struct stat *file)
{
    sound_t *sound = s_find (self, digest);
    if (!sound) {
        sound = usi_new (sound_t);
        memcpy (sound->digest, digest, USI_DIGEST_LEN);
        sound->next = self->first;
        self->first = sound;
    }
    sound->dev = file->st_dev;
    sound->ino = file->st_ino;
    sound->size = file->st_size;
    sound->written = file->st_mtim;
}

bool sound_blobs_has (sound_blobs_t *self, const uint8_t digest[USI_DIGEST_LEN],
                      const struct stat *file)
{
    const sound_t *sound = s_find (self, digest);
    return sound && sound->dev == file->st_dev && sound->ino == file->st_ino &&
           sound->size == file->st_size &&
           sound->written.tv_sec == file->st_mtim.tv_sec &&
           sound->written.tv_nsec == file->st_mtim.tv_nsec;
}

void sound_blobs_remove (sound_blobs_t *self, const uint8_t digest[USI_DIGEST_LEN])
{
    sound_t *sound = s_find (self, digest);
    if (!sound)
        return;
    self->first = sound->next;
    free (sound);
}
