/* SPDX-License-Identifier: MIT
 *
 * Jobs to be: see job.h. */
#include "job.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/sum.h"
#include "proto/limits.h"
#include "proto/pack.h"
#include "proto/requirement.h"

#define REQUIREMENTS_MAX   1000
#define REQUIREMENT_LENGTH 512
#define NAME_LENGTH        256
#define RETRIES_MAX        100

static us_err_t s_fail (us_job_t *job, us_err_t err, const char *format, ...)
    __attribute__ ((format (printf, 3, 4)));

static us_err_t s_fail (us_job_t *job, us_err_t err, const char *format, ...)
{
    va_list args;
    va_start (args, format);
    vsnprintf (job->error, sizeof job->error, format, args);
    va_end (args);
    return err;
}

us_err_t us_job_new (us_job_t **job, const char *channel)
{
    if (!job)
        return US_ERR_INVALID;
    *job = NULL;
    if (!channel || !usi_channel_valid (usi_bytes_of (channel)))
        return US_ERR_INVALID;
    us_job_t *self = calloc (1, sizeof *self);
    if (!self)
        return US_ERR_NOMEM;
    memcpy (self->channel, channel, strlen (channel) + 1);
    self->queue = true;
    *job = self;
    return US_OK;
}

void us_job_destroy (us_job_t **job)
{
    us_job_t *self = job ? *job : NULL;
    if (!self)
        return;
    for (uint32_t i = 0; i < self->blobs_len; i++)
        blob_unref (self->blobs[i]);
    for (uint32_t i = 0; i < self->buffers_len; i++)
        blob_unref (self->buffers[i]);
    free (self->buffers);
    blob_unref (self->body_blob);
    free (self->body);
    free (self->name);
    free (self->cwd);
    if (self->setup)
        blob_unref (self->setup);
    usi_buf_free (&self->env);
    usi_buf_free (&self->packages);
    usi_buf_free (&self->constraints);
    usi_buf_free (&self->spec);
    usi_buf_free (&self->digests);
    free (self);
    *job = NULL;
}

const char *us_job_error_text (const us_job_t *job)
{
    return job->error;
}

/* --- what it runs ----------------------------------------------------------------- */

static us_err_t s_set_body (us_job_t *job, const char *kind, const void *data,
                            size_t len)
{
    usi_bytes_t copy = usi_bytes_dup (usi_bytes (data, len));
    if (!copy.data)
        return US_ERR_NOMEM;
    free (job->body);
    job->body = (uint8_t *) copy.data;
    job->body_len = len;
    job->kind = kind;
    return US_OK;
}

us_err_t us_job_set_shell (us_job_t *job, const char *command)
{
    if (!job || !command)
        return US_ERR_INVALID;
    if (!usi_is_text (command, strlen (command)))
        return s_fail (job, US_ERR_INVALID, "the command is not UTF-8");
    if (strlen (command) > USI_MAX_SHELL)
        return s_fail (job, US_ERR_TOO_LARGE,
                       "the shell command has %zu bytes; the limit is %d: send a "
                       "function with the long part as its argument instead",
                       strlen (command), USI_MAX_SHELL);
    return s_set_body (job, "shell", command, strlen (command));
}

/* Arguments are [positional array, keyword map]. */
static bool s_are_arguments (usi_bytes_t args)
{
    us_reader_t reader = usi_reader (args);
    us_value_t outer = usi_read (&reader);
    us_reader_t inner = reader;
    bool positional = usi_read (&inner).type == US_TYPE_ARRAY;
    if (outer.type != US_TYPE_ARRAY || outer.as.count != 2 || !positional ||
        !usi_skip (&reader, NULL, NULL))
        return false;
    inner = reader;
    return usi_read (&inner).type == US_TYPE_MAP && usi_skip (&reader, NULL, NULL) &&
           reader.at == reader.end;
}

us_err_t us_job_set_source (us_job_t *job, const char *source, const char *function,
                            const void *args, size_t args_len)
{
    static const uint8_t none[] = {0x92, 0x90, 0x80};
    if (!job || !source || !function)
        return US_ERR_INVALID;
    if (!usi_is_text (source, strlen (source)) ||
        !usi_is_text (function, strlen (function)))
        return s_fail (job, US_ERR_INVALID, "source or function name is not UTF-8");
    usi_bytes_t arguments = args ? usi_bytes (args, args_len) : usi_bytes (none, 3);
    if (!s_are_arguments (arguments))
        return s_fail (job, US_ERR_INVALID,
                       "arguments are not msgpack of [positional array, keyword map]");

    usi_buf_t buf = {0};
    usi_pack_array (&buf, 3);
    usi_pack_uint (&buf, 1);
    usi_pack_map (&buf, 2);
    usi_pack_str (&buf, "source", 6);
    usi_pack_str (&buf, source, strlen (source));
    usi_pack_str (&buf, "function", 8);
    usi_pack_str (&buf, function, strlen (function));
    usi_pack_array (&buf, 2);
    usi_pack_str (&buf, "m", 1);
    usi_pack_bin (&buf, arguments.data, arguments.len);
    us_err_t err =
        buf.failed ? US_ERR_NOMEM : s_set_body (job, "call", buf.data, buf.len);
    usi_buf_free (&buf);
    return err;
}

