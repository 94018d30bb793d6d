/* SPDX-License-Identifier: MIT
 *
 * understudy-broker: reads the settings, starts the parts in order, and says in one line
 * what is wrong. Stands on server.h and private_redis.h. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#ifdef US_HAVE_SYSTEMD
#    include <systemd/sd-daemon.h>
#endif

#include "auth/trust.h"
#include "base/config.h"
#include "base/id.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/place.h"
#include "proto/limits.h"
#include "redis/url.h"
#include "server.h"
#include "store/store.h"

#define LOAD_WAIT_MS     5000
#define DESCRIPTORS_MOST ((rlim_t) 1 << 16)

static const char s_doc[] =
    "Takes jobs from clients, keeps them in Redis and gives them to nodes.\v"
    "Examples:\n"
    "  understudy-broker\n"
    "      serves this user on this machine, with a Redis of its own\n"
    "  understudy-broker --bind tcp://0.0.0.0:7420\n"
    "      serves other hosts too: whoever has a key (understudy-ctl keygen)\n"
    "  understudy-broker --redis redis://10.0.0.5\n"
    "      keeps the jobs in that Redis, which it may share with other brokers\n\n"
    "Without --redis the broker starts a redis-server (or valkey-server) of its own in"
    " the data directory and stops it when it ends: nothing else is needed on one"
    " machine.\n"
    "\n" USI_SETTINGS_DOC
    "SIGTERM finishes what is under way; a second one ends at once.\n\n"
    "Exit codes:\n"
    "  0   ended as asked\n"
    "  64  the command line is wrong\n"
    "  69  Redis cannot be reached or does not suit\n"
    "  71  the address is in use, or the system refuses\n"
    "  73  the data directory cannot be written or is in use\n"
    "  78  a setting is wrong\n";

static const usi_setting_t s_settings[] = {
    {"bind", 'b', "ENDPOINT", NULL,
     "listen here: ipc://PATH (path * is a free one of this user) or tcp://HOST:PORT"
     " (port * is a free one); may be repeated. Beside tcp, and without it, a unix "
     "socket in"
     " /run/user/UID/understudy or the state directory, which serves this user alone",
     true},
    {"key", 0x10b, "FILE", NULL,
     "the key of this broker (understudy-ctl keygen), for tcp; default: the only "
     "broker's"
     " key in ~/.config/understudy; none: without keys",
     false},
    {"cluster", 0x10c, "FILE", NULL,
     "the public file of the cluster; default ~/.config/understudy/cluster.pub", false},
    {"redis", 'r', "URL", NULL,
     "use this Redis: redis://host[:port][/db] or unix:///path[?db=N]; with user and"
     " password only in UNDERSTUDY_REDIS or understudy.conf",
     false},
    {"redis-auth", 0x10e, "FILE", NULL,
     "user:password of that Redis, on the first line of a file that nobody else may "
     "read;"
     " /dev/fd/N for a descriptor. A second line names the user that nodes subscribe "
     "with"
     " (understudy-ctl keygen redis writes such files)",
     false},
    {"load-functions", 0x10f, NULL, NULL,
     "load the functions of this version into that Redis, and end: where the user of "
     "brokers"
     " may not, as an administrator of it, once for each version",
     false},
    {"data", 'd', "DIR", NULL,
     "data of the private Redis; default $XDG_STATE_HOME/understudy or"
     " ~/.local/state/understudy; only its user may enter it (mode 0700)",
     false},
    {"durability", 0x100, "MODE", "always",
     "always: on disk before a job is accepted; everysec: a second may be lost; memory:"
     " nothing is written",
     false},
    {"lease", 0x101, "TIME", "15s", "a node that is silent for so long loses its jobs",
     false},
    {"keep", 0x102, "TIME", "24h", "ended jobs stay so long, with results and logs",
     false},
    {"keep-jobs", 0x103, "N", "100000", "so many ended jobs stay in a channel", false},
    {"max-payload", 0x104, "SIZE", "64M",
     "largest body of a job or result, without its large buffers", false},
    {"max-buffer", 0x109, "SIZE", "1G",
     "largest buffer (an array, a table, bytes) in arguments or a result; at most half "
     "of"
     " the memory that Redis may have",
     false},
    {"max-buffers", 0x10a, "SIZE", "4G", "all buffers of one job, or result, together",
     false},
    {"exit-when-idle", 0x105, "TIME", NULL,
     "end when no node was connected for so long", false},
    {"reachable", 0x10d, NULL, NULL,
     "listen also on a free port of every interface, where there is a key; without one "
     "say"
     " why not",
     false},
    {"insecure", 0x106, NULL, NULL,
     "serve whoever can connect by tcp, without keys: anybody there can run code as the"
     " nodes' users, on this machine too",
     false},
    {"ready-fd", 0x107, "FD", NULL,
     "write the addresses and a newline to this descriptor", false},
    {"log-level", 0x108, "LEVEL", "info", "error, warning, notice, info or debug",
     false},
    {NULL, 0, NULL, NULL, NULL, false},
};

typedef struct app {
    usi_config_t *config;
    server_options_t options;
    private_redis_t *redis;
    server_t *server;
    usi_identity_t *identity; /* NULL: without keys */
    char *no_key;             /* then why, in words; NULL: nothing to say */
    char *state_dir;
    char *redis_url; /* with its password */
    char *nodes_url; /* the same for nodes; NULL: none was given */
    int ready_fd;    /* -1: nobody waits */
    char *text;      /* what is wrong */
} app_t;

