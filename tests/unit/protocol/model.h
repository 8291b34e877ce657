/* A model of the whole gateway in memory, for replaying transcripts: every change takes effect at once, and every message
 * waits in its connection until the transcript asks for it. Redis, time and failure have no place in it. Header only,
 * because each test is one file. */
#ifndef SYNCGATE_TESTS_UNIT_PROTOCOL_MODEL_H
#define SYNCGATE_TESTS_UNIT_PROTOCOL_MODEL_H

#include <CUnit/Basic.h>
#include <stdio.h>

#include "protocol/base/alloc.h"
#include "protocol/base/list.h"
#include "protocol/json.h"
#include "protocol/socksync/socksync.h"

enum {
    MODEL_CONNS = 16,
    MODEL_NAMES = 32,
    MODEL_ITEMS = 64,
    MODEL_SUBS = 64,
    MODEL_CALLS = 32,
    MODEL_RULES = 64,
    MODEL_KEPT = 4096
};

enum verb { VERB_SUBSCRIBE, VERB_CALL, VERB_WRITE, VERB_SERVE, VERBS };

struct model_conn {
    struct dialect_peer peer;
    bool open;
    int close_code;
    struct slice name;
    struct buf out; /* wire bytes */
    size_t read;    /* of them, those that the transcript has seen */
};

struct model_var {
    struct slice name, value; /* no value: does not exist */
};

struct model_list {
    struct slice name;
    bool exists;
    struct entry *items[MODEL_ITEMS];
    int64_t total;
};

struct model_sub {
    struct model_conn *conn; /* NULL: free */
    enum kind kind;
    struct slice name;
    struct slice id; /* an item; none: the variable or the page */
    struct window window;
    struct page *told;       /* NULL: no page, and no window */
    bool waiting;            /* for the name … */
    int64_t page, page_size; /* … and then wants this page */
};

struct model_serve {
    struct model_conn *conn; /* NULL: free */
    struct slice name;
};

struct model_call {
    struct model_conn *caller, *executor; /* executor NULL: free */
    struct slice name, caller_id, executor_id;
};

/* A grant (for the connection `conn`, or for all without a token of their own) or a declared name. */
struct model_rule {
    bool all;
    struct slice conn;
    enum verb verb;
    enum kind declares; /* KIND_NONE: a grant */
    int64_t max_page_size;
    struct slice pattern; /* none: grants nothing, but makes a token */
};

static struct model {
    struct dialect_limits limits;
    int64_t max_page_size;
    struct model_conn conns[MODEL_CONNS];
    struct model_var vars[MODEL_NAMES];
    struct model_list lists[MODEL_NAMES];
    struct model_sub subs[MODEL_SUBS];
    struct model_serve serves[MODEL_SUBS];
    struct model_call calls[MODEL_CALLS];
    struct model_rule rules[MODEL_RULES];
    size_t nconns, nvars, nlists, nrules, nkept;
    int64_t next_call;
    char *kept[MODEL_KEPT]; /* texts that live as long as the model */
} model;

static const struct dialect *dialect; /* that all connections speak */

static struct slice model_keep(struct slice s)
{
    CU_ASSERT_FATAL(model.nkept < MODEL_KEPT);
    char *copy = sg_memdup(s.ptr, s.len);
    model.kept[model.nkept++] = copy;
    return slice_of(copy, s.len);
}

/* ---- rules ---- */

/* glob: at a mismatch the last `*` takes one byte more. */
static bool glob(struct slice pattern, struct slice name)
{
    size_t p = 0, n = 0, star = SIZE_MAX, taken = 0;
    while (n < name.len) {
        if (p < pattern.len && pattern.ptr[p] == '*') {
            star = p++;
            taken = n;
        } else if (p < pattern.len && (pattern.ptr[p] == '?' || pattern.ptr[p] == name.ptr[n])) {
            p++;
            n++;
        } else if (star != SIZE_MAX) {
            p = star + 1;
            n = ++taken;
        } else {
            return false;
        }
    }
    while (p < pattern.len && pattern.ptr[p] == '*')
        p++;
    return p == pattern.len;
}

