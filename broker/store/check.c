/* SPDX-License-Identifier: MIT
 *
 * See check.h. */
#include "store/check.h"

#include <stdlib.h>

#include "base/log.h"
#include "redis/ask.h"
#include "store/command.h"
#include "store/library.h"

const char *const check_settings[CHECK_SETTINGS] = {"maxmemory-policy", "appendonly",
                                                    "appendfsync"};

void check_take_setting (health_t *health, const usi_reply_t *reply)
{
    if (usi_reply_count (reply) >= 2)
        health_config (health,
                       (const char *) usi_reply_bytes (usi_reply_at (reply, 0)).data,
                       usi_reply_bytes (usi_reply_at (reply, 1)));
}

/* --- before the loop runs --------------------------------------------------------- */

static us_err_t s_look (usi_ask_t *ask, health_t *health)
{
    const usi_reply_t *reply = usi_ask (ask, "INFO", NULL);
    if (!usi_reply_is (reply, USI_REPLY_BYTES))
        return US_ERR_STORE;
    health_info (health, usi_reply_bytes (reply));
    for (unsigned i = 0; i < CHECK_SETTINGS; i++)
        check_take_setting (health,
                            usi_ask (ask, "CONFIG", "GET", check_settings[i], NULL));
    return US_OK;
}

/* NULL where the functions are there now; else why they cannot be loaded. */
static char *s_load (usi_ask_t *ask)
{
    usi_buf_t source = {0};
    usi_bytes_t args[4];
    store_library_load (&source, args);
    const usi_reply_t *reply = usi_ask_bytes (ask, args, 4);
    char *why = !reply ? usi_strdup ("no answer")
                : usi_reply_is (reply, USI_REPLY_ERROR)
                    ? usi_bytes_dup_text (usi_reply_bytes (reply))
                    : NULL;
    usi_buf_free (&source);
    return why;
}

/* A user that may not load functions needs somebody else to have done it. */
static char *s_wrong_functions (const store_t *self, usi_ask_t *ask, const char *where)
{
    const usi_reply_t *reply =
        usi_ask (ask, "FUNCTION", "LIST", "LIBRARYNAME", self->library, NULL);
    if (usi_reply_is (reply, USI_REPLY_ARRAY) && usi_reply_count (reply) > 0)
        return NULL;
    char *why = s_load (ask), *text = NULL;
    if (why && strncmp (why, "NOPERM", 6) == 0)
        text = usi_sprintf (
            "the functions of this version are not in Redis at %s, and its user may not"
            " load them (%s): an administrator of it does that with understudy-broker"
            " --load-functions --redis ADDRESS --redis-auth FILE",
            where, why);
    free (why); /* another reason shows again at the first use */
    return text;
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
            "Redis at %s refuses user or password (%s): give them in a file with"
            " --redis-auth",
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
    } else if ((*text = health_fatal (&health, where)) ||
               (*text = s_wrong_functions (self, ask, where))) {
        err = US_ERR_CONFIG;
    } else {
        s_warn (&health, self->durability);
        self->health = health;
    }
    usi_ask_close (&ask);
    free (where);
    return err;
}

us_err_t store_load_functions (const char *url, int64_t timeout_ms, char **text)
{
    usi_redis_url_t parsed;
    usi_ask_t *ask = NULL;
    char why[160] = "";
    us_err_t err = usi_redis_url_parse (&parsed, url, why, sizeof why);
    char *where = err ? NULL : usi_redis_url_shown (&parsed);
    if (!err)
        err = usi_ask_open (&ask, &parsed, timeout_ms, why, sizeof why);
    char *wrong = err ? NULL : s_load (ask);
    *text = err ? s_refused (where ? where : url, err, why)
            : wrong
                ? usi_sprintf ("the functions cannot be loaded into Redis at %s (%s): "
                               "give an administrator of it with --redis-auth",
                               where, wrong)
                : NULL;
    if (wrong)
        err = US_ERR_STORE;
    free (wrong);
    usi_ask_close (&ask);
    usi_redis_url_free (&parsed);
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
