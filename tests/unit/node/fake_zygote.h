/* SPDX-License-Identifier: MIT
 *
 * The one fake of the node's tests: zygote and workers, which in the program are Python.
 * An environment's bin/python is a link to the test itself (stage.h), whose main calls
 * fake_zygote first: started as a zygote it never returns. A worker does what the body
 * of its job says:
 *
 *   echo TEXT   ends with the whole body as its result
 *   say TEXT    writes TEXT to its log, then as echo
 *   large N     a result of N bytes, in a memfd
 *   replace     as echo, and asks to be replaced
 *   wait        writes "begun" to its log, and ends as cancelled once it is interrupted
 *   deaf        the same, until it is killed
 *   die         with exit code 9
 *   descriptors N   sends N descriptors that nobody asked for, again and again
 *   send WORDS  sends a datagram of these words, or an empty one, and ends with exit code 0
 *   shut down   ends the socket, and stays
 *   early       a result for a job that it does not have
 *
 * Files in the cache's folder steer what comes before: "no-zygote" lets the zygote end
 * at once, "no-worker" the worker before READY. */
#ifndef TESTS_FAKE_ZYGOTE_H
#define TESTS_FAKE_ZYGOTE_H

/* Returns at once where the program was not started as a zygote. */
void fake_zygote (int argc, char **argv);

#endif
