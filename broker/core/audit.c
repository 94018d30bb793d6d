/* SPDX-License-Identifier: MIT
 *
 * See audit.h. */
#include "core/audit.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/place.h"

#define FILE_MAX (16 * 1024 * 1024)
#define KEPT     4 /* older files: audit.log.1 to .4 */
#define TEXT_MAX 256

/* --- the file ---------------------------------------------------------------------- */

static int s_open_file (const char *path)
{
    return open (path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);
}

char *audit_open (broker_t *self, const char *folder)
{
    int error = usi_place_make (folder);
    self->audit.path = usi_sprintf ("%s/audit.log", folder);
    self->audit.fd = error ? -1 : s_open_file (self->audit.path);
    if (self->audit.fd >= 0)
        return NULL;
    return usi_sprintf ("%s: %s", self->audit.path, strerror (error ? error : errno));
}

void audit_close (broker_t *self)
{
    if (self->audit.path)
        close (self->audit.fd);
    free (self->audit.path);
    self->audit.path = NULL;
}

static void s_rotate (broker_t *self)
{
    const char *path = self->audit.path;
    struct stat st;
    if (fstat (self->audit.fd, &st) < 0 || st.st_size < FILE_MAX)
        return;
    for (int i = KEPT; i > 0; i--) {
        char *older = usi_sprintf ("%s.%d", path, i);
        char *newer = i > 1 ? usi_sprintf ("%s.%d", path, i - 1) : usi_strdup (path);
        rename (newer, older);
        free (older);
        free (newer);
    }
    int fd = s_open_file (path);
    if (fd < 0)
        return; /* goes on in the old one */
    close (self->audit.fd);
    self->audit.fd = fd;
}

static void s_write (broker_t *self, usi_buf_t *line)
{
    s_rotate (self);
    bool written = write (self->audit.fd, line->data, line->len) == (ssize_t) line->len;
    if (!written && !self->audit.failed)
        usi_error ("audit.lost", "%s cannot be written: %s", self->audit.path,
                   strerror (errno));
    self->audit.failed = !written;
}

/* --- lines --------------------------------------------------------------------------- */

/* Names come from peers: nothing of them may look like the end of a text or of a line. */
static void s_put_text (usi_buf_t *line, const char *key, const char *text)
{
    usi_buf_printf (line, ", \"%s\": \"", key);
    for (size_t i = 0; text[i] && i < TEXT_MAX; i++) {
        unsigned char byte = (unsigned char) text[i];
        if (byte < 0x20 || byte == '"' || byte == '\\' || byte == 0x7f)
            usi_buf_printf (line, "\\u%04x", byte);
        else
            usi_buf_append (line, &text[i], 1);
    }
    usi_buf_text (line, "\"");
}

static void s_begin (usi_buf_t *line, const char *what, const member_t *member,
                     const char *name)
{
    usi_buf_printf (line, "{\"time_ms\": %lld", (long long) usi_wall_ms ());
    s_put_text (line, "what", what);
    if (member)
        s_put_text (line, "key", member->certificate.name);
    if (name && *name)
        s_put_text (line, "name", name);
}

static void s_end (broker_t *self, usi_buf_t *line)
{
    usi_buf_text (line, "}\n");
    s_write (self, line);
    usi_buf_free (line);
}

void audit_note (broker_t *self, const char *what, const member_t *member,
                 const char *name, const char *detail)
{
    usi_buf_t line = {0};
    if (!self->audit.path)
        return;
    s_begin (&line, what, member, name);
    if (detail)
        s_put_text (&line, "detail", detail);
    s_end (self, &line);
}

void audit_peer (broker_t *self, const char *what, const peer_t *peer,
                 const char *detail)
{
    audit_note (self, what, peer->member, peer->name, detail);
}

/* --- jobs ----------------------------------------------------------------------------- */

void audit_submitted (broker_t *self, peer_t *peer, usi_bytes_t channel, bool refused)
{
    if (!self->audit.path)
        return;
    size_t len = channel.len < USI_CHANNEL_MAX ? channel.len : USI_CHANNEL_MAX;
    bool is_same = strlen (peer->audit.channel) == len &&
                   (len == 0 || memcmp (peer->audit.channel, channel.data, len) == 0);
    if (!is_same) {
        audit_flush (self, peer);
        if (len > 0)
            memcpy (peer->audit.channel, channel.data, len);
        peer->audit.channel[len] = '\0';
    }
    peer->audit.submitted += !refused;
    peer->audit.refused += refused;
}

void audit_flush (broker_t *self, peer_t *peer)
{
    usi_buf_t line = {0};
    if (!self->audit.path || peer->audit.submitted + peer->audit.refused == 0)
        return;
    s_begin (&line, "submit", peer->member, peer->name);
    s_put_text (&line, "channel", peer->audit.channel);
    usi_buf_printf (&line, ", \"jobs\": %u", peer->audit.submitted);
    if (peer->audit.refused)
        usi_buf_printf (&line, ", \"refused\": %u", peer->audit.refused);
    peer->audit.submitted = peer->audit.refused = 0;
    s_end (self, &line);
}
