/* SPDX-License-Identifier: MIT
 *
 * Configuration files, and the values of settings in them. */
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/config.h"
#include "fuzz.h"

static const usi_setting_t s_settings[] = {
    {"broker", 'b', "ADDRESS", "tcp://127.0.0.1:7420", "", true},
    {"slots", 's', "N", "2", "", false},
    {"cache-limit", 300, "SIZE", NULL, "", false},
    {"wait", 301, "TIME", "15s", "", false},
    {"insecure", 302, NULL, NULL, "", false},
    {0},
};

/* The path of a file in memory with these bytes. */
static const char *s_file (const uint8_t *data, size_t len)
{
    static char path[64];
    static int fd = -1;
    if (fd < 0) {
        fd = memfd_create ("understudy-fuzz", MFD_CLOEXEC);
        snprintf (path, sizeof path, "/proc/self/fd/%d", fd);
        usi_log_set_level (US_LOG_ERROR);
    }
    US_ASSERT (ftruncate (fd, 0) == 0);
    US_ASSERT (pwrite (fd, data, len, 0) == (ssize_t) len);
    return path;
}

static void s_values (usi_config_t *config)
{
    uint64_t number;
    int64_t ms;
    if (usi_config_uint (config, "slots", 4096, &number) == US_OK)
        US_ASSERT (number <= 4096);
    usi_config_bytes (config, "cache-limit", &number);
    if (usi_config_ms (config, "wait", &ms) == US_OK)
        US_ASSERT (ms >= 0);
    usi_config_switch (config, "insecure");
    for (size_t i = 0; i < usi_config_count (config, "broker"); i++)
        US_ASSERT (*usi_config_item (config, "broker", i));
}

int LLVMFuzzerTestOneInput (const uint8_t *data, size_t len)
{
    usi_config_t *config = usi_config_new ("node", s_settings);
    if (usi_config_load (config, s_file (data, len)) == US_OK)
        s_values (config);
    else
        US_ASSERT (*usi_config_error (config));
    usi_config_destroy (&config);
    return 0;
}
