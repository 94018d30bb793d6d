/* SPDX-License-Identifier: MIT
 *
 * Every error Understudy knows. The numbers travel on the wire and stand in Redis, so
 * they are written out and never used again for something else. Python's exceptions are
 * made from the same list: the last column is the class in understudy.exceptions. */
#ifndef UNDERSTUDY_ERROR_H
#define UNDERSTUDY_ERROR_H

#include <understudy/export.h>

#ifdef __cplusplus
extern "C" {
#endif

/* X (name, number, text, Python exception) */
/* clang-format off */
#define US_ERR_MAP(X)                                                                    \
    X (INTERNAL, -1, "internal error", "InternalError")                                  \
    X (NOMEM, -2, "out of memory", "OutOfMemory")                                        \
    X (INVALID, -3, "invalid argument", "InvalidArgument")                               \
    X (PROTOCOL, -4, "malformed message", "ProtocolError")                               \
    X (UNSUPPORTED, -5, "unknown message type or version", "UnsupportedError")           \
    X (TOO_LARGE, -6, "payload is over the limit", "PayloadTooLarge")                    \
    X (UNREACHABLE, -7, "no broker answers", "BrokerUnreachable")                        \
    X (TIMEOUT, -8, "timed out", "WaitTimeout")                                          \
    X (NO_UNDERSTUDIES, -9, "no node listens on the channel", "NoUnderstudiesError")     \
    X (UNKNOWN_JOB, -10, "no such job", "JobNotFound")                                   \
    X (CONFLICT, -11, "another job has this id", "JobConflict")                          \
    X (BUSY, -12, "the store (Redis) is full", "StoreFull")                              \
    X (STALE, -13, "somebody else holds the job", "StaleAttempt")                        \
    X (ENDED, -14, "the job has ended", "JobEnded")                                      \
    X (RUNNING, -15, "the job is running", "JobRunning")                                 \
    X (REQUIREMENT, -16, "not a package requirement", "InvalidRequirement")              \
    X (ENV_BUILD, -17, "the environment cannot be built", "EnvironmentBuildError")       \
    X (WORKER_DIED, -18, "the worker died", "WorkerDied")                                \
    X (SERIALIZATION, -19, "cannot be serialised", "SerializationError")                 \
    X (PYTHON_VERSION, -20, "needs another Python version", "PythonVersionError")        \
    X (CANCELLED, -21, "the job was cancelled", "JobCancelled")                          \
    X (EXPIRED, -22, "the job did not start in time", "JobExpired")                      \
    X (TIME_LIMIT, -23, "the job ran over its time limit", "TimeLimitExceeded")          \
    X (REMOTE, -24, "exception in the job", "RemoteError")                               \
    X (SHELL, -25, "the shell command failed", "ShellError")                             \
    X (MISSING_BLOB, -26, "a blob is missing", "MissingBlob")                            \
    X (STORE, -27, "the store (Redis) does not answer", "StoreUnavailable")              \
    X (CLOSED, -28, "the client is closed", "ClientClosed")                              \
    X (AMBIGUOUS, -29, "several jobs begin like this", "AmbiguousId")                    \
    X (NODE_LOST, -30, "the nodes that ran the job vanished", "NodeLost")                \
    X (UNKNOWN_CHANNEL, -31, "no such channel", "UnknownChannel")                        \
    X (UNKNOWN_NODE, -32, "no such node", "UnknownNode")                                 \
    X (UNKNOWN_PEER, -33, "say HELLO first", "UnknownPeer")                              \
    X (INTERRUPTED, -34, "interrupted by a signal", "InterruptedWait")                   \
    X (SYSTEM, -35, "the operating system refused", "SystemFailure")                     \
    X (CONFIG, -36, "the configuration is wrong", "ConfigError")                         \
    X (DENIED, -37, "this key may not do that", "AccessDenied")
/* clang-format on */

typedef enum us_err {
    US_OK = 0,
#define X(name, number, text, python) US_ERR_##name = number,
    US_ERR_MAP (X)
#undef X
} us_err_t;

/* Name ("US_ERR_STALE"), text and Python class of an error; never NULL, also for numbers
 * that are not in the list. Static strings. */
US_EXPORT const char *us_err_name (int err);
US_EXPORT const char *us_err_text (int err);
US_EXPORT const char *us_err_python (int err);

#ifdef __cplusplus
}
#endif
#endif
