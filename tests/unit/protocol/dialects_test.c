/* Which dialect is spoken where, and with whom. */
#include "protocol/dialects.h"

#include "tests/unit/unit.h"

static const struct dialect *at(const char *path, const char *offered, const char *selected)
{
    struct dialect_match match;
    if (!dialects_match(slice_str(path), slice_str(offered), &match))
        return NULL;
    CU_ASSERT_STRING_EQUAL(match.subprotocol ? match.subprotocol : "none", selected ? selected : "none");
    CU_ASSERT_EQUAL(match.room.len, 0);
    return match.dialect;
}

static void test_matches(void)
{
    static const struct {
        const char *path, *offered, *name, *selected;
    } rows[] = {
        {"/ws", "", "socksync", NULL},
        {"/ws/", "", "socksync", NULL},
        {"/ws/socksync", "socksync.v1", "socksync", "socksync.v1"},
        {"/ws/socksync/", "else", "socksync", NULL},
        {"/ws", "socksync.v2", "socksync2", "socksync.v2"},
        {"/ws/socksync", " ,\tsocksync.v2", "socksync2", "socksync.v2"},
        {"/ws/socksync", "else, socksync.v2,socksync.v1", "socksync2", "socksync.v2"},
        {"/ws/socksync", "socksync.v1, socksync.v2", "socksync", "socksync.v1"},
        {"/ws/socksync", "socksync.v22,socksync", "socksync", NULL},
        {"/ws/socksync/v2", "", "socksync2", NULL},
        {"/ws/socksync/v2/", "socksync.v1", "socksync2", NULL},
        {"/ws/socksync/v2", "socksync.v2", "socksync2", "socksync.v2"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const struct dialect *d = at(rows[i].path, rows[i].offered, rows[i].selected);
        CU_ASSERT_PTR_NOT_NULL_FATAL(d);
        CU_ASSERT_STRING_EQUAL(d->name, rows[i].name);
    }
}

static void test_nowhere_else(void)
{
    static const char *const paths[] = {
        "", "/", "/w", "/wss", "/ws//", "/ws/socks", "/ws/socksync/v3", "/ws/socksync/v2/x", "ws"};
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
        CU_ASSERT_PTR_NULL(at(paths[i], "socksync.v1", NULL));
        CU_ASSERT_FALSE(dialects_serve(slice_str(paths[i])));
    }
    CU_ASSERT_TRUE(dialects_serve(SLICE_LIT("/ws/socksync/v2")));
}

/* What the rest of the gateway takes for granted of every row. */
static void test_rows_are_complete(void)
{
    for (const struct dialect *const *d = dialects; *d; d++) {
        CU_ASSERT_PTR_NOT_NULL((*d)->name);
        CU_ASSERT_PTR_NOT_NULL((*d)->routes);
        CU_ASSERT_PTR_NOT_NULL((*d)->receive);
        CU_ASSERT_PTR_NOT_NULL((*d)->error);
        CU_ASSERT_TRUE((*d)->peer_size == 0 || (*d)->peer_size >= sizeof(struct dialect_peer));
        CU_ASSERT_EQUAL((*d)->offered == NULL, (*d)->withdrawn == NULL);
        for (const struct dialect *const *other = dialects; other != d; other++)
            CU_ASSERT_STRING_NOT_EQUAL((*d)->name, (*other)->name);
    }
}

UNIT_MAIN("protocol/dialects", UNIT(test_matches), UNIT(test_nowhere_else), UNIT(test_rows_are_complete))
