/* The form of a token is ours, the cryptography is OpenSSL's. */
#include "gateway/access/jwt.h"

#include <errno.h>
#include <openssl/core_names.h>
#include <openssl/ecdsa.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/pem.h>
#include <stdio.h>
#include <string.h>

#include "protocol/base/alloc.h"
#include "protocol/json.h"

enum {
    DEPTH_MAX = 16,       /* of the claims */
    SIGNATURE_MAX = 1024, /* bytes: RSA of 8192 bits */
    RSA_BITS_MIN = 2048,
    ES256_HALF = 32,
    WORDS_MAX = 8 * JWT_WORD_MAX
};

struct key {
    EVP_PKEY *public; /* or … */
    unsigned char *secret;
    size_t secret_len;
    uint64_t mark;
};

struct jwt_keys {
    enum jwt_algorithm algorithm;
    size_t len;
    struct key keys[JWT_KEYS_MAX];
};

static const struct algorithm {
    const char *name;
    const EVP_MD *(*digest)(void); /* NULL: the signature brings its own */
    const char *kind;              /* of the public key, as OpenSSL calls it; NULL: a secret */
} algorithms[] = {
    [JWT_OFF] = {"", NULL, NULL},
    [JWT_HS256] = {"HS256", EVP_sha256, NULL},
    [JWT_HS384] = {"HS384", EVP_sha384, NULL},
    [JWT_HS512] = {"HS512", EVP_sha512, NULL},
    [JWT_RS256] = {"RS256", EVP_sha256, "RSA"},
    [JWT_ES256] = {"ES256", EVP_sha256, "EC"},
    [JWT_EDDSA] = {"EdDSA", NULL, "ED25519"},
};

/* --- keys --- */

/* Tells keys apart over a reload (FNV-1a); nothing depends on its being hard to guess. */
static uint64_t mark_of(const char *bytes, size_t len)
{
    uint64_t h = 14695981039346656037u;
    for (size_t i = 0; i < len; i++)
        h = (h ^ (unsigned char)bytes[i]) * 1099511628211u;
    return h;
}

static const char *take_secret(struct key *k, const char *bytes, size_t len)
{
    while (len && (bytes[len - 1] == '\n' || bytes[len - 1] == '\r'))
        len--; /* as editors leave it */
    if (len >= 10 && memcmp(bytes, "-----BEGIN", 10) == 0)
        return "this is a PEM file, not the secret that an HS algorithm needs";
    if (len < JWT_SECRET_MIN)
        return "a secret has at least 32 bytes: openssl rand -hex 32";
    k->secret = (unsigned char *)sg_memdup(bytes, len);
    k->secret_len = len;
    return NULL;
}

static bool is_p256(EVP_PKEY *key)
{
    char group[64];
    size_t len;
    return EVP_PKEY_get_utf8_string_param(key, OSSL_PKEY_PARAM_GROUP_NAME, group, sizeof(group), &len) == 1 &&
           strcmp(group, "prime256v1") == 0;
}

static const char *take_public(struct key *k, enum jwt_algorithm algorithm, const char *bytes, size_t len)
{
    BIO *memory = BIO_new_mem_buf(bytes, (int)len);
    if (!memory)
        abort(); /* out of memory */
    k->public = PEM_read_bio_PUBKEY(memory, NULL, NULL, NULL);
    BIO_free(memory);
    if (!k->public)
        return "not a public key in PEM (-----BEGIN PUBLIC KEY-----)";
    if (!EVP_PKEY_is_a(k->public, algorithms[algorithm].kind))
        return "a public key of another kind than the algorithm's";
    if (algorithm == JWT_RS256 && EVP_PKEY_get_bits(k->public) < RSA_BITS_MIN)
        return "an RSA key has at least 2048 bits";
    if (algorithm == JWT_ES256 && !is_p256(k->public))
        return "ES256 needs a key of the curve P-256";
    return NULL;
}

static const char *read_key(struct key *k, enum jwt_algorithm algorithm, const char *path)
{
    static char bytes[JWT_KEY_BYTES_MAX + 1];
    FILE *f = fopen(path, "rb");
    if (!f)
        return errno == EACCES ? "may not be read" : "cannot be opened";
    size_t len = fread(bytes, 1, sizeof(bytes), f);
    bool failed = ferror(f);
    fclose(f);
    if (failed || len > JWT_KEY_BYTES_MAX)
        return failed ? "cannot be read" : "too large for a key";
    k->mark = mark_of(bytes, len);
    const char *why = algorithms[algorithm].kind ? take_public(k, algorithm, bytes, len) : take_secret(k, bytes, len);
    OPENSSL_cleanse(bytes, len);
    return why;
}

