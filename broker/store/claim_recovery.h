/* SPDX-License-Identifier: MIT
 *
 * Takes back what was claimed by calls whose answer was lost. */
#ifndef BROKER_STORE_CLAIM_RECOVERY_H
#define BROKER_STORE_CLAIM_RECOVERY_H

#include "store/batch.h"

/* This claim was sent, and its answer did not come. */
void claim_recovery_note (store_t *self, const op_t *claim);
/* Connected again: the jobs go back. */
void claim_recovery_run (store_t *self);
void claim_recovery_stop (store_t *self);

#endif
