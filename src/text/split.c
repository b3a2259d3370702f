/* split.c -- see split.h.
 *
 * The many named pre-tokenizers come down to five operations.  Two of them cut (at matches of a pattern, at characters
 * of a kind), three rewrite the words (spaces made visible, a space put in front, bytes spelled out). */
#include "text/split.h"

#include "text/unicode.h"

#include "base/mem.h"
#include "base/utf8.h"

#include <stdlib.h>

enum op {
    OP_PATTERN,
    OP_CHARS,
    OP_META,
    OP_PREFIX,
    OP_SPELL_BYTES,
};

/* What becomes of the matches. */
enum behavior { ISOLATED, REMOVED, CONTIGUOUS, MERGED_PREVIOUS, MERGED_NEXT };

enum scheme { ALWAYS, FIRST, NEVER };

struct step {
    enum op         op;
    enum behavior   behavior;
    bool            invert;
    struct pattern *pattern;
    bool          (*is)(uint32_t cp);
    enum scheme     scheme;
    struct str      visible;        /* OP_META: what stands for a space; owned */
};

enum { STEPS_PER_STEP = 3 };        /* ByteLevel is up to three */

struct splitter {
    struct step *step;
    size_t       n;
};

/* GPT-2's own pattern. */
#define GPT2_PATTERN "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+"

/* Whitespace's, which has another library's idea of a word than the patterns in the file. */
#define WORD_SET     "\\p{Alphabetic}\\p{M}\\p{Nd}\\p{Pc}\\p{Join_Control}"
#define WORD_PATTERN "[" WORD_SET "]+|[^\\s" WORD_SET "]+"

static struct step *add(struct splitter *x, enum op op)
{
    struct step *s = &x->step[x->n++];
    s->op = op;
    return s;
}

static bool add_pattern(struct splitter *x, const struct vocab_step *from, enum behavior b, struct err *e)
{
    struct step *s = add(x, OP_PATTERN);
    s->behavior = b;
    s->invert = from->invert;
    return pattern_new(&s->pattern, from->pattern, from->regex, e);
}

static void add_chars(struct splitter *x, bool (*is)(uint32_t), enum behavior b)
{
    struct step *s = add(x, OP_CHARS);
    s->is = is;
    s->behavior = b;
}

static bool behavior_of(const struct vocab_step *from, enum behavior *out, struct err *e)
{
    static const char *const name[] = {"Isolated", "Removed", "Contiguous", "MergedWithPrevious", "MergedWithNext"};
    struct str               given = from->behavior ? str_of(from->behavior) : STR("Isolated");
    for (unsigned i = 0; i < sizeof name / sizeof *name; i++)
        if (str_is(given, name[i])) {
            *out = (enum behavior)i;
            return true;
        }
    return err_set(e, ERR_UNSUPPORTED, "%s with behavior %s", from->type, from->behavior);
}

static bool add_metaspace(struct splitter *x, const struct vocab_step *from, struct err *e)
{
    static const char *const name[] = {"always", "first", "never"};
    struct str               given = from->prepend_scheme ? str_of(from->prepend_scheme) : STR("always");
    struct step             *s = add(x, OP_META);
    struct str               visible = from->content.n ? from->content : STR("\xE2\x96\x81");
    s->visible = (struct str){mem_copy(visible.p, visible.n), visible.n};
    unsigned i = 0;
    while (i < sizeof name / sizeof *name && !str_is(given, name[i]))
        i++;
    if (i == sizeof name / sizeof *name)
        return err_set(e, ERR_UNSUPPORTED, "Metaspace with prepend_scheme %s", from->prepend_scheme);
    s->scheme = (enum scheme)i;
    if (from->no_split)
        return true;
    struct vocab_step at = {.pattern = visible};
    return add_pattern(x, &at, MERGED_NEXT, e);
}

static bool add_byte_level(struct splitter *x, const struct vocab_step *from, struct err *e)
{
    if (from->add_prefix_space)
        add(x, OP_PREFIX);
    struct vocab_step at = {.pattern = STR(GPT2_PATTERN), .regex = true};
    if (from->use_regex && !add_pattern(x, &at, ISOLATED, e))
        return false;
    add(x, OP_SPELL_BYTES);
    return true;
}

