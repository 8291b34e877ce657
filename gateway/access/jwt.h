/* JSON Web Tokens (RFC 7519) in their signed form, as texts: who signed one of them, whether it holds now, and what it says. The algorithm
 * belongs to the keys and is never taken from a token; nothing of a token but its length, its form and the name of that algorithm is
 * looked at before its signature. */
#ifndef SYNCGATE_GATEWAY_ACCESS_JWT_H
#define SYNCGATE_GATEWAY_ACCESS_JWT_H

#include "protocol/base/slice.h"

enum jwt_algorithm { JWT_OFF, JWT_HS256, JWT_HS384, JWT_HS512, JWT_RS256, JWT_ES256, JWT_EDDSA };

enum {
    JWT_BYTES_MAX = 8192, /* of a token */
    JWT_KEYS_MAX = 32,    /* of one set */
    JWT_KEY_BYTES_MAX = 65536,
    JWT_SECRET_MIN = 32, /* bytes of a secret (RFC 7518 section 3.2) */
    JWT_WORD_MAX = 256,  /* bytes of a decoded sub, jti, sid or tenant */
    JWT_INFO_MAX = 4096  /* bytes of info */
};

/* Keys of one algorithm: secrets (HS…) or public keys (PEM). Any of them may have signed. */
struct jwt_keys;
/* jwt_keys_read reads one key from each file. NULL when one is no good: then *file is its number and *why a static sentence. */
struct jwt_keys *jwt_keys_read(enum jwt_algorithm algorithm, char *const *files, size_t len, size_t *file,
                               const char **why);
void jwt_keys_free(struct jwt_keys *ks);
/* jwt_keys_hold: is the key with this mark (struct jwt_claims) among them? */
bool jwt_keys_hold(const struct jwt_keys *ks, uint64_t key);

/* What a token must say. */
struct jwt_rules {
    const char *issuer, *audience; /* NULL: anything */
    int64_t leeway_s;              /* clocks may differ by so much */
    int64_t max_age_s;             /* since iat; 0: any, but then there has to be an exp */
};

/* What a token says; ptr NULL: nothing. */
struct jwt_claims {
    struct slice user, session, token_id, tenant; /* sub, sid, jti, tenant: decoded UTF-8 */
    struct slice info, grants;                    /* JSON objects as written */
    int64_t expires_s;                            /* since 1970 */
    uint64_t key;                                 /* marks the key that signed it */
};

/* jwt_verify: NULL when the token holds at that time (seconds since 1970), and *out is filled, with slices that live until the next call;
 * otherwise a static sentence for whoever showed it. */
const char *jwt_verify(const struct jwt_keys *ks, const struct jwt_rules *rules, struct slice token, int64_t now_s,
                       struct jwt_claims *out);
/* jwt_is: has it the form of one? Three parts with points between them. */
bool jwt_is(struct slice token);

#endif
