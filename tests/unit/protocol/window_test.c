/* Windows against a plain model of the list, and comparisons against a peer that applies them by the book and against
 * the shortest sequence found by brute force. */
#include "protocol/window.h"

#include <assert.h>
#include <stdio.h>

#include "protocol/base/alloc.h"
#include "tests/unit/unit.h"

/* ---- a random source that is the same in every run ---- */

static uint64_t random_state;

static uint32_t random_below(uint32_t n)
{
    assert(n > 0);
    random_state = random_state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)((random_state >> 33) % n);
}

static bool one_in(uint32_t n)
{
    return random_below(n) == 0;
}

static struct entry *numbered(uint32_t id, uint32_t value)
{
    char id_text[16];
    char value_text[16];
    snprintf(id_text, sizeof(id_text), "%u", id);
    snprintf(value_text, sizeof(value_text), "%u", value);
    return entry_new(slice_str(id_text), slice_str(value_text));
}

static bool entry_equal(const struct entry *a, const struct entry *b)
{
    return slice_eq(entry_id(a), entry_id(b)) && slice_eq(entry_value(a), entry_value(b));
}

/* ---- pages written as text: "a b=1 c", a value left out is 0 ---- */

static struct entry *parse_entry(struct slice text)
{
    struct slice id = text;
    if (text.len > 2 && text.ptr[1] == '=')
        return entry_new(slice_of(text.ptr, 1), slice_of(text.ptr + 2, text.len - 2));
    return entry_new(id, SLICE_LIT("0"));
}

/* shared_with returns the entry of `other` that is equal to e, in place of e. */
static struct entry *shared_with(const struct page *other, struct entry *e)
{
    for (uint32_t i = 0; other != NULL && i < other->count; i++) {
        if (entry_equal(other->slots[i], e)) {
            entry_unref(e);
            return entry_ref(other->slots[i]);
        }
    }
    return e;
}

static struct page *page_new(int64_t number, int64_t size, int64_t total, uint32_t room)
{
    struct page *p = sg_malloc(sizeof(*p) + room * sizeof(struct entry *));
    *p = (struct page){.refs = 1, .number = number, .size = size, .total = total};
    return p;
}

/* parse_page: an item that is written alike in `other` (may be NULL) is the same entry there and here; "a!" is not, but has
 * the same value. */
static struct page *parse_page(const char *text, int64_t number, int64_t size, int64_t total, const struct page *other)
{
    struct page *p = page_new(number, size, total, (uint32_t)strlen(text));
    while (*text != '\0') {
        size_t len = strcspn(text, " ");
        bool again = len > 0 && text[len - 1] == '!';
        if (len > 0) {
            struct entry *e = parse_entry(slice_of(text, len - again));
            p->slots[p->count++] = again ? e : shared_with(other, e);
        }
        text += len + (text[len] == ' ');
    }
    return p;
}

/* describe writes a comparison as "-id +index:id id=value #count", "all" in front when the page is to be replaced. */
static void describe(const struct page_steps *s, const struct page *to, char *out, size_t room)
{
    size_t len = 0;
    out[0] = '\0';
    if (s->replace)
        len += (size_t)snprintf(out, room, "all ");
    for (size_t i = 0; i < s->len; i++) {
        const struct step *step = &s->steps[i];
        struct slice id = entry_id(step->entry);
        struct slice value = entry_value(step->entry);
        if (step->op == STEP_DELETE)
            len += (size_t)snprintf(out + len, room - len, "-%.*s ", (int)id.len, id.ptr);
        else if (step->op == STEP_INSERT)
            len += (size_t)snprintf(out + len, room - len, "+%u:%.*s ", step->index, (int)id.len, id.ptr);
        else
            len +=
                (size_t)snprintf(out + len, room - len, "%.*s=%.*s ", (int)id.len, id.ptr, (int)value.len, value.ptr);
    }
    if (s->set_count)
        len += (size_t)snprintf(out + len, room - len, "#%d ", (int)to->total);
    if (len > 0)
        out[len - 1] = '\0';
}

