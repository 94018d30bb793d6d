/* SPDX-License-Identifier: MIT
 *
 * Building one environment, in a child process that may block: the daemon only
 * watches its end and its output. The child works in ENVS/KEY itself, for scripts
 * carry the path they were installed under; the environment exists once the file
 * `.ready` does, which is made last and by rename. Whoever builds holds the
 * exclusive lock of the key, and so do all processes of the build: a build whose
 * daemon was killed cannot be overtaken while any part of it still runs. */
#ifndef NODE_VENV_BUILD_H
#define NODE_VENV_BUILD_H

#include <sys/types.h>

#include "venv/key.h"

#define BUILD_FAILED 3 /* exit code of the child: the status pipe says which command */

typedef struct build {
    pid_t pid;
    int out;    /* read end: what the tools write */
    int status; /* read end: the failed command and reason, one line each */
} build_t;

typedef struct build_paths {
    const char *env; /* ENVS/KEY */
    const char
        *trash; /* a fresh name in the same file system, for what is left there */
    const char *uv_cache;
    uint64_t limit; /* bytes that the environment may take on the disk */
    int lock;       /* stays open in the child */
} build_paths_t;

/* -1 with errno. */
int build_start (build_t *build, const env_request_t *request,
                 const build_paths_t *paths);

/* What `.ready` tells. */
typedef struct env_facts {
    uint64_t size;
    char *python;   /* version */
    char *packages; /* one a line */
} env_facts_t;

/* false: there is no environment. */
bool build_read_facts (const char *env, env_facts_t *facts);
void env_facts_clear (env_facts_t *facts);

#endif
