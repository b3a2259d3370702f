/* log.h -- lines for the person who runs the server.  Text for a terminal, JSON lines for a collector.
 *
 * A NULL log is silent.  Safe from any thread; a line is written with one call and never torn. */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include "base/err.h"

#ifdef __cplusplus
extern "C" {
#endif

enum log_level { LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG };

struct log {
    enum log_level level;       /* lines above it are dropped */
    bool           as_json;
    int            fd;
};

void log_line(const struct log *l, enum log_level level, const char *fmt, ...) PRINTF(3, 4);

#define log_error(l, ...) log_line(l, LOG_ERROR, __VA_ARGS__)
#define log_warn(l, ...)  log_line(l, LOG_WARN, __VA_ARGS__)
#define log_info(l, ...)  log_line(l, LOG_INFO, __VA_ARGS__)
#define log_debug(l, ...) log_line(l, LOG_DEBUG, __VA_ARGS__)

#ifdef __cplusplus
}
#endif
#endif
