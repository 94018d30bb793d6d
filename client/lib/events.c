/* SPDX-License-Identifier: MIT
 *
 * The API of events: a list of results to which something happened, and a descriptor that
 * is readable while the list is not empty. A result stands in it once, with all that
 * happened; the engine puts it there (event_post). */
#include <sys/eventfd.h>

#include "drive.h"
#include "shared.h"
#include "wait.h"

/* What has happened so far, as far as a state can tell. */
static unsigned s_past (const us_result_t *result)
{
    us_state_t state = result_state (result);
    unsigned types = 0;
    if (result->accepted)
        types |= US_EVENT_ACCEPTED;
    if (state == US_STATE_RUNNING)
        types |= US_EVENT_RUNNING;
    for (int i = 0; i < STREAMS; i++)
        if (result->streams[i] && result->streams[i]->data.len > 0)
            types |= US_EVENT_LOG;
    if (us_state_is_end (state))
        types |= US_EVENT_ENDED;
    return types;
}

us_err_t us_result_subscribe (us_result_t *result, unsigned types, void *user)
{
    if (!result)
        return US_ERR_INVALID;
    us_client_t *client = result_enter (result);
    us_err_t err = client->closed ? US_ERR_CLOSED : result_follow (result);
    if (err == US_OK) {
        result->event_types = types;
        result->user = user;
        event_post (result, s_past (result));
        drive_by_thread (client);
    }
    client_unlock (client);
    return err;
}

int us_client_event_fd (us_client_t *client)
{
    client_lock (client);
    int fd = client->event_fd;
    client_unlock (client);
    return fd;
}

us_err_t us_client_events (us_client_t *client, us_event_t *events, size_t max,
                           size_t *count)
{
    eventfd_t value;
    if (!client || !events || !count)
        return US_ERR_INVALID;
    *count = 0;
    client_lock (client);
    while (client->events && *count < max) {
        us_result_t *result = client->events;
        client->events = result->next_event;
        result->in_events = false;
        events[(*count)++] = (us_event_t){.types = result->event_pending,
                                          .result = result,
                                          .user = result->user};
        result->event_pending = 0;
    }
    if (!client->events) {
        client->events_end = &client->events;
        eventfd_read (client->event_fd, &value);
    }
    us_err_t err = client->closed ? US_ERR_CLOSED : US_OK;
    client_unlock (client);
    return err;
}
