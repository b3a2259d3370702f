/* report.h -- what hearth doctor finds, collected: printed as text for people, or as JSON. */
#ifndef APP_REPORT_H
#define APP_REPORT_H

#include "base/buf.h"
#include "base/json.h"
#include "proof/proof.h"

/* Facts lie in sections, in the order they came.  What is wrong fails the report; advice does not. */
struct report;

struct report *report_new(void);
void           report_free(struct report *r);

void report_fact(struct report *r, const char *section, const char *key, const char *fmt, ...) PRINTF(4, 5);
void report_wrong(struct report *r, const char *fmt, ...) PRINTF(2, 3);
void report_advise(struct report *r, const char *fmt, ...) PRINTF(2, 3);
void report_tests(struct report *r, const char *backend, const char *precision, const struct proof_row *row);

size_t report_n_wrong(const struct report *r);

void report_print(const struct report *r, struct buf *out);
void report_json(const struct report *r, struct json_out *w);       /* into the object that is open */

#endif
