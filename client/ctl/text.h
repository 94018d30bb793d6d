/* SPDX-License-Identifier: MIT
 *
 * Text for a terminal: whatever a job is called or prints, only what can be seen reaches the
 * screen. All return new strings, which the caller frees.
 *
 * Stands on mem.h. */
#ifndef CLIENT_CTL_TEXT_H
#define CLIENT_CTL_TEXT_H

#include <stddef.h>
#include <stdint.h>

/* Control characters, invisible and direction marks, and bytes that are not UTF-8 become
 * \n, \t, \x1b, \u202e. */
char *text_escape (const char *text, size_t len);
/* The same for logs: line feeds, carriage returns and tabs stay. */
char *text_escape_log (const char *text, size_t len);
/* Bytes that are not UTF-8, and NUL, become U+FFFD. */
char *text_repair (const char *text, size_t len);
/* How many of the last bytes may be the beginning of a character that is not whole yet. */
size_t text_cut (const char *text, size_t len);
/* UTF-8 as one line: white space becomes single spaces, and what has more than max
 * characters is cut and ends with an ellipsis. */
char *text_one_line (const char *text, size_t max);
/* Columns on a terminal of text that was escaped. */
size_t text_width (const char *text);

/* "1.5 GiB", "2d 3h", "350 ms". */
char *text_size (uint64_t bytes);
char *text_duration (int64_t ms);
/* "2025-03-01 14:02:59", local time. */
char *text_time (int64_t ms);

#endif