struct jwt_keys *jwt_keys_read(enum jwt_algorithm algorithm, char *const *files, size_t len, size_t *file,
                               const char **why)
{
    struct jwt_keys *ks = sg_calloc(1, sizeof(*ks));
    ks->algorithm = algorithm;
    *why = len > JWT_KEYS_MAX ? "too many keys" : NULL;
    for (*file = 0; !*why && *file < len; ++*file) {
        *why = read_key(&ks->keys[ks->len++], algorithm, files[*file]);
        if (*why)
            break;
    }
    if (!*why)
        return ks;
    jwt_keys_free(ks);
    return NULL;
}

void jwt_keys_free(struct jwt_keys *ks)
{
    if (!ks)
        return;
    for (size_t i = 0; i < ks->len; i++) {
        EVP_PKEY_free(ks->keys[i].public);
        if (ks->keys[i].secret)
            OPENSSL_cleanse(ks->keys[i].secret, ks->keys[i].secret_len);
        free(ks->keys[i].secret);
    }
    free(ks);
}

bool jwt_keys_hold(const struct jwt_keys *ks, uint64_t key)
{
    for (size_t i = 0; ks && i < ks->len; i++)
        if (ks->keys[i].mark == key)
            return true;
    return false;
}

/* --- the form --- */

static int digit_of(char c)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    const char *at = c ? strchr(digits, c) : NULL;
    return at ? (int)(at - digits) : -1;
}

/* Base64url without padding (RFC 7515 section 2), and no bit beyond the last byte. `out` has room for three quarters of it. */
static bool decode(struct slice text, unsigned char *out, size_t room, size_t *len)
{
    uint32_t bits = 0;
    unsigned have = 0;
    *len = 0;
    if (text.len % 4 == 1 || text.len / 4 * 3 + 2 > room)
        return false;
    for (size_t i = 0; i < text.len; i++) {
        int digit = digit_of(text.ptr[i]);
        if (digit < 0)
            return false;
        bits = bits << 6 | (uint32_t)digit;
        have += 6;
        if (have >= 8) {
            have -= 8;
            out[(*len)++] = (unsigned char)(bits >> have & 0xFF);
        }
    }
    return (bits & ((1u << have) - 1)) == 0;
}

struct parts {
    struct slice head, body, signature, signed_text;
};

static bool split(struct slice token, struct parts *p)
{
    const char *first = memchr(token.ptr, '.', token.len);
    if (!first)
        return false;
    size_t head = (size_t)(first - token.ptr);
    const char *second = memchr(first + 1, '.', token.len - head - 1);
    if (!second || memchr(second + 1, '.', token.len - (size_t)(second - token.ptr) - 1))
        return false;
    size_t signed_len = (size_t)(second - token.ptr);
    *p = (struct parts){.head = slice_of(token.ptr, head),
                        .body = slice_of(first + 1, signed_len - head - 1),
                        .signature = slice_of(second + 1, token.len - signed_len - 1),
                        .signed_text = slice_of(token.ptr, signed_len)};
    return p->head.len && p->body.len;
}

bool jwt_is(struct slice token)
{
    struct parts p;
    return token.len && split(token, &p);
}

/* A member of type string that is exactly this text. */
static bool says(const struct json_value *v, const char *text)
{
    char bytes[JWT_WORD_MAX];
    struct buf b = {.ptr = bytes, .cap = sizeof(bytes), .max = sizeof(bytes)}; /* never grows: it has its maximum */
    struct slice decoded;
    return v->type == JSON_STRING && json_string(v->text, sizeof(bytes), &b, &decoded) &&
           slice_eq(decoded, slice_str(text));
}

static const char *check_head(const struct jwt_keys *ks, struct slice text)
{
    enum { ALG, CRIT, FIELDS };
    static const struct slice keys[FIELDS] = {SLICE_LIT("alg"), SLICE_LIT("crit")};
    unsigned char json[1024];
    struct json_value v[FIELDS];
    enum json_kind top;
    size_t len;
    if (!decode(text, json, sizeof(json), &len) ||
        json_members(slice_of((const char *)json, len), DEPTH_MAX, keys, FIELDS, v, &top) != JSON_OK ||
        top != JSON_OBJECT)
        return "the token is malformed";
    if (v[CRIT].type != JSON_ABSENT)
        return "the token asks for something that is not known here";
    return says(&v[ALG], algorithms[ks->algorithm].name) ? NULL : "the token is not signed as it has to be";
}

