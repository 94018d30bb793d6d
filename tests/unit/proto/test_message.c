/* SPDX-License-Identifier: MIT
 *
 * The codec of messages over real sockets: what goes and comes, and what is refused. */
#include "golden.h"

#include <errno.h>

#include "proto/fields.h"
#include "proto/message.h"
#include "proto/types.h"

/* Two connected sockets. */
typedef struct s_wire {
    void *context, *router, *dealer;
} s_wire_t;

static int s_setup (void **state)
{
    s_wire_t *wire = calloc (1, sizeof *wire);
    int mandatory = 1;
    wire->context = zmq_ctx_new ();
    wire->router = zmq_socket (wire->context, ZMQ_ROUTER);
    wire->dealer = zmq_socket (wire->context, ZMQ_DEALER);
    zmq_setsockopt (wire->router, ZMQ_ROUTER_MANDATORY, &mandatory, sizeof mandatory);
    zmq_bind (wire->router, "inproc://wire");
    zmq_connect (wire->dealer, "inproc://wire");
    *state = wire;
    return 0;
}

static int s_teardown (void **state)
{
    s_wire_t *wire = *state;
    zmq_close (wire->dealer);
    zmq_close (wire->router);
    zmq_ctx_term (wire->context);
    free (wire);
    return 0;
}

static int s_receive (s_wire_t *wire, usi_msg_t *msg, uint8_t *routing, size_t *len)
{
    zmq_pollitem_t item = {.socket = wire->router, .events = ZMQ_POLLIN};
    assert_int_equal (zmq_poll (&item, 1, 5000), 1);
    return usi_msg_recv (msg, wire->router, routing, len);
}

static void s_build_result (usi_msg_t *msg, uint32_t count)
{
    usi_msg_begin (msg, USI_RESULT);
    USI_SET (&msg->head, CREDIT, credit, 3);
    for (uint32_t i = 0; i < count; i++) {
        usi_fields_t *item = usi_msg_add (msg);
        usi_id_t id;
        usi_id_make (&id, usi_bytes_of ("default"));
        USI_SET (item, ID, id, id);
        USI_SET (item, ATTEMPT, attempt, i + 1);
        USI_SET (item, NONCE, nonce, UINT64_MAX);
        USI_SET (item, OUTCOME, outcome, USI_FAILED);
        USI_SET (item, CODE, code, US_ERR_REMOTE);
        if (i % 2 == 1)
            usi_msg_body (msg, "body", 4);
    }
}

static void test_what_is_sent_arrives (void **state)
{
    s_wire_t *wire = *state;
    usi_msg_t out = USI_MSG_INIT, in = USI_MSG_INIT;
    uint8_t routing[256];
    size_t routing_len = 0;
    s_build_result (&out, 5);
    assert_int_equal (usi_msg_send (&out, wire->dealer, usi_bytes (NULL, 0)), 0);
    assert_int_equal (s_receive (wire, &in, routing, &routing_len), 0);
    assert_int_equal (in.type, USI_RESULT);
    assert_int_equal (in.head.credit, 3);
    assert_int_equal (in.items_len, 5);
    assert_int_equal (in.items[4].attempt, 5);
    assert_true (in.items[4].nonce == UINT64_MAX);
    assert_int_equal (in.items[4].code, US_ERR_REMOTE);
    assert_false (usi_has (&in.items[4], USI_F_BLOB));
    assert_int_equal (usi_msg_item_body (&in, 1).len, 4);
    assert_int_equal (usi_msg_item_body (&in, 4).len, 0);

    usi_msg_begin (&out, USI_WAKE);
    assert_int_equal (usi_msg_send (&out, wire->router,
                                    usi_bytes (routing, routing_len)),
                      0);
    zmq_pollitem_t item = {.socket = wire->dealer, .events = ZMQ_POLLIN};
    assert_int_equal (zmq_poll (&item, 1, 5000), 1);
    assert_int_equal (usi_msg_recv (&in, wire->dealer, NULL, NULL), 0);
    assert_int_equal (in.type, USI_WAKE);
    assert_int_equal (usi_msg_recv (&in, wire->dealer, NULL, NULL), EAGAIN);
    usi_msg_free (&in);
    usi_msg_free (&out);
}

