/* Live frames for somebody who looks: a tap copies what passes between this process and its clients, filtered by name or by
 * connection, into a bounded buffer of its own. What does not fit is counted, never waited for. Nobody taps: one comparison. */
#ifndef SYNCGATE_GATEWAY_ADMIN_TAP_H
#define SYNCGATE_GATEWAY_ADMIN_TAP_H

#include "gateway/net/conn.h"
#include "gateway/net/http.h"

enum {
    TAPS_MAX = 4,
    TAP_BUFFER_BYTES = 256 * 1024, /* of one tap */
    TAP_TEXT_BYTES = 1024,         /* of one frame; the rest is cut */
    TAP_FRAMES_PER_SECOND = 2000   /* of one tap */
};

struct taps *taps_new(struct gateway *g);
void taps_free(struct taps *ts); /* all of them must have ended; NULL is allowed */

/* tap_answer begins the endless answer to GET /admin/tap?name=GLOB&conn=ID. */
int tap_answer(const struct http_request *r);
/* taps_open: how many there are. */
size_t taps_open(const struct taps *ts);
/* tap_second: call once a second; says to each tap that it lives, and what it missed. */
void tap_second(struct gateway *g);
/* taps_end: nobody is shown anything more who does not ask again, and is judged again. */
void taps_end(struct gateway *g);

#endif
