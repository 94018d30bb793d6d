/* SPDX-License-Identifier: MIT
 *
 * libunderstudy: submit jobs to an Understudy broker, wait for them, read their logs.
 *
 * A client owns one background thread that speaks to the broker; a call that would only
 * wait for that thread may do its work itself. All calls are safe from several threads;
 * one object must not be destroyed while another thread uses it. After fork() the child's
 * first call notices the new process and connects afresh; results made before the fork
 * can still be asked about there.
 *
 * The library never prints and leaves signals to the program; a call that waits lets them
 * in while it sleeps. Calls return US_ERR_NOMEM where memory ends; what puts messages
 * together aborts then, as libzmq beneath it does.
 *
 * Ownership: who creates destroys, with the matching _destroy, which accepts NULL and sets
 * the pointer to NULL. A call that takes `X **` consumes on success; one that makes an
 * object leaves NULL there when it fails. What is given is copied. Pointers to const are
 * borrowed until the object is destroyed unless said otherwise.
 *
 * US_ERR_INVALID stands for arguments that are NULL, out of range or not UTF-8, and
 * US_ERR_CLOSED for a client that was destroyed, where nothing else is said. Calls that
 * return no error need objects that are there.
 *
 * Timeouts are milliseconds; -1 waits for ever, 0 only looks. A wait that a signal
 * interrupts returns US_ERR_INTERRUPTED. */
#ifndef UNDERSTUDY_H
#define UNDERSTUDY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <understudy/error.h>
#include <understudy/export.h>
#include <understudy/version.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct us_options us_options_t;
typedef struct us_client us_client_t;
typedef struct us_job us_job_t;
typedef struct us_result us_result_t;
typedef struct us_blob us_blob_t;

/* Version of the library at run time, "0.1.0". */
US_EXPORT const char *us_version (void);

/* --- Ids ------------------------------------------------------------------------ */

#define US_ID_LEN      16
#define US_ID_TEXT_LEN 36 /* without the closing NUL */

typedef struct us_id {
    uint8_t bytes[US_ID_LEN];
} us_id_t;

/* A fresh id for a job on channel. US_ERR_INVALID: not a channel name. */
US_EXPORT us_err_t us_id_new (us_id_t *id, const char *channel);
/* UUID text, in either case, with hyphens. US_ERR_INVALID: not a UUID of version 8. */
US_EXPORT us_err_t us_id_parse (us_id_t *id, const char *text);
US_EXPORT void us_id_format (const us_id_t *id, char text[US_ID_TEXT_LEN + 1]);
/* The id's partition belongs to channel. */
US_EXPORT bool us_id_matches (const us_id_t *id, const char *channel);

/* --- Options -------------------------------------------------------------------- */

typedef enum us_log_level {
    US_LOG_ERROR,
    US_LOG_WARNING,
    US_LOG_NOTICE,
    US_LOG_INFO,
    US_LOG_DEBUG,
} us_log_level_t;

/* Called on the client's thread, or within a call that does that thread's work; must not
 * call the library. */
typedef void us_log_fn (us_log_level_t level, const char *text, void *arg);

/* Options start from variables (UNDERSTUDY_BROKER, UNDERSTUDY_REDIS, …), then the
 * configuration file (see understudy.conf(5)), then the defaults. US_ERR_CONFIG: one of
 * them is malformed; text (a buffer of text_len bytes, may be NULL) says which. */
US_EXPORT us_err_t us_options_new (us_options_t **options, char *text, size_t text_len);
US_EXPORT void us_options_destroy (us_options_t **options);
/* Addresses of brokers, by comma: tcp://host:port or ipc://path. Takes the place of a
 * Redis. */
US_EXPORT us_err_t us_options_set_broker (us_options_t *options, const char *endpoints);
/* Find brokers in the registry of this Redis: redis://[user:password@]host[:port][/db]
 * or unix:///path[?db=N]. Takes the place of the broker addresses. */
US_EXPORT us_err_t us_options_set_redis (us_options_t *options, const char *url);
/* How long the first connection may take, up to INT32_MAX; default 5000. */
US_EXPORT us_err_t us_options_set_connect_timeout_ms (us_options_t *options,
                                                      int64_t ms);
