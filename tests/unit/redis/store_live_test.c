/* The typed calls against the real function library: each one's round trip, its refusals, and what comes when Redis is away or
 * answers something else. */
#include "redis/store.h"

#include "redis/change.h"
#include "redis/hub.h"
#include "tests/unit/redis/server.h"
#include "tests/unit/unit.h"

enum { ROOM = 1000 * 1000 };

struct fixture {
    struct server server;
    struct event_base *base;
    struct link *link;
    struct hub *hub;
    struct store *store;
    int ups, downs;
};

/* The last answer of each kind, copied. */
struct got {
    int answers;
    enum store_status status;
    enum store_refusal refusal;
    char text[256];
    int64_t n;
    struct store_var var;
    char value[256];
    struct store_list list;
    char items[512], found[512]; /* "index:id=value " each; "- " for none */
    struct store_state state;
    char names[256];
    char executor[128];
};

static void on_up(void *arg)
{
    struct fixture *f = arg;
    hub_on_up(f->hub);
    f->ups++;
}

static void on_down(void *arg, const char *why)
{
    struct fixture *f = arg;
    (void)why;
    f->downs++;
}

static void on_push(void *arg, const struct reply *push)
{
    struct fixture *f = arg;
    hub_on_push(f->hub, push);
}

static void setup(struct fixture *f)
{
    static const struct link_events events = {.on_up = on_up, .on_down = on_down, .on_push = on_push};
    *f = (struct fixture){.ups = 0};
    server_start(&f->server, NULL);
    f->base = event_base_new();
    /* No ping: it would put back the library that a test replaces. */
    struct link_config c = {.unix_path = f->server.socket, .ping_interval_ms = INT32_MAX};
    f->link = link_new(f->base, &c, &events, f);
    f->hub = hub_new(f->link);
    f->store = store_new(f->link, "t:", 0);
    link_start(f->link);
    CU_ASSERT_TRUE_FATAL(loop_until(f->base, &f->ups, 1));
}

static void teardown(struct fixture *f)
{
    link_free(f->link);
    hub_free(f->hub);
    store_free(f->store);
    event_base_loop(f->base, EVLOOP_NONBLOCK);
    event_base_free(f->base);
    server_stop(&f->server);
}

static void note(struct got *g, const struct store_result *r)
{
    g->answers++;
    g->status = r->status;
    g->refusal = r->refusal;
    snprintf(g->text, sizeof g->text, "%.*s", (int)r->text.len, r->text.len ? r->text.ptr : "");
}

static void on_write(void *arg, const struct store_result *r, int64_t n)
{
    struct got *g = arg;
    note(g, r);
    g->n = n;
}

static void on_var(void *arg, const struct store_result *r, const struct store_var *v)
{
    struct got *g = arg;
    note(g, r);
    g->var = *v;
    snprintf(g->value, sizeof g->value, "%.*s", (int)v->value.len, v->value.len ? v->value.ptr : "");
}

static void put_item(char *out, size_t size, const struct store_item *item)
{
    size_t len = strlen(out);
    if (!item->id.ptr)
        snprintf(out + len, size - len, item->index == STORE_NOT_READ ? "? " : "- ");
    else
        snprintf(out + len, size - len, "%lld:%.*s=%.*s ", (long long)item->index, (int)item->id.len, item->id.ptr,
                 (int)item->value.len, item->value.ptr);
}

static void on_list(void *arg, const struct store_result *r, const struct store_list *l)
{
    struct got *g = arg;
    note(g, r);
    g->list = *l;
    g->items[0] = g->found[0] = '\0';
    const struct store_item *item = l->items;
    for (size_t i = 0; i < l->nranges; i++) {
        for (int64_t n = 0; n < l->ranges[i].count; n++)
            put_item(g->items, sizeof g->items, item++);
        strncat(g->items, "| ", sizeof g->items - strlen(g->items) - 1);
    }
    for (size_t i = 0; i < l->nids; i++)
        put_item(g->found, sizeof g->found, &l->ids[i]);
}

static void on_state(void *arg, const struct store_result *r, const struct store_state *st)
{
    struct got *g = arg;
    note(g, r);
    g->state = *st;
}

static void on_functions(void *arg, const struct store_result *r, const struct store_functions *fns)
{
    struct got *g = arg;
    note(g, r);
    g->n = fns->rev;
    g->names[0] = '\0';
    for (size_t i = 0; i < fns->len; i++) {
        size_t len = strlen(g->names);
        snprintf(g->names + len, sizeof g->names - len, "%.*s ", (int)fns->names[i].len, fns->names[i].ptr);
    }
}

