/* SPDX-License-Identifier: MIT
 *
 * The log of a daemon: one line for an event on stderr: time, level, message id, text and
 * key=value pairs. Written where it is decided what to do about an event. Never payloads,
 * values of environment variables or credentials. In libunderstudy the sink is the user's
 * callback, silent by default. */
#ifndef COMMON_BASE_LOG_H
#define COMMON_BASE_LOG_H

#include "understudy/understudy.h"

/* id: short, stable, like "node.lost". The format holds text, then key=value pairs. */
#define usi_error(id, ...)   usi_log (US_LOG_ERROR, id, __VA_ARGS__)
#define usi_warning(id, ...) usi_log (US_LOG_WARNING, id, __VA_ARGS__)
#define usi_notice(id, ...)  usi_log (US_LOG_NOTICE, id, __VA_ARGS__)
#define usi_info(id, ...)    usi_log (US_LOG_INFO, id, __VA_ARGS__)
#define usi_debug(id, ...)   usi_log (US_LOG_DEBUG, id, __VA_ARGS__)

void usi_log (us_log_level_t level, const char *id, const char *format, ...)
    __attribute__ ((format (printf, 3, 4)));
/* Least level that is written; default INFO. */
void usi_log_set_level (us_log_level_t level);
/* "error" … "debug"; -1 for other words. */
int usi_log_level_parse (const char *text);

#endif
