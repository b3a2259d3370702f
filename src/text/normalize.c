/* normalize.c -- see normalize.h.  Every step reads one buffer and writes the other. */
#include "text/normalize.h"

#include "text/charsmap.h"
#include "text/unicode.h"

#include "base/mem.h"
#include "base/utf8.h"

#include <stdlib.h>

enum op {
    OP_FORM,            /* one of Unicode's four normal forms */
    OP_LOWER,
    OP_DROP,            /* characters that are .drop */
    OP_REPLACE,
    OP_PREPEND,
    OP_STRIP,
    OP_CLEAN,           /* controls go, white space becomes a space */
    OP_CHINESE,         /* a space on either side of an ideograph */
    OP_SPELL_BYTES,
    OP_CHARSMAP,
};

struct step {
    enum op          op;
    enum uni_form    form;
    bool           (*drop)(uint32_t cp);
    struct pattern  *pattern;
    struct charsmap *map;
    struct str       content;       /* owned */
    bool             left, right;
};

enum { STEPS_PER_STEP = 5 };        /* BertNormalizer is up to five */

struct normalizer {
    struct step *step;
    size_t       n;
};

static struct step *add(struct normalizer *x, enum op op)
{
    struct step *s = &x->step[x->n++];
    s->op = op;
    return s;
}

static void add_bert(struct normalizer *x, const struct vocab_step *from)
{
    if (from->clean_text)
        add(x, OP_CLEAN);
    if (from->handle_chinese)
        add(x, OP_CHINESE);
    if (from->strip_accents) {
        add(x, OP_FORM)->form = UNI_NFD;
        add(x, OP_DROP)->drop = uni_mark_thin;
    }
    if (from->lowercase)
        add(x, OP_LOWER);
}

static bool add_replace(struct normalizer *x, const struct vocab_step *from, struct err *e)
{
    struct step *s = add(x, OP_REPLACE);
    s->content = (struct str){mem_copy(from->content.p, from->content.n), from->content.n};
    return pattern_new(&s->pattern, from->pattern, from->regex, e);
}

static bool add_step(struct normalizer *x, const struct vocab_step *from, struct err *e)
{
    static const char *const form[] = {"NFC", "NFD", "NFKC", "NFKD"};
    struct str               type = str_of(from->type);
    for (unsigned i = 0; i < sizeof form / sizeof *form; i++)
        if (str_is(type, form[i])) {
            add(x, OP_FORM)->form = (enum uni_form)i;
            return true;
        }
    if (str_is(type, "Lowercase")) {
        add(x, OP_LOWER);
    } else if (str_is(type, "StripAccents")) {
        add(x, OP_DROP)->drop = uni_mark;
    } else if (str_is(type, "Replace")) {
        return add_replace(x, from, e);
    } else if (str_is(type, "Prepend")) {
        add(x, OP_PREPEND)->content = (struct str){mem_copy(from->content.p, from->content.n), from->content.n};
    } else if (str_is(type, "Strip")) {
        struct step *s = add(x, OP_STRIP);
        s->left = from->strip_left;
        s->right = from->strip_right;
    } else if (str_is(type, "BertNormalizer")) {
        add_bert(x, from);
    } else if (str_is(type, "ByteLevel")) {
        add(x, OP_SPELL_BYTES);
    } else if (str_is(type, "Precompiled")) {
        return charsmap_new(&add(x, OP_CHARSMAP)->map, from->content, e);
    } else {
        return err_set(e, ERR_UNSUPPORTED, "normalizer %s", from->type);
    }
    return true;
}

bool normalizer_new(struct normalizer **out, const struct vocab_step *step, size_t n, struct err *e)
{
    struct normalizer *x = mem_new(sizeof *x);
    x->step = mem_array(n * STEPS_PER_STEP + 1, sizeof *x->step);
    for (size_t i = 0; i < n; i++)
        if (!add_step(x, &step[i], e)) {
            normalizer_free(x);
            return false;
        }
    *out = x;
    return true;
}