/* --- the signature --- */

static bool is_signed_with_secret(const struct algorithm *a, const struct key *k, struct slice text,
                                  const unsigned char *signature, size_t len)
{
    unsigned char mac[EVP_MAX_MD_SIZE];
    unsigned mac_len = 0;
    return HMAC(a->digest(), k->secret, (int)k->secret_len, (const unsigned char *)text.ptr, text.len, mac, &mac_len) &&
           mac_len == len && CRYPTO_memcmp(mac, signature, len) == 0;
}

/* Two numbers side by side (RFC 7518 section 3.4), as OpenSSL wants them: in DER. Its length, 0 when they are none. */
static size_t der_of(const unsigned char *signature, size_t len, unsigned char out[SIGNATURE_MAX])
{
    if (len != 2 * (size_t)ES256_HALF)
        return 0;
    ECDSA_SIG *pair = ECDSA_SIG_new();
    BIGNUM *r = BN_bin2bn(signature, ES256_HALF, NULL), *s = BN_bin2bn(signature + ES256_HALF, ES256_HALF, NULL);
    if (!pair || !r || !s || ECDSA_SIG_set0(pair, r, s) != 1)
        abort(); /* out of memory */
    int der_len = i2d_ECDSA_SIG(pair, &out);
    ECDSA_SIG_free(pair);
    return der_len > 0 ? (size_t)der_len : 0;
}

static bool is_signed(const struct algorithm *a, const struct key *k, struct slice text, const unsigned char *signature,
                      size_t len)
{
    unsigned char der[SIGNATURE_MAX];
    if (!a->kind)
        return is_signed_with_secret(a, k, text, signature, len);
    if (strcmp(a->kind, "EC") == 0) {
        len = der_of(signature, len, der);
        signature = der;
    }
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    if (!ctx)
        abort(); /* out of memory */
    bool good = len && EVP_DigestVerifyInit(ctx, NULL, a->digest ? a->digest() : NULL, NULL, k->public) == 1 &&
                EVP_DigestVerify(ctx, signature, len, (const unsigned char *)text.ptr, text.len) == 1;
    EVP_MD_CTX_free(ctx);
    return good;
}

static const struct key *signer_of(const struct jwt_keys *ks, const struct parts *p)
{
    unsigned char signature[SIGNATURE_MAX];
    size_t len;
    if (!decode(p->signature, signature, sizeof(signature) - 16, &len) || !len)
        return NULL;
    for (size_t i = 0; i < ks->len; i++)
        if (is_signed(&algorithms[ks->algorithm], &ks->keys[i], p->signed_text, signature, len))
            return &ks->keys[i];
    return NULL;
}

/* --- the claims --- */

enum claim { ISS, AUD, EXP, NBF, IAT, SUB, JTI, SID, TENANT, INFO, GRANTS, CLAIMS };

static const struct slice claim_keys[CLAIMS] = {
    [ISS] = SLICE_LIT("iss"),       [AUD] = SLICE_LIT("aud"),       [EXP] = SLICE_LIT("exp"),
    [NBF] = SLICE_LIT("nbf"),       [IAT] = SLICE_LIT("iat"),       [SUB] = SLICE_LIT("sub"),
    [JTI] = SLICE_LIT("jti"),       [SID] = SLICE_LIT("sid"),       [INFO] = SLICE_LIT("info"),
    [TENANT] = SLICE_LIT("tenant"), [GRANTS] = SLICE_LIT("grants"),
};

static const char malformed[] = "a claim of the token is malformed";

static bool is_there(const struct json_value *v)
{
    return v->type != JSON_ABSENT && v->type != JSON_NULL;
}

/* Seconds since 1970, cut to whole ones. False: it is no such number. */
static bool take_time(const struct json_value *v, int64_t *out)
{
    double n = v->type == JSON_NUMBER ? json_double(v->text) : -1;
    if (!(n >= 0 && n < 1e15))
        return false;
    *out = (int64_t)n;
    return true;
}