static const struct {
    const char *name;
    const char *from;
    int from_total;
    const char *to;
    int to_total;
    int size;
    const char *want;
} comparisons[] = {
    {"nothing", "a b c", 3, "a b c", 3, 4, ""},
    {"both empty", "", 0, "", 0, 4, ""},
    {"insert on a full page", "a b c d", 4, "a e b c", 5, 4, "-d +1:e #5"},
    {"insert at the head of a full page", "a b c d", 4, "e a b c", 5, 4, "-d +0:e #5"},
    {"insert before a full page", "a b c d", 8, "z a b c", 9, 4, "-d +0:z #9"},
    {"insert after the page", "a b c d", 8, "a b c d", 9, 4, "#9"},
    {"insert with room", "a b", 2, "a c b", 3, 4, "+1:c"},
    {"append with room", "a b", 2, "a b c", 3, 4, "+2:c"},
    {"first item", "", 0, "a", 1, 4, "+0:a"},
    {"delete with more behind", "a b c d", 6, "a c d e", 5, 4, "-b +3:e #5"},
    {"delete before the page", "a b c d", 6, "b c d e", 5, 4, "-a +3:e #5"},
    {"delete before a last page", "a b c", 7, "b c", 6, 4, "-a"},
    {"delete with none behind", "a b c d", 4, "a c d", 3, 4, "-b"},
    {"delete after the page", "a b c d", 6, "a b c d", 5, 4, "#5"},
    {"last item goes", "a", 1, "", 0, 4, "-a"},
    {"set", "a b c", 3, "a b=1 c", 3, 4, "b=1"},
    {"set at both ends", "a b c", 3, "a=1 b c=2", 3, 4, "a=1 c=2"},
    {"set again to an equal value", "a b c", 3, "a b! c", 3, 3, "b=0"},
    {"set again in what slid", "a b c d", 6, "b c! d e", 5, 4, "-a +3:e c=0 #5"},
    {"set in what slid", "a b c d", 6, "b c=5 d e", 5, 4, "-a +3:e c=5 #5"},
    {"move to the end", "a b c d", 4, "b c d a", 4, 4, "-a +3:a"},
    {"move to the head", "a b c d", 4, "d a b c", 4, 4, "-d +0:d"},
    {"swap of neighbours", "a b c d", 4, "a c b d", 4, 4, "-c +1:c"},
    {"move inside, with a new value", "a b c d e", 5, "a c d b=1 e", 5, 5, "-b +3:b"},
    {"move out of the page", "a b c d", 9, "b c d e", 9, 4, "-a +3:e"},
    {"one changed item against one unchanged: the unchanged stays", "a b", 2, "b a=1", 2, 4, "-a +1:a"},
    {"two unchanged beat three changed", "x y a b c", 5, "a=1 b=1 c=1 x y", 5, 9, "-a -b -c +0:a +1:b +2:c"},
    {"half of the page", "a b c d", 4, "a b x y", 4, 4, "-c -d +2:x +3:y"},
    {"more than half by deletes", "a b c d", 4, "a", 1, 4, "all -b -c -d"},
    {"more than half by inserts", "a", 1, "a b c d", 4, 4, "all +1:b +2:c +3:d"},
    {"page size one", "a", 1, "b", 1, 1, "all -a +0:b"},
    {"same count told by the steps", "a b c d", 9, "b c d", 8, 4, "-a"},
};

static void test_compare_cases(void)
{
    struct page_steps steps;
    page_steps_init(&steps);
    for (size_t i = 0; i < sizeof(comparisons) / sizeof(comparisons[0]); i++) {
        struct page *from = parse_page(comparisons[i].from, 0, comparisons[i].size, comparisons[i].from_total, NULL);
        struct page *to = parse_page(comparisons[i].to, 0, comparisons[i].size, comparisons[i].to_total, from);
        bool differs = page_compare(from, to, &steps);
        char got[256];
        describe(&steps, to, got, sizeof(got));
        CU_ASSERT_EQUAL(differs, comparisons[i].want[0] != '\0');
        CU_ASSERT_STRING_EQUAL(got, comparisons[i].want);
        if (strcmp(got, comparisons[i].want) != 0)
            fprintf(stderr, "%s: got \"%s\", want \"%s\"\n", comparisons[i].name, got, comparisons[i].want);
        page_unref(from);
        page_unref(to);
    }
    page_steps_deinit(&steps);
}