void normalizer_free(struct normalizer *x)
{
    if (!x)
        return;
    for (size_t i = 0; i < x->n; i++) {
        pattern_free(x->step[i].pattern);
        charsmap_free(x->step[i].map);
        free((char *)x->step[i].content.p);
    }
    free(x->step);
    free(x);
}

/* Takes the character at the front of *s, whose bytes are *bytes. */
static uint32_t next_char(struct str *s, struct str *bytes)
{
    uint32_t cp;
    unsigned n = utf8_decode(*s, &cp);
    CHECK(n > 0);
    *bytes = (struct str){s->p, n};
    s->p += n;
    s->n -= n;
    return cp;
}

static void filter(const struct step *step, struct str s, struct buf *out)
{
    while (s.n) {
        struct str bytes;
        uint32_t   cp = next_char(&s, &bytes);
        if (step->op == OP_DROP) {
            if (!step->drop(cp))
                buf_str(out, bytes);
        } else if (step->op == OP_CLEAN) {
            if (cp != 0xFFFD && !uni_control(cp))
                buf_str(out, uni_space(cp) ? STR(" ") : bytes);
        } else if (uni_chinese(cp)) {
            buf_char(out, ' ');
            buf_str(out, bytes);
            buf_char(out, ' ');
        } else {
            buf_str(out, bytes);
        }
    }
}

static void strip(const struct step *step, struct str s, struct buf *out)
{
    while (step->left && s.n) {
        struct str rest = s, bytes;
        if (!uni_space(next_char(&rest, &bytes)))
            break;
        s = rest;
    }
    while (step->right && s.n) {
        size_t at = s.n - 1;
        while (at > 0 && ((uint8_t)s.p[at] & 0xC0) == 0x80)
            at--;
        struct str last = {s.p + at, s.n - at}, bytes;
        if (!uni_space(next_char(&last, &bytes)))
            break;
        s.n = at;
    }
    buf_str(out, s);
}

static bool replace(const struct step *step, struct pattern_run *r, struct str s, struct buf *out, struct err *e)
{
    struct parts parts = {0};
    bool         ok = pattern_cut(step->pattern, r, s, &parts, e);
    for (size_t i = 0; ok && i < parts.n; i++) {
        struct part p = parts.p[i];
        buf_str(out, p.match ? step->content : (struct str){s.p + p.from, p.to - p.from});
    }
    parts_drop(&parts);
    return ok;
}

static bool run_step(const struct step *step, struct pattern_run *r, struct str s, struct buf *out, struct err *e)
{
    switch (step->op) {
    case OP_FORM:
        uni_normalize(s, step->form, out);
        break;
    case OP_LOWER:
        uni_lower(s, out);
        break;
    case OP_DROP:
    case OP_CLEAN:
    case OP_CHINESE:
        filter(step, s, out);
        break;
    case OP_REPLACE:
        return replace(step, r, s, out, e);
    case OP_PREPEND:
        if (s.n)
            buf_str(out, step->content);
        buf_str(out, s);
        break;
    case OP_STRIP:
        strip(step, s, out);
        break;
    case OP_SPELL_BYTES:
        uni_spell_bytes(s, out);
        break;
    case OP_CHARSMAP:
        charsmap_run(step->map, s, out);
        break;
    }
    return true;
}

bool normalizer_run(const struct normalizer *x, struct pattern_run *r, struct buf *text, struct buf *spare,
                    struct err *e)
{
    for (size_t i = 0; i < x->n; i++) {
        buf_clear(spare);
        if (!run_step(&x->step[i], r, buf_view(text), spare, e))
            return false;
        if (spare->full)
            return err_set(e, ERR_TOO_LARGE, "the text grows over %zu bytes when it is normalized", spare->bytes_max);
        struct buf kept = *text;
        *text = *spare;
        *spare = kept;
    }
    return true;
}
