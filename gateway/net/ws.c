/* libwebsockets in one place: creates the listeners, checks upgrades before they are accepted, and passes messages, pongs
 * and writability on to conn.c. Every callback reason is one call. */
#include "gateway/net/ws.h"

#include <ctype.h>
#include <libwebsockets.h>
#include <limits.h>
#include <sys/resource.h>
#include <unistd.h>

#include "gateway/access/forwarded.h"
#include "gateway/net/acceptor.h"
#include "gateway/net/activation.h"
#include "gateway/net/address.h"
#include "gateway/net/admission.h"
#include "gateway/net/conn.h"
#include "gateway/net/deflate.h"
#include "gateway/net/descriptors.h"
#include "gateway/net/evlib.h"
#include "gateway/net/http.h"
#include "gateway/net/http_refusal.h"
#include "gateway/net/http_reply.h"
#include "gateway/net/porch.h"
#include "gateway/net/unpacker.h"
#include "gateway/observe/log.h"
#include "gateway/observe/metrics.h"
#include "protocol/base/alloc.h"
#include "protocol/json.h"
#include "protocol/socksync/socksync.h"

/* Slots of the protocol table. libwebsockets picks one by Sec-WebSocket-Protocol; what is spoken is decided by path and
 * sub-protocol in check_upgrade. */
enum {
    SLOT_DEFAULT,  /* HTTP, and clients that offer no sub-protocol */
    SLOT_SOCKSYNC, /* "socksync.v1" */
    SLOT_ANY,      /* clients that offer only names we do not speak: accepted, nothing is selected */
    SLOTS
};

/* Whoever enters from the porch finds a slot. Its bytes are touched when they are used: the largest head (HEAD_BYTES_MAX; libwebsockets
 * keeps 8 bytes more for each field it has no number for) fits, and behind TLS, where the porch does not see it, one that is too large
 * can be told so. */
enum { HEADER_SLOTS = 2 * PORCH_INSIDE_MAX, HEADER_SLOT_BYTES = 2 * HEAD_BYTES_MAX };

enum { NAME_BYTES = 128 };
enum { TLS_RECORD_BYTES = 16 * 1024 }; /* OpenSSL takes one record at a time */
enum { RSV1 = 0x40 };                  /* as it stands in the first byte of a frame */

static const struct endpoint {
    const char *path; /* without its trailing slash */
    const struct dialect *dialect;
} endpoints[] = {
    {"/ws", &socksync_dialect},
    {"/ws/socksync", &socksync_dialect},
};

struct listener {
    struct list_node node;
    struct ws *ws;
    struct acceptor *acceptor; /* of a socket that was passed; NULL: libwebsockets listens itself */
    struct lws_vhost *vhost;
    struct address address; /* libwebsockets keeps pointers to these two */
    char name[32];
    bool tls;
};

struct ws {
    struct gateway *g;
    ws_request_fn *request;
    struct porch *porch;
    struct lws_context *context;
    struct lws_protocols protocols[SLOTS + 1];
    char any_name[NAME_BYTES]; /* SLOT_ANY's name: the offered one while the upgrade is under way, else empty */
    struct list listeners;     /* struct listener */
    char address[288];         /* of the first one, for people */
    /* From check_upgrade to ESTABLISHED, which follow each other in one call: */
    const struct dialect *upgrade_dialect;
    const struct grants *upgrade_grants;
    struct remote upgrade_remote;
    struct deflate_offer upgrade_offer;
    bool upgrade_deflate; /* the extension is active */
};

static struct ws *ws_of(struct lws *wsi)
{
    return http_gateway(wsi)->ws;
}

/* --- checking an upgrade --- */

static bool header(struct lws *wsi, enum lws_token_indexes token, char *out, int size)
{
    return lws_hdr_copy(wsi, out, size, token) > 0;
}