static void test_compare_other_window(void)
{
    struct page_steps steps;
    page_steps_init(&steps);
    struct page *from = parse_page("a b", 0, 2, 4, NULL);
    struct page *number = parse_page("a b", 1, 2, 4, NULL);
    struct page *size = parse_page("a b", 0, 3, 4, NULL);
    CU_ASSERT_FALSE(page_compare(from, from, &steps));
    CU_ASSERT_FALSE(steps.replace);
    CU_ASSERT_TRUE(page_compare(from, number, &steps));
    CU_ASSERT_TRUE(steps.replace);
    CU_ASSERT_TRUE(page_compare(from, size, &steps));
    CU_ASSERT_TRUE(steps.replace);
    CU_ASSERT_EQUAL(steps.len, 0);
    page_unref(from);
    page_unref(number);
    page_unref(size);
    page_steps_deinit(&steps);
}

/* ---- a peer that applies what it is told, as the sheet says ---- */

struct peer {
    const struct entry **items;
    uint32_t count;
    int64_t total;
    uint32_t mistakes; /* steps that could not be applied */
};

static uint32_t peer_find(const struct peer *p, const struct entry *e)
{
    uint32_t at = 0;
    while (at < p->count && !slice_eq(entry_id(p->items[at]), entry_id(e)))
        at++;
    return at;
}

static void peer_delete(struct peer *p, uint32_t index, const struct entry *e)
{
    uint32_t at = peer_find(p, e);
    if (at == p->count || at != index) {
        p->mistakes++;
        return;
    }
    memmove(p->items + at, p->items + at + 1, (p->count - at - 1) * sizeof(struct entry *));
    p->count--;
    p->total--;
}

static void peer_insert(struct peer *p, uint32_t index, const struct entry *e)
{
    if (index > p->count || peer_find(p, e) < p->count) {
        p->mistakes++;
        return;
    }
    memmove(p->items + index + 1, p->items + index, (p->count - index) * sizeof(struct entry *));
    p->items[index] = e;
    p->count++;
    p->total++;
}

static void peer_set(struct peer *p, uint32_t index, const struct entry *e)
{
    uint32_t at = peer_find(p, e);
    if (at == p->count || at != index || p->items[at] == e)
        p->mistakes++; /* unknown, or told for nothing */
    else
        p->items[at] = e;
}

static void peer_apply(struct peer *p, const struct page_steps *s, int64_t told_total)
{
    enum step_op stage = STEP_DELETE;
    for (size_t i = 0; i < s->len; i++) {
        const struct step *step = &s->steps[i];
        p->mistakes += step->op < stage;
        stage = step->op;
        if (step->op == STEP_DELETE)
            peer_delete(p, step->index, step->entry);
        else if (step->op == STEP_INSERT)
            peer_insert(p, step->index, step->entry);
        else
            peer_set(p, step->index, step->entry);
    }
    if (s->set_count) {
        p->mistakes += p->total == told_total; /* told for nothing */
        p->total = told_total;
    }
}

/* applies: whether a peer that holds `from` holds exactly `to` after the steps. */
static bool applies(const struct page *from, const struct page *to, const struct page_steps *s)
{
    struct peer p = {.count = from->count, .total = from->total};
    p.mistakes += s->recounted != (from->total != to->total);
    p.items = sg_calloc(from->count + to->count + 1, sizeof(const struct entry *));
    for (uint32_t i = 0; i < from->count; i++)
        p.items[i] = from->slots[i];
    peer_apply(&p, s, to->total);
    bool good = p.mistakes == 0 && p.count == to->count && p.total == to->total;
    for (uint32_t i = 0; good && i < to->count; i++)
        good = p.items[i] == to->slots[i];
    free(p.items);
    return good;
}

/* fewest_steps: by brute force, the fewest deletes, inserts and sets together. */
static size_t fewest_steps(const struct page *from, const struct page *to)
{
    size_t width = to->count + (size_t)1;
    size_t *cost = sg_calloc((from->count + (size_t)1) * width, sizeof(*cost));
    for (size_t i = 0; i <= from->count; i++) {
        for (size_t j = 0; j <= to->count; j++) {
            size_t *here = &cost[i * width + j];
            *here = i + j;
            if (i > 0 && cost[(i - 1) * width + j] + 1 < *here)
                *here = cost[(i - 1) * width + j] + 1;
            if (j > 0 && cost[i * width + j - 1] + 1 < *here)
                *here = cost[i * width + j - 1] + 1;
            if (i == 0 || j == 0 || !slice_eq(entry_id(from->slots[i - 1]), entry_id(to->slots[j - 1])))
                continue;
            size_t kept = cost[(i - 1) * width + j - 1] + (from->slots[i - 1] == to->slots[j - 1] ? 0 : 1);
            if (kept < *here)
                *here = kept;
        }
    }
    size_t fewest = cost[from->count * width + to->count];
    free(cost);
    return fewest;
}

