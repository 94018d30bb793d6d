/* SPDX-License-Identifier: MIT
 *
 * What an interpreter is: see python.h. */
#include "host/python.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "host/process.h"

#define PROBE_MS 20000

/* One value a line. pip is looked at without running it: importing it takes long. */
static const char s_probe[] =
    "import importlib.util as u, os, platform, sys, sysconfig\n"
    "print(sys.implementation.name)\n"
    "print('.'.join(map(str, sys.version_info[:3])))\n"
    "print('%d.%d' % sys.version_info[:2])\n"
    "gil = sysconfig.get_config_var('Py_GIL_DISABLED')\n"
    "print('nogil' if gil else 'gil')\n"
    "print('venv' if u.find_spec('venv') else 'none')\n"
    "print(os.path.realpath(getattr(sys, '_base_executable', '') or sys.executable))\n"
    "print(sysconfig.get_platform(), platform.libc_ver()[0] or 'libc',"
    " sysconfig.get_config_var('SOABI') or sys.implementation.cache_tag)\n"
    "try:\n"
    "    from importlib.metadata import version\n"
    "    print(version('pip'))\n"
    "except Exception:\n"
    "    print('0.0')\n"
    "print('ensurepip' if u.find_spec('ensurepip') else 'none')\n";

enum {
    IMPLEMENTATION,
    VERSION,
    MINOR,
    GIL,
    VENV,
    EXECUTABLE,
    PLATFORM,
    PIP,
    ENSUREPIP,
    LINES
};

/* What the command wrote, up to size - 1 bytes. */
static int s_read_all (int fd, char *text, size_t size)
{
    int64_t deadline = usi_now_ms () + PROBE_MS;
    size_t len = 0;
    for (;;) {
        int64_t left = deadline - usi_now_ms ();
        struct pollfd item = {.fd = fd, .events = POLLIN};
        if (left <= 0 || poll (&item, 1, (int) left) <= 0)
            return -1;
        ssize_t got = read (fd, text + len, size - 1 - len);
        if (got <= 0 || len + (size_t) got == size - 1)
            break;
        len += (size_t) got;
    }
    text[len] = 0;
    return 0;
}

static int s_ask (const char *path, char *text, size_t size)
{
    int out[2];
    if (pipe2 (out, O_CLOEXEC) != 0)
        return -1;
    char *argv[] = {(char *) path, "-I", "-B", "-c", (char *) s_probe, NULL};
    process_t process = {.argv = argv, .out = out[1]};
    pid_t pid = process_start (&process);
    close (out[1]);
    int rc = pid > 0 ? s_read_all (out[0], text, size) : -1;
    close (out[0]);
    if (pid > 0) {
        int status = 0;
        if (rc != 0)
            kill (pid, SIGKILL);
        while (waitpid (pid, &status, 0) < 0 && errno == EINTR)
            ;
        if (!WIFEXITED (status) || WEXITSTATUS (status) != 0)
            rc = -1;
    }
    return rc;
}

static size_t s_lines (char *text, char *lines[LINES])
{
    size_t count = 0;
    char *rest = text;
    for (char *line; count < LINES && (line = strsep (&rest, "\n")) != NULL;)
        lines[count++] = line;
    return count;
}

static const char *s_refusal (char *const lines[LINES])
{
    if (strcmp (lines[IMPLEMENTATION], "cpython") != 0)
        return "it is not CPython";
    int major = 0, minor = 0;
    if (sscanf (lines[MINOR], "%d.%d", &major, &minor) != 2 || major != 3 || minor < 9)
        return "Python 3.9 or newer is needed";
    if (strcmp (lines[GIL], "gil") != 0)
        return "builds without the global interpreter lock are not served";
    if (strcmp (lines[VENV], "venv") != 0)
        return "it has no venv module (Debian: install python3-venv)";
    return NULL;
}

us_err_t python_probe (python_t *python, const char *path, char **why)
{
    char text[8192];
    char *lines[LINES] = {0};
    *python = (python_t){.path = strchr (path, '/') ? usi_strdup (path)
                                                    : python_find_program (path)};
    *why = NULL;
    if (!python->path)
        *why = usi_sprintf ("%s: not found in PATH", path);
    else if (access (python->path, F_OK) != 0)
        *why = usi_sprintf ("%s: %s", path, strerror (errno));
    else if (s_ask (python->path, text, sizeof text) != 0 ||
             s_lines (text, lines) < LINES)
        *why = usi_sprintf ("%s: cannot be run as a Python interpreter", path);
    else if (s_refusal (lines))
        *why = usi_sprintf ("%s (%s %s): %s", path, lines[IMPLEMENTATION],
                            lines[VERSION], s_refusal (lines));
    if (*why) {
        python_clear (python);
        return US_ERR_CONFIG;
    }
    US_ASSERT (lines[VERSION] && lines[PIP] && lines[ENSUREPIP]);
    int major = 0, minor = 0;
    if (sscanf (lines[PIP], "%d.%d", &major, &minor) >= 1)
        python->pip = major * 100 + minor;
    python->version = usi_strdup (lines[VERSION]);
    python->minor = usi_strdup (lines[MINOR]);
    python->executable = usi_strdup (lines[EXECUTABLE]);
    python->platform = usi_strdup (lines[PLATFORM]);
    python->has_ensurepip = strcmp (lines[ENSUREPIP], "ensurepip") == 0;
    return US_OK;
}

void python_clear (python_t *python)
{
    free (python->path);
    free (python->executable);
    free (python->version);
    free (python->minor);
    free (python->platform);
    *python = (python_t){0};
}

char *python_find_program (const char *name)
{
    const char *path = getenv ("PATH");
    char *all = usi_strdup (path && *path ? path : "/usr/local/bin:/usr/bin:/bin");
    char *rest = all, *found = NULL;
    for (char *dir; !found && (dir = strsep (&rest, ":")) != NULL;) {
        char *file = usi_sprintf ("%s/%s", *dir ? dir : ".", name);
        if (access (file, X_OK) == 0)
            found = file;
        else
            free (file);
    }
    free (all);
    return found;
}

char *python_default (void)
{
    /* The system's own: it has what the distribution's packages bring, and does not
     * change with the shell the daemon was started from. */
    if (access ("/usr/bin/python3", X_OK) == 0)
        return usi_strdup ("/usr/bin/python3");
    return python_find_program ("python3");
}

const python_t *python_choose (const python_t *pythons, size_t count, usi_bytes_t minor)
{
    for (size_t i = 0; i < count; i++)
        if (minor.len == 0 || usi_bytes_equal (usi_bytes_of (pythons[i].minor), minor))
            return &pythons[i];
    return NULL;
}
