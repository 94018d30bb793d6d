/* SPDX-License-Identifier: MIT
 *
 * Whether some node serves a class of a channel. What this broker's own nodes serve is known at once;
 * for other nodes the registry in the store is asked, once for all who want to know at the
 * time. Stands on the table of nodes and on the store. */
#ifndef BROKER_SERVED_H
#define BROKER_SERVED_H

#include "core/broker.h"

/* A node of this broker serves the class of the channel. */
bool served_here (const broker_t *self, const char *channel, uint32_t class_id);
/* Asks the registry; fn runs exactly once. code: why it is not known. */
typedef void served_fn (us_err_t code, bool served, void *arg);
void served_ask (broker_t *self, const char *channel, uint32_t class_id, served_fn *fn,
                 void *arg);

#endif