static const struct dialect *dialect_at(const char *path)
{
    size_t len = strlen(path);
    if (len > 1 && path[len - 1] == '/')
        len--;
    for (size_t i = 0; i < sizeof(endpoints) / sizeof(endpoints[0]); i++)
        if (strlen(endpoints[i].path) == len && memcmp(endpoints[i].path, path, len) == 0)
            return endpoints[i].dialect;
    return NULL;
}

/* RFC 6455 section 4.2.1: the base64 of 16 bytes. */
static bool key_is_well_formed(struct lws *wsi)
{
    char key[32];
    if (!header(wsi, WSI_TOKEN_KEY, key, sizeof(key)) || strlen(key) != 24 || memcmp(key + 22, "==", 2) != 0)
        return false;
    for (int i = 0; i < 22; i++)
        if (!isalnum((unsigned char)key[i]) && key[i] != '+' && key[i] != '/')
            return false;
    return true;
}

static bool connection_says_upgrade(struct lws *wsi)
{
    char text[128];
    if (!header(wsi, WSI_TOKEN_CONNECTION, text, sizeof(text)))
        return false;
    for (char *p = text, *word; (word = strtok_r(p, ", \t", &p));)
        if (strcasecmp(word, "upgrade") == 0)
            return true;
    return false;
}

static const char *handshake_fault(struct lws *wsi)
{
    char text[64];
    if (!header(wsi, WSI_TOKEN_HTTP, text, sizeof(text)) || strcmp(text, "HTTP/1.1") != 0)
        return "WebSocket needs HTTP/1.1";
    if (lws_hdr_total_length(wsi, WSI_TOKEN_HOST) <= 0)
        return "Host is missing";
    if (!connection_says_upgrade(wsi))
        return "Connection: Upgrade is missing";
    if (!key_is_well_formed(wsi))
        return "Sec-WebSocket-Key is malformed";
    return NULL;
}

/* libwebsockets refuses a client that offers only sub-protocols it does not know; our contract is to serve it and select none.
 * So one slot of the table takes the first offered name for the length of the upgrade, and loses it before the answer is
 * written, which is why the answer then names none. */
static bool match_subprotocol(struct ws *w, struct lws *wsi)
{
    char offered[NAME_BYTES];
    w->any_name[0] = '\0';
    if (lws_hdr_total_length(wsi, WSI_TOKEN_PROTOCOL) <= 0)
        return true;
    if (!header(wsi, WSI_TOKEN_PROTOCOL, offered, sizeof(offered)))
        return false;
    char first[NAME_BYTES] = "";
    for (char *p = offered, *word; (word = strtok_r(p, ", \t", &p));) {
        if (strcmp(word, socksync_dialect.subprotocol) == 0)
            return true;
        if (!first[0])
            memcpy(first, word, strlen(word) + 1);
    }
    if (strlen(first) >= 64)
        return false; /* longer than libwebsockets compares */
    memcpy(w->any_name, first, sizeof(first));
    return true;
}

/* --- permessage-deflate ---
 *
 * libwebsockets' own extension compresses for each connection anew and can only grant what the client asked for. Ours is there so
 * that libwebsockets names it in its answer and lets frames with RSV1 pass; it leaves every byte as it is. What is received
 * comes to conn.c as it was sent, together with the bit, and what is sent leaves in raw mode. */

static void read_offer(struct ws *w, struct lws *wsi)
{
    char text[256]; /* libwebsockets refuses the handshake when there is more */
    w->upgrade_deflate = false;
    w->upgrade_offer = (struct deflate_offer){0};
    if (w->g->deflate && header(wsi, WSI_TOKEN_EXTENSIONS, text, sizeof(text)))
        w->upgrade_offer = deflate_read_offer(slice_str(text));
}

/* libwebsockets asks once per offer of the extension, and takes a second one after a granted one as a fault: so the last one is
 * granted. It makes no difference to the answer, whose parameters are ours. */
static bool grants_extension(struct ws *w)
{
    return w->upgrade_offer.acceptable && --w->upgrade_offer.times == 0;
}

