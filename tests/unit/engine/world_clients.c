/* The clients' sockets, and what clients say. */
#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "gateway/net/pace.h"
#include "gateway/net/socket.h"
#include "gateway/observe/kernel.h"
#include "gateway/state/subscriber.h"
#include "protocol/dialects.h"
#include "tests/unit/engine/world_parts.h"

enum { HEARD_MAX = 1 << 20 }; /* bytes of what a client heard that are kept */

struct world_client world_clients[WORLD_CLIENTS];
const struct dialect *world_dialect;
uint64_t world_turns;

static struct {
    struct conn *writing[WORLD_CLIENTS]; /* want a write in this turn */
    struct buf pending[WORLD_CLIENTS];   /* written, and not taken by the socket */
    struct buf inbox[WORLD_CLIENTS];     /* taken, and not a whole message yet */
    struct buf heard[WORLD_CLIENTS];     /* texts, a line each, as far as there is room */
    bool wants_room[WORLD_CLIENTS], kill[WORLD_CLIENTS];
    struct grants grants[WORLD_CLIENTS][2]; /* the ones of now, and those before */
    int grants_at[WORLD_CLIENTS];
} w;

/* --- sockets --- */

static int client_of(const struct conn *c)
{
    for (int i = 0; i < WORLD_CLIENTS; i++)
        if (world_clients[i].conn == c)
            return i;
    abort();
}

void socket_want_write(struct conn *c)
{
    w.writing[client_of(c)] = c;
}

void socket_want_room(struct conn *c, bool on)
{
    w.wants_room[client_of(c)] = on;
}

void socket_kill(struct conn *c)
{
    w.kill[client_of(c)] = true;
}

/* Its clients here say what they want all the same: what one read of a socket brought is dealt with still. */
void socket_pause_reading(struct conn *c, bool pause)
{
    (void)c;
    (void)pause;
}

/* One WebSocket frame off the front; false: it is not whole. */
static bool take_frame(struct world_client *c, struct buf *in)
{
    const unsigned char *p = (const unsigned char *)in->ptr;
    if (in->len < 2)
        return false;
    size_t head = p[1] == 126 ? 4 : p[1] == 127 ? 10 : 2, len = p[1];
    if (in->len < head)
        return false;
    if (head > 2)
        len = 0;
    for (size_t i = 2; i < head; i++)
        len = len << 8 | p[i];
    if (in->len < head + len)
        return false;
    if (c->closed)
        wrong("something behind the close");
    if ((p[0] & 0x0F) == 1) {
        int client = (int)(c - world_clients);
        struct buf *heard = &w.heard[client];
        buf_put(heard, in->ptr + head, len);
        buf_put_char(heard, '\n');
        world_trace("%d < %.*s", client, (int)len, in->ptr + head);
        client_hears(c, slice_of(in->ptr + head, len));
    }
    if ((p[0] & 0x0F) == 8) {
        c->closed = (unsigned char)in->ptr[head] << 8 | (unsigned char)in->ptr[head + 1];
        client_closed(c, slice_of(in->ptr + head + 2, len - 2));
    }
    memmove(in->ptr, in->ptr + head + len, in->len - head - len);
    in->len -= head + len;
    return true;
}

static void client_takes(int client, struct slice bytes)
{
    struct buf *in = &w.inbox[client];
    buf_put_slice(in, bytes);
    while (take_frame(&world_clients[client], in))
        ;
}

/* What the socket takes of what waits. */
static void drain(int client)
{
    struct world_client *c = &world_clients[client];
    struct buf *pending = &w.pending[client];
    size_t n = pending->len < c->room ? pending->len : c->room;
    if (!n)
        return;
    if (c->room != SIZE_MAX)
        c->room -= n;
    client_takes(client, slice_of(pending->ptr, n));
    memmove(pending->ptr, pending->ptr + n, pending->len - n);
    pending->len -= n;
}

enum socket_result socket_write(struct conn *c, const char *bytes, size_t len)
{
    int client = client_of(c);
    assert(w.pending[client].len == 0);
    buf_put(&w.pending[client], bytes, len);
    drain(client);
    return w.pending[client].len ? SOCKET_PARTIAL : SOCKET_ALL;
}