static void on_held(void *arg, const struct store_result *r, const struct store_held *h)
{
    struct got *g = arg;
    note(g, r);
    int len = snprintf(g->names, sizeof g->names, "%.*s:", (int)h->next.len, h->next.ptr ? h->next.ptr : "");
    for (size_t i = 0; i < h->len; i++)
        len += snprintf(g->names + len, sizeof g->names - (size_t)len, "%.*s/%.*s ", (int)h->registrations[i].exec.len,
                        h->registrations[i].exec.ptr, (int)h->registrations[i].name.len, h->registrations[i].name.ptr);
}

static void on_executor(void *arg, const struct store_result *r, const struct store_executor *x)
{
    struct got *g = arg;
    note(g, r);
    snprintf(g->executor, sizeof g->executor, "%.*s/%.*s", (int)x->gw.len, x->gw.ptr ? x->gw.ptr : "", (int)x->exec.len,
             x->exec.ptr ? x->exec.ptr : "");
}

#define TEXT(literal) SLICE_LIT(literal)

/* await waits for the one answer of the call before it. */
static void await(struct fixture *f, struct got *g)
{
    CU_ASSERT_TRUE_FATAL(loop_until(f->base, &g->answers, 1));
    CU_ASSERT_EQUAL(g->answers, 1);
    g->answers = 0;
}

static void await_number(struct fixture *f, struct got *g, int64_t n)
{
    await(f, g);
    CU_ASSERT_EQUAL(g->status, STORE_OK);
    CU_ASSERT_EQUAL(g->n, n);
}

static void await_refusal(struct fixture *f, struct got *g, enum store_refusal refusal)
{
    await(f, g);
    CU_ASSERT_EQUAL(g->status, STORE_REFUSED);
    CU_ASSERT_EQUAL(g->refusal, refusal);
    CU_ASSERT_EQUAL(g->n, 0);
}

static void await_broken(struct fixture *f, struct got *g, const char *what)
{
    await(f, g);
    CU_ASSERT_EQUAL(g->status, STORE_BROKEN);
    if (g->status != STORE_BROKEN)
        fprintf(stderr, "taken for good: %s\n", what);
}

static void test_channels_and_roots(void)
{
    struct store *s = store_new(NULL, "acme:", 0);
    char out[600], other[600], small[8];
    size_t len = store_channel(s, TEXT("price"), out, sizeof out);
    CU_ASSERT_TRUE(slice_eq(slice_of(out, len), TEXT("acme:{price}")));
    CU_ASSERT_EQUAL(store_channel(s, TEXT("price"), small, sizeof small), 0);
    CU_ASSERT_TRUE(slice_eq(store_calls_channel(s), TEXT("acme:@{calls}")));
    len = store_probe_channel(s, TEXT("g"), out, sizeof out);
    CU_ASSERT_TRUE(slice_eq(slice_of(out, len), TEXT("acme:@{probe:g}")));
    CU_ASSERT_EQUAL(store_census_channel(s, TEXT("g"), small, sizeof small), 0);
    size_t census = store_census_channel(s, TEXT("g"), other, sizeof other);
    CU_ASSERT_TRUE(slice_eq(slice_of(other, census), TEXT("acme:@{census:g}")));
    census = store_census_channel(s, SLICE_NONE, other, sizeof other);
    CU_ASSERT_TRUE(slice_eq(slice_of(other, census), TEXT("acme:@{census}")));
    store_free(s);
    s = store_new(NULL, "acme:", 15);
    len = store_channel(s, TEXT("price"), out, sizeof out);
    CU_ASSERT_TRUE(slice_eq(slice_of(out, len), TEXT("acme:{price}@15")));
    CU_ASSERT_EQUAL(store_channel(s, TEXT("price"), out, len - 1), 0);
    CU_ASSERT_EQUAL(store_channel(s, TEXT("a{b"), out, sizeof out), 0);
    CU_ASSERT_TRUE(slice_eq(store_calls_channel(s), TEXT("acme:@{calls}@15")));
    len = store_probe_channel(s, TEXT("g"), out, sizeof out);
    CU_ASSERT_TRUE(slice_eq(slice_of(out, len), TEXT("acme:@{probe:g}@15")));
    census = store_census_channel(s, TEXT("g"), other, sizeof other);
    CU_ASSERT_TRUE(slice_eq(slice_of(other, census), TEXT("acme:@{census:g}@15")));
    census = store_census_channel(s, SLICE_NONE, other, sizeof other);
    CU_ASSERT_TRUE(slice_eq(slice_of(other, census), TEXT("acme:@{census}@15")));
    CU_ASSERT_EQUAL(store_probe_channel(s, TEXT("g"), out, len - 1), 0);
    store_free(s);
}

