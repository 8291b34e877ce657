/* See the header. */
#include "gateway/admin/actions.h"

#include "gateway/admin/inspect.h"
#include "gateway/admin/looks.h"
#include "gateway/base/text.h"
#include "gateway/lifecycle/drain.h"
#include "gateway/net/conn.h"
#include "gateway/net/http_reply.h"
#include "gateway/observe/log.h"

enum { REASON_BYTES_MAX = 123 /* of a close frame */ };

static void note(const struct http_request *r, const char *what, int64_t conn, struct slice reason)
{
    const char *why;
    const struct grants *who = http_grants(r->wsi, r->g->opt, &why);
    struct remote client = http_client(r->wsi, r->g->opt);
    log_info("admin action=%s conn=%lld by=\"%s\" remote=%s reason=%s", what, (long long)conn,
             who && (who->token || who->identity) ? who->name : "local", remote_text(&client), log_value(reason));
    if (who)
        options_release(who);
}

int actions_drain(const struct http_request *r)
{
    note(r, "drain", 0, SLICE_LIT(""));
    drain_program(r->g->drain);
    return http_reply_text(r->wsi, 202, "draining");
}

/* Without the line end that a shell adds. */
static struct slice reason_of(struct slice body)
{
    while (body.len && (body.ptr[body.len - 1] == '\n' || body.ptr[body.len - 1] == '\r'))
        body.len--;
    return body.len ? body : SLICE_LIT("closed by an operator");
}

int actions_close(const struct http_request *r)
{
    int64_t id = 0;
    int result;
    struct slice reason = reason_of(r->body);
    if (!inspect_number(r, "id", &id) || id < 1)
        return http_reply_text(r->wsi, 400, "id is the id of a connection");
    if (reason.len > REASON_BYTES_MAX || !text_is_printable(reason))
        return http_reply_text(r->wsi, 400, "the reason is at most 123 bytes of printable text");
    if (looks_misdirected(r, &result))
        return result;
    struct conn *c = conn_find(r->g, (uint64_t)id);
    if (!c)
        return http_reply_text(r->wsi, 404, "no such connection");
    char text[REASON_BYTES_MAX + 1] = "";
    memcpy(text, reason.ptr, reason.len);
    note(r, "close", id, reason);
    conn_close_saying(c, ACTIONS_CLOSE_CODE, "closed by an operator", text);
    return http_reply_text(r->wsi, 202, "closing");
}
