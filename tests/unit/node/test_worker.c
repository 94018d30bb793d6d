/* SPDX-License-Identifier: MIT
 *
 * What a worker may send, with this test at the other end of its job socket. */
#include <czmq.h>

#include <dirent.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/mem.h"
#include "jobs.h"
#include "slots.h"
#include "unit.h"
#include "worker_internal.h"

#define DATAGRAMS 200

typedef struct stage {
    node_t node;
    pool_t pool;
    worker_t *worker;
    int end; /* of the job socket: the worker's */
} stage_t;

static int s_setup (void **state)
{
    stage_t *stage = usi_new (stage_t);
    int pair[2];
    stage->node.loop = zloop_new ();
    stage->node.jobs = jobs_new (&stage->node);
    stage->node.slots = slots_new (&stage->node);
    stage->pool = (pool_t){.node = &stage->node, .refs = 1, .workers = 1};
    assert_int_equal (socketpair (AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
    stage->end = pair[1];
    stage->worker = usi_new (worker_t);
    *stage->worker = (worker_t){.node = &stage->node,
                                .pool = &stage->pool,
                                .state = WORKER_LIVE,
                                .sock = pair[0],
                                .peer = -1,
                                .pipe = -1};
    job_list_init (&stage->worker->jobs, JOB_LINK_PLACE);
    stage->node.slots->workers = stage->worker;
    *state = stage;
    return 0;
}

static int s_teardown (void **state)
{
    stage_t *stage = *state;
    slots_destroy (&stage->node.slots);
    jobs_destroy (&stage->node.jobs);
    zloop_destroy (&stage->node.loop);
    close (stage->end);
    free (stage);
    return 0;
}

static unsigned s_open_descriptors (void)
{
    unsigned count = 0;
    DIR *dir = opendir ("/proc/self/fd");
    assert_non_null (dir);
    while (readdir (dir))
        count++;
    closedir (dir);
    return count;
}

static void s_send (int sock, const char *bytes, size_t len, unsigned fds)
{
    struct iovec part = {.iov_base = (char *) bytes, .iov_len = len};
    union {
        struct cmsghdr align;
        char bytes[CMSG_SPACE (8 * sizeof (int))];
    } control = {0};
    struct msghdr message = {.msg_iov = &part,
                             .msg_iovlen = 1,
                             .msg_control = fds ? control.bytes : NULL,
                             .msg_controllen =
                                 fds ? CMSG_SPACE (fds * sizeof (int)) : 0};
    if (fds > 0) {
        struct cmsghdr *head = CMSG_FIRSTHDR (&message);
        head->cmsg_level = SOL_SOCKET;
        head->cmsg_type = SCM_RIGHTS;
        head->cmsg_len = CMSG_LEN (fds * sizeof (int));
        for (unsigned i = 0; i < fds; i++)
            memcpy (CMSG_DATA (head) + i * sizeof (int), &sock, sizeof sock);
    }
    assert_int_equal (sendmsg (sock, &message, MSG_DONTWAIT), (ssize_t) len);
}

/* Descriptors that a worker sends and that are not wanted stay nowhere. */
static void s_check_fds (stage_t *stage, const char *bytes, size_t len, unsigned fds)
{
    unsigned before = s_open_descriptors ();
    for (unsigned i = 0; i < DATAGRAMS; i++) {
        s_send (stage->end, bytes, len, fds);
        worker_on_socket (stage->node.loop, NULL, stage->worker);
    }
    assert_int_equal (s_open_descriptors (), before);
    assert_int_equal (stage->worker->state, WORKER_STOPPING);
    assert_int_equal (stage->worker->stop, STOP_FAULT);
    assert_string_equal (
        stage->worker->fault,
        "the worker was killed: a message with descriptors that it should not have");
}

static void test_one_descriptor_that_is_not_wanted (void **state)
{
    s_check_fds (*state, "Xwords", 6, 1);
}

static void test_two_descriptors (void **state)
{
    s_check_fds (*state, "Xwords", 6, 2);
}

static void test_a_result_with_two_descriptors (void **state)
{
    const char result[11] = {'R', 0, 0, 0, 0, 1, 1};
    s_check_fds (*state, result, sizeof result, 2);
}

static void test_many_descriptors (void **state)
{
    s_check_fds (*state, "Xwords", 6, 8);
}

static void test_no_descriptor (void **state)
{
    stage_t *stage = *state;
    s_send (stage->end, "Xwords", 6, 0);
    worker_on_socket (stage->node.loop, NULL, stage->worker);
    assert_int_equal (stage->worker->state, WORKER_LIVE);
    assert_int_equal (stage->worker->refusal.len, 5);
}

#define TEST(name) cmocka_unit_test_setup_teardown (name, s_setup, s_teardown)

int main (void)
{
    const struct CMUnitTest tests[] = {
        TEST (test_one_descriptor_that_is_not_wanted),
        TEST (test_two_descriptors),
        TEST (test_a_result_with_two_descriptors),
        TEST (test_many_descriptors),
        TEST (test_no_descriptor),
    };
    return cmocka_run_group_tests (tests, NULL, NULL);
}
