/* SockSync, plain messages, Socket.IO 4, MQTT 3.1.1 and NATS, as far as subscribing and publishing go. */
#include "bench/dialect.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define STARTS(p, len, literal) ((len) >= sizeof(literal) - 1 && memcmp((p), (literal), sizeof(literal) - 1) == 0)

/* --- SockSync --- */

static void put_json_name(struct bytes *out, const char *name)
{
    bytes_put(out, "\"", 1);
    for (; *name; name++) {
        if (*name == '"' || *name == '\\')
            bytes_put(out, "\\", 1);
        bytes_put(out, name, 1);
    }
    bytes_put(out, "\"", 1);
}

static void put_rate(struct bytes *out, const struct options *o)
{
    if (o->max_rate > 0)
        bytes_format(out, ",\"max_rate\":%lld", (long long)o->max_rate);
    bytes_text(out, "}");
}

static void var_open(struct client *c, const char *name, struct bytes *out)
{
    if (c->publisher) {
        client_is_ready(c);
        return;
    }
    bytes_text(out, "{\"func\":\"subscribe\",\"type\":\"var\",\"name\":");
    put_json_name(out, name);
    put_rate(out, c->all->opt);
}

/* What is no data: functions that somebody serves, errors. True when it was such a thing. */
static bool aside(struct client *c, const char *p, size_t len)
{
    if (STARTS(p, len, "{\"func\":\"set\"") || STARTS(p, len, "{\"func\":\"set_") ||
        STARTS(p, len, "{\"func\":\"ins") || STARTS(p, len, "{\"func\":\"del"))
        return false;
    if (STARTS(p, len, "{\"func\":\"error\"")) {
        if (c->state == CLIENT_SUBSCRIBING)
            client_fail(c, "the server answered", p, len);
        else
            client_error(c, p, len);
    }
    return true;
}

static void var_message(struct client *c, const char *p, size_t len, int64_t now_ns)
{
    if (client_mark(c, p, len, now_ns) > 0) {
        if (c->state == CLIENT_SUBSCRIBING)
            client_is_ready(c);
        return;
    }
    if (aside(c, p, len))
        return;
    if (c->state == CLIENT_SUBSCRIBING)
        client_is_ready(c);
    else
        c->all->unmarked++;
}

static void var_publish(struct bytes *out, const char *name, const char *payload, size_t len)
{
    bytes_text(out, "{\"func\":\"set\",\"type\":\"var\",\"name\":");
    put_json_name(out, name);
    bytes_text(out, ",\"value\":");
    bytes_put(out, payload, len);
    bytes_text(out, "}");
}

static void list_open(struct client *c, const char *name, struct bytes *out)
{
    bytes_text(out, "{\"func\":\"subscribe\",\"type\":\"list\",\"name\":");
    put_json_name(out, name);
    put_rate(out, c->all->opt);
}

static void list_turn_page(struct client *c)
{
    const struct options *o = c->all->opt;
    struct bytes message = {0};
    char name[NAME_BYTES_MAX];
    options_name(o, c->name, name);
    bytes_text(&message, "{\"func\":\"get\",\"type\":\"list\",\"name\":");
    put_json_name(&message, name);
    bytes_format(&message, ",\"page\":%lld,\"page_size\":%lld}", (long long)(c->number % o->windows),
                 (long long)o->page_size);
    client_send(c, WS_TEXT, message.ptr, message.len);
    bytes_deinit(&message);
}

/* The length of the list is near the front, except in a set_all whose name is long. */
static int64_t total_in(const char *p, size_t len)
{
    static const char key[] = "\"total_item_count\":";
    const char *found = memmem(p, len, key, sizeof(key) - 1);
    if (!found)
        return -1;
    int64_t n = 0;
    for (const char *d = found + sizeof(key) - 1; d < p + len && *d >= '0' && *d <= '9' && n < INT64_MAX / 100; d++)
        n = n * 10 + (*d - '0');
    return n;
}

static void list_message(struct client *c, const char *p, size_t len, int64_t now_ns)
{
    if (aside(c, p, len) || !STARTS(p, len, "{\"func\":\"set_"))
        return;
    bool whole = STARTS(p, len, "{\"func\":\"set_all\"");
    if (c->state == CLIENT_SUBSCRIBING && whole) {
        if (++c->answers == 1)
            list_turn_page(c);
        else
            client_is_ready(c);
    }
    int64_t total = total_in(p, len);
    if (total >= 0)
        c->all->events.counted(c, total, now_ns);
}

/* --- plain messages --- */

static void raw_open(struct client *c, const char *name, struct bytes *out)
{
    (void)name;
    (void)out;
    client_is_ready(c);
}

static void raw_message(struct client *c, const char *p, size_t len, int64_t now_ns)
{
    if (client_mark(c, p, len, now_ns) == 0)
        c->all->unmarked++;
}

/* --- Socket.IO 4 over the WebSocket transport --- */