/* Largest body, result or blob in bytes, up to 64 GiB; default 64 MiB. */
US_EXPORT us_err_t us_options_set_max_payload (us_options_t *options, size_t bytes);
/* Shown by understudy-ctl, at most 256 bytes; default is the program's name. */
US_EXPORT us_err_t us_options_set_name (us_options_t *options, const char *name);
/* A node's worker process is kept for further jobs of the same program and owner, so that
 * nobody meets what others have left in its modules. Program: any bytes that name it; by
 * default those of the executable's path, size and time and of the working directory.
 * Owner: at most 256 bytes of UTF-8, by default what the setting "owner" says, else the
 * name of the user. It proves nothing: by TCP the name in the client's certificate counts
 * beside it. */
US_EXPORT us_err_t us_options_set_program (us_options_t *options, const void *bytes,
                                           size_t len);
US_EXPORT us_err_t us_options_set_owner (us_options_t *options, const char *owner);
/* Reads the files of keys with which brokers on TCP are met (understudy-ctl keygen makes
 * them): a client's or admin's key, and the public file of the cluster. NULL: the settings
 * "key" and "cluster" have no say here; the only key of a client in ~/.config/understudy and
 * cluster.pub there are taken, where they are there. key "none": without keys. Options begin
 * with what the settings say. US_ERR_CONFIG: a file is missing, damaged, expired or open to
 * others; text says which and what to do. */
US_EXPORT us_err_t us_options_set_key (us_options_t *options, const char *key,
                                       const char *cluster, char *text,
                                       size_t text_len);
/* Where the client's log goes; NULL (the default): nowhere. */
US_EXPORT void us_options_set_log (us_options_t *options, us_log_fn *fn, void *arg);

/* --- Client --------------------------------------------------------------------- */

/* Makes a client; nothing is connected yet. US_ERR_SYSTEM: no descriptor is left. */
US_EXPORT us_err_t us_client_new (us_client_t **client, const us_options_t *options);
/* Waits until a broker has answered. The first use does the same by itself.
 * US_ERR_UNREACHABLE: none did within the connect timeout. US_ERR_SYSTEM: the thread
 * cannot be started. */
US_EXPORT us_err_t us_client_connect (us_client_t *client);
/* Waits until every submitted job has been accepted or refused; tells in *lost (may be
 * NULL) how many were not. US_ERR_TIMEOUT. */
US_EXPORT us_err_t us_client_flush (us_client_t *client, int64_t timeout_ms,
                                    size_t *lost);
/* Ends the thread; waits end with US_ERR_CLOSED. Jobs already accepted go on. */
US_EXPORT void us_client_destroy (us_client_t **client);
/* More words about the last failure on this thread; "" where there are none. Borrowed
 * until this thread's next call. */
US_EXPORT const char *us_client_error_text (us_client_t *client);
/* The address now in use; otherwise the ones to be tried, or the registry's, without
 * passwords. Borrowed until this thread's next call. */
US_EXPORT const char *us_client_endpoint (us_client_t *client);
/* The payload limit in bytes: that of its options, or the broker's once that is known
 * and lower. */
US_EXPORT size_t us_client_max_payload (const us_client_t *client);
/* The broker's limits of one buffer, and of all buffers of a job or result together, in
 * bytes; SIZE_MAX: no broker has told yet. 0: it takes none. */
US_EXPORT size_t us_client_max_buffer (const us_client_t *client);
US_EXPORT size_t us_client_max_buffers (const us_client_t *client);

/* --- Blobs ---------------------------------------------------------------------- */

/* Bytes shared by many jobs: code that they need, or data. Copied and hashed once, sent
 * only where the broker does not have it. Counted: destroy your handle when you like. The
 * same bytes, from 1 MiB on, are copied only once while a blob of them lives.
 * US_ERR_INVALID: no bytes. */
US_EXPORT us_err_t us_blob_new (us_blob_t **blob, const void *data, size_t len);
US_EXPORT void us_blob_destroy (us_blob_t **blob);
/* The 32 bytes of its sha-256. */
US_EXPORT const uint8_t *us_blob_digest (const us_blob_t *blob);
/* Its bytes, as long as you have a handle. Only those of us_result_buffer may be written
 * to. */
US_EXPORT void *us_blob_data (us_blob_t *blob, size_t *len);

/* --- Jobs ----------------------------------------------------------------------- */

