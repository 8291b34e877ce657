/* Tokens that hold and tokens that do not: each class of attack on JWT has its line. */
#include "gateway/access/jwt.h"

#include <openssl/ecdsa.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <stdio.h>
#include <unistd.h>

#include "protocol/base/buf.h"
#include "tests/unit/unit.h"

enum { NOW = 1800000000 };

static const char secret[] = "0123456789abcdef0123456789abcdef";
static const struct jwt_rules anything = {.leeway_s = 10};

/* --- making them --- */

static void put_base64url(struct buf *out, const unsigned char *bytes, size_t len)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    for (size_t i = 0; i < len; i += 3) {
        uint32_t three = (uint32_t)bytes[i] << 16 | (i + 1 < len ? (uint32_t)bytes[i + 1] << 8 : 0) |
                         (i + 2 < len ? bytes[i + 2] : 0);
        size_t n = len - i < 3 ? len - i + 1 : 4;
        for (size_t k = 0; k < n; k++)
            buf_put_char(out, digits[three >> (18 - 6 * k) & 63]);
    }
}

static struct buf token;

static void begin(const char *head, const char *body)
{
    buf_reset(&token);
    token.max = 1 << 20;
    put_base64url(&token, (const unsigned char *)head, strlen(head));
    buf_put_char(&token, '.');
    put_base64url(&token, (const unsigned char *)body, strlen(body));
}

static struct slice end(const unsigned char *signature, size_t len)
{
    buf_put_char(&token, '.');
    put_base64url(&token, signature, len);
    return buf_slice(&token);
}

static struct slice with_secret_of(const char *key, size_t key_len, const char *head, const char *body)
{
    unsigned char mac[EVP_MAX_MD_SIZE];
    unsigned len = 0;
    begin(head, body);
    HMAC(EVP_sha256(), key, (int)key_len, (const unsigned char *)token.ptr, token.len, mac, &len);
    return end(mac, len);
}

static struct slice with_secret(const char *body)
{
    return with_secret_of(secret, strlen(secret), "{\"alg\":\"HS256\",\"typ\":\"JWT\"}", body);
}

static struct slice with_key(EVP_PKEY *key, const EVP_MD *digest, const char *head, const char *body)
{
    unsigned char signature[1024];
    size_t len = sizeof(signature);
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    begin(head, body);
    CU_ASSERT_EQUAL_FATAL(EVP_DigestSignInit(ctx, NULL, digest, NULL, key), 1);
    CU_ASSERT_EQUAL_FATAL(EVP_DigestSign(ctx, signature, &len, (const unsigned char *)token.ptr, token.len), 1);
    EVP_MD_CTX_free(ctx);
    if (EVP_PKEY_is_a(key, "EC")) {
        const unsigned char *at = signature;
        ECDSA_SIG *pair = d2i_ECDSA_SIG(NULL, &at, (long)len);
        unsigned char raw[64];
        BN_bn2binpad(ECDSA_SIG_get0_r(pair), raw, 32);
        BN_bn2binpad(ECDSA_SIG_get0_s(pair), raw + 32, 32);
        ECDSA_SIG_free(pair);
        return end(raw, sizeof(raw));
    }
    return end(signature, len);
}

/* A file that holds these bytes; its name is overwritten by the next one but one. */
static char *file_of(const char *bytes, size_t len)
{
    static char names[2][64];
    static int turn;
    char *name = names[turn ^= 1];
    snprintf(name, sizeof(names[0]), "/tmp/syncgate-jwt-XXXXXX");
    int fd = mkstemp(name);
    CU_ASSERT_FATAL(fd >= 0);
    CU_ASSERT_EQUAL_FATAL(write(fd, bytes, len), (ssize_t)len);
    close(fd);
    return name;
}