bool socket_buffered(const struct conn *c)
{
    return w.pending[client_of(c)].len > 0;
}

int socket_descriptor(const struct conn *c)
{
    return client_of(c);
}

bool kernel_has_room(int fd)
{
    return world_clients[fd].room > 0;
}

uint64_t kernel_unsent(int fd)
{
    (void)fd;
    return 0;
}

static void gone(int client)
{
    struct world_client *c = &world_clients[client];
    conn_dead(c->conn, 0);
    c->conn = NULL;
    c->njobs = 0;
    caller_gone(client);
    w.writing[client] = NULL;
    w.wants_room[client] = w.kill[client] = false;
    buf_reset(&w.pending[client]);
    buf_reset(&w.inbox[client]);
}

static void write_to(int client)
{
    struct world_client *c = &world_clients[client];
    w.writing[client] = NULL;
    if (c->conn && !w.pending[client].len && !conn_write(c->conn))
        gone(client);
}

static void write_all(void)
{
    bool again = true;
    while (again) {
        again = false;
        for (int i = 0; i < WORLD_CLIENTS; i++)
            if (w.writing[i]) {
                write_to(i);
                again = true;
            }
    }
}

/* Nothing is on its way to it, and everything that it asked for was answered. */
static bool is_settled(int client)
{
    const struct conn *c = world_clients[client].conn;
    return c && !c->out.bytes && !w.pending[client].len && !w.inbox[client].len && !c->writes_in_flight &&
           !subscriber_of(c)->requests.count && !subscriber_of(c)->dirty.count;
}

static void turn_ends_for(int client)
{
    struct world_client *c = &world_clients[client];
    if (c->conn && w.kill[client])
        gone(client);
    if (c->conn && c->closed) {
        conn_peer_closed(c->conn, c->closed);
        gone(client);
    }
    if (c->conn && c->conn->out.bytes > c->most)
        c->most = c->conn->out.bytes;
    if (is_settled(client))
        client_settled(c);
}

void world_turn(void)
{
    for (int i = 0; i < WORLD_GATEWAYS; i++)
        conn_settle(&world_hosts[i].g);
    write_all();
    for (int i = 0; i < WORLD_GATEWAYS; i++) {
        conn_end_turn(&world_hosts[i].g);
        pace_end_turn(&world_hosts[i].g);
    }
    for (int i = 0; i < WORLD_CLIENTS; i++)
        turn_ends_for(i);
    world_turns++;
}

void world_stop(int client, size_t bytes)
{
    world_clients[client].room = bytes;
    client_fell_behind(&world_clients[client]);
}

void world_read(int client, size_t bytes)
{
    struct world_client *c = &world_clients[client];
    c->room = bytes == SIZE_MAX || c->room == SIZE_MAX ? SIZE_MAX : c->room + bytes;
    if (!c->conn)
        return;
    bool waited = w.pending[client].len > 0;
    c->behind = true;
    drain(client);
    if (!w.pending[client].len && (waited || w.wants_room[client]))
        write_to(client);
    c->behind = false;
    client_fell_behind(c);
}

/* --- what they say --- */

const char *world_heard(int client)
{
    static char text[HEARD_MAX + 1];
    struct buf *b = &w.heard[client];
    snprintf(text, sizeof(text), "%.*s", (int)b->len, b->len ? b->ptr : "");
    buf_reset(b);
    return text;
}

/* A set of names by their numbers. */
static struct patterns patterns_of(int names)
{
    static char *globs[1 << WORLD_NAMES][WORLD_NAMES], *each[WORLD_NAMES] = {"?0", "?1", "?2"};
    size_t len = 0;
    for (int k = 0; k < WORLD_NAMES; k++)
        if (names & 1 << k)
            globs[names][len++] = each[k];
    return (struct patterns){globs[names], len};
}

static const struct grants *grants_of(int client)
{
    struct grants *g = &w.grants[client][w.grants_at[client] ^= 1];
    *g = (struct grants){.name = "somebody"};
    for (int verb = 0; verb < GRANT_COUNT; verb++)
        g->verbs[verb] = patterns_of(world_clients[client].granted[verb]);
    return g;
}

