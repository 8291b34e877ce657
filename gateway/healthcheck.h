/* `syncgate --healthcheck [URL]`: asks a gateway that runs whether it is well, as containers and supervisors want it: one HTTP
 * request, the answer is the exit code. No library, no loop. */
#ifndef SYNCGATE_GATEWAY_HEALTHCHECK_H
#define SYNCGATE_GATEWAY_HEALTHCHECK_H

enum { HEALTHCHECK_LIMIT_S = 3 };

/* Where to ask and what for. */
struct healthcheck {
    char host[256];    /* a name or a literal address without brackets; "" for a socket */
    char port[8];      /* decimal */
    char socket[108];  /* the path of a unix socket; "" for a host */
    char target[1024]; /* "/healthz" */
};

/* healthcheck_parse reads a listen address as the option keeps it (ADDR:PORT, [V6]:PORT, unix:PATH; a wildcard address means
 * loopback; the target is /healthz) or http://HOST[:PORT][/TARGET]. Returns what is wrong, or NULL. */
const char *healthcheck_parse(const char *text, struct healthcheck *out);

/* healthcheck_run asks, prints one line on standard error when the answer is no, and returns the exit code of the program: 0
 * when the answer was 200. Takes HEALTHCHECK_LIMIT_S at most, then ends the process with 1. */
int healthcheck_run(const char *text);

#endif
