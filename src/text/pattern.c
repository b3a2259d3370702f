/* pattern.c -- see pattern.h. */
#include "text/pattern.h"

#include "base/buf.h"
#include "base/mem.h"
#include "base/utf8.h"

#include <stdlib.h>

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

enum {
    PATTERN_BYTES_MAX = 32768,
    STEPS_MAX = 10 * 1000 * 1000,       /* a run of white space costs a step a byte; nothing sensible costs more */
    HEAP_KIB_MAX = 64 * 1024,
    NEST_MAX = 64,
};

struct pattern {
    pcre2_code *code;                   /* NULL: a literal */
    struct str  literal;
};

struct pattern_run {
    pcre2_match_data    *data;
    pcre2_match_context *ctx;
};

/* The members of \s and \w as Oniguruma has them.  PCRE2's own \s takes U+180E in, its \w leaves out marks.  The spaces
 * are listed, for that is searched faster than the property; outside of sets Oniguruma goes by another table below
 * U+0100, which has Latin-1's numbers among the words. */
#define SPACES     "\\t-\\r \\x{85}\\x{A0}\\x{1680}\\x{2000}-\\x{200A}\\x{2028}\\x{2029}\\x{202F}\\x{205F}\\x{3000}"
#define WORD_CHARS "\\p{Alphabetic}\\p{M}\\p{Nd}\\p{Pc}"
#define WORD_BARE  WORD_CHARS "\\x{B2}\\x{B3}\\x{B9}\\x{BC}-\\x{BE}"

/* Writes what stands for the escape \c; false: it has none inside a set. */
static bool put_escape(struct buf *out, char c, bool in_set)
{
    switch (c) {
    case 's':
        return buf_str(out, in_set ? STR(SPACES) : STR("[" SPACES "]"));
    case 'S':
        return in_set ? buf_str(out, STR("\\P{White_Space}")) : buf_str(out, STR("[^" SPACES "]"));
    case 'w':
        return buf_str(out, in_set ? STR(WORD_CHARS) : STR("[" WORD_BARE "]"));
    case 'W':
        return !in_set && buf_str(out, STR("[^" WORD_BARE "]"));
    default:
        return buf_char(out, '\\') && buf_char(out, c);
    }
}

static bool translate(struct str text, struct buf *out, struct err *e)
{
    bool in_set = false;
    for (size_t i = 0; i < text.n; i++) {
        char c = text.p[i], next = i + 1 < text.n ? text.p[i + 1] : '\0';
        if (c == '\\' && i + 1 < text.n) {
            if (!put_escape(out, next, in_set))
                return err_set(e, ERR_UNSUPPORTED, "\\W inside a set of a regular expression");
            i++;
            continue;
        }
        if (in_set && ((c == '[' && next != ':') || (c == '&' && next == '&')))
            return err_set(e, ERR_UNSUPPORTED, "a set within a set of a regular expression");
        if (in_set && c == '[') {
            size_t end = str_find((struct str){text.p + i, text.n - i}, STR(":]"));
            if (end != STR_NONE) {
                buf_append(out, text.p + i, end + 2);
                i += end + 1;
                continue;
            }
        }
        if (!in_set && c == '[') {
            in_set = true;
            buf_char(out, c);
            if (next == '^') {
                buf_char(out, next);
                i++;
            }
            continue;
        }
        if (in_set && c == ']')
            in_set = false;
        buf_char(out, c);
    }
    return true;
}

static bool compile(struct pattern *p, struct str text, struct err *e)
{
    pcre2_compile_context *ctx = pcre2_compile_context_create(NULL);
    CHECK(ctx);
    pcre2_set_parens_nest_limit(ctx, NEST_MAX);
    int        code;
    PCRE2_SIZE at;
    p->code = pcre2_compile((PCRE2_SPTR)text.p, text.n,
                            PCRE2_UTF | PCRE2_UCP | PCRE2_MULTILINE | PCRE2_NEVER_BACKSLASH_C, &code, &at, ctx);
    pcre2_compile_context_free(ctx);
    if (!p->code) {
        PCRE2_UCHAR why[160];
        pcre2_get_error_message(code, why, sizeof why);
        return err_set(e, ERR_CORRUPT, "the regular expression %.*s: %s", (int)(text.n < 200 ? text.n : 200), text.p,
                       (const char *)why);
    }
    /* Where the system forbids new code the interpreter does the same, three times slower. */
    (void)pcre2_jit_compile(p->code, PCRE2_JIT_COMPLETE);
    return true;
}

