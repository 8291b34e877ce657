/* What clients were told, by the book. */
#include "tests/unit/engine/world_parts.h"

const char *world_wrong;

void wrong(const char *what)
{
    if (!world_wrong)
        world_wrong = what;
}

static int held_at(const struct world_held *h, int id)
{
    for (int i = 0; i < h->count; i++)
        if (h->ids[i] == id)
            return i;
    return -1;
}

enum { F_FUNC, F_TYPE, F_NAME, F_ID, F_VALUE, F_INDEX, F_PAGE, F_TOTAL, F_ITEMS, F_CODE, FIELDS };

static void on_page(struct world_held *h, const struct json_value *f)
{
    static const struct slice keys[] = {SLICE_LIT("id"), SLICE_LIT("value")};
    struct json_value item[2];
    struct slice rest = f[F_ITEMS].text;
    h->told = true;
    h->page = as_number(f[F_PAGE].text);
    h->total = as_number(f[F_TOTAL].text);
    h->count = 0;
    while (json_next(&rest, keys, 2, item) == JSON_OBJECT) {
        if (h->count == WORLD_PAGE) {
            wrong("a page that is too long");
            return;
        }
        h->ids[h->count] = as_number(item[0].text);
        h->values[h->count++] = as_number(item[1].text);
    }
}

static void on_insert(struct world_held *h, int index, int id, int value)
{
    if (!h->told || index < 0 || index > h->count || h->count == WORLD_PAGE || held_at(h, id) >= 0) {
        wrong("an insert that does not apply");
        return;
    }
    size_t behind = (size_t)(h->count - index) * sizeof(int);
    memmove(h->ids + index + 1, h->ids + index, behind);
    memmove(h->values + index + 1, h->values + index, behind);
    h->ids[index] = id;
    h->values[index] = value;
    h->count++;
    h->total++;
}

static void on_delete(struct world_held *h, int id)
{
    int at = held_at(h, id);
    if (at < 0) {
        wrong("a delete that does not apply");
        return;
    }
    size_t behind = (size_t)(h->count - at - 1) * sizeof(int);
    memmove(h->ids + at, h->ids + at + 1, behind);
    memmove(h->values + at, h->values + at + 1, behind);
    h->count--;
    h->total--;
}

static void on_list(struct world_held *h, struct slice func, const struct json_value *f)
{
    int at = held_at(h, as_number(f[F_ID].text));
    if (slice_eq(func, SLICE_LIT("\"set_all\"")))
        on_page(h, f);
    else if (slice_eq(func, SLICE_LIT("\"insert\"")))
        on_insert(h, as_number(f[F_INDEX].text), as_number(f[F_ID].text), as_number(f[F_VALUE].text));
    else if (slice_eq(func, SLICE_LIT("\"delete\"")))
        on_delete(h, as_number(f[F_ID].text));
    else if (slice_eq(func, SLICE_LIT("\"set_count\"")))
        h->total = as_number(f[F_TOTAL].text);
    else if (!slice_eq(func, SLICE_LIT("\"set\"")) || at < 0)
        wrong("a set that does not apply");
    else
        h->values[at] = as_number(f[F_VALUE].text);
}

static void on_error(struct world_client *c, const struct json_value *f)
{
    struct slice name = f[F_NAME].text;
    if (name.len != 4 || as_number(f[F_CODE].text) != ERROR_NAME)
        return;
    struct world_held *h = name.ptr[1] == 'l' ? &c->lists[name.ptr[2] - '0'] : &c->vars[name.ptr[2] - '0'];
    h->subscribed = h->told = false;
}

void client_hears(struct world_client *c, struct slice text)
{
    static const struct slice keys[FIELDS] = {
        SLICE_LIT("func"),  SLICE_LIT("type"),       SLICE_LIT("name"), SLICE_LIT("id"),
        SLICE_LIT("value"), SLICE_LIT("index"),      SLICE_LIT("page"), SLICE_LIT("total_item_count"),
        SLICE_LIT("items"), SLICE_LIT("error_code"),
    };
    struct json_value f[FIELDS];
    enum json_kind top;
    if (json_members(text, 64, keys, FIELDS, f, &top) != JSON_OK || top != JSON_OBJECT) {
        wrong("no JSON");
        return;
    }
    struct slice func = f[F_FUNC].text;
    if (slice_eq(func, SLICE_LIT("\"error\""))) {
        on_error(c, f);
        return;
    }
    if (f[F_NAME].text.len != 4)
        return;
    int name = f[F_NAME].text.ptr[2] - '0';
    if (slice_eq(f[F_TYPE].text, SLICE_LIT("\"list\""))) {
        on_list(&c->lists[name], func, f);
    } else if (slice_eq(func, SLICE_LIT("\"set\""))) {
        bool none = f[F_VALUE].type == JSON_NULL;
        c->vars[name].told = true;
        c->vars[name].value = none ? -1 : as_number(f[F_VALUE].text);
    }
}

/* --- in the end --- */

static const char *var_difference(const struct world_held *h, const struct world_var *v)
{
    if (!h->subscribed)
        return NULL;
    if (!h->told)
        return "a variable that was not told";
    return h->value == (v->exists ? v->value : -1) ? NULL : "a variable is another one in Redis";
}

static const char *list_difference(const struct world_held *h, const struct world_list *l)
{
    if (!h->subscribed)
        return NULL;
    if (!h->told)
        return "a list that was not told";
    if (h->total != l->total)
        return "another total in Redis";
    int start = h->page * h->size, count = l->total - start < h->size ? l->total - start : h->size;
    if (h->count != (count > 0 ? count : 0))
        return "a page of another length in Redis";
    for (int i = 0; i < h->count; i++)
        if (h->ids[i] != l->ids[start + i] || h->values[i] != l->values[start + i])
            return "another item in Redis";
    return NULL;
}

const char *world_difference(void)
{
    const char *found = NULL;
    for (int i = 0; i < WORLD_CLIENTS && !found; i++) {
        const struct world_client *c = &world_clients[i];
        for (int k = 0; k < WORLD_NAMES && c->conn && !found; k++) {
            found = var_difference(&c->vars[k], &world_vars[k]);
            if (!found)
                found = list_difference(&c->lists[k], &world_lists[k]);
        }
    }
    return found;
}
