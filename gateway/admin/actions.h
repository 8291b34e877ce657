/* What an admin may do to a running gateway. Answers to POST requests below /admin/; each leaves a line in the log that says who
 * did what. */
#ifndef SYNCGATE_GATEWAY_ADMIN_ACTIONS_H
#define SYNCGATE_GATEWAY_ADMIN_ACTIONS_H

#include "gateway/net/http.h"

/* The close code of a connection that an operator closed. */
enum { ACTIONS_CLOSE_CODE = 4000 };

/* /admin/drain */
int actions_drain(const struct http_request *r);
/* /admin/connection/close?id=ID&worker=N; the body is the reason, at most 123 bytes of printable text. */
int actions_close(const struct http_request *r);

#endif