static int extension_callback(struct lws_context *context, const struct lws_extension *extension, struct lws *wsi,
                              enum lws_extension_callback_reasons reason, void *user, void *in, size_t len)
{
    static const struct lws_ext_options none[] = {{NULL, EXTARG_NONE}}; /* so nothing of the offer is repeated */
    (void)context;
    (void)extension;
    (void)user;
    (void)len;
    if (reason == LWS_EXT_CB_CONSTRUCT) {
        *(const struct lws_ext_options **)in = none;
        ws_of(wsi)->upgrade_deflate = true;
    }
    return 0; /* to everything else: nothing was done */
}

static const struct lws_extension extensions[] = {{"permessage-deflate", extension_callback, NULL}, {NULL, NULL, NULL}};

/* The answer so far ends with the line that names the extension. There is no other place to add parameters, so that line is
 * taken up again. If it is not there the handshake fails, because without them the client would keep context. */
static int add_parameters(struct ws *w, struct lws_process_html_args *args)
{
    static const char written[] = ": permessage-deflate\r\n";
    const size_t written_len = sizeof(written) - 1, end_len = 2;
    if (!w->upgrade_deflate)
        return 0;
    const char *answer = deflate_answer(&w->upgrade_offer);
    size_t len = strlen(answer);
    if (memcmp(args->p - written_len, written, written_len) != 0 || (size_t)args->max_len < len) {
        log_error("this libwebsockets answers extensions in an unknown way: --deflate cannot be used with it");
        return -1;
    }
    char *at = args->p - end_len;
    memcpy(at, answer, len);
    memcpy(at + len, "\r\n", end_len);
    args->p += len;
    return 0;
}

static int refuse(const struct ws *w, struct lws *wsi, unsigned status, const char *why)
{
    return http_refuse_client(wsi, &w->upgrade_remote, status, why);
}

/* libwebsockets reads some lists of words once more, in its own way, and ends the connection without an answer when it does not like
 * them. Its rules, then: so many bytes, only words and commas. */
static bool library_reads(struct lws *wsi, enum lws_token_indexes token, const char *until)
{
    char text[NAME_BYTES], word[64];
    struct lws_tokenize t;
    int len = lws_hdr_copy(wsi, text, sizeof(text) - 1, token);
    if (len < 0)
        return false;
    if (len == 0 || strcasecmp(text, until) == 0) /* as nearly everybody writes it */
        return true;
    lws_tokenize_init(&t, text,
                      LWS_TOKENIZE_F_COMMA_SEP_LIST | LWS_TOKENIZE_F_DOT_NONTERM | LWS_TOKENIZE_F_RFC7230_DELIMS |
                          LWS_TOKENIZE_F_MINUS_NONTERM);
    t.len = (size_t)len;
    for (;;) {
        lws_tokenize_elem e = lws_tokenize(&t);
        if (e == LWS_TOKZE_ENDED)
            return true;
        if (e == LWS_TOKZE_DELIMITER)
            continue;
        if (e != LWS_TOKZE_TOKEN || lws_tokenize_cstr(&t, word, sizeof(word)))
            return false;
        if (strcasecmp(word, until) == 0)
            return true;
    }
}

static const char *library_fault(struct lws *wsi)
{
    enum { EXTENSIONS_MAX = 254 };
    if (!library_reads(wsi, WSI_TOKEN_CONNECTION, "upgrade"))
        return "Connection is malformed";
    if (!library_reads(wsi, WSI_TOKEN_PROTOCOL, socksync_dialect.subprotocol))
        return "Sec-WebSocket-Protocol is malformed or too long";
    if (lws_hdr_total_length(wsi, WSI_TOKEN_EXTENSIONS) > EXTENSIONS_MAX)
        return "Sec-WebSocket-Extensions is too long";
    return NULL;
}