/* Consumes the text. */
static int s_wrong (app_t *self, char *text)
{
    self->text = text;
    return EXIT_CONFIG;
}

/* --- settings ------------------------------------------------------------------------- */

static int s_read_sizes (app_t *self)
{
    static const uint64_t most = (uint64_t) 1 << 36; /* so many chunks can be counted */
    const struct {
        const char *name;
        uint64_t *size;
    } sizes[] = {{"max-payload", &self->options.max_payload},
                 {"max-buffer", &self->options.max_buffer},
                 {"max-buffers", &self->options.max_buffers}};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        if (usi_config_bytes (self->config, sizes[i].name, sizes[i].size))
            return s_wrong (self, usi_sprintf ("%s", usi_config_error (self->config)));
        if (*sizes[i].size < USI_MAX_BODY || *sizes[i].size > most)
            return s_wrong (self,
                            usi_sprintf ("%s is %s, but must be from 256K to 64G",
                                         sizes[i].name,
                                         usi_config_get (self->config, sizes[i].name)));
    }
    return 0;
}

static int s_read_numbers (app_t *self)
{
    usi_config_t *config = self->config;
    server_options_t *options = &self->options;
    uint64_t keep_jobs = 0;
    us_err_t err = usi_config_ms (config, "lease", &options->lease_ms);
    if (!err)
        err = usi_config_ms (config, "keep", &options->keep_ms);
    if (!err)
        err = usi_config_uint (config, "keep-jobs", UINT32_MAX, &keep_jobs);
    options->exit_when_idle_ms = -1;
    if (!err && usi_config_get (config, "exit-when-idle"))
        err = usi_config_ms (config, "exit-when-idle", &options->exit_when_idle_ms);
    options->keep_jobs = (int64_t) keep_jobs;
    if (err)
        return s_wrong (self, usi_sprintf ("%s", usi_config_error (config)));
    if (options->lease_ms < 1000 || options->lease_ms > 3600 * 1000)
        return s_wrong (self, usi_sprintf ("lease is %s, but must be from 1s to 1h",
                                           usi_config_get (config, "lease")));
    return s_read_sizes (self);
}

static int s_read_redis (app_t *self)
{
    char why[512];
    const char *given = usi_config_get (self->config, "redis");
    const char *auth = usi_config_get (self->config, "redis-auth");
    if (!given && auth)
        return s_wrong (self,
                        usi_sprintf ("redis-auth is for a Redis that is named: give"
                                     " redis, too"));
    if (!given)
        return 0;
    self->redis_url =
        usi_redis_url_complete (given, auth, usi_config_is_flag (self->config, "redis"),
                                &self->nodes_url, why, sizeof why);
    self->options.redis_url = self->redis_url;
    self->options.nodes_url = self->nodes_url;
    return self->redis_url ? 0 : s_wrong (self, usi_strdup (why));
}

