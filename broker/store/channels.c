/* SPDX-License-Identifier: MIT
 *
 * See channels.h. */
#include "store/channels.h"

#include "store/command.h"

void channels_start (store_t *self)
{
    self->channels = zhash_new ();
    self->announced = zhash_new ();
    zhash_autofree (self->channels);
}

void channels_stop (store_t *self)
{
    for (unsigned i = 0; i < PARTITIONS; i++)
        usi_buf_free (&self->partitions[i].channels);
    zhash_destroy (&self->channels);
    zhash_destroy (&self->announced);
}

uint8_t channel_partition (const char *channel)
{
    return usi_partition (usi_bytes_of (channel));
}

void channel_learn (store_t *self, const char *channel)
{
    if (zhash_lookup (self->channels, channel))
        return;
    zhash_insert (self->channels, channel, (void *) channel);
    usi_buf_t *names = &self->partitions[channel_partition (channel)].channels;
    if (names->len)
        usi_buf_text (names, ",");
    usi_buf_text (names, channel);
}

void channels_learn (store_t *self, const usi_reply_t *names)
{
    for (size_t i = 0; i < usi_reply_count (names); i++) {
        usi_bytes_t name = usi_reply_bytes (usi_reply_at (names, i));
        if (usi_channel_valid (name))
            channel_learn (self, (const char *) name.data);
    }
}

void channels_forget_announced (store_t *self)
{
    zhash_destroy (&self->announced);
    self->announced = zhash_new ();
}

/* Refused (Redis is full): the next submit to any channel announces it again. */
static void s_on_announced (const usi_reply_t *reply, void *arg)
{
    if (usi_reply_is (reply, USI_REPLY_ERROR))
        channels_forget_announced (arg);
}

void channel_announce (store_t *self, const char *channel)
{
    channel_learn (self, channel);
    if (!self->ready || zhash_lookup (self->announced, channel))
        return;
    zhash_insert (self->announced, channel, self);
    command_text (self, s_on_announced, self, "SADD", "us:channels", channel, NULL);
}
