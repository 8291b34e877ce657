/* From the text of a log call to its line: the text is taken apart into pairs once, and one renderer per format writes them,
 * so that both formats hold the same fields. Pure. */
#ifndef SYNCGATE_GATEWAY_OBSERVE_LOG_RENDER_H
#define SYNCGATE_GATEWAY_OBSERVE_LOG_RENDER_H

#include "gateway/observe/log.h"

struct log_head {
    enum log_format format;
    int64_t now_ms; /* since 1970 */
    enum log_level level;
    int worker; /* -1: none */
};

/* log_render writes the line, newline included, to `out` (at least 128 bytes) and returns its length. `text` is that of
 * log_line. A text that does not fit is cut; the line is well formed all the same. */
size_t log_render(char *out, size_t size, const struct log_head *head, const char *text);

/* log_render_quoted writes bytes as a `"…"` that log_render takes for one value, and a NUL; returns the length without it. Every
 * byte may become four: `size` is at least four times their number and three more. */
size_t log_render_quoted(char *out, size_t size, struct slice bytes);

#endif