static char *file_of_public(EVP_PKEY *key)
{
    BIO *memory = BIO_new(BIO_s_mem());
    char *bytes;
    PEM_write_bio_PUBKEY(memory, key);
    long len = BIO_get_mem_data(memory, &bytes);
    char *name = file_of(bytes, (size_t)len);
    BIO_free(memory);
    return name;
}

static const char *why_not;

static struct jwt_keys *read_keys(enum jwt_algorithm algorithm, char *name)
{
    size_t file;
    struct jwt_keys *ks = jwt_keys_read(algorithm, &name, 1, &file, &why_not);
    unlink(name);
    return ks;
}

static struct jwt_keys *secrets(void)
{
    struct jwt_keys *ks = read_keys(JWT_HS256, file_of(secret, strlen(secret)));
    CU_ASSERT_PTR_NOT_NULL_FATAL(ks);
    return ks;
}

/* --- what holds --- */

#define GOOD "{\"sub\":\"amy\",\"exp\":1800000060}"

static void holds(enum jwt_algorithm algorithm, EVP_PKEY *key, const EVP_MD *digest, const char *name)
{
    char head[64];
    struct jwt_claims c;
    struct jwt_keys *ks = read_keys(algorithm, file_of_public(key));
    CU_ASSERT_PTR_NOT_NULL_FATAL(ks);
    snprintf(head, sizeof(head), "{\"alg\":\"%s\"}", name);
    struct slice good = with_key(key, digest, head, GOOD);
    CU_ASSERT_PTR_NULL(jwt_verify(ks, &anything, good, NOW, &c));
    CU_ASSERT(slice_eq(c.user, SLICE_LIT("amy")));
    CU_ASSERT(jwt_keys_hold(ks, c.key));
    token.ptr[token.len - 6] = token.ptr[token.len - 6] == 'A' ? 'B' : 'A';
    CU_ASSERT_PTR_NOT_NULL(jwt_verify(ks, &anything, good, NOW, &c));
    /* Another key of the same kind. */
    jwt_keys_free(ks);
    EVP_PKEY_free(key);
}

static void test_public_keys(void)
{
    holds(JWT_RS256, EVP_RSA_gen(2048), EVP_sha256(), "RS256");
    holds(JWT_ES256, EVP_EC_gen("P-256"), EVP_sha256(), "ES256");
    holds(JWT_EDDSA, EVP_PKEY_Q_keygen(NULL, NULL, "ED25519"), NULL, "EdDSA");
}

static void test_claims(void)
{
    struct jwt_keys *ks = secrets();
    struct jwt_claims c;
    CU_ASSERT_PTR_NULL(
        jwt_verify(ks, &anything,
                   with_secret("{\"sub\":42,\"sid\":\"s\\u0031\",\"jti\":\"t\",\"tenant\":\"a\",\"exp\":1800000060.5,"
                               "\"info\":{\"n\":1.50},\"grants\":{\"call\":[\"x\"]},\"more\":[{}]}"),
                   NOW, &c));
    CU_ASSERT(slice_eq(c.user, SLICE_LIT("42")));
    CU_ASSERT(slice_eq(c.session, SLICE_LIT("s1")));
    CU_ASSERT(slice_eq(c.token_id, SLICE_LIT("t")));
    CU_ASSERT(slice_eq(c.tenant, SLICE_LIT("a")));
    CU_ASSERT(slice_eq(c.info, SLICE_LIT("{\"n\":1.50}")));
    CU_ASSERT(slice_eq(c.grants, SLICE_LIT("{\"call\":[\"x\"]}")));
    CU_ASSERT_EQUAL(c.expires_s, 1800000060);
    CU_ASSERT_PTR_NULL(jwt_verify(ks, &anything, with_secret("{\"exp\":1800000060,\"sub\":null}"), NOW, &c));
    CU_ASSERT_PTR_NULL(c.user.ptr);
    jwt_keys_free(ks);
}

