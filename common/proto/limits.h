/* SPDX-License-Identifier: MIT
 *
 * The limits of docs/protocol.md section 6, and those of fields (section 3) that other
 * files need. */
#ifndef COMMON_PROTO_LIMITS_H
#define COMMON_PROTO_LIMITS_H

#include <stdint.h>

#define USI_PROTOCOL_VERSION 1

#define USI_MAX_HEADER      (1024 * 1024)
#define USI_MAX_ITEMS       512
#define USI_MAX_BODY        (256 * 1024)       /* inline body */
#define USI_MAX_CHUNK       (1024 * 1024)      /* chunk of a blob; largest body frame */
#define USI_MAX_LOG         (64 * 1024)        /* body of LOG and LOGGED */
#define USI_MAX_MESSAGE     (4 * 1024 * 1024)  /* all frames */
#define USI_MAX_PAYLOAD     (64 * 1024 * 1024) /* default; through blobs */
#define USI_MAX_BUFFER      ((uint64_t) 1 << 30) /* default; of a job, apart from its body */
#define USI_MAX_BUFFERS     ((uint64_t) 4 << 30) /* default; of one job together */
#define USI_MAX_SPEC        65536
#define USI_MAX_BLOBS       16
#define USI_MAX_NAME        256   /* of a peer */
#define USI_MAX_KEY         16    /* of a program */
#define USI_MAX_VARIABLES   256   /* of a job's environment */
#define USI_MAX_VARIABLE    32768 /* name and value */
#define USI_MAX_CERTIFICATE 4096  /* of a peer, with its signature */
#define USI_MAX_REVOKED     65536 /* list of keys that are good no more */
#define USI_MAX_CURSOR      256
#define USI_MAX_TOPIC       128
#define USI_MAX_SHELL       131071 /* what Linux takes as one argument: 32 pages of 4 KiB */
#define USI_MAX_DEPTH       8      /* of msgpack in headers */

#define USI_DEFAULT_CHANNEL    "default"
#define USI_DEFAULT_LEASE_MS   15000
#define USI_HEARTBEAT_MS       1000
#define USI_CONNECT_TIMEOUT_MS 5000

#endif