static void check_compare(const struct page *from, const struct page *to, struct page_steps *steps)
{
    bool differs = page_compare(from, to, steps);
    CU_ASSERT_EQUAL(steps->len, steps->deletes + steps->inserts + steps->sets);
    CU_ASSERT_EQUAL(differs, steps->len > 0 || from->total != to->total);
    CU_ASSERT_EQUAL(steps->len, fewest_steps(from, to));
    CU_ASSERT_TRUE(applies(from, to, steps));
    bool most = 2 * (int64_t)steps->deletes > to->size || 2 * (int64_t)steps->inserts > to->size;
    CU_ASSERT_EQUAL(steps->replace, most);
    for (size_t i = 0; i < steps->len; i++)
        CU_ASSERT_FALSE(steps->steps[i].gone);
}

static struct page *random_page(int64_t size, uint32_t ids, uint32_t values, const struct page *other)
{
    uint32_t count = random_below((uint32_t)size + 1);
    uint32_t *bag = sg_calloc(ids, sizeof(*bag));
    for (uint32_t i = 0; i < ids; i++)
        bag[i] = i;
    struct page *p = page_new(0, size, count + random_below(3), count);
    for (; p->count < count; p->count++) {
        uint32_t pick = p->count + random_below(ids - p->count);
        uint32_t id = bag[pick];
        bag[pick] = bag[p->count];
        struct entry *e = numbered(id, random_below(values));
        p->slots[p->count] = one_in(8) ? e : shared_with(other, e);
    }
    free(bag);
    return p;
}

static void test_compare_random_pages(void)
{
    random_state = 1;
    struct page_steps steps;
    page_steps_init(&steps);
    for (int round = 0; round < 20000; round++) {
        int64_t size = 1 + random_below(12);
        uint32_t ids = (uint32_t)size + random_below(8);
        uint32_t values = 1 + random_below(3);
        struct page *from = random_page(size, ids, values, NULL);
        struct page *to = random_page(size, ids, values, from);
        check_compare(from, to, &steps);
        page_unref(from);
        page_unref(to);
    }
    page_steps_deinit(&steps);
}

/* turned: the slots of `from` from `by` on, then those before, all the same entry objects. */
static struct page *turned(const struct page *from, uint32_t by)
{
    struct page *p = page_new(from->number, from->size, from->total, from->count);
    for (; p->count < from->count; p->count++)
        p->slots[p->count] = entry_ref(from->slots[(p->count + by) % from->count]);
    return p;
}

static struct page *shuffled(const struct page *from)
{
    struct page *p = turned(from, 0);
    for (uint32_t i = p->count; i > 1; i--) {
        uint32_t j = random_below(i);
        struct entry *other = p->slots[j];
        p->slots[j] = p->slots[i - 1];
        p->slots[i - 1] = other;
    }
    return p;
}

static struct page *counted_page(uint32_t count)
{
    struct page *p = page_new(0, count, count, count);
    for (; p->count < count; p->count++)
        p->slots[p->count] = numbered(p->count, 0);
    return p;
}

static void test_compare_every_turn(void)
{
    struct page_steps steps;
    page_steps_init(&steps);
    for (uint32_t count = 1; count <= 9; count++) {
        struct page *from = counted_page(count);
        for (uint32_t by = 0; by < count; by++) {
            struct page *to = turned(from, by);
            check_compare(from, to, &steps);
            page_unref(to);
        }
        page_unref(from);
    }
    page_steps_deinit(&steps);
}

static void test_compare_shuffled(void)
{
    random_state = 2;
    struct page_steps steps;
    page_steps_init(&steps);
    struct page *from = counted_page(300);
    for (int round = 0; round < 10; round++) {
        struct page *to = shuffled(from);
        check_compare(from, to, &steps);
        page_unref(to);
    }
    page_unref(from);
    page_steps_deinit(&steps);
}

