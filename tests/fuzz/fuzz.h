/* SPDX-License-Identifier: MIT
 *
 * What each target of libFuzzer needs (scripts/test fuzz). A target gives the bytes to one
 * decoder and asserts what must be true of whatever that accepts; the sanitizers watch
 * the rest. What crashed once becomes a unit test. */
#ifndef TESTS_FUZZ_FUZZ_H
#define TESTS_FUZZ_FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "base/bytes.h"
#include "base/log.h"
#include "base/mem.h"

int LLVMFuzzerTestOneInput (const uint8_t *data, size_t len);

#endif
