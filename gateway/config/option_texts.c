/* Texts that have a form of their own. */
#include "gateway/config/option_texts.h"
#include "gateway/access/forwarded.h"
#include "gateway/access/identity.h"
#include "gateway/access/origin.h"
#include "gateway/base/text.h"
#include "protocol/base/alloc.h"
#include "redis/keys.h"
#include "redis/link.h"

#include <arpa/inet.h>
#include <sys/un.h>

/* "ADDR:PORT" in its parts; false when there is no colon, no or no good port. */
static bool split_port(const char *text, struct slice *address)
{
    const char *colon = strrchr(text, ':');
    int64_t port;
    if (!colon || !slice_i64(slice_str(colon + 1), &port) || port < 0 || port > 65535)
        return false;
    *address = slice_of(text, (size_t)(colon - text));
    return true;
}

static bool is_address(int family, struct slice address)
{
    char text[INET6_ADDRSTRLEN];
    unsigned char binary[sizeof(struct in6_addr)];
    if (address.len >= sizeof(text))
        return false;
    memcpy(text, address.ptr, address.len);
    text[address.len] = '\0';
    return inet_pton(family, text, binary) == 1;
}

static bool is_v6_in_brackets(struct slice a)
{
    return a.len > 2 && a.ptr[0] == '[' && a.ptr[a.len - 1] == ']' &&
           is_address(AF_INET6, slice_of(a.ptr + 1, a.len - 2));
}

static char *joined(const char *head, const char *tail)
{
    size_t head_len = strlen(head), tail_len = strlen(tail);
    char *text = sg_malloc(head_len + tail_len + 1);
    memcpy(text, head, head_len);
    memcpy(text + head_len, tail, tail_len + 1);
    return text;
}

static const char *take_unix(const char *path)
{
    if (path[0] == '\0')
        return "a path is missing behind unix:";
    return strlen(path) < sizeof(((struct sockaddr_un *)NULL)->sun_path) ? NULL
                                                                         : "the path of a socket has at most 107 bytes";
}

/* Kept as a literal address, so that nobody further down has to resolve a name. */
const char *option_take_listen(const char *text, char **kept)
{
    if (strncmp(text, "unix:", 5) == 0) {
        const char *why = take_unix(text + 5);
        if (!why)
            *kept = sg_text(text);
        return why;
    }
    struct slice address;
    if (!split_port(text, &address))
        return "expected ADDR:PORT with a port from 0 to 65535, or unix:PATH";
    const char *port = text + address.len;
    if (slice_eq(address, SLICE_LIT("localhost")))
        *kept = joined("127.0.0.1", port);
    else if (slice_eq(address, SLICE_LIT("*")))
        *kept = joined("0.0.0.0", port);
    else if (is_address(AF_INET, address) || is_v6_in_brackets(address))
        *kept = sg_text(text);
    else
        return "the address must be an IPv4 address, an IPv6 address in brackets, localhost or *";
    return NULL;
}

/* An empty text is a choice too: the private server, whatever the file says. */
const char *option_take_redis(const char *text, char **kept)
{
    struct link_config parsed;
    if (text[0] == '\0')
        return NULL;
    const char *why = link_config_parse(text, &parsed);
    if (why)
        return why;
    link_config_deinit(&parsed);
    *kept = sg_text(text);
    return NULL;
}

/* `@` is ours: `<prefix>@{calls}` must not be a name under another prefix. */
const char *option_take_prefix(const char *text, char **kept)
{
    const char *why = keys_prefix_fault(text);
    if (why)
        return why;
    if (!text_is_printable(slice_str(text)))
        return "a prefix is printable text";
    *kept = sg_text(text);
    return NULL;
}

const char *option_take_proxy(const char *text, char **kept)
{
    const char *why = forwarded_check(text);
    if (!why)
        *kept = sg_text(text);
    return why;
}

const char *option_take_origin(const char *text, char **kept)
{
    const char *why = origin_check(text);
    if (!why)
        *kept = sg_text(text);
    return why;
}

static const char *check_pattern(const char *text)
{
    if (text[0] == '\0' || strlen(text) > 512)
        return "a pattern has 1 to 512 bytes, as a name has";
    return text_is_printable(slice_str(text)) ? NULL : "a pattern holds no control characters";
}

const char *option_check_glob(const char *text)
{
    const char *why = check_pattern(text);
    return why || !strpbrk(text, "{}") ? why : "a pattern holds no braces, no name does";
}

const char *option_check_user_glob(const char *text)
{
    const char *why = check_pattern(text);
    return why ? why : identity_check_places(text);
}
