/* SPDX-License-Identifier: MIT
 *
 * Entries of the registry for tests that look for brokers: written as a broker writes
 * them, into a Redis of the test's own. */
#ifndef TESTS_REGISTERED_H
#define TESTS_REGISTERED_H

#include "unit.h"

#include "base/id.h"
#include "proto/fields.h"
#include "redis/redis_server.h"
#include "redis/registry.h"

/* Enters a broker of this host into the registry, refreshed now. */
static void registered_broker (const redis_server_t *server, const char *name,
                               const char *endpoint)
{
    usi_buf_t list = {0}, value = {0}, entry = {0};
    usi_fields_t fields = {0};
    usi_ask_t *ask = redis_ask (server);
    int64_t now_ms =
        usi_reply_int (usi_reply_at (usi_ask (ask, "TIME", NULL), 0)) * 1000;
    usi_list_add_str (&list, usi_bytes_of (endpoint));
    USI_SET (&fields, HOST, host, usi_bytes_of (usi_host ()));
    USI_SET (&fields, ENDPOINTS, endpoints, usi_list_of (&list, 1));
    usi_fields_encode (&fields, &value);
    assert_int_equal (usi_registry_seal (usi_buf_bytes (&value), now_ms, &entry),
                      US_OK);
    usi_bytes_t args[] = {usi_bytes_of ("HSET"), usi_bytes_of (USI_REGISTRY_BROKERS),
                          usi_bytes_of (name), usi_buf_bytes (&entry)};
    const usi_reply_t *reply = usi_ask_bytes (ask, args, 4);
    assert_int_equal (usi_reply_int (reply), 1);
    usi_ask_close (&ask);
    usi_buf_free (&list);
    usi_buf_free (&value);
    usi_buf_free (&entry);
}

#endif
