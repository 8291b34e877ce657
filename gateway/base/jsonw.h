/* Writes JSON into a buffer for people and programs that look at the gateway: the commas come by themselves, and bytes of any
 * origin become valid text. */
#ifndef SYNCGATE_GATEWAY_BASE_JSONW_H
#define SYNCGATE_GATEWAY_BASE_JSONW_H

#include "protocol/base/buf.h"

struct jsonw {
    struct buf *out;
    bool comma; /* something stands before the next value */
};

/* jsonw_open and jsonw_close write the brackets of an object or array; key NULL inside an array and at the top. */
void jsonw_open(struct jsonw *w, const char *key, char bracket);
void jsonw_close(struct jsonw *w, char bracket);
void jsonw_i64(struct jsonw *w, const char *key, int64_t n);
void jsonw_bool(struct jsonw *w, const char *key, bool yes);
/* jsonw_text: what is not printable UTF-8 becomes U+FFFD, but line ends and tabs stay. */
void jsonw_text(struct jsonw *w, const char *key, struct slice text);
static inline void jsonw_str(struct jsonw *w, const char *key, const char *text)
{
    jsonw_text(w, key, slice_str(text));
}
/* jsonw_raw: `json` was found valid before. */
void jsonw_raw(struct jsonw *w, const char *key, struct slice json);

#endif
