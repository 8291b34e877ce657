/* Texts are read anew for each handshake: there are few. Whatever is not read in full matches nothing. */
#include "gateway/access/origin.h"

#include <strings.h>
#include <sys/socket.h>

#include "gateway/access/remote.h"

enum { NO_PORT = -1, ANY_PORT = -2, PORT_DIGITS_MAX = 5 };

/* HOST, HOST:PORT, [V6] or [V6]:PORT. */
struct authority {
    struct slice host; /* with its brackets */
    int64_t port;      /* NO_PORT, in a pattern also ANY_PORT */
};

struct origin {
    struct slice scheme;
    bool below; /* a pattern: the hosts below this one */
    struct authority at;
};

static struct slice skip(struct slice s, size_t n)
{
    return slice_of(s.ptr + n, s.len - n);
}

static bool same_text(struct slice a, struct slice b)
{
    return a.len == b.len && strncasecmp(a.ptr, b.ptr, a.len) == 0;
}

static bool is_alphanumeric(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool consists_of(struct slice s, const char *others)
{
    for (size_t i = 0; i < s.len; i++) {
        if (!is_alphanumeric(s.ptr[i]) && (s.ptr[i] == '\0' || !strchr(others, s.ptr[i])))
            return false;
    }
    return s.len > 0;
}

/* --- reading ---------------------------------------------------------------------------------------------- */

static bool is_v6(struct slice host, struct remote *out)
{
    return host.len > 2 && host.ptr[0] == '[' && host.ptr[host.len - 1] == ']' && memchr(host.ptr, ':', host.len) &&
           remote_parse(slice_of(host.ptr + 1, host.len - 2), out);
}

static bool take_host(struct slice *rest, struct slice *host)
{
    struct remote ignored;
    const char *end = rest->len > 0 && rest->ptr[0] == '[' ? memchr(rest->ptr, ']', rest->len) : NULL;
    const char *colon = end ? NULL : memchr(rest->ptr, ':', rest->len);
    size_t len = end ? (size_t)(end - rest->ptr) + 1 : colon ? (size_t)(colon - rest->ptr) : rest->len;
    *host = slice_of(rest->ptr, len);
    *rest = skip(*rest, len);
    return end ? is_v6(*host, &ignored) : consists_of(*host, "-._~");
}

/* `:`, `:80` or nothing; in a pattern `:*`. */
static bool take_port(struct slice rest, bool pattern, int64_t *port)
{
    *port = NO_PORT;
    if (rest.len == 0)
        return true;
    if (rest.ptr[0] != ':')
        return false;
    rest = skip(rest, 1);
    if (pattern && slice_eq(rest, SLICE_LIT("*"))) {
        *port = ANY_PORT;
        return true;
    }
    return rest.len == 0 || (rest.len <= PORT_DIGITS_MAX && slice_i64(rest, port) && *port >= 0 && *port <= 65535);
}

static bool read_authority(struct slice text, bool pattern, struct authority *out)
{
    return text.len > 0 && take_host(&text, &out->host) && take_port(text, pattern, &out->port);
}

static bool read_origin(const char *text, bool pattern, struct origin *out)
{
    const char *end = strstr(text, "://");
    *out = (struct origin){0};
    if (!end)
        return false;
    struct slice rest = slice_str(end + 3);
    out->scheme = slice_of(text, (size_t)(end - text));
    if (pattern && rest.len > 2 && memcmp(rest.ptr, "*.", 2) == 0) {
        out->below = true;
        rest = skip(rest, 2);
    }
    return consists_of(out->scheme, "+-.") && read_authority(rest, pattern, &out->at);
}

static const char same_host[] = "same-host", opaque[] = "null", any[] = "*";

const char *origin_check(const char *text)
{
    struct origin o;
    const char *path = strstr(text, "://");
    if (strcmp(text, same_host) == 0 || strcmp(text, opaque) == 0 || strcmp(text, any) == 0 ||
        read_origin(text, true, &o))
        return NULL;
    return path && strchr(path + 3, '/') ? "an origin ends behind the host and its port: https://example.com"
                                         : "expected an origin as in https://example.com, https://*.example.com or "
                                           "http://localhost:*, or same-host, null or *";
}

/* --- comparing -------------------------------------------------------------------------------------------- */

/* A port that goes without saying, NO_PORT for schemes that have none. */
static int64_t port_of(struct slice scheme, int64_t port)
{
    if (port != NO_PORT)
        return port;
    return same_text(scheme, SLICE_LIT("http")) ? 80 : same_text(scheme, SLICE_LIT("https")) ? 443 : NO_PORT;
}

/* IPv6 addresses can be written in many ways. */
static bool same_name(struct slice a, struct slice b)
{
    struct remote x, y;
    if (is_v6(a, &x) && is_v6(b, &y))
        return x.family == y.family && memcmp(x.address, y.address, x.family == AF_INET ? 4 : sizeof(x.address)) == 0;
    return same_text(a, b);
}

static bool is_below(struct slice host, struct slice above)
{
    return host.len > above.len + 1 && host.ptr[host.len - above.len - 1] == '.' &&
           same_text(skip(host, host.len - above.len), above);
}

static bool matches(const char *text, const struct origin *page)
{
    struct origin p;
    return read_origin(text, true, &p) && same_text(p.scheme, page->scheme) &&
           (p.below ? is_below(page->at.host, p.at.host) : same_name(page->at.host, p.at.host)) &&
           (p.at.port == ANY_PORT || port_of(p.scheme, p.at.port) == port_of(page->scheme, page->at.port));
}

static bool is_local_host(struct slice host)
{
    static const char *const names[] = {"localhost", "127.0.0.1", "[::1]"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (same_name(host, slice_str(names[i])))
            return true;
    }
    return is_below(host, SLICE_LIT("localhost")); /* RFC 6761: nobody else's */
}

bool origin_is_local(const char *host)
{
    struct authority at;
    return read_authority(slice_str(host), false, &at) &&
           (is_local_host(at.host) || same_text(at.host, SLICE_LIT("unix")));
}

/* The Host header has no scheme: TLS may have ended in a balancer, so it is the page's. */
bool origin_is_of(const char *origin, const char *host)
{
    struct origin page;
    struct authority at;
    return read_origin(origin, false, &page) && read_authority(slice_str(host), false, &at) &&
           same_name(page.at.host, at.host) && port_of(page.scheme, page.at.port) == port_of(page.scheme, at.port);
}

static bool allows(const struct origin_rule *rule, const char *text, const char *origin, const char *host)
{
    struct origin page;
    if (strcmp(text, any) == 0)
        return true;
    if (strcmp(text, same_host) == 0)
        return origin_is_of(origin, host) && (!rule->dev || !rule->loopback || origin_is_local(host));
    if (strcmp(text, opaque) == 0)
        return strcmp(origin, opaque) == 0;
    return read_origin(origin, false, &page) && matches(text, &page);
}

bool origin_allowed(const struct origin_rule *rule, const char *origin, const char *host)
{
    struct origin page;
    if (!origin)
        return true;
    if (rule->dev && origin_is_local(host) && read_origin(origin, false, &page) && is_local_host(page.at.host))
        return true;
    for (size_t i = 0; i < rule->allowed_len; i++) {
        if (allows(rule, rule->allowed[i], origin, host))
            return true;
    }
    return false;
}
