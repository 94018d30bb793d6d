/* SPDX-License-Identifier: MIT
 *
 * Preloaded into a process: its wall clock goes wrong by as many seconds as stand in
 * the file that $STEP_CLOCK names (8 bytes), from the moment they stand there. Its other
 * clocks stay right, as they do where an administrator or NTP steps the clock.
 *
 * libfaketime does not do for redis-server: it allocates memory while it sets itself up,
 * and jemalloc asks for the time while it does so. This needs system calls only. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static const int64_t *s_map (void)
{
    static const int64_t none;
    const char *path = getenv ("STEP_CLOCK");
    int fd =
        path ? (int) syscall (SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC) : -1;
    if (fd < 0)
        return &none;
    void *map = mmap (NULL, sizeof none, PROT_READ, MAP_SHARED, fd, 0);
    close (fd);
    return map == MAP_FAILED ? &none : map;
}

static int64_t s_off (void)
{
    static const int64_t *off;
    if (!off)
        off = s_map ();
    return __atomic_load_n (off, __ATOMIC_RELAXED);
}

int clock_gettime (clockid_t clock, struct timespec *now)
{
    int rc = (int) syscall (SYS_clock_gettime, clock, now);
    if (rc == 0 && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE))
        now->tv_sec += s_off ();
    return rc;
}

int gettimeofday (struct timeval *restrict now, void *restrict zone)
{
    struct timespec time;
    (void) zone;
    clock_gettime (CLOCK_REALTIME, &time);
    *now = (struct timeval){time.tv_sec, time.tv_nsec / 1000};
    return 0;
}

time_t time (time_t *now)
{
    struct timespec time;
    clock_gettime (CLOCK_REALTIME, &time);
    if (now)
        *now = time.tv_sec;
    return time.tv_sec;
}
