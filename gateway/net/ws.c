/* libwebsockets in one place: creates the listeners, checks upgrades before they are accepted, and passes messages, pongs
 * and writability on to conn.c. Every callback reason is one call. */
#include "gateway/net/ws.h"

#include <libwebsockets.h>
#include <limits.h>
#include <sys/resource.h>

#include "gateway/access/forwarded.h"
#include "gateway/net/address.h"
#include "gateway/net/addresses.h"
#include "gateway/net/conn.h"
#include "gateway/net/deflate.h"
#include "gateway/net/descriptors.h"
#include "gateway/net/evlib.h"
#include "gateway/net/http.h"
#include "gateway/net/http_refusal.h"
#include "gateway/net/http_reply.h"
#include "gateway/net/listen.h"
#include "gateway/net/porch.h"
#include "gateway/net/unpacker.h"
#include "gateway/net/upgrade.h"
#include "gateway/net/users.h"
#include "gateway/observe/log.h"
#include "gateway/observe/metrics.h"
#include "protocol/base/alloc.h"
#include "protocol/json.h"

/* Slots of libwebsockets' protocol table. What is spoken is decided by upgrade.c. */
enum {
    SLOT_DEFAULT, /* HTTP, and clients that offer no sub-protocol */
    SLOT_CHOSEN,  /* has the name that is selected */
    SLOT_ANY,     /* clients that offer only names we do not speak there: accepted, nothing is selected */
    SLOTS
};

/* Whoever enters from the porch finds a slot. Its bytes are touched when they are used: the largest head (HEAD_BYTES_MAX; libwebsockets
 * keeps 8 bytes more for each field it has no number for) fits, and behind TLS, where the porch does not see it, one that is too large
 * can be told so. */
enum { HEADER_SLOTS = 2 * PORCH_INSIDE_MAX, HEADER_SLOT_BYTES = 2 * HEAD_BYTES_MAX };

enum { TLS_RECORD_BYTES = 16 * 1024 }; /* OpenSSL takes one record at a time */
enum { CLOSE_SEND_S = 5 };             /* as libwebsockets has it */
enum { RSV1 = 0x40 };                  /* as it stands in the first byte of a frame */

struct ws {
    struct gateway *g;
    ws_request_fn *request;
    struct porch *porch;
    struct lws_context *context;
    struct lws_protocols protocols[SLOTS + 1];
    struct upgrade upgrade;
    struct listeners *listeners;
};

static struct ws *ws_of(struct lws *wsi)
{
    return http_gateway(wsi)->ws;
}

/* --- connections --- */

static void established(struct ws *w, struct lws *wsi)
{
    struct upgrade *u = &w->upgrade;
    struct conn *c = conn_new(w->g, wsi, u->match.dialect, u->grants, u->match.room);
    upgrade_forget(u);
    c->deflate = u->deflate;
    if (lws_is_ssl(wsi))
        c->piece_max = TLS_RECORD_BYTES;
    u->deflate = false;
    c->remote = u->remote;
    addresses_enter(c);
    users_enter(c);
    lws_set_opaque_user_data(wsi, c);
    evlib_set_optimistic(w->g->evlib, wsi, true);
    porch_leave(evlib_take_visitor(w->g->evlib, lws_get_socket_fd(wsi)));
    conn_open(c);
}

/* RFC 6455 section 7.1.5: 1005 when the frame has none. */
static int close_code(const unsigned char *payload, size_t len)
{
    return len >= 2 ? payload[0] << 8 | payload[1] : 1005;
}

/* What libwebsockets says in a close frame of its own when a frame was malformed; 0 when it did not write one. */
static int library_code(struct lws *wsi)
{
    int len = lws_get_close_length(wsi);
    return len >= 2 ? close_code(lws_get_close_payload(wsi), (size_t)len) : 0;
}

static void closed(struct lws *wsi)
{
    struct conn *c = lws_get_opaque_user_data(wsi);
    lws_set_opaque_user_data(wsi, NULL);
    if (c)
        conn_dead(c, library_code(wsi));
}

