/* Keeps the slice of a list that a window names current by change events, and finds the shortest exact way
 * from one version of it to another. Pure: what is not known is a hole that the caller reads and fills. */
#include "protocol/window.h"

#include <assert.h>

#include "protocol/base/alloc.h"
#include "protocol/base/map.h"

/* ---- entries and pages ---- */

static size_t bytes_live;

size_t entry_bytes_live(void)
{
    return bytes_live;
}

static size_t entry_bytes(size_t id_len, size_t value_len)
{
    return sizeof(struct entry) + id_len + value_len;
}

struct entry *entry_new(struct slice id, struct slice value)
{
    assert(id.len <= UINT32_MAX);
    bytes_live += entry_bytes(id.len, value.len);
    struct entry *e = sg_malloc(sizeof(*e) + id.len + value.len);
    e->refs = 1;
    e->id_len = (uint32_t)id.len;
    e->value_len = value.len;
    if (id.len > 0)
        memcpy(e->bytes, id.ptr, id.len);
    if (value.len > 0)
        memcpy(e->bytes + id.len, value.ptr, value.len);
    return e;
}

struct entry *entry_ref(struct entry *e)
{
    assert(e->refs > 0);
    e->refs++;
    return e;
}

void entry_unref(struct entry *e)
{
    if (e == NULL)
        return;
    assert(e->refs > 0);
    if (--e->refs > 0)
        return;
    bytes_live -= entry_bytes(e->id_len, e->value_len);
    free(e);
}

static bool same_id(const struct entry *a, const struct entry *b)
{
    return a == b || slice_eq(entry_id(a), entry_id(b));
}

static bool same_value(const struct entry *a, const struct entry *b)
{
    return a == b || slice_eq(entry_value(a), entry_value(b));
}

struct page *page_ref(struct page *p)
{
    assert(p->refs > 0);
    p->refs++;
    return p;
}

void page_unref(struct page *p)
{
    if (p == NULL)
        return;
    assert(p->refs > 0);
    if (--p->refs > 0)
        return;
    for (uint32_t i = 0; i < p->count; i++)
        entry_unref(p->slots[i]);
    free(p);
}

int64_t page_clamp(int64_t page, int64_t size, int64_t total)
{
    assert(size > 0);
    int64_t last = total > 0 ? (total - 1) / size : 0;
    if (page < 0)
        return 0;
    return page < last ? page : last;
}

/* ---- the living slice ---- */

/* first_of: the absolute position of slot 0; far beyond every list when the product would overflow. */
static int64_t first_of(const struct window *w)
{
    int64_t far = INT64_MAX / w->size - 1;
    return (w->number < far ? w->number : far) * w->size;
}

/* count_at: how many slots are in use when the list has `total` items. */
static uint32_t count_at(const struct window *w, int64_t total)
{
    int64_t left = total - first_of(w);
    if (left <= 0)
        return 0;
    return (uint32_t)(left < w->size ? left : w->size);
}

static void forget_version(struct window *w)
{
    page_unref(w->version);
    w->version = NULL;
}

/* put_slot stores a reference to e (NULL makes a hole) where nothing is stored any more. */
static void put_slot(struct window *w, uint32_t at, struct entry *e)
{
    w->slots[at] = e == NULL ? NULL : entry_ref(e);
    w->holes += e == NULL;
}

/* drop_slot gives up what is stored; the slot must be written or leave use next. */
static void drop_slot(struct window *w, uint32_t at)
{
    w->holes -= w->slots[at] == NULL;
    entry_unref(w->slots[at]);
}

void window_init(struct window *w, int64_t number, int64_t size)
{
    assert(number >= 0);
    assert(size > 0);
    assert(size <= UINT32_MAX);
    *w = (struct window){.number = number, .size = size};
    w->slots = sg_calloc((size_t)size, sizeof(struct entry *));
}

void window_deinit(struct window *w)
{
    window_reset(w, 0);
    free(w->slots);
    w->slots = NULL;
}

void window_reset(struct window *w, int64_t total)
{
    forget_version(w);
    for (uint32_t i = 0; i < w->count; i++)
        entry_unref(w->slots[i]);
    w->total = total > 0 ? total : 0;
    w->count = count_at(w, w->total);
    w->holes = w->count;
    for (uint32_t i = 0; i < w->count; i++)
        w->slots[i] = NULL;
}

static bool reset(struct window *w, int64_t total)
{
    window_reset(w, total);
    return true;
}

/* shift_right opens slot `at`: what stands in at … last-1 goes one to the right, the content of `last` is
 * lost. */
