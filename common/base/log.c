/* SPDX-License-Identifier: MIT
 *
 * The log of a daemon: see log.h. */
#include "base/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static us_log_level_t s_level = US_LOG_INFO;
static const char *const s_names[] = {"error", "warning", "notice", "info", "debug"};

void usi_log_set_level (us_log_level_t level)
{
    s_level = level;
}

int usi_log_level_parse (const char *text)
{
    for (int i = 0; i <= US_LOG_DEBUG; i++)
        if (strcmp (text, s_names[i]) == 0)
            return i;
    return -1;
}

/* Control characters would let a peer's text forge lines. */
static void s_clean (char *line, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if ((unsigned char) line[i] < 0x20 || line[i] == 0x7f)
            line[i] = ' ';
}

void usi_log (us_log_level_t level, const char *id, const char *format, ...)
{
    if (level > s_level)
        return;
    char line[2048];
    struct timeval now;
    struct tm utc;
    gettimeofday (&now, NULL);
    gmtime_r (&now.tv_sec, &utc);
    size_t len = strftime (line, sizeof line, "%Y-%m-%dT%H:%M:%S", &utc);
    len += (size_t) snprintf (line + len, sizeof line - len, ".%03dZ %s %s ",
                              (int) (now.tv_usec / 1000), s_names[level], id);
    va_list args;
    va_start (args, format);
    int text = vsnprintf (line + len, sizeof line - len - 1, format, args);
    va_end (args);
    if (text > 0)
        len += (size_t) text < sizeof line - len - 1 ? (size_t) text
                                                     : sizeof line - len - 2;
    s_clean (line, len);
    line[len++] = '\n';
    /* One write, so that lines of several processes do not mix. Nothing can be done where
     * stderr is gone. */
    ssize_t written = write (STDERR_FILENO, line, len);
    (void) written;
}
