/* SPDX-License-Identifier: MIT
 *
 * Header frames: what is accepted can be sent on, and is then the same message. */
#include "fuzz.h"
#include "proto/message.h"

int LLVMFuzzerTestOneInput (const uint8_t *data, size_t len)
{
    usi_msg_t msg = USI_MSG_INIT, back = USI_MSG_INIT;
    usi_buf_t once = {0}, twice = {0};
    if (usi_msg_decode_header (&msg, usi_bytes (data, len)) == US_OK) {
        usi_msg_encode_header (&msg, &once);
        US_ASSERT (usi_msg_decode_header (&back, usi_buf_bytes (&once)) == US_OK);
        usi_msg_encode_header (&back, &twice);
        US_ASSERT (usi_bytes_equal (usi_buf_bytes (&once), usi_buf_bytes (&twice)));
    } else {
        US_ASSERT (msg.why);
    }
    usi_buf_free (&once);
    usi_buf_free (&twice);
    usi_msg_free (&msg);
    usi_msg_free (&back);
    return 0;
}
