/* What is served, by path. */
#include "gateway/admin/endpoints.h"

#include <stdio.h>
#include <string.h>

#include "gateway/access/forwarded.h"
#include "gateway/admin/actions.h"
#include "gateway/admin/assets.h"
#include "gateway/admin/fleet.h"
#include "gateway/admin/gauges.h"
#include "gateway/admin/inspect.h"
#include "gateway/admin/looks.h"
#include "gateway/admin/names.h"
#include "gateway/admin/tap.h"
#include "gateway/lifecycle/ready.h"
#include "gateway/net/http_refusal.h"
#include "gateway/net/http_reply.h"
#include "gateway/observe/metrics.h"

static int get_healthz(const struct http_request *r)
{
    return http_reply_text(r->wsi, 200, "ok");
}

static int get_readyz(const struct http_request *r)
{
    const char *why = ready_refusal(r->g);
    return why ? http_reply_text(r->wsi, 503, why) : http_reply_text(r->wsi, 200, "ready");
}

static int get_metrics(const struct http_request *r)
{
    struct buf b;
    gauges_refresh(r->g);
    buf_init(&b, metrics_workers() * METRICS_BYTES_MAX);
    metrics_render(&b);
    return http_reply(r->wsi, 200, "text/plain; version=0.0.4; charset=utf-8", &b);
}

/* Everything under ADMIN_AREA answers only those whom admin_allowed lets in; endpoints_request sees to it. */
static const struct endpoint {
    enum http_method method;
    const char *path;
    http_answer_fn *answer;
} endpoints[] = {
    {HTTP_GET, "/healthz", get_healthz},
    {HTTP_GET, "/readyz", get_readyz},
    {HTTP_GET, "/metrics", get_metrics},
    {HTTP_POST, ADMIN_AREA "drain", actions_drain},
    {HTTP_POST, ADMIN_AREA "connection/close", actions_close},
    {HTTP_GET, ADMIN_AREA "stats", inspect_stats},
    {HTTP_GET, ADMIN_AREA "connections", inspect_connections},
    {HTTP_GET, ADMIN_AREA "refusals", inspect_refusals},
    {HTTP_GET, ADMIN_AREA "fleet", fleet_answer},
    {HTTP_GET, ADMIN_AREA "tap", tap_answer},
    {HTTP_GET, ADMIN_AREA "connection", looks_connection},
    {HTTP_GET, ADMIN_AREA "functions", looks_functions},
    {HTTP_GET, ADMIN_AREA "executors", looks_executors},
    {HTTP_GET, ADMIN_AREA "names", names_answer},
    {HTTP_GET, ADMIN_AREA "name", names_answer_one},
};

static int get_asset(struct lws *wsi, const struct asset *a)
{
    return http_reply_fixed(wsi, &(struct http_answer){.status = 200,
                                                       .type = a->type,
                                                       .etag = a->etag,
                                                       .digest = a->digest,
                                                       .shared = a->shared,
                                                       .bytes = a->bytes,
                                                       .len = a->len});
}

static const struct asset *asset_at(const char *path)
{
    static const struct {
        const struct asset *rows;
        const size_t *len;
    } tables[] = {{sg_assets, &sg_assets_len}, {sg_docs, &sg_docs_len}};
    for (size_t t = 0; t < sizeof(tables) / sizeof(tables[0]); t++)
        for (size_t i = 0; i < *tables[t].len; i++)
            if (strcmp(path, tables[t].rows[i].path) == 0)
                return &tables[t].rows[i];
    return NULL;
}

/* A folder asked for without its last slash: its name with it, since links of a page in there count from the folder. Relative, as a
 * balancer may have put a path in front. NULL: there is none. */
static const char *folder_at(const char *path)
{
    static char name[64];
    const char *last = strrchr(path, '/');
    size_t len = strlen(path);
    char folder[256];
    if (!last || len + 2 > sizeof(folder) || strlen(last) + 1 > sizeof(name))
        return NULL;
    snprintf(folder, sizeof(folder), "%s/", path);
    snprintf(name, sizeof(name), "%s/", last + 1);
    return asset_at(folder) ? name : NULL;
}

