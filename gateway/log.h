/* Structured log lines (logfmt) on standard error, four levels. Payloads at debug level only, secrets never. */
#ifndef SYNCGATE_GATEWAY_LOG_H
#define SYNCGATE_GATEWAY_LOG_H

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARN, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };

/* log_init: level, and the worker's number (-1: none) that every line carries. */
void log_init(enum log_level level, int worker);
int log_enabled(enum log_level level);
/* log_line writes `ts=… level=… msg=…` plus the formatted text, which holds logfmt pairs or a sentence. */
void log_line(enum log_level level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#define log_error(...) log_line(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warn(...)  log_line(LOG_LEVEL_WARN, __VA_ARGS__)
#define log_info(...)  log_line(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug(...)                                                                                                 \
    do {                                                                                                               \
        if (log_enabled(LOG_LEVEL_DEBUG))                                                                              \
            log_line(LOG_LEVEL_DEBUG, __VA_ARGS__);                                                                    \
    } while (0)

#endif
