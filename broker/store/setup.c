/* SPDX-License-Identifier: MIT
 *
 * See setup.h. The steps are taken one after the other: look at the server, read the
 * cluster id, load the function library, make the user that may only subscribe. Where a
 * step fails the connection is given up, and the next one begins with the first step. */
#include "store/setup.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "store/batch.h"
#include "store/check.h"
#include "store/claim_recovery.h"
#include "store/command.h"
#include "store/library.h"
#include "store/topics.h"

static void s_give_up (store_t *self, const usi_reply_t *reply, const char *step)
{
    char why[160];
    if (!reply)
        return; /* the connection is lost anyway */
    snprintf (why, sizeof why, "%s: %s", step,
              (const char *) usi_reply_bytes (reply).data);
    usi_redis_drop (self->redis, why);
}

static bool s_failed (store_t *self, const usi_reply_t *reply, const char *step)
{
    if (reply && !usi_reply_is (reply, USI_REPLY_ERROR))
        return false;
    s_give_up (self, reply, step);
    return true;
}

/* --- the last steps --------------------------------------------------------------- */

static void s_ready (store_t *self)
{
    self->ready = true;
    self->said_lost = false;
    char *where = usi_redis_url_shown (&self->url);
    usi_info ("store.ready", "Redis is ready at=%s version=%s cluster=%s durability=%s",
              where, self->health.version, self->cluster,
              health_durability (&self->health));
    free (where);
    claim_recovery_run (self);
    batch_wake (self);
    if (self->events.ready)
        self->events.ready (self->events.arg);
}

static void s_set_wake_url (store_t *self, const char *user)
{
    free (self->wake_url);
    if (!user) {
        self->wake_url = usi_strdup ("");
        return;
    }
    self->wake_url = usi_redis_url_for (&self->url, user, self->wake_password);
}

static void s_on_acl (const usi_reply_t *reply, void *arg)
{
    store_t *self = arg;
    char user[64];
    if (!reply)
        return;
    snprintf (user, sizeof user, "us-wake-%s", self->cluster);
    if (usi_reply_is (reply, USI_REPLY_ERROR))
        usi_notice (
            "store.no_wake_user",
            "nodes cannot subscribe themselves; their broker relays text=\"%s\"",
            (const char *) usi_reply_bytes (reply).data);
    s_set_wake_url (self, usi_reply_is (reply, USI_REPLY_ERROR) ? NULL : user);
    s_ready (self);
}

static void s_on_wake_password (const usi_reply_t *reply, void *arg)
{
    store_t *self = arg;
    char user[64], secret[80], topics[64];
    if (s_failed (self, reply, "wake user"))
        return;
    snprintf (self->wake_password, sizeof self->wake_password, "%s",
              (const char *) usi_reply_bytes (reply).data);
    snprintf (user, sizeof user, "us-wake-%s", self->cluster);
    snprintf (secret, sizeof secret, ">%s", self->wake_password);
    snprintf (topics, sizeof topics, "&us:%s:n:*", self->cluster);
    command_text (self, s_on_acl, self, "ACL", "SETUSER", user, "reset", "on", secret,
                  topics, "+subscribe", "+unsubscribe", "+echo", NULL);
}

static void s_wake_user (store_t *self)
{
    uint8_t random[16];
    char password[2 * sizeof random + 1];
    if (self->wake_given) {
        s_ready (self);
        return;
    }
    usi_put_be (random, usi_random64 (), 8);
    usi_put_be (random + 8, usi_random64 (), 8);
    usi_hex (random, sizeof random, password);
    command_text (self, NULL, NULL, "SET", "us:wake-user", password, "NX", NULL);
    command_text (self, s_on_wake_password, self, "GET", "us:wake-user", NULL);
}

/* --- the function library --------------------------------------------------------- */

static void s_on_loaded (const usi_reply_t *reply, void *arg)
{
    store_t *self = arg;
    bool again = self->loading_library;
    self->loading_library = false;
    if (s_failed (self, reply, "function library"))
        return;
    if (!again) {
        s_wake_user (self);
        return;
    }
    self->ready = true;
    batch_wake (self);
}

