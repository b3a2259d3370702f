/* totals.h -- what has happened since the start, for /metrics and /v1/status. */
#ifndef API_TOTALS_H
#define API_TOTALS_H

#include "base/buf.h"

#include <pthread.h>
#include <stdint.h>

enum { TOTALS_ROUTES = 16, TOTALS_BOUNDS = 16 };

/* How an answer ended. */
enum ending { ENDING_STOP, ENDING_LENGTH, ENDING_CANCELLED, ENDING_GONE, ENDING_TIMEOUT, ENDING_FAILED, ENDING_COUNT };

struct histogram {
    uint64_t n[TOTALS_BOUNDS + 1];
    uint64_t count;
    double   sum;
};

struct totals {
    pthread_mutex_t  lock;
    uint64_t         http[TOTALS_ROUTES][5];        /* by route and first digit of the status, 1 to 5 */
    uint64_t         ended[ENDING_COUNT];
    uint64_t         tokens_in, tokens_cached, tokens_out;
    struct histogram first_token, between_tokens, whole;        /* seconds */
};

/* One answer that has ended.  Times that do not apply are negative. */
struct total {
    enum ending ending;
    uint64_t    tokens_in, tokens_cached, tokens_out;
    double      first_token_s, token_s, whole_s;
};

void        totals_init(struct totals *t);
void        totals_drop(struct totals *t);
void        totals_http(struct totals *t, size_t route, int status);
void        totals_add(struct totals *t, const struct total *one);
const char *totals_ending(enum ending e);               /* "stop", "length", … */

/* Appends one histogram in Prometheus' text form. */
void totals_print(struct totals *t, const struct histogram *h, const char *name, const char *help, struct buf *out);

#endif