static const struct endpoint *endpoint_at(const char *path, enum http_method method, bool *other_method)
{
    *other_method = false;
    for (size_t i = 0; i < sizeof(endpoints) / sizeof(endpoints[0]); i++) {
        if (strcmp(path, endpoints[i].path) != 0)
            continue;
        if (endpoints[i].method == method)
            return &endpoints[i];
        *other_method = true;
    }
    return NULL;
}

static int refuse_stranger(const struct gateway *g, struct lws *wsi, enum admin_verdict verdict)
{
    struct remote client = http_client(wsi, g->opt);
    metric_add(METRIC_REFUSED_UNAUTHORIZED, 1);
    if (verdict == ADMIN_ELSEWHERE)
        return http_refuse_client(wsi, &client, 403, "a page of another origin may not do this");
    return verdict == ADMIN_FORBIDDEN ? http_refuse_client(wsi, &client, 403, "this token is no admin's")
                                      : http_refuse_client(wsi, &client, 401, "for admins only");
}

/* --- from where --- */

/* A list of networks; an empty one is everywhere. */
static bool comes_from(const struct gateway *g, struct lws *wsi, char **networks, size_t len)
{
    struct remote client = http_client(wsi, g->opt);
    return len == 0 || forwarded_trusts((const char *const *)networks, len, &client);
}

/* The same words for all, so that nobody learns what is there. */
static int refuse_place(const struct gateway *g, struct lws *wsi, unsigned status, const char *why)
{
    struct remote client = http_client(wsi, g->opt);
    metric_add(METRIC_REFUSED_UNAUTHORIZED, 1);
    return http_refuse_client(wsi, &client, status, why);
}

static bool may_read_metrics(const struct gateway *g, struct lws *wsi)
{
    if (comes_from(g, wsi, g->opt->metrics_from, g->opt->metrics_from_len))
        return true;
    const char *why;
    const struct grants *who = http_grants(wsi, g->opt, &why);
    bool may = who && who->token && (who->metrics || who->admin);
    if (who)
        options_release(who);
    return may;
}

/* Whether it may ask at all, whatever it asks for. 0, or the answer's result. */
static int refused_area(const struct gateway *g, struct lws *wsi, const char *path)
{
    if (strncmp(path, ADMIN_AREA, sizeof(ADMIN_AREA) - 1) == 0) {
        if (!comes_from(g, wsi, g->opt->admin_from, g->opt->admin_from_len))
            return refuse_place(g, wsi, 403, "not from this address (admin_from)");
        enum admin_verdict verdict = http_admin(g, wsi);
        return verdict == ADMIN_ALLOWED ? 0 : refuse_stranger(g, wsi, verdict);
    }
    if (strcmp(path, "/metrics") == 0 && !may_read_metrics(g, wsi))
        return refuse_place(g, wsi, 401, "not from this address without a token for it (metrics_from)");
    const struct asset *a = asset_at(path);
    if (a && !a->shared && !comes_from(g, wsi, g->opt->page_from, g->opt->page_from_len))
        return refuse_place(g, wsi, 403, "not from this address (page_from)");
    return 0;
}

int endpoints_request(struct gateway *g, struct lws *wsi, const char *path)
{
    enum http_method method;
    bool other_method;
    unsigned status;
    const char *fault = http_fault(wsi);
    if (fault)
        return http_refuse(wsi, 400, fault);
    fault = http_size_fault(wsi, &status);
    if (fault)
        return http_refuse(wsi, status, fault);
    if (!http_method(wsi, &method))
        return http_refuse(wsi, 405, "GET, HEAD and POST only");
    int refused = refused_area(g, wsi, path);
    if (refused)
        return refused;
    const struct endpoint *e = endpoint_at(path, method, &other_method);
    if (e)
        return method == HTTP_POST ? http_take_body(wsi, e->path, e->answer)
                                   : e->answer(&(struct http_request){.g = g, .wsi = wsi, .path = e->path});
    const struct asset *a = asset_at(path);
    if (a && method == HTTP_GET)
        return get_asset(wsi, a);
    const char *folder = method == HTTP_GET ? folder_at(path) : NULL;
    if (folder)
        return http_reply_elsewhere(wsi, folder);
    other_method = other_method || a;
    if (other_method)
        return http_refuse(wsi, 405, method == HTTP_POST ? "GET and HEAD only" : "POST only");
    if (method == HTTP_POST)
        return http_refuse(wsi, 404, "not found");
    http_note(wsi, 404, "not found");
    return http_reply_text(wsi, 404, "not found");
}
