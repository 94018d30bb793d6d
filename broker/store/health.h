/* SPDX-License-Identifier: MIT
 *
 * Judges by what INFO and CONFIG GET say whether this Redis is fit to keep jobs: for the
 * check at start, for each reconnect and for `doctor`. Pure: stands on common/base. */
#ifndef BROKER_STORE_HEALTH_H
#define BROKER_STORE_HEALTH_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"

typedef struct health {
    char version[32];
    char run_id[41];
    bool replica;
    bool loading;
    bool aof; /* from INFO, which everybody may ask for */
    bool write_failed;
    uint64_t maxmemory;    /* 0: no limit */
    uint64_t whole_memory; /* of the machine that it runs on */
    /* from CONFIG GET; empty where we may not ask */
    char policy[24];
    char appendonly[8];
    char appendfsync[16];
} health_t;

void health_info (health_t *self, usi_bytes_t info);
void health_config (health_t *self, const char *name, usi_bytes_t value);
/* Says in a line for the operator why this Redis must not be used; NULL: it is fit. The
 * caller frees the line. where: the address as it is shown to people. */
char *health_fatal (const health_t *self, const char *where);
/* What an accepted job survives: "always", "everysec" or "memory". */
const char *health_durability (const health_t *self);
/* Finding number i (setting and verdict); false behind the last. The caller frees both.
 * weak: it should be mended. */
bool health_finding (const health_t *self, const char *wanted, unsigned i,
                     char **setting, char **verdict, bool *weak);

#endif