us_err_t us_job_set_call (us_job_t *job, const void *envelope, size_t len)
{
    if (!job || !envelope || len == 0)
        return US_ERR_INVALID;
    us_reader_t reader = us_reader (envelope, len);
    if (us_read (&reader).type != US_TYPE_ARRAY)
        return s_fail (job, US_ERR_INVALID, "this is not a call envelope");
    return s_set_body (job, "call", envelope, len);
}

static bool s_names (const us_job_t *job, const us_blob_t *blob)
{
    for (uint32_t i = 0; i < job->all_len; i++)
        if (memcmp (job->all[i]->digest, blob->digest, USI_DIGEST_LEN) == 0)
            return true;
    return false;
}

/* All that it names, each once: its code, its buffers, its body. */
static void s_gather (us_job_t *job)
{
    job->all_len = 0;
    for (uint32_t i = 0; i < job->blobs_len; i++)
        job->all[job->all_len++] = job->blobs[i];
    for (uint32_t i = 0; i < job->buffers_len; i++)
        if (!s_names (job, job->buffers[i]))
            job->all[job->all_len++] = job->buffers[i];
    if (job->body_blob && !s_names (job, job->body_blob))
        job->all[job->all_len++] = job->body_blob;
}

static us_err_t s_add_to (us_job_t *job, us_blob_t **list, uint32_t *len, uint32_t most,
                          const us_blob_t *blob)
{
    if (!job || !blob)
        return US_ERR_INVALID;
    s_gather (job);
    if (*len == most || (job->all_len >= JOB_BLOBS_MAX && !s_names (job, blob)))
        return s_fail (job, US_ERR_INVALID, "a job names at most %d blobs",
                       JOB_BLOBS_MAX);
    list[(*len)++] = blob_ref ((us_blob_t *) (uintptr_t) blob);
    return US_OK;
}

us_err_t us_job_add_blob (us_job_t *job, const us_blob_t *blob)
{
    if (!job)
        return US_ERR_INVALID;
    return s_add_to (job, job->blobs, &job->blobs_len, JOB_BLOBS_MAX, blob);
}

us_err_t us_job_add_buffer (us_job_t *job, const us_blob_t *blob)
{
    if (!job)
        return US_ERR_INVALID;
    if (!job->buffers)
        job->buffers = calloc (USI_MAX_BLOBS, sizeof *job->buffers);
    if (!job->buffers)
        return US_ERR_NOMEM;
    return s_add_to (job, job->buffers, &job->buffers_len, USI_MAX_BLOBS, blob);
}

/* --- where, when and how ---------------------------------------------------------- */

static us_err_t s_add_requirement (us_job_t *job, usi_buf_t *list, uint32_t *count,
                                   const char *text)
{
    if (!job || !text)
        return US_ERR_INVALID;
    const char *why = "it is too long";
    usi_buf_t canonical = {0};
    us_err_t err = US_ERR_REQUIREMENT;
    if (*count == REQUIREMENTS_MAX)
        return s_fail (job, err, "a job names at most %d packages", REQUIREMENTS_MAX);
    if (strlen (text) <= REQUIREMENT_LENGTH)
        err = usi_requirement_normalise (usi_bytes_of (text), &canonical, &why);
    if (err == US_OK && canonical.len > REQUIREMENT_LENGTH)
        err = US_ERR_REQUIREMENT;
    if (err == US_OK) {
        usi_list_add_str (list, usi_buf_bytes (&canonical));
        (*count)++;
    }
    if (canonical.failed || list->failed)
        err = US_ERR_NOMEM;
    usi_buf_free (&canonical);
    if (err == US_ERR_REQUIREMENT)
        return s_fail (job, err, "'%.100s' is not a package requirement: %s", text,
                       why ? why : "malformed");
    return err;
}

us_err_t us_job_add_package (us_job_t *job, const char *requirement)
{
    return s_add_requirement (job, &job->packages, &job->packages_len, requirement);
}

