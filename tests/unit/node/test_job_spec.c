/* SPDX-License-Identifier: MIT
 *
 * Job specifications: what is taken from them, what is refused, and how long the table
 * keeps them. */
#include "../unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "job_spec.h"

typedef struct table {
    job_specs_t *specs;
    unsigned decoded, freed;
    const char *refusal; /* what the chooser of pools says; NULL: nothing */
    size_t packages;     /* of the last one */
} table_t;

static void s_on_decoded (void *arg, job_spec_t *spec, const usi_fields_t *fields)
{
    table_t *table = arg;
    table->decoded++;
    table->packages = fields->packages.count;
    if (table->refusal)
        job_spec_refuse (spec, US_ERR_UNSUPPORTED, strdup (table->refusal));
}

static void s_on_freed (void *arg, job_spec_t *spec)
{
    (void) spec;
    ((table_t *) arg)->freed++;
}

static int s_setup (void **state)
{
    table_t *table = calloc (1, sizeof *table);
    table->specs = job_specs_new (&(
        job_spec_events_t){.decoded = s_on_decoded, .freed = s_on_freed, .arg = table});
    *state = table;
    return 0;
}

static int s_teardown (void **state)
{
    table_t *table = *state;
    job_specs_destroy (&table->specs);
    free (table);
    return 0;
}

static job_spec_t *s_get (table_t *table, const usi_fields_t *fields)
{
    usi_buf_t bytes = {0};
    usi_fields_encode (fields, &bytes);
    job_spec_t *spec = job_specs_get (table->specs, usi_buf_bytes (&bytes), 0);
    usi_buf_free (&bytes);
    return spec;
}

static usi_fields_t s_fields (const char *kind)
{
    usi_fields_t fields = {0};
    USI_SET (&fields, KIND, kind, usi_bytes_of (kind));
    return fields;
}

static void test_all_that_is_asked_for (void **state)
{
    const uint8_t digest[USI_DIGEST_LEN] = {1, 2, 3};
    usi_buf_t packages = {0};
    table_t *table = *state;
    usi_list_add_str (&packages, usi_bytes_of ("leaf"));
    usi_fields_t fields = s_fields ("shell");
    USI_SET (&fields, NAME, name, usi_bytes_of ("add"));
    USI_SET (&fields, ISOLATION, isolation, usi_bytes_of ("fresh"));
    USI_SET (&fields, SOFT_MS, soft_ms, 10);
    USI_SET (&fields, HARD_MS, hard_ms, 20);
    USI_SET (&fields, BLOB, blob, usi_bytes (digest, sizeof digest));
    USI_SET (&fields, PACKAGES, packages, usi_list_of (&packages, 1));
    job_spec_t *spec = s_get (table, &fields);
    assert_int_equal (spec->error, US_OK);
    assert_true (spec->shell);
    assert_true (spec->fresh);
    assert_string_equal (spec->name, "add");
    assert_int_equal (spec->soft_ms, 10);
    assert_int_equal (spec->hard_ms, 20);
    assert_true (spec->has_blob);
    assert_memory_equal (spec->blob, digest, sizeof digest);
    assert_int_equal (table->packages, 1);
    job_spec_drop (spec);
    usi_buf_free (&packages);
}

static void test_same_bytes_are_decoded_once (void **state)
{
    table_t *table = *state;
    usi_fields_t fields = s_fields ("call");
    job_spec_t *first = s_get (table, &fields), *again = s_get (table, &fields);
    USI_SET (&fields, SOFT_MS, soft_ms, 10);
    job_spec_t *other = s_get (table, &fields);
    assert_ptr_equal (first, again);
    assert_ptr_not_equal (first, other);
    assert_int_equal (table->decoded, 2);
    assert_int_equal (first->refs, 3);
    job_spec_drop (first);
    job_spec_drop (again);
    job_spec_drop (other);
    assert_int_equal (table->freed, 0); /* the table holds them */
}

static void s_check_refused (table_t *table, usi_bytes_t bytes, us_err_t code,
                             const char *why)
{
    job_spec_t *spec = job_specs_get (table->specs, bytes, 0);
    assert_int_equal (spec->error, code);
    assert_string_equal (spec->why, why);
    job_spec_drop (spec);
}

static void test_refusals (void **state)
{
    table_t *table = *state;
    usi_buf_t bytes = {0};
    usi_fields_t fields = {0};
    usi_fields_encode (&fields, &bytes);
    s_check_refused (table, usi_buf_bytes (&bytes), US_ERR_PROTOCOL,
                     "the job's specification is malformed: it has no kind");
    bytes.len = 0;
    fields = s_fields ("dance");
    usi_fields_encode (&fields, &bytes);
    s_check_refused (table, usi_buf_bytes (&bytes), US_ERR_UNSUPPORTED,
                     "this node cannot run jobs of kind 'dance'");
    job_spec_t *spec = job_specs_get (table->specs, usi_bytes_of ("\xc1"), 0);
    assert_int_equal (spec->error, US_ERR_PROTOCOL);
    job_spec_drop (spec);
    assert_int_equal (table->decoded, 0); /* nobody was asked for a pool */
    table->refusal = "no such Python";
    bytes.len = 0;
    fields = s_fields ("call");
    usi_fields_encode (&fields, &bytes);
    s_check_refused (table, usi_buf_bytes (&bytes), US_ERR_UNSUPPORTED,
                     "no such Python");
    usi_buf_free (&bytes);
}

/* Those that jobs hold outlive the table's interest in them. */
static void test_the_table_is_trimmed (void **state)
{
    table_t *table = *state;
    usi_fields_t fields = s_fields ("call");
    job_spec_t *held = s_get (table, &fields);
    for (unsigned i = 1; i <= 100; i++) {
        USI_SET (&fields, SOFT_MS, soft_ms, i);
        job_spec_drop (s_get (table, &fields));
    }
    assert_in_range (table->freed, 30, 99);
    assert_int_equal (held->refs, 1);
    fields = s_fields ("call");
    job_spec_t *anew = s_get (table, &fields);
    assert_ptr_not_equal (anew, held);
    unsigned freed = table->freed;
    job_spec_drop (held);
    assert_int_equal (table->freed, freed + 1);
    job_spec_drop (anew);
}

#define TEST(name) cmocka_unit_test_setup_teardown (name, s_setup, s_teardown)

int main (void)
{
    const struct CMUnitTest tests[] = {
        TEST (test_all_that_is_asked_for),
        TEST (test_same_bytes_are_decoded_once),
        TEST (test_refusals),
        TEST (test_the_table_is_trimmed),
    };
    return cmocka_run_group_tests (tests, NULL, NULL);
}