static int s_read_words (app_t *self)
{
    const char *durability = usi_config_get (self->config, "durability");
    const char *level = usi_config_get (self->config, "log-level");
    if (strcmp (durability, "always") != 0 && strcmp (durability, "everysec") != 0 &&
        strcmp (durability, "memory") != 0)
        return s_wrong (
            self,
            usi_sprintf ("durability is %s, but must be always, everysec or memory",
                         durability));
    if (usi_log_level_parse (level) < 0)
        return s_wrong (
            self,
            usi_sprintf ("log-level is %s, but must be error, warning, notice, info or"
                         " debug",
                         level));
    usi_log_set_level ((us_log_level_t) usi_log_level_parse (level));
    self->options.durability = durability;
    return s_read_redis (self);
}

static int s_check_endpoints (app_t *self)
{
    bool insecure = usi_config_switch (self->config, "insecure");
    size_t count = usi_config_count (self->config, "bind");
    if (count > ENDPOINTS_MAX)
        return s_wrong (self, usi_sprintf ("%s", "bind takes at most 16 addresses"));
    for (size_t i = 0; i < count; i++) {
        const char *endpoint = usi_config_item (self->config, "bind", i);
        if (!endpoint_is_valid (endpoint))
            return s_wrong (
                self,
                usi_sprintf ("bind is %s, but must be tcp://HOST:PORT or ipc://PATH",
                             endpoint));
        if (!self->identity && !insecure && !endpoint_is_unix (endpoint))
            return s_wrong (
                self,
                usi_sprintf ("bind is %s, and %s; without keys whoever can connect can"
                             " run code, from this machine too: only --insecure allows"
                             " that",
                             endpoint,
                             self->no_key ? self->no_key : "keys are turned off"));
    }
    return 0;
}

static int s_read_keys (app_t *self)
{
    usi_config_t *config = self->config;
    char *wrong =
        usi_trust_find (&self->identity, &self->no_key, usi_config_get (config, "key"),
                        usi_config_get (config, "cluster"), USI_ROLE_BROKER);
    if (wrong)
        return s_wrong (self, wrong);
    if (self->identity && usi_config_switch (config, "insecure"))
        return s_wrong (self,
                        usi_sprintf ("%s",
                                     "there is a key, and insecure asks for none:"
                                     " give --key none with it, or leave it out"));
    return 0;
}

/* Where what is kept of keys stands: with the jobs. */
static int s_find_state (app_t *self)
{
    const char *given = usi_config_get (self->config, "data");
    self->state_dir = given ? usi_strdup (given) : usi_place_state ();
    if ((self->identity || usi_config_switch (self->config, "insecure")) &&
        !self->state_dir)
        return s_wrong (self,
                        usi_sprintf ("%s", "no place for what is kept of keys: HOME"
                                           " is not set; give --data"));
    self->options.state_dir = self->state_dir;
    return 0;
}

/* The private Redis must not inherit the descriptor: who reads from it would wait until
 * Redis has ended too. */
static int s_take_ready_fd (app_t *self)
{
    uint64_t fd = 0;
    self->ready_fd = -1;
    if (!usi_config_get (self->config, "ready-fd"))
        return 0;
    if (usi_config_uint (self->config, "ready-fd", INT32_MAX, &fd))
        return s_wrong (self, usi_sprintf ("%s", usi_config_error (self->config)));
    if (fcntl ((int) fd, F_SETFD, FD_CLOEXEC) < 0)
        return s_wrong (self,
                        usi_sprintf ("ready-fd is %d, which is not open", (int) fd));
    self->ready_fd = (int) fd;
    return 0;
}

static int s_configure (app_t *self, int argc, char **argv)
{
    self->config = usi_config_new ("broker", s_settings);
    if (usi_config_parse (self->config, argc, argv, NULL, s_doc, NULL))
        return s_wrong (self, usi_sprintf ("%s", usi_config_error (self->config)));
    int rc = s_read_numbers (self);
    if (rc == 0)
        rc = s_read_words (self);
    if (rc == 0)
        rc = s_read_keys (self);
    if (rc == 0)
        rc = s_check_endpoints (self);
    if (rc == 0)
        rc = s_find_state (self);
    return rc ? rc : s_take_ready_fd (self);
}

