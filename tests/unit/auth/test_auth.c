/* SPDX-License-Identifier: MIT
 *
 * Keys, certificates and their files: what is written is read again, and nothing else is. */
#include "../unit.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../temp.h"
#include "auth/keyfile.h"

typedef struct scene {
    char dir[128], key[160], cluster[160], cluster_key[160];
    usi_cluster_key_t ours;
    uint8_t seed[USI_KEY_LEN];
    usi_keys_t keys;
    usi_buf_t channels, packages;
    usi_certificate_t certificate;
} scene_t;

static void s_describe (scene_t *self, const char *name, usi_role_t role)
{
    usi_certificate_t *own = &self->certificate;
    *own = (usi_certificate_t){.role = role, .made_s = 1000};
    snprintf (own->name, sizeof own->name, "%s", name);
    snprintf (own->group, sizeof own->group, "staff");
    memcpy (own->transport, self->keys.transport_public, USI_KEY_LEN);
    memcpy (own->signing, self->keys.signing_public, USI_KEY_LEN);
    memcpy (own->sealing, self->keys.sealing_public, USI_KEY_LEN);
    own->rights = (usi_rights_t){.channels = usi_list_of (&self->channels, 2),
                                 .packages = usi_list_of (&self->packages, 1),
                                 .shell = true,
                                 .max_size = 1 << 20,
                                 .rate = 50,
                                 .queued = 1000,
                                 .whose = {USI_ALL, USI_GROUPS, USI_OWN, USI_NOBODYS}};
}

static int s_set_up (void **state)
{
    scene_t *self = calloc (1, sizeof *self);
    temp_template (self->dir, sizeof self->dir);
    assert_non_null (mkdtemp (self->dir));
    assert_true (usi_keys_init ());
    snprintf (self->key, sizeof self->key, "%s/a.key", self->dir);
    snprintf (self->cluster, sizeof self->cluster, "%s/cluster.pub", self->dir);
    snprintf (self->cluster_key, sizeof self->cluster_key, "%s/cluster.key", self->dir);
    usi_keys_make_seed (self->ours.seed);
    usi_keys_derive (&self->ours.keys, self->ours.seed);
    snprintf (self->ours.name, sizeof self->ours.name, "demo");
    usi_keys_make_seed (self->seed);
    usi_keys_derive (&self->keys, self->seed);
    usi_list_add_str (&self->channels, usi_bytes_of ("calc*"));
    usi_list_add_str (&self->channels, usi_bytes_of ("default"));
    usi_list_add_str (&self->packages, usi_bytes_of ("*"));
    s_describe (self, "alice", USI_ROLE_CLIENT);
    assert_true (usi_certificate_sign (&self->certificate, &self->ours.keys));
    *state = self;
    return 0;
}

static int s_tear_down (void **state)
{
    scene_t *self = *state;
    unlink (self->key);
    unlink (self->cluster);
    unlink (self->cluster_key);
    assert_int_equal (rmdir (self->dir), 0);
    usi_buf_free (&self->channels);
    usi_buf_free (&self->packages);
    free (self);
    return 0;
}

/* The labels of the derivation never change: this seed has always had this key. */
static void test_keys_are_those_of_the_seed (void **state)
{
    uint8_t seed[USI_KEY_LEN], again[USI_KEY_LEN];
    usi_keys_t keys;
    char text[USI_KEY_TEXT_LEN + 1];
    (void) state;
    for (unsigned i = 0; i < USI_KEY_LEN; i++)
        seed[i] = (uint8_t) i;
    usi_keys_derive (&keys, seed);
    usi_key_text (keys.transport_public, text);
    assert_string_equal (text, "7BheQlqJZiki_ya31XFuoD6pFuw4qDvQ2AlKPg3BilY");
    assert_true (usi_key_parse (text, again));
    assert_memory_equal (again, keys.transport_public, USI_KEY_LEN);
    usi_key_text (keys.signing_public, text);
    assert_string_equal (text, "AFO_viuVD8f5OtbUkQeBpk_PW0-M_kndZ2uiHvH9fEQ");
    usi_key_text (keys.sealing_public, text);
    assert_string_equal (text, "1oNWwx7MUj80qbpl6uIpa9e0NTbCNyDb6IAUxu_oD1g");
    assert_false (usi_key_parse ("", again));
    assert_false (usi_key_parse ("short", again));
    text[0] = '*';
    assert_false (usi_key_parse (text, again));
    usi_keys_wipe (&keys);
}

