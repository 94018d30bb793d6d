/* SPDX-License-Identifier: MIT
 *
 * The builder's process: see build.h. */
#include "venv/build.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <fts.h>
#include <glob.h>
#include <linux/fs.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/mem.h"
#include "host/process.h"

#define MAX_ARGS   32
#define LOOK_MS    500  /* between two looks at the size */
#define PIP_PYTHON 2203 /* pip 22.3 brought --python */

typedef struct builder {
    const env_request_t *request;
    const build_paths_t *paths;
    const char *python; /* ENV/bin/python */
    char *uv;           /* NULL: pip */
    char **env;
    int status;
    time_t began;
    const char *argv[MAX_ARGS];
    size_t argc;
} builder_t;

/* --- environment variables -------------------------------------------------------- */

/* What a build needs of the daemon's own variables: where to go out and whom to trust.
 * All else that would change what is installed (PIP_*, UV_*, PYTHON*, VIRTUAL_ENV) is
 * left out. */
static const char *const s_kept[] = {"PATH",
                                     "HOME",
                                     "LANG",
                                     "LC_ALL",
                                     "TMPDIR",
                                     "USER",
                                     "LOGNAME",
                                     "XDG_CONFIG_HOME",
                                     "XDG_CONFIG_DIRS",
                                     "http_proxy",
                                     "https_proxy",
                                     "ftp_proxy",
                                     "all_proxy",
                                     "no_proxy",
                                     "HTTP_PROXY",
                                     "HTTPS_PROXY",
                                     "FTP_PROXY",
                                     "ALL_PROXY",
                                     "NO_PROXY",
                                     "SSL_CERT_FILE",
                                     "SSL_CERT_DIR",
                                     "REQUESTS_CA_BUNDLE",
                                     "CURL_CA_BUNDLE",
                                     "PIP_CERT",
                                     "PIP_CLIENT_CERT",
                                     "PIP_PROXY",
                                     "NETRC",
                                     NULL};

static void s_set (char **env, size_t *count, const char *name, const char *value)
{
    env[(*count)++] = usi_sprintf ("%s=%s", name, value);
}

static char **s_environment (const builder_t *self)
{
    size_t count = 0;
    char **env = usi_alloc ((sizeof s_kept / sizeof *s_kept + 8) * sizeof *env);
    for (size_t i = 0; s_kept[i]; i++)
        if (getenv (s_kept[i]))
            s_set (env, &count, s_kept[i], getenv (s_kept[i]));
    s_set (env, &count, "PYTHONDONTWRITEBYTECODE", "1");
    s_set (env, &count, "UV_PYTHON_DOWNLOADS", "never");
    s_set (env, &count, "UV_CACHE_DIR", self->paths->uv_cache);
    /* uv's own list of authorities knows none of a site's; by its older and newer name. */
    s_set (env, &count, "UV_NATIVE_TLS", "1");
    s_set (env, &count, "UV_SYSTEM_CERTS", "1");
    /* A named index is the whole truth; otherwise the machine's own files say where
     * packages come from, so that sites with a mirror work. */
    if (self->request->index_url) {
        s_set (env, &count, "UV_NO_CONFIG", "1");
        s_set (env, &count, "PIP_CONFIG_FILE", "/dev/null");
    }
    return env;
}

/* --- commands --------------------------------------------------------------------- */

static void s_arg (builder_t *self, const char *arg)
{
    US_ASSERT (self->argc < MAX_ARGS - 1);
    self->argv[self->argc++] = arg;
}

static void s_args (builder_t *self, const char *const *args)
{
    for (; *args; args++)
        s_arg (self, *args);
}

#define ARGS(self, ...) s_args ((self), (const char *const[]){__VA_ARGS__, NULL})

/* Renders the command for the build's log and for errors, without the password that the
 * address of an index may carry. */
static char *s_shown (const builder_t *self)
{
    usi_buf_t line = {0};
    for (size_t i = 0; i < self->argc; i++) {
        const char *arg = self->argv[i];
        const char *at = strrchr (arg, '@');
        const char *host = strstr (arg, "://");
        if (i > 0)
            usi_buf_text (&line, " ");
        if (host && at && host < at)
            usi_buf_printf (&line, "%.*s***%s", (int) (host + 3 - arg), arg, at);
        else
            usi_buf_text (&line, arg);
    }
    char *text = usi_bytes_dup_text (usi_buf_bytes (&line));
    usi_buf_free (&line);
    return text;
}

