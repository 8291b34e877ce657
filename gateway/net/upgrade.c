/* Every check is a line of upgrade_check; what libwebsockets would refuse without a word is refused by us, with one. */
#include "gateway/net/upgrade.h"

#include <ctype.h>
#include <libwebsockets.h>
#include <string.h>
#include <strings.h>

#include "gateway/net/addresses.h"
#include "gateway/net/admission.h"
#include "gateway/net/evlib.h"
#include "gateway/net/http_refusal.h"
#include "gateway/net/porch.h"
#include "gateway/net/users.h"
#include "gateway/observe/log.h"
#include "gateway/observe/metrics.h"

static bool header(struct lws *wsi, enum lws_token_indexes token, char *out, int size)
{
    return lws_hdr_copy(wsi, out, size, token) > 0;
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

/* The first word of a list, cut to what there is room for. */
static void first_word(const char *list, char out[UPGRADE_NAME_BYTES])
{
    list += strspn(list, ", \t");
    size_t len = strcspn(list, ", \t");
    len = len < UPGRADE_NAME_BYTES ? len : UPGRADE_NAME_BYTES - 1;
    memcpy(out, list, len);
    out[len] = '\0';
}

/* libwebsockets picks a row of its protocol table by what the client offers, and refuses a client of which it knows no offer; what is
 * spoken here depends on the path, and a client without a known offer is served and told of none. So for the length of the upgrade one
 * row has the name of the sub-protocol that was chosen, or else another takes the first name that the client offers, and loses it
 * before the answer is written, which is why the answer then names none. */
static bool choose(struct upgrade *u, struct lws *wsi)
{
    char offered[UPGRADE_NAME_BYTES] = "";
    u->chosen[0] = u->any[0] = '\0';
    if (!header(wsi, WSI_TOKEN_GET_URI, u->target, sizeof(u->target)))
        return false;
    if (lws_hdr_total_length(wsi, WSI_TOKEN_PROTOCOL) > 0)
        (void)header(wsi, WSI_TOKEN_PROTOCOL, offered,
                     sizeof(offered)); /* too long: told later, as other faults of its form */
    if (!dialects_match(slice_str(http_path(u->target)), slice_str(offered), &u->match))
        return false;
    if (u->match.subprotocol)
        memcpy(u->chosen, u->match.subprotocol, strlen(u->match.subprotocol) + 1);
    else if (offered[0])
        first_word(offered, u->any);
    return true;
}

/* --- permessage-deflate ---
 *
 * libwebsockets' own extension compresses for each connection anew and can only grant what the client asked for. Ours is there so
 * that libwebsockets names it in its answer and lets frames with RSV1 pass; it leaves every byte as it is. What is received
 * comes to conn.c as it was sent, together with the bit, and what is sent leaves in raw mode. */

static void read_offer(const struct gateway *g, struct lws *wsi)
{
    char text[256]; /* libwebsockets refuses the handshake when there is more */
    struct upgrade *u = g->upgrade;
    u->deflate = false;
    u->offer = (struct deflate_offer){0};
    if (g->deflate && header(wsi, WSI_TOKEN_EXTENSIONS, text, sizeof(text)))
        u->offer = deflate_read_offer(slice_str(text));
}

/* libwebsockets asks once per offer of the extension, and takes a second one after a granted one as a fault: so the last one is
 * granted. It makes no difference to the answer, whose parameters are ours. */
bool upgrade_grants_extension(struct upgrade *u)
{
    return u->offer.acceptable && --u->offer.times == 0;
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
        http_gateway(wsi)->upgrade->deflate = true;
    }
    return 0; /* to everything else: nothing was done */
}

const struct lws_extension *upgrade_extensions(void)
{
    static const struct lws_extension extensions[] = {{"permessage-deflate", extension_callback, NULL},
                                                      {NULL, NULL, NULL}};
    return extensions;
}

/* The answer so far ends with the line that names the extension. There is no other place to add parameters, so that line is
 * taken up again. If it is not there the handshake fails, because without them the client would keep context. */
int upgrade_add_parameters(const struct upgrade *u, struct lws_process_html_args *args)
{
    static const char written[] = ": permessage-deflate\r\n";
    const size_t written_len = sizeof(written) - 1, end_len = 2;
    if (!u->deflate)
        return 0;
    const char *answer = deflate_answer(&u->offer);
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

static int refuse(struct lws *wsi, unsigned status, const char *why)
{
    return http_refuse_client(wsi, &http_gateway(wsi)->upgrade->remote, status, why);
}

/* libwebsockets reads some lists of words once more, in its own way, and ends the connection without an answer when it does not like
 * them. Its rules, then: so many bytes, only words and commas. */
static bool library_reads(struct lws *wsi, enum lws_token_indexes token, const char *until)
{
    char text[UPGRADE_NAME_BYTES], word[64];
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

static const char *library_fault(const struct upgrade *u, struct lws *wsi)
{
    enum { EXTENSIONS_MAX = 254 };
    if (!library_reads(wsi, WSI_TOKEN_CONNECTION, "upgrade"))
        return "Connection is malformed";
    if (!library_reads(wsi, WSI_TOKEN_PROTOCOL, u->chosen))
        return "Sec-WebSocket-Protocol is malformed or too long";
    if (lws_hdr_total_length(wsi, WSI_TOKEN_EXTENSIONS) > EXTENSIONS_MAX)
        return "Sec-WebSocket-Extensions is too long";
    return NULL;
}

void upgrade_forget(struct upgrade *u)
{
    if (u->grants)
        options_release(u->grants);
    u->grants = NULL;
}

int upgrade_check(struct gateway *g, struct lws *wsi)
{
    struct upgrade *u = g->upgrade;
    char version[8];
    unsigned status;
    porch_heard(evlib_visitor(g->evlib, wsi));
    u->remote = http_client(wsi, g->opt);
    const char *refusal = admission_refusal(g->admission, lws_get_socket_fd(wsi));
    if (refusal)
        return refuse(wsi, 503, refusal);
    refusal = addresses_refusal(g->addresses, g->opt, &u->remote);
    if (refusal)
        return refuse(wsi, 429, refusal);
    const char *fault = http_fault(wsi);
    if (fault)
        return refuse(wsi, 400, fault);
    fault = http_size_fault(wsi, &status);
    if (fault)
        return refuse(wsi, status, fault);
    if (lws_hdr_total_length(wsi, WSI_TOKEN_GET_URI) <= 0)
        return refuse(wsi, 405, "GET only");
    if (!choose(u, wsi)) /* or too long a path for any */
        return refuse(wsi, 404, "no protocol is spoken here");
    fault = handshake_fault(wsi);
    if (!fault)
        fault = library_fault(u, wsi);
    if (fault)
        return refuse(wsi, 400, fault);
    if (!header(wsi, WSI_TOKEN_VERSION, version, sizeof(version)) || strcmp(version, "13") != 0)
        return refuse(wsi, 426, "Sec-WebSocket-Version must be 13");
    if (!http_page_allowed(g, wsi))
        return http_refuse_page(g, wsi);
    upgrade_forget(u);
    u->grants = http_grants(wsi, g->opt, &fault);
    if (!u->grants) {
        metric_add(METRIC_REFUSED_UNAUTHORIZED, 1);
        return refuse(wsi, 401, fault);
    }
    refusal = users_refusal(g->users, g->opt, u->grants);
    if (refusal)
        return refuse(wsi, 429, refusal);
    if (strlen(u->any) >= 64) /* longer than libwebsockets compares */
        return refuse(wsi, 400, "Sec-WebSocket-Protocol is too long");
    read_offer(g, wsi);
    return 0;
}