static bool rule_is(const struct model_rule *r, const struct model_conn *c, enum verb verb)
{
    return r->declares == KIND_NONE && r->verb == verb && (c ? !r->all && slice_eq(r->conn, c->name) : r->all);
}

/* own_rules: has this connection rules of its own for the verb? */
static bool own_rules(const struct model_conn *c, enum verb verb)
{
    for (size_t i = 0; i < model.nrules; i++)
        if (rule_is(&model.rules[i], c, verb))
            return true;
    return false;
}

static bool model_allows(const struct model_conn *c, enum verb verb, struct slice name)
{
    const struct model_conn *whose = own_rules(c, verb) ? c : NULL;
    bool any = false;
    for (size_t i = 0; i < model.nrules; i++) {
        if (!rule_is(&model.rules[i], whose, verb))
            continue;
        any = true;
        if (model.rules[i].pattern.len && glob(model.rules[i].pattern, name))
            return true;
    }
    return !any && (verb == VERB_SUBSCRIBE || verb == VERB_CALL);
}

static const struct model_rule *declared(enum kind kind, struct slice name)
{
    for (size_t i = 0; i < model.nrules; i++)
        if (model.rules[i].declares == kind && glob(model.rules[i].pattern, name))
            return &model.rules[i];
    return NULL;
}

static int64_t max_page_size(struct slice name)
{
    const struct model_rule *r = declared(KIND_LIST, name);
    return r && r->max_page_size ? r->max_page_size : model.max_page_size;
}

/* ---- state ---- */

static struct model_var *var_of(struct slice name)
{
    for (size_t i = 0; i < model.nvars; i++)
        if (slice_eq(model.vars[i].name, name))
            return &model.vars[i];
    CU_ASSERT_FATAL(model.nvars < MODEL_NAMES);
    struct model_var *v = &model.vars[model.nvars++];
    v->name = model_keep(name);
    return v;
}

static struct model_list *list_of(struct slice name)
{
    for (size_t i = 0; i < model.nlists; i++)
        if (slice_eq(model.lists[i].name, name))
            return &model.lists[i];
    CU_ASSERT_FATAL(model.nlists < MODEL_NAMES);
    struct model_list *l = &model.lists[model.nlists++];
    l->name = model_keep(name);
    return l;
}

static int64_t index_of(const struct model_list *l, struct slice id)
{
    for (int64_t i = 0; i < l->total; i++)
        if (slice_eq(entry_id(l->items[i]), id))
            return i;
    return -1;
}

static bool known(enum kind kind, struct slice name)
{
    return declared(kind, name) || (kind == KIND_VAR ? var_of(name)->value.ptr != NULL : list_of(name)->exists);
}

static bool served(struct slice name, const struct model_conn *by)
{
    for (size_t i = 0; i < MODEL_SUBS; i++)
        if (model.serves[i].conn && (!by || model.serves[i].conn == by) && slice_eq(model.serves[i].name, name))
            return true;
    return false;
}

static struct model_sub *find_sub(const struct model_conn *c, enum kind kind, struct slice name, struct slice id)
{
    for (size_t i = 0; i < MODEL_SUBS; i++) {
        struct model_sub *s = &model.subs[i];
        if (s->conn == c && s->kind == kind && slice_eq(s->name, name) && slice_eq(s->id, id))
            return s;
    }
    return NULL;
}

static struct model_call *find_call(const struct model_conn *executor, struct slice id)
{
    for (size_t i = 0; i < MODEL_CALLS; i++)
        if (model.calls[i].executor == executor && slice_eq(model.calls[i].executor_id, id))
            return &model.calls[i];
    return NULL;
}

/* ---- what is told ---- */

static void tell_error(struct model_conn *c, enum error_code code, const char *text, const struct action *a)
{
    dialect->error(&c->out, code, slice_str(text), a->kind, a->name, a->has_id ? a->id : SLICE_NONE);
}

static void tell_var(struct model_conn *c, struct slice name)
{
    const struct model_var *v = var_of(name);
    dialect->var->set(&c->out, name, v->value.ptr ? v->value : SLICE_LIT("null"));
}

