/* Where a peer is: an IP address or a unix socket. Small, because every connection has one. */
#ifndef SYNCGATE_GATEWAY_ACCESS_REMOTE_H
#define SYNCGATE_GATEWAY_ACCESS_REMOTE_H

#include "protocol/base/slice.h"

struct remote {
    uint8_t family;      /* AF_INET, AF_INET6, AF_UNIX; AF_UNSPEC: not known */
    uint8_t address[16]; /* in network order; IPv4 the first four. An IPv4-mapped IPv6 address is kept as IPv4 */
};

/* remote_of_socket: who is at the other end; AF_UNSPEC when nobody is any more. */
struct remote remote_of_socket(int fd);
/* remote_parse reads `192.0.2.1` or `2001:db8::1`; false when it is neither. */
bool remote_parse(struct slice text, struct remote *out);
/* remote_network writes what counts as one place: the family, and the IPv4 address or the /64 of IPv6. Returns how many bytes. */
enum { REMOTE_NETWORK_BYTES = 9 };
size_t remote_network(const struct remote *r, unsigned char key[REMOTE_NETWORK_BYTES]);
/* remote_is_local: loopback or a unix socket. */
bool remote_is_local(const struct remote *r);
/* remote_text: as one would write it, or "unix", or "unknown". Valid until the next call. */
const char *remote_text(const struct remote *r);

#endif