/* A job to be, on channel. US_ERR_INVALID: not a channel name. */
US_EXPORT us_err_t us_job_new (us_job_t **job, const char *channel);
US_EXPORT void us_job_destroy (us_job_t **job);
/* What it runs: a command for /bin/sh, of at most 131,071 bytes (US_ERR_TOO_LARGE); or a
 * function of a file given as text, with msgpack arguments [positional array, keyword
 * map] (see us_writer; NULL for none); or a call envelope as in docs/protocol.md
 * section 8. The last one counts; without one us_submit returns US_ERR_INVALID. */
US_EXPORT us_err_t us_job_set_shell (us_job_t *job, const char *command);
US_EXPORT us_err_t us_job_set_source (us_job_t *job, const char *source,
                                      const char *function, const void *args,
                                      size_t args_len);
US_EXPORT us_err_t us_job_set_call (us_job_t *job, const void *envelope, size_t len);
/* Code the call envelope names, at most 15 of them; the job keeps its own count. */
US_EXPORT us_err_t us_job_add_blob (us_job_t *job, const us_blob_t *blob);
/* One more of the buffers that the envelope's arguments take, in their order
 * (docs/protocol.md section 8); the same may come twice. It counts among the 15. */
US_EXPORT us_err_t us_job_add_buffer (us_job_t *job, const us_blob_t *blob);
/* The environment. US_ERR_REQUIREMENT: not a plain requirement (name, extras, versions,
 * marker) of at most 512 bytes, or more than 1,000 of them; options, paths and URLs never
 * are. us_job_error_text says what is wrong. */
US_EXPORT us_err_t us_job_add_package (us_job_t *job, const char *requirement);
US_EXPORT us_err_t us_job_add_constraint (us_job_t *job, const char *constraint);
/* What the last refusal by this job was about; "" where there was none. Borrowed until the
 * next call. */
US_EXPORT const char *us_job_error_text (const us_job_t *job);
/* "3.11"; NULL or "" for any. */
US_EXPORT us_err_t us_job_set_python (us_job_t *job, const char *minor_version);
/* A variable of the job's environment: a name of letters, digits and '_', and UTF-8. Those
 * that the interpreter or its loader read come too late and are refused. */
US_EXPORT us_err_t us_job_add_env (us_job_t *job, const char *name, const char *value);
/* Absolute path on the node; by default an empty scratch directory, which is TMPDIR in
 * any case. */
US_EXPORT us_err_t us_job_set_cwd (us_job_t *job, const char *path);
/* A bundle (docs/worker-protocol.md) whose file ".setup" is a call envelope, called once
 * in each worker before its first job. Added to the job's blobs; the job holds it. */
US_EXPORT us_err_t us_job_set_setup (us_job_t *job, const us_blob_t *blob);
/* An id from us_id_new for the job's channel, so that the same submit can be repeated;
 * without it us_submit makes one. US_ERR_INVALID: it belongs to another channel. */
US_EXPORT us_err_t us_job_set_id (us_job_t *job, const us_id_t *id);
/* What lists call it, at most 256 bytes. */
US_EXPORT us_err_t us_job_set_name (us_job_t *job, const char *name);
/* Of one attempt: after soft_ms an exception is raised in it, after hard_ms it is killed;
 * 0 (the default): no limit. Up to UINT32_MAX. */
US_EXPORT us_err_t us_job_set_limits_ms (us_job_t *job, int64_t soft_ms,
                                         int64_t hard_ms);
/* Repeats after an exception in the job, up to 100. Default 0. */
US_EXPORT us_err_t us_job_set_retries (us_job_t *job, unsigned retries);
/* It must start within this time, up to UINT32_MAX; 0 (the default): whenever it may. */
US_EXPORT us_err_t us_job_set_expire_ms (us_job_t *job, int64_t expire_ms);
/* true: a process of its own. Default false. */
US_EXPORT us_err_t us_job_set_fresh (us_job_t *job, bool fresh);
/* false: US_ERR_NO_UNDERSTUDIES where no node listens on the channel. Default true. */
US_EXPORT us_err_t us_job_set_queue (us_job_t *job, bool queue);
/* true: the log comes as it grows (us_result_read_log, US_EVENT_LOG). Default false. */
US_EXPORT us_err_t us_job_set_stream_log (us_job_t *job, bool stream);
/* true: nobody waits: the result is not sent back. Default false. */
US_EXPORT us_err_t us_job_set_detached (us_job_t *job, bool detached);