us_err_t us_job_add_constraint (us_job_t *job, const char *constraint)
{
    return s_add_requirement (job, &job->constraints, &job->constraints_len,
                              constraint);
}

us_err_t us_job_set_python (us_job_t *job, const char *minor_version)
{
    if (!job)
        return US_ERR_INVALID;
    const char *text = minor_version ? minor_version : "";
    if (text[0] && !usi_python_valid (usi_bytes_of (text)))
        return s_fail (job, US_ERR_INVALID, "'%.40s' is not a Python version like 3.11",
                       text);
    snprintf (job->python, sizeof job->python, "%s", text);
    return US_OK;
}

/* --- what it finds ---------------------------------------------------------------- */

/* The interpreter and its loader have read these before a job begins. */
static bool s_is_too_late (const char *name)
{
    static const char *const heads[] = {"PYTHON", "LD_", "MALLOC_", "GLIBC_TUNABLES",
                                        "VIRTUAL_ENV"};
    for (size_t i = 0; i < sizeof heads / sizeof *heads; i++)
        if (strncmp (name, heads[i], strlen (heads[i])) == 0)
            return true;
    return false;
}

static bool s_is_variable (const char *name)
{
    if (!*name || (*name >= '0' && *name <= '9'))
        return false;
    for (; *name; name++)
        if (*name != '_' && !(*name >= '0' && *name <= '9') &&
            !(*name >= 'A' && *name <= 'Z') && !(*name >= 'a' && *name <= 'z'))
            return false;
    return true;
}

us_err_t us_job_add_env (us_job_t *job, const char *name, const char *value)
{
    if (!job || !name || !value)
        return US_ERR_INVALID;
    if (!s_is_variable (name) || !usi_is_text (value, strlen (value)))
        return s_fail (job, US_ERR_INVALID,
                       "'%.100s' cannot be an environment variable", name);
    if (s_is_too_late (name))
        return s_fail (job, US_ERR_INVALID,
                       "%.100s comes too late: the interpreter and its loader have "
                       "read it before a job begins",
                       name);
    if (job->env_len == USI_MAX_VARIABLES ||
        strlen (name) + 1 + strlen (value) > USI_MAX_VARIABLE)
        return s_fail (job, US_ERR_TOO_LARGE,
                       "a job has at most %d variables of %d bytes", USI_MAX_VARIABLES,
                       USI_MAX_VARIABLE);
    usi_buf_t line = {0};
    usi_buf_printf (&line, "%s=%s", name, value);
    usi_list_add_str (&job->env, usi_buf_bytes (&line));
    job->env_len++;
    bool failed = line.failed || job->env.failed;
    usi_buf_free (&line);
    return failed ? US_ERR_NOMEM : US_OK;
}

us_err_t us_job_set_cwd (us_job_t *job, const char *path)
{
    if (!job || !path)
        return US_ERR_INVALID;
    if (path[0] != '/' || strlen (path) > 4096 || !usi_is_text (path, strlen (path)))
        return s_fail (job, US_ERR_INVALID,
                       "the working directory is not an absolute path: %.100s", path);
    char *copy = strdup (path);
    if (!copy)
        return US_ERR_NOMEM;
    free (job->cwd);
    job->cwd = copy;
    return US_OK;
}

us_err_t us_job_set_setup (us_job_t *job, const us_blob_t *blob)
{
    if (!job || !blob || job->setup)
        return US_ERR_INVALID;
    us_err_t err = us_job_add_blob (job, blob);
    if (err == US_OK)
        job->setup = blob_ref ((us_blob_t *) (uintptr_t) blob);
    return err;
}

us_err_t us_job_set_id (us_job_t *job, const us_id_t *id)
{
    if (!job || !id)
        return US_ERR_INVALID;
    if (!us_id_matches (id, job->channel) || !usi_id_valid (id))
        return s_fail (job, US_ERR_INVALID, "the id does not belong to channel %s",
                       job->channel);
    job->id = *id;
    job->has_id = true;
    return US_OK;
}

us_err_t us_job_set_name (us_job_t *job, const char *name)
{
    if (!job || !name)
        return US_ERR_INVALID;
    if (strlen (name) > NAME_LENGTH || !usi_is_text (name, strlen (name)))
        return s_fail (job, US_ERR_INVALID, "the name is over %d bytes or not UTF-8",
                       NAME_LENGTH);
    char *copy = strdup (name);
    if (!copy)
        return US_ERR_NOMEM;
    free (job->name);
    job->name = copy;
    return US_OK;
}

