/* Structured log lines (logfmt or JSON) on standard error, four levels. Payloads at debug level only, secrets never. */
#ifndef SYNCGATE_GATEWAY_OBSERVE_LOG_H
#define SYNCGATE_GATEWAY_OBSERVE_LOG_H

#include "protocol/base/slice.h"

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARN, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };
enum log_format { LOG_FORMAT_LOGFMT, LOG_FORMAT_JSON };

/* Lines that peers cause, as often as they like: each kind is limited by itself, so that a storm of them costs no time.
 * X(enum suffix, name, lines per minute, lines at once). Lines of our own have no kind and are never held back. */
#define FOR_EACH_LOG_KIND(X)                                                                                           \
    X(CLOSED, "closed", 3000, 200)       /* ends of connections */                                                     \
    X(VIOLATION, "violation", 3000, 200) /* ends that are the peer's fault */                                          \
    X(REFUSED, "refused", 3000, 200)     /* handshakes */                                                              \
    X(FAILED, "failed", 3000, 200)       /* reads, writes and calls that Redis did not take */                         \
    X(GARBAGE, "garbage", 2, 5)          /* what others write into Redis, or publish */                                \
    X(REDIS, "redis", 10, 10)            /* what Redis refuses to the gateway itself */                                \
    X(LIBRARY, "library", 300, 5)        /* what libwebsockets has to say about peers */

enum log_kind {
#define LOG_KIND_ENUM(suffix, name, per_second, burst) LOG_##suffix,
    FOR_EACH_LOG_KIND(LOG_KIND_ENUM)
#undef LOG_KIND_ENUM
        LOG_KIND_COUNT
};

/* log_init: level, and the worker's number (-1: none) that every line carries. */
void log_init(enum log_level level, int worker);
/* log_set_format: logfmt until then. */
void log_set_format(enum log_format format);
int log_enabled(enum log_level level);
/* log_line writes `ts=… level=… msg=…` plus the formatted text, which holds logfmt pairs or a sentence: what stands before
 * the first ` key=` is the message, from there on each `key=value` stays a pair and its value reaches to the next one.
 * Values are quoted and escaped as needed, so a line is one line whatever bytes it holds; it is cut at 4096 bytes.
 *
 *     log_info("closed conn=%u reason=%s name=%s", id, reason, log_value(name));
 */
void log_line(enum log_level level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* log_admit: is a line of this kind and level to be written now? When it is only too much, it is counted. */
bool log_admit(enum log_kind kind, enum log_level level);
/* log_suppressed writes a line for each kind that was held back: when that begins, when it has ended, and once a minute meanwhile. Call
 * it about once a second; log_suppressed_end, at the end, tells what is left. */
void log_suppressed(void);
void log_suppressed_end(void);
/* log_value quotes and escapes bytes of a peer for a `key=%s`, so that they cannot pass for pairs of our own. Cut at 256
 * bytes. Valid until the eighth call after this one. */
const char *log_value(struct slice bytes);

#define log_error(...) log_line(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warn(...)  log_line(LOG_LEVEL_WARN, __VA_ARGS__)
#define log_info(...)  log_line(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug(...)                                                                                                 \
    do {                                                                                                               \
        if (log_enabled(LOG_LEVEL_DEBUG))                                                                              \
            log_line(LOG_LEVEL_DEBUG, __VA_ARGS__);                                                                    \
    } while (0)
/* log_limited(kind, level, fmt, …): a line that a peer causes; its arguments are evaluated only when it is written. */
#define log_limited(kind, level, ...)                                                                                  \
    do {                                                                                                               \
        if (log_admit(kind, level))                                                                                    \
            log_line(level, __VA_ARGS__);                                                                              \
    } while (0)

#endif