static const char *check_times(const struct jwt_rules *r, const struct json_value v[CLAIMS], int64_t now_s,
                               int64_t *expires_s)
{
    int64_t issued = 0, from = 0;
    *expires_s = INT64_MAX;
    if ((is_there(&v[EXP]) && !take_time(&v[EXP], expires_s)) || (is_there(&v[NBF]) && !take_time(&v[NBF], &from)) ||
        (is_there(&v[IAT]) && !take_time(&v[IAT], &issued)))
        return malformed;
    if (r->max_age_s && !is_there(&v[IAT]))
        return "the token does not say when it was issued (iat)";
    if (r->max_age_s && issued > now_s + r->leeway_s)
        return "the token is not valid yet";
    if (r->max_age_s && issued + r->max_age_s < *expires_s)
        *expires_s = issued + r->max_age_s;
    if (*expires_s == INT64_MAX)
        return "the token does not say when it expires (exp)";
    if (*expires_s + r->leeway_s <= now_s)
        return "the token has expired";
    return from > now_s + r->leeway_s ? "the token is not valid yet" : NULL;
}

static bool is_for(const struct json_value *aud, const char *audience)
{
    struct slice rest = aud->text;
    struct json_value each;
    if (aud->type != JSON_ARRAY)
        return says(aud, audience);
    while (json_element(&rest, &each))
        if (says(&each, audience))
            return true;
    return false;
}

/* A word may be a number too: the key of a user often is. */
static bool take_word(const struct json_value *v, struct buf *words, struct slice *out)
{
    *out = SLICE_NONE;
    if (!is_there(v))
        return true;
    int64_t n;
    if (v->type == JSON_NUMBER && v->text.len <= 20 && json_integer(v->text, &n)) {
        *out = v->text;
        return !memchr(v->text.ptr, '.', v->text.len) && !memchr(v->text.ptr, 'e', v->text.len) &&
               !memchr(v->text.ptr, 'E', v->text.len);
    }
    return v->type == JSON_STRING && json_string(v->text, JWT_WORD_MAX, words, out);
}

static bool take_object(const struct json_value *v, size_t max, struct slice *out)
{
    *out = is_there(v) ? v->text : SLICE_NONE;
    return !is_there(v) || (v->type == JSON_OBJECT && v->text.len <= max);
}

static const char *take_claims(const struct jwt_rules *r, const struct json_value v[CLAIMS], int64_t now_s,
                               struct jwt_claims *out)
{
    static struct buf words = {.max = WORDS_MAX};
    buf_reset(&words);
    (void)buf_reserve(&words, WORDS_MAX); /* so that it never moves */
    if (r->issuer && !says(&v[ISS], r->issuer))
        return "the token is of another issuer";
    if (r->audience && !is_for(&v[AUD], r->audience))
        return "the token is for somebody else";
    const char *why = check_times(r, v, now_s, &out->expires_s);
    if (why)
        return why;
    bool good = take_word(&v[SUB], &words, &out->user) && take_word(&v[SID], &words, &out->session) &&
                take_word(&v[JTI], &words, &out->token_id) && take_word(&v[TENANT], &words, &out->tenant) &&
                take_object(&v[INFO], JWT_INFO_MAX, &out->info) && take_object(&v[GRANTS], JWT_BYTES_MAX, &out->grants);
    return good ? NULL : malformed;
}

const char *jwt_verify(const struct jwt_keys *ks, const struct jwt_rules *rules, struct slice token, int64_t now_s,
                       struct jwt_claims *out)
{
    static unsigned char body[JWT_BYTES_MAX];
    struct json_value v[CLAIMS];
    enum json_kind top;
    struct parts p;
    size_t len;
    if (token.len > JWT_BYTES_MAX)
        return "the token is too long";
    if (!jwt_is(token) || !split(token, &p))
        return "the token is malformed";
    const char *why = check_head(ks, p.head);
    if (why)
        return why;
    const struct key *signer = signer_of(ks, &p);
    if (!signer)
        return "the token is not signed by anybody who is known here";
    if (!decode(p.body, body, sizeof(body), &len) ||
        json_members(slice_of((const char *)body, len), DEPTH_MAX, claim_keys, CLAIMS, v, &top) != JSON_OK ||
        top != JSON_OBJECT)
        return "the token is malformed";
    *out = (struct jwt_claims){.key = signer->mark};
    return take_claims(rules, v, now_s, out);
}