static void test_a_peer_that_is_gone_leaves_the_message_whole (void **state)
{
    s_wire_t *wire = *state;
    usi_msg_t out = USI_MSG_INIT;
    s_build_result (&out, 2);
    int rc = usi_msg_send (&out, wire->router, usi_bytes ("nobody", 6));
    assert_int_equal (rc, EHOSTUNREACH);
    assert_int_equal (out.items_len, 2);
    assert_int_equal (usi_msg_item_body (&out, 0).len,
                      4); /* frame 1 is item 1's body here */
    usi_msg_free (&out);
}

/* Frames as a hostile peer sends them: each text a frame. */
static int s_recv_raw (s_wire_t *wire, usi_msg_t *msg, const usi_bytes_t *frames,
                       size_t count)
{
    uint8_t routing[256];
    size_t len;
    for (size_t i = 0; i < count; i++)
        zmq_send (wire->dealer, frames[i].data, frames[i].len,
                  i + 1 < count ? ZMQ_SNDMORE : 0);
    int rc = s_receive (wire, msg, routing, &len);
    /* Whatever it was, nothing of it is left on the socket. */
    usi_msg_t next = USI_MSG_INIT;
    assert_int_equal (usi_msg_recv (&next, wire->router, routing, &len), EAGAIN);
    usi_msg_free (&next);
    return rc;
}

#define RAW(wire, msg, ...)                                                            \
    s_recv_raw (wire, msg, (usi_bytes_t[]){__VA_ARGS__},                               \
                sizeof ((usi_bytes_t[]){__VA_ARGS__}) / sizeof (usi_bytes_t))
#define FRAME(text) usi_bytes ("" text, sizeof (text) - 1)

static void test_malformed_messages (void **state)
{
    s_wire_t *wire = *state;
    usi_msg_t msg = USI_MSG_INIT;
    assert_int_equal (RAW (wire, &msg, FRAME ("")), EPROTO);
    assert_int_equal (RAW (wire, &msg, FRAME ("\1\3")), EPROTO);
    assert_int_equal (RAW (wire, &msg, FRAME ("\1\3\x80")), 0); /* PING */
    assert_int_equal (RAW (wire, &msg, FRAME ("\2\3\x80")), ENOTSUP);
    assert_int_equal (RAW (wire, &msg, FRAME ("\1\x7f\x80")), ENOTSUP);
    assert_int_equal (RAW (wire, &msg, FRAME ("\1\3\x80"), FRAME ("more")), EPROTO);
    assert_int_equal (RAW (wire, &msg, FRAME ("\1\3\x80\x80")), EPROTO); /* trailing */
    assert_int_equal (RAW (wire, &msg, FRAME ("\1\3\x90")), EPROTO);     /* no map */
    assert_int_equal (RAW (wire, &msg, FRAME ("\1\3\x81\xa1x\x91")), EPROTO);
    assert_int_equal (RAW (wire, &msg, FRAME ("\1\3\x81\x01\x01")), EPROTO);
    assert_int_equal (RAW (wire, &msg, FRAME ("\1\x30\x80")), EPROTO); /* no credit */
    assert_int_equal (RAW (wire, &msg,
                           FRAME ("\1\x30\x81\xa6"
                                  "credit\xff")),
                      EPROTO);
    assert_int_equal (RAW (wire, &msg,
                           FRAME ("\1\x30\x81\xa6"
                                  "credit\xcb\0\0\0\0\0\0\0\0")),
                      EPROTO);
    assert_int_equal (RAW (wire, &msg,
                           FRAME ("\1\x30\x81\xa6"
                                  "credit\xce\0\1\0\1")),
                      EPROTO); /* over its limit */
    assert_int_equal (RAW (wire, &msg,
                           FRAME ("\1\x30\x82\xa6"
                                  "credit\1\xa6"
                                  "credit\1")),
                      EPROTO);
    assert_int_equal (RAW (wire, &msg,
                           FRAME ("\1\x30\x82\xa6"
                                  "credit\1\xa1x\xc3")),
                      0);
    assert_int_equal (RAW (wire, &msg,
                           FRAME ("\1\x13\x81\xa5items\xdd\xff\xff\xff\xff")),
                      EPROTO);
    assert_int_equal (RAW (wire, &msg,
                           FRAME ("\1\x06\x82\xa4"
                                  "code\0\xa4text\xa1\0")),
                      EPROTO); /* NUL in text */
    usi_msg_free (&msg);
}

