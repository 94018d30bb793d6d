/* SPDX-License-Identifier: MIT
 *
 * The registry of live brokers and nodes (docs/redis-keys.md): entries carry the Redis
 * time of their last refresh, and count for six seconds. Stands on ask.h and on the fields
 * of messages (common/proto). */
#ifndef COMMON_REDIS_REGISTRY_H
#define COMMON_REDIS_REGISTRY_H

#include "base/bytes.h"
#include "understudy/error.h"

#define USI_REGISTRY_BROKERS  "us:brokers"
#define USI_REGISTRY_NODES    "us:nodes"
#define USI_REGISTRY_VALID_MS 6000

/* Appends value, a msgpack map, with seen_ms added as its last pair. */
us_err_t usi_registry_seal (usi_bytes_t value, int64_t now_ms, usi_buf_t *out);
/* seen_ms of a sealed entry; -1 where there is none. */
int64_t usi_registry_seen (usi_bytes_t entry);
/* Refreshed lately, or (by a clock a little ahead) just now. */
int usi_registry_is_live (usi_bytes_t entry, int64_t now_ms);

/* Blocking: appends the endpoints of all live brokers, by comma; loopback ones only
 * where they are on this host. US_ERR_UNREACHABLE: no Redis, or no broker in it;
 * US_ERR_CONFIG: not a URL, or Redis refuses us; US_ERR_NOMEM. why (may be NULL) gets a
 * line. */
us_err_t usi_registry_brokers (const char *url, int64_t timeout_ms,
                               usi_buf_t *endpoints, char *why, size_t why_len);

#endif