static void test_variables(void)
{
    struct fixture f;
    struct got g = {0};
    setup(&f);
    store_var_read(f.store, TEXT("price"), ROOM, on_var, &g);
    await(&f, &g);
    CU_ASSERT_EQUAL(g.status, STORE_OK);
    CU_ASSERT_EQUAL(g.var.rev, 0);
    CU_ASSERT_FALSE(g.var.exists);
    store_var_set(f.store, TEXT("price"), TEXT("{\"usd\":5}"), on_write, &g);
    await_number(&f, &g, 1);
    store_var_set(f.store, TEXT("price"), TEXT("{\"usd\":6}"), on_write, &g);
    await_number(&f, &g, 2);
    store_var_read(f.store, TEXT("price"), ROOM, on_var, &g);
    await(&f, &g);
    CU_ASSERT_TRUE(g.var.exists);
    CU_ASSERT_EQUAL(g.var.rev, 2);
    CU_ASSERT_STRING_EQUAL(g.value, "{\"usd\":6}");
    store_var_set(f.store, TEXT("price"), TEXT("7"), NULL, NULL); /* nobody wants to know */
    store_var_read(f.store, TEXT("price"), ROOM, on_var, &g);
    await(&f, &g);
    CU_ASSERT_STRING_EQUAL(g.value, "7");
    teardown(&f);
}

static void test_state(void)
{
    struct fixture f;
    struct got g = {0};
    setup(&f);
    store_var_set(f.store, TEXT("x"), TEXT("1"), NULL, NULL);
    store_state(f.store, TEXT("x"), on_state, &g);
    await(&f, &g);
    CU_ASSERT_EQUAL(g.state.var_rev, 1);
    CU_ASSERT_TRUE(g.state.var_exists);
    CU_ASSERT_EQUAL(g.state.list_rev, 0);
    CU_ASSERT_FALSE(g.state.list_exists);
    store_list_set_all(f.store, TEXT("x"), TEXT("[]"), NULL, NULL);
    store_list_set_all(f.store, TEXT("x"), TEXT("[]"), NULL, NULL);
    store_state(f.store, TEXT("x"), on_state, &g);
    await(&f, &g);
    CU_ASSERT_TRUE(g.state.var_exists);
    CU_ASSERT_EQUAL(g.state.list_rev, 2);
    CU_ASSERT_TRUE(g.state.list_exists);
    teardown(&f);
}

static void test_refusals(void)
{
    struct fixture f;
    struct got g = {0};
    setup(&f);
    store_var_set(f.store, TEXT("x"), TEXT("{"), on_write, &g);
    await_refusal(&f, &g, REFUSAL_JSON);
    CU_ASSERT_NSTRING_EQUAL(g.text, "SGJSON ", 7);
    store_var_set(f.store, TEXT("a\tb"), TEXT("1"), on_write, &g);
    await_refusal(&f, &g, REFUSAL_NAME);
    store_list_set(f.store, TEXT("x"), TEXT("1"), TEXT("2"), on_write, &g);
    await_refusal(&f, &g, REFUSAL_ID);
    store_list_insert(f.store, TEXT("x"), 5, TEXT("1"), TEXT("2"), on_write, &g);
    await_refusal(&f, &g, REFUSAL_ARG);
    store_fn_call(f.store, TEXT("nobody"), TEXT("c1"), TEXT("g1"), 1000, SLICE_NONE, on_executor, &g);
    await_refusal(&f, &g, REFUSAL_NAME);
    CU_ASSERT_STRING_EQUAL(g.executor, "/");
    teardown(&f);
}

