/* SPDX-License-Identifier: MIT
 *
 * See zap.h. */
#include "zap.h"

#include "base/mem.h"

#define ENDPOINT   "inproc://zeromq.zap.01"
#define FRAMES_MAX 8
#define TURN_MAX   64 /* connections answered at a time: others are served too */

struct zap {
    const members_t *members;
    zap_events_t events;
    zsock_t *socket;
    zloop_t *loop;
};

/* The frames of a request, by their place. */
enum { VERSION, REQUEST, DOMAIN, ADDRESS, IDENTITY, MECHANISM, KEY, FRAMES };

typedef struct request {
    zmq_msg_t frames[FRAMES_MAX];
    size_t count; /* of all frames, also those that are not kept */
} request_t;

static bool s_receive (request_t *request, void *socket)
{
    bool more = true;
    request->count = 0;
    while (more) {
        zmq_msg_t spare, *frame = request->count < FRAMES_MAX
                                      ? &request->frames[request->count]
                                      : &spare;
        zmq_msg_init (frame);
        if (zmq_msg_recv (frame, socket, ZMQ_DONTWAIT) < 0) {
            zmq_msg_close (frame);
            return request->count > 0;
        }
        more = zmq_msg_more (frame);
        if (frame == &spare)
            zmq_msg_close (frame);
        request->count++;
    }
    return true;
}

static void s_clear (request_t *request)
{
    for (size_t i = 0; i < request->count && i < FRAMES_MAX; i++)
        zmq_msg_close (&request->frames[i]);
}

static usi_bytes_t s_frame (request_t *request, size_t place)
{
    return place < request->count ? usi_bytes (zmq_msg_data (&request->frames[place]),
                                               zmq_msg_size (&request->frames[place]))
                                  : usi_bytes (NULL, 0);
}

static bool s_is (request_t *request, size_t place, const char *text)
{
    return usi_bytes_equal (s_frame (request, place), usi_bytes_of (text));
}

/* Why it is turned away; NULL: it is not. */
static const char *s_judge (const zap_t *self, request_t *request, member_t **member)
{
    usi_bytes_t key = s_frame (request, KEY);
    *member = NULL;
    if (request->count != FRAMES || !s_is (request, VERSION, "1.0") ||
        !s_is (request, DOMAIN, ZAP_DOMAIN) || !s_is (request, MECHANISM, "CURVE") ||
        key.len != USI_KEY_LEN)
        return "not a handshake with keys";
    *member = members_find (self->members, key.data);
    if (!*member)
        return "nobody has brought the certificate of this key";
    return members_refuse (self->members, *member);
}

static void s_put (void *socket, usi_bytes_t bytes, int flags)
{
    zmq_send (socket, bytes.data ? (const void *) bytes.data : "", bytes.len,
              flags | ZMQ_DONTWAIT);
}

static void s_reply (void *socket, request_t *request, const char *why)
{
    char user[USI_KEY_TEXT_LEN + 1] = "";
    if (!why)
        usi_key_text (s_frame (request, KEY).data, user);
    s_put (socket, usi_bytes_of ("1.0"), ZMQ_SNDMORE);
    s_put (socket, s_frame (request, REQUEST), ZMQ_SNDMORE);
    s_put (socket, usi_bytes_of (why ? "400" : "200"), ZMQ_SNDMORE);
    s_put (socket, usi_bytes_of (why ? why : "OK"), ZMQ_SNDMORE);
    s_put (socket, usi_bytes_of (user), ZMQ_SNDMORE);
    s_put (socket, usi_bytes (NULL, 0), 0);
}

static void s_tell (const zap_t *self, request_t *request, const member_t *member,
                    const char *why)
{
    char address[64];
    usi_bytes_t frame = s_frame (request, ADDRESS);
    snprintf (address, sizeof address, "%.*s", (int) (frame.len < 63 ? frame.len : 63),
              frame.data ? (const char *) frame.data : "");
    self->events.refused (self->events.arg, member, address, why);
}

static int s_on_request (zloop_t *loop, zsock_t *reader, void *arg)
{
    zap_t *self = arg;
    void *socket = zsock_resolve (reader);
    request_t request;
    (void) loop;
    for (int i = 0; i < TURN_MAX && s_receive (&request, socket); i++) {
        member_t *member;
        const char *why = s_judge (self, &request, &member);
        s_reply (socket, &request, why);
        if (why)
            s_tell (self, &request, member, why);
        s_clear (&request);
    }
    return 0;
}

zap_t *zap_new (const members_t *members, const zap_events_t *events)
{
    zap_t *self = usi_new (zap_t);
    self->members = members;
    self->events = *events;
    self->socket = zsock_new (ZMQ_REP);
    US_ASSERT (self->socket && zmq_bind (zsock_resolve (self->socket), ENDPOINT) == 0);
    return self;
}

void zap_start (zap_t *self, zloop_t *loop)
{
    self->loop = loop;
    zloop_reader (loop, self->socket, s_on_request, self);
    zloop_reader_set_tolerant (loop, self->socket);
}

void zap_destroy (zap_t **self_p)
{
    zap_t *self = *self_p;
    if (!self)
        return;
    if (self->loop)
        zloop_reader_end (self->loop, self->socket);
    zsock_destroy (&self->socket);
    free (self);
    *self_p = NULL;
}
