/* SPDX-License-Identifier: MIT
 *
 * Text for a terminal, see text.h. */
#include "text.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <wchar.h>

#include "mem.h"

/* --- UTF-8 ----------------------------------------------------------------------------- */

/* Length of a sequence that begins so; 0: none does. */
static size_t s_sequence_len (unsigned char first)
{
    return first < 0x80   ? 1
           : first < 0xc2 ? 0
           : first < 0xe0 ? 2
           : first < 0xf0 ? 3
           : first < 0xf5 ? 4
                          : 0;
}

/* One character; its length, or 0 where the bytes are not UTF-8. */
static size_t s_decode (const char *text, size_t len, uint32_t *character)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    unsigned char first = (unsigned char) *text;
    size_t need = s_sequence_len (first);
    if (need == 0 || need > len)
        return 0;
    uint32_t c = need == 1 ? first : first & (0x7fu >> need);
    for (size_t i = 1; i < need; i++) {
        unsigned char next = (unsigned char) text[i];
        if ((next & 0xc0) != 0x80)
            return 0;
        c = c << 6 | (next & 0x3f);
    }
    if (c < least[need] || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff))
        return 0;
    *character = c;
    return need;
}

size_t text_cut (const char *text, size_t len)
{
    for (size_t back = 1; back <= 3 && back <= len; back++) {
        unsigned char c = (unsigned char) text[len - back];
        if ((c & 0xc0) != 0x80)
            return s_sequence_len (c) > back ? back : 0;
    }
    return 0;
}

/* Moves the cursor, shows nothing, or turns the direction of what follows. */
static bool s_is_unseen (uint32_t c)
{
    return c < 0x20 || (c >= 0x7f && c < 0xa0) || c == 0xad || c == 0x61c ||
           c == 0x180e || (c >= 0x200b && c <= 0x200f) ||
           (c >= 0x2028 && c <= 0x202e) || (c >= 0x2060 && c <= 0x206f) ||
           c == 0xfeff || (c >= 0xfff9 && c <= 0xfffb) || c >= 0xe0000;
}

/* --- escaping ---------------------------------------------------------------------------- */

#define ESCAPED_MAX 4 /* bytes for each byte: \xff for one, \U0010ffff for four */

static int s_put_escape (char *to, uint32_t c)
{
    if (c == '\n')
        return sprintf (to, "\\n");
    if (c == '\t')
        return sprintf (to, "\\t");
    if (c == '\r')
        return sprintf (to, "\\r");
    if (c < 0x100)
        return sprintf (to, "\\x%02x", c);
    return sprintf (to, c < 0x10000 ? "\\u%04x" : "\\U%08x", c);
}

static char *s_escape (const char *text, size_t len, const char *stay)
{
    char *escaped = mem_alloc (len * ESCAPED_MAX + 1);
    char *to = escaped;
    const char *end = len ? text + len : text; /* text may be NULL then */
    while (text < end) {
        uint32_t c = (unsigned char) *text;
        size_t size = s_decode (text, (size_t) (end - text), &c);
        bool stays = c && c < 0x80 && strchr (stay, (int) c);
        if (size == 0 || (s_is_unseen (c) && !stays)) {
            to += s_put_escape (to, c);
            text += size ? size : 1;
        } else {
            memcpy (to, text, size);
            to += size;
            text += size;
        }
    }
    *to = '\0';
    return escaped;
}

char *text_escape (const char *text, size_t len)
{
    return s_escape (text, len, "");
}

char *text_escape_log (const char *text, size_t len)
{
    return s_escape (text, len, "\n\r\t");
}

char *text_repair (const char *text, size_t len)
{
    static const char replacement[] = "\xef\xbf\xbd";
    char *repaired = mem_alloc (3 * len + 1);
    char *to = repaired;
    const char *end = len ? text + len : text; /* text may be NULL then */
    while (text < end) {
        uint32_t c = 0;
        size_t size = s_decode (text, (size_t) (end - text), &c);
        if (size == 0 || c == 0) {
            memcpy (to, replacement, 3);
            to += 3;
            text++;
        } else {
            memcpy (to, text, size);
            to += size;
            text += size;
        }
    }
    *to = '\0';
    return repaired;
}

static bool s_is_space (char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

char *text_one_line (const char *text, size_t max)
{
    static const char ellipsis[] = "\xe2\x80\xa6";
    char *line = mem_alloc (strlen (text) + sizeof ellipsis);
    size_t len = 0, characters = 0, cut = 0;
    for (; *text; text++) {
        bool space = s_is_space (*text);
        if (space && (len == 0 || s_is_space (text[1]) || !text[1]))
            continue;
        if (((unsigned char) *text & 0xc0) != 0x80) { /* a character begins */
            if (characters == max) {
                strcpy (line + cut, ellipsis);
                return line;
            }
            if (++characters == max)
                cut = len;
        }
        line[len++] = space ? ' ' : *text;
    }
    line[len] = '\0';
    return line;
}

size_t text_width (const char *text)
{
    size_t width = 0;
    size_t len = strlen (text);
    while (len) {
        uint32_t c = 0;
        size_t size = s_decode (text, len, &c);
        int columns = size ? wcwidth ((wchar_t) c) : 1;
        width += columns < 0 ? 1 : (size_t) columns;
        size += size == 0;
        text += size;
        len -= size;
    }
    return width;
}

/* --- numbers ----------------------------------------------------------------------------- */

char *text_size (uint64_t bytes)
{
    static const char *const units[] = {"KiB", "MiB", "GiB", "TiB"};
    if (bytes < 1024)
        return mem_printf ("%" PRIu64 " B", bytes);
    double size = (double) bytes / 1024;
    size_t unit = 0;
    for (; size >= 1024 && unit < 3; unit++)
        size /= 1024;
    return mem_printf ("%.1f %s", size, units[unit]);
}

char *text_duration (int64_t ms)
{
    int64_t s = ms / 1000;
    if (ms < 1000)
        return mem_printf ("%" PRId64 " ms", ms);
    if (s < 60)
        return mem_printf ("%.1f s", (double) ms / 1000);
    if (s < 3600)
        return mem_printf ("%" PRId64 "m %" PRId64 "s", s / 60, s % 60);
    if (s < 86400)
        return mem_printf ("%" PRId64 "h %" PRId64 "m", s / 3600, s / 60 % 60);
    return mem_printf ("%" PRId64 "d %" PRId64 "h", s / 86400, s / 3600 % 24);
}

char *text_time (int64_t ms)
{
    time_t seconds = (time_t) (ms / 1000);
    struct tm parts;
    char text[64];
    if (!localtime_r (&seconds, &parts) ||
        strftime (text, sizeof text, "%Y-%m-%d %H:%M:%S", &parts) == 0)
        return mem_printf ("%" PRId64, ms);
    return mem_printf ("%s", text);
}
