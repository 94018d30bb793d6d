/* SPDX-License-Identifier: MIT
 *
 * Job specifications, decoded and checked once: jobs of one function carry the same bytes,
 * so the next one is looked up. Counted, for jobs outlive the table's interest in them.
 * Where such jobs run is not decided here: intake.c chooses the pool. Stands on nothing
 * of the node's. */
#ifndef NODE_JOB_SPEC_H
#define NODE_JOB_SPEC_H

#include "node.h"

struct job_spec {
    job_spec_t *next; /* in the table, last used first */
    job_specs_t *table;
    unsigned refs; /* jobs, and the table */
    usi_bytes_t bytes;
    uint64_t owner; /* of its jobs: other owners' jobs are apart, whatever they say */
    us_err_t error; /* not US_OK: such jobs fail at once, with why */
    char *why;
    bool shell;
    bool fresh; /* each job gets a process of its own */
    char *name;
    uint32_t soft_ms, hard_ms;
    bool has_blob; /* the body is this blob */
    uint8_t blob[USI_DIGEST_LEN];
    uint8_t *buffers; /* digests of those of its arguments, one behind another */
    size_t buffers_len;
    pool_t *pool; /* chosen by the owner of the table; NULL where there is an error */
};

static inline const uint8_t *job_spec_buffer (const job_spec_t *spec, size_t i)
{
    return spec->buffers + i * USI_DIGEST_LEN;
}

typedef struct job_spec_events {
    /* The specification was decoded without an error: chooses its pool, or refuses it.
     * fields borrows from the specification. */
    void (*decoded) (void *arg, job_spec_t *spec, const usi_fields_t *fields);
    void (*freed) (void *arg, job_spec_t *spec);
    void *arg;
} job_spec_events_t;

job_specs_t *job_specs_new (const job_spec_events_t *events);
/* All jobs have dropped theirs before. */
void job_specs_destroy (job_specs_t **self_p);
/* Finds or decodes the specification for jobs of this owner; the caller holds it, too. */
job_spec_t *job_specs_get (job_specs_t *self, usi_bytes_t bytes, uint64_t owner);
void job_spec_drop (job_spec_t *spec);
/* All jobs of this specification fail with this; takes over why. */
void job_spec_refuse (job_spec_t *spec, us_err_t code, char *why);

#endif
