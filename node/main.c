/* SPDX-License-Identifier: MIT
 *
 * understudy-node: settings, what has to be right before anything starts, and the
 * loop. */
#include <czmq.h>

#include <errno.h>
#include <limits.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/config.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/place.h"
#include "daemon.h"
#include "host/process.h"
#include "redis/url.h"
#include "understudy/version.h"

#define SLOTS_MAX  4096
#define LIST_MAX   64
#define PYTHON_MAX 16

static const usi_setting_t s_settings[] = {
    {"broker", 'b', "ENDPOINT", NULL,
     "brokers to connect to, one at a time; may be repeated. Without it: the unix"
     " socket of this user's broker on this machine",
     true},
    {"redis", 'r', "URL", NULL,
     "find brokers in the registry of this Redis, instead of --broker; a password only "
     "in"
     " UNDERSTUDY_REDIS or understudy.conf",
     false},
    {"redis-auth", 0x113, "FILE", NULL,
     "user:password of that Redis, on the first line of a file that nobody else may "
     "read;"
     " /dev/fd/N for a descriptor",
     false},
    {"key", 0x110, "FILE", NULL,
     "the key of this node (understudy-ctl keygen), for brokers on TCP; default: the "
     "only"
     " node's key in ~/.config/understudy; none: without keys",
     false},
    {"cluster", 0x111, "FILE", NULL,
     "the public file of the cluster; default ~/.config/understudy/cluster.pub", false},
    {"channel", 'c', "NAME", USI_DEFAULT_CHANNEL,
     "listen on this channel; may be repeated", true},
    {"slots", 's', "N", NULL, "jobs that run at the same time (default: the cores)",
     false},
    {"python", 'p', "PATH", NULL,
     "offer this interpreter; may be repeated (default: the system's python3)", true},
    {"cache", 'C', "DIR", NULL,
     "environments, bundles and blobs (default: $XDG_CACHE_HOME/understudy)", false},
    {"cache-limit", 'L', "SIZE", "10G", "how much the cache may hold", false},
    {"env-limit", 0x112, "SIZE", "8G",
     "how much one environment may take: what is larger is not built", false},
    {"idle-memory", 'm', "SIZE", NULL,
     "how much memory workers without a job may keep (default: a quarter of the "
     "machine's; 0 keeps none)",
     false},
    {"name", 'n', "NAME", NULL, "what people call this node (default: host-pid)",
     false},
    {"index-url", 'i', "URL", NULL,
     "take packages from this index only (default: what the machine is configured for)",
     false},
    {"directory", 'd', "DIR", NULL,
     "run jobs in this folder (default: a scratch directory of each worker)", false},
    {"grace", 'g', "TIME", "5s", "how long running jobs go on when the node has to end",
     false},
    {"parent-pid", 256, "PID", NULL, "end when this process ends", false},
    {"runtime", 257, "DIR", NULL,
     "folder with the Python package understudy, which workers load (default: the "
     "installed one)",
     false},
    {"ready-fd", 258, "FD", NULL, "write \"ready\" to this descriptor once connected",
     false},
    {"log-level", 'l', "LEVEL", "info", "error, warning, notice, info or debug", false},
    {0}};

static const char s_doc[] =
    "Runs jobs of Understudy: connects to a broker, takes jobs of its channels, runs "
    "them in Python workers with the packages they ask for, and sends back logs and "
    "results.\v"
    "Examples:\n"
    "  understudy-node\n"
    "      listens on the channel \"default\" of the broker on this machine\n"
    "  understudy-node --broker tcp://10.0.0.1:7420 --channel gpu --slots 2\n"
    "      two jobs at a time of the channel \"gpu\"\n"
    "  understudy-node --python /usr/bin/python3 --python /opt/py312/bin/python3\n"
    "      offers two Pythons; jobs say which one they need\n"
    "\n" USI_SETTINGS_DOC
    "SIGTERM and SIGINT: takes no more jobs, gives running ones --grace, hands back "
    "the rest; a second signal ends at once.\n\n"
    "Exit codes:\n"
    "  0   ended as asked\n"
    "  64  the command line is wrong\n"
    "  69  there is no Python to run jobs with\n"
    "  71  the system refuses\n"
    "  73  the cache cannot be written\n"
    "  78  a setting is wrong\n";

