/* SPDX-License-Identifier: MIT
 *
 * Whether a name was meant that is nearly the one that was given. A leaf. */
#ifndef COMMON_BASE_SIMILAR_H
#define COMMON_BASE_SIMILAR_H

/* How many letters are missing, wrong, too many or swapped; names of more than 128 bytes are
 * never similar. Large where it is more than a slip: a third of the letters. */
unsigned usi_slips (const char *given, const char *meant);
#define USI_NOT_SIMILAR 1000u

#endif
