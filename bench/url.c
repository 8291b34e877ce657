/* scheme://[user[:password]@]host[:port][/path] and unix:PATH; no percent-escapes. */
#include "bench/url.h"

#include <netdb.h>
#include <stdio.h>
#include <string.h>
#include <sys/un.h>

static const struct {
    const char *scheme;
    bool tls;
    const char *port;
} schemes[] = {
    {"ws", false, "80"},      {"wss", true, "443"},     {"http", false, "80"},
    {"redis", false, "6379"}, {"rediss", true, "6379"},
};

static bool copy(char *out, size_t size, const char *text, size_t len)
{
    if (len >= size)
        return false;
    memcpy(out, text, len);
    out[len] = '\0';
    return true;
}

static const char *parse_unix(const char *path, struct url *out)
{
    struct sockaddr_un *a = (struct sockaddr_un *)(void *)&out->address;
    a->sun_family = AF_UNIX;
    copy(out->scheme, sizeof(out->scheme), "unix", 4);
    if (!copy(out->host, sizeof(out->host), path, strlen(path)) ||
        !copy(a->sun_path, sizeof(a->sun_path), path, strlen(path)))
        return "the path is too long";
    out->address_len = sizeof(*a);
    copy(out->path, sizeof(out->path), "/", 1);
    return NULL;
}

static const char *parse_scheme(const char **text, struct url *out)
{
    const char *colon = strstr(*text, "://");
    if (!colon)
        return "no scheme such as ws:// in front";
    for (size_t i = 0; i < sizeof(schemes) / sizeof(*schemes); i++) {
        size_t len = strlen(schemes[i].scheme);
        if (len != (size_t)(colon - *text) || memcmp(*text, schemes[i].scheme, len) != 0)
            continue;
        copy(out->scheme, sizeof(out->scheme), schemes[i].scheme, len);
        copy(out->port, sizeof(out->port), schemes[i].port, strlen(schemes[i].port));
        out->tls = schemes[i].tls;
        *text = colon + 3;
        return NULL;
    }
    return "the scheme is none of ws, wss, http, redis, rediss, unix";
}

static bool parse_credentials(const char *text, size_t len, struct url *out)
{
    const char *colon = memchr(text, ':', len);
    size_t user = colon ? (size_t)(colon - text) : len;
    return copy(out->user, sizeof(out->user), text, user) &&
           (!colon || copy(out->password, sizeof(out->password), colon + 1, len - user - 1));
}

static bool parse_host(const char *text, size_t len, struct url *out)
{
    if (len > 0 && text[0] == '[') {
        const char *close = memchr(text, ']', len);
        if (!close || !copy(out->host, sizeof(out->host), text + 1, (size_t)(close - text) - 1))
            return false;
        len -= (size_t)(close + 1 - text);
        text = close + 1;
        return len == 0 || (text[0] == ':' && copy(out->port, sizeof(out->port), text + 1, len - 1));
    }
    const char *colon = memchr(text, ':', len);
    size_t host = colon ? (size_t)(colon - text) : len;
    return host > 0 && copy(out->host, sizeof(out->host), text, host) &&
           (!colon || copy(out->port, sizeof(out->port), colon + 1, len - host - 1));
}

static const char *resolve(struct url *out)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *found;
    if (getaddrinfo(out->host, out->port, &hints, &found) != 0)
        return "the host is unknown";
    memcpy(&out->address, found->ai_addr, found->ai_addrlen);
    out->address_len = found->ai_addrlen;
    freeaddrinfo(found);
    return NULL;
}

const char *url_parse(const char *text, struct url *out)
{
    *out = (struct url){0};
    if (strncmp(text, "unix:", 5) == 0)
        return parse_unix(text + 5, out);
    const char *wrong = parse_scheme(&text, out);
    if (wrong)
        return wrong;
    size_t len = strcspn(text, "/");
    if (!copy(out->path, sizeof(out->path), text[len] ? text + len : "/", text[len] ? strlen(text + len) : 1))
        return "the path is too long";
    const char *at = memrchr(text, '@', len);
    if (at) {
        if (!parse_credentials(text, (size_t)(at - text), out))
            return "user or password are too long";
        len -= (size_t)(at + 1 - text);
        text = at + 1;
    }
    if (!parse_host(text, len, out))
        return "no host";
    return resolve(out);
}

bool url_path(const struct url *u, const char *name, char *out, size_t size)
{
    const char *mark = strstr(u->path, "%s");
    int head = mark ? (int)(mark - u->path) : (int)strlen(u->path);
    int len = snprintf(out, size, "%.*s%s%s", head, u->path, mark ? name : "", mark ? mark + 2 : "");
    return len >= 0 && (size_t)len < size;
}