/* Hands the job to the client's thread and returns at once; consumes it on success.
 * US_ERR_TOO_LARGE: over the payload limit; us_job_error_text says more. Everything
 * later, refusals included, ends the result; so does a first connection that fails
 * (US_ERR_UNREACHABLE). A store that is full or away is no refusal: the job is sent again.
 * Waits only while more than 64 MiB are unsent. */
US_EXPORT us_err_t us_submit (us_client_t *client, us_job_t **job,
                              us_result_t **result);

/* --- Results -------------------------------------------------------------------- */

/* Every state of a job: X (name, number, whether it is an end). The one list from which
 * the C code, the functions in Redis and the Python package take names and ends. The
 * numbers travel on the wire and stand in Redis (QUEUED to EXPIRED); 10 and 11 are kept
 * for BLOCKED and SCHEDULED. UNSENT: not yet accepted. REFUSED: never accepted;
 * us_result_code says why. */
/* clang-format off */
#define US_STATE_MAP(X)                                                                  \
    X (UNSENT, 0, false)                                                                 \
    X (QUEUED, 1, false)                                                                 \
    X (LEASED, 2, false)                                                                 \
    X (RUNNING, 3, false)                                                                \
    X (BACKOFF, 4, false)                                                                \
    X (SUCCEEDED, 5, true)                                                               \
    X (FAILED, 6, true)                                                                  \
    X (CANCELLED, 7, true)                                                               \
    X (DEAD, 8, true)                                                                    \
    X (EXPIRED, 9, true)                                                                 \
    X (REFUSED, 15, true)
/* clang-format on */

typedef enum us_state {
#define X(name, number, is_end) US_STATE_##name = number,
    US_STATE_MAP (X)
#undef X
} us_state_t;

/* "QUEUED"; "?" for other numbers. */
US_EXPORT const char *us_state_name (int state);
US_EXPORT bool us_state_is_end (int state);

/* Opens a job that somebody submitted earlier. It is looked up in the background: an
 * unknown id ends the result as REFUSED with US_ERR_UNKNOWN_JOB. US_ERR_INVALID: not an
 * id of a job. */
US_EXPORT us_err_t us_result_open (us_client_t *client, const us_id_t *id,
                                   us_result_t **result);
/* One more owner, for another thread or language, with a us_result_destroy of its own. */
US_EXPORT us_result_t *us_result_dup (us_result_t *result);
/* The job goes on. */
US_EXPORT void us_result_destroy (us_result_t **result);
US_EXPORT us_id_t us_result_id (const us_result_t *result);
/* What is known now, without asking. */
US_EXPORT us_state_t us_result_state (const us_result_t *result);
/* US_OK once accepted, the reason once refused, US_ERR_TIMEOUT. */
US_EXPORT us_err_t us_result_accepted (us_result_t *result, int64_t timeout_ms);
/* US_OK once ended, however it ended; US_ERR_TIMEOUT. */
US_EXPORT us_err_t us_result_wait (us_result_t *result, int64_t timeout_ms);
/* What it waits for, in a sentence for people, cut to len bytes with the NUL: that no node
 * listens on its channel, that all slots are busy, where it runs. Asks the broker where that
 * has the job: US_ERR_TIMEOUT, or why it does not say. 256 bytes are enough. */
US_EXPORT us_err_t us_result_why (us_result_t *result, char *text, size_t len,
                                  int64_t timeout_ms);
/* Once ended: US_OK for SUCCEEDED, else the reason. Before: US_ERR_RUNNING. */
US_EXPORT us_err_t us_result_code (const us_result_t *result);
/* Words for the code, "" for success. */
US_EXPORT const char *us_result_text (const us_result_t *result);
/* The result envelope (success) or failure envelope, docs/protocol.md section 8; empty
 * where there is none. US_ERR_RUNNING before the end. */
US_EXPORT us_err_t us_result_body (const us_result_t *result, const void **data,
                                   size_t *len);
/* The buffers that the envelope takes, in its order (docs/protocol.md section 8). They are
 * yours: you may write to one, and destroy your handle when you like. US_ERR_INVALID: there
 * is none of this index, or the job has not ended. */
US_EXPORT size_t us_result_buffers (const us_result_t *result);
US_EXPORT us_err_t us_result_buffer (const us_result_t *result, size_t index,
                                     us_blob_t **blob);