us_err_t us_job_set_limits_ms (us_job_t *job, int64_t soft_ms, int64_t hard_ms)
{
    if (!job || soft_ms < 0 || hard_ms < 0 || soft_ms > UINT32_MAX ||
        hard_ms > UINT32_MAX)
        return US_ERR_INVALID;
    job->soft_ms = (uint32_t) soft_ms;
    job->hard_ms = (uint32_t) hard_ms;
    return US_OK;
}

us_err_t us_job_set_retries (us_job_t *job, unsigned retries)
{
    if (!job || retries > RETRIES_MAX)
        return US_ERR_INVALID;
    job->retries = retries;
    return US_OK;
}

us_err_t us_job_set_expire_ms (us_job_t *job, int64_t expire_ms)
{
    if (!job || expire_ms < 0 || expire_ms > UINT32_MAX)
        return US_ERR_INVALID;
    job->expire_ms = (uint32_t) expire_ms;
    return US_OK;
}

us_err_t us_job_set_fresh (us_job_t *job, bool fresh)
{
    if (!job)
        return US_ERR_INVALID;
    job->fresh = fresh;
    return US_OK;
}

us_err_t us_job_set_queue (us_job_t *job, bool queue)
{
    if (!job)
        return US_ERR_INVALID;
    job->queue = queue;
    return US_OK;
}

us_err_t us_job_set_stream_log (us_job_t *job, bool stream)
{
    if (!job)
        return US_ERR_INVALID;
    job->stream_log = stream;
    return US_OK;
}

us_err_t us_job_set_detached (us_job_t *job, bool detached)
{
    if (!job)
        return US_ERR_INVALID;
    job->detached = detached;
    return US_OK;
}

/* --- sealing ---------------------------------------------------------------------- */

static us_err_t s_check_buffers (us_job_t *job, const job_limits_t *limits)
{
    uint64_t sum = 0;
    if (job->buffers_len > 0 && limits->buffer == 0)
        return s_fail (job, US_ERR_UNSUPPORTED,
                       "the broker takes no large buffers: it is older than this "
                       "library, and has to be updated first");
    for (uint32_t i = 0; i < job->buffers_len; i++) {
        sum += job->buffers[i]->len;
        if (job->buffers[i]->len > limits->buffer)
            return s_fail (job, US_ERR_TOO_LARGE,
                           "a buffer is %zu bytes; the limit is %llu",
                           job->buffers[i]->len, (unsigned long long) limits->buffer);
    }
    if (sum > limits->buffers)
        return s_fail (job, US_ERR_TOO_LARGE,
                       "the buffers are %llu bytes; the limit is %llu",
                       (unsigned long long) sum, (unsigned long long) limits->buffers);
    return US_OK;
}

static us_err_t s_check_sizes (us_job_t *job, const job_limits_t *limits)
{
    unsigned long long most = limits->payload;
    if (!job->kind)
        return s_fail (job, US_ERR_INVALID, "the job has nothing to run");
    if (job->body_len > most)
        return s_fail (job, US_ERR_TOO_LARGE, "the job is %zu bytes; the limit is %llu",
                       job->body_len, most);
    for (uint32_t i = 0; i < job->blobs_len; i++)
        if (job->blobs[i]->len > most)
            return s_fail (job, US_ERR_TOO_LARGE,
                           "a blob is %zu bytes; the limit is %llu", job->blobs[i]->len,
                           most);
    return s_check_buffers (job, limits);
}

static us_err_t s_body_to_blob (us_job_t *job)
{
    uint8_t digest[USI_DIGEST_LEN];
    usi_sha256 (job->body, job->body_len, digest);
    job->body_blob = blob_adopt (job->body, job->body_len, digest);
    if (!job->body_blob)
        return US_ERR_NOMEM;
    job->body = NULL;
    return US_OK;
}

static usi_list_t s_list (us_blob_t *const *blobs, uint32_t len, usi_buf_t *buf)
{
    buf->len = 0;
    for (uint32_t i = 0; i < len; i++)
        usi_list_add_bin (buf, usi_bytes (blobs[i]->digest, USI_DIGEST_LEN));
    return usi_list_of (buf, len);
}

/* What sets a worker up belongs to the program that it serves. */
static void s_make_key (const us_job_t *job, usi_bytes_t key, uint8_t *made)
{
    uint8_t digest[USI_DIGEST_LEN];
    usi_sum_t sum = {0};
    memcpy (made, key.data, key.len);
    if (!job->setup)
        return;
    usi_sum_begin (&sum);
    usi_sum_add (&sum, key);
    usi_sum_add (&sum, usi_bytes (job->setup->digest, USI_DIGEST_LEN));
    usi_sum_end (&sum, digest);
    memcpy (made, digest, key.len);
}