/* Keys that are not what the functions left there. */
static void test_damaged_data(void)
{
    struct fixture f;
    struct got g = {0};
    struct store_range all = {0, 10};
    setup(&f);
    link_command(f.link, NULL, NULL, 3, (struct slice[]){TEXT("SET"), TEXT("t:{x}:v"), TEXT("1")});
    link_command(f.link, NULL, NULL, 3, (struct slice[]){TEXT("SET"), TEXT("t:{x}:h"), TEXT("1")});
    store_var_read(f.store, TEXT("x"), ROOM, on_var, &g);
    await_refusal(&f, &g, REFUSAL_DATA);
    CU_ASSERT_NSTRING_EQUAL(g.text, "SGDATA ", 7);
    store_list_read(f.store, TEXT("x"), &(struct store_want){ROOM, &all, 1, NULL, 0}, on_list, &g);
    await_refusal(&f, &g, REFUSAL_DATA);
    store_list_insert(f.store, TEXT("x"), 0, TEXT("1"), TEXT("1"), on_write, &g);
    await_refusal(&f, &g, REFUSAL_DATA);
    store_state(f.store, TEXT("x"), on_state, &g);
    await(&f, &g);
    CU_ASSERT_EQUAL(g.status, STORE_OK);
    CU_ASSERT_EQUAL(g.state.var_rev, -1);
    CU_ASSERT_EQUAL(g.state.list_rev, -1);
    CU_ASSERT_FALSE(g.state.var_exists || g.state.list_exists);
    store_list_set_all(f.store, TEXT("x"), TEXT("[]"), on_write, &g);
    await_number(&f, &g, 1);
    store_var_set(f.store, TEXT("x"), TEXT("2"), on_write, &g);
    await_number(&f, &g, 1);
    teardown(&f);
}

/* Refused before Redis sees them, from inside the call. */
static void test_names_that_do_not_fit(void)
{
    struct fixture f;
    struct got g = {0};
    char name[513];
    memset(name, 'n', sizeof name);
    setup(&f);
    uint64_t commands = link_stats(f.link)->commands;
    store_var_set(f.store, slice_of(name, sizeof name), TEXT("1"), on_write, &g);
    await_refusal(&f, &g, REFUSAL_NAME);
    store_var_read(f.store, TEXT("a{b"), ROOM, on_var, &g);
    await_refusal(&f, &g, REFUSAL_NAME);
    store_list_read(f.store, TEXT(""), &(struct store_want){ROOM, NULL, 0, NULL, 0}, on_list, &g);
    await_refusal(&f, &g, REFUSAL_NAME);
    store_state(f.store, TEXT("}"), on_state, &g);
    await_refusal(&f, &g, REFUSAL_NAME);
    store_list_insert(f.store, TEXT("}"), 0, TEXT("1"), TEXT("1"), on_write, &g);
    await_refusal(&f, &g, REFUSAL_NAME);
    CU_ASSERT_EQUAL(link_stats(f.link)->commands, commands);
    teardown(&f);
}

static void test_list_writes(void)
{
    struct fixture f;
    struct got g = {0};
    setup(&f);
    store_list_insert(f.store, TEXT("l"), 0, TEXT("\"a\""), TEXT("\"A\""), on_write, &g);
    await_number(&f, &g, 1);
    store_list_insert(f.store, TEXT("l"), -1, TEXT("2"), TEXT("{\"n\": 2}"), on_write, &g);
    await_number(&f, &g, 2);
    store_list_set(f.store, TEXT("l"), TEXT("2"), TEXT("7"), on_write, &g);
    await_number(&f, &g, 3);
    store_list_delete(f.store, TEXT("l"), TEXT("\"a\""), on_write, &g);
    await_number(&f, &g, 4);
    store_list_read(f.store, TEXT("l"), &(struct store_want){ROOM, &(struct store_range){0, 9}, 1, NULL, 0}, on_list,
                    &g);
    await(&f, &g);
    CU_ASSERT_STRING_EQUAL(g.items, "0:2=7 | ");
    store_list_set_all(f.store, TEXT("l"), TEXT("[{\"id\":\"z\",\"value\":1}]"), on_write, &g);
    await_number(&f, &g, 5);
    store_list_read(f.store, TEXT("l"), &(struct store_want){ROOM, &(struct store_range){0, 9}, 1, NULL, 0}, on_list,
                    &g);
    await(&f, &g);
    CU_ASSERT_EQUAL(g.list.total, 1);
    CU_ASSERT_STRING_EQUAL(g.items, "0:\"z\"=1 | ");
    teardown(&f);
}

