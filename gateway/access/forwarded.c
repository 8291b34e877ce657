/* Networks from text and the walk over X-Forwarded-For. Texts are read anew for each handshake: there are few. */
#include "gateway/access/forwarded.h"

#include <sys/socket.h>

/* A network: the first `bits` bits of the address count. */
struct net {
    struct remote base;
    int64_t bits;
};

static int64_t bits_of(const struct remote *r)
{
    return r->family == AF_INET ? 32 : r->family == AF_INET6 ? 128 : 0;
}

/* The first `bits` bits are the same. */
static bool agree(const uint8_t *a, const uint8_t *b, int64_t bits)
{
    size_t bytes = (size_t)bits / 8, rest = (size_t)bits % 8;
    uint8_t mask = (uint8_t)(0xFF00u >> rest);
    return memcmp(a, b, bytes) == 0 && (rest == 0 || ((a[bytes] ^ b[bytes]) & mask) == 0);
}

static const char *parse_net(const char *text, struct net *out)
{
    struct slice rest = slice_str(text), address = rest;
    *out = (struct net){.base = {.family = AF_UNIX}};
    if (strcmp(text, "unix") == 0)
        return NULL;
    bool has_bits = slice_cut(&rest, '/', &address);
    if (!remote_parse(address, &out->base))
        return "expected a network as in 10.0.0.0/8 or 2001:db8::/32, one address, or unix";
    out->bits = bits_of(&out->base);
    if (memchr(address.ptr, ':', address.len) && out->base.family == AF_INET)
        return "an IPv4 network is written as IPv4: 10.0.0.0/8";
    if (has_bits && (!slice_i64(rest, &out->bits) || out->bits < 0 || out->bits > bits_of(&out->base)))
        return "behind the slash stands how many bits count: 0 to 32, for IPv6 0 to 128";
    for (int64_t bit = out->bits; bit < bits_of(&out->base); bit++) {
        if (out->base.address[bit / 8] & 0x80u >> bit % 8)
            return "the address has bits beyond those that count";
    }
    return NULL;
}

const char *forwarded_check(const char *text)
{
    struct net net;
    return parse_net(text, &net);
}

bool forwarded_trusts(const char *const *trusted, size_t len, const struct remote *r)
{
    struct net net;
    for (size_t i = 0; i < len; i++) {
        if (!parse_net(trusted[i], &net) && net.base.family == r->family &&
            agree(net.base.address, r->address, net.bits))
            return true;
    }
    return false;
}

static struct slice trim(struct slice s)
{
    while (s.len > 0 && (s.ptr[0] == ' ' || s.ptr[0] == '\t'))
        s = slice_of(s.ptr + 1, s.len - 1);
    while (s.len > 0 && (s.ptr[s.len - 1] == ' ' || s.ptr[s.len - 1] == '\t'))
        s.len--;
    return s;
}

/* Takes the last entry off the end of *rest. */
static struct slice take_last(struct slice *rest)
{
    const char *comma = rest->len > 0 ? memrchr(rest->ptr, ',', rest->len) : NULL;
    size_t from = comma ? (size_t)(comma - rest->ptr) + 1 : 0;
    struct slice last = slice_of(rest->ptr + from, rest->len - from);
    rest->len = comma ? from - 1 : 0;
    return trim(last);
}

static bool is_port(struct slice s)
{
    int64_t port;
    return slice_i64(s, &port) && port >= 0 && port <= 65535;
}

/* `address`, `v4:port`, `[v6]` or `[v6]:port`. */
static bool parse_hop(struct slice s, struct remote *out)
{
    struct slice rest = s, head;
    if (s.len > 0 && s.ptr[0] == '[') {
        rest = slice_of(s.ptr + 1, s.len - 1);
        return slice_cut(&rest, ']', &head) &&
               (rest.len == 0 || (rest.ptr[0] == ':' && is_port(slice_of(rest.ptr + 1, rest.len - 1)))) &&
               memchr(head.ptr, ':', head.len) && remote_parse(head, out);
    }
    if (remote_parse(s, out))
        return true;
    return slice_cut(&rest, ':', &head) && is_port(rest) && remote_parse(head, out);
}

struct remote forwarded_client(const char *const *trusted, size_t trusted_len, struct remote peer, struct slice header)
{
    struct remote client = peer, hop;
    while (header.len > 0 && forwarded_trusts(trusted, trusted_len, &client) && parse_hop(take_last(&header), &hop))
        client = hop;
    return client;
}