static void test_certificate (void **state)
{
    const scene_t *self = *state;
    const usi_certificate_t *own = &self->certificate;
    usi_certificate_t *read = calloc (1, sizeof *read);
    assert_null (usi_certificate_read (read, usi_bytes (own->bytes, own->len),
                                       self->ours.keys.signing_public));
    assert_string_equal (read->name, "alice");
    assert_string_equal (read->group, "staff");
    assert_int_equal (read->role, USI_ROLE_CLIENT);
    assert_int_equal (read->made_s, 1000);
    assert_true (read->rights.shell);
    assert_int_equal (read->rights.max_size, 1 << 20);
    assert_int_equal (read->rights.rate, 50);
    assert_int_equal (read->rights.queued, 1000);
    assert_int_equal (read->rights.whose[USI_MAY_SEE], USI_ALL);
    assert_int_equal (read->rights.whose[USI_MAY_READ], USI_GROUPS);
    assert_int_equal (read->rights.whose[USI_MAY_CANCEL], USI_OWN);
    assert_int_equal (read->rights.whose[USI_MAY_RETRY], USI_NOBODYS);
    assert_true (
        usi_pattern_fits (&read->rights.channels, usi_bytes_of ("calculator")));
    assert_true (usi_pattern_fits (&read->rights.channels, usi_bytes_of ("default")));
    assert_false (usi_pattern_fits (&read->rights.channels, usi_bytes_of ("other")));
    assert_true (usi_pattern_fits (&read->rights.packages, usi_bytes_of ("pytz")));
    assert_false (usi_certificate_is_over (read, INT64_MAX));
    read->expires_s = 2000;
    assert_false (usi_certificate_is_over (read, 1999));
    assert_true (usi_certificate_is_over (read, 2000));
    free (read);
}

/* Whatever bit is changed, and whoever else signs. */
static void test_forged (void **state)
{
    scene_t *self = *state;
    const usi_certificate_t *own = &self->certificate;
    usi_certificate_t *read = calloc (1, sizeof *read);
    uint8_t bytes[USI_MAX_CERTIFICATE];
    for (size_t i = 0; i < own->len; i++) {
        memcpy (bytes, own->bytes, own->len);
        bytes[i] ^= 1;
        assert_non_null (usi_certificate_read (read, usi_bytes (bytes, own->len),
                                               self->ours.keys.signing_public));
        assert_non_null (usi_certificate_read (read, usi_bytes (own->bytes, i),
                                               self->ours.keys.signing_public));
    }
    assert_non_null (usi_certificate_read (read, usi_bytes (own->bytes, own->len),
                                           self->keys.signing_public));
    free (read);
}

/* A body of another shape, though its signature is good. */
static void test_unknown_members (void **state)
{
    static const char type[] = "application/vnd.understudy.certificate.v1+msgpack";
    scene_t *self = *state;
    const usi_certificate_t *own = &self->certificate;
    usi_bytes_t body;
    usi_buf_t more = {0}, whole = {0};
    usi_certificate_t *read = calloc (1, sizeof *read);
    assert_true (usi_signed_body (usi_bytes (own->bytes, own->len), type,
                                  self->ours.keys.signing_public, &body));
    assert_false (usi_signed_body (usi_bytes (own->bytes, own->len), "another type",
                                   self->ours.keys.signing_public, &body));
    usi_pack_map (&more, 19); /* 18 members and one more: a map16 in both cases */
    usi_buf_append (&more, body.data + 3, body.len - 3);
    usi_pack_str (&more, "night", 5);
    usi_pack_bool (&more, true);
    usi_sign (&whole, type, usi_buf_bytes (&more), &self->ours.keys);
    assert_string_equal (usi_certificate_read (read, usi_buf_bytes (&whole),
                                               self->ours.keys.signing_public),
                         "it says something that is not known here");
    usi_buf_free (&more);
    usi_buf_free (&whole);
    free (read);
}

