/* Addresses as the command line names them. */
#ifndef SYNCGATE_BENCH_URL_H
#define SYNCGATE_BENCH_URL_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>

struct url {
    char scheme[8]; /* ws, wss, http, redis, unix */
    bool tls;
    char user[128], password[256]; /* empty: none */
    char host[256];                /* unix: the path of the socket */
    char port[8];
    char path[512]; /* begins with '/'; may hold %s, which stands for the name */
    struct sockaddr_storage address;
    socklen_t address_len;
};

/* url_parse splits the text and resolves the host (which may wait). NULL, or what is wrong with it. */
const char *url_parse(const char *text, struct url *out);
/* url_path writes the path with `name` in place of %s. False when it does not fit. */
bool url_path(const struct url *u, const char *name, char *out, size_t size);

#endif