static struct page *current_page(struct model_sub *s)
{
    struct model_list *l = list_of(s->name);
    int64_t start, count;
    if (window_want(&s->window, &start, &count))
        window_fill(&s->window, start, l->items + start, (size_t)count, false);
    return window_version(&s->window);
}

/* show moves a subscriber's window and tells the whole page. */
static void show(struct model_sub *s, int64_t number, int64_t size)
{
    struct model_list *l = list_of(s->name);
    int64_t max = max_page_size(s->name);
    if (size <= 0 || size > max)
        size = max;
    if (s->told)
        window_deinit(&s->window);
    window_init(&s->window, page_clamp(number, size, l->total), size);
    window_reset(&s->window, l->total);
    page_unref(s->told);
    s->told = current_page(s);
    dialect->list->page(&s->conn->out, s->name, s->told);
}

/* refresh tells what is new about a page. Returns false when it told the page as a whole. */
static bool refresh(struct model_sub *s)
{
    struct model_list *l = list_of(s->name);
    struct window *w = &s->window;
    if (page_clamp(w->number, w->size, l->total) != w->number) {
        show(s, w->number, w->size);
        return false;
    }
    struct page_steps steps;
    struct page *now = current_page(s);
    page_steps_init(&steps);
    bool differs = page_compare(s->told, now, &steps);
    for (size_t i = 0; i < steps.len; i++)
        if (steps.steps[i].op == STEP_DELETE)
            steps.steps[i].gone = index_of(l, entry_id(steps.steps[i].entry)) < 0;
    if (differs)
        dialect->list->steps(&s->conn->out, s->name, &model.limits, now, &steps);
    bool replaced = steps.replace;
    page_steps_deinit(&steps);
    page_unref(s->told);
    s->told = now;
    return !differs || !replaced;
}

static void end_sub(struct model_sub *s)
{
    if (s->told)
        window_deinit(&s->window);
    page_unref(s->told);
    *s = (struct model_sub){.conn = NULL};
}

/* ---- changes ---- */

static void change_var(struct slice name, struct slice value)
{
    var_of(name)->value = value.ptr ? model_keep(value) : SLICE_NONE;
    for (size_t i = 0; i < MODEL_SUBS; i++)
        if (model.subs[i].conn && model.subs[i].kind == KIND_VAR && slice_eq(model.subs[i].name, name)) {
            model.subs[i].waiting = false;
            tell_var(model.subs[i].conn, name);
        }
}

enum change_op { CHANGE_INSERT, CHANGE_SET, CHANGE_DELETE, CHANGE_MOVE, CHANGE_ALL };

struct change {
    enum change_op op;
    int64_t from, to;
    struct entry *entry; /* insert, set, move: the new one; delete: the old one */
};

static void apply_to_window(struct window *w, const struct change *c, int64_t total)
{
    switch (c->op) {
    case CHANGE_INSERT:
        window_insert(w, c->to, c->entry, total);
        return;
    case CHANGE_SET:
        window_set(w, c->to, c->entry, total);
        return;
    case CHANGE_DELETE:
        window_delete(w, c->from, total);
        return;
    case CHANGE_MOVE:
        window_move(w, c->from, c->to, c->entry, total);
        return;
    case CHANGE_ALL:
        window_reset(w, total);
    }
}

static bool on_page(const struct page *p, struct slice id)
{
    for (uint32_t i = 0; p && i < p->count; i++)
        if (slice_eq(entry_id(p->slots[i]), id))
            return true;
    return false;
}

/* tell_item: to who subscribed that item, unless the page said it already; its end ends the subscription. */
static void tell_item(struct model_sub *s, bool said)
{
    struct model_list *l = list_of(s->name);
    int64_t at = index_of(l, s->id);
    if (at >= 0 && !said)
        dialect->list->item_set(&s->conn->out, s->name, l->items[at]);
    if (at >= 0)
        return;
    if (!said)
        dialect->list->item_delete(&s->conn->out, s->name, s->id, true);
    end_sub(s);
}