/* A value of the wrong type, which stood in memory as something that is no bool. */
static void test_wrong_type (void **state)
{
    static const char type[] = "application/vnd.understudy.certificate.v1+msgpack";
    scene_t *self = *state;
    usi_certificate_t *read = calloc (1, sizeof *read);
    usi_buf_t body = {0}, whole = {0};
    usi_pack_map (&body, 18);
    usi_pack_str (&body, "shell", 5);
    usi_pack_uint (&body, 109);
    for (int i = 1; i < 18; i++) {
        usi_pack_str (&body, "rate", 4);
        usi_pack_uint (&body, 1);
    }
    usi_sign (&whole, type, usi_buf_bytes (&body), &self->ours.keys);
    assert_non_null (usi_certificate_read (read, usi_buf_bytes (&whole),
                                           self->ours.keys.signing_public));
    assert_false (read->rights.shell);
    usi_buf_free (&body);
    usi_buf_free (&whole);
    free (read);
}

static usi_cluster_t s_cluster (scene_t *self)
{
    usi_cluster_t cluster = {.name = "demo"};
    memcpy (cluster.key, self->ours.keys.signing_public, USI_KEY_LEN);
    return cluster;
}

static void s_write_files (scene_t *self)
{
    usi_cluster_t cluster = s_cluster (self);
    assert_int_equal (usi_cluster_write (self->cluster, &cluster), 0);
    assert_int_equal (usi_key_write (self->key, self->seed, &self->certificate), 0);
}

static void s_expect (scene_t *self, usi_role_t role, const char *words)
{
    usi_identity_t *identity;
    char *wrong = usi_identity_read (&identity, self->key, self->cluster, role);
    assert_non_null (wrong);
    assert_null (identity);
    if (!strstr (wrong, words))
        fail_msg ("%s", wrong);
    free (wrong);
}

static void test_files (void **state)
{
    scene_t *self = *state;
    usi_identity_t *identity;
    usi_cluster_key_t again;
    struct stat st;
    s_write_files (self);
    char *wrong =
        usi_identity_read (&identity, self->key, self->cluster, USI_ROLE_CLIENT);
    assert_null (wrong);
    assert_memory_equal (identity->keys.transport_secret, self->keys.transport_secret,
                         USI_KEY_LEN);
    assert_string_equal (identity->certificate.name, "alice");
    assert_string_equal (identity->cluster.name, "demo");
    usi_identity_free (&identity);
    assert_int_equal (stat (self->key, &st), 0);
    assert_int_equal (st.st_mode & 0777, 0600);
    /* A secret is never written over. */
    assert_int_equal (usi_key_write (self->key, self->seed, &self->certificate),
                      EEXIST);
    assert_int_equal (usi_cluster_key_write (self->cluster_key, &self->ours), 0);
    assert_null (usi_cluster_key_read (&again, self->cluster_key));
    assert_memory_equal (again.seed, self->ours.seed, USI_KEY_LEN);
    assert_memory_equal (again.keys.signing_public, self->ours.keys.signing_public,
                         USI_KEY_LEN);
}

