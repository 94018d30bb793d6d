/* SPDX-License-Identifier: MIT
 *
 * Records of questions: see question.h. */
#include "question.h"

#include <stdio.h>
#include <stdlib.h>

question_t *question_new_query (void)
{
    question_t *question = calloc (1, sizeof *question);
    if (question) {
        question->refs = 1;
        question->is_query = true;
    }
    return question;
}

question_t *question_new_cancel (const us_id_t *id, int mode)
{
    question_t *question = question_new_query ();
    if (question) {
        question->is_query = false;
        question->id = *id;
        question->mode = mode;
    }
    return question;
}

void question_unref (question_t *question)
{
    if (!question || --question->refs > 0)
        return;
    usi_buf_free (&question->certificate);
    usi_buf_free (&question->revoked);
    usi_buf_free (&question->rows);
    free (question);
}

void question_finish (question_t *question, us_err_t code, const char *text)
{
    list_remove (&question->node);
    question->code = code;
    snprintf (question->text, sizeof question->text, "%s",
              text ? text : us_err_text (code));
    question->done = true;
    waiters_wake (question->waiters);
    question_unref (question);
}