/* The largest pages, in the orders that cost a careless comparison most. */
static void test_compare_large(void)
{
    enum { COUNT = 10000 };
    random_state = 3;
    struct page_steps steps;
    page_steps_init(&steps);
    struct page *from = counted_page(COUNT);
    struct page *to = turned(from, 3000);
    CU_ASSERT_TRUE(page_compare(from, to, &steps));
    CU_ASSERT_EQUAL(steps.deletes, 3000);
    CU_ASSERT_EQUAL(steps.inserts, 3000);
    CU_ASSERT_EQUAL(steps.steps[3000].index, 7000);
    page_unref(to);

    to = turned(from, 0);
    for (uint32_t i = 0; i < COUNT; i++) {
        entry_unref(to->slots[i]);
        to->slots[i] = entry_ref(from->slots[COUNT - 1 - i]);
    }
    CU_ASSERT_TRUE(page_compare(from, to, &steps));
    CU_ASSERT_EQUAL(steps.deletes, COUNT - 1);
    CU_ASSERT_EQUAL(steps.inserts, COUNT - 1);
    page_unref(to);

    const struct step *memory = steps.steps;
    const uint32_t *scratch = steps._scratch;
    for (int round = 0; round < 50; round++) {
        to = shuffled(from);
        CU_ASSERT_TRUE(page_compare(from, to, &steps));
        CU_ASSERT_EQUAL(steps.deletes, steps.inserts);
        page_unref(to);
    }
    CU_ASSERT_PTR_EQUAL(steps.steps, memory);
    CU_ASSERT_PTR_EQUAL(steps._scratch, scratch);
    page_unref(from);
    page_steps_deinit(&steps);
}

/* ---- windows against a model ---- */

enum { WINDOWS = 7, MODEL_MAX = 40 };

static const struct {
    int64_t number;
    int64_t size;
} shapes[WINDOWS] = {{0, 1}, {0, 2}, {1, 2}, {0, 5}, {2, 3}, {1, 10}, {0, 100}};

/* The list as it is, and which items each window must know: those it was told of and that stayed in its slice. */
struct model {
    struct entry *items[MODEL_MAX];
    bool known[WINDOWS][MODEL_MAX];
    uint32_t count;
    uint32_t next_id;
    uint32_t next_value;
};

struct op {
    enum { OP_INSERT, OP_SET, OP_DELETE, OP_MOVE, OP_REPLACE } kind;
    uint32_t index;
    uint32_t to;
    struct entry *entry; /* a reference of the op's own, or NULL */
};

static struct op random_op(struct model *m)
{
    uint32_t dice = random_below(100);
    if (m->count == 0 || (dice < 35 && m->count < MODEL_MAX))
        return (struct op){OP_INSERT, random_below(m->count + 1), 0, numbered(m->next_id++, 0)};
    uint32_t at = random_below(m->count);
    uint32_t id = 0;
    for (uint32_t i = 0; i < m->items[at]->id_len; i++)
        id = id * 10 + (uint32_t)(m->items[at]->bytes[i] - '0');
    struct entry *same = entry_new(entry_id(m->items[at]), entry_value(m->items[at]));
    struct op op = {OP_DELETE, at, 0, NULL};
    if (dice >= 55)
        op = (struct op){dice < 72 ? OP_SET : OP_MOVE, at, random_below(m->count),
                         one_in(4) ? entry_ref(same) : numbered(id, ++m->next_value)};
    if (dice == 99) {
        entry_unref(op.entry);
        op = (struct op){OP_REPLACE, 0, 0, NULL};
    }
    entry_unref(same);
    return op;
}

static void model_take(struct model *m, uint32_t at)
{
    entry_unref(m->items[at]);
    m->count--;
    memmove(m->items + at, m->items + at + 1, (m->count - at) * sizeof(struct entry *));
    for (int w = 0; w < WINDOWS; w++)
        memmove(m->known[w] + at, m->known[w] + at + 1, (m->count - at) * sizeof(bool));
}

static void model_put(struct model *m, uint32_t at, struct entry *e)
{
    memmove(m->items + at + 1, m->items + at, (m->count - at) * sizeof(struct entry *));
    m->items[at] = entry_ref(e);
    for (int w = 0; w < WINDOWS; w++) {
        memmove(m->known[w] + at + 1, m->known[w] + at, (m->count - at) * sizeof(bool));
        m->known[w][at] = true;
    }
    m->count++;
}