bool pattern_new(struct pattern **out, struct str text, bool regex, struct err *e)
{
    if (text.n == 0)
        return err_set(e, ERR_UNSUPPORTED, "an empty pattern");
    if (text.n > PATTERN_BYTES_MAX)
        return err_set(e, ERR_UNSUPPORTED, "a pattern of %zu bytes (at most %d)", text.n, PATTERN_BYTES_MAX);
    if (!utf8_valid(text))
        return err_set(e, ERR_CORRUPT, "a pattern that is no UTF-8");
    struct pattern *p = mem_new(sizeof *p);
    bool            ok = true;
    if (regex) {
        struct buf b;
        buf_init(&b, 0);
        ok = translate(text, &b, e) && compile(p, buf_view(&b), e);
        buf_drop(&b);
    } else {
        p->literal = (struct str){mem_copy(text.p, text.n), text.n};
    }
    if (!ok) {
        pattern_free(p);
        return false;
    }
    *out = p;
    return true;
}

void pattern_free(struct pattern *p)
{
    if (!p)
        return;
    pcre2_code_free(p->code);
    free((char *)p->literal.p);
    free(p);
}

struct pattern_run *pattern_run_new(void)
{
    struct pattern_run *r = mem_new(sizeof *r);
    r->data = pcre2_match_data_create(1, NULL);
    r->ctx = pcre2_match_context_create(NULL);
    CHECK(r->data && r->ctx);
    pcre2_set_match_limit(r->ctx, STEPS_MAX);
    pcre2_set_heap_limit(r->ctx, HEAP_KIB_MAX);
    return r;
}

void pattern_run_free(struct pattern_run *r)
{
    pcre2_match_data_free(r->data);
    pcre2_match_context_free(r->ctx);
    free(r);
}

void parts_push(struct parts *x, size_t from, size_t to, bool match)
{
    if (from == to && !match)
        return;
    if (x->n == x->room) {
        x->room = x->room * 2 + 64;
        x->p = mem_grow(x->p, x->room, sizeof *x->p);
    }
    x->p[x->n++] = (struct part){(uint32_t)from, (uint32_t)to, match};
}

void parts_drop(struct parts *x)
{
    free(x->p);
    *x = (struct parts){0};
}

static void literal_cut(struct str what, struct str text, struct parts *out)
{
    size_t done = 0;
    for (;;) {
        size_t at = str_find((struct str){text.p + done, text.n - done}, what);
        if (at == STR_NONE)
            break;
        parts_push(out, done, done + at, false);
        parts_push(out, done + at, done + at + what.n, true);
        done += at + what.n;
    }
    parts_push(out, done, text.n, false);
}

/* The next match at or after `at`.  1 found, 0 none, negative: PCRE2's error. */
static int search(const struct pattern *p, struct pattern_run *r, struct str text, size_t at)
{
    int rc = pcre2_match(p->code, (PCRE2_SPTR)text.p, text.n, at, PCRE2_NO_UTF_CHECK, r->data, r->ctx);
    /* The compiled code has 32 KiB of stack; the interpreter takes its own from the heap. */
    if (rc == PCRE2_ERROR_JIT_STACKLIMIT)
        rc = pcre2_match(p->code, (PCRE2_SPTR)text.p, text.n, at, PCRE2_NO_UTF_CHECK | PCRE2_NO_JIT, r->data, r->ctx);
    return rc >= 0 ? 1 : rc == PCRE2_ERROR_NOMATCH ? 0 : rc;
}

static size_t after_char(struct str text, size_t at)
{
    do
        at++;
    while (at < text.n && ((uint8_t)text.p[at] & 0xC0) == 0x80);
    return at;
}

bool pattern_cut(const struct pattern *p, struct pattern_run *r, struct str text, struct parts *out, struct err *e)
{
    if (!p->code) {
        literal_cut(p->literal, text, out);
        return true;
    }
    size_t done = 0, from = 0, last_end = SIZE_MAX;
    while (from <= text.n) {
        int rc = search(p, r, text, from);
        if (rc < 0) {
            PCRE2_UCHAR why[160];
            pcre2_get_error_message(rc, why, sizeof why);
            return err_set(e, ERR_INVALID, "the text is too hard for the vocabulary's pattern: %s", (const char *)why);
        }
        if (rc == 0)
            break;
        const PCRE2_SIZE *at = pcre2_get_ovector_pointer(r->data);
        /* An empty match right behind another match does not count; nor does one turned round by \K. */
        if (at[0] >= at[1] && (at[0] > at[1] || at[1] == last_end)) {
            from = after_char(text, from);
            continue;
        }
        parts_push(out, done, at[0], false);
        parts_push(out, at[0], at[1], true);
        done = from = last_end = at[1];
        if (at[0] == at[1])
            from = after_char(text, from);
    }
    parts_push(out, done, text.n, false);
    return true;
}
