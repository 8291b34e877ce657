/* The first reason stops the socket, the end of the last one lets it go on. */
#include "gateway/net/hold.h"

#include "gateway/net/conn.h"
#include "gateway/net/socket.h"
#include "gateway/observe/metrics.h"

void hold_reading(struct conn *c, enum hold why, bool on)
{
    bool held = c->reading_held;
    c->reading_held = (uint8_t)(on ? c->reading_held | why : c->reading_held & ~why);
    if (held == (c->reading_held != 0))
        return;
    metric_add(METRIC_UNREAD, on ? 1 : -1);
    socket_pause_reading(c, on);
}
