/* SPDX-License-Identifier: MIT
 *
 * The topics of this broker and of the nodes whose wakes it receives. Stands on
 * events.h. */
#ifndef BROKER_STORE_TOPICS_H
#define BROKER_STORE_TOPICS_H

#include "store/store_internal.h"

/* Subscribes under the cluster's name, anew where that has changed. */
void topics_start (store_t *self);
/* Tells all brokers that keys have changed. */
void topics_tell_keys (store_t *self);

#endif