/* Frees body and buffers of an ended job for a caller that has read them and keeps the
 * result for its log or its state; the body is empty from then on. Nobody may still be
 * looking at the bytes that us_result_body or us_result_value gave; a buffer that was taken
 * stays. */
US_EXPORT void us_result_drop_body (us_result_t *result);
/* The value of a success as msgpack, taken out of its envelope: for shell jobs a string.
 * US_ERR_SERIALIZATION: it is a Python pickle. US_ERR_RUNNING before the end; the
 * reason where it is no success. US_ERR_PROTOCOL: no result envelope. */
US_EXPORT us_err_t us_result_value (const us_result_t *result, const void **data,
                                    size_t *len);

typedef struct us_result_info {
    uint32_t attempt; /* the last one, from 1; 0 where none is known */
    uint32_t crashes; /* attempts whose worker died */
    uint32_t losses;  /* attempts whose node vanished */
    /* Wall clock, ms since 1970; 0 where not known. */
    int64_t submitted_ms; /* of this machine, when us_submit was called */
    int64_t started_ms;   /* of the store, as the next: the last attempt */
    int64_t ended_ms;
    uint64_t log_len; /* of the whole log, once ended */
    uint64_t build_len;
    uint64_t dropped; /* bytes of log that were dropped */
} us_result_info_t;

/* What is known now; whole once ended. */
US_EXPORT void us_result_info (const us_result_t *result, us_result_info_t *info);

/* Streams: 0 the job's log, 1 the build of its environment. */
#define US_STREAM_LOG   0
#define US_STREAM_BUILD 1

/* From now on the stream comes as it grows, from its beginning. */
US_EXPORT us_err_t us_result_stream_log (us_result_t *result, int stream);
/* Waits for bytes of the stream and copies up to size of them from offset; *len = 0 with
 * US_OK means the end of the stream of an ended job. US_ERR_TIMEOUT: nothing there yet.
 * Asks for the stream if need be. */
US_EXPORT us_err_t us_result_read_log (us_result_t *result, int stream, uint64_t offset,
                                       void *buffer, size_t size, size_t *len,
                                       int64_t timeout_ms);

#define US_CANCEL_QUEUED  0 /* only what has not started */
#define US_CANCEL_RUNNING 1 /* also what runs */

/* Asks for the end of a job and waits for the answer (not for the end). US_OK: it will
 * not run, or the node has been told; *state (may be NULL) says which. US_ERR_ENDED,
 * US_ERR_RUNNING, US_ERR_UNKNOWN_JOB, US_ERR_TIMEOUT. */
US_EXPORT us_err_t us_result_cancel (us_result_t *result, int mode, us_state_t *state,
                                     int64_t timeout_ms);

/* --- Events --------------------------------------------------------------------- */

typedef enum us_event_type {
    US_EVENT_ACCEPTED = 1,
    US_EVENT_RUNNING = 2,
    US_EVENT_LOG = 4, /* more of a stream has come */
    US_EVENT_ENDED = 8,
} us_event_type_t;

typedef struct us_event {
    unsigned types;      /* what has happened since the last event of this result */
    us_result_t *result; /* a count of its own: destroy it */
    void *user;
} us_event_t;

/* Asks for events of this result, with the types wanted (or'ed), and a pointer that comes
 * back with them. What has happened already comes at once. Asking again replaces both. */
US_EXPORT us_err_t us_result_subscribe (us_result_t *result, unsigned types,
                                        void *user);
/* A descriptor that is readable while events are there. Owned by the client. */
US_EXPORT int us_client_event_fd (us_client_t *client);
/* Takes up to max events; *count may be 0. */
US_EXPORT us_err_t us_client_events (us_client_t *client, us_event_t *events,
                                     size_t max, size_t *count);

/* --- Looking and steering ------------------------------------------------------- */

typedef struct us_query us_query_t;

/* A question to the broker; what, and which settings it heeds, as in docs/protocol.md
 * section 4.4. */