static void test_list_snapshots(void)
{
    const struct store_range ranges[] = {{0, 2}, {1, 10}, {3, 5}};
    const struct slice ids[] = {TEXT("\"b\""), TEXT("\"nobody\""), TEXT("2")};
    struct fixture f;
    struct got g = {0};
    setup(&f);
    store_list_read(f.store, TEXT("l"), &(struct store_want){ROOM, ranges, 3, ids, 3}, on_list, &g);
    await(&f, &g);
    CU_ASSERT_EQUAL(g.status, STORE_OK);
    CU_ASSERT_EQUAL(g.list.rev, 0);
    CU_ASSERT_FALSE(g.list.exists);
    CU_ASSERT_STRING_EQUAL(g.items, "| | | ");
    CU_ASSERT_STRING_EQUAL(g.found, "- - - ");
    store_list_insert(f.store, TEXT("l"), 0, TEXT("\"a\""), TEXT("\"A\""), NULL, NULL);
    store_list_insert(f.store, TEXT("l"), 1, TEXT("\"b\""), TEXT("null"), NULL, NULL);
    store_list_insert(f.store, TEXT("l"), 2, TEXT("2"), TEXT("{\"n\": 2}"), NULL, NULL);
    store_list_read(f.store, TEXT("l"), &(struct store_want){ROOM, ranges, 3, ids, 3}, on_list, &g);
    await(&f, &g);
    CU_ASSERT_EQUAL(g.list.rev, 3);
    CU_ASSERT_TRUE(g.list.exists);
    CU_ASSERT_EQUAL(g.list.total, 3);
    CU_ASSERT_STRING_EQUAL(g.items, "0:\"a\"=\"A\" 1:\"b\"=null | 1:\"b\"=null 2:2={\"n\": 2} | | ");
    CU_ASSERT_STRING_EQUAL(g.found, "1:\"b\"=null - 2:2={\"n\": 2} ");
    store_list_read(f.store, TEXT("l"), &(struct store_want){ROOM, NULL, 0, NULL, 0}, on_list, &g);
    await(&f, &g);
    CU_ASSERT_EQUAL(g.status, STORE_OK);
    CU_ASSERT_EQUAL(g.list.total, 3);
    teardown(&f);
}

/* What there is no room for is left out, and said how large it is. */
static void test_room(void)
{
    const struct store_range ranges[] = {{0, 2}, {2, 10}};
    const struct slice ids[] = {TEXT("0"), TEXT("3")};
    struct fixture f;
    struct got g = {0};
    setup(&f);
    store_var_set(f.store, TEXT("v"), TEXT("12345"), NULL, NULL);
    store_var_read(f.store, TEXT("v"), 4, on_var, &g);
    await(&f, &g);
    CU_ASSERT_EQUAL(g.status, STORE_OK);
    CU_ASSERT_TRUE(g.var.exists);
    CU_ASSERT_EQUAL(g.var.rev, 1);
    CU_ASSERT_EQUAL(g.var.larger, 5);
    store_var_read(f.store, TEXT("v"), 5, on_var, &g);
    await(&f, &g);
    CU_ASSERT_EQUAL(g.var.larger, 0);
    CU_ASSERT_STRING_EQUAL(g.value, "12345");
    store_list_set_all(f.store, TEXT("l"),
                       TEXT("[{\"id\":0,\"value\":0},{\"id\":1,\"value\":1},{\"id\":2,\"value\":22},"
                            "{\"id\":3,\"value\":3}]"),
                       NULL, NULL);
    store_list_read(f.store, TEXT("l"), &(struct store_want){100, ranges, 2, ids, 2}, on_list, &g);
    await(&f, &g);
    CU_ASSERT_EQUAL(g.status, STORE_OK);
    CU_ASSERT_EQUAL(g.list.total, 4);
    CU_ASSERT_STRING_EQUAL(g.items, "0:0=0 1:1=1 | | ");
    CU_ASSERT_STRING_EQUAL(g.found, "? ? ");
    CU_ASSERT_TRUE(g.list.larger > 3 && g.list.larger <= 100);
    store_list_read(f.store, TEXT("l"), &(struct store_want){215, ranges, 2, ids, 2}, on_list, &g);
    await(&f, &g);
    CU_ASSERT_STRING_EQUAL(g.items, "0:0=0 1:1=1 | 2:2=22 3:3=3 | ");
    CU_ASSERT_STRING_EQUAL(g.found, "0:0=0 ? ");
    store_list_read(f.store, TEXT("l"), &(struct store_want){ROOM, ranges, 2, ids, 2}, on_list, &g);
    await(&f, &g);
    CU_ASSERT_STRING_EQUAL(g.found, "0:0=0 3:3=3 ");
    CU_ASSERT_EQUAL(g.list.larger, 0);
    store_list_read(f.store, TEXT("l"), &(struct store_want){0, ranges, 2, ids, 2}, on_list, &g);
    await(&f, &g);
    CU_ASSERT_STRING_EQUAL(g.items, "| | ");
    CU_ASSERT_TRUE(g.list.larger > 0);
    teardown(&f);
}