static void s_load (store_t *self)
{
    usi_buf_t source = {0};
    usi_bytes_t args[4];
    store_library_load (&source, args);
    command_send (self, args, 4, s_on_loaded, self);
    usi_buf_free (&source);
}

void setup_load_library (store_t *self)
{
    if (self->loading_library || !self->ready)
        return;
    usi_notice ("store.library", "the function library is gone; loading it again");
    self->loading_library = true;
    self->ready = false;
    s_load (self);
}

static void s_on_library (const usi_reply_t *reply, void *arg)
{
    store_t *self = arg;
    if (s_failed (self, reply, "function list"))
        return;
    if (usi_reply_count (reply) > 0)
        s_wake_user (self);
    else
        s_load (self);
}

/* --- the cluster and the clock ----------------------------------------------------------------- */

static void s_on_time (const usi_reply_t *reply, void *arg)
{
    store_t *self = arg;
    if (s_failed (self, reply, "time"))
        return;
    int64_t time_ms = usi_reply_time_ms (reply);
    /* The next round finds out whether the clock has stepped meanwhile. */
    if (!self->clock_known) {
        self->clock_offset_ms = time_ms - usi_now_ms ();
        for (unsigned i = 0; i < PARTITIONS; i++)
            self->partitions[i].clock_offset_ms = self->clock_offset_ms;
    }
    self->clock_known = true;
    command_text (self, s_on_library, self, "FUNCTION", "LIST", "LIBRARYNAME",
                  self->library, NULL);
}

static void s_on_cluster (const usi_reply_t *reply, void *arg)
{
    store_t *self = arg;
    if (s_failed (self, reply, "cluster id"))
        return;
    const char *cluster = (const char *) usi_reply_bytes (reply).data;
    if (*self->cluster && strcmp (self->cluster, cluster) != 0)
        usi_error ("store.replaced",
                   "this Redis is another one, or was emptied was=%s now=%s",
                   self->cluster, cluster);
    bool changed = strcmp (self->cluster, cluster) != 0;
    snprintf (self->cluster, sizeof self->cluster, "%s", cluster);
    if (changed)
        topics_start (self);
    command_text (self, s_on_time, self, "TIME", NULL);
}

static void s_cluster (store_t *self)
{
    char fresh[17];
    snprintf (fresh, sizeof fresh, "%016llx", (unsigned long long) usi_random64 ());
    command_text (self, NULL, NULL, "SET", "us:cluster", fresh, "NX", NULL);
    command_text (self, s_on_cluster, self, "GET", "us:cluster", NULL);
}

static void s_judge (store_t *self)
{
    char *where = usi_redis_url_shown (&self->url);
    char *fatal = health_fatal (&self->health, where);
    if (fatal) {
        usi_error ("store.unfit", "%s", fatal);
        usi_redis_drop (self->redis, fatal);
    } else if (self->health.loading) {
        usi_redis_drop (self->redis, "Redis is still loading its data");
    } else {
        if (*self->run_id && strcmp (self->run_id, self->health.run_id) != 0)
            usi_notice ("store.restarted", "Redis was restarted");
        memcpy (self->run_id, self->health.run_id, sizeof self->run_id);
        s_cluster (self);
    }
    free (fatal);
    free (where);
}

static void s_on_setting (const usi_reply_t *reply, void *arg)
{
    store_t *self = arg;
    check_take_setting (&self->health, reply);
}

static void s_on_last_setting (const usi_reply_t *reply, void *arg)
{
    store_t *self = arg;
    check_take_setting (&self->health, reply);
    if (reply)
        s_judge (self);
}

static void s_on_info (const usi_reply_t *reply, void *arg)
{
    store_t *self = arg;
    if (s_failed (self, reply, "info"))
        return;
    self->health = (health_t){0};
    health_info (&self->health, usi_reply_bytes (reply));
    for (unsigned i = 0; i < CHECK_SETTINGS; i++)
        command_text (self, i + 1 < CHECK_SETTINGS ? s_on_setting : s_on_last_setting,
                      self, "CONFIG", "GET", check_settings[i], NULL);
}

void setup_start (store_t *self)
{
    self->loading_library = false;
    command_text (self, s_on_info, self, "INFO", NULL);
}
