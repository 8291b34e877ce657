/* The socket of one connection, as far as libwebsockets lets us have it: what conn.c and those above write to and read from. */
#ifndef SYNCGATE_GATEWAY_NET_SOCKET_H
#define SYNCGATE_GATEWAY_NET_SOCKET_H

#include <stdbool.h>
#include <stddef.h>

struct conn;

/* socket_want_write: the connection has something to write; conn_write will be called at the end of this turn. */
void socket_want_write(struct conn *c);
/* socket_kill ends the socket without further ado, from the next timer pass: safe anywhere. */
void socket_kill(struct conn *c);
void socket_pause_reading(struct conn *c, bool pause);

/* socket_want_room: a message is under way in pieces. While this is on conn_write is called whenever the socket has room, and nothing of
 * libwebsockets' own comes between the pieces. */
void socket_want_room(struct conn *c, bool on);

enum socket_result { SOCKET_ALL, SOCKET_PARTIAL, SOCKET_FAILED };
/* socket_write sends frames, whole or in pieces; what the socket does not take stays buffered there (SOCKET_PARTIAL) and must drain before
 * the next call. Only from conn_write. */
enum socket_result socket_write(struct conn *c, const char *bytes, size_t len);
/* socket_buffered: something of the last write still waits. */
bool socket_buffered(const struct conn *c);
/* socket_descriptor: to ask the kernel about it. */
int socket_descriptor(const struct conn *c);

#endif
