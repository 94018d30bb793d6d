/* SPDX-License-Identifier: MIT
 *
 * What libunderstudy shows: everything else is hidden. */
#ifndef UNDERSTUDY_EXPORT_H
#define UNDERSTUDY_EXPORT_H

#if defined(__GNUC__)
#    define US_EXPORT __attribute__ ((visibility ("default")))
#else
#    define US_EXPORT
#endif

#endif