typedef struct setup {
    usi_config_t *config;
    node_options_t options;
    const char *brokers[LIST_MAX], *channels[LIST_MAX];
    python_t pythons[PYTHON_MAX];
    char *cache, *name, *runtime, *directory, *own_broker, *redis;
    usi_identity_t *identity;
    char *no_key;
    pid_t parent;
} setup_t;

static int s_refuse (int code, const char *text)
{
    usi_error ("start", "%s", text);
    return code;
}

static int s_bad_setting (const setup_t *self)
{
    return s_refuse (EX_CONFIG, usi_config_error (self->config));
}

/* --- single settings -------------------------------------------------------------- */

static int s_read_lists (setup_t *self)
{
    node_options_t *options = &self->options;
    options->brokers = self->brokers;
    options->channels = self->channels;
    options->brokers_len = usi_config_count (self->config, "broker");
    options->channels_len = usi_config_count (self->config, "channel");
    if (options->brokers_len > LIST_MAX || options->channels_len > LIST_MAX)
        return s_refuse (EX_CONFIG, "more than 64 brokers or channels");
    for (size_t i = 0; i < options->brokers_len; i++) {
        self->brokers[i] = usi_config_item (self->config, "broker", i);
        if (strncmp (self->brokers[i], "tcp://", 6) != 0 &&
            strncmp (self->brokers[i], "ipc://", 6) != 0) {
            usi_error ("start",
                       "broker is %s, but must be tcp://HOST:PORT or ipc://PATH",
                       self->brokers[i]);
            return EX_CONFIG;
        }
    }
    if (options->brokers_len == 0) {
        self->own_broker = usi_place_endpoint ();
        self->brokers[options->brokers_len++] = self->own_broker;
    }
    for (size_t i = 0; i < options->channels_len; i++) {
        self->channels[i] = usi_config_item (self->config, "channel", i);
        if (!usi_channel_valid (usi_bytes_of (self->channels[i]))) {
            usi_error ("start",
                       "channel is %s, but must be 1 to 128 letters, digits, '.', '_' "
                       "or '-', beginning with a letter or digit",
                       self->channels[i]);
            return EX_CONFIG;
        }
    }
    return 0;
}

static unsigned s_cores (void)
{
    cpu_set_t set;
    int count = sched_getaffinity (0, sizeof set, &set) == 0 ? CPU_COUNT (&set) : 0;
    return count > 0 ? (unsigned) count : 1;
}

static int s_read_numbers (setup_t *self)
{
    uint64_t slots = s_cores (), parent = 0, ready_fd = 0;
    node_options_t *options = &self->options;
    usi_config_t *config = self->config;
    if ((usi_config_get (config, "slots") &&
         usi_config_uint (config, "slots", SLOTS_MAX, &slots) != US_OK) ||
        (usi_config_get (config, "parent-pid") &&
         usi_config_uint (config, "parent-pid", INT_MAX, &parent) != US_OK) ||
        (usi_config_get (config, "ready-fd") &&
         usi_config_uint (config, "ready-fd", INT_MAX, &ready_fd) != US_OK) ||
        usi_config_bytes (config, "cache-limit", &options->cache_limit) != US_OK ||
        usi_config_bytes (config, "env-limit", &options->env_limit) != US_OK ||
        (usi_config_get (config, "idle-memory") &&
         usi_config_bytes (config, "idle-memory", &options->idle_memory) != US_OK) ||
        usi_config_ms (config, "grace", &options->grace_ms) != US_OK)
        return s_bad_setting (self);
    if (slots == 0)
        return s_refuse (EX_CONFIG, "slots is 0, but must be at least 1");
    options->slots = (unsigned) slots;
    if (!usi_config_get (config, "idle-memory"))
        options->idle_memory = process_memory_limit () / 4;
    options->ready_fd = usi_config_get (config, "ready-fd") ? (int) ready_fd : -1;
    self->parent = (pid_t) parent;
    return 0;
}