/* tell_waiting: the list is there. */
static void tell_waiting(struct model_sub *s)
{
    struct model_list *l = list_of(s->name);
    int64_t at = index_of(l, s->id);
    s->waiting = false;
    if (!s->id.len)
        show(s, s->page, s->page_size);
    else if (at >= 0)
        dialect->list->item_set(&s->conn->out, s->name, l->items[at]);
    else {
        dialect->error(&s->conn->out, ERROR_ID, SLICE_LIT("no such item"), KIND_LIST, s->name, s->id);
        end_sub(s);
    }
}

static void tell_list(struct model_list *l, const struct change *change)
{
    bool said[MODEL_SUBS] = {false}, waited[MODEL_SUBS] = {false};
    for (size_t i = 0; i < MODEL_SUBS; i++) {
        struct model_sub *s = &model.subs[i];
        waited[i] = s->conn && s->kind == KIND_LIST && s->waiting && slice_eq(s->name, l->name);
        if (waited[i])
            tell_waiting(s);
    }
    for (size_t i = 0; i < MODEL_SUBS; i++) {
        struct model_sub *page = &model.subs[i];
        bool follows = page->told != NULL; /* not before it was asked for, by a subscriber that is told nothing first */
        if (!page->conn || waited[i] || !follows || page->kind != KIND_LIST || page->id.len ||
            !slice_eq(page->name, l->name))
            continue;
        bool was_there = change->op != CHANGE_ALL && on_page(page->told, entry_id(change->entry));
        apply_to_window(&page->window, change, l->total);
        bool in_steps = refresh(page);
        for (size_t j = 0; j < MODEL_SUBS; j++)
            said[j] = said[j] || (model.subs[j].conn == page->conn && was_there && in_steps);
    }
    for (size_t i = 0; i < MODEL_SUBS; i++) {
        struct model_sub *s = &model.subs[i];
        if (s->conn && !waited[i] && s->kind == KIND_LIST && s->id.len && slice_eq(s->name, l->name) &&
            (change->op == CHANGE_ALL || slice_eq(entry_id(change->entry), s->id)))
            tell_item(s, said[i]);
    }
}

static void put_at(struct model_list *l, int64_t at, struct entry *e)
{
    CU_ASSERT_FATAL(l->total < MODEL_ITEMS);
    memmove(l->items + at + 1, l->items + at, (size_t)(l->total - at) * sizeof *l->items);
    l->items[at] = e;
    l->total++;
}

static struct entry *take_at(struct model_list *l, int64_t at)
{
    struct entry *e = l->items[at];
    l->total--;
    memmove(l->items + at, l->items + at + 1, (size_t)(l->total - at) * sizeof *l->items);
    return e;
}

/* The list operations answer with the error code that a peer's write gets; 0: done. */
static int list_insert(struct slice name, int64_t index, struct slice id, struct slice value)
{
    struct model_list *l = list_of(name);
    if (index_of(l, id) >= 0)
        return ERROR_ID;
    if (index < 0 || index > l->total)
        return ERROR_ARGUMENTS;
    l->exists = true;
    struct entry *e = entry_new(id, value);
    put_at(l, index, e);
    tell_list(l, &(struct change){.op = CHANGE_INSERT, .to = index, .entry = e});
    return 0;
}

static int list_set(struct slice name, struct slice id, struct slice value)
{
    struct model_list *l = list_of(name);
    int64_t at = index_of(l, id);
    if (at < 0)
        return ERROR_ID;
    struct entry *old = l->items[at];
    l->items[at] = entry_new(id, value);
    tell_list(l, &(struct change){.op = CHANGE_SET, .to = at, .entry = l->items[at]});
    entry_unref(old);
    return 0;
}

static int list_delete(struct slice name, struct slice id)
{
    struct model_list *l = list_of(name);
    int64_t at = index_of(l, id);
    if (at < 0)
        return ERROR_ID;
    struct entry *old = take_at(l, at);
    tell_list(l, &(struct change){.op = CHANGE_DELETE, .from = at, .entry = old});
    entry_unref(old);
    return 0;
}

