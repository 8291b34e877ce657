/* Any bytes as JSON: the two ways to scan agree, what they find is inside the text and right on its own, and conversions
 * can be undone. */
#include <stdint.h>
#include <stdlib.h>

#include "protocol/base/alloc.h"
#include "protocol/json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { KEYS = 3, ID_MAX = 24, DECODED_MAX = 1 << 20 };

static const struct slice keys[KEYS] = {SLICE_LIT("a"), SLICE_LIT("id"), SLICE_LIT("value")};

static void require(bool holds)
{
    if (!holds)
        abort();
}

static bool inside(struct slice part, struct slice whole)
{
    return part.ptr >= whole.ptr && part.len <= whole.len && part.ptr + part.len <= whole.ptr + whole.len;
}

/* A string decodes to UTF-8 that, quoted again, decodes to the same. */
static void try_string(struct slice text)
{
    struct buf first, second, quoted;
    struct slice decoded, again;
    buf_init(&first, DECODED_MAX);
    buf_init(&second, DECODED_MAX);
    buf_init(&quoted, 2 * DECODED_MAX);
    require(json_string(text, DECODED_MAX, &first, &decoded));
    require(json_utf8(decoded));
    json_quote(&quoted, decoded);
    require(json_valid(buf_slice(&quoted), 0));
    require(json_string(buf_slice(&quoted), DECODED_MAX, &second, &again));
    require(slice_eq(decoded, again));
    require(json_id_canonical(buf_slice(&quoted), DECODED_MAX) == (decoded.len > 0));
    require(decoded.len == 0 || !json_string(text, decoded.len - 1, &first, &again));
    buf_deinit(&first);
    buf_deinit(&second);
    buf_deinit(&quoted);
}

static void try_id(const struct json_value *v)
{
    struct buf scratch;
    struct slice id = SLICE_NONE;
    buf_init(&scratch, 10000);
    enum json_id_result result = json_id(v, ID_MAX, &scratch, &id);
    require((result == JSON_ID_OK) == (id.ptr != NULL));
    require(result != JSON_ID_OK || json_id_canonical(id, ID_MAX));
    require(result == JSON_ID_OK || !json_id_canonical(v->text, ID_MAX));
    buf_deinit(&scratch);
}

/* A value that was found is valid on its own, exactly as deep as was said, and no shorter. */
static void try_value(const struct json_value *v, struct slice whole)
{
    int64_t n;
    require(inside(v->text, whole));
    require(json_valid(v->text, v->depth));
    require(v->depth == 0 || json_check(v->text, v->depth - 1) == JSON_TOO_DEEP);
    if (v->type == JSON_STRING)
        try_string(v->text);
    if (v->type == JSON_NUMBER)
        (void)json_integer(v->text, &n);
    try_id(v);
}

static void try_elements(struct slice array)
{
    struct json_value v[KEYS];
    struct slice rest = array;
    for (enum json_kind kind; (kind = json_next(&rest, keys, KEYS, v)) != JSON_ABSENT;)
        for (size_t i = 0; kind == JSON_OBJECT && i < KEYS; i++)
            if (v[i].type != JSON_ABSENT)
                try_value(&v[i], array);
}

static void try_text(struct slice text, int max_depth)
{
    struct json_value v[KEYS];
    enum json_kind top = JSON_ABSENT;
    enum json_status status = json_check(text, max_depth);
    require(json_members(text, max_depth, keys, KEYS, v, &top) == status);
    (void)json_id_canonical(text, ID_MAX);
    if (status != JSON_OK)
        return;
    require(json_utf8(text));
    require(top != JSON_ABSENT);
    for (size_t i = 0; top == JSON_OBJECT && i < KEYS; i++)
        if (v[i].type != JSON_ABSENT)
            try_value(&v[i], text);
    if (top == JSON_ARRAY)
        try_elements(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice text = slice_of((const char *)data, size), rest = text;
    struct json_value v[KEYS];
    static const int depths[] = {0, 1, 2, 5, 64, JSON_DEPTH_LIMIT};
    for (size_t i = 0; i < sizeof depths / sizeof *depths; i++)
        try_text(text, depths[i]);
    while (json_next(&rest, keys, KEYS, v) != JSON_ABSENT) /* unchecked, so only that it ends and stays inside */
        require(inside(rest, text));
    return 0;
}
