/* SPDX-License-Identifier: MIT
 *
 * See setup.h. The steps are taken one after the other: look at the server, read the
 * cluster id, load the function library, make the user that may only subscribe. Where a
 * step fails the connection is given up, and the next one begins with the first step. */
#include "store/setup.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "redis/ask.h"
#include "store/batch.h"
#include "store/claim_recovery.h"
#include "store/command.h"
#include "store/library.h"
#include "store/topics.h"

static const char *const s_settings[] = {"maxmemory-policy", "appendonly",
                                         "appendfsync"};
#define SETTINGS (sizeof s_settings / sizeof *s_settings)

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
    usi_redis_url_t url = self->url;
    url.user = (char *) user;
    url.password = self->wake_password;
    url.db = 0; /* topics belong to no database, and this user may not select one */
    self->wake_url = usi_redis_url_text (&url);
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
    store_library_source (&source);
    usi_bytes_t args[] = {text_of ("FUNCTION"), text_of ("LOAD"), text_of ("REPLACE"),
                          usi_buf_bytes (&source)};
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

/* A user without CONFIG gives an error here, which leaves the field empty. */
static void s_take_setting (health_t *health, const char *name,
                            const usi_reply_t *reply)
{
    if (usi_reply_count (reply) >= 2)
        health_config (health, name, usi_reply_bytes (usi_reply_at (reply, 1)));
}

static void s_on_policy (const usi_reply_t *reply, void *arg)
{
    s_take_setting (&((store_t *) arg)->health, s_settings[0], reply);
}

static void s_on_appendonly (const usi_reply_t *reply, void *arg)
{
    s_take_setting (&((store_t *) arg)->health, s_settings[1], reply);
}

static void s_on_appendfsync (const usi_reply_t *reply, void *arg)
{
    store_t *self = arg;
    s_take_setting (&self->health, s_settings[2], reply);
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
    command_text (self, s_on_policy, self, "CONFIG", "GET", s_settings[0], NULL);
    command_text (self, s_on_appendonly, self, "CONFIG", "GET", s_settings[1], NULL);
    command_text (self, s_on_appendfsync, self, "CONFIG", "GET", s_settings[2], NULL);
}

void setup_start (store_t *self)
{
    self->loading_library = false;
    command_text (self, s_on_info, self, "INFO", NULL);
}

/* --- before the loop runs --------------------------------------------------------- */

static us_err_t s_look (usi_ask_t *ask, health_t *health)
{
    const usi_reply_t *reply = usi_ask (ask, "INFO", NULL);
    if (!usi_reply_is (reply, USI_REPLY_BYTES))
        return US_ERR_STORE;
    health_info (health, usi_reply_bytes (reply));
    for (size_t i = 0; i < SETTINGS; i++)
        s_take_setting (health, s_settings[i],
                        usi_ask (ask, "CONFIG", "GET", s_settings[i], NULL));
    return US_OK;
}

static char *s_refused (const char *where, us_err_t err, const char *why)
{
    if (err != US_ERR_CONFIG)
        return usi_sprintf ("no Redis answers at %s (%s): start it, or give another "
                            "address with --redis",
                            where, why);
    if (strncmp (why, "WRONGPASS", 9) == 0 || strncmp (why, "NOAUTH", 6) == 0 ||
        strstr (why, "AUTH"))
        return usi_sprintf (
            "Redis at %s refuses user or password (%s): put them into the "
            "address, redis://user:password@host",
            where, why);
    return usi_sprintf ("Redis at %s refuses us (%s)", where, why);
}

static void s_warn (const health_t *health, const char *wanted)
{
    char *setting, *verdict;
    bool weak;
    for (unsigned i = 0; health_finding (health, wanted, i, &setting, &verdict, &weak);
         i++) {
        if (weak)
            usi_warning ("store.weak", "%s: %s", setting, verdict);
        free (setting);
        free (verdict);
    }
}

us_err_t store_check (store_t *self, int64_t timeout_ms, char **text)
{
    usi_ask_t *ask = NULL;
    health_t health = {0};
    char why[160] = "";
    char *where = usi_redis_url_shown (&self->url);
    *text = NULL;
    us_err_t err = usi_ask_open (&ask, &self->url, timeout_ms, why, sizeof why);
    if (!err && (err = s_look (ask, &health)) != US_OK) {
        const usi_reply_t *reply = usi_ask (ask, "PING", NULL);
        bool refused = usi_reply_is (reply, USI_REPLY_ERROR);
        snprintf (why, sizeof why, "%s",
                  refused ? (const char *) usi_reply_bytes (reply).data : "no answer");
        err = refused ? US_ERR_CONFIG : US_ERR_UNREACHABLE;
    }
    if (err) {
        *text = s_refused (where, err, why);
    } else if ((*text = health_fatal (&health, where))) {
        err = US_ERR_CONFIG;
    } else {
        s_warn (&health, self->durability);
        self->health = health;
    }
    usi_ask_close (&ask);
    free (where);
    return err;
}

/* --- doctor ----------------------------------------------------------------------- */

typedef struct doctor {
    store_t *self;
    store_doctor_fn *fn;
    void *arg;
} doctor_t;

#define MAX_FINDINGS 16

static void s_on_doctor (const usi_reply_t *reply, void *arg)
{
    doctor_t *doctor = arg;
    store_t *self = doctor->self;
    char *texts[MAX_FINDINGS] = {NULL};
    size_t count = 0;
    us_err_t err = usi_reply_is (reply, USI_REPLY_BYTES) ? US_OK : US_ERR_STORE;
    bool weak;
    health_t health = self->health; /* the settings as of the last connect */
    if (!err)
        health_info (&health, usi_reply_bytes (reply));
    for (unsigned i = 0;
         !err && health_finding (&health, self->durability, i, &texts[count],
                                 &texts[count + 1], &weak);
         i++) {
        if (weak) {
            char *text = usi_sprintf ("weak: %s", texts[count + 1]);
            free (texts[count + 1]);
            texts[count + 1] = text;
        }
        count += 2;
    }
    if (!err) {
        texts[count++] = usi_strdup ("wake-ups");
        texts[count++] = usi_strdup (*self->wake_url ? "nodes may subscribe"
                                                     : "relayed by the brokers");
    }
    doctor->fn (err, (const char *const *) texts, count, doctor->arg);
    for (size_t i = 0; i < count; i++)
        free (texts[i]);
    free (doctor);
}

void store_doctor (store_t *self, store_doctor_fn *fn, void *arg)
{
    doctor_t *doctor = usi_new (doctor_t);
    *doctor = (doctor_t){.self = self, .fn = fn, .arg = arg};
    command_text (self, s_on_doctor, doctor, "INFO", NULL);
}