static void test_long_lists(void)
{
    enum { N = 3000 };
    struct fixture f;
    struct got g = {0};
    struct slice *ids = calloc(N, sizeof *ids);
    struct store_range ranges[500];
    char text[16];
    setup(&f);
    for (int i = 0; i < N; i++) {
        snprintf(text, sizeof text, "%d", i);
        ids[i] = slice_of(strdup(text), strlen(text));
        store_list_insert(f.store, TEXT("l"), -1, ids[i], ids[i], NULL, NULL);
    }
    for (int i = 0; i < 500; i++)
        ranges[i] = (struct store_range){(int64_t)i * 6, 100};
    store_list_read(f.store, TEXT("l"), &(struct store_want){ROOM, ranges, 500, ids, N}, on_list, &g);
    await(&f, &g);
    CU_ASSERT_EQUAL(g.status, STORE_OK);
    CU_ASSERT_EQUAL(g.list.rev, N);
    CU_ASSERT_EQUAL(g.list.total, N);
    CU_ASSERT_EQUAL(g.list.nids, N);
    for (int i = 0; i < N; i++)
        free((char *)ids[i].ptr);
    free(ids);
    teardown(&f);
}

/* --- calls --- */

struct mailbox {
    struct hub_member member;
    int events;
    char last[256];
};

static void on_mail(struct hub_member *m, struct slice payload)
{
    struct mailbox *box = container_of(m, struct mailbox, member);
    struct call_event e;
    CU_ASSERT_TRUE(call_event_parse(payload, &e));
    box->events++;
    snprintf(box->last, sizeof box->last, "%.*s", (int)payload.len, payload.ptr);
}

static void on_mail_resync(struct hub_member *m)
{
    (void)m;
}

static struct mailbox mailbox(void)
{
    return (struct mailbox){.member = {.on_message = on_mail, .on_resync = on_mail_resync}};
}

static void test_catalogue(void)
{
    struct fixture f;
    struct got g = {0};
    struct mailbox catalogue = mailbox();
    setup(&f);
    hub_join(f.hub, store_calls_channel(f.store), &catalogue.member);
    store_fn_serve(f.store, TEXT("gw1"), TEXT("x1"), TEXT("add"), 60000, on_write, &g);
    await_number(&f, &g, 1);
    CU_ASSERT_STRING_EQUAL(catalogue.last, "f+ 1 add");
    store_fn_list(f.store, on_functions, &g);
    await_number(&f, &g, 1);
    CU_ASSERT_STRING_EQUAL(g.names, "add ");
    store_fn_beat(f.store, TEXT("gw1"), 60000, &(struct store_busy){TEXT("x1"), 1}, 1, on_write, &g);
    await_number(&f, &g, 1);
    store_fn_leave(f.store, TEXT("gw1"), TEXT("x1"), TEXT("add"), on_write, &g);
    await_number(&f, &g, 2);
    CU_ASSERT_STRING_EQUAL(catalogue.last, "f- 2 add");
    store_fn_serve(f.store, TEXT("gw1"), TEXT("x1"), TEXT("add"), 60000, on_write, &g);
    await_number(&f, &g, 3);
    store_fn_gone(f.store, TEXT("gw1"), on_write, &g);
    await(&f, &g);
    CU_ASSERT_EQUAL(g.status, STORE_OK);
    CU_ASSERT_NSTRING_EQUAL(catalogue.last, "g- ", 3);
    store_fn_list(f.store, on_functions, &g);
    await(&f, &g);
    CU_ASSERT_STRING_EQUAL(g.names, "");
    hub_leave(f.hub, &catalogue.member);
    teardown(&f);
}