static int check_upgrade(struct ws *w, struct lws *wsi)
{
    char path[256] = "", version[8];
    unsigned status;
    porch_heard(evlib_visitor(w->g->evlib, wsi));
    w->upgrade_remote = http_client(wsi, w->g->opt);
    const char *refusal = admission_refusal(w->g->admission, lws_get_socket_fd(wsi));
    if (refusal)
        return refuse(w, wsi, 503, refusal);
    const char *fault = http_fault(wsi);
    if (fault)
        return refuse(w, wsi, 400, fault);
    fault = http_size_fault(wsi, &status);
    if (fault)
        return refuse(w, wsi, status, fault);
    if (lws_hdr_total_length(wsi, WSI_TOKEN_GET_URI) <= 0)
        return refuse(w, wsi, 405, "GET only");
    w->upgrade_dialect = NULL; /* too long a path for any */
    if (header(wsi, WSI_TOKEN_GET_URI, path, sizeof(path)))
        w->upgrade_dialect = dialect_at(http_path(path));
    if (!w->upgrade_dialect)
        return refuse(w, wsi, 404, "no protocol is spoken here");
    fault = handshake_fault(wsi);
    if (!fault)
        fault = library_fault(wsi);
    if (fault)
        return refuse(w, wsi, 400, fault);
    if (!header(wsi, WSI_TOKEN_VERSION, version, sizeof(version)) || strcmp(version, "13") != 0)
        return refuse(w, wsi, 426, "Sec-WebSocket-Version must be 13");
    if (!http_page_allowed(w->g, wsi))
        return http_refuse_page(w->g, wsi);
    w->upgrade_grants = http_grants(wsi, w->g->opt);
    if (!w->upgrade_grants) {
        metric_add(METRIC_REFUSED_UNAUTHORIZED, 1);
        return refuse(w, wsi, 401, "unknown token");
    }
    if (!match_subprotocol(w, wsi))
        return refuse(w, wsi, 400, "Sec-WebSocket-Protocol is too long");
    read_offer(w, wsi);
    return 0;
}

/* --- connections --- */

static void established(struct ws *w, struct lws *wsi)
{
    struct conn *c = conn_new(w->g, wsi, w->upgrade_dialect, w->upgrade_grants);
    c->deflate = w->upgrade_deflate;
    if (lws_is_ssl(wsi))
        c->piece_max = TLS_RECORD_BYTES;
    w->upgrade_deflate = false;
    c->remote = w->upgrade_remote;
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
    bool alive = !c->out.sent || conn_write(c);
    c->congested = true;
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
    if (!dialect_at(path))
        return w->request(w->g, wsi, path);
    struct remote client = http_client(wsi, w->g->opt);
    return http_refuse_client(wsi, &client, 426, "this is a WebSocket endpoint");
}