static _Noreturn void s_fail (const builder_t *self, const char *command,
                              const char *reason)
{
    dprintf (self->status, "%s\n%s\n", command, reason);
    dprintf (STDOUT_FILENO, "understudy: %s\n", reason);
    _exit (BUILD_FAILED);
}

/* Returns what the tree occupies on the disk, in bytes. */
static uint64_t s_size_of (const char *path)
{
    char *const roots[] = {(char *) path, NULL};
    uint64_t size = 0;
    FTS *tree = fts_open (roots, FTS_PHYSICAL | FTS_NOCHDIR, NULL);
    for (FTSENT *entry; tree && (entry = fts_read (tree));)
        if (entry->fts_info != FTS_DP && entry->fts_info != FTS_NS)
            size += (uint64_t) entry->fts_statp->st_blocks * 512;
    if (tree)
        fts_close (tree);
    return size;
}

/* What has come into this folder since the build began. */
static uint64_t s_size_of_new (const char *folder, time_t began)
{
    uint64_t size = 0;
    DIR *dir = opendir (folder);
    for (struct dirent *entry; dir && (entry = readdir (dir));) {
        struct stat st;
        bool is_link =
            strcmp (entry->d_name, ".") == 0 || strcmp (entry->d_name, "..") == 0;
        if (is_link ||
            fstatat (dirfd (dir), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0 ||
            st.st_ctime < began)
            continue;
        char *path = usi_sprintf ("%s/%s", folder, entry->d_name);
        size += S_ISDIR (st.st_mode) ? s_size_of (path) : (uint64_t) st.st_blocks * 512;
        free (path);
    }
    if (dir)
        closedir (dir);
    return size;
}

/* uv unpacks a wheel into a folder .tmp… of its cache and moves that to archive-v0. */
static bool s_is_too_large (const builder_t *self)
{
    uint64_t limit = self->paths->limit;
    if (s_size_of (self->paths->env) > limit)
        return true;
    char *archive = usi_sprintf ("%s/archive-v0", self->paths->uv_cache);
    uint64_t size = s_size_of_new (archive, self->began);
    size_t found = 0;
    glob_t unpacking;
    char *pattern = usi_sprintf ("%s/.tmp*", self->paths->uv_cache);
    if (glob (pattern, GLOB_PERIOD, NULL, &unpacking) == 0) {
        for (; found < unpacking.gl_pathc; found++)
            size += s_size_of (unpacking.gl_pathv[found]);
        globfree (&unpacking);
    }
    free (pattern);
    free (archive);
    return size > limit;
}

static _Noreturn void s_fail_size (const builder_t *self, const char *command)
{
    char reason[160];
    snprintf (reason, sizeof reason,
              "the environment would take more than the %llu MiB that this node allows "
              "(--env-limit)",
              (unsigned long long) self->paths->limit >> 20);
    s_fail (self, command, reason);
}

/* Goes away with what it began, and with what it has written: that may be all of the
 * disk. */
static _Noreturn void s_stop (builder_t *self, pid_t pid, const char *command)
{
    if (pid > 0)
        process_kill_tree (pid);
    if (rename (self->paths->env, self->paths->trash) == 0) {
        pid_t cleaner = fork ();
        if (cleaner == 0) {
            execl ("/bin/rm", "rm", "-rf", "--", self->paths->trash, (char *) NULL);
            _exit (127);
        }
        waitpid (cleaner, NULL, 0);
    }
    s_fail_size (self, command);
}

/* The status of the tool, which is watched while it works: a small download may become
 * very much. */
static int s_wait (builder_t *self, pid_t pid, const char *command)
{
    int status = -1;
    int watch = (int) syscall (SYS_pidfd_open, pid, 0);
    struct pollfd ended = {.fd = watch, .events = POLLIN};
    while (watch >= 0 && poll (&ended, 1, LOOK_MS) == 0)
        if (s_is_too_large (self))
            s_stop (self, pid, command);
    if (watch >= 0)
        close (watch);
    while (waitpid (pid, &status, 0) < 0)
        if (errno != EINTR)
            return -1;
    return status;
}

/* Runs what was gathered in argv; does not return where it fails. */
static void s_run (builder_t *self)
{
    char *shown = s_shown (self);
    self->argv[self->argc] = NULL;
    dprintf (STDOUT_FILENO, "$ %s\n", shown);
    pid_t parent = getpid ();
    pid_t pid = fork ();
    if (pid == 0) {
        prctl (PR_SET_PDEATHSIG, SIGKILL);
        if (getppid () == parent)
            execve (self->argv[0], (char *const *) self->argv, self->env);
        _exit (127);
    }
    int status = pid > 0 ? s_wait (self, pid, shown) : -1;
    if (status != 0) {
        char reason[96];
        if (WIFSIGNALED (status))
            snprintf (reason, sizeof reason, "the command was ended by signal %d",
                      WTERMSIG (status));
        else
            snprintf (reason, sizeof reason, "the command failed with exit code %d",
                      WEXITSTATUS (status));
        s_fail (self, shown, reason);
    }
    free (shown);
    self->argc = 0;
}

/* --- steps ------------------------------------------------------------------------ */

static char *s_find_uv (const env_request_t *request)
{
    char *uv = python_find_program ("uv");
    if (uv)
        return uv;
    const char *slash = strrchr (request->python->path, '/');
    uv = usi_sprintf ("%.*s/uv", (int) (slash - request->python->path),
                      request->python->path);
    if (access (uv, X_OK) == 0)
        return uv;
    free (uv);
    return NULL;
}

static void s_clear_place (builder_t *self)
{
    if (rename (self->paths->env, self->paths->trash) == 0) {
        ARGS (self, "/bin/rm", "-rf", "--", self->paths->trash);
        s_run (self);
    } else if (errno != ENOENT) {
        s_fail (self, self->paths->env, strerror (errno));
    }
    if (mkdir (self->paths->env, 0755) != 0)
        s_fail (self, self->paths->env, strerror (errno));
}

static void s_write_list (const builder_t *self, const char *name, const char *text)
{
    char *path = usi_sprintf ("%s/%s", self->paths->env, name);
    FILE *file = fopen (path, "we");
    if (!file || fprintf (file, "%s\n", text) < 0 || fclose (file) != 0)
        s_fail (self, path, strerror (errno));
    free (path);
}

static void s_make_venv (builder_t *self, bool with_pip)
{
    const char *python = self->request->python->path, *env = self->paths->env;
    if (self->uv)
        ARGS (self, self->uv, "venv", "--no-project", "--color", "never", "--python",
              python, "--allow-existing", env);
    else
        ARGS (self, python, "-I", "-m", "venv", env);
    if (!self->uv && !with_pip)
        s_arg (self, "--without-pip");
    s_run (self);
}

/* A file of the environment may share the blocks of one in uv's cache where the file
 * system copies them on the first write. It is tried, for uv itself does not say: told to
 * clone where it cannot, it makes hard links. */
static bool s_can_clone (const builder_t *self)
{
    static const char block[4096];
    mkdir (self->paths->uv_cache, 0755);
    int from = open (self->paths->uv_cache, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    int to = open (self->paths->env, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    bool can = from >= 0 && to >= 0 &&
               write (from, block, sizeof block) == (ssize_t) sizeof block &&
               ioctl (to, FICLONE, from) == 0;
    if (from >= 0)
        close (from);
    if (to >= 0)
        close (to);
    return can;
}

/* No file is shared with another environment: a job that changes one of its packages
 * changes its own. uv links to its cache by itself, pip writes each file anew. */
static void s_install (builder_t *self, const char *list, const char *constraints)
{
    bool own_pip = self->request->python->pip < PIP_PYTHON;
    if (self->uv)
        ARGS (self, self->uv, "pip", "install", "--color", "never", "--no-progress",
              "--link-mode", s_can_clone (self) ? "clone" : "copy", "--python",
              self->python);
    else if (own_pip)
        ARGS (self, self->python, "-m", "pip", "install");
    else
        ARGS (self, self->request->python->path, "-m", "pip", "--python", self->python,
              "install");
    if (!self->uv)
        ARGS (self, "--no-input", "--disable-pip-version-check", "--no-color",
              "--progress-bar", "off", "--no-warn-script-location", "--no-user");
    if (self->request->index_url)
        ARGS (self, "--index-url", self->request->index_url);
    ARGS (self, "-r", list);
    if (*self->request->constraints)
        ARGS (self, "-c", constraints);
    s_run (self);
}

static void s_publish (builder_t *self)
{
    uint64_t size = s_size_of (self->paths->env);
    if (size > self->paths->limit)
        s_stop (self, 0, self->paths->env);
    char *temporary = usi_sprintf ("%s/.ready.new", self->paths->env);
    char *ready = usi_sprintf ("%s/.ready", self->paths->env);
    FILE *file = fopen (temporary, "we");
    if (!file ||
        fprintf (file, "%llu\n%s\n%s", (unsigned long long) size,
                 self->request->python->version, self->request->packages) < 0 ||
        fflush (file) != 0 || fsync (fileno (file)) != 0 || fclose (file) != 0 ||
        rename (temporary, ready) != 0)
        s_fail (self, ready, strerror (errno));
}

static _Noreturn void s_build (builder_t *self)
{
    self->began = time (NULL);
    char *list = usi_sprintf ("%s/requirements.txt", self->paths->env);
    char *constraints = usi_sprintf ("%s/constraints.txt", self->paths->env);
    const python_t *python = self->request->python;
    bool bare = !*self->request->packages;
    bool own_pip = !self->uv && !bare && python->pip < PIP_PYTHON;
    self->env = s_environment (self);
    if (own_pip && !python->has_ensurepip)
        s_fail (self, "python -m venv",
                "neither uv nor pip is there, and Python has no ensurepip: install uv, "
                "or python3-pip and python3-venv");
    s_clear_place (self);
    s_make_venv (self, own_pip);
    if (!bare) {
        s_write_list (self, "requirements.txt", self->request->packages);
        s_write_list (self, "constraints.txt", self->request->constraints);
        s_install (self, list, constraints);
    }
    s_publish (self);
    _exit (0);
}

/* --- the daemon's side ------------------------------------------------------------ */

static _Noreturn void s_become_builder (pid_t parent, const env_request_t *request,
                                        const build_paths_t *paths, int out, int status)
{
    dup2 (out, STDOUT_FILENO);
    dup2 (out, STDERR_FILENO);
    int null = open ("/dev/null", O_RDONLY);
    dup2 (null, STDIN_FILENO);
    int keep[] = {paths->lock < status ? paths->lock : status,
                  paths->lock < status ? status : paths->lock, -1};
    process_become_child (parent, keep);
    fcntl (paths->lock, F_SETFD, 0);
    prctl (PR_SET_NAME, "understudy-buil");
    umask (022);
    char *python = usi_sprintf ("%s/bin/python", paths->env);
    char *uv = s_find_uv (request);
    builder_t self = {.request = request,
                      .paths = paths,
                      .python = python,
                      .uv = uv,
                      .status = status};
    s_build (&self);
}

int build_start (build_t *build, const env_request_t *request,
                 const build_paths_t *paths)
{
    int out[2] = {-1, -1}, status[2] = {-1, -1};
    pid_t parent = getpid ();
    *build = (build_t){.pid = -1, .out = -1, .status = -1};
    if (pipe2 (out, O_CLOEXEC) == 0 && pipe2 (status, O_CLOEXEC) == 0)
        build->pid = fork ();
    if (build->pid == 0)
        s_become_builder (parent, request, paths, out[1], status[1]);
    int error = errno;
    close (out[1]);
    close (status[1]);
    if (build->pid < 0) {
        close (out[0]);
        close (status[0]);
        errno = error;
        return -1;
    }
    setpgid (build->pid, build->pid);
    fcntl (out[0], F_SETFL, O_NONBLOCK);
    fcntl (status[0], F_SETFL, O_NONBLOCK);
    build->out = out[0];
    build->status = status[0];
    return 0;
}

bool build_read_facts (const char *env, env_facts_t *facts)
{
    char *path = usi_sprintf ("%s/.ready", env);
    FILE *file = fopen (path, "re");
    char version[32] = "";
    unsigned long long size = 0;
    usi_buf_t packages = {0};
    char part[4096];
    free (path);
    *facts = (env_facts_t){0};
    if (!file)
        return false;
    if (fscanf (file, "%llu %31s", &size, version) == 2 && fgetc (file) == '\n')
        for (size_t got; (got = fread (part, 1, sizeof part, file)) > 0;)
            usi_buf_append (&packages, part, got);
    fclose (file);
    facts->size = size;
    facts->python = usi_strdup (version);
    facts->packages = usi_bytes_dup_text (usi_buf_bytes (&packages));
    usi_buf_free (&packages);
    return true;
}

void env_facts_clear (env_facts_t *facts)
{
    free (facts->python);
    free (facts->packages);
    *facts = (env_facts_t){0};
}