static void test_depth_and_size_are_bounded (void **state)
{
    s_wire_t *wire = *state;
    usi_msg_t msg = USI_MSG_INIT;
    uint8_t deep[120] = {1, USI_PING, 0x81, 0xa1, 'x'};
    memset (deep + 5, 0x91, 100);
    assert_int_equal (RAW (wire, &msg, usi_bytes (deep, sizeof deep)), EPROTO);
    uint8_t *large = calloc (1, USI_MAX_HEADER + 1);
    large[0] = 1, large[1] = USI_PING;
    assert_int_equal (RAW (wire, &msg, usi_bytes (large, USI_MAX_HEADER + 1)), EPROTO);
    usi_bytes_t many[600];
    for (size_t i = 0; i < 600; i++)
        many[i] = usi_bytes (large, 1);
    assert_int_equal (s_recv_raw (wire, &msg, many, 600), EPROTO);
    assert_in_range (msg.frames_cap, 0, 1024);
    free (large);
    usi_msg_free (&msg);
}

/* Cut off at every byte and every byte changed: a status, never a crash. */
static void test_corrupt_headers (void **state)
{
    (void) state;
    usi_msg_t msg = USI_MSG_INIT, in = USI_MSG_INIT;
    usi_buf_t buf = {0};
    s_build_result (&msg, 3);
    usi_msg_encode_header (&msg, &buf);
    assert_int_equal (usi_msg_decode_header (&in, usi_buf_bytes (&buf)), US_OK);
    for (size_t len = 0; len < buf.len; len++) {
        uint8_t *exact = malloc (len + 1); /* so that a sanitizer sees a byte too far */
        memcpy (exact, buf.data, len);
        usi_msg_clear (&in);
        assert_int_not_equal (usi_msg_decode_header (&in, usi_bytes (exact, len)),
                              US_OK);
        assert_non_null (in.why);
        free (exact);
    }
    for (size_t at = 2; at < buf.len; at++)
        for (int bit = 0; bit < 8; bit++) {
            buf.data[at] ^= (uint8_t) (1 << bit);
            usi_msg_clear (&in);
            usi_msg_decode_header (&in, usi_buf_bytes (&buf));
            buf.data[at] ^= (uint8_t) (1 << bit);
        }
    usi_buf_free (&buf);
    usi_msg_free (&msg);
    usi_msg_free (&in);
}

static void test_fields_as_a_map (void **state)
{
    (void) state;
    usi_fields_t spec = {0}, back;
    usi_buf_t packages = {0}, buf = {0};
    usi_list_add_str (&packages, usi_bytes_of ("pytz"));
    usi_list_add_str (&packages, usi_bytes_of ("numpy>=1"));
    USI_SET (&spec, KIND, kind, usi_bytes_of ("call"));
    USI_SET (&spec, PACKAGES, packages, usi_list_of (&packages, 2));
    USI_SET (&spec, HARD_MS, hard_ms, 1500);
    usi_fields_encode (&spec, &buf);
    assert_int_equal (usi_fields_decode (&back, usi_buf_bytes (&buf), NULL), US_OK);
    assert_true (usi_bytes_equal (back.kind, usi_bytes_of ("call")));
    assert_int_equal (back.packages.count, 2);
    size_t position = 0;
    usi_bytes_t text;
    assert_true (usi_list_next (&back.packages, &position, &text));
    assert_true (usi_list_next (&back.packages, &position, &text));
    assert_true (usi_bytes_equal (text, usi_bytes_of ("numpy>=1")));
    assert_false (usi_list_next (&back.packages, &position, &text));
    const char *why = NULL;
    assert_int_equal (usi_fields_decode (&back, usi_bytes (buf.data, buf.len - 1),
                                         &why),
                      US_ERR_PROTOCOL);
    assert_non_null (why);
    usi_buf_free (&packages);
    usi_buf_free (&buf);
}

static void test_every_field_and_type_is_found_by_name (void **state)
{
    (void) state;
    for (int field = 0; field < USI_F__COUNT; field++) {
        const char *name = usi_field_name (field);
        assert_int_equal (usi_field_find (name, strlen (name)), field);
    }
    assert_int_equal (usi_field_find ("items", 5), -1);
    assert_string_equal (usi_type_name (USI_HAND_BACK), "HAND_BACK");
    assert_string_equal (usi_type_name (200), "?");
    assert_int_equal (usi_type_senders (USI_SUBMIT), USI_BY_CLIENT);
}