static bool in_slice(int w, uint32_t at)
{
    return at / shapes[w].size == shapes[w].number;
}

static void model_apply(struct model *m, const struct op *op)
{
    if (op->kind == OP_REPLACE) {
        uint32_t count = random_below(MODEL_MAX);
        while (m->count > 0)
            model_take(m, 0);
        while (m->count < count) {
            struct entry *e = numbered(m->next_id++, 0);
            model_put(m, m->count, e);
            entry_unref(e);
        }
        memset(m->known, 0, sizeof(m->known));
        return;
    }
    if (op->kind != OP_INSERT)
        model_take(m, op->index);
    if (op->kind != OP_DELETE)
        model_put(m, op->kind == OP_MOVE ? op->to : op->index, op->entry);
    for (int w = 0; w < WINDOWS; w++) {
        for (uint32_t i = 0; i < m->count; i++)
            m->known[w][i] = m->known[w][i] && in_slice(w, i);
    }
}

static bool window_apply(struct window *w, const struct op *op, uint32_t total)
{
    switch (op->kind) {
    case OP_INSERT:
        return window_insert(w, op->index, op->entry, total);
    case OP_SET:
        return window_set(w, op->index, op->entry, total);
    case OP_DELETE:
        return window_delete(w, op->index, total);
    case OP_MOVE:
        return window_move(w, op->index, op->to, op->entry, total);
    case OP_REPLACE:
        break;
    }
    window_reset(w, total);
    return true;
}

/* seen_by copies what window w should hold: entries with a reference, NULL for holes. */
static uint32_t seen_by(const struct model *m, int w, struct entry **slice)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < m->count; i++) {
        if (in_slice(w, i))
            slice[count++] = m->known[w][i] ? entry_ref(m->items[i]) : NULL;
    }
    return count;
}

static bool holds(const struct window *w, struct entry *const *slice, uint32_t count, uint32_t total)
{
    uint32_t holes = 0;
    if (w->count != count || w->total != total)
        return false;
    for (uint32_t i = 0; i < count; i++) {
        holes += slice[i] == NULL;
        if (w->slots[i] != slice[i])
            return false;
    }
    return w->holes == holes;
}

static void check_want(const struct window *w)
{
    int64_t start = -1;
    int64_t count = -1;
    int64_t first = w->number * w->size;
    CU_ASSERT_EQUAL(window_want(w, &start, &count), w->holes > 0);
    if (w->holes == 0)
        return;
    CU_ASSERT_TRUE(start >= first && count > 0 && start + count <= first + w->count);
    CU_ASSERT_PTR_NULL(w->slots[start - first]);
    CU_ASSERT_PTR_NULL(w->slots[start + count - 1 - first]);
    for (uint32_t i = 0; i < w->count; i++)
        CU_ASSERT_TRUE(w->slots[i] != NULL || (first + i >= start && first + i < start + count));
}

static void fill(struct model *m, int i, struct window *w, bool overwrite)
{
    int64_t start = 0;
    int64_t count = m->count;
    bool wanted = window_want(w, &start, &count);
    if (wanted && one_in(2))
        count = 1 + random_below((uint32_t)count); /* a read that brought only the beginning */
    bool changed = window_fill(w, start, m->items + start, (size_t)count, overwrite);
    CU_ASSERT_EQUAL(changed, wanted);
    for (int64_t at = start; at < start + count; at++)
        m->known[i][at] = in_slice(i, (uint32_t)at);
    if (!wanted || w->holes > 0)
        return;
    struct page *p = window_version(w);
    struct page *again = window_version(w);
    CU_ASSERT_PTR_EQUAL(p, again);
    CU_ASSERT_EQUAL(p->count, w->count);
    CU_ASSERT_EQUAL(p->total, m->count);
    page_unref(p);
    page_unref(again);
}

static bool slices_differ(struct entry *const *a, uint32_t na, struct entry *const *b, uint32_t nb)
{
    bool differ = na != nb;
    for (uint32_t i = 0; i < na && !differ; i++)
        differ = a[i] != b[i];
    return differ;
}

static void drop_slice(struct entry **slice, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        entry_unref(slice[i]);
}