static int callback(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in, size_t len)
{
    (void)user;
    switch (reason) {
    case LWS_CALLBACK_HTTP_CONFIRM_UPGRADE:
        return check_upgrade(ws_of(wsi), wsi);
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
        ws_of(wsi)->any_name[0] = '\0';
        return 0;
    case LWS_CALLBACK_CONFIRM_EXTENSION_OKAY:
        return grants_extension(ws_of(wsi)) ? 0 : 1;
    case LWS_CALLBACK_ADD_HEADERS:
        return add_parameters(ws_of(wsi), in);
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
    const struct listener *l = door;
    if (!evlib_adopt(w->g->evlib, l->vhost, fd, v))
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
    w->protocols[SLOT_SOCKSYNC].name = socksync_dialect.subprotocol;
    w->protocols[SLOT_ANY].name = w->any_name;
}

static void say_url(const struct address *a, struct lws_vhost *vhost, bool tls)
{
    if (a->unix_socket) {
        log_info("listening on unix:%s", a->host);
        return;
    }
    const char *host = a->host[0] ? a->host : "127.0.0.1";
    bool v6 = strchr(host, ':') != NULL;
    int port = a->port ? a->port : lws_get_vhost_listen_port(vhost);
    printf("syncgate: http%s://%s%s%s:%d/\n", tls ? "s" : "", v6 ? "[" : "", host, v6 ? "]" : "", port);
    fflush(stdout);
}

/* libwebsockets' validity timers live in a sorted list that is walked for every connection; conn.c has a ping wheel.
 * Every vhost has to be told. */
static const lws_retry_bo_t no_validity_timers;

static bool is_shared(const struct ws *w, const struct listener *l)
{
    return w->g->worker >= 0 && !l->address.unix_socket;
}

static struct lws_vhost *new_vhost(struct ws *w, const struct listener *l)
{
    const struct options *opt = w->g->opt;
    struct lws_context_creation_info info = {
        .vhost_name = l->name,
        .user = (void *)(uintptr_t)l,
        .port = l->address.port,
        .iface = l->address.host[0] ? l->address.host : NULL,
        .protocols = w->protocols,
        .extensions = w->g->deflate ? extensions : NULL,
        .timeout_secs = 10,
        .keepalive_timeout = 30,
        .retry_and_idle_policy = &no_validity_timers,
        .options = LWS_SERVER_OPTION_FAIL_UPON_UNABLE_TO_BIND |
                   (l->address.v4_only ? LWS_SERVER_OPTION_DISABLE_IPV6 : 0) |
                   (l->address.unix_socket ? LWS_SERVER_OPTION_UNIX_SOCK : 0) |
                   (is_shared(w, l) ? LWS_SERVER_OPTION_ALLOW_LISTEN_SHARE : 0),
    };
    if (l->tls) {
        info.options |= LWS_SERVER_OPTION_DO_SSL_GLOBAL_INIT;
        info.ssl_cert_filepath = opt->tls_cert;
        info.ssl_private_key_filepath = opt->tls_key;
    }
    return lws_create_vhost(w->context, &info);
}

/* What the files hold is tried out with a listener that does not listen: libwebsockets changes those in use piece by piece. */
bool ws_read_certificates(struct ws *w)
{
    const struct options *opt = w->g->opt;
    struct lws_context_creation_info info = {
        .vhost_name = "trial",
        .port = CONTEXT_PORT_NO_LISTEN_SERVER,
        .protocols = w->protocols,
        .retry_and_idle_policy = &no_validity_timers,
        .options = LWS_SERVER_OPTION_DO_SSL_GLOBAL_INIT,
        .ssl_cert_filepath = opt->tls_cert,
        .ssl_private_key_filepath = opt->tls_key,
    };
    if (!opt->tls_cert)
        return true;
    if (!address_files_readable(opt))
        return false;
    struct lws_vhost *trial = lws_create_vhost(w->context, &info);
    if (!trial)
        return false;
    lws_vhost_destroy(trial);
    return lws_tls_cert_updated(w->context, opt->tls_cert, opt->tls_key, NULL, 0, NULL, 0) == 0;
}

/* The first one is where this process is known to listen. */
static void note_address(struct ws *w, const char *address)
{
    if (!w->address[0])
        snprintf(w->address, sizeof(w->address), "%s", address);
}

static void note_listener(struct ws *w, const struct listener *l)
{
    const struct address *a = &l->address;
    bool v6 = strchr(a->host, ':') != NULL;
    int port = a->port || a->unix_socket ? a->port : lws_get_vhost_listen_port(l->vhost);
    char text[sizeof(w->address)];
    if (a->unix_socket)
        snprintf(text, sizeof(text), "unix:%s", a->host);
    else
        snprintf(text, sizeof(text), "%s%s%s:%d", v6 ? "[" : "", a->host[0] ? a->host : "*", v6 ? "]" : "", port);
    note_address(w, text);
}

/* Why libwebsockets did not listen there, although it looked as if one could. */
static const char *refusal_of(const struct ws *w, const struct listener *l)
{
    const char *fault = address_fault(&l->address, is_shared(w, l));
    if (fault)
        return fault;
    return l->tls ? "the certificate or its key is not good" : "libwebsockets refused it (see --log-level debug)";
}

static struct listener *new_listener(struct ws *w)
{
    struct listener *l = sg_calloc(1, sizeof(*l));
    l->ws = w;
    snprintf(l->name, sizeof(l->name), "listener-%zu", w->listeners.count);
    list_append(&w->listeners, &l->node);
    return l;
}

static bool listen_on(struct ws *w, const char *text)
{
    struct listener *l = new_listener(w);
    const char *wrong = address_parse(text, &l->address);
    if (!wrong) {
        l->tls = w->g->opt->tls_cert && !l->address.unix_socket;
        l->vhost = new_vhost(w, l);
        wrong = l->vhost ? NULL : refusal_of(w, l);
    }
    if (wrong) {
        address_complain(text, wrong);
        return false;
    }
    note_listener(w, l);
    if (w->g->worker <= 0)
        say_url(&l->address, l->vhost, w->g->opt->tls_cert != NULL);
    return true;
}

static void on_socket(void *arg, int fd)
{
    struct listener *l = arg;
    porch_take(l->ws->porch, fd, l, l->tls);
}

static void accepted(struct lws_vhost *vhost, int fd)
{
    on_socket(lws_vhost_user(vhost), fd);
}

static bool listen_with(struct ws *w, int fd)
{
    struct listener *l = new_listener(w);
    char name[160];
    activation_name(fd, name, sizeof(name));
    l->address.port = CONTEXT_PORT_NO_LISTEN_SERVER;
    l->tls = w->g->opt->tls_cert && !activation_is_unix(fd);
    l->vhost = new_vhost(w, l);
    if (!l->vhost) {
        log_error("cannot serve the passed socket of %s: the certificate is not good", name);
        return false;
    }
    note_address(w, name);
    l->acceptor = acceptor_new(w->g->base, fd, on_socket, l);
    acceptor_watch(l->acceptor, true);
    if (w->g->worker <= 0)
        log_info("listening on a passed socket address=%s", name);
    return true;
}

static bool listen_everywhere(struct ws *w)
{
    const struct options *opt = w->g->opt;
    for (size_t i = 0; i < opt->sockets_len; i++)
        if (!listen_with(w, opt->sockets[i]))
            return false;
    for (size_t i = 0; i < opt->listen_len && opt->sockets_len == 0; i++)
        if (!listen_on(w, opt->listen[i]))
            return false;
    return true;
}

const char *ws_address(const struct ws *w)
{
    return w->address;
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
        .retry_and_idle_policy = &no_validity_timers,
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
    list_init(&w->listeners);
    if (g->opt->deflate) {
        g->deflate = deflate_new((size_t)g->opt->max_message);
        g->unpacker = unpacker_new(g, conn_unpack);
    }
    fill_protocols(w);
    w->g->evlib = evlib_new(
        g->base, fd_limit,
        &(struct evlib_events){
            .after_read = after_read, .write = write_what_waits, .accepted = accepted, .visitor_gone = visitor_gone});
    w->porch = new_porch(w, fd_limit);
    w->context = new_context(w, fd_limit);
    if (!w->context) {
        log_error("libwebsockets did not start");
        ws_free(w);
        return NULL;
    }
    evlib_attach(w->g->evlib, w->context);
    if (!listen_everywhere(w)) {
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

void ws_stop_listening(struct ws *w)
{
    porch_close(w->porch, "draining");
    list_each(&w->listeners, n)
    {
        struct listener *l = container_of(n, struct listener, node);
        if (l->acceptor)
            close(
                acceptor_free(l->acceptor)); /* whoever passed it may hold it still, and then connections wait in it */
        else if (l->vhost)
            lws_vhost_destroy1(l->vhost); /* closes the listening socket, keeps the connections */
        l->acceptor = NULL;
        l->vhost = NULL;
        if (l->address.unix_socket)
            unlink(l->address.host);
    }
}

void ws_free(struct ws *w)
{
    if (w->context)
        lws_context_destroy(w->context);
    porch_free(w->porch);
    evlib_free(w->g->evlib);
    list_each(&w->listeners, n)
    {
        struct listener *l = container_of(n, struct listener, node);
        if (l->acceptor)
            close(acceptor_free(l->acceptor));
        free(l);
    }
    deflate_free(w->g->deflate);
    unpacker_free(w->g->unpacker);
    w->g->deflate = NULL;
    free(w);
}