void world_regrant(int client, enum grant verb, int names)
{
    struct world_client *c = &world_clients[client];
    int before = c->granted[verb];
    if (!c->conn)
        return;
    world_trace("%d may %d: %d", client, (int)verb, names);
    c->granted[verb] = names;
    for (int k = 0; k < WORLD_NAMES; k++) {
        bool lost = (before & ~names) >> k & 1;
        if (lost && verb == GRANT_SUBSCRIBE)
            client_loses(c, k);
        if (lost && verb == GRANT_SERVE)
            c->refused[k] = true;
    }
    conn_regrant(c->conn, grants_of(client));
}

void world_connect(int client)
{
    world_connect_to(client, SLICE_NONE);
}

void world_connect_to(int client, struct slice room)
{
    struct world_client *c = &world_clients[client];
    int home = client % WORLD_GATEWAYS;
    *c = (struct world_client){.room = SIZE_MAX, .gateway = world_accepts(home) ? home : (home + 1) % WORLD_GATEWAYS};
    for (int verb = 0; verb < GRANT_COUNT; verb++)
        c->granted[verb] = WORLD_ALL;
    buf_reset(&w.pending[client]);
    buf_reset(&w.inbox[client]);
    c->conn = conn_new(&world_hosts[c->gateway].g, NULL, world_dialect, grants_of(client), room);
    conn_open(c->conn);
}

void world_leave(int client)
{
    if (world_clients[client].conn)
        gone(client);
    world_clients[client] = (struct world_client){.conn = NULL};
}

void world_say(int client, const char *format, ...)
{
    static char text[1024];
    va_list args;
    va_start(args, format);
    int len = vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    world_say_bytes(client, slice_of(text, (size_t)len), false);
}

void world_say_bytes(int client, struct slice bytes, bool binary)
{
    world_trace("%d > %.*s", client, (int)bytes.len, bytes.ptr);
    if (world_clients[client].conn)
        conn_receive(world_clients[client].conn, bytes,
                     (struct conn_fragment){.first = true, .final = true, .binary = binary});
}

static struct world_held *held_of(int client, bool list, int name)
{
    struct world_client *c = &world_clients[client];
    return list ? &c->lists[name] : &c->vars[name];
}

static bool granted(int client, enum grant verb, int name)
{
    return world_clients[client].granted[verb] >> name & 1;
}

/* Whoever was told that something is over, or ended it, waits for what was on its way before it asks again. */
static bool may_ask(const struct world_follow *f)
{
    return !f->ended && !f->failed && !f->lost;
}

static void follow(struct world_follow *f, int interval_ms, bool granted)
{
    f->denied = !granted;
    f->fresh = f->fresh || !f->subscribed;
    f->subscribed = true;
    f->asked++;
    f->interval_ms = interval_ms;
    f->updated_ms = -1;
}

static void unfollow(struct world_follow *f)
{
    *f = (struct world_follow){.ended = true};
}

/* ,"max_rate":N for so many milliseconds; NUL-terminated, until the next call. */
static const char *rate_field(int interval_ms)
{
    static char text[32];
    if (!interval_ms)
        return "";
    snprintf(text, sizeof(text), ",\"max_rate\":%d", 1000 / interval_ms);
    return text;
}

void world_subscribe(int client, bool list, int name, int interval_ms)
{
    struct world_held *h = held_of(client, list, name);
    if (!may_ask(&h->follow))
        return;
    follow(&h->follow, interval_ms, granted(client, GRANT_SUBSCRIBE, name));
    h->size = WORLD_PAGE;
    world_say(client, "{\"func\":\"subscribe\",\"type\":\"%s\",\"name\":\"%c%d\"%s}", list ? "list" : "var",
              list ? 'l' : 'v', name, rate_field(interval_ms));
}

void world_unsubscribe(int client, bool list, int name)
{
    struct world_held *h = held_of(client, list, name);
    if (!h->follow.subscribed || !may_ask(&h->follow))
        return;
    unfollow(&h->follow);
    h->count = 0;
    world_say(client, "{\"func\":\"unsubscribe\",\"type\":\"%s\",\"name\":\"%c%d\"}", list ? "list" : "var",
              list ? 'l' : 'v', name);
}