/* told: what a peer that follows window w was told last. Brings it to the newest page. */
static void tell(struct window *w, struct page **told, struct page_steps *steps)
{
    struct page *now = window_version(w);
    if (*told != NULL)
        check_compare(*told, now, steps);
    page_unref(*told);
    *told = now;
}

static void step_all(struct model *m, struct window *windows)
{
    struct entry *before[WINDOWS][MODEL_MAX];
    uint32_t nbefore[WINDOWS];
    uint32_t total = m->count;
    struct op op = random_op(m);
    for (int i = 0; i < WINDOWS; i++)
        nbefore[i] = seen_by(m, i, before[i]);
    model_apply(m, &op);
    for (int i = 0; i < WINDOWS; i++) {
        struct entry *after[MODEL_MAX];
        uint32_t nafter = seen_by(m, i, after);
        bool changed = window_apply(&windows[i], &op, m->count);
        CU_ASSERT_TRUE(holds(&windows[i], after, nafter, m->count));
        bool differs = total != m->count || slices_differ(before[i], nbefore[i], after, nafter);
        CU_ASSERT_TRUE(changed || !differs);
        if (op.kind == OP_SET)
            CU_ASSERT_EQUAL(changed, differs);
        check_want(&windows[i]);
        drop_slice(after, nafter);
        drop_slice(before[i], nbefore[i]);
    }
    entry_unref(op.entry);
}

static void test_window_random(void)
{
    struct page_steps steps;
    page_steps_init(&steps);
    for (uint32_t seed = 0; seed < 400; seed++) {
        random_state = seed;
        struct model m = {.count = 0};
        struct window windows[WINDOWS];
        struct page *told[WINDOWS] = {NULL};
        for (int i = 0; i < WINDOWS; i++)
            window_init(&windows[i], shapes[i].number, shapes[i].size);
        for (int round = 0; round < 120; round++) {
            step_all(&m, windows);
            for (int i = 0; i < WINDOWS; i++) {
                if (one_in(3))
                    fill(&m, i, &windows[i], one_in(2));
                if (windows[i].holes == 0 && one_in(2))
                    tell(&windows[i], &told[i], &steps);
            }
        }
        for (int i = 0; i < WINDOWS; i++) {
            page_unref(told[i]);
            window_deinit(&windows[i]);
        }
        while (m.count > 0)
            model_take(&m, 0);
    }
    page_steps_deinit(&steps);
}

/* A list of `count` items and a window that knows its slice. */
static void start(struct model *m, struct window *w, int64_t number, int64_t size, uint32_t count)
{
    *m = (struct model){.count = 0};
    for (; m->count < count; m->count++)
        m->items[m->count] = numbered(m->count, 0);
    window_init(w, number, size);
    window_reset(w, count);
    window_fill(w, 0, m->items, count, false);
}

static void finish(struct model *m, struct window *w)
{
    window_deinit(w);
    while (m->count > 0)
        entry_unref(m->items[--m->count]);
}

static void test_fill_overwrite(void)
{
    struct model m;
    struct window w;
    start(&m, &w, 1, 3, 9);
    struct page *before = window_version(&w);
    struct entry *equal = numbered(4, 0);
    struct entry *other = numbered(4, 7);
    CU_ASSERT_FALSE(window_fill(&w, 4, &equal, 1, true));
    CU_ASSERT_PTR_EQUAL(w.slots[1], m.items[4]);
    CU_ASSERT_FALSE(window_fill(&w, 4, &other, 1, false));
    CU_ASSERT_PTR_EQUAL(w.slots[1], m.items[4]);
    struct page *unchanged = window_version(&w);
    CU_ASSERT_PTR_EQUAL(unchanged, before);
    CU_ASSERT_TRUE(window_fill(&w, 4, &other, 1, true));
    CU_ASSERT_PTR_EQUAL(w.slots[1], other);
    CU_ASSERT_FALSE(window_fill(&w, 9, &other, 1, true));
    CU_ASSERT_FALSE(window_fill(&w, 2, &other, 1, true));
    struct page *after = window_version(&w);
    CU_ASSERT_PTR_NOT_EQUAL(after, before);
    CU_ASSERT_PTR_EQUAL(before->slots[1], m.items[4]);
    page_unref(before);
    page_unref(unchanged);
    page_unref(after);
    entry_unref(equal);
    entry_unref(other);
    finish(&m, &w);
}

