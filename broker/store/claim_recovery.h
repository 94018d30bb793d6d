/* SPDX-License-Identifier: MIT
 *
 * Hands back the jobs that were claimed by calls whose answer was lost. Stands on batch.h
 * and events.h. */
#ifndef BROKER_STORE_CLAIM_RECOVERY_H
#define BROKER_STORE_CLAIM_RECOVERY_H

#include "store/batch.h"

/* This claim was sent, and its answer did not come. */
void claim_recovery_note (store_t *self, const op_t *claim);
/* Connected again: hands the jobs back. */
void claim_recovery_run (store_t *self);
void claim_recovery_stop (store_t *self);

#endif
