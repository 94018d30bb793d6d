/* SPDX-License-Identifier: MIT
 *
 * See library.h. */
#include "store/library.h"

#include "base/id.h"
#include "store/job_state.h"
#include "store/opcode.h"
#include "understudy/error.h"

static void s_render_errors (usi_buf_t *buf)
{
    usi_buf_text (buf, "local ERR = {");
#define X(name, number, text, python) usi_buf_printf (buf, #name " = %d, ", number);
    US_ERR_MAP (X)
#undef X
    usi_buf_text (buf, "}\n");
}

static void s_render_opcodes (usi_buf_t *buf)
{
    usi_buf_text (buf, "local OP = {");
#define X(name, letter, arguments) usi_buf_printf (buf, #name " = '%c', ", letter);
    OPCODE_MAP (X)
#undef X
    usi_buf_text (buf, "}\nlocal ARGUMENTS = {");
#define X(name, letter, arguments) usi_buf_printf (buf, #name " = %d, ", arguments);
    OPCODE_MAP (X)
#undef X
    usi_buf_text (buf, "}\nlocal NEWS = {");
#define X(name, letter) usi_buf_printf (buf, #name " = '%c', ", letter);
    NEWS_MAP (X)
#undef X
    usi_buf_text (buf, "}\n");
}

static void s_render_body (usi_buf_t *buf)
{
    job_state_render_lua (buf);
    s_render_errors (buf);
    s_render_opcodes (buf);
    usi_buf_text (buf, store_functions_lua);
}

static void s_hash (const usi_buf_t *body, char hash[9])
{
    uint8_t digest[USI_DIGEST_LEN];
    usi_sha256 (body->data, body->len, digest);
    usi_hex (digest, 4, hash);
}

void store_library_hash (char hash[9])
{
    usi_buf_t body = {0};
    s_render_body (&body);
    s_hash (&body, hash);
    usi_buf_free (&body);
}

static void s_render_source (usi_buf_t *buf)
{
    usi_buf_t body = {0};
    char hash[9];
    s_render_body (&body);
    s_hash (&body, hash);
    usi_buf_printf (buf, "#!lua name=understudy_%s\nlocal HASH = '%s'\n", hash, hash);
    usi_buf_append (buf, body.data, body.len);
    usi_buf_free (&body);
}

void store_library_load (usi_buf_t *source, usi_bytes_t args[4])
{
    s_render_source (source);
    args[0] = usi_bytes_of ("FUNCTION");
    args[1] = usi_bytes_of ("LOAD");
    args[2] = usi_bytes_of ("REPLACE");
    args[3] = usi_buf_bytes (source);
}