static void test_any_of_several_keys(void)
{
    char *names[2] = {file_of("another secret of thirty-two bytes", 34), file_of(secret, strlen(secret))};
    struct jwt_claims c;
    size_t file;
    struct jwt_keys *ks = jwt_keys_read(JWT_HS256, names, 2, &file, &why_not);
    CU_ASSERT_PTR_NOT_NULL_FATAL(ks);
    CU_ASSERT_PTR_NULL(jwt_verify(ks, &anything, with_secret(GOOD), NOW, &c));
    uint64_t second = c.key;
    CU_ASSERT_PTR_NULL(jwt_verify(
        ks, &anything, with_secret_of("another secret of thirty-two bytes", 34, "{\"alg\":\"HS256\"}", GOOD), NOW, &c));
    CU_ASSERT_NOT_EQUAL(c.key, second);
    jwt_keys_free(ks);
    unlink(names[0]);
    unlink(names[1]);
}

/* --- what does not --- */

static const struct {
    const char *what, *head;
} heads[] = {
    {"no algorithm", "{}"},
    {"alg none", "{\"alg\":\"none\"}"},
    {"alg none in capitals", "{\"alg\":\"NONE\"}"},
    {"another algorithm of the same family", "{\"alg\":\"HS512\"}"},
    {"another family", "{\"alg\":\"RS256\"}"},
    {"small letters", "{\"alg\":\"hs256\"}"},
    {"alg no string", "{\"alg\":[\"HS256\"]}"},
    {"alg with something behind", "{\"alg\":\"HS256\\u0000\"}"},
    {"two algorithms, the last one counts", "{\"alg\":\"HS256\",\"alg\":\"none\"}"},
    {"critical extensions", "{\"alg\":\"HS256\",\"crit\":[\"exp\"],\"exp\":1}"},
    {"no object", "[\"HS256\"]"},
    {"no JSON", "{\"alg\":\"HS256\""},
};

static void test_heads_that_do_not_count(void)
{
    struct jwt_keys *ks = secrets();
    struct jwt_claims c;
    for (size_t i = 0; i < sizeof(heads) / sizeof(heads[0]); i++) {
        struct slice t = with_secret_of(secret, strlen(secret), heads[i].head, GOOD);
        if (!jwt_verify(ks, &anything, t, NOW, &c)) {
            printf("\n    %s", heads[i].what);
            CU_FAIL("it holds");
        }
    }
    /* What points to a key is not looked at: it neither opens a file nor chooses. */
    CU_ASSERT_PTR_NULL(
        jwt_verify(ks, &anything,
                   with_secret_of(secret, strlen(secret),
                                  "{\"kid\":\"../../dev/null\",\"jku\":\"http://x\",\"alg\":\"HS256\"}", GOOD),
                   NOW, &c));
    jwt_keys_free(ks);
}

/* Whoever knows a public key signs with its text as a secret. */
static void test_a_public_key_is_no_secret(void)
{
    EVP_PKEY *key = EVP_RSA_gen(2048);
    char *name = file_of_public(key), pem[2048];
    FILE *f = fopen(name, "rb");
    size_t len = fread(pem, 1, sizeof(pem), f);
    fclose(f);
    struct jwt_keys *ks = read_keys(JWT_RS256, name);
    struct jwt_claims c;
    CU_ASSERT_PTR_NOT_NULL_FATAL(ks);
    CU_ASSERT_PTR_NOT_NULL(jwt_verify(ks, &anything, with_secret_of(pem, len, "{\"alg\":\"HS256\"}", GOOD), NOW, &c));
    CU_ASSERT_PTR_NOT_NULL(jwt_verify(ks, &anything, with_secret_of(pem, len, "{\"alg\":\"RS256\"}", GOOD), NOW, &c));
    jwt_keys_free(ks);
    CU_ASSERT_PTR_NULL(read_keys(JWT_HS256, file_of_public(key)));
    EVP_PKEY_free(key);
}