static int list_move(struct slice name, struct slice id, int64_t to)
{
    struct model_list *l = list_of(name);
    int64_t from = index_of(l, id);
    if (from < 0)
        return ERROR_ID;
    if (to < 0 || to >= l->total)
        return ERROR_ARGUMENTS;
    struct entry *e = take_at(l, from);
    put_at(l, to, e);
    tell_list(l, &(struct change){.op = CHANGE_MOVE, .from = from, .to = to, .entry = e});
    return 0;
}

static void list_clear(struct model_list *l)
{
    while (l->total > 0)
        entry_unref(l->items[--l->total]);
}

/* The elements of an array of items, as `set_all` has it. */
struct model_item {
    struct slice id, value;
};

static int list_set_all(struct slice name, const struct model_item *items, size_t n)
{
    struct model_list *l = list_of(name);
    list_clear(l);
    l->exists = true;
    for (size_t i = 0; i < n; i++)
        put_at(l, (int64_t)i, entry_new(items[i].id, items[i].value));
    tell_list(l, &(struct change){.op = CHANGE_ALL});
    return 0;
}

static int list_drop(struct slice name)
{
    (void)list_set_all(name, NULL, 0);
    list_of(name)->exists = false;
    return 0;
}

/* ---- functions ---- */

static void announce(struct slice name, bool there)
{
    for (size_t i = 0; i < model.nconns; i++) {
        struct model_conn *c = &model.conns[i];
        if (!c->open || !model_allows(c, VERB_CALL, name))
            continue;
        if (there)
            dialect->offered(&c->out, KIND_FUNCTION, name);
        else
            dialect->withdrawn(&c->out, KIND_FUNCTION, name);
    }
}

static void serve(struct model_conn *c, struct slice name)
{
    bool news = !served(name, NULL);
    if (served(name, c))
        return;
    size_t i = 0;
    while (model.serves[i].conn)
        CU_ASSERT_FATAL(++i < MODEL_SUBS);
    model.serves[i] = (struct model_serve){.conn = c, .name = model_keep(name)};
    if (news)
        announce(name, true);
}

/* unserve: one function, or all of them without a name. */
static void unserve(struct model_conn *c, struct slice name)
{
    for (size_t i = 0; i < MODEL_SUBS; i++) {
        struct model_serve *s = &model.serves[i];
        if (s->conn != c || (name.len && !slice_eq(s->name, name)))
            continue;
        s->conn = NULL;
        if (!served(s->name, NULL))
            announce(s->name, false);
    }
}

static void call(struct model_conn *c, const struct action *a)
{
    size_t at = 0, by = 0;
    for (size_t i = 0; i < MODEL_CALLS; i++)
        if (model.calls[i].executor && model.calls[i].caller == c && slice_eq(model.calls[i].caller_id, a->id)) {
            tell_error(c, ERROR_ID, "call id in flight", a);
            return;
        }
    while (model.calls[at].executor)
        CU_ASSERT_FATAL(++at < MODEL_CALLS);
    while (!model.serves[by].conn || !slice_eq(model.serves[by].name, a->name))
        CU_ASSERT_FATAL(++by < MODEL_SUBS);
    char id[32];
    int len = snprintf(id, sizeof id, "\"s-%d\"", (int)++model.next_call);
    model.calls[at] = (struct model_call){.caller = c,
                                          .executor = model.serves[by].conn,
                                          .name = model_keep(a->name),
                                          .caller_id = model_keep(a->id),
                                          .executor_id = model_keep(slice_of(id, (size_t)len))};
    dialect->call->call(&model.serves[by].conn->out, a->name, model.calls[at].executor_id, a->value);
}

static void call_returned(struct model_conn *c, const struct action *a)
{
    struct model_call *k = find_call(c, a->id);
    if (!k) {
        tell_error(c, ERROR_ID, "no such call", a);
        return;
    }
    dialect->call->ret(&k->caller->out, k->name, k->caller_id, a->has_value ? a->value : SLICE_NONE);
    k->executor = NULL;
}

