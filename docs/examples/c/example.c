/* SPDX-License-Identifier: MIT
 *
 * libunderstudy from C: a shell command, a Python function given as source text, a log
 * that is printed as it grows, a wait with a timeout, and the end of a job that takes
 * too long. Needs a broker and a node:
 *
 *     understudy-broker &
 *     understudy-node &
 *     ./example [channel] */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include <understudy/understudy.h>

static const char s_source[] = "def scale(values, factor=1):\n"
                               "    for value in values:\n"
                               "        print('scaling', value, flush=True)\n"
                               "    return [value * factor for value in values]\n";

/* Says what went wrong; the words are the client's where it has some. */
static int s_fail (us_client_t *client, const char *what, us_err_t err)
{
    const char *words = client ? us_client_error_text (client) : "";
    fprintf (stderr, "%s: %s\n", what, words[0] ? words : us_err_text (err));
    return EXIT_FAILURE;
}

/* Prints any msgpack value, much as Python would. */
static void s_print (us_reader_t *reader)
{
    us_value_t value = us_read (reader);
    switch (value.type) {
    case US_TYPE_NIL: printf ("None"); break;
    case US_TYPE_BOOL: printf (value.as.boolean ? "True" : "False"); break;
    case US_TYPE_INT: printf ("%" PRId64, value.as.integer); break;
    case US_TYPE_UINT: printf ("%" PRIu64, value.as.uinteger); break;
    case US_TYPE_DOUBLE: printf ("%.17g", value.as.number); break;
    case US_TYPE_STR: printf ("'%.*s'", (int) value.len, value.data); break;
    case US_TYPE_ARRAY:
        printf ("[");
        for (uint32_t i = 0; i < value.as.count && !reader->malformed; i++) {
            printf (i ? ", " : "");
            s_print (reader);
        }
        printf ("]");
        break;
    default: printf ("(%u bytes)", value.len);
    }
}

/* The value of a job that has ended, or why there is none. */
static int s_show (us_result_t *result)
{
    const void *data;
    size_t len;
    us_err_t err = us_result_value (result, &data, &len);
    if (err != US_OK) {
        printf ("%s: %s\n", us_state_name (us_result_state (result)),
                us_result_text (result));
        return EXIT_FAILURE;
    }
    us_reader_t reader = us_reader (data, len);
    printf ("value: ");
    s_print (&reader);
    printf ("\n");
    return EXIT_SUCCESS;
}

/* Prints the log as it grows, until the job has ended and all of it was read. */
static us_err_t s_follow_log (us_result_t *result)
{
    char buffer[4096];
    uint64_t offset = 0;
    size_t len;
    us_err_t err;
    do {
        err = us_result_read_log (result, US_STREAM_LOG, offset, buffer, sizeof buffer,
                                  &len, -1);
        fwrite (buffer, 1, err == US_OK ? len : 0, stdout);
        fflush (stdout);
        offset += len;
    } while (err == US_OK && len > 0);
    return err;
}

static us_err_t s_submit_shell (us_client_t *client, const char *channel,
                                const char *command, us_result_t **result)
{
    us_job_t *job;
    us_err_t err = us_job_new (&job, channel);
    if (err == US_OK)
        err = us_job_set_shell (job, command);
    if (err == US_OK)
        err = us_submit (client, &job, result);
    us_job_destroy (&job); /* NULL where it was consumed */
    return err;
}

static int s_shell (us_client_t *client, const char *channel)
{
    us_result_t *result = NULL;
    us_err_t err = s_submit_shell (client, channel, "echo \"test\"", &result);
    if (err == US_OK)
        err = us_result_wait (result, -1);
    int status = err == US_OK ? s_show (result) : s_fail (client, "shell", err);
    us_result_destroy (&result);
    return status;
}

/* scale ([1, 2.5, 3], factor=2) */
static us_err_t s_write_arguments (us_writer_t *writer, const void **data, size_t *len)
{
    us_write_array (writer, 2);
    us_write_array (writer, 1);
    us_write_array (writer, 3);
    us_write_int (writer, 1);
    us_write_double (writer, 2.5);
    us_write_int (writer, 3);
    us_write_map (writer, 1);
    us_write_str (writer, "factor", 6);
    us_write_int (writer, 2);
    return us_writer_data (writer, data, len);
}

static int s_python (us_client_t *client, const char *channel)
{
    us_writer_t *writer = NULL;
    us_job_t *job = NULL;
    us_result_t *result = NULL;
    const void *args;
    size_t len;
    us_err_t err = us_writer_new (&writer);
    if (err == US_OK)
        err = s_write_arguments (writer, &args, &len);
    if (err == US_OK)
        err = us_job_new (&job, channel);
    if (err == US_OK)
        err = us_job_set_source (job, s_source, "scale", args, len);
    if (err == US_OK)
        err = us_job_set_stream_log (job, true);
    if (err == US_OK)
        err = us_submit (client, &job, &result);
    if (err == US_OK)
        err = s_follow_log (result);
    int status = err == US_OK ? s_show (result) : s_fail (client, "python", err);
    us_result_destroy (&result);
    us_job_destroy (&job);
    us_writer_destroy (&writer);
    return status;
}

/* Waits a little, then ends the job. */
static int s_interrupt (us_client_t *client, const char *channel)
{
    us_result_t *result = NULL;
    us_err_t err = s_submit_shell (client, channel, "sleep 600", &result);
    if (err == US_OK)
        err = us_result_wait (result, 500);
    if (err == US_ERR_TIMEOUT) {
        printf ("still %s after half a second; ending it\n",
                us_state_name (us_result_state (result)));
        err = us_result_cancel (result, US_CANCEL_RUNNING, NULL, 10000);
        if (err == US_OK)
            err = us_result_wait (result, 10000);
    }
    int status = err == US_OK ? EXIT_SUCCESS : s_fail (client, "interrupt", err);
    if (err == US_OK)
        printf ("%s: %s\n", us_state_name (us_result_state (result)),
                us_result_text (result));
    us_result_destroy (&result);
    return status;
}

int main (int argc, char **argv)
{
    const char *channel = argc > 1 ? argv[1] : "default";
    char why[300];
    us_options_t *options;
    us_client_t *client = NULL;
    us_err_t err = us_options_new (&options, why, sizeof why);
    if (err != US_OK) {
        fprintf (stderr, "%s\n", why);
        return EXIT_FAILURE;
    }
    err = us_client_new (&client, options);
    us_options_destroy (&options);
    if (err == US_OK)
        err = us_client_connect (client);
    int status = err == US_OK ? EXIT_SUCCESS : s_fail (client, "connect", err);
    if (status == EXIT_SUCCESS)
        status = s_shell (client, channel);
    if (status == EXIT_SUCCESS)
        status = s_python (client, channel);
    if (status == EXIT_SUCCESS)
        status = s_interrupt (client, channel);
    us_client_destroy (&client);
    return status;
}
