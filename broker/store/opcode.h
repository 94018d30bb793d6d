/* SPDX-License-Identifier: MIT
 *
 * What the C side and the functions in Redis say to each other by one letter: the
 * operations of a batch, and the messages on the topics of brokers
 * (docs/redis-keys.md). library.c renders both lists as Lua. Stands on nothing. */
#ifndef BROKER_STORE_OPCODE_H
#define BROKER_STORE_OPCODE_H

/* X (name, opcode, number of arguments) */
/* clang-format off */
#define OPCODE_MAP(X)                                                                  \
    X (SUBMIT, 'S', 3)                                                                 \
    X (CLAIM, 'C', 4)                                                                  \
    X (STARTED, 'T', 1)                                                                \
    X (RENEW, 'R', 2)                                                                  \
    X (DONE, 'D', 3)                                                                   \
    X (LOG, 'L', 4)                                                                    \
    X (HAND_BACK, 'H', 1)                                                              \
    X (RECOVER, 'B', 1)                                                                \
    X (CANCEL, 'X', 2)                                                                 \
    X (WATCH, 'W', 3)                                                                  \
    X (UNWATCH, 'U', 2)                                                                \
    X (GET, 'G', 2)                                                                    \
    X (LOG_FROM, 'F', 4)                                                               \
    X (SWEEP, 'K', 2)                                                                  \
    X (PURGE, 'P', 2)                                                                  \
    X (LIST, 'N', 3)                                                                   \
    X (CHANNEL, 'V', 1)

/* X (name, how the message begins) */
#define NEWS_MAP(X)                                                                    \
    X (ENDED, 'E')                                                                     \
    X (STARTED, 'S')                                                                   \
    X (LOGGED, 'L')                                                                    \
    X (STOP, 'X')                                                                      \
    X (DRAIN, 'D')                                                                     \
    X (BLOB_LOST, 'F')                                                                 \
    X (KEYS, 'K')
/* clang-format on */

typedef enum opcode {
#define X(name, letter, arguments) OP_##name = letter,
    OPCODE_MAP (X)
#undef X
} opcode_t;

enum news {
#define X(name, letter) NEWS_##name = letter,
    NEWS_MAP (X)
#undef X
};

#endif
