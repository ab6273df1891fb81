/*
 * Servers of a test's own, which it may kill and start again on the same port. They end with the
 * test at the latest.
 */
#ifndef SERVER_H
#define SERVER_H

#include "test.h"

#include <sys/types.h>

enum server_kind {
    SERVER_FAULT, /* the paths are in fault-server/main.rs */
    SERVER_NGINX, /* HTTP/1.1; the files of WWW_DIR, and again below /rate/64k/, slowly */
};

struct server {
    enum server_kind kind;
    int port;
    pid_t process; /* 0 while it does not run */
    int input;     /* the fault server ends when this is closed */
};

/* Starts one on 127.0.0.1; it listens when this returns. */
struct server server_start(enum server_kind kind);
/* SIGKILL, at once: every connection breaks, the port is closed when this returns. */
void server_kill(struct server *server);
/* Starts a server that was killed again, on its port; of what it did before it knows nothing. */
void server_restart(struct server *server);
const char *server_url(const struct server *server, const char *path_and_query);

#endif
