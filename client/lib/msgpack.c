/* SPDX-License-Identifier: MIT
 *
 * The public msgpack writer and reader: thin covers of common/proto/pack.h. */
#include <stdlib.h>

#include "proto/pack.h"

struct us_writer {
    usi_buf_t buf;
};

us_err_t us_writer_new (us_writer_t **writer)
{
    if (!writer)
        return US_ERR_INVALID;
    *writer = calloc (1, sizeof **writer);
    return *writer ? US_OK : US_ERR_NOMEM;
}

void us_writer_destroy (us_writer_t **writer)
{
    if (!writer || !*writer)
        return;
    usi_buf_free (&(*writer)->buf);
    free (*writer);
    *writer = NULL;
}

us_err_t us_writer_data (const us_writer_t *writer, const void **data, size_t *len)
{
    *data = writer->buf.data;
    *len = writer->buf.len;
    return writer->buf.failed ? US_ERR_NOMEM : US_OK;
}

void us_write_nil (us_writer_t *writer)
{
    usi_pack_nil (&writer->buf);
}

void us_write_bool (us_writer_t *writer, bool value)
{
    usi_pack_bool (&writer->buf, value);
}

void us_write_int (us_writer_t *writer, int64_t value)
{
    usi_pack_int (&writer->buf, value);
}

void us_write_uint (us_writer_t *writer, uint64_t value)
{
    usi_pack_uint (&writer->buf, value);
}

void us_write_double (us_writer_t *writer, double value)
{
    usi_pack_double (&writer->buf, value);
}

/* Lengths over 32 bits do not exist in msgpack. */
static bool s_fits (us_writer_t *writer, size_t len)
{
    if (len > UINT32_MAX)
        writer->buf.failed = true;
    return len <= UINT32_MAX;
}

void us_write_str (us_writer_t *writer, const char *text, size_t len)
{
    if (s_fits (writer, len))
        usi_pack_str (&writer->buf, text, len);
}

void us_write_bin (us_writer_t *writer, const void *data, size_t len)
{
    if (s_fits (writer, len))
        usi_pack_bin (&writer->buf, data, len);
}

void us_write_array (us_writer_t *writer, uint32_t count)
{
    usi_pack_array (&writer->buf, count);
}

void us_write_map (us_writer_t *writer, uint32_t count)
{
    usi_pack_map (&writer->buf, count);
}

void us_write_raw (us_writer_t *writer, const void *data, size_t len)
{
    usi_buf_append (&writer->buf, data, len);
}

us_reader_t us_reader (const void *data, size_t len)
{
    return usi_reader (usi_bytes (data, len));
}

us_value_t us_read (us_reader_t *reader)
{
    return usi_read (reader);
}

bool us_skip (us_reader_t *reader, const void **data, size_t *len)
{
    return usi_skip (reader, data, len);
}
