/* Walking over the bytes of a JSON text, strictly (json.h). For the files of json*.c alone. */
#ifndef SYNCGATE_PROTOCOL_JSON_SCAN_H
#define SYNCGATE_PROTOCOL_JSON_SCAN_H

#include "protocol/json.h"

/* What each byte is to the scanner. */
enum {
    JSON_PLAIN = 1, /* stands for itself inside a string: ASCII but quote, backslash and control characters */
    JSON_SPACE = 2,
    JSON_DIGIT = 4,
    JSON_HEX = 8
};

extern const unsigned char json_classes[256];

struct scan {
    const unsigned char *p, *end;
    enum json_status status; /* JSON_OK until something failed */
};

static inline struct scan scan_of(struct slice text)
{
    const unsigned char *p = (const unsigned char *)text.ptr;
    return (struct scan){.p = p, .end = text.len ? p + text.len : p, .status = JSON_OK};
}

static inline bool scan_fail(struct scan *s, enum json_status why)
{
    s->status = why;
    return false;
}

/* scan_peek returns the next byte, -1 at the end. */
static inline int scan_peek(const struct scan *s)
{
    return s->p < s->end ? *s->p : -1;
}

static inline bool scan_is(int byte, int class)
{
    return byte >= 0 && json_classes[byte] & class;
}

static inline void scan_space(struct scan *s)
{
    while (s->p < s->end && json_classes[*s->p] & JSON_SPACE)
        s->p++;
}

static inline struct slice scan_span(const unsigned char *from, const unsigned char *to)
{
    return slice_of((const char *)from, (size_t)(to - from));
}

static inline uint32_t scan_hex(unsigned char c)
{
    return c <= '9' ? (uint32_t)(c - '0') : (uint32_t)((c | 0x20) - 'a' + 10);
}

/* scan_string takes a string off, the scan stands at its quote; scan_scalar anything that is no container. False: the status says why. */
bool scan_string(struct scan *s);
bool scan_scalar(struct scan *s);
/* scan_digits: one or more. */
bool scan_digits(struct scan *s);

/* text_integer: the value of a number, as json_integer. */
enum integral { NOT_INTEGRAL, INTEGRAL, CLAMPED };
enum integral text_integer(struct slice number, int64_t *out);
/* text_short_escape: the letter of a character's short escape, 0 when it has none. */
char text_short_escape(unsigned char c);

#endif
