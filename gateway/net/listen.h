/* The sockets at which this process listens: addresses of the options, or sockets that were passed. */
#ifndef SYNCGATE_GATEWAY_NET_LISTEN_H
#define SYNCGATE_GATEWAY_NET_LISTEN_H

#include "gateway/core/core.h"

struct lws_context;
struct lws_protocols;
struct lws_vhost;
struct porch;

struct listeners;

/* For every context and vhost. */
extern const struct lws_retry_bo listeners_retry_policy;

/* listeners_new: everything is borrowed for their life. */
struct listeners *listeners_new(struct gateway *g, struct lws_context *context, const struct lws_protocols *protocols,
                                struct porch *porch);
/* listeners_free: after lws_context_destroy. NULL is allowed. */
void listeners_free(struct listeners *ls);
/* listeners_listen: false (logged) when one of the addresses cannot be had. */
bool listeners_listen(struct listeners *ls);
/* listeners_stop closes them; connections stay. */
void listeners_stop(struct listeners *ls);
/* listeners_accepted: a connection came to a listener of this vhost; it goes to the porch. */
void listeners_accepted(struct lws_vhost *vhost, int fd);
/* listeners_vhost: of the door that the porch gives back. */
struct lws_vhost *listeners_vhost(const void *door);
/* listeners_read_certificates: see ws_read_certificates. */
bool listeners_read_certificates(struct listeners *ls);
/* listeners_address: of the first one, for people: "ADDR:PORT" ("*" for every interface) or "unix:PATH". */
const char *listeners_address(const struct listeners *ls);

#endif