static void test_files_that_are_refused (void **state)
{
    scene_t *self = *state;
    s_expect (self, USI_ROLE_CLIENT, "No such file");
    s_write_files (self);
    s_expect (self, USI_ROLE_NODE,
              "the key of a client, but the key of a node is needed");
    assert_int_equal (chmod (self->key, 0640), 0);
    s_expect (self, USI_ROLE_CLIENT, "others may read this secret");
    assert_int_equal (unlink (self->key), 0);
    s_describe (self, "alice", USI_ROLE_CLIENT);
    self->certificate.expires_s = 2000;
    assert_true (usi_certificate_sign (&self->certificate, &self->ours.keys));
    assert_int_equal (usi_key_write (self->key, self->seed, &self->certificate), 0);
    s_expect (self, USI_ROLE_CLIENT, "expired");
    assert_int_equal (unlink (self->key), 0);
    self->seed[0] ^= 1;
    assert_int_equal (usi_key_write (self->key, self->seed, &self->certificate), 0);
    s_expect (self, USI_ROLE_CLIENT, "belongs to another key");
    assert_int_equal (unlink (self->key), 0);
    assert_int_equal (usi_certificate_write (self->key, &self->certificate), 0);
    assert_int_equal (chmod (self->key, 0600), 0);
    s_expect (self, USI_ROLE_CLIENT, "another of the files");
    FILE *file = fopen (self->key, "w");
    assert_non_null (file);
    fputs ("hello\n", file);
    fclose (file);
    s_expect (self, USI_ROLE_CLIENT, "not a file of understudy-ctl keygen");
}

static void test_brokers_of_a_cluster (void **state)
{
    scene_t *self = *state;
    usi_cluster_t cluster = s_cluster (self), again;
    s_describe (self, "b1", USI_ROLE_BROKER);
    assert_true (usi_certificate_sign (&self->certificate, &self->ours.keys));
    cluster.brokers[cluster.brokers_len++] = &self->certificate;
    assert_int_equal (usi_cluster_write (self->cluster, &cluster), 0);
    assert_null (usi_cluster_read (&again, self->cluster));
    assert_int_equal (again.brokers_len, 1);
    assert_string_equal (again.brokers[0]->name, "b1");
    usi_cluster_clear (&again);
    /* One that another cluster has signed. */
    assert_true (usi_certificate_sign (&self->certificate, &self->keys));
    assert_int_equal (usi_cluster_write (self->cluster, &cluster), 0);
    char *wrong = usi_cluster_read (&again, self->cluster);
    assert_non_null (strstr (wrong, "not signed by this cluster"));
    assert_int_equal (again.brokers_len, 0);
    free (wrong);
}

static void test_names (void **state)
{
    (void) state;
    assert_true (usi_auth_name_valid ("alice@example.org"));
    assert_true (usi_auth_name_valid ("7-of_9.x"));
    assert_false (usi_auth_name_valid (""));
    assert_false (usi_auth_name_valid ("-x"));
    assert_false (usi_auth_name_valid ("a b"));
    assert_false (usi_auth_name_valid ("../x"));
    assert_int_equal (usi_role_find ("node"), USI_ROLE_NODE);
    assert_int_equal (usi_role_find ("king"), USI_ROLE_NONE);
    assert_int_equal (usi_whose_find ("group"), USI_GROUPS);
    assert_int_equal (usi_whose_find ("theirs"), -1);
    assert_true (usi_certificate_owner ("alice") == usi_certificate_owner ("alice"));
    assert_true (usi_certificate_owner ("alice") != usi_certificate_owner ("bob"));
}

#define TEST(name) cmocka_unit_test_setup_teardown (name, s_set_up, s_tear_down)

int main (void)
{
    const struct CMUnitTest tests[] = {
        TEST (test_keys_are_those_of_the_seed),
        TEST (test_certificate),
        TEST (test_forged),
        TEST (test_unknown_members),
        TEST (test_wrong_type),
        TEST (test_files),
        TEST (test_files_that_are_refused),
        TEST (test_brokers_of_a_cluster),
        TEST (test_names),
    };
    return cmocka_run_group_tests (tests, NULL, NULL);
}