static void test_calls(void)
{
    struct fixture f;
    struct got g = {0};
    struct mailbox executor = mailbox(), caller = mailbox();
    setup(&f);
    hub_join(f.hub, TEXT("t:@{calls}:gw1"), &executor.member);
    hub_join(f.hub, TEXT("t:@{calls}:gw2"), &caller.member);
    store_fn_serve(f.store, TEXT("gw1"), TEXT("x1"), TEXT("add"), 60000, NULL, NULL);
    store_fn_call(f.store, TEXT("add"), TEXT("c1"), TEXT("gw2"), 1500, TEXT("[1,2]"), on_executor, &g);
    await(&f, &g);
    CU_ASSERT_EQUAL(g.status, STORE_OK);
    CU_ASSERT_STRING_EQUAL(g.executor, "gw1/x1");
    CU_ASSERT_STRING_EQUAL(executor.last, "c c1 gw2 x1 1500 3 add [1,2]");
    store_fn_call(f.store, TEXT("add"), TEXT("c2"), TEXT("gw2"), 1500, SLICE_NONE, on_executor, &g);
    await(&f, &g);
    CU_ASSERT_STRING_EQUAL(executor.last, "c c2 gw2 x1 1500 3 add ");
    store_fn_done(f.store, TEXT("gw1"), TEXT("x1"), TEXT("c1"), TEXT("gw2"), TEXT("v 3"), on_write, &g);
    await_number(&f, &g, 1);
    CU_ASSERT_STRING_EQUAL(caller.last, "r c1 v 3");
    store_fn_held(f.store, TEXT("gw1"), TEXT("0"), on_held, &g);
    await(&f, &g);
    CU_ASSERT_STRING_EQUAL(g.names, "0:x1/add ");
    store_fn_again(f.store, TEXT("gw2"), &(struct store_again){TEXT("gw1"), TEXT("c1")}, 1, on_write, &g);
    await_number(&f, &g, 1);
    CU_ASSERT_STRING_EQUAL(executor.last, "a c1 gw2");
    hub_leave(f.hub, &executor.member);
    store_fn_call(f.store, TEXT("add"), TEXT("7"), TEXT("gw2"), 1500, SLICE_NONE, on_executor, &g);
    await(&f, &g);
    CU_ASSERT_EQUAL(g.refusal, REFUSAL_AWAY);
    store_fn_back(f.store, TEXT("gw2"), 9, on_write, &g);
    await_number(&f, &g, 7);
    hub_leave(f.hub, &caller.member);
    teardown(&f);
}

/* --- what is not an answer --- */

static void test_away(void)
{
    struct fixture f;
    struct got g = {0};
    setup(&f);
    kill(f.server.pid, SIGSTOP);
    store_var_set(f.store, TEXT("x"), TEXT("1"), on_write, &g);
    event_base_loop(f.base, EVLOOP_NONBLOCK);
    server_kill(&f.server);
    CU_ASSERT_TRUE(loop_until(f.base, &f.downs, 1));
    CU_ASSERT_EQUAL(g.answers, 1);
    CU_ASSERT_EQUAL(g.status, STORE_AWAY);
    /* From inside the call. */
    g.answers = 0;
    store_var_read(f.store, TEXT("x"), ROOM, on_var, &g);
    store_list_read(f.store, TEXT("x"), &(struct store_want){ROOM, &(struct store_range){0, 1}, 1, NULL, 0}, on_list,
                    &g);
    store_state(f.store, TEXT("x"), on_state, &g);
    store_fn_list(f.store, on_functions, &g);
    store_fn_call(f.store, TEXT("f"), TEXT("c"), TEXT("g"), 1, SLICE_NONE, on_executor, &g);
    CU_ASSERT_EQUAL(g.answers, 5);
    CU_ASSERT_EQUAL(g.status, STORE_AWAY);
    teardown(&f);
}

/* A library that answers nonsense: `code` is what every function returns. */
static void load_nonsense(struct fixture *f, const char *code)
{
    static const char *const names[] = {"sg_var_read", "sg_list_read", "sg_state",  "sg_fn_list",
                                        "sg_fn_call",  "sg_var_set",   "sg_fn_held"};
    char body[2048] = "#!lua name=syncgate\nlocal function f() return ", request[3072], answer[128];
    size_t len = strlen(body);
    len += (size_t)snprintf(body + len, sizeof body - len, "%s end\n", code);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        len += (size_t)snprintf(body + len, sizeof body - len,
                                "redis.register_function{function_name='%s', callback=f, flags={'no-writes'}}\n",
                                names[i]);
    snprintf(request, sizeof request, "*4\r\n$8\r\nFUNCTION\r\n$4\r\nLOAD\r\n$7\r\nREPLACE\r\n$%zu\r\n%s\r\n", len,
             body);
    must(server_say(&f->server, request, answer, sizeof answer), "FUNCTION LOAD");
    CU_ASSERT_NSTRING_EQUAL(answer, "$8\r\nsyncgate", 12);
}

static void check_nonsense(struct fixture *f, const char *code)
{
    struct got g = {0};
    const struct slice id = TEXT("1");
    load_nonsense(f, code);
    store_list_read(f->store, TEXT("x"), &(struct store_want){ROOM, &(struct store_range){0, 1}, 1, &id, 1}, on_list,
                    &g);
    await_broken(f, &g, code);
    CU_ASSERT_EQUAL(g.list.nranges + g.list.nids, 0);
    store_state(f->store, TEXT("x"), on_state, &g);
    await_broken(f, &g, code);
    store_var_read(f->store, TEXT("x"), ROOM, on_var, &g);
    await_broken(f, &g, code);
    CU_ASSERT_FALSE(g.var.exists);
    store_var_set(f->store, TEXT("x"), TEXT("1"), on_write, &g); /* what a write answers is not looked into */
    await_number(f, &g, strcmp(code, "1") == 0 ? 1 : 0);
}