/* The tables of docs/protocol.md name what the code knows. */
static void test_the_document_names_every_field_and_type (void **state)
{
    (void) state;
    char *text = calloc (1, 200000), word[80];
    FILE *file = fopen (US_SOURCE_DIR "/docs/protocol.md", "r");
    assert_non_null (file);
    size_t len = fread (text, 1, 199999, file);
    assert_in_range (len, 1000, 199998);
    fclose (file);
    for (int field = 0; field < USI_F__COUNT; field++) {
        snprintf (word, sizeof word, "`%s`", usi_field_name (field));
        if (!strstr (text, word))
            fail_msg ("docs/protocol.md does not name %s", word);
    }
    for (int type = 0; type < 256; type++) {
        if (!usi_type_find (type))
            continue;
        snprintf (word, sizeof word, "| %d | %s |", type, usi_type_name (type));
        if (!strstr (text, word))
            fail_msg ("docs/protocol.md has no row %s", word);
    }
    free (text);
}

/* --- golden frames --------------------------------------------------------------- */

/* What it says decodes, and encodes to the same bytes. */
static void s_check_golden (const char *name, usi_bytes_t frame, void *arg)
{
    bool *seen = arg;
    usi_msg_t msg = USI_MSG_INIT;
    usi_buf_t again = {0};
    if (usi_msg_decode_header (&msg, frame) != US_OK)
        fail_msg ("%s: %s", name, msg.why);
    assert_string_equal (usi_type_name (msg.type), name);
    assert_int_equal (msg.items_len, usi_type_find (msg.type)->items ? 2 : 0);
    usi_msg_encode_header (&msg, &again);
    assert_true (usi_bytes_equal (usi_buf_bytes (&again), frame));
    seen[msg.type] = true;
    usi_buf_free (&again);
    usi_msg_free (&msg);
}

static void test_golden_frames_of_every_type (void **state)
{
    (void) state;
    bool seen[256] = {false};
    golden_each (US_TEST_DATA "/messages.txt", s_check_golden, seen);
    for (int type = 0; type < 256; type++)
        if (usi_type_find (type) && !seen[type])
            fail_msg ("messages.txt has no %s", usi_type_name (type));
}

/* "malformed HEX" and "unknown HEX": the kind of refusal. */
static void s_is_refused (const char *kind, usi_bytes_t frame, void *arg)
{
    usi_msg_t msg = USI_MSG_INIT;
    us_err_t err = usi_msg_decode_header (&msg, frame);
    (void) arg;
    us_err_t expected =
        strcmp (kind, "unknown") == 0 ? US_ERR_UNSUPPORTED : US_ERR_PROTOCOL;
    if (err != expected)
        fail_msg ("the frame of %zu bytes, %s: %s", frame.len, kind, us_err_name (err));
    assert_non_null (msg.why);
    usi_msg_free (&msg);
}

static void test_corrupt_frames (void **state)
{
    (void) state;
    int count = golden_each (US_TEST_DATA "/messages_corrupt.txt", s_is_refused, NULL);
    assert_in_range (count, 12, 1000);
}

int main (void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown (test_what_is_sent_arrives, s_setup,
                                         s_teardown),
        cmocka_unit_test_setup_teardown (
            test_a_peer_that_is_gone_leaves_the_message_whole, s_setup, s_teardown),
        cmocka_unit_test_setup_teardown (test_malformed_messages, s_setup, s_teardown),
        cmocka_unit_test_setup_teardown (test_depth_and_size_are_bounded, s_setup,
                                         s_teardown),
        cmocka_unit_test (test_corrupt_headers),
        cmocka_unit_test (test_fields_as_a_map),
        cmocka_unit_test (test_every_field_and_type_is_found_by_name),
        cmocka_unit_test (test_the_document_names_every_field_and_type),
        cmocka_unit_test (test_golden_frames_of_every_type),
        cmocka_unit_test (test_corrupt_frames),
    };
    return cmocka_run_group_tests (tests, NULL, NULL);
}