static int received(struct lws *wsi, const char *bytes, size_t len)
{
    struct conn *c = lws_get_opaque_user_data(wsi);
    if (c)
        conn_receive(c, slice_of(bytes, len),
                     (struct conn_fragment){.first = lws_is_first_fragment(wsi),
                                            .final = lws_is_final_fragment(wsi),
                                            .binary = lws_frame_is_binary(wsi),
                                            .rsv1 = lws_get_reserved_bits(wsi) & RSV1,
                                            .remaining = lws_remaining_packet_payload(wsi)});
    return 0;
}

/* A frame that announces more than is allowed ends the connection before its bytes come, so the check is made on the header
 * alone, after each read, and not first when libwebsockets hands out a piece of payload. */
static void after_read(struct lws *wsi)
{
    struct conn *c = lws_get_opaque_user_data(wsi);
    if (c)
        conn_announced(c, lws_remaining_packet_payload(wsi));
}

/* After a fault that libwebsockets found by itself it sends a close frame and waits for the peer's. Nothing may follow that
 * frame, and before it comes only the rest of a message that is under way; conflation keeps the others small until the
 * connection is gone. */
static bool write_what_waits(struct lws *wsi)
{
    struct conn *c = lws_get_opaque_user_data(wsi);
    if (lws_get_close_length(wsi) <= 0)
        return conn_write(c);
    c->mute = true;
    uint64_t taken = c->bytes_out;
    bool alive = !c->out.sent || conn_write(c);
    c->congested = true;
    if (alive &&
        c->bytes_out != taken) /* its time to send the frame has not begun: the peer takes what comes before it */
        lws_set_timeout(wsi, PENDING_TIMEOUT_CLOSE_SEND, CLOSE_SEND_S);
    return alive;
}

/* RFC 6455 section 7.4: what a close frame may say. libwebsockets refuses some of the codes by itself, after this. */
static int close_fault(const unsigned char *payload, size_t len)
{
    int code = close_code(payload, len);
    if (len == 1 || (len >= 2 && (code < 1000 || code > 4999 || code == 1004 || code == 1005 || code == 1006 ||
                                  (code > 1014 && code < 3000))))
        return 1002;
    return len > 2 && !json_utf8(slice_of((const char *)payload + 2, len - 2)) ? 1007 : 0;
}

/* The callback's answer: -1 ends the connection. */
static int peer_closed(struct lws *wsi, const unsigned char *payload, size_t len)
{
    int fault = close_fault(payload, len);
    if (conn_peer_closed(lws_get_opaque_user_data(wsi), close_code(payload, len)))
        return -1;
    if (!fault)
        return 0;
    lws_close_reason(wsi, (enum lws_close_status)fault, NULL, 0);
    return -1;
}

static int upgrade_or_request(struct ws *w, struct lws *wsi, const char *path)
{
    porch_heard(evlib_visitor(w->g->evlib, wsi));
    if (!dialects_serve(slice_str(path)))
        return w->request(w->g, wsi, path);
    struct remote client = http_client(wsi, w->g->opt);
    return http_refuse_client(wsi, &client, 426, "this is a WebSocket endpoint");
}

