/* How a call ended, as it travels: reading and writing it. Another program may answer calls too, so what is read is checked. */
#include "gateway/calls/outcome.h"

#include "protocol/json.h"

enum error_code outcome_code(int64_t code)
{
    return code >= ERROR_FUNC && code <= ERROR_OTHER ? (enum error_code)code : ERROR_OTHER;
}

static bool parse_error(struct slice body, struct outcome *out)
{
    struct slice digits;
    int64_t code;
    if (!slice_cut(&body, ' ', &digits) || !slice_i64(digits, &code) || !json_utf8(body))
        return false;
    *out = (struct outcome){.failed = true, .code = outcome_code(code), .rest = body};
    return true;
}

bool outcome_parse(struct slice bytes, struct outcome *out)
{
    *out = (struct outcome){.rest = SLICE_NONE};
    if (slice_eq(bytes, SLICE_LIT("n")))
        return true;
    if (slice_eq(bytes, SLICE_LIT("t"))) {
        *out = (struct outcome){.failed = true, .timed_out = true, .code = ERROR_OTHER, .rest = SLICE_LIT("timeout")};
        return true;
    }
    struct slice kind;
    if (!slice_cut(&bytes, ' ', &kind))
        return false;
    out->rest = bytes;
    if (slice_eq(kind, SLICE_LIT("v")))
        return json_valid(bytes, OUTCOME_DEPTH_MAX);
    return slice_eq(kind, SLICE_LIT("e")) && parse_error(bytes, out);
}

void outcome_put(struct buf *out, const struct outcome *o)
{
    if (!o->failed && !o->rest.ptr) {
        buf_put_char(out, 'n');
        return;
    }
    if (o->timed_out) {
        buf_put_char(out, 't');
        return;
    }
    if (o->failed) {
        buf_put_lit(out, "e ");
        buf_put_i64(out, o->code);
        buf_put_char(out, ' ');
    } else {
        buf_put_lit(out, "v ");
    }
    buf_put_slice(out, o->rest);
}
