/* bench_result.h -- what one run of `hearth bench serve` measured: as a table, as JSON, and read back from it. */
#ifndef APP_BENCH_RESULT_H
#define APP_BENCH_RESULT_H

#include "app/samples.h"
#include "base/buf.h"
#include "base/json.h"

enum { BENCH_LABEL_MAX = 40, BENCH_STATUS_MAX = 600 };

/* Why requests failed, counted. */
struct bench_errors {
    uint64_t unreached, timeout, broken, empty, told;   /* told: an error event within a stream */
    uint64_t status[BENCH_STATUS_MAX];                  /* HTTP statuses other than 2xx and 429 */
    char     first[320];                                /* what the first one said */
};

struct bench_result {
    char          label[BENCH_LABEL_MAX + 1];
    uint64_t      ok, limited, failed;      /* limited: turned away with 429, which an overloaded server may do */
    uint64_t      prompt_tokens, cached_tokens, answer_tokens, pieces;  /* of the requests that went well */
    bool          by_usage, has_cached;     /* tokens are the server's own count; it tells what was cached */
    double        seconds, client_cpu_s;    /* from the first request to the last answer */
    struct spread first_ms, gap_ms, whole_ms;
};

/* Takes at most BENCH_LABEL_MAX bytes of the label, whole characters, without control characters. */
void bench_result_label(struct bench_result *r, struct str label);

/* Appends a column a run. */
void bench_result_table(const struct bench_result *r, size_t n, struct buf *out);

/* Appends "2 timeouts, 1 HTTP 500". */
void bench_errors_text(const struct bench_errors *x, struct buf *out);

/* Puts members into an object that is open. */
void bench_result_put(const struct bench_result *r, const struct bench_errors *x, struct json_out *w);

/* Reads what bench_result_put() wrote; ERR_INVALID: the object is no such thing. */
MUST_USE bool bench_result_get(struct bench_result *out, json v, struct err *e);

#endif