static void nothing_to_say(struct client *c, const char *name, struct bytes *out)
{
    (void)c;
    (void)name;
    (void)out;
}

static void socketio_message(struct client *c, const char *p, size_t len, int64_t now_ns)
{
    if (len > 0 && p[0] == '0')
        client_send(c, WS_TEXT, "40", 2); /* opened: join the main namespace */
    else if (STARTS(p, len, "40"))
        client_is_ready(c);
    else if (len > 0 && p[0] == '2')
        client_send(c, WS_TEXT, "3", 1); /* ping */
    else if (STARTS(p, len, "42"))
        c->all->unmarked += client_mark(c, p, len, now_ns) == 0;
    else
        client_error(c, p, len);
}

/* --- MQTT 3.1.1 --- */

static void mqtt_length(struct bytes *out, size_t len)
{
    do {
        unsigned char digit = len & 0x7f;
        len >>= 7;
        digit = (unsigned char)(digit | (len ? 0x80U : 0U));
        bytes_put(out, &digit, 1);
    } while (len > 0);
}

static void mqtt_text(struct bytes *out, const char *text)
{
    size_t len = strlen(text);
    const unsigned char head[2] = {(unsigned char)(len >> 8), (unsigned char)len};
    bytes_put(out, head, 2);
    bytes_put(out, text, len);
}

static void mqtt_open(struct client *c, const char *name, struct bytes *out)
{
    static const unsigned char connect[] = {0, 4, 'M', 'Q', 'T', 'T', 4, 2, 0, 0}; /* clean session, no keep alive */
    char id[32];
    const char *topic = c->publisher ? "none" : name;
    snprintf(id, sizeof(id), "b%lld%s", (long long)c->number, c->publisher ? "p" : "");
    bytes_put(out, "\x10", 1);
    mqtt_length(out, sizeof(connect) + 2 + strlen(id));
    bytes_put(out, connect, sizeof(connect));
    mqtt_text(out, id);
    bytes_put(out, "\x82", 1);
    mqtt_length(out, 2 + 2 + strlen(topic) + 1);
    bytes_put(out, "\0\1", 2);
    mqtt_text(out, topic);
    bytes_put(out, "\0", 1);
}

static void mqtt_message(struct client *c, const char *p, size_t len, int64_t now_ns)
{
    unsigned char type = len > 0 ? (unsigned char)p[0] & 0xf0 : 0;
    if (type == 0x30)
        c->all->unmarked += client_marks(c, p, len, now_ns) == 0;
    else if (type == 0x90 || (type == 0x20 && len > 4))
        client_is_ready(c); /* SUBACK, alone or behind CONNACK */
}

static void mqtt_publish(struct bytes *out, const char *name, const char *payload, size_t len)
{
    bytes_put(out, "\x30", 1);
    mqtt_length(out, 2 + strlen(name) + len);
    mqtt_text(out, name);
    bytes_put(out, payload, len);
}

/* --- NATS --- */

static void nats_open(struct client *c, const char *name, struct bytes *out)
{
    bytes_text(out, "CONNECT {\"verbose\":false,\"pedantic\":false,\"protocol\":1}\r\n");
    if (!c->publisher)
        bytes_format(out, "SUB %s 1\r\n", name);
    bytes_text(out, "PING\r\n");
}

static void nats_message(struct client *c, const char *p, size_t len, int64_t now_ns)
{
    if (client_marks(c, p, len, now_ns) > 0)
        return;
    if (STARTS(p, len, "PING"))
        client_send(c, WS_BINARY, "PONG\r\n", 6);
    else if (c->state == CLIENT_SUBSCRIBING && memmem(p, len, "PONG\r\n", 6))
        client_is_ready(c);
    else if (STARTS(p, len, "-ERR"))
        client_error(c, p, len);
}

static void nats_publish(struct bytes *out, const char *name, const char *payload, size_t len)
{
    bytes_format(out, "PUB %s %zu\r\n", name, len);
    bytes_put(out, payload, len);
    bytes_text(out, "\r\n");
}

static const struct dialect dialects[KIND_COUNT] = {
    [KIND_VAR] = {"socksync.v1", WS_TEXT, "/ws", var_open, var_message, var_publish},
    [KIND_LIST] = {"socksync.v1", WS_TEXT, "/ws", list_open, list_message, NULL},
    [KIND_RAW] = {NULL, WS_TEXT, "/", raw_open, raw_message, NULL},
    [KIND_SOCKETIO] = {NULL, WS_TEXT, "/socket.io/?EIO=4&transport=websocket", nothing_to_say, socketio_message, NULL},
    [KIND_MQTT] = {"mqtt", WS_BINARY, "/mqtt", mqtt_open, mqtt_message, mqtt_publish},
    [KIND_NATS] = {NULL, WS_BINARY, "/", nats_open, nats_message, nats_publish},
};

const struct dialect *dialect_of(enum kind kind)
{
    return &dialects[kind];
}
