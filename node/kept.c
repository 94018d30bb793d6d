/* SPDX-License-Identifier: MIT
 *
 * Workers that have no job: see kept.h. */
#include "kept.h"

#include "base/clock.h"
#include "host/process.h"

#define KEEP_US  (5 * 60 * 1000000LL) /* so long an idle worker is kept */
#define KEEP_MAX 64                   /* beside one for each slot */

/* A spare worker is idle, too, but waits for a program. */
static bool s_is_kept (const worker_t *worker)
{
    return worker->program && worker_is_idle (worker);
}

/* Retires the worker that has been idle for the longest time. */
static bool s_retire_oldest (worker_t *workers)
{
    worker_t *oldest = NULL;
    for (worker_t *worker = workers; worker; worker = worker->next)
        if (s_is_kept (worker) &&
            (!oldest || worker->turn_since_us < oldest->turn_since_us))
            oldest = worker;
    if (oldest)
        worker_retire (oldest);
    return oldest != NULL;
}

void kept_bound (worker_t *workers, unsigned slots)
{
    unsigned kept = 0;
    for (const worker_t *worker = workers; worker; worker = worker->next)
        kept += s_is_kept (worker);
    for (; kept > KEEP_MAX + slots; kept--)
        s_retire_oldest (workers);
}

/* What all idle workers have for themselves. A worker is measured once after it has
 * worked. */
static uint64_t s_memory (worker_t *workers)
{
    uint64_t sum = 0;
    for (worker_t *worker = workers; worker; worker = worker->next) {
        if (!s_is_kept (worker))
            continue;
        if (worker->memory == 0 || worker->memory_done != worker->done) {
            worker->memory = process_own_memory (worker->pid);
            worker->memory_done = worker->done;
        }
        sum += worker->memory;
    }
    return sum;
}

static void s_retire_unused (worker_t *workers)
{
    int64_t now_us = usi_now_us ();
    for (worker_t *worker = workers; worker; worker = worker->next)
        if (worker_is_idle (worker) && now_us - worker->turn_since_us > KEEP_US &&
            (worker->program || programs_env_workers (worker->node, worker->env) == 0))
            worker_retire (worker);
}

void kept_tidy (worker_t *workers, uint64_t memory)
{
    s_retire_unused (workers);
    while (s_memory (workers) > memory && s_retire_oldest (workers))
        ;
}
