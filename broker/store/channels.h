/* SPDX-License-Identifier: MIT
 *
 * The names of channels: those that are known, by partition, and those that this broker
 * has announced to all others on this connection. Stands on command.h. */
#ifndef BROKER_STORE_CHANNELS_H
#define BROKER_STORE_CHANNELS_H

#include "store/store_internal.h"

void channels_start (store_t *self);
void channels_stop (store_t *self);
uint8_t channel_partition (const char *channel);
void channel_learn (store_t *self, const char *channel);
/* The names in us:channels, which anybody may have written. */
void channels_learn (store_t *self, const usi_reply_t *names);
/* Tells all brokers of the channel before its first job is there. */
void channel_announce (store_t *self, const char *channel);
/* A new connection, or another Redis: all have to be announced again. */
void channels_forget_announced (store_t *self);

#endif
