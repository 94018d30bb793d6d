/* SPDX-License-Identifier: MIT
 *
 * The table of message types (docs/protocol.md section 4): who sends them, what they
 * carry, which fields they must have. */
#ifndef COMMON_PROTO_TYPES_H
#define COMMON_PROTO_TYPES_H

#include "proto/message.h"

#define USI_REQUIRED_MAX 8

typedef struct usi_type_def {
    uint8_t type;
    const char *name;
    unsigned senders;              /* USI_BY_… */
    bool items;                    /* carries items */
    size_t body_max;               /* of each item's body frame; 0: no bodies */
    int8_t head[USI_REQUIRED_MAX]; /* required fields + 1, closed by 0 */
    int8_t item[USI_REQUIRED_MAX];
} usi_type_def_t;

/* NULL for unknown types. */
const usi_type_def_t *usi_type_find (int type);

#endif