static void test_nonsense_is_broken(void)
{
    static const char *const codes[] = {
        "1",
        "false",
        "'x'",
        "{}",
        "{ok='fine'}",
        "{-1, '1'}",
        "{'x', 'y'}",
        "{0, 'value'}",
        "{{}, {}}",
        "{1, {}}",
        "{1, 2, 3}",
        "{1, 1, 1, {}, {}}",
        "{1, 1, 1, {{'id'}}, {false}}",
        "{1, 1, 1, {{'id', 1}}, {false}}",
        "{1, 1, 1, {{'i', 'v', 'j', 'w'}}, {false}}",
        "{1, 1, 1, {{'i', 'v'}}, {{1}}}",
        "{1, 1, 1, {{'i', 'v'}}, {{-1, 'v'}}}",
        "{1, 2, 1, {{'i', 'v'}}, {false}}",
        "{1, 1, -1, {{'i', 'v'}}, {false}}",
        "{1, 1, 1, {{'i', 'v'}}, {false, false}}",
        "{1, 1, 1, 7, {false}}",
        "{1, {}, 1, {{'i', 'v'}}, {false}}",
    };
    struct fixture f;
    setup(&f);
    for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++)
        check_nonsense(&f, codes[i]);
    teardown(&f);
}

static void test_nonsense_of_calls_is_broken(void)
{
    static const char *const lists[] = {"1", "{}", "{'x'}", "{-1}", "{1, 'x', 2}", "{1, {}}", "false"};
    static const char *const pieces[] = {"1", "{}", "{1}", "{'0', 'x'}", "{'0', 1, 'x'}", "{'0', 'x', {}}", "false"};
    static const char *const calls[] = {"1", "{}", "{'x'}", "{1, 'x'}", "{'x', 1}", "{'x', 'y', 'z'}", "false"};
    struct fixture f;
    struct got g = {0};
    setup(&f);
    for (size_t i = 0; i < sizeof lists / sizeof lists[0]; i++) {
        load_nonsense(&f, lists[i]);
        store_fn_list(f.store, on_functions, &g);
        await_broken(&f, &g, lists[i]);
        CU_ASSERT_STRING_EQUAL(g.names, "");
    }
    for (size_t i = 0; i < sizeof pieces / sizeof pieces[0]; i++) {
        load_nonsense(&f, pieces[i]);
        store_fn_held(f.store, TEXT("g"), TEXT("0"), on_held, &g);
        await_broken(&f, &g, pieces[i]);
        CU_ASSERT_STRING_EQUAL(g.names, ":");
    }
    for (size_t i = 0; i < sizeof calls / sizeof calls[0]; i++) {
        load_nonsense(&f, calls[i]);
        store_fn_call(f.store, TEXT("f"), TEXT("c"), TEXT("g"), 1, SLICE_NONE, on_executor, &g);
        await_broken(&f, &g, calls[i]);
        CU_ASSERT_STRING_EQUAL(g.executor, "/");
    }
    teardown(&f);
}

static void test_other_errors_are_broken(void)
{
    struct fixture f;
    struct got g = {0};
    setup(&f);
    load_nonsense(&f, "redis.error_reply('OOM command not allowed')");
    store_var_set(f.store, TEXT("x"), TEXT("1"), on_write, &g);
    await_broken(&f, &g, "OOM");
    CU_ASSERT_NSTRING_EQUAL(g.text, "OOM ", 4);
    store_list_insert(f.store, TEXT("x"), 0, TEXT("1"), TEXT("1"), on_write, &g); /* a function that is not there */
    await_broken(&f, &g, "missing");
    teardown(&f);
}

UNIT_MAIN("redis/store_live", UNIT(test_channels_and_roots), UNIT(test_variables), UNIT(test_state),
          UNIT(test_refusals), UNIT(test_damaged_data), UNIT(test_names_that_do_not_fit), UNIT(test_list_writes),
          UNIT(test_list_snapshots), UNIT(test_room), UNIT(test_long_lists), UNIT(test_catalogue), UNIT(test_calls),
          UNIT(test_away), UNIT(test_nonsense_is_broken), UNIT(test_nonsense_of_calls_is_broken),
          UNIT(test_other_errors_are_broken))