/* --- starting ------------------------------------------------------------------------- */

/* Blocks signals, which the loop reads from a descriptor. Threads of libzmq inherit the
 * mask. */
static void s_take_signals (void)
{
    sigset_t set;
    sigemptyset (&set);
    sigaddset (&set, SIGTERM);
    sigaddset (&set, SIGINT);
    sigaddset (&set, SIGCHLD);
    sigprocmask (SIG_BLOCK, &set, NULL);
    signal (SIGPIPE, SIG_IGN);
    setenv ("ZSYS_SIGHANDLER", "false", 1);
    zsys_init ();
    zsys_handler_set (NULL);
}

/* The URL without its password; the caller frees it. */
static char *s_shown_url (const char *text)
{
    usi_redis_url_t url;
    us_err_t err = usi_redis_url_parse (&url, text, NULL, 0);
    char *shown = err ? usi_strdup ("?") : usi_redis_url_shown (&url);
    usi_redis_url_free (&url);
    return shown;
}

static void s_tell_ready_fd (app_t *self, const char *endpoints)
{
    if (self->ready_fd < 0)
        return;
    if (dprintf (self->ready_fd, "%s\n", endpoints) < 0)
        usi_warning ("broker.ready-fd", "cannot write to the descriptor of ready-fd");
    close (self->ready_fd);
    self->ready_fd = -1;
}

/* Loud, for whoever looks at the log later. */
static void s_warn (const app_t *self)
{
    bool is_open = false;
    for (size_t i = 0; i < usi_config_count (self->config, "bind"); i++)
        is_open |= !endpoint_is_unix (usi_config_item (self->config, "bind", i));
    if (is_open && !self->identity)
        usi_warning (
            "broker.insecure",
            "INSECURE: whoever can connect to this broker can run code as the"
            " users of its nodes, and read all jobs; see understudy-ctl keygen");
}

static void s_tell_ready (server_t *server, void *arg)
{
    app_t *self = arg;
    char *endpoints = endpoints_join (server_endpoints (server), ",");
    char *redis = s_shown_url (self->options.redis_url);
    usi_info ("broker.ready",
              "listening endpoint=%s redis=%s durability=%s broker=%08x", endpoints,
              redis, server_durability (server), server_id (server));
    s_tell_ready_fd (self, endpoints);
#ifdef US_HAVE_SYSTEMD
    sd_notifyf (0, "READY=1\nSTATUS=listening on %s", endpoints);
#endif
    s_warn (self);
    free (endpoints);
    free (redis);
}

/* The place of this user's sockets. name: of the socket, NULL: one of its own. */
static int s_bind_own (app_t *self, const char *name)
{
    char *folder = usi_place_sockets ();
    US_ASSERT (folder);
    char *endpoint =
        name ? usi_sprintf ("ipc://%s/%s", folder, name)
             : usi_sprintf ("ipc://%s/broker-%08x.sock", folder, usi_random32 ());
    int rc = server_bind (self->server, endpoint, &self->text);
    free (endpoint);
    free (folder);
    return rc;
}

/* The user of this broker finds it at the usual place also where others meet it by tcp.
 * Another broker may be there already; then that one is found. */
static int s_bind_own_too (app_t *self)
{
    bool is_elsewhere = false;
    for (size_t i = 0; i < usi_config_count (self->config, "bind"); i++)
        is_elsewhere |= !endpoint_is_unix (usi_config_item (self->config, "bind", i));
    if (!is_elsewhere || s_bind_own (self, "broker.sock") == 0)
        return 0;
    usi_notice ("broker.own-socket", "%s", self->text);
    free (self->text);
    self->text = NULL;
    return 0;
}

/* For a broker that start() brings up beside a Redis of several hosts. */
static int s_bind_reachable (app_t *self)
{
    if (self->identity)
        return server_bind (self->server, "tcp://0.0.0.0:*", &self->text);
    usi_warning ("broker.unreachable",
                 "only this user on this machine finds this broker: %s; with keys other"
                 " machines would",
                 self->no_key ? self->no_key : "keys are turned off");
    return 0;
}