static void shift_right(struct window *w, uint32_t at, uint32_t last)
{
    memmove(w->slots + at + 1, w->slots + at, (last - at) * sizeof(struct entry *));
}

/* shift_left opens slot `last`: what stands in at+1 … last goes one to the left, the content of `at` is lost.
 */
static void shift_left(struct window *w, uint32_t at, uint32_t last)
{
    memmove(w->slots + at, w->slots + at + 1, (last - at) * sizeof(struct entry *));
}

bool window_insert(struct window *w, int64_t index, struct entry *e, int64_t total)
{
    if (index < 0 || index > w->total || total < 1 || total - 1 != w->total)
        return reset(w, total);
    forget_version(w);
    w->total = total;
    int64_t slot = index - first_of(w);
    uint32_t count = count_at(w, total);
    if (slot >= (int64_t)count || count == 0)
        return true;
    uint32_t at = slot < 0 ? 0 : (uint32_t)slot;
    if (w->count == count)
        drop_slot(w, count - 1);
    shift_right(w, at, count - 1);
    put_slot(w, at, slot < 0 ? NULL : e); /* before the window: the neighbour comes in, whoever that is */
    w->count = count;
    return true;
}

bool window_set(struct window *w, int64_t index, struct entry *e, int64_t total)
{
    if (index < 0 || index >= total || total != w->total)
        return reset(w, total);
    int64_t slot = index - first_of(w);
    if (slot < 0 || slot >= (int64_t)w->count)
        return false;
    struct entry *old = w->slots[slot];
    if (old != NULL && !same_id(old, e))
        return reset(w, total);
    if (old == e)
        return false;
    forget_version(w); /* an equal value that was set again is a change like any other */
    drop_slot(w, (uint32_t)slot);
    put_slot(w, (uint32_t)slot, e);
    return true;
}

bool window_delete(struct window *w, int64_t index, int64_t total)
{
    if (index < 0 || index > total || total != w->total - 1)
        return reset(w, total);
    forget_version(w);
    w->total = total;
    int64_t slot = index - first_of(w);
    if (slot >= (int64_t)w->count || w->count == 0)
        return true;
    uint32_t at = slot < 0 ? 0 : (uint32_t)slot;
    drop_slot(w, at);
    shift_left(w, at, w->count - 1);
    uint32_t count = count_at(w, total);
    if (count == w->count)
        put_slot(w, count - 1, NULL);
    w->count = count;
    return true;
}

bool window_move(struct window *w, int64_t from, int64_t to, struct entry *e, int64_t total)
{
    if (total != w->total || from < 0 || from >= total || to < 0 || to >= total)
        return reset(w, total);
    if (from == to)
        return window_set(w, to, e, total);
    int64_t first = first_of(w);
    int64_t end = first + w->count;
    if (from >= first && from < end && w->slots[from - first] != NULL && !same_id(w->slots[from - first], e))
        return reset(w, total);
    /* Everything between the two positions turns by one; outside nothing changes. */
    int64_t low = from < to ? from : to;
    int64_t high = from < to ? to : from;
    if (high < first || low >= end)
        return false;
    forget_version(w);
    uint32_t a = low < first ? 0 : (uint32_t)(low - first);
    uint32_t b = high >= end ? w->count - 1 : (uint32_t)(high - first);
    struct entry *entering = to >= first && to < end ? e : NULL;
    drop_slot(w, from < to ? a : b);
    if (from < to)
        shift_left(w, a, b);
    else
        shift_right(w, a, b);
    put_slot(w, from < to ? b : a, entering);
    return true;
}

bool window_want(const struct window *w, int64_t *start, int64_t *count)
{
    if (w->holes == 0)
        return false;
    uint32_t a = 0;
    uint32_t b = w->count - 1;
    while (w->slots[a] != NULL)
        a++;
    while (w->slots[b] != NULL)
        b--;
    *start = first_of(w) + a;
    *count = (int64_t)(b - a) + 1;
    return true;
}

bool window_fill(struct window *w, int64_t start, struct entry *const *entries, size_t n, bool overwrite)
{
    bool changed = false;
    int64_t shift = start - first_of(w);
    for (size_t i = 0; i < n; i++) {
        int64_t slot = shift + (int64_t)i;
        if (slot < 0 || slot >= (int64_t)w->count)
            continue;
        struct entry *old = w->slots[slot];
        if (old != NULL && (!overwrite || (same_id(old, entries[i]) && same_value(old, entries[i]))))
            continue;
        drop_slot(w, (uint32_t)slot);
        put_slot(w, (uint32_t)slot, entries[i]);
        changed = true;
    }
    if (changed)
        forget_version(w);
    return changed;
}