static bool add_step(struct splitter *x, const struct vocab_step *from, struct err *e)
{
    enum behavior b;
    struct str    type = str_of(from->type);
    if (str_is(type, "Split"))
        return behavior_of(from, &b, e) && add_pattern(x, from, b, e);
    if (str_is(type, "Metaspace"))
        return add_metaspace(x, from, e);
    if (str_is(type, "ByteLevel"))
        return add_byte_level(x, from, e);
    if (str_is(type, "Whitespace")) {
        struct vocab_step at = {.pattern = STR(WORD_PATTERN), .regex = true, .invert = true};
        return add_pattern(x, &at, REMOVED, e);
    }
    if (str_is(type, "Punctuation")) {
        if (!behavior_of(from, &b, e))
            return false;
        add_chars(x, uni_punct, b);
    } else if (str_is(type, "Digits")) {
        add_chars(x, uni_number, from->individual_digits ? ISOLATED : CONTIGUOUS);
    } else if (str_is(type, "WhitespaceSplit")) {
        add_chars(x, uni_space, REMOVED);
    } else if (str_is(type, "BertPreTokenizer")) {
        add_chars(x, uni_space, REMOVED);
        add_chars(x, uni_punct, ISOLATED);
    } else {
        return err_set(e, ERR_UNSUPPORTED, "pre-tokenizer %s", from->type);
    }
    return true;
}

bool splitter_new(struct splitter **out, const struct vocab_step *step, size_t n, struct err *e)
{
    struct splitter *x = mem_new(sizeof *x);
    x->step = mem_array(n * STEPS_PER_STEP + 1, sizeof *x->step);
    for (size_t i = 0; i < n; i++)
        if (!add_step(x, &step[i], e)) {
            splitter_free(x);
            return false;
        }
    *out = x;
    return true;
}

void splitter_free(struct splitter *x)
{
    if (!x)
        return;
    for (size_t i = 0; i < x->n; i++) {
        pattern_free(x->step[i].pattern);
        free((char *)x->step[i].visible.p);
    }
    free(x->step);
    free(x);
}

void words_init(struct words *w, size_t bytes_max)
{
    *w = (struct words){0};
    buf_init(&w->text, bytes_max);
    buf_init(&w->spare_text, bytes_max);
}

void words_drop(struct words *w)
{
    buf_drop(&w->text);
    buf_drop(&w->spare_text);
    free(w->span.p);
    free(w->spare_span.p);
    parts_drop(&w->parts);
}

static void spans_push(struct spans *x, size_t from, size_t to)
{
    if (from == to)
        return;
    if (x->n == x->room) {
        x->room = x->room * 2 + 64;
        x->p = mem_grow(x->p, x->room, sizeof *x->p);
    }
    x->p[x->n++] = (struct span){(uint32_t)from, (uint32_t)to};
}

void words_set(struct words *w, struct str text, bool begins)
{
    buf_clear(&w->text);
    buf_str(&w->text, text);
    w->begins = begins;
    w->span.n = 0;
    spans_push(&w->span, 0, w->text.n);
}

static void cut_chars(bool (*is)(uint32_t), struct str s, struct parts *out)
{
    size_t done = 0;
    for (size_t at = 0; at < s.n;) {
        uint32_t cp;
        unsigned n = utf8_decode((struct str){s.p + at, s.n - at}, &cp);
        CHECK(n > 0);
        if (is(cp)) {
            parts_push(out, done, at, false);
            parts_push(out, at, at + n, true);
            done = at + n;
        }
        at += n;
    }
    parts_push(out, done, s.n, false);
}

