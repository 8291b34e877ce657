/* SIGHUP: the configuration is read again and taken over without closing a connection, or refused as a whole. */
#ifndef SYNCGATE_GATEWAY_LIFECYCLE_RELOAD_H
#define SYNCGATE_GATEWAY_LIFECYCLE_RELOAD_H

#include "gateway/core/core.h"

struct reload_events {
    void (*changed)(void *arg);   /* g->opt is another: what was derived from it once is to be set */
    void (*regranted)(void *arg); /* and all connections have the grants that it gives them */
};

struct reload *reload_new(struct gateway *g, const struct reload_events *on, void *arg);
/* reload_free: g->opt must not be used afterwards, and every connection must be gone. */
void reload_free(struct reload *r);

/* reload_now reads flags, environment and file again, and the certificates. What is wrong is logged, and then everything stays as
 * it is. Otherwise: new options count at once, connections get the grants that their tokens have now (conn_regrant), and options
 * that cannot change are named in a warning. */
void reload_now(struct reload *r);

/* reload_options: the options as reload_now would take them, or NULL; both after the same lines in the log. The caller's, by
 * options_retire. */
struct options *reload_options(const struct options *now);

#endif