void world_page(int client, int name, int page, int size)
{
    struct world_held *h = held_of(client, true, name);
    if (!h->follow.subscribed || !may_ask(&h->follow))
        return;
    h->follow.asked++;
    h->size = size;
    world_say(client, "{\"func\":\"get\",\"type\":\"list\",\"name\":\"l%d\",\"page\":%d,\"page_size\":%d}", name, page,
              size);
}

static void say_of_item(int client, const char *func, int name, int id, int interval_ms)
{
    world_say(client, "{\"func\":\"%s\",\"type\":\"list\",\"name\":\"l%d\",\"id\":%d%s}", func, name, id,
              rate_field(interval_ms));
}

void world_subscribe_item(int client, int name, int id, int interval_ms)
{
    struct world_follow *f = &held_of(client, true, name)->items[id].follow;
    if (!may_ask(f) || f->asked)
        return;
    follow(f, interval_ms, granted(client, GRANT_SUBSCRIBE, name));
    say_of_item(client, "subscribe", name, id, interval_ms);
}

void world_unsubscribe_item(int client, int name, int id)
{
    struct world_follow *f = &held_of(client, true, name)->items[id].follow;
    if (!f->subscribed || !may_ask(f))
        return;
    unfollow(f);
    say_of_item(client, "unsubscribe", name, id, 0);
}

void world_get_item(int client, int name, int id)
{
    struct world_held *h = held_of(client, true, name);
    struct world_follow *f = &h->items[id].follow;
    if ((!h->follow.subscribed && !f->subscribed) || !may_ask(f) || f->asked || !may_ask(&h->follow))
        return;
    f->asked++;
    say_of_item(client, "get", name, id, 0);
}

/* Without a grant nothing comes to Redis. */
static void note_write(int client, int name, int before)
{
    const struct conn *c = world_clients[client].conn;
    if (c && c->state == CONN_OPEN && (writes_begun > before) != granted(client, GRANT_WRITE, name))
        wrong(writes_begun > before ? "a write without a grant" : "a write that did not happen");
}

/* An error may come, which is to be none about a subscription. */
static bool may_write(struct world_follow *f)
{
    if (f->subscribed || f->asked || !may_ask(f))
        return false;
    f->failed = true;
    return true;
}

void world_write_var(int client, int name)
{
    int before = writes_begun;
    if (!granted(client, GRANT_WRITE, name) && !may_write(&held_of(client, false, name)->follow))
        return;
    world_say(client, "{\"func\":\"set\",\"type\":\"var\",\"name\":\"v%d\",\"value\":%d}", name, world_fresh());
    note_write(client, name, before);
}

void world_write_item(int client, int name, int index, int id)
{
    int before = writes_begun;
    if (!may_write(&held_of(client, true, name)->items[id].follow))
        return;
    world_say(client, "{\"func\":\"insert\",\"type\":\"list\",\"name\":\"l%d\",\"index\":%d,\"id\":%d,\"value\":%d}",
              name, index, id, world_fresh());
    note_write(client, name, before);
}

void world_write_place(int client, int name, int id, int index)
{
    int before = writes_begun;
    if (!may_write(&held_of(client, true, name)->items[id].follow))
        return;
    world_say(client, "{\"func\":\"move\",\"type\":\"list\",\"name\":\"l%d\",\"id\":%d,\"index\":%d}", name, id, index);
    note_write(client, name, before);
}

/* --- beginning and end --- */

void clients_begin(void)
{
    memset(&w, 0, sizeof(w));
    memset(world_clients, 0, sizeof(world_clients));
    world_turns = 0;
    world_dialect = dialects[0];
    for (int i = 0; i < WORLD_CLIENTS; i++) {
        buf_init(&w.pending[i], 64 * 1024 * 1024);
        buf_init(&w.inbox[i], 64 * 1024 * 1024);
        buf_init(&w.heard[i], HEARD_MAX);
    }
}

void clients_end(void)
{
    for (int i = 0; i < WORLD_CLIENTS; i++) {
        buf_deinit(&w.pending[i]);
        buf_deinit(&w.inbox[i]);
        buf_deinit(&w.heard[i]);
    }
}
