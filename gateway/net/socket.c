/* libwebsockets' functions for one connection, and those of its event loop. */
#include "gateway/net/socket.h"

#include <libwebsockets.h>

#include "gateway/net/conn.h"
#include "gateway/net/evlib.h"

void socket_want_write(struct conn *c)
{
    evlib_want_write(c->gw->evlib, c->wsi);
}

void socket_want_room(struct conn *c, bool on)
{
    evlib_want_room(c->gw->evlib, c->wsi, on);
}

void socket_kill(struct conn *c)
{
    lws_set_timeout(c->wsi, PENDING_TIMEOUT_USER_REASON_BASE, LWS_TO_KILL_ASYNC);
}

void socket_pause_reading(struct conn *c, bool pause)
{
    lws_rx_flow_control(c->wsi, pause ? 0 : 1);
}

enum socket_result socket_write(struct conn *c, const char *bytes, size_t len)
{
    /* Raw mode: the frames bring their headers. libwebsockets does not change the bytes, it only lacks the const. */
    if (lws_write(c->wsi, (unsigned char *)(uintptr_t)bytes, len, LWS_WRITE_RAW) < 0)
        return SOCKET_FAILED;
    return lws_partial_buffered(c->wsi) ? SOCKET_PARTIAL : SOCKET_ALL;
}

bool socket_buffered(const struct conn *c)
{
    return lws_partial_buffered(c->wsi);
}

int socket_descriptor(const struct conn *c)
{
    return lws_get_socket_fd(c->wsi);
}