static const struct {
    const char *what, *body, *says;
} bodies[] = {
    {"expired", "{\"exp\":1799999990}", "expired"},
    {"never expires", "{\"sub\":\"amy\"}", "(exp)"},
    {"exp null", "{\"exp\":null}", "(exp)"},
    {"exp a string", "{\"exp\":\"1800000060\"}", "malformed"},
    {"exp negative", "{\"exp\":-1}", "malformed"},
    {"exp beyond all", "{\"exp\":1e99}", "malformed"},
    {"two exp, the last one counts", "{\"exp\":1800000060,\"exp\":1}", "expired"},
    {"not yet", "{\"exp\":1800000060,\"nbf\":1800000011}", "not valid yet"},
    {"sub an object", "{\"exp\":1800000060,\"sub\":{}}", "malformed"},
    {"sub a fraction", "{\"exp\":1800000060,\"sub\":1.5}", "malformed"},
    {"grants no object", "{\"exp\":1800000060,\"grants\":[\"*\"]}", "malformed"},
    {"info no object", "{\"exp\":1800000060,\"info\":\"x\"}", "malformed"},
    {"no object", "[]", "malformed"},
    {"no JSON", "{\"exp\":1800000060", "malformed"},
    {"NaN", "{\"exp\":NaN}", "malformed"},
};

static void test_claims_that_do_not_hold(void)
{
    struct jwt_keys *ks = secrets();
    struct jwt_claims c;
    for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++) {
        const char *why = jwt_verify(ks, &anything, with_secret(bodies[i].body), NOW, &c);
        bool good = why && strstr(why, bodies[i].says);
        if (!good)
            printf("\n    %s: %s", bodies[i].what, why ? why : "it holds");
        CU_ASSERT(good);
    }
    /* Clocks differ by as much as is allowed. */
    CU_ASSERT_PTR_NULL(jwt_verify(ks, &anything, with_secret("{\"exp\":1799999991}"), NOW, &c));
    CU_ASSERT_PTR_NULL(jwt_verify(ks, &anything, with_secret("{\"exp\":1800000060,\"nbf\":1800000010}"), NOW, &c));
    jwt_keys_free(ks);
}

static void test_issuer_and_audience(void)
{
    static const struct jwt_rules rules = {.issuer = "shop", .audience = "gate"};
    static const struct {
        const char *body;
        bool good;
    } cases[] = {
        {"{\"exp\":1800000060,\"iss\":\"shop\",\"aud\":\"gate\"}", true},
        {"{\"exp\":1800000060,\"iss\":\"shop\",\"aud\":[\"x\",\"gate\"]}", true},
        {"{\"exp\":1800000060,\"iss\":\"shop\",\"aud\":[]}", false},
        {"{\"exp\":1800000060,\"iss\":\"shop\",\"aud\":[[\"gate\"]]}", false},
        {"{\"exp\":1800000060,\"iss\":\"shop\"}", false},
        {"{\"exp\":1800000060,\"iss\":\"shop\",\"aud\":\"gates\"}", false},
        {"{\"exp\":1800000060,\"iss\":\"Shop\",\"aud\":\"gate\"}", false},
        {"{\"exp\":1800000060,\"aud\":\"gate\"}", false},
    };
    struct jwt_keys *ks = secrets();
    struct jwt_claims c;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        CU_ASSERT_EQUAL(jwt_verify(ks, &rules, with_secret(cases[i].body), NOW, &c) == NULL, cases[i].good);
    jwt_keys_free(ks);
}