/* Joins parts in place as the behavior says.  MERGED_NEXT is MERGED_PREVIOUS read from the end. */
static void join_parts(struct parts *x, enum behavior b)
{
    size_t n = 0;
    bool   before = false;
    for (size_t k = 0; k < x->n; k++) {
        size_t      i = b == MERGED_NEXT ? x->n - 1 - k : k;
        size_t      last = b == MERGED_NEXT ? x->n - n : n - 1;
        struct part p = x->p[i];
        bool        joins = n > 0 && (b == CONTIGUOUS ? p.match == before : p.match && !before);
        before = p.match;
        if (joins) {
            if (b == MERGED_NEXT)
                x->p[last].from = p.from;
            else
                x->p[last].to = p.to;
        } else {
            n++;
            x->p[b == MERGED_NEXT ? x->n - n : n - 1] = p;
        }
    }
    if (b == MERGED_NEXT && n)
        memmove(x->p, x->p + x->n - n, n * sizeof *x->p);
    x->n = n;
}

static bool cut(const struct step *step, struct pattern_run *r, struct words *w, struct err *e)
{
    w->spare_span.n = 0;
    for (size_t i = 0; i < w->span.n; i++) {
        struct span   at = w->span.p[i];
        struct str    s = {w->text.p + at.from, at.to - at.from};
        struct parts *parts = &w->parts;
        parts->n = 0;
        if (step->op == OP_CHARS)
            cut_chars(step->is, s, parts);
        else if (!pattern_cut(step->pattern, r, s, parts, e))
            return false;
        for (size_t k = 0; step->invert && k < parts->n; k++)
            parts->p[k].match = !parts->p[k].match;
        if (step->behavior >= CONTIGUOUS)
            join_parts(parts, step->behavior);
        for (size_t k = 0; k < parts->n; k++)
            if (step->behavior != REMOVED || !parts->p[k].match)
                spans_push(&w->spare_span, at.from + parts->p[k].from, at.from + parts->p[k].to);
    }
    return true;
}

/* Appends s with its spaces made visible, and one in front where the scheme wants it. */
static void show_spaces(const struct step *step, struct str s, bool begins, struct buf *out)
{
    bool shown = s.n && (s.p[0] == ' ' || str_starts(s, step->visible));
    if (!shown && (step->scheme == ALWAYS || (step->scheme == FIRST && begins)))
        buf_str(out, step->visible);
    while (s.n) {
        const char *space = memchr(s.p, ' ', s.n);
        size_t      n = space ? (size_t)(space - s.p) : s.n;
        buf_append(out, s.p, n);
        if (space)
            buf_str(out, step->visible);
        s.p += n + (space ? 1 : 0);
        s.n -= n + (space ? 1 : 0);
    }
}

static bool rewrite(const struct step *step, struct words *w, struct err *e)
{
    buf_clear(&w->spare_text);
    w->spare_span.n = 0;
    for (size_t i = 0; i < w->span.n; i++) {
        struct span at = w->span.p[i];
        struct str  s = {w->text.p + at.from, at.to - at.from};
        size_t      from = w->spare_text.n;
        if (step->op == OP_META) {
            show_spaces(step, s, w->begins && at.from == 0, &w->spare_text);
        } else if (step->op == OP_PREFIX) {
            if (s.p[0] != ' ')
                buf_char(&w->spare_text, ' ');
            buf_str(&w->spare_text, s);
        } else {
            uni_spell_bytes(s, &w->spare_text);
        }
        spans_push(&w->spare_span, from, w->spare_text.n);
    }
    if (w->spare_text.full)
        return err_set(e, ERR_TOO_LARGE, "the text grows over %zu bytes when it is cut into words",
                       w->spare_text.bytes_max);
    struct buf kept = w->text;
    w->text = w->spare_text;
    w->spare_text = kept;
    return true;
}

bool splitter_run(const struct splitter *x, struct pattern_run *r, struct words *w, struct err *e)
{
    for (size_t i = 0; i < x->n; i++) {
        const struct step *step = &x->step[i];
        if (!(step->op <= OP_CHARS ? cut(step, r, w, e) : rewrite(step, w, e)))
            return false;
        struct spans kept = w->span;
        w->span = w->spare_span;
        w->spare_span = kept;
    }
    return true;
}
