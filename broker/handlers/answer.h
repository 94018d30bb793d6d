/* SPDX-License-Identifier: MIT
 *
 * An ANSWER in the making: it is made from a QUERY, filled with rows (each is a msgpack
 * map), and sent once. Stands on the core. */
#ifndef BROKER_ANSWER_H
#define BROKER_ANSWER_H

#include "core/broker.h"

#define ANSWER_ROWS_MAX 512

typedef struct answer {
    broker_t *broker;
    uint32_t peer;
    uint64_t ref;
    unsigned limit; /* rows wanted, 1 to ANSWER_ROWS_MAX */
    size_t skip;    /* rows that an earlier answer held: cursor of short listings */
    usi_msg_t msg;
    char asked[USI_MAX_CURSOR + 1];  /* cursor of the question */
    char cursor[USI_MAX_CURSOR + 1]; /* where to go on; empty: there is no more */
    bool full;                       /* a row was refused */
    /* what was asked */
    usi_id_t id;
    char channel[USI_CHANNEL_MAX + 1];
    char name[USI_MAX_NAME + 1];
    int state;
    uint64_t older_ms;
    uint8_t prefix[US_ID_LEN];
    size_t prefix_len;
    bool has_id;
    usi_buf_t signed_bytes; /* a certificate, or a list of revoked keys */
} answer_t;

/* Who has asked; NULL: gone. */
const peer_t *answer_peer (const answer_t *self);

answer_t *answer_new (broker_t *broker, const peer_t *peer, const usi_fields_t *query);
/* Answers with this error; on a NULL text its own is used. Consumes. */
void answer_fail (answer_t **self_p, us_err_t code, const char *text);
/* Sends the rows. Consumes. */
void answer_send (answer_t **self_p, uint64_t count);

/* Adds a row. False: there is no room; the rest is for the next answer. */
bool answer_row (answer_t *self, const usi_buf_t *row);
/* Rows are maps: pairs are counted while they are written. */
typedef struct row {
    usi_buf_t pairs;
    uint32_t count;
} row_t;

void row_text (row_t *row, const char *key, const char *text);
void row_str (row_t *row, const char *key, usi_bytes_t text);
void row_uint (row_t *row, const char *key, uint64_t value);
void row_bool (row_t *row, const char *key, bool value);
void row_list (row_t *row, const char *key, const endpoints_t *list);
/* Begins an array: the caller puts so many values into the returned buffer. */
usi_buf_t *row_array (row_t *row, const char *key, size_t count);
void row_fields (row_t *row, const usi_fields_t *fields);
/* The pairs of a whole msgpack map. */
void row_map (row_t *row, usi_bytes_t map);
/* Appends the row to buf as a map. The row is empty then and can be used again. */
void row_end (row_t *row, usi_buf_t *buf);
/* Ends the row and adds it, for listings without a cursor of their own: skips the rows that
 * an earlier answer held, and sets the cursor. */
bool answer_end_row (answer_t *self, size_t number, row_t *row);

#endif