static int s_read_texts (setup_t *self)
{
    usi_config_t *config = self->config;
    char host[256] = "node", why[512] = "";
    int level = usi_log_level_parse (usi_config_get (config, "log-level"));
    if (level < 0) {
        usi_error ("start",
                   "log-level is %s, but must be error, warning, notice, info or debug",
                   usi_config_get (config, "log-level"));
        return EX_CONFIG;
    }
    usi_log_set_level ((us_log_level_t) level);
    /* As in libunderstudy: an address that was given wins over a registry. */
    if (!usi_config_is_set (config, "broker") && usi_config_get (config, "redis")) {
        self->redis = usi_redis_url_complete (usi_config_get (config, "redis"),
                                              usi_config_get (config, "redis-auth"),
                                              usi_config_is_flag (config, "redis"),
                                              NULL, why, sizeof why);
        if (!self->redis) {
            usi_error ("start", "redis: %s", why);
            return EX_CONFIG;
        }
        self->options.redis = self->redis;
    }
    self->options.index_url = usi_config_get (config, "index-url");
    gethostname (host, sizeof host - 1);
    self->name = usi_config_get (config, "name")
                     ? usi_strdup (usi_config_get (config, "name"))
                     : usi_sprintf ("%.200s-%d", host, (int) getpid ());
    self->options.name = self->name;
    return 0;
}

static int s_read_keys (setup_t *self)
{
    char *wrong =
        usi_trust_find (&self->identity, &self->no_key,
                        usi_config_get (self->config, "key"),
                        usi_config_get (self->config, "cluster"), USI_ROLE_NODE);
    int code = wrong ? s_refuse (EX_CONFIG, wrong) : 0;
    free (wrong);
    self->options.identity = self->identity;
    self->options.no_key = self->no_key;
    return code;
}

/* --- files ------------------------------------------------------------------------ */

static int s_find_cache (setup_t *self)
{
    const char *given = usi_config_get (self->config, "cache");
    const char *xdg = getenv ("XDG_CACHE_HOME"), *home = getenv ("HOME");
    char *path;
    if (given)
        path = usi_strdup (given);
    else if (xdg && *xdg == '/')
        path = usi_sprintf ("%s/understudy", xdg);
    else if (home && *home == '/')
        path = usi_sprintf ("%s/.cache/understudy", home);
    else
        return s_refuse (EX_CONFIG,
                         "no place for the cache: HOME is not set; give --cache");
    /* Scripts in environments carry their path: it has to be the real one. */
    errno = usi_place_make (path);
    self->cache = errno == 0 ? realpath (path, NULL) : NULL;
    int code = 0;
    if (!self->cache || access (self->cache, W_OK | X_OK) != 0) {
        usi_error ("start", "the cache %s cannot be written: %s; give --cache", path,
                   strerror (errno));
        code = EX_CANTCREAT;
    }
    free (path);
    self->options.cache = self->cache;
    return code;
}

static int s_find_directory (setup_t *self)
{
    const char *given = usi_config_get (self->config, "directory");
    struct stat st;
    if (!given)
        return 0;
    self->directory = realpath (given, NULL);
    self->options.directory = self->directory;
    if (self->directory && stat (self->directory, &st) == 0 && S_ISDIR (st.st_mode))
        return 0;
    usi_error ("start", "directory is %s, but must be a folder that is there", given);
    return EX_CONFIG;
}

static bool s_is_runtime (const char *dir)
{
    char *file = usi_sprintf ("%s/understudy/_worker/main.py", dir);
    bool is = access (file, R_OK) == 0;
    free (file);
    return is;
}

