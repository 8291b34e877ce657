/* The names that a process holds, and one of them with what Redis has of it. Answers to GET requests below /admin/. */
#ifndef SYNCGATE_GATEWAY_ADMIN_NAMES_H
#define SYNCGATE_GATEWAY_ADMIN_NAMES_H

#include "gateway/net/http.h"

struct names;

struct names *names_new(struct gateway *g);
/* names_leave ends what waits for other gateways, while the link is still there; names_free comes after link_free, when no answer is to
 * come. */
void names_leave(struct names *n);
void names_free(struct names *n);

/* /admin/names?limit=N&after=CURSOR&match=GLOB&order=none|subscribers|size|changed */
int names_answer(const struct http_request *r);
/* /admin/name?kind=var|list&name=NAME&first=N */
int names_answer_one(const struct http_request *r);

#endif
