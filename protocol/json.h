/* Strict JSON (RFC 8259) over borrowed bytes: checking a whole text, finding the members of a message in the same single
 * pass, and the few conversions that ids, names and page numbers need. Values are never rendered again: a number stays the
 * text it was. Nothing here allocates except the decoding of strings that hold escapes. */
#ifndef SYNCGATE_PROTOCOL_JSON_H
#define SYNCGATE_PROTOCOL_JSON_H

#include "protocol/base/buf.h"

/* No text nests deeper than this, whatever maximum the caller asks for. */
enum { JSON_DEPTH_LIMIT = 1024 };

enum json_status {
    JSON_OK,
    JSON_INVALID, /* not JSON, or not UTF-8: json_utf8 tells which */
    JSON_TOO_DEEP /* the maximum was passed; what follows was not looked at */
};

enum json_kind { JSON_ABSENT, JSON_NULL, JSON_BOOL, JSON_NUMBER, JSON_STRING, JSON_ARRAY, JSON_OBJECT };

/* One value inside a text. All zero: there is none (JSON_ABSENT). */
struct json_value {
    struct slice text; /* as written, without the white space around it */
    enum json_kind type;
    int depth; /* containers inside one another: 0 for a scalar, 1 for [] */
};

/* json_check: is `text` exactly one JSON value, in UTF-8, with at most max_depth containers inside one another? Refuses what
 * lenient parsers let pass: NaN, leading zeros, control characters, lone surrogate escapes, anything behind the value. */
enum json_status json_check(struct slice text, int max_depth);
static inline bool json_valid(struct slice text, int max_depth)
{
    return json_check(text, max_depth) == JSON_OK;
}

/* json_utf8: is all of it well-formed UTF-8 (RFC 3629)? */
bool json_utf8(struct slice text);

/* json_members checks `text` like json_check and, when it is an object, finds those of its own members that are named in
 * keys[0..n): values[i] belongs to keys[i], JSON_ABSENT when there is none; of duplicates the last counts. Keys compare
 * decoded ("\u0066unc" is "func"); keys[] are plain UTF-8. *top is the type of the whole text. Everything is scanned once.
 * After any other answer than JSON_OK, values[] means nothing. */
enum json_status json_members(struct slice text, int max_depth, const struct slice *keys, size_t n,
                              struct json_value *values, enum json_kind *top);

/* json_next takes the next element off an array that was found valid before: *rest starts as the array's text and belongs to
 * the walk from then on. Returns the element's type, JSON_ABSENT at the end. For an object values[] is filled as by
 * json_members. */
enum json_kind json_next(struct slice *rest, const struct slice *keys, size_t n, struct json_value *values);

/* json_element likewise, for elements of any type: *value is the next one. False at the end. */
bool json_element(struct slice *rest, struct json_value *value);

/* The functions below take texts that were found valid before. `scratch` receives what cannot be borrowed from the text; its
 * memory may move when it grows, so a caller that keeps earlier results reserves enough first. */

/* json_string decodes a string; false when it takes more than `max` bytes (or scratch is full). */
bool json_string(struct slice text, size_t max, struct buf *scratch, struct slice *out);

/* json_quote appends UTF-8 as a JSON string with as few escapes as possible: \" \\ \b \f \n \r \t, and \u00xx (small hex
 * digits) for the other control characters below U+0020. */
void json_quote(struct buf *out, struct slice utf8);

/* json_integer: the value of a number without a fraction, however written (1, 1.0, 10e-1). What does not fit is clamped to
 * the range of int64_t. False for fractions, and for what is beyond the range of a double (1e400). */
bool json_integer(struct slice number, int64_t *out);

/* json_double: the value of a number, as near as a double comes; infinite when beyond its range. */
double json_double(struct slice number);

enum json_id_result {
    JSON_ID_OK,
    JSON_ID_TYPE,  /* neither a string nor an integer */
    JSON_ID_LENGTH /* empty, or longer than the maximum */
};

/* json_id gives the canonical text of an id, by which ids are compared: a decimal integer (-0 is 0; 1.0 and 1e0 are 1 if the
 * value fits an int64_t, plain digits may be longer), or a string as json_quote writes it. `max` limits the decoded string or
 * the digits, in bytes. *out is written only when the answer is JSON_ID_OK. */
enum json_id_result json_id(const struct json_value *value, size_t max, struct buf *scratch, struct slice *out);

/* json_id_canonical: is this text, of unchecked origin, exactly what json_id would give? */
bool json_id_canonical(struct slice text, size_t max);

#endif