US_EXPORT us_err_t us_query_new (us_query_t **query, const char *what);
US_EXPORT void us_query_destroy (us_query_t **query);
US_EXPORT us_err_t us_query_set_channel (us_query_t *query, const char *channel);
US_EXPORT us_err_t us_query_set_state (us_query_t *query, int state);
US_EXPORT us_err_t us_query_set_older_ms (us_query_t *query, int64_t older_ms);
/* At most so many rows; 0 (the default): all that the broker tells. */
US_EXPORT us_err_t us_query_set_limit (us_query_t *query, unsigned limit);
US_EXPORT us_err_t us_query_set_id (us_query_t *query, const us_id_t *id);
US_EXPORT us_err_t us_query_set_name (us_query_t *query, const char *name);
/* Up to 16 first bytes of an id (find), or the new id (retry). */
US_EXPORT us_err_t us_query_set_prefix (us_query_t *query, const void *bytes,
                                        size_t len);
/* For "admit" and "revoke": what the cluster's key has signed, copied. US_ERR_INVALID: too
 * long. */
US_EXPORT us_err_t us_query_set_certificate (us_query_t *query, const void *bytes,
                                             size_t len);
US_EXPORT us_err_t us_query_set_revoked (us_query_t *query, const void *bytes,
                                         size_t len);
/* Asks, follows cursors up to the limit, and waits. US_ERR_TIMEOUT, or the broker's
 * reason, with words in us_client_error_text. */
US_EXPORT us_err_t us_query_run (us_client_t *client, us_query_t *query,
                                 int64_t timeout_ms);
/* After US_OK: the rows, each one msgpack map (us_reader), borrowed from the query, and
 * the answer's count. */
US_EXPORT size_t us_query_rows (const us_query_t *query);
US_EXPORT us_err_t us_query_row (const us_query_t *query, size_t row, const void **data,
                                 size_t *len);
US_EXPORT uint64_t us_query_count (const us_query_t *query);

/* --- msgpack -------------------------------------------------------------------- */

typedef struct us_writer us_writer_t;

US_EXPORT us_err_t us_writer_new (us_writer_t **writer);
US_EXPORT void us_writer_destroy (us_writer_t **writer);
US_EXPORT void us_write_nil (us_writer_t *writer);
US_EXPORT void us_write_bool (us_writer_t *writer, bool value);
US_EXPORT void us_write_int (us_writer_t *writer, int64_t value);
US_EXPORT void us_write_uint (us_writer_t *writer, uint64_t value);
US_EXPORT void us_write_double (us_writer_t *writer, double value);
US_EXPORT void us_write_str (us_writer_t *writer, const char *text, size_t len);
US_EXPORT void us_write_bin (us_writer_t *writer, const void *data, size_t len);
/* Followed by count values, or count pairs. */
US_EXPORT void us_write_array (us_writer_t *writer, uint32_t count);
US_EXPORT void us_write_map (us_writer_t *writer, uint32_t count);
/* One value that is msgpack already. */
US_EXPORT void us_write_raw (us_writer_t *writer, const void *data, size_t len);
/* US_ERR_NOMEM if any write failed. Borrowed until the next write. */
US_EXPORT us_err_t us_writer_data (const us_writer_t *writer, const void **data,
                                   size_t *len);

typedef enum us_type {
    US_TYPE_END = 0, /* no value is left, or the bytes are malformed */
    US_TYPE_NIL,
    US_TYPE_BOOL,
    US_TYPE_INT,  /* fits int64_t */
    US_TYPE_UINT, /* only where it does not */
    US_TYPE_DOUBLE,
    US_TYPE_STR,
    US_TYPE_BIN,
    US_TYPE_ARRAY,
    US_TYPE_MAP,
    US_TYPE_EXT,
} us_type_t;

typedef struct us_value {
    us_type_t type;
    union {
        bool boolean;
        int64_t integer;
        uint64_t uinteger;
        double number;
        uint32_t count; /* of elements or pairs, which follow */
    } as;
    const char *data; /* STR, BIN, EXT: borrowed from the bytes that are read */
    uint32_t len;
} us_value_t;

/* Reads msgpack in order, without allocating: a caller-owned struct, set by us_reader. */
typedef struct us_reader {
    const uint8_t *at;
    const uint8_t *end;
    bool malformed;
} us_reader_t;

US_EXPORT us_reader_t us_reader (const void *data, size_t len);
/* The next value; arrays and maps are followed by their contents. */
US_EXPORT us_value_t us_read (us_reader_t *reader);
/* Skips one whole value; gives its bytes in data and len where these are not NULL. */
US_EXPORT bool us_skip (us_reader_t *reader, const void **data, size_t *len);

#ifdef __cplusplus
}
#endif
#endif