static void test_age(void)
{
    static const struct jwt_rules rules = {.max_age_s = 100};
    struct jwt_keys *ks = secrets();
    struct jwt_claims c;
    CU_ASSERT_PTR_NULL(jwt_verify(ks, &rules, with_secret("{\"iat\":1799999950}"), NOW, &c));
    CU_ASSERT_EQUAL(c.expires_s, NOW + 50);
    CU_ASSERT_PTR_NULL(jwt_verify(ks, &rules, with_secret("{\"iat\":1799999950,\"exp\":1800000010}"), NOW, &c));
    CU_ASSERT_EQUAL(c.expires_s, NOW + 10);
    CU_ASSERT_PTR_NOT_NULL(jwt_verify(ks, &rules, with_secret("{\"iat\":1799999900}"), NOW, &c));
    CU_ASSERT_PTR_NOT_NULL(jwt_verify(ks, &rules, with_secret("{\"iat\":1800000001}"), NOW, &c));
    CU_ASSERT_PTR_NOT_NULL(jwt_verify(ks, &rules, with_secret("{\"exp\":1800000010}"), NOW, &c));
    jwt_keys_free(ks);
}

static void test_texts_that_are_none(void)
{
    static const char *const texts[] = {"",     ".",    "..",    "a.b",      "a.b.c.d",
                                        "a..c", ".b.c", "!.!.!", "e30.e30.", "e30=.e30.e30"};
    struct jwt_keys *ks = secrets();
    struct jwt_claims c;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        CU_ASSERT_PTR_NOT_NULL(jwt_verify(ks, &anything, slice_str(texts[i]), NOW, &c));
    /* One whose last digit says more than there are bytes for: another text for the same token. */
    struct slice t = with_secret(GOOD);
    token.ptr[t.len - 1] = (char)(token.ptr[t.len - 1] + 1);
    CU_ASSERT_PTR_NOT_NULL(jwt_verify(ks, &anything, t, NOW, &c));
    static char long_body[JWT_BYTES_MAX];
    snprintf(long_body, sizeof(long_body), "{\"exp\":1800000060,\"x\":\"%06000d\"}", 1);
    CU_ASSERT_PTR_NULL(jwt_verify(ks, &anything, with_secret(long_body), NOW, &c));
    snprintf(long_body, sizeof(long_body), "{\"exp\":1800000060,\"x\":\"%07000d\"}", 1);
    CU_ASSERT_PTR_NOT_NULL(jwt_verify(ks, &anything, with_secret(long_body), NOW, &c));
    jwt_keys_free(ks);
}

static void refused(enum jwt_algorithm algorithm, char *name)
{
    CU_ASSERT_PTR_NULL(read_keys(algorithm, name));
    CU_ASSERT_PTR_NOT_NULL(why_not);
}

static void test_keys_that_are_none(void)
{
    EVP_PKEY *small = EVP_RSA_gen(1024), *rsa = EVP_RSA_gen(2048), *other = EVP_EC_gen("P-384");
    refused(JWT_HS256, file_of("short", 5));
    refused(JWT_HS256, file_of("0123456789abcdef0123456789abcde\n\n\n", 34));
    refused(JWT_RS256, file_of(secret, strlen(secret)));
    refused(JWT_RS256, file_of("", 0));
    refused(JWT_RS256, file_of_public(small));
    refused(JWT_RS256, file_of_public(other));
    refused(JWT_ES256, file_of_public(other));
    refused(JWT_ES256, file_of_public(rsa));
    refused(JWT_EDDSA, file_of_public(rsa));
    char nowhere[] = "/nowhere/at/all";
    refused(JWT_HS256, nowhere);
    EVP_PKEY_free(small);
    EVP_PKEY_free(rsa);
    EVP_PKEY_free(other);
}

static void test_done(void)
{
    buf_deinit(&token);
}

UNIT_MAIN("gateway/access/jwt", UNIT(test_public_keys), UNIT(test_claims), UNIT(test_any_of_several_keys),
          UNIT(test_heads_that_do_not_count), UNIT(test_a_public_key_is_no_secret), UNIT(test_claims_that_do_not_hold),
          UNIT(test_issuer_and_audience), UNIT(test_age), UNIT(test_texts_that_are_none), UNIT(test_keys_that_are_none),
          UNIT(test_done))
