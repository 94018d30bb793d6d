/* SPDX-License-Identifier: MIT
 *
 * See redis_users.h. */
#include "redis_users.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "auth/keys.h"
#include "base/file.h"
#include "mem.h"
#include "output.h"
#include "redis/acl.h"

static const struct file {
    const char *name; /* of the file and in JSON */
    int user;         /* -1: all of them, for Redis */
    const char *purpose;
} s_files[] = {
    {"redis.acl", -1, "for Redis: aclfile in redis.conf names it; holds hashes only"},
    {"redis-admin.auth", USI_ACL_ADMIN,
     "may do all: understudy-broker --load-functions, once for each version"},
    {"redis-broker.auth", USI_ACL_BROKER, "for --redis-auth of each broker"},
    {"redis-node.auth", USI_ACL_NODE,
     "for --redis-auth of nodes that look for their broker in Redis"},
};
#define FILES (sizeof s_files / sizeof *s_files)

static int s_write (const usi_acl_t *acl, const struct file *file, const char *path)
{
    usi_buf_t lines = {0};
    if (file->user < 0)
        usi_acl_lines (acl, false, &lines);
    else
        usi_acl_auth (acl, (usi_acl_user_t) file->user, &lines);
    int error = lines.failed ? ENOMEM : usi_file_create (path, usi_buf_bytes (&lines));
    usi_buf_free (&lines);
    return error;
}

static void s_tell (const ctl_t *ctl, char *const paths[FILES])
{
    json_t *row = json_object ();
    for (size_t i = 0; i < FILES; i++) {
        if (ctl->json)
            json_object_set_new (row, s_files[i].name, json_string (paths[i]));
        else
            printf ("%s  %s\n", paths[i], s_files[i].purpose);
    }
    if (ctl->json)
        output_json (row);
    else
        json_decref (row);
}

int redis_users_make (const ctl_t *ctl, const char *folder)
{
    usi_acl_t acl;
    char *paths[FILES];
    int rc = EXIT_DONE;
    usi_acl_fill (&acl);
    for (size_t i = 0; i < FILES; i++) {
        paths[i] = mem_printf ("%s/%s", folder, s_files[i].name);
        int error = rc ? 0 : s_write (&acl, &s_files[i], paths[i]);
        if (error)
            rc = ctl_cannot_make (paths[i], error);
    }
    usi_wipe (&acl, sizeof acl);
    if (rc == EXIT_DONE)
        s_tell (ctl, paths);
    for (size_t i = 0; i < FILES; i++)
        free (paths[i]);
    return rc;
}