static void call_failed(struct model_conn *c, const struct action *a)
{
    struct model_call *k = find_call(c, a->id);
    struct buf decoded;
    struct slice text = SLICE_NONE;
    if (!k)
        return;
    buf_init(&decoded, 1000);
    if (a->text_json.len)
        CU_ASSERT_TRUE(json_string(a->text_json, 1000, &decoded, &text));
    dialect->error(&k->caller->out, a->error, text, KIND_FUNCTION, k->name, k->caller_id);
    k->executor = NULL;
    buf_deinit(&decoded);
}

/* ---- what clients do ---- */

static enum access refused(const struct model_conn *c, struct slice name)
{
    bool visible = model_allows(c, VERB_SUBSCRIBE, name) || model_allows(c, VERB_WRITE, name);
    return visible ? ACCESS_UNRESOLVED : ACCESS_UNKNOWN;
}

static enum access function_access(const struct model_conn *c, enum action_op op, struct slice name,
                                   const struct slice *id)
{
    bool may;
    if (op == ACTION_SUBSCRIBE)
        may = model_allows(c, VERB_SERVE, name);
    else if (op == ACTION_CALL)
        may = model_allows(c, VERB_CALL, name) && served(name, NULL);
    else
        may = served(name, c) || (op == ACTION_RETURN && id && find_call(c, *id));
    return may ? ACCESS_OK : ACCESS_UNKNOWN;
}

static enum access model_access(struct dialect_peer *peer, enum action_op op, enum kind kind, struct slice name,
                                const struct slice *id)
{
    struct model_conn *c = container_of(peer, struct model_conn, peer);
    struct slice item = id ? *id : SLICE_NONE;
    bool may;
    if (kind == KIND_FUNCTION)
        return function_access(c, op, name, id);
    if (op == ACTION_SUBSCRIBE)
        return model_allows(c, VERB_SUBSCRIBE, name) ? ACCESS_OK : ACCESS_UNKNOWN;
    if (op == ACTION_UNSUBSCRIBE)
        may = find_sub(c, kind, name, item);
    else if (op == ACTION_GET)
        may = find_sub(c, kind, name, SLICE_NONE) || (id && find_sub(c, kind, name, item));
    else
        may = model_allows(c, VERB_WRITE, name);
    return may ? ACCESS_OK : refused(c, name);
}

static void item_now(struct model_conn *c, const struct action *a)
{
    struct model_list *l = list_of(a->name);
    int64_t at = index_of(l, a->id);
    if (at < 0)
        tell_error(c, ERROR_ID, "no such item", a);
    else
        dialect->list->item_set(&c->out, a->name, l->items[at]);
}

static void subscribe(struct model_conn *c, const struct action *a)
{
    if (a->kind == KIND_FUNCTION) {
        serve(c, a->name);
        return;
    }
    struct model_sub *s = find_sub(c, a->kind, a->name, a->has_id ? a->id : SLICE_NONE);
    bool unknown = !known(a->kind, a->name) && (!s || s->waiting);
    if (unknown && !a->wait) {
        tell_error(c, ERROR_NAME, "unknown name", a);
        if (s)
            end_sub(s);
        return;
    }
    if (!unknown && a->has_id && index_of(list_of(a->name), a->id) < 0) {
        tell_error(c, ERROR_ID, "no such item", a);
        return;
    }
    if (!s) {
        size_t i = 0;
        while (model.subs[i].conn)
            CU_ASSERT_FATAL(++i < MODEL_SUBS);
        s = &model.subs[i];
        *s = (struct model_sub){.conn = c, .kind = a->kind, .name = model_keep(a->name)};
        if (a->has_id)
            s->id = model_keep(a->id);
    }
    s->waiting = unknown;
    s->page = a->page;
    s->page_size = a->page_size;
    if (a->silent)
        return;
    if (unknown)
        dialect->waiting(&c->out, SLICE_LIT("unknown name"), a->kind, a->name, a->has_id ? a->id : SLICE_NONE);
    else if (a->kind == KIND_VAR)
        tell_var(c, a->name);
    else if (a->has_id)
        item_now(c, a);
    else
        show(s, a->page, a->page_size);
}

static void unsubscribe_all(struct model_conn *c)
{
    for (size_t i = 0; i < MODEL_SUBS; i++)
        if (model.subs[i].conn == c)
            end_sub(&model.subs[i]);
    unserve(c, SLICE_NONE);
}

