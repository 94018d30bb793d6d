/* SPDX-License-Identifier: MIT
 *
 * Ids, digests and names: see id.h. */
#include "base/id.h"

#include <ctype.h>
#include <fcntl.h>
#include <openssl/sha.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"

/* Prepares libsodium; safe to call again. */
static void s_random_init (void)
{
    int rc = sodium_init (); /* thread-safe; 1 where it was done before */
    US_ASSERT (rc >= 0);
}

void usi_sha256 (const void *data, size_t len, uint8_t digest[USI_DIGEST_LEN])
{
    bool summed = SHA256 (data, len, digest) != NULL;
    US_ASSERT (summed);
}

uint64_t usi_random64 (void)
{
    uint64_t value;
    s_random_init ();
    randombytes_buf (&value, sizeof value);
    return value;
}

uint32_t usi_random32 (void)
{
    uint32_t value;
    do
        value = (uint32_t) usi_random64 ();
    while (value == 0);
    return value;
}

uint8_t usi_partition (usi_bytes_t channel)
{
    uint8_t digest[USI_DIGEST_LEN];
    usi_sha256 (channel.data, channel.len, digest);
    return digest[0];
}

static bool s_is_alnum (uint8_t c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

bool usi_channel_valid (usi_bytes_t channel)
{
    if (channel.len == 0 || channel.len > USI_CHANNEL_MAX ||
        !s_is_alnum (channel.data[0]))
        return false;
    for (size_t i = 1; i < channel.len; i++)
        if (!s_is_alnum (channel.data[i]) && !memchr ("._-", channel.data[i], 3))
            return false;
    return true;
}

bool usi_python_valid (usi_bytes_t python)
{
    size_t dot = 0;
    if (python.len < 3 || python.len > 15)
        return false;
    for (size_t i = 0; i < python.len; i++) {
        if (python.data[i] == '.' && dot == 0 && i > 0 && i + 1 < python.len)
            dot = i;
        else if (python.data[i] < '0' || python.data[i] > '9')
            return false;
    }
    return dot > 0;
}

uint32_t usi_class (usi_bytes_t python, char needs[USI_NEEDS_SIZE])
{
    char text[USI_NEEDS_SIZE] = "";
    uint32_t class_id = 0;
    if (python.len > 0) {
        uint8_t digest[USI_DIGEST_LEN];
        int len = snprintf (text, sizeof text, "python=%.*s", (int) python.len,
                            (const char *) python.data);
        usi_sha256 (text, (size_t) len, digest);
        class_id = (uint32_t) usi_get_be (digest, 4);
    }
    if (needs)
        memcpy (needs, text, sizeof text);
    return class_id;
}

void usi_id_make (usi_id_t *id, usi_bytes_t channel)
{
    s_random_init ();
    randombytes_buf (id->bytes, sizeof id->bytes);
    id->bytes[6] = (uint8_t) ((id->bytes[6] & 0x0f) | 0x80); /* version 8 */
    id->bytes[8] = (uint8_t) ((id->bytes[8] & 0x3f) | 0x80); /* variant of RFC 9562 */
    id->bytes[US_ID_LEN - 1] = usi_partition (channel);
}

void usi_hex (const void *data, size_t len, char *text)
{
    static const char digits[] = "0123456789abcdef";
    const uint8_t *bytes = data;
    for (size_t i = 0; i < len; i++) {
        text[2 * i] = digits[bytes[i] >> 4];
        text[2 * i + 1] = digits[bytes[i] & 15];
    }
    text[2 * len] = '\0';
}

static int s_nibble (char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (char) tolower ((unsigned char) c);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

int usi_unhex (const char *text, uint8_t *data, size_t size)
{
    size_t len = strlen (text);
    if (len % 2 != 0 || len / 2 > size)
        return -1;
    for (size_t i = 0; i < len / 2; i++) {
        int high = s_nibble (text[2 * i]);
        int low = s_nibble (text[2 * i + 1]);
        if (high < 0 || low < 0)
            return -1;
        data[i] = (uint8_t) (high << 4 | low);
    }
    return (int) (len / 2);
}

/* First line of a small file; "" where it cannot be read. */
static void s_first_line (const char *path, char *line, size_t size)
{
    line[0] = '\0';
    int fd = open (path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return;
    ssize_t len = read (fd, line, size - 1);
    close (fd);
    line[len > 0 ? len : 0] = '\0';
    line[strcspn (line, "\n")] = '\0';
}

const char *usi_host (void)
{
    static _Thread_local char host[128];
    char machine[64];
    struct stat net;
    s_first_line ("/etc/machine-id", machine, sizeof machine);
    if (machine[0] == '\0') /* containers often have none */
        s_first_line ("/proc/sys/kernel/random/boot_id", machine, sizeof machine);
    bool known = stat ("/proc/self/ns/net", &net) == 0;
    snprintf (host, sizeof host, "%s/%llu", machine,
              known ? (unsigned long long) net.st_ino : 0ULL);
    return host;
}
