/* SPDX-License-Identifier: MIT
 *
 * The version, once: CMake and the Python package read it from here. */
#ifndef UNDERSTUDY_VERSION_H
#define UNDERSTUDY_VERSION_H

#define US_VERSION_MAJOR  0
#define US_VERSION_MINOR  1
#define US_VERSION_PATCH  0
#define US_VERSION_STRING "0.1.0"

#endif