struct page *window_version(struct window *w)
{
    assert(w->holes == 0);
    if (w->version != NULL)
        return page_ref(w->version);
    struct page *p = sg_malloc(sizeof(*p) + w->count * sizeof(struct entry *));
    p->refs = 1;
    p->count = w->count;
    p->number = w->number;
    p->size = w->size;
    p->total = w->total;
    for (uint32_t i = 0; i < w->count; i++)
        p->slots[i] = entry_ref(w->slots[i]);
    w->version = p;
    return page_ref(p);
}

/* ---- comparison ---- */

#define NONE UINT32_MAX

/* What differs between two pages once their common head and tail are off: `nold` slots became `nnew`.
 * Positions are relative to the head. */
struct middle {
    struct entry *const *old;
    struct entry *const *new;
    uint32_t nold;
    uint32_t nnew;
    uint32_t *partner; /* [nnew] the old position this one is kept from, or NONE */
    uint32_t *kept;    /* [nold] whether it stays; 0 at first */
    /* Work space of `match`. */
    uint32_t *table;  /* [table_size] id -> old position, open addressing */
    uint32_t *best;   /* [nold + 1] Fenwick tree over old positions: the heaviest chain's end */
    uint32_t *weight; /* [nnew] of the heaviest chain that ends here */
    uint32_t *before; /* [nnew] its last link, or NONE */
    uint32_t table_size;
};

void page_steps_init(struct page_steps *s)
{
    *s = (struct page_steps){.steps = NULL};
}

void page_steps_deinit(struct page_steps *s)
{
    free(s->steps);
    free(s->_scratch);
    page_steps_init(s);
}

static void steps_empty(struct page_steps *s)
{
    s->len = s->deletes = s->inserts = s->sets = 0;
    s->set_count = s->recounted = s->replace = false;
}

static void push(struct page_steps *s, enum step_op op, uint32_t index, const struct entry *e)
{
    if (s->len == s->cap) {
        s->cap = s->cap == 0 ? 16 : s->cap * 2;
        s->steps = sg_realloc(s->steps, s->cap * sizeof(struct step));
    }
    s->steps[s->len++] = (struct step){.op = op, .index = index, .entry = e};
}

/* carve lays the arrays of `m` out in the scratch memory of `s`, which only grows. */
static void carve(struct middle *m, struct page_steps *s)
{
    m->table_size = 8;
    while (m->table_size < 2 * (size_t)m->nold)
        m->table_size *= 2;
    size_t need = m->table_size + 2 * (size_t)m->nold + 1 + 3 * (size_t)m->nnew;
    if (need > s->_scratch_cap) {
        free(s->_scratch);
        s->_scratch = sg_malloc(need * sizeof(uint32_t));
        s->_scratch_cap = need;
    }
    m->kept = s->_scratch;
    m->best = m->kept + m->nold;
    m->partner = m->best + m->nold + 1;
    m->weight = m->partner + m->nnew;
    m->before = m->weight + m->nnew;
    m->table = m->before + m->nnew;
    memset(m->kept, 0, m->nold * sizeof(uint32_t));
}

/* find_slot: the table slot that holds e's id, or the free one where it belongs. The hash is keyed, as peers
 * choose ids. */
static uint32_t find_slot(const struct middle *m, const struct entry *e)
{
    uint32_t mask = m->table_size - 1;
    uint32_t at = (uint32_t)map_hash(entry_id(e)) & mask;
    while (m->table[at] != NONE && !same_id(m->old[m->table[at]], e))
        at = (at + 1) & mask;
    return at;
}

/* pair sets partner to where each new id stood, kept or not. */
static void pair(struct middle *m)
{
    memset(m->table, 0xff, m->table_size * sizeof(uint32_t));
    for (uint32_t i = 0; i < m->nold; i++)
        m->table[find_slot(m, m->old[i])] = i;
    for (uint32_t j = 0; j < m->nnew; j++)
        m->partner[j] = m->table[find_slot(m, m->new[j])];
}

/* heaviest_before: the end of the heaviest chain among old positions below `pos`, or NONE. */
static uint32_t heaviest_before(const struct middle *m, uint32_t pos)
{
    uint32_t found = NONE;
    for (uint32_t node = pos; node > 0; node &= node - 1) {
        uint32_t j = m->best[node];
        if (j != NONE && (found == NONE || m->weight[j] > m->weight[found]))
            found = j;
    }
    return found;
}

static void enter_chain(struct middle *m, uint32_t pos, uint32_t j)
{
    for (uint32_t node = pos + 1; node <= m->nold; node += node & (~node + 1)) {
        uint32_t other = m->best[node];
        if (other == NONE || m->weight[j] > m->weight[other])
            m->best[node] = j;
    }
}

