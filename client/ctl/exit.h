/* SPDX-License-Identifier: MIT
 *
 * Exit codes of understudy-ctl, from sysexits where it has one. Listed in --help and
 * understudy-ctl(1).
 *
 * A leaf: stands on nothing. */
#ifndef CLIENT_CTL_EXIT_H
#define CLIENT_CTL_EXIT_H

enum {
    EXIT_DONE = 0,
    EXIT_NO = 1, /* not found, too late, ended otherwise than SUCCEEDED */
    EXIT_USAGE = 64,
    EXIT_UNREACHABLE = 69,
    EXIT_INTERNAL = 70,
    EXIT_WRITE = 74,
    EXIT_LATE = 75,
    EXIT_DENIED = 77,
    EXIT_SETTINGS = 78,
    EXIT_INTERRUPTED = 130,
};

#endif
