/* SPDX-License-Identifier: MIT
 *
 * Where the files of this user are that nobody has named a place for, and the place where
 * broker, nodes and clients of one user on one machine meet: a unix socket in
 * $XDG_RUNTIME_DIR/understudy or /run/user/UID/understudy, where that one is ours and
 * closed to others, else in the state directory under the name of this host, since homes
 * are shared between hosts.
 *
 * Everything returned comes from malloc; the caller frees it. Stands on the system alone. */
#ifndef COMMON_BASE_PLACE_H
#define COMMON_BASE_PLACE_H

/* $XDG_STATE_HOME/understudy or ~/.local/state/understudy. NULL: this user has no home, or
 * memory has ended. Never a place that others can name before us, such as /tmp. */
char *usi_place_state (void);
/* $XDG_CONFIG_HOME/understudy or ~/.config/understudy: settings and keys. NULL: likewise. */
char *usi_place_config (void);
/* The folder of the sockets; it may not be there yet. NULL: memory has ended. */
char *usi_place_sockets (void);
/* ipc://FOLDER/broker.sock: of a broker that nobody told where to listen. NULL: memory. */
char *usi_place_endpoint (void);
/* mkdir -p with mode 0700; 0 or an errno. */
int usi_place_make (const char *path);

#endif
