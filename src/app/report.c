/* report.c -- see report.h. */
#include "app/report.h"

#include "base/mem.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct fact {
    const char *section, *key;      /* literals */
    char       *text;
};

struct facts {
    struct fact *at;
    size_t       n;
};

struct tests {
    const char      *backend, *precision;
    struct proof_row row;
};

struct report {
    struct facts  facts, wrong, advice;
    struct tests *tests;
    size_t        n_test;
};

struct report *report_new(void)
{
    return mem_new(sizeof(struct report));
}

static void facts_drop(struct facts *f)
{
    for (size_t i = 0; i < f->n; i++)
        free(f->at[i].text);
    free(f->at);
}

void report_free(struct report *r)
{
    facts_drop(&r->facts);
    facts_drop(&r->wrong);
    facts_drop(&r->advice);
    free(r->tests);
    free(r);
}

static void add(struct facts *f, const char *section, const char *key, const char *fmt, va_list args)
{
    char text[1024];
    vsnprintf(text, sizeof text, fmt, args);
    f->at = mem_grow(f->at, f->n + 1, sizeof *f->at);
    f->at[f->n++] = (struct fact){section, key, mem_copy(text, strlen(text))};
}

void report_fact(struct report *r, const char *section, const char *key, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    add(&r->facts, section, key, fmt, args);
    va_end(args);
}

void report_wrong(struct report *r, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    add(&r->wrong, "", "", fmt, args);
    va_end(args);
}

void report_advise(struct report *r, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    add(&r->advice, "", "", fmt, args);
    va_end(args);
}

void report_tests(struct report *r, const char *backend, const char *precision, const struct proof_row *row)
{
    r->tests = mem_grow(r->tests, r->n_test + 1, sizeof *r->tests);
    r->tests[r->n_test++] = (struct tests){backend, precision, *row};
}

size_t report_n_wrong(const struct report *r)
{
    return r->wrong.n;
}

/* ---- as text -------------------------------------------------------------------------------------------------------- */

static void print_facts(const struct facts *f, struct buf *out)
{
    const char *section = "";
    for (size_t i = 0; i < f->n; i++) {
        if (strcmp(section, f->at[i].section) != 0)
            buf_printf(out, "%s\n", f->at[i].section);
        section = f->at[i].section;
        buf_printf(out, "  %-10s %s\n", f->at[i].key, f->at[i].text);
    }
}

static bool same_run(const struct tests *a, const struct tests *b)
{
    return strcmp(a->backend, b->backend) == 0 && strcmp(a->precision, b->precision) == 0;
}

/* One line for each backend and precision, and one for each op and format in which a case is wrong. */
static void print_tests(const struct report *r, struct buf *out)
{
    if (r->n_test)
        buf_printf(out, "ops against the reference (worst: the error that comes nearest to its bound)\n");
    for (size_t i = 0, end; i < r->n_test; i = end) {
        const struct tests *worst = &r->tests[i];
        unsigned            n = 0, wrong = 0;
        for (end = i; end < r->n_test && same_run(&r->tests[i], &r->tests[end]); end++) {
            const struct tests *t = &r->tests[end];
            n += t->row.n;
            wrong += t->row.wrong;
            if (t->row.worst * worst->row.bound > worst->row.worst * t->row.bound)
                worst = t;
        }
        buf_printf(out, "  %-4s %-5s %u of %u cases pass; worst: %s %s %.2g, bound %.2g\n", r->tests[i].backend, r->tests[i].precision,
                   n - wrong, n, worst->row.op, worst->row.format, worst->row.worst, worst->row.bound);
        for (size_t k = i; k < end; k++) {
            const struct proof_row *row = &r->tests[k].row;
            if (row->wrong)
                buf_printf(out, "    WRONG: %s %s, %u of %u cases, first \"%s\": %s%.3g, bound %.2g\n", row->op, row->format, row->wrong,
                           row->n, row->first_wrong, *row->why.text ? row->why.text : "error ", row->worst, row->bound);
        }
    }
}

static void print_list(const char *head, const struct facts *f, struct buf *out)
{
    if (f->n)
        buf_printf(out, "%s\n", head);
    for (size_t i = 0; i < f->n; i++)
        buf_printf(out, "  * %s\n", f->at[i].text);
}

void report_print(const struct report *r, struct buf *out)
{
    print_facts(&r->facts, out);
    print_tests(r, out);
    print_list("advice", &r->advice, out);
    print_list("wrong", &r->wrong, out);
    if (r->wrong.n == 0)
        buf_printf(out, "everything fine\n");
    else
        buf_printf(out, "Please paste all of this into an issue, or mend what it names and run hearth doctor again.\n");
}

/* ---- as JSON --------------------------------------------------------------------------------------------------------- */

static void put_facts(const struct facts *f, struct json_out *w)
{
    const char *section = "";
    for (size_t i = 0; i < f->n; i++) {
        if (strcmp(section, f->at[i].section) != 0) {
            if (*section)
                json_close(w);
            json_open(w, f->at[i].section, '[');
        }
        section = f->at[i].section;
        json_open(w, NULL, '{');
        json_put_text(w, "what", f->at[i].key);
        json_put_text(w, "is", f->at[i].text);
        json_close(w);
    }
    if (*section)
        json_close(w);
}

static void put_number(struct json_out *w, const char *key, double v)
{
    if (isfinite(v))
        json_put_num(w, key, v);
    else
        json_put_null(w, key);
}

static void put_tests(const struct report *r, struct json_out *w)
{
    json_open(w, "ops", '[');
    for (size_t i = 0; i < r->n_test; i++) {
        const struct tests *t = &r->tests[i];
        json_open(w, NULL, '{');
        json_put_text(w, "backend", t->backend);
        json_put_text(w, "precision", t->precision);
        json_put_text(w, "op", t->row.op);
        json_put_text(w, "format", t->row.format);
        json_put_int(w, "cases", t->row.n);
        json_put_int(w, "wrong", t->row.wrong);
        put_number(w, "worst", t->row.worst);
        json_put_num(w, "bound", t->row.bound);
        if (t->row.wrong)
            json_put_text(w, "first", t->row.first_wrong);
        if (*t->row.why.text)
            json_put_text(w, "why", t->row.why.text);
        json_close(w);
    }
    json_close(w);
}

static void put_list(const char *key, const struct facts *f, struct json_out *w)
{
    json_open(w, key, '[');
    for (size_t i = 0; i < f->n; i++)
        json_put_text(w, NULL, f->at[i].text);
    json_close(w);
}

void report_json(const struct report *r, struct json_out *w)
{
    put_facts(&r->facts, w);
    put_tests(r, w);
    put_list("advice", &r->advice, w);
    put_list("wrong", &r->wrong, w);
    json_put_bool(w, "fine", r->wrong.n == 0);
}
