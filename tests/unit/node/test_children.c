/* SPDX-License-Identifier: MIT
 *
 * The end of child processes: all are reaped, orphans are killed, and the end of one that
 * nobody knows yet is kept for some time. */
#include "../unit.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "host/children.h"
#include "host/process.h"

typedef struct ended {
    pid_t pid;
    int status;
    unsigned count;
} ended_t;

static void s_on_ended (void *arg, pid_t pid, int status)
{
    ended_t *ended = arg;
    *ended = (ended_t){pid, status, ended->count + 1};
}

static bool s_is_ours (void *arg, pid_t pid)
{
    return pid == *(pid_t *) arg;
}

static pid_t s_fork (int code)
{
    pid_t pid = fork ();
    if (pid == 0 && code < 0)
        pause ();
    if (pid == 0)
        _exit (code);
    return pid;
}

/* It has ended, and is not reaped yet. */
static void s_await (pid_t pid)
{
    siginfo_t info;
    assert_int_equal (waitid (P_PID, (id_t) pid, &info, WEXITED | WNOWAIT), 0);
}

static void test_reap (void **state)
{
    ended_t ended = {0};
    (void) state;
    pid_t stays = s_fork (-1), pid = s_fork (7);
    s_await (pid);
    children_reap (s_on_ended, &ended);
    assert_int_equal (ended.count, 1);
    assert_int_equal (ended.pid, pid);
    assert_int_equal (WEXITSTATUS (ended.status), 7);
    kill (stays, SIGKILL);
    s_await (stays);
    children_reap (s_on_ended, &ended);
    assert_int_equal (ended.pid, stays);
}

static void test_orphans (void **state)
{
    ended_t ended = {0};
    children_t children = {0};
    (void) state;
    pid_t ours = s_fork (-1), orphan = s_fork (-1);
    children_end_orphans (&children, s_is_ours, &ours);
    s_await (orphan);
    children_reap (s_on_ended, &ended);
    assert_int_equal (ended.count, 1);
    assert_int_equal (ended.pid, orphan);
    kill (ours, SIGKILL);
    s_await (ours);
    children_reap (s_on_ended, &ended);
}

static bool s_runs (pid_t pid)
{
    siginfo_t info = {0};
    return waitid (P_PID, (id_t) pid, &info, WEXITED | WNOHANG | WNOWAIT) == 0 &&
           info.si_pid == 0;
}

static pid_t s_tracker (void)
{
    static const char words[] =
        "from multiprocessing.resource_tracker import main;main(3)";
    pid_t pid = fork ();
    if (pid == 0) {
        setpgid (0, 0);
        execl ("/bin/sleep", words, "100", (char *) NULL);
        _exit (1);
    }
    setpgid (pid, pid);
    while (!process_is_tracker (pid) && s_runs (pid))
        usleep (1000);
    return pid;
}

/* It goes on until it has had its time, whichever way its group ends. */
static void test_a_tracker_has_a_moment (void **state)
{
    ended_t ended = {0};
    children_t children = {0};
    (void) state;
    pid_t nobody = -1, tracker = s_tracker (), worker = s_fork (-1);
    setpgid (worker, tracker);
    process_kill_group (tracker);
    s_await (worker);
    children_reap (s_on_ended, &ended);
    assert_int_equal (ended.pid, worker);
    process_kill_tree (tracker);
    children_end_orphans (&children, s_is_ours, &nobody);
    children_end_orphans (&children, s_is_ours, &nobody);
    assert_true (s_runs (tracker));
    for (int i = 0; i < TRACKERS; i++)
        children.trackers[i].since_us -= PROCESS_TIDY_MS * 1000;
    children_end_orphans (&children, s_is_ours, &nobody);
    s_await (tracker);
    children_reap (s_on_ended, &ended);
    assert_int_equal (ended.pid, tracker);
}

/* Each has its time, whatever the ids of the others are: process ids of jobs that follow
 * each other closely once met in one place. */
static void test_many_trackers_have_a_moment (void **state)
{
    enum { MANY = 20 };
    ended_t ended = {0};
    children_t children = {0};
    pid_t nobody = -1, trackers[MANY];
    (void) state;
    for (int i = 0; i < MANY; i++)
        trackers[i] = s_tracker ();
    children_end_orphans (&children, s_is_ours, &nobody);
    for (int i = 0; i < MANY; i++)
        assert_true (s_runs (trackers[i]));
    for (int i = 0; i < MANY; i++) {
        kill (trackers[i], SIGKILL);
        s_await (trackers[i]);
    }
    children_reap (s_on_ended, &ended);
    assert_int_equal (ended.count, MANY);
    children_end_orphans (&children, s_is_ours, &nobody);
    for (int i = 0; i < TRACKERS; i++)
        assert_int_equal (children.trackers[i].pid, 0);
}

static void test_early_exits (void **state)
{
    children_t children = {0};
    int status = 0;
    (void) state;
    assert_false (children_take_early (&children, 5, &status));
    children_note_early (&children, 5, 9);
    children_note_early (&children, 6, 10);
    assert_false (children_take_early (&children, 7, &status));
    assert_true (children_take_early (&children, 5, &status));
    assert_int_equal (status, 9);
    assert_false (children_take_early (&children, 5, &status)); /* once */
    /* An old one is another process of the same number. */
    children.early[1].at_us -= 6000000;
    assert_false (children_take_early (&children, 6, &status));
    /* The oldest make room. */
    for (pid_t pid = 100; pid < 100 + EARLY_EXITS + 1; pid++)
        children_note_early (&children, pid, 1);
    assert_false (children_take_early (&children, 100, &status));
    assert_true (children_take_early (&children, 101, &status));
}

int main (void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test (test_reap),
        cmocka_unit_test (test_orphans),
        cmocka_unit_test (test_a_tracker_has_a_moment),
        cmocka_unit_test (test_many_trackers_have_a_moment),
        cmocka_unit_test (test_early_exits),
    };
    return cmocka_run_group_tests (tests, NULL, NULL);
}