/* What cannot follow the held state resets the window instead of making it wrong. */
static void test_impossible_events(void)
{
    struct entry *e = numbered(77, 0);
    for (int i = 0; i < 14; i++) {
        struct model m;
        struct window w;
        start(&m, &w, 0, 5, 9);
        bool changed = false;
        switch (i) {
        case 0:
            changed = window_insert(&w, -1, e, 10);
            break;
        case 1:
            changed = window_insert(&w, 10, e, 10);
            break;
        case 2:
            changed = window_insert(&w, 3, e, 12);
            break;
        case 3:
            changed = window_set(&w, 2, e, 9);
            break; /* item 2 has another id */
        case 4:
            changed = window_set(&w, 9, e, 9);
            break;
        case 5:
            changed = window_set(&w, 2, m.items[2], 8);
            break;
        case 6:
            changed = window_set(&w, -1, e, 9);
            break;
        case 7:
            changed = window_delete(&w, -1, 8);
            break;
        case 8:
            changed = window_delete(&w, 9, 8);
            break;
        case 9:
            changed = window_delete(&w, 3, 9);
            break;
        case 10:
            changed = window_move(&w, 0, 9, m.items[0], 9);
            break;
        case 11:
            changed = window_move(&w, 9, 0, e, 9);
            break;
        case 12:
            changed = window_move(&w, 0, 3, e, 9);
            break; /* item 0 has another id */
        case 13:
            changed = window_move(&w, 0, 3, m.items[0], 10);
            break;
        }
        CU_ASSERT_TRUE(changed);
        CU_ASSERT_EQUAL(w.count, 5);
        CU_ASSERT_EQUAL(w.holes, 5);
        finish(&m, &w);
    }
    entry_unref(e);
}

static void test_extremes(void)
{
    struct window w;
    struct entry *e = numbered(1, 0);
    window_init(&w, INT64_MAX, 100);
    window_reset(&w, INT64_MAX);
    CU_ASSERT_TRUE(w.count <= 100);
    CU_ASSERT_TRUE(window_delete(&w, 0, INT64_MAX - 1));
    CU_ASSERT_TRUE(window_insert(&w, 0, e, INT64_MIN));
    CU_ASSERT_EQUAL(w.total, 0);
    CU_ASSERT_EQUAL(w.count, 0);
    CU_ASSERT_TRUE(window_delete(&w, 0, INT64_MAX));
    window_deinit(&w);
    window_init(&w, 0, 100);
    window_reset(&w, -5);
    CU_ASSERT_EQUAL(w.total, 0);
    struct page *p = window_version(&w);
    CU_ASSERT_EQUAL(p->count, 0);
    page_unref(p);
    window_deinit(&w);
    entry_unref(e);
}

static void test_clamp(void)
{
    static const struct {
        int64_t page, size, total, want;
    } cases[] = {
        {0, 10, 0, 0},  {5, 10, 0, 0},  {-1, 10, 100, 0},     {9, 10, 100, 9},      {10, 10, 100, 9},
        {9, 10, 90, 8}, {9, 10, 91, 9}, {INT64_MAX, 1, 5, 4}, {INT64_MIN, 1, 5, 0},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        CU_ASSERT_EQUAL(page_clamp(cases[i].page, cases[i].size, cases[i].total), cases[i].want);
}

static void test_entry(void)
{
    struct entry *e = entry_new(SLICE_LIT("\"a\""), SLICE_LIT("{\"x\":1}"));
    CU_ASSERT_TRUE(slice_eq(entry_id(e), SLICE_LIT("\"a\"")));
    CU_ASSERT_TRUE(slice_eq(entry_value(e), SLICE_LIT("{\"x\":1}")));
    CU_ASSERT_PTR_EQUAL(entry_ref(e), e);
    entry_unref(e);
    CU_ASSERT_EQUAL(e->refs, 1);
    entry_unref(e);
    entry_unref(NULL);
    page_unref(NULL);
}

UNIT_MAIN("protocol/window", UNIT(test_entry), UNIT(test_clamp), UNIT(test_compare_cases),
          UNIT(test_compare_other_window), UNIT(test_compare_random_pages), UNIT(test_compare_every_turn),
          UNIT(test_compare_shuffled), UNIT(test_compare_large), UNIT(test_window_random), UNIT(test_fill_overwrite),
          UNIT(test_impossible_events), UNIT(test_extremes))
