/* SPDX-License-Identifier: MIT
 *
 * Job specifications: see job_spec.h. */
#include "job_spec.h"

#include <stdlib.h>

#include "base/mem.h"

#define TABLE_MAX 64 /* kinds of jobs at a time */

struct job_specs {
    job_spec_events_t events;
    job_spec_t *first;
};

/* --- one specification ------------------------------------------------------------ */

void job_spec_refuse (job_spec_t *spec, us_err_t code, char *why)
{
    spec->error = code;
    spec->why = why;
}

static void s_take (job_spec_t *spec, const usi_fields_t *fields)
{
    spec->shell = usi_bytes_equal (fields->kind, usi_bytes_of ("shell"));
    spec->fresh = usi_bytes_equal (fields->isolation, usi_bytes_of ("fresh"));
    spec->name = usi_bytes_dup_text (fields->name);
    spec->soft_ms =
        (uint32_t) (fields->soft_ms < UINT32_MAX ? fields->soft_ms : UINT32_MAX);
    spec->hard_ms =
        (uint32_t) (fields->hard_ms < UINT32_MAX ? fields->hard_ms : UINT32_MAX);
    spec->has_blob = fields->blob.len == USI_DIGEST_LEN;
    if (spec->has_blob)
        memcpy (spec->blob, fields->blob.data, USI_DIGEST_LEN);
    spec->buffers_len = fields->buffers.count;
    if (spec->buffers_len > 0) {
        spec->buffers = usi_alloc (USI_MAX_BLOBS * USI_DIGEST_LEN);
        usi_digests_of_list (&fields->buffers, spec->buffers);
    }
    if (!spec->shell && !usi_bytes_equal (fields->kind, usi_bytes_of ("call")))
        job_spec_refuse (spec, US_ERR_UNSUPPORTED,
                         usi_sprintf ("this node cannot run jobs of kind '%.*s'",
                                      (int) fields->kind.len,
                                      (const char *) fields->kind.data));
}

static void s_decode (job_spec_t *spec)
{
    const job_spec_events_t *events = &spec->table->events;
    usi_fields_t fields = {0};
    const char *why = NULL;
    us_err_t err = usi_fields_decode (&fields, spec->bytes, &why);
    if (err == US_OK && !usi_has (&fields, USI_F_KIND)) {
        err = US_ERR_PROTOCOL;
        why = "it has no kind";
    }
    if (err != US_OK) {
        job_spec_refuse (spec, err,
                         usi_sprintf ("the job's specification is malformed: %s",
                                      why ? why : ""));
        return;
    }
    USI_SET (&fields, OWNER, owner, spec->owner); /* never what the job says itself */
    s_take (spec, &fields);
    if (spec->error == US_OK)
        events->decoded (events->arg, spec, &fields);
}

void job_spec_drop (job_spec_t *spec)
{
    const job_spec_events_t *events = &spec->table->events;
    if (--spec->refs > 0)
        return;
    events->freed (events->arg, spec);
    free ((void *) spec->bytes.data);
    free (spec->why);
    free (spec->name);
    free (spec->buffers);
    free (spec);
}

/* --- the table -------------------------------------------------------------------- */

job_specs_t *job_specs_new (const job_spec_events_t *events)
{
    job_specs_t *self = usi_new (job_specs_t);
    self->events = *events;
    return self;
}

static void s_drop_from (job_spec_t **at)
{
    while (*at) {
        job_spec_t *spec = *at;
        *at = spec->next;
        job_spec_drop (spec);
    }
}

void job_specs_destroy (job_specs_t **self_p)
{
    job_specs_t *self = *self_p;
    if (!self)
        return;
    s_drop_from (&self->first);
    free (self);
    *self_p = NULL;
}

/* The table keeps what was used last. */
static void s_trim (job_specs_t *self)
{
    job_spec_t **at = &self->first;
    for (unsigned i = 0; *at && i < TABLE_MAX / 2; i++)
        at = &(*at)->next;
    s_drop_from (at);
}

static job_spec_t *s_push (job_specs_t *self, job_spec_t *spec)
{
    spec->next = self->first;
    self->first = spec;
    return spec;
}

job_spec_t *job_specs_get (job_specs_t *self, usi_bytes_t bytes, uint64_t owner)
{
    unsigned seen = 0;
    for (job_spec_t **at = &self->first; *at; at = &(*at)->next, seen++) {
        job_spec_t *spec = *at;
        if (spec->owner != owner || !usi_bytes_equal (spec->bytes, bytes))
            continue;
        *at = spec->next; /* to the front: the next job is likely one of these */
        spec->refs++;
        return s_push (self, spec);
    }
    job_spec_t *spec = usi_new (job_spec_t);
    spec->table = self;
    spec->refs = 2;
    spec->bytes = usi_bytes_dup (bytes);
    spec->owner = owner;
    s_decode (spec);
    s_push (self, spec);
    if (seen >= TABLE_MAX)
        s_trim (self);
    return spec;
}