static int callback(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in, size_t len)
{
    (void)user;
    switch (reason) {
    case LWS_CALLBACK_HTTP_CONFIRM_UPGRADE:
        return upgrade_check(http_gateway(wsi), wsi);
    case LWS_CALLBACK_HTTP:
        return upgrade_or_request(ws_of(wsi), wsi, in);
    case LWS_CALLBACK_HTTP_BODY:
        return http_body(wsi, slice_of(in, len));
    case LWS_CALLBACK_HTTP_BODY_COMPLETION:
        return 0; /* http_body knows the length */
    case LWS_CALLBACK_HTTP_WRITEABLE:
        return http_writable(wsi);
    case LWS_CALLBACK_CLOSED_HTTP:
        http_closed(wsi);
        return 0;
    case LWS_CALLBACK_FILTER_PROTOCOL_CONNECTION:
        ws_of(wsi)->upgrade.any[0] = '\0';
        return 0;
    case LWS_CALLBACK_CONFIRM_EXTENSION_OKAY:
        return upgrade_grants_extension(&ws_of(wsi)->upgrade) ? 0 : 1;
    case LWS_CALLBACK_ADD_HEADERS:
        return upgrade_add_parameters(&ws_of(wsi)->upgrade, in);
    case LWS_CALLBACK_ESTABLISHED:
        established(ws_of(wsi), wsi);
        return 0;
    case LWS_CALLBACK_RECEIVE:
        return received(wsi, in, len);
    case LWS_CALLBACK_RECEIVE_PONG:
        conn_pong(lws_get_opaque_user_data(wsi));
        return 0;
    case LWS_CALLBACK_SERVER_WRITEABLE:
        return write_what_waits(wsi) ? 0 : -1;
    case LWS_CALLBACK_WS_PEER_INITIATED_CLOSE:
        return peer_closed(wsi, in, len);
    case LWS_CALLBACK_CLOSED:
        closed(wsi);
        return 0;
    default:
        return lws_callback_http_dummy(wsi, reason, user, in, len);
    }
}

/* --- the porch --- */

static void enter(void *arg, struct visitor *v, int fd, void *door)
{
    struct ws *w = arg;
    if (!evlib_adopt(w->g->evlib, listeners_vhost(door), fd, v))
        porch_leave(v);
}

static void kick(void *arg, struct visitor *v, int fd)
{
    struct ws *w = arg;
    if (!porch_was_heard(v))
        http_note_refusal(w->g, porch_remote(v), 408, SLICE_NONE, "the request did not come in time");
    evlib_kill(w->g->evlib, fd);
}

/* A whole head that nobody heard of: libwebsockets did not like it. It says 403 to some of these, to others nothing. */
static void visitor_gone(struct lws *wsi, struct visitor *v)
{
    if (porch_saw_head(v) && !porch_was_heard(v))
        http_note_refusal(ws_of(wsi)->g, porch_remote(v), 400, SLICE_NONE, "the library does not read this request");
    porch_leave(v);
}

static bool is_crowd(void *arg, const struct remote *remote)
{
    const struct options *opt = ((struct ws *)arg)->g->opt;
    return forwarded_trusts((const char *const *)opt->trusted_proxy, opt->trusted_proxy_len, remote);
}

static size_t turned_away(void *arg, const struct remote *remote, unsigned status, const char *why,
                          const struct head *head, char *answer)
{
    const struct gateway *g = ((struct ws *)arg)->g;
    struct remote client = forwarded_client((const char *const *)g->opt->trusted_proxy, g->opt->trusted_proxy_len,
                                            *remote, head->forwarded_for);
    return http_turn_away(g, &client, status, why, head->path, answer, PORCH_REFUSAL_BYTES);
}

/* Waiting costs a descriptor: a quarter of them, so that the others are left for whoever is in. */
static struct porch *new_porch(struct ws *w, size_t fd_limit)
{
    static const struct porch_events events = {
        .enter = enter, .kick = kick, .turned_away = turned_away, .is_crowd = is_crowd};
    size_t quarter = fd_limit / 4;
    return porch_new(w->g->base, quarter < PORCH_WAITING_MAX ? quarter : PORCH_WAITING_MAX, &events, w);
}

/* --- listening --- */

/* Its errors are mostly about peers that misbehave, who must not fill the log; what matters to us comes back as a return value. */
static void log_from_library(int level, const char *line)
{
    const char *text = strstr(line, ": ");
    text = text ? text + 2 : line;
    struct slice said = slice_of(text, strcspn(text, "\n"));
    if (level & LLL_ERR)
        log_limited(LOG_LIBRARY, LOG_LEVEL_INFO, "libwebsockets text=%s", log_value(said));
    else
        log_debug("libwebsockets text=%s", log_value(said));
}

