/* What a person may do: the patterns of everybody with the person's own words, and what the token grants. */
#include "gateway/access/identity.h"

#include "tests/unit/unit.h"

static struct grants users;

static struct identity *person(struct jwt_claims claims)
{
    const char *why;
    struct identity *i = identity_new(&users, &claims, &why);
    CU_ASSERT_PTR_NOT_NULL_FATAL(i);
    return i;
}

static bool may(const struct identity *i, enum grant verb, const char *name)
{
    return grants_allow(&i->grants, verb, slice_str(name));
}

static void begin(const char *subscribe, const char *deny)
{
    grants_deinit(&users);
    if (subscribe)
        patterns_add(&users.verbs[GRANT_SUBSCRIBE], subscribe);
    if (deny)
        patterns_add(&users.deny, deny);
}

static void test_words_in_their_places(void)
{
    begin("{tenant}:orders:{user}:*", NULL);
    struct identity *i = person((struct jwt_claims){.user = SLICE_LIT("42"), .tenant = SLICE_LIT("acme")});
    CU_ASSERT_TRUE(may(i, GRANT_SUBSCRIBE, "acme:orders:42:open"));
    CU_ASSERT_FALSE(may(i, GRANT_SUBSCRIBE, "acme:orders:43:open"));
    CU_ASSERT_FALSE(may(i, GRANT_SUBSCRIBE, "other:orders:42:open"));
    CU_ASSERT_FALSE(may(i, GRANT_WRITE, "acme:orders:42:open"));
    CU_ASSERT_STRING_EQUAL(i->grants.name, "42");
    identity_release(i);
}

/* What a person may be called is not ours to choose. */
static void test_words_are_no_patterns(void)
{
    static const char *const hostile[] = {"*", "?", "a*", "**", "*:*", "\\*", "?*?"};
    begin("orders:{user}", NULL);
    for (size_t k = 0; k < sizeof(hostile) / sizeof(hostile[0]); k++) {
        char own[64];
        struct identity *i = person((struct jwt_claims){.user = slice_str(hostile[k])});
        snprintf(own, sizeof(own), "orders:%s", hostile[k]);
        CU_ASSERT_TRUE(may(i, GRANT_SUBSCRIBE, own));
        CU_ASSERT_FALSE(may(i, GRANT_SUBSCRIBE, "orders:7"));
        CU_ASSERT_FALSE(may(i, GRANT_SUBSCRIBE, "orders:ab"));
        CU_ASSERT_FALSE(may(i, GRANT_SUBSCRIBE, "orders:"));
        CU_ASSERT_FALSE(glob_is_literal("a\1*")); /* nothing is announced of it */
        identity_release(i);
    }
}

static void test_a_word_that_is_missing_grants_nothing(void)
{
    static const struct slice words[] = {{NULL, 0}, {"", 0}, {"a\nb", 3}, {"a{b", 3}, {"\1", 1}, {"a\0b", 3}};
    for (size_t k = 0; k < sizeof(words) / sizeof(words[0]); k++) {
        begin("orders:{user}", NULL);
        struct identity *i = person((struct jwt_claims){.user = words[k], .session = SLICE_LIT("s")});
        CU_ASSERT_EQUAL(i->grants.verbs[GRANT_SUBSCRIBE].len, 0);
        identity_release(i);
        begin("s:{session}", NULL);
        i = person((struct jwt_claims){.user = words[k], .session = SLICE_LIT("s")});
        CU_ASSERT_TRUE(may(i, GRANT_SUBSCRIBE, "s:s"));
        identity_release(i);
    }
}

static void test_words_of_info(void)
{
    static const struct slice info = SLICE_LIT("{\"team\":\"re\\u0064\",\"n\":7,\"f\":1.5,\"o\":{},\"z\":null}");
    static const struct {
        const char *pattern, *name;
        bool granted;
    } cases[] = {{"{info.team}", "red", true}, {"{info.n}", "7", true},     {"{info.f}", "1.5", false},
                 {"{info.o}", "{}", false},    {"{info.z}", "null", false}, {"{info.none}", "", false}};
    for (size_t k = 0; k < sizeof(cases) / sizeof(cases[0]); k++) {
        begin(cases[k].pattern, NULL);
        struct identity *i = person((struct jwt_claims){.info = info});
        CU_ASSERT_EQUAL(may(i, GRANT_SUBSCRIBE, cases[k].name), cases[k].granted);
        identity_release(i);
    }
}

static void test_what_the_token_grants_and_denies(void)
{
    begin("public:*", "public:secret");
    struct identity *i = person((struct jwt_claims){
        .grants = SLICE_LIT(
            "{\"call\":[\"report.*\"],\"subscribe\":[\"mine\",\"public:secret\"],\"deny\":[\"public:off\"]}")});
    CU_ASSERT_TRUE(may(i, GRANT_CALL, "report.a"));
    CU_ASSERT_FALSE(may(i, GRANT_CALL, "reports"));
    CU_ASSERT_TRUE(may(i, GRANT_SUBSCRIBE, "mine"));
    CU_ASSERT_TRUE(may(i, GRANT_SUBSCRIBE, "public:on"));
    CU_ASSERT_FALSE(may(i, GRANT_SUBSCRIBE, "public:off"));
    CU_ASSERT_FALSE(may(i, GRANT_SUBSCRIBE, "public:secret")); /* denied is denied */
    identity_release(i);
}

static void test_grants_that_are_none(void)
{
    static const char *const texts[] = {"{\"call\":\"*\"}",      "{\"call\":[1]}",           "{\"call\":[\"\"]}",
                                        "{\"call\":[\"a\\n\"]}", "{\"call\":[\"a{user}\"]}", "{\"deny\":{}}"};
    begin(NULL, NULL);
    for (size_t k = 0; k < sizeof(texts) / sizeof(texts[0]); k++) {
        const char *why = NULL;
        CU_ASSERT_PTR_NULL(identity_new(&users, &(struct jwt_claims){.grants = slice_str(texts[k])}, &why));
        CU_ASSERT_PTR_NOT_NULL(why);
    }
}

static void test_places(void)
{
    static const char *const good[] = {"a", "{user}", "a{user}b{tenant}", "{session}*", "{info.a_b-9}"};
    static const char *const bad[] = {"{",       "}",          "{}",    "{usr}", "{info}",
                                      "{info.}", "{info.a b}", "{user", "user}", "{{user}}"};
    for (size_t k = 0; k < sizeof(good) / sizeof(good[0]); k++)
        CU_ASSERT_PTR_NULL(identity_check_places(good[k]));
    for (size_t k = 0; k < sizeof(bad) / sizeof(bad[0]); k++)
        CU_ASSERT_PTR_NOT_NULL(identity_check_places(bad[k]));
}

static void test_done(void)
{
    grants_deinit(&users);
}

UNIT_MAIN("gateway/access/identity", UNIT(test_words_in_their_places), UNIT(test_words_are_no_patterns),
          UNIT(test_a_word_that_is_missing_grants_nothing), UNIT(test_words_of_info),
          UNIT(test_what_the_token_grants_and_denies), UNIT(test_grants_that_are_none), UNIT(test_places),
          UNIT(test_done))
