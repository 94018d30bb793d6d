/* SPDX-License-Identifier: MIT
 *
 * See job_buffers.h. */
#include "job_buffers.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "base/mem.h"

#define SEALS (F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW)

bool job_buffers_add (job_buffers_t *self, int fd)
{
    struct stat st;
    int seals = fcntl (fd, F_GET_SEALS);
    if (self->len == JOB_BUFFERS_MAX || seals < 0 || (seals & SEALS) != SEALS ||
        fstat (fd, &st) != 0 || st.st_size <= 0)
        return false;
    void *data = mmap (NULL, (size_t) st.st_size, PROT_READ, MAP_SHARED, fd, 0);
    if (data == MAP_FAILED)
        return false;
    if (!self->all)
        self->all = usi_alloc (JOB_BUFFERS_MAX * sizeof *self->all);
    self->all[self->len++].bytes = usi_bytes (data, (size_t) st.st_size);
    self->size += (uint64_t) st.st_size;
    return true;
}

void job_buffers_free (job_buffers_t *self)
{
    for (size_t i = 0; i < self->len; i++)
        munmap ((void *) self->all[i].bytes.data, self->all[i].bytes.len);
    free (self->all);
    *self = (job_buffers_t){0};
}

uint64_t job_buffers_excess (const job_buffers_t *self, const node_limits_t *limits,
                             uint64_t *limit)
{
    *limit = limits->max_buffer;
    for (size_t i = 0; i < self->len; i++)
        if (self->all[i].bytes.len > limits->max_buffer)
            return self->all[i].bytes.len;
    *limit = limits->max_buffers;
    return self->size > *limit ? self->size : 0;
}
