/* SPDX-License-Identifier: MIT
 *
 * The store of the tests: implements store/store.h without Redis. It writes down what it
 * is asked and answers when the test says so. store_new makes it (all arguments may be
 * NULL), store_destroy answers with US_ERR_STORE what is still open, as the real one does.
 * Tests that use it link the broker's own files above the store. */
#ifndef TESTS_BROKER_FAKE_STORE_H
#define TESTS_BROKER_FAKE_STORE_H

#include "store/store.h"

#define FAKE_CLASSES_MAX 8

/* One call. Of the fields, those are set that the called function has. */
typedef struct fake_call {
    const char *name; /* of the function, without store_ */
    bool taken;
    bool answered; /* also where there is nothing to answer */
    store_fence_t fence;
    usi_id_t id;
    uint32_t peer, broker;
    uint64_t node;
    uint32_t boot;
    unsigned flags;
    bool on; /* waiting, started, detached, with_body, or on */
    int state, stream, outcome, code, mode;
    uint32_t class_id, count, index;
    uint64_t offset, size, log_end, older_ms;
    char text[USI_MAX_CURSOR + 1]; /* or the channel */
    char needs[USI_NEEDS_SIZE];
    uint8_t digest[USI_DIGEST_LEN];
    usi_buf_t body, blobs, spec; /* copies */
    int answers;                 /* which of the functions below fits; fake_store.c */
    void (*fn) (void);
    void *arg;
} fake_call_t;

/* The store answers (from the start) or has lost Redis. */
void fake_set_ready (store_t *self, bool ready);
/* What store_memory gives; 0 from the start. */
void fake_set_memory (store_t *self, uint64_t bytes);
/* So many calls of this function were made. */
size_t fake_count (const store_t *self, const char *name);
/* Calls of any function that wait for an answer. */
size_t fake_open (const store_t *self);
/* The oldest call of this function that was not taken yet; none: the test fails. */
fake_call_t *fake_take (store_t *self, const char *name);

/* Answer the call: as the callback of its function says in store.h. */
void fake_answer_code (fake_call_t *call, us_err_t code);
void fake_answer_submit (fake_call_t *call, us_err_t code, int state);
/* So many jobs of the channel, each a first attempt with the number as first byte of its
 * id. */
void fake_answer_claim (fake_call_t *call, us_err_t code, size_t count);
void fake_answer_job (fake_call_t *call, us_err_t code, const store_job_t *job);
void fake_answer_read (fake_call_t *call, us_err_t code, usi_bytes_t bytes,
                       uint64_t length);
void fake_answer_log (fake_call_t *call, us_err_t code, uint64_t kept,
                      const uint32_t *peers, size_t count);
void fake_answer_done (fake_call_t *call, us_err_t code, const store_finished_t *reply);
void fake_answer_cancel (fake_call_t *call, us_err_t code,
                         const store_cancelled_t *reply);
void fake_answer_size (fake_call_t *call, us_err_t code, uint64_t size);
void fake_answer_registry (fake_call_t *call, us_err_t code, const usi_bytes_t *values,
                           size_t count);
void fake_answer_channels (fake_call_t *call, us_err_t code,
                           const store_channel_t *channels, size_t count);
void fake_answer_list (fake_call_t *call, us_err_t code, const store_record_t *records,
                       size_t count, const char *cursor);
void fake_answer_purge (fake_call_t *call, us_err_t code, uint64_t removed);
void fake_answer_doctor (fake_call_t *call, us_err_t code, const char *const *findings,
                         size_t count);

#endif
