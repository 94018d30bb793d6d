/* SPDX-License-Identifier: MIT
 *
 * How a job ended: its value, or its failure (docs/protocol.md section 8). For results that
 * have ended.
 *
 * Stands on ctl.h, output.h, json.h and text.h. */
#ifndef CLIENT_CTL_OUTCOME_H
#define CLIENT_CTL_OUTCOME_H

#include <jansson.h>

#include "ctl.h"

/* {"state": …, "code": …} and "value", or "pickle": true, or "failure" into object. */
void outcome_into (json_t *object, const us_result_t *result);
/* The value of a success on stdout: text as it is, anything else as JSON on a line. */
void outcome_print_value (const us_result_t *result);
/* The failure's traceback and words. */
void outcome_print_failure (FILE *stream, const us_result_t *result);

#endif
