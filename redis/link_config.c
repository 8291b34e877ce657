/* The address of a Redis: redis://, rediss:// and unix: URLs taken apart.
 * No sentence that is returned contains a part of the URL: it may hold a password. */
#include "redis/link.h"

#include <stdlib.h>
#include <sys/un.h>

#include "protocol/base/alloc.h"

void link_config_deinit(struct link_config *c)
{
    free((char *)c->host);
    free((char *)c->unix_path);
    free((char *)c->user);
    if (c->password)
        explicit_bzero((char *)c->password, strlen(c->password));
    free((char *)c->password);
    free((char *)c->tls_ca_file);
    *c = (struct link_config){.port = 0};
}

static int hex_digit(char c)
{
    static const char digits[] = "0123456789abcdef";
    const char *at = c ? strchr(digits, c >= 'A' && c <= 'F' ? c - 'A' + 'a' : c) : NULL;
    return at ? (int)(at - digits) : -1;
}

/* unescape returns an allocated copy without %XX, NULL when an escape is broken or stands for a NUL. */
static char *unescape(struct slice text)
{
    char *out = sg_malloc(text.len + 1);
    size_t len = 0;
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];
        if (c == '%') {
            int high = i + 2 < text.len ? hex_digit(text.ptr[i + 1]) : -1;
            int low = high >= 0 ? hex_digit(text.ptr[i + 2]) : -1;
            if (low < 0 || (high == 0 && low == 0)) {
                free(out);
                return NULL;
            }
            c = (char)(high * 16 + low);
            i += 2;
        }
        out[len++] = c;
    }
    out[len] = '\0';
    return out;
}

static const char *parse_user(struct slice user, struct link_config *out)
{
    struct slice name;
    if (!slice_cut(&user, ':', &name))
        return "a user needs a password: user:password@host, or :password@host";
    if (name.len > 0 && !(out->user = unescape(name)))
        return "the user name has a broken %-escape";
    if (!(out->password = unescape(user)))
        return "the password has a broken %-escape";
    return user.len ? NULL : "the password is empty";
}

static const char *parse_port(struct slice text, struct link_config *out)
{
    int64_t port;
    if (!slice_i64(text, &port) || port < 1 || port > 65535)
        return "the port is not a number from 1 to 65535";
    out->port = (int)port;
    return NULL;
}

/* HOST, HOST:PORT, [IPV6], [IPV6]:PORT */
static const char *parse_host(struct slice text, struct link_config *out)
{
    struct slice host = text, port = SLICE_NONE;
    bool has_port = false;
    if (text.len > 0 && text.ptr[0] == '[') {
        struct slice rest = slice_of(text.ptr + 1, text.len - 1);
        if (!slice_cut(&rest, ']', &host))
            return "the address lacks its closing bracket";
        has_port = rest.len > 0;
        if (has_port && rest.ptr[0] != ':')
            return "after the address comes :port or nothing";
        port = has_port ? slice_of(rest.ptr + 1, rest.len - 1) : rest;
    } else {
        port = text;
        has_port = slice_cut(&port, ':', &host);
    }
    if (host.len == 0 || host.len > 255)
        return "the host is missing or too long";
    if (memchr(host.ptr, '%', host.len) || memchr(host.ptr, ' ', host.len) || memchr(host.ptr, '\0', host.len))
        return "the host has characters that no host has";
    out->host = sg_memdup(host.ptr, host.len);
    out->port = 6379;
    return has_port ? parse_port(port, out) : NULL;
}

static const char *parse_db(struct slice text, struct link_config *out)
{
    int64_t db;
    if (!slice_i64(text, &db) || db < 0 || db > INT32_MAX)
        return "after the host comes /N with the number of the database, or nothing";
    out->db = (int)db;
    return NULL;
}

/* The last @ ends the user: a password may contain some that are not escaped. */
static const char *parse_authority(struct slice text, struct link_config *out)
{
    const char *at = text.len ? memrchr(text.ptr, '@', text.len) : NULL;
    if (!at)
        return parse_host(text, out);
    size_t len = (size_t)(at - text.ptr);
    const char *wrong = parse_user(slice_of(text.ptr, len), out);
    return wrong ? wrong : parse_host(slice_of(at + 1, text.len - len - 1), out);
}

static const char *parse_network(struct slice text, struct link_config *out)
{
    struct slice rest = text, authority = text;
    const char *wrong = NULL;
    if (slice_cut(&rest, '/', &authority) && rest.len > 0)
        wrong = parse_db(rest, out);
    return wrong ? wrong : parse_authority(authority, out);
}

static const char *parse_unix(struct slice path, struct link_config *out)
{
    if (path.len == 0 || path.len >= sizeof((struct sockaddr_un *)0)->sun_path)
        return "the path of the socket is missing or too long";
    out->unix_path = sg_memdup(path.ptr, path.len);
    return NULL;
}

static const char *parse_tls(struct slice text, struct link_config *out)
{
    out->tls = true;
    return parse_network(text, out);
}

static const struct scheme {
    const char *prefix;
    const char *(*parse)(struct slice rest, struct link_config *out);
} schemes[] = {
    {"redis://", parse_network},
    {"rediss://", parse_tls},
    {"unix:", parse_unix},
};

const char *link_config_parse(const char *url, struct link_config *out)
{
    struct slice text = slice_str(url);
    *out = (struct link_config){.port = 0};
    for (size_t i = 0; i < sizeof schemes / sizeof schemes[0]; i++) {
        size_t len = strlen(schemes[i].prefix);
        if (strncmp(url, schemes[i].prefix, len) != 0)
            continue;
        const char *wrong = schemes[i].parse(slice_of(text.ptr + len, text.len - len), out);
        if (wrong)
            link_config_deinit(out);
        return wrong;
    }
    return "a Redis address begins with redis://, rediss:// or unix:";
}
