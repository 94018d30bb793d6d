/* SPDX-License-Identifier: MIT
 *
 * From a message to its handler: the one table of messages that the broker takes, and the
 * refusal of all others. Stands on the handlers; the loop calls it. */
#ifndef BROKER_DISPATCH_H
#define BROKER_DISPATCH_H

#include "core/broker.h"

/* A message that the codec has decoded. */
void dispatch (broker_t *self, const routing_t *routing, usi_msg_t *msg);
/* A message from a connection that is not served: why. */
void dispatch_refused (broker_t *self, const routing_t *routing, const usi_msg_t *msg,
                       const char *why);
/* A message that the codec could not decode: msg->why says why. */
void dispatch_malformed (broker_t *self, const routing_t *routing, const usi_msg_t *msg,
                         us_err_t code);

#endif