static void fill_protocols(struct ws *w)
{
    /* rx_buffer_size: every connection holds that much, and it is what one read takes. A usual message fits; the default of
     * 4 096 would make an idle connection weigh 3.8 kB more. tx_packet_size: never split a write of ours. */
    const struct lws_protocols model = {.callback = callback, .rx_buffer_size = 256, .tx_packet_size = INT_MAX / 2};
    for (int i = 0; i < SLOTS; i++)
        w->protocols[i] = model;
    w->protocols[SLOT_DEFAULT].name = "";
    w->protocols[SLOT_CHOSEN].name = w->upgrade.chosen;
    w->protocols[SLOT_ANY].name = w->upgrade.any;
}

static struct lws_context *new_context(struct ws *w, size_t fd_limit)
{
    lws_set_log_level(LLL_ERR | LLL_WARN, log_from_library);
    struct lws_context_creation_info info = {
        .port = CONTEXT_PORT_NO_LISTEN,
        .options = LWS_SERVER_OPTION_EXPLICIT_VHOSTS | (w->g->opt->tls_cert ? LWS_SERVER_OPTION_DO_SSL_GLOBAL_INIT : 0),
        .user = w->g,
        .fd_limit_per_thread = (unsigned)fd_limit, /* below the limit of the process look-ups become linear */
        .max_http_header_pool = HEADER_SLOTS,      /* memory is taken when one is used */
        .max_http_header_data = HEADER_SLOT_BYTES,
        .pt_serv_buf_size = 4096,
        .retry_and_idle_policy = &listeners_retry_policy,
    };
    evlib_install(w->g->evlib, &info);
    void *loops[1] = {w->g->base};
    info.foreign_loops = loops;
    return lws_create_context(&info);
}

struct ws *ws_new(struct gateway *g, ws_request_fn *request)
{
    if (!g->opt->tls_cert != !g->opt->tls_key) {
        log_error("--tls-cert and --tls-key go together");
        return NULL;
    }
    if (!address_files_readable(g->opt) ||
        !address_usable(g->opt, g->worker >= 0)) /* may have changed since main looked */
        return NULL;
    descriptors_begin();
    struct rlimit limit;
    size_t fd_limit = getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < 10000000 ? limit.rlim_cur : 1024;
    struct ws *w = sg_calloc(1, sizeof(*w));
    w->g = g;
    w->request = request;
    g->ws = w; /* callbacks begin with the context */
    g->upgrade = &w->upgrade;
    if (g->opt->deflate) {
        g->deflate = deflate_new((size_t)g->opt->max_message);
        g->unpacker = unpacker_new(g, conn_unpack);
    }
    fill_protocols(w);
    w->g->evlib = evlib_new(g->base, fd_limit,
                            &(struct evlib_events){.after_read = after_read,
                                                   .write = write_what_waits,
                                                   .accepted = listeners_accepted,
                                                   .visitor_gone = visitor_gone});
    w->porch = new_porch(w, fd_limit);
    w->context = new_context(w, fd_limit);
    if (!w->context) {
        log_error("libwebsockets did not start");
        ws_free(w);
        return NULL;
    }
    evlib_attach(w->g->evlib, w->context);
    w->listeners = listeners_new(g, w->context, w->protocols, w->porch);
    if (!listeners_listen(w->listeners)) {
        ws_free(w);
        return NULL;
    }
    return w;
}

size_t ws_heap_bytes(void)
{
#ifdef LWS_TELLS_HEAP
    return lws_get_allocated_heap();
#else
    return 0;
#endif
}

void ws_end_turn(struct ws *w)
{
    evlib_end_turn(w->g->evlib);
}

void ws_free(struct ws *w)
{
    if (w->context)
        lws_context_destroy(w->context);
    porch_free(w->porch);
    evlib_free(w->g->evlib);
    listeners_free(w->listeners);
    deflate_free(w->g->deflate);
    unpacker_free(w->g->unpacker);
    w->g->deflate = NULL;
    upgrade_forget(&w->upgrade);
    free(w);
}

void ws_stop_listening(struct ws *w)
{
    porch_close(w->porch, "draining");
    listeners_stop(w->listeners);
}

bool ws_read_certificates(struct ws *w)
{
    return listeners_read_certificates(w->listeners);
}

const char *ws_address(const struct ws *w)
{
    return listeners_address(w->listeners);
}