static void unsubscribe(struct model_conn *c, const struct action *a)
{
    if (a->kind == KIND_FUNCTION)
        unserve(c, a->name);
    else
        end_sub(find_sub(c, a->kind, a->name, a->has_id ? a->id : SLICE_NONE));
}

static void get(struct model_conn *c, const struct action *a)
{
    const struct model_sub *s = find_sub(c, a->kind, a->name, SLICE_NONE);
    if (s && s->waiting)
        tell_error(c, ERROR_NAME, "unknown name", a);
    else if (a->kind == KIND_VAR)
        tell_var(c, a->name);
    else if (a->has_id)
        item_now(c, a);
    else
        show(find_sub(c, KIND_LIST, a->name, SLICE_NONE), a->page, a->page_size);
}

/* The id that a write means: its own, or that of the item at its index. */
static struct slice id_meant(const struct action *a)
{
    const struct model_list *l = list_of(a->name);
    if (a->has_id)
        return a->id;
    return a->index < l->total ? model_keep(entry_id(l->items[a->index])) : SLICE_LIT("none");
}

static struct slice fresh_id(void)
{
    static unsigned last;
    char text[32];
    return model_keep(slice_of(text, (size_t)snprintf(text, sizeof text, "\"fresh-%u\"", ++last)));
}

static int write_all(const struct action *a)
{
    static const struct slice keys[] = {SLICE_LIT("id"), SLICE_LIT("value")};
    struct model_item parsed[MODEL_ITEMS];
    struct json_value v[2];
    struct slice rest = a->items_json;
    struct buf ids;
    size_t n = 0;
    buf_init(&ids, 1 << 20);
    (void)buf_reserve(&ids, 2 * rest.len + 1);
    for (; json_next(&rest, keys, 2, v) == JSON_OBJECT; n++) {
        CU_ASSERT_FATAL(n < MODEL_ITEMS);
        CU_ASSERT_EQUAL(json_id(&v[0], SOCKSYNC_ITEM_ID_MAX, &ids, &parsed[n].id), JSON_ID_OK);
        parsed[n].value = v[1].text;
    }
    int refusal = list_set_all(a->name, parsed, n);
    buf_deinit(&ids);
    return refusal;
}

static int write_state(const struct action *a)
{
    int64_t at;
    switch (a->op) {
    case ACTION_SET:
        if (a->kind == KIND_LIST)
            return list_set(a->name, id_meant(a), a->value);
        change_var(a->name, a->value);
        return 0;
    case ACTION_INSERT:
        at = a->index == ACTION_END ? list_of(a->name)->total : a->index;
        return list_insert(a->name, at, a->has_id ? a->id : fresh_id(), a->value);
    case ACTION_MOVE:
        at = a->index == ACTION_END ? list_of(a->name)->total - 1 : a->index;
        return list_move(a->name, a->id, at);
    case ACTION_DELETE:
        return list_delete(a->name, id_meant(a));
    default:
        return write_all(a);
    }
}

static void model_apply(struct model_conn *c, const struct actions *as, const struct action *a)
{
    int refusal;
    switch (a->op) {
    case ACTION_NONE:
        return;
    case ACTION_FAULT:
        tell_error(c, a->error, a->text, a);
        return;
    case ACTION_FAULT_IF_KNOWN:
        if (known(a->kind, a->name))
            tell_error(c, a->error, a->text, a);
        else
            tell_error(c, ERROR_NAME, "unknown name", a);
        return;
    case ACTION_CLOSE:
        c->close_code = a->close_code;
        return;
    case ACTION_SUBSCRIBE:
        subscribe(c, a);
        return;
    case ACTION_UNSUBSCRIBE:
        unsubscribe(c, a);
        return;
    case ACTION_UNSUBSCRIBE_ALL:
        unsubscribe_all(c);
        return;
    case ACTION_REPLY:
        buf_put(&c->out, as->bytes->ptr + a->bytes_at, a->bytes_len);
        return;
    case ACTION_GET:
        get(c, a);
        return;
    case ACTION_CALL:
        call(c, a);
        return;
    case ACTION_RETURN:
        call_returned(c, a);
        return;
    case ACTION_CALL_FAILED:
        call_failed(c, a);
        return;
    case ACTION_SET:
    case ACTION_SET_ALL:
    case ACTION_INSERT:
    case ACTION_DELETE:
    case ACTION_MOVE:
        refusal = write_state(a);
        if (refusal)
            tell_error(c, (enum error_code)refusal, "refused", a);
        return;
    case ACTION_AUTH: /* everybody is who they are */
        dialect->signed_in(&c->out, SLICE_NONE, 0);
        return;
    case ACTION_OPS:
        CU_FAIL("no action");
    }
}