static void s_encode_spec (us_job_t *job, usi_bytes_t key)
{
    const us_blob_t *body = job->body_blob;
    uint8_t own_key[USI_DIGEST_LEN];
    usi_fields_t spec = {0};
    usi_buf_t buffers = {0};
    s_gather (job);
    usi_list_t all = s_list (job->all, job->all_len, &job->digests);
    /* Those of its code come first, and each takes as much. */
    usi_list_t code = {.count = job->blobs_len, .raw = all.raw};
    if (all.count > code.count)
        code.raw.len = all.raw.len / all.count * code.count;
    USI_SET (&spec, KIND, kind, usi_bytes_of (job->kind));
    s_make_key (job, key, own_key);
    USI_SET (&spec, KEY, key, usi_bytes (own_key, key.len));
    if (job->env_len)
        USI_SET (&spec, ENV, env, usi_list_of (&job->env, job->env_len));
    if (job->cwd)
        USI_SET (&spec, CWD, cwd, usi_bytes_of (job->cwd));
    if (job->name)
        USI_SET (&spec, NAME, name, usi_bytes_of (job->name));
    if (job->packages_len)
        USI_SET (&spec, PACKAGES, packages,
                 usi_list_of (&job->packages, job->packages_len));
    if (job->constraints_len)
        USI_SET (&spec, CONSTRAINTS, constraints,
                 usi_list_of (&job->constraints, job->constraints_len));
    if (job->python[0])
        USI_SET (&spec, PYTHON, python, usi_bytes_of (job->python));
    if (job->soft_ms)
        USI_SET (&spec, SOFT_MS, soft_ms, job->soft_ms);
    if (job->hard_ms)
        USI_SET (&spec, HARD_MS, hard_ms, job->hard_ms);
    if (job->fresh)
        USI_SET (&spec, ISOLATION, isolation, usi_bytes_of ("fresh"));
    if (job->blobs_len)
        USI_SET (&spec, BLOBS, blobs, code);
    if (job->buffers_len)
        USI_SET (&spec, BUFFERS, buffers,
                 s_list (job->buffers, job->buffers_len, &buffers));
    if (body) {
        USI_SET (&spec, BLOB, blob, usi_bytes (body->digest, USI_DIGEST_LEN));
        USI_SET (&spec, SIZE, size, body->len);
    }
    job->spec.len = 0;
    usi_fields_encode (&spec, &job->spec);
    job->spec.failed |= buffers.failed | job->digests.failed;
    usi_buf_free (&buffers);
}

us_err_t job_seal (us_job_t *job, usi_bytes_t key, const job_limits_t *limits)
{
    us_err_t err = s_check_sizes (job, limits);
    if (err == US_OK && job->body && job->body_len > USI_MAX_BODY)
        err = s_body_to_blob (job);
    if (err != US_OK)
        return err;
    s_encode_spec (job, key);
    if (job->spec.failed)
        return US_ERR_NOMEM;
    if (job->spec.len > USI_MAX_SPEC)
        return s_fail (job, US_ERR_TOO_LARGE,
                       "the job's description is %zu bytes; the limit is %d: too many "
                       "packages or variables",
                       job->spec.len, USI_MAX_SPEC);
    if (!job->has_id)
        usi_id_make (&job->id, usi_bytes_of (job->channel));
    job->has_id = true;
    job->cost = sizeof *job + job->spec.len + job->body_len;
    for (uint32_t i = 0; i < job->buffers_len; i++)
        job->cost += job->buffers[i]->len;
    return US_OK;
}

void job_add_to (const us_job_t *job, usi_msg_t *msg, unsigned more_flags)
{
    usi_fields_t *item = usi_msg_add (msg);
    unsigned flags = more_flags | (job->queue ? 0 : USI_SUBMIT_IF_LISTENED) |
                     (job->detached ? USI_SUBMIT_DETACHED : 0);
    USI_SET (item, ID, id, job->id);
    USI_SET (item, CHANNEL, channel, usi_bytes_of (job->channel));
    USI_SET (item, SPEC, spec, usi_buf_bytes (&job->spec));
    if (job->python[0])
        USI_SET (item, PYTHON, python, usi_bytes_of (job->python));
    if (job->retries)
        USI_SET (item, RETRIES, retries, job->retries);
    if (job->expire_ms)
        USI_SET (item, EXPIRE_MS, expire_ms, job->expire_ms);
    if (job->all_len)
        USI_SET (item, BLOBS, blobs, usi_list_of (&job->digests, job->all_len));
    if (flags)
        USI_SET (item, FLAGS, flags, flags);
    if (job->body)
        usi_msg_body (msg, job->body, job->body_len);
}