static int s_bind_all (app_t *self)
{
    size_t count = usi_config_count (self->config, "bind");
    int rc = count == 0 ? s_bind_own (self, "broker.sock") : 0;
    for (size_t i = 0; rc == 0 && i < count; i++) {
        const char *endpoint = usi_config_item (self->config, "bind", i);
        rc = strcmp (endpoint, "ipc://*") == 0
                 ? s_bind_own (self, NULL)
                 : server_bind (self->server, endpoint, &self->text);
    }
    if (rc == 0 && usi_config_switch (self->config, "reachable"))
        rc = s_bind_reachable (self);
    return rc ? rc : s_bind_own_too (self);
}

/* Each peer takes a descriptor: the usual 1,024 are for programs that use select(), which
 * nothing here does. */
static void s_raise_descriptors (void)
{
    struct rlimit limit;
    if (getrlimit (RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= DESCRIPTORS_MOST)
        return;
    limit.rlim_cur =
        limit.rlim_max < DESCRIPTORS_MOST ? limit.rlim_max : DESCRIPTORS_MOST;
    if (setrlimit (RLIMIT_NOFILE, &limit) != 0)
        usi_warning ("broker.descriptors",
                     "the limit of descriptors stays as it is: %s", strerror (errno));
}

static int s_start_redis (app_t *self)
{
    if (!self->state_dir)
        return s_wrong (self,
                        usi_sprintf ("%s", "no place for the jobs: HOME is not set"
                                           " and this user has no home; give"
                                           " --data"));
    int rc = private_redis_start (&self->redis, self->state_dir,
                                  self->options.durability, &self->text);
    if (rc == 0)
        self->options.redis_url = private_redis_url (self->redis);
    if (rc == 0)
        self->options.nodes_url = private_redis_nodes_url (self->redis);
    return rc;
}

/* For --load-functions: the whole run. */
static int s_load_functions (app_t *self)
{
    if (!self->redis_url)
        return s_wrong (self, usi_sprintf ("load-functions is for a Redis that is"
                                           " named: give redis, too"));
    if (store_load_functions (self->redis_url, LOAD_WAIT_MS, &self->text))
        return EXIT_REDIS;
    char *redis = s_shown_url (self->redis_url);
    usi_info ("broker.loaded", "the functions of this version are in Redis at %s",
              redis);
    free (redis);
    return 0;
}

static int s_start (app_t *self)
{
    self->server =
        server_new (self->identity, usi_config_switch (self->config, "insecure"));
    self->options.ready = s_tell_ready;
    self->options.arg = self;
    int rc = s_bind_all (self);
    if (rc == 0 && !self->options.redis_url)
        rc = s_start_redis (self);
    if (rc)
        return rc;
    rc = server_open (self->server, &self->options, self->redis, &self->text);
    if (rc && self->redis)
        private_redis_explain (self->redis, &self->text);
    return rc;
}

static void s_run (app_t *self)
{
    server_run (self->server);
#ifdef US_HAVE_SYSTEMD
    sd_notify (0, "STOPPING=1");
#endif
    usi_info ("broker.ended", "bye broker=%08x", server_id (self->server));
}

int main (int argc, char **argv)
{
    app_t self = {0};
    int rc = s_configure (&self, argc, argv);
    bool only_load = rc == 0 && usi_config_switch (self.config, "load-functions");
    if (only_load) {
        rc = s_load_functions (&self);
    } else if (rc == 0) {
        s_take_signals ();
        s_raise_descriptors ();
        rc = s_start (&self);
    }
    if (rc == 0 && !only_load)
        s_run (&self);
    if (rc)
        usi_error ("broker.failed", "%s", self.text ? self.text : "cannot start");
    server_destroy (&self.server);
    private_redis_destroy (&self.redis);
    usi_config_destroy (&self.config);
    usi_identity_free (&self.identity);
    free (self.no_key);
    free (self.state_dir);
    free (self.redis_url);
    free (self.nodes_url);
    free (self.text);
    zsys_shutdown ();
    return rc;
}