static int s_find_runtime (setup_t *self)
{
    const char *given = usi_config_get (self->config, "runtime");
    char exe[PATH_MAX] = "";
    ssize_t len = readlink ("/proc/self/exe", exe, sizeof exe - 1);
    exe[len > 0 ? len : 0] = 0;
    char *slash = strrchr (exe, '/');
    if (slash)
        *slash = 0;
    char *beside = usi_sprintf ("%s/../share/understudy/python", exe);
    const char *places[] = {given ? given : beside, given ? NULL : US_RUNTIME_SOURCE};
    for (size_t i = 0; i < 2 && !self->runtime; i++)
        if (places[i] && s_is_runtime (places[i]))
            self->runtime = realpath (places[i], NULL);
    self->options.runtime = self->runtime;
    int code = 0;
    if (!self->runtime) {
        usi_error ("start",
                   "the Python part of Understudy is not in %s; give --runtime",
                   places[0]);
        code = EX_CONFIG;
    }
    free (beside);
    return code;
}

static int s_probe (setup_t *self, const char *path)
{
    char *why = NULL;
    if (self->options.pythons_len == PYTHON_MAX)
        return s_refuse (EX_CONFIG, "more than 16 Pythons");
    if (python_probe (&self->pythons[self->options.pythons_len], path, &why) == US_OK) {
        self->options.pythons_len++;
        return 0;
    }
    usi_error ("start", "%s", why);
    free (why);
    return EX_UNAVAILABLE;
}

static int s_find_pythons (setup_t *self)
{
    size_t count = usi_config_count (self->config, "python");
    int code = 0;
    self->options.pythons = self->pythons;
    for (size_t i = 0; i < count && code == 0; i++)
        code = s_probe (self, usi_config_item (self->config, "python", i));
    if (count > 0)
        return code;
    char *path = python_default ();
    code = path ? s_probe (self, path)
                : s_refuse (EX_UNAVAILABLE, "there is no python3: install it, or give "
                                            "--python PATH");
    free (path);
    return code;
}

/* --- start ------------------------------------------------------------------------ */

static void s_announce (const setup_t *self)
{
    const node_options_t *options = &self->options;
    usi_buf_t channels = {0}, pythons = {0};
    for (size_t i = 0; i < options->channels_len; i++)
        usi_buf_printf (&channels, "%s%s", i ? "," : "", options->channels[i]);
    for (size_t i = 0; i < options->pythons_len; i++)
        usi_buf_printf (&pythons, "%s%s", i ? "," : "", options->pythons[i].version);
    usi_info ("start",
              "understudy-node %s starts name=%s channels=%.*s slots=%u pythons=%.*s "
              "cache=%s pid=%d",
              US_VERSION_STRING, options->name, (int) channels.len, channels.data,
              options->slots, (int) pythons.len, pythons.data, options->cache,
              (int) getpid ());
    usi_buf_free (&channels);
    usi_buf_free (&pythons);
}

static int s_prepare (setup_t *self)
{
    int code;
    if ((code = s_read_texts (self)) || (code = s_read_lists (self)) ||
        (code = s_read_keys (self)) || (code = s_read_numbers (self)) ||
        (code = s_find_cache (self)) || (code = s_find_directory (self)) ||
        (code = s_find_runtime (self)) || (code = s_find_pythons (self)))
        return code;
    return 0;
}

int main (int argc, char **argv)
{
    setup_t self = {.config = usi_config_new ("node", s_settings)};
    int code = EX_CONFIG;
    if (usi_config_parse (self.config, argc, argv, NULL, s_doc, NULL) != US_OK) {
        s_bad_setting (&self);
    } else if ((code = s_prepare (&self)) == 0) {
        /* Signals are ours: they arrive through the loop. */
        setenv ("ZSYS_SIGHANDLER", "false", 1);
        zsys_init ();
        zsys_handler_set (NULL);
        s_announce (&self);
        code = daemon_run (&self.options, self.parent);
        zsys_shutdown ();
    }
    for (size_t i = 0; i < self.options.pythons_len; i++)
        python_clear (&self.pythons[i]);
    free (self.cache);
    free (self.own_broker);
    free (self.redis);
    usi_identity_free (&self.identity);
    free (self.no_key);
    free (self.name);
    free (self.runtime);
    free (self.directory);
    usi_config_destroy (&self.config);
    return code;
}
