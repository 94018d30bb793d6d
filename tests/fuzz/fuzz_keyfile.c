/* SPDX-License-Identifier: MIT
 *
 * The files of keys, of any content: each reader takes it or says why not. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "auth/keyfile.h"
#include "fuzz.h"

static void s_check (char *wrong)
{
    US_ASSERT (!wrong || *wrong);
    free (wrong);
}

static void s_read_cluster (const char *path)
{
    usi_cluster_t cluster = {0};
    char *wrong = usi_cluster_read (&cluster, path);
    for (size_t i = 0; !wrong && i < cluster.brokers_len; i++)
        US_ASSERT (cluster.brokers[i]->role == USI_ROLE_BROKER);
    US_ASSERT (wrong || cluster.brokers_len <= USI_CLUSTER_BROKERS_MAX);
    if (!wrong)
        usi_cluster_clear (&cluster);
    s_check (wrong);
}

static void s_read_cluster_key (const char *path)
{
    usi_cluster_key_t key = {0};
    s_check (usi_cluster_key_read (&key, path));
}

static void s_read_certificate (const char *path)
{
    usi_certificate_t certificate;
    const uint8_t cluster[USI_KEY_LEN] = {1};
    s_check (usi_certificate_read_file (&certificate, path, cluster));
}

static void s_read_identity (const char *path)
{
    usi_identity_t *identity = NULL;
    s_check (usi_identity_read (&identity, path, path, USI_ROLE_CLIENT));
    usi_identity_free (&identity);
}

int LLVMFuzzerTestOneInput (const uint8_t *data, size_t len)
{
    char path[32];
    int fd = memfd_create ("keys", MFD_CLOEXEC);
    US_ASSERT (fd >= 0 && fchmod (fd, 0600) == 0 &&
               write (fd, data, len) == (ssize_t) len);
    snprintf (path, sizeof path, "/proc/self/fd/%d", fd);
    s_read_cluster (path);
    s_read_cluster_key (path);
    s_read_certificate (path);
    s_read_identity (path);
    close (fd);
    return 0;
}