/* match finds the heaviest increasing chain of old positions. An item that stays saves a delete and an insert
 * (2) and costs a set when it is another entry (1), so the heaviest chain leaves the fewest steps. */
static void match(struct middle *m)
{
    memset(m->best, 0xff, (m->nold + (size_t)1) * sizeof(uint32_t));
    for (uint32_t j = 0; j < m->nnew; j++) {
        uint32_t pos = m->partner[j];
        if (pos == NONE)
            continue;
        uint32_t link = heaviest_before(m, pos);
        m->before[j] = link;
        m->weight[j] = (m->old[pos] == m->new[j] ? 2 : 1) + (link == NONE ? 0 : m->weight[link]);
        enter_chain(m, pos, j);
    }
    uint32_t next = heaviest_before(m, m->nold);
    for (uint32_t j = m->nnew; j-- > 0;) {
        if (j != next) {
            m->partner[j] = NONE;
            continue;
        }
        m->kept[m->partner[j]] = 1;
        next = m->before[j];
    }
}

/* slid recognises the everyday change of a full page without hashing: all but one slid by one, unchanged, so
 * that one item left at one end and one entered at the other. No longer subsequence can exist, as the ends
 * differ. */
static bool slid(struct middle *m)
{
    if (m->nold != m->nnew || m->nold == 0)
        return false;
    uint32_t n = m->nold;
    size_t bytes = (n - 1) * sizeof(struct entry *);
    bool right = memcmp(m->old, m->new + 1, bytes) == 0;
    if (!right && memcmp(m->old + 1, m->new, bytes) != 0)
        return false;
    for (uint32_t i = 0; i < n; i++) {
        m->partner[i] = right ? i - 1 : i + 1; /* i - 1 of 0 is NONE */
        m->kept[i] = 1;
    }
    m->kept[right ? n - 1 : 0] = 0;
    if (!right)
        m->partner[n - 1] = NONE;
    return true;
}

static void push_middle(const struct middle *m, uint32_t head, struct page_steps *out)
{
    for (uint32_t i = 0; i < m->nold; i++) {
        if (!m->kept[i])
            push(out, STEP_DELETE, head + i - (uint32_t)out->len, m->old[i]);
    }
    out->deletes = out->len;
    for (uint32_t j = 0; j < m->nnew; j++) {
        if (m->partner[j] == NONE)
            push(out, STEP_INSERT, head + j, m->new[j]);
    }
    out->inserts = out->len - out->deletes;
}

static void push_set(struct page_steps *out, uint32_t index, const struct entry *old, const struct entry *new)
{
    if (old == new)
        return;
    push(out, STEP_SET, index, new);
    out->sets++;
}

/* compare_slots fills the steps between two pages of the same number and size. */
static void compare_slots(const struct page *from, const struct page *to, struct page_steps *out)
{
    uint32_t shorter = from->count < to->count ? from->count : to->count;
    uint32_t head = 0;
    while (head < shorter && same_id(from->slots[head], to->slots[head]))
        head++;
    uint32_t tail = 0;
    while (tail < shorter - head && same_id(from->slots[from->count - 1 - tail], to->slots[to->count - 1 - tail]))
        tail++;
    struct middle m = {
        .old = from->slots + head,
        .new = to->slots + head,
        .nold = from->count - head - tail,
        .nnew = to->count - head - tail,
    };
    carve(&m, out);
    if (!slid(&m)) {
        pair(&m);
        match(&m);
    }
    push_middle(&m, head, out);
    for (uint32_t i = 0; i < head; i++)
        push_set(out, i, from->slots[i], to->slots[i]);
    for (uint32_t j = 0; j < m.nnew; j++) {
        if (m.partner[j] != NONE)
            push_set(out, head + j, m.old[m.partner[j]], m.new[j]);
    }
    for (uint32_t i = tail; i > 0; i--)
        push_set(out, to->count - i, from->slots[from->count - i], to->slots[to->count - i]);
}

bool page_compare(const struct page *from, const struct page *to, struct page_steps *out)
{
    steps_empty(out);
    if (from == to)
        return false;
    if (from->number != to->number || from->size != to->size) {
        out->replace = true;
        return true;
    }
    compare_slots(from, to, out);
    int64_t told = from->total + (int64_t)out->inserts - (int64_t)out->deletes;
    out->set_count = told != to->total;
    out->recounted = from->total != to->total;
    out->replace = 2 * (int64_t)out->deletes > to->size || 2 * (int64_t)out->inserts > to->size;
    return out->len > 0 || out->set_count;
}
