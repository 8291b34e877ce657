/* Any bytes as a message of a peer: exactly one action, complete for what it says it is, with slices that are inside the
 * message or in canonical form. One function for all dialects. */
#ifndef SYNCGATE_TESTS_FUZZ_DIALECT_H
#define SYNCGATE_TESTS_FUZZ_DIALECT_H

#include <stdint.h>
#include <stdlib.h>

#include "protocol/base/frame.h"
#include "protocol/json.h"
#include "protocol/message.h"
#include "protocol/socksync/socksync.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct dialect *fuzzed;
static bool has_ids; /* items of its lists */

static void require(bool holds)
{
    if (!holds)
        abort();
}

/* What may be done is in the last letter of the name. */
static enum access access_of(struct dialect_peer *peer, enum action_op op, enum kind kind, struct slice name,
                             const struct slice *id)
{
    (void)peer;
    (void)op;
    require(kind != KIND_NONE);
    require(name.len > 0);
    require(name.len <= MESSAGE_NAME_MAX);
    require(!id || json_id_canonical(*id, SOCKSYNC_ITEM_ID_MAX));
    switch (name.ptr[name.len - 1]) {
    case 'x':
        return ACCESS_UNKNOWN;
    case 'y':
        return ACCESS_UNSUBSCRIBED;
    case 'z':
        return ACCESS_UNRESOLVED;
    default:
        return ACCESS_OK;
    }
}

static const struct dialect_limits limits = {.max_depth = 12, .value_depth = 8, .max_items = 4};

static bool inside(struct slice part, struct slice whole)
{
    return part.ptr >= whole.ptr && part.len <= whole.len && part.ptr + part.len <= whole.ptr + whole.len;
}

static void require_value(struct slice value, struct slice message)
{
    require(inside(value, message));
    require(json_valid(value, limits.value_depth));
}

static void require_items(const struct action *a)
{
    static const struct slice keys[] = {SLICE_LIT("id"), SLICE_LIT("value")};
    struct json_value v[2];
    struct slice rest = a->items_json, ids[4];
    struct buf scratch;
    size_t n = 0;
    require(a->page == 0);
    require(json_valid(a->items_json, limits.max_depth));
    buf_init(&scratch, 1 << 20);
    require(buf_reserve(&scratch, 2 * rest.len + 1) != NULL);
    for (; json_next(&rest, keys, 2, v) == JSON_OBJECT; n++) {
        require(n < limits.max_items);
        require(json_id(&v[0], SOCKSYNC_ITEM_ID_MAX, &scratch, &ids[n]) == JSON_ID_OK);
        require(json_valid(v[1].text, limits.value_depth));
        for (size_t j = 0; j < n; j++)
            require(!slice_eq(ids[n], ids[j]));
    }
    buf_deinit(&scratch);
}

/* The fields that each action must have, beside a kind and a name. */
enum { ID = 1, VALUE = 2, FUNCTION = 4, LIST = 8 };
static const unsigned char needs[] = {
    [ACTION_SUBSCRIBE] = 0,      [ACTION_UNSUBSCRIBE] = 0,      [ACTION_GET] = 0,
    [ACTION_SET] = VALUE,        [ACTION_SET_ALL] = LIST,       [ACTION_INSERT] = ID | VALUE | LIST,
    [ACTION_DELETE] = ID | LIST, [ACTION_CALL] = ID | FUNCTION, [ACTION_RETURN] = ID | FUNCTION,
};

static void require_effect(const struct action *a)
{
    require(a->kind != KIND_NONE);
    require(a->name.len > 0);
    require(!(needs[a->op] & ID) || a->has_id || (!has_ids && a->kind == KIND_LIST));
    require(!(needs[a->op] & VALUE) || a->has_value);
    require(!(needs[a->op] & FUNCTION) || a->kind == KIND_FUNCTION);
    require(!(needs[a->op] & LIST) || a->kind == KIND_LIST);
    require(!has_ids || a->op != ACTION_SET || a->kind == KIND_VAR || a->has_id);
    require(a->page >= 0);
    require(a->page_size >= 0);
    require(a->index >= 0 || (a->index == ACTION_END && (a->op == ACTION_INSERT || a->op == ACTION_MOVE)));
    if (a->op == ACTION_SET_ALL)
        require_items(a);
}

static void require_answer(const struct action *a)
{
    struct buf out;
    require(a->text != NULL);
    require(a->error >= ERROR_FUNC);
    require(a->error <= ERROR_OTHER);
    require(a->op != ACTION_FAULT_IF_KNOWN || (a->kind != KIND_NONE && a->name.len > 0));
    buf_init(&out, 1 << 16);
    require(fuzzed->error(&out, a->error, slice_str(a->text), a->kind, a->name, a->has_id ? a->id : SLICE_NONE) == 1);
    require(!out.failed);
    size_t header = (unsigned char)out.ptr[1] < 126 ? 2 : 4;
    require(json_valid(slice_of(out.ptr + header, out.len - header), 1));
    buf_deinit(&out);
}

static void require_action(const struct action *a, struct slice message)
{
    require(a->has_id == (a->id.len > 0));
    require(!a->has_id || json_id_canonical(a->id, SOCKSYNC_ITEM_ID_MAX));
    require(json_utf8(a->name));
    if (a->has_value && a->op != ACTION_AUTH)
        require_value(a->value, message);
    switch (a->op) {
    case ACTION_NONE:
    case ACTION_UNSUBSCRIBE_ALL:
        return;
    case ACTION_REPLY:
        require(a->kind == KIND_NONE && a->name.len == 0);
        require(a->messages == 1 && a->bytes_len > 2);
        return;
    case ACTION_CLOSE:
        require(a->close_code == 1007);
        require(!json_utf8(message));
        return;
    case ACTION_FAULT:
    case ACTION_FAULT_IF_KNOWN:
        require_answer(a);
        return;
    case ACTION_AUTH:
        require(a->has_value && a->value.len <= 8192 && a->kind == KIND_NONE);
        return;
    case ACTION_CALL_FAILED:
        require(a->has_id);
        require(a->error >= ERROR_FUNC && a->error <= ERROR_OTHER);
        require(!a->text_json.len || json_valid(a->text_json, 0));
        return;
    default:
        require_effect(a);
    }
}

static const struct dialect_limits *limits_of(const struct dialect_peer *peer)
{
    (void)peer;
    return &limits;
}

static struct action receive(struct slice message, bool binary)
{
    static const struct dialect_host host = {.access = access_of, .limits = limits_of};
    static struct buf replies = {.max = 1 << 16};
    struct dialect_peer peer = {.host = &host};
    struct actions as;
    actions_init(&as, &replies);
    fuzzed->receive(&peer, message, binary, &as);
    require(as.len == 1 && !as.overflow);
    return as.list[0];
}

static inline int fuzz_dialect(const struct dialect *d, bool ids, const uint8_t *data, size_t size)
{
    fuzzed = d;
    has_ids = ids;
    struct slice message = slice_of((const char *)data, size);
    struct action a = receive(message, true);
    require(a.op == ACTION_FAULT && a.error == ERROR_JSON);
    a = receive(message, false);
    require_action(&a, message);
    require(json_utf8(message) || a.op == ACTION_CLOSE);
    require(json_valid(message, limits.max_depth) || a.op == ACTION_CLOSE || a.op == ACTION_FAULT);
    return 0;
}

#endif
