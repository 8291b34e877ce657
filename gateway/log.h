/* Structured log lines (logfmt) on standard error, four levels. Payloads at debug level only, secrets never. */
#ifndef SYNCGATE_GATEWAY_LOG_H
#define SYNCGATE_GATEWAY_LOG_H

#include "protocol/base/slice.h"

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARN, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };

/* log_init: level, and the worker's number (-1: none) that every line carries. */
void log_init(enum log_level level, int worker);
int log_enabled(enum log_level level);
/* log_line writes `ts=… level=… msg=…` plus the formatted text, which holds logfmt pairs or a sentence: what stands before
 * the first ` key=` is the message, from there on each `key=value` stays a pair and its value reaches to the next one.
 * Values are quoted and escaped as needed, so a line is one line whatever bytes it holds; it is cut at 4096 bytes.
 *
 *     log_info("closed conn=%u reason=%s name=%s", id, reason, log_value(name));
 */
void log_line(enum log_level level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* log_value quotes and escapes bytes of a peer for a `key=%s`, so that they cannot pass for pairs of our own. Cut at 256
 * bytes. Valid until the eighth call after this one. */
const char *log_value(struct slice bytes);
/* log_render writes the line that log_line would write at that time (ms since 1970), newline included, to `out` (at least
 * 128 bytes); returns its length. */
size_t log_render(char *out, size_t size, int64_t now_ms, enum log_level level, const char *text);

#define log_error(...) log_line(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warn(...)  log_line(LOG_LEVEL_WARN, __VA_ARGS__)
#define log_info(...)  log_line(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug(...)                                                                                                 \
    do {                                                                                                               \
        if (log_enabled(LOG_LEVEL_DEBUG))                                                                              \
            log_line(LOG_LEVEL_DEBUG, __VA_ARGS__);                                                                    \
    } while (0)

#endif