static const struct dialect_limits *model_limits(const struct dialect_peer *peer)
{
    (void)peer;
    return &model.limits;
}

static const struct dialect_host model_host = {.access = model_access, .limits = model_limits};

static void model_receive(struct model_conn *c, struct slice text, bool binary)
{
    struct actions as;
    struct buf replies;
    buf_init(&replies, 1 << 16);
    actions_init(&as, &replies);
    dialect->receive(&c->peer, text, binary, &as);
    for (size_t i = 0; i < as.len; i++)
        model_apply(c, &as, &as.list[i]);
    buf_deinit(&replies);
}

static void model_close(struct model_conn *c)
{
    c->open = false;
    unsubscribe_all(c);
}

/* model_conn_of finds a connection, or opens it: then it hears what it may write and which functions there are. */
static struct model_conn *model_conn_of(struct slice name)
{
    for (size_t i = 0; i < model.nconns; i++)
        if (slice_eq(model.conns[i].name, name))
            return &model.conns[i];
    CU_ASSERT_FATAL(model.nconns < MODEL_CONNS);
    struct model_conn *c = &model.conns[model.nconns++];
    *c = (struct model_conn){.peer.host = &model_host, .open = true, .name = model_keep(name)};
    buf_init(&c->out, 1 << 20);
    const struct model_conn *whose = own_rules(c, VERB_WRITE) ? c : NULL;
    for (size_t i = 0; i < model.nrules; i++) {
        struct slice pattern = model.rules[i].pattern;
        if (!rule_is(&model.rules[i], whose, VERB_WRITE) || pattern.len == 0 || memchr(pattern.ptr, '*', pattern.len))
            continue;
        dialect->offered(&c->out, KIND_VAR, pattern);
        dialect->offered(&c->out, KIND_LIST, pattern);
    }
    for (size_t i = 0; i < MODEL_SUBS; i++)
        if (model.serves[i].conn && model_allows(c, VERB_CALL, model.serves[i].name))
            dialect->offered(&c->out, KIND_FUNCTION, model.serves[i].name);
    return c;
}

/* model_next takes the next message of a connection; false when there is none. */
static bool model_next(struct model_conn *c, struct slice *message)
{
    if (c->read == c->out.len)
        return false;
    const unsigned char *p = (const unsigned char *)c->out.ptr + c->read;
    size_t header = p[1] < 126 ? 2 : 4, len = p[1] < 126 ? p[1] : (size_t)p[2] << 8 | p[3];
    CU_ASSERT_EQUAL_FATAL(p[0], 0x81);
    CU_ASSERT_NOT_EQUAL_FATAL(p[1], 127);
    *message = slice_of((const char *)p + header, len);
    c->read += header + len;
    CU_ASSERT_FATAL(c->read <= c->out.len);
    return true;
}

static void model_init(void)
{
    model =
        (struct model){.limits = {.max_depth = 64, .value_depth = 60, .max_items = MODEL_ITEMS}, .max_page_size = 100};
}

static void model_deinit(void)
{
    for (size_t i = 0; i < MODEL_SUBS; i++)
        if (model.subs[i].conn)
            end_sub(&model.subs[i]);
    for (size_t i = 0; i < model.nlists; i++)
        list_clear(&model.lists[i]);
    for (size_t i = 0; i < model.nconns; i++)
        buf_deinit(&model.conns[i].out);
    for (size_t i = 0; i < model.nkept; i++)
        free(model.kept[i]);
}

#endif
