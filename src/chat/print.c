/* print.c -- values as text: Python's str() and repr(). */
#include "chat/ast.h"
#include "chat/run.h"
#include "chat/unicode.h"

#include "base/utf8.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The shortest digits that read back as f, laid out as Python does: an exponent below 1e-4 and from 1e16 on. */
bool print_float(struct run *r, double f)
{
    char text[40], digits[24];
    if (isnan(f) || isinf(f))
        return out_str(r, isnan(f) ? STR("nan") : f > 0 ? STR("inf") : STR("-inf"));
    for (int n = 0; n < 17; n++) {
        snprintf(text, sizeof text, "%.*e", n, f);
        if (strtod(text, NULL) == f)
            break;
    }
    int         exponent = (int)strtol(strchr(text, 'e') + 1, NULL, 10), n = 0;
    const char *p = text;
    if (*p == '-' && !out_str(r, STR("-")))
        return false;
    for (; *p != 'e'; p++)
        if (*p >= '0' && *p <= '9')
            digits[n++] = *p;
    if (exponent < -4 || exponent >= 16)
        return out_printf(r, "%c%s%.*se%c%02d", digits[0], n > 1 ? "." : "", n - 1, digits + 1, exponent < 0 ? '-' : '+',
                          abs(exponent));
    if (exponent < 0)
        return out_printf(r, "0.%.*s%.*s", -exponent - 1, "000", n, digits);
    if (n <= exponent + 1)
        return out_printf(r, "%.*s%.*s.0", n, digits, exponent + 1 - n, "0000000000000000");
    return out_printf(r, "%.*s.%.*s", exponent + 1, digits, n - exponent - 1, digits + exponent + 1);
}

static bool hidden_char(struct run *r, uint32_t cp, bool user)
{
    char text[16];
    int  n = snprintf(text, sizeof text, cp < 0x100 ? "\\x%02x" : cp < 0x10000 ? "\\u%04x" : "\\U%08x", cp);
    return out_bytes(r, text, (size_t)n, user);
}

/* 'text', with its escapes; each keeps the mark of the character it stands for. */
static bool quoted(struct run *r, const struct text *t)
{
    struct str s = text_str(t);
    char       quote = str_find(s, STR("'")) != STR_NONE && str_find(s, STR("\"")) == STR_NONE ? '"' : '\'';
    if (!out_bytes(r, &quote, 1, false))
        return false;
    for (size_t at = 0, n; at < t->n; at += n) {
        uint32_t    cp = 0;
        bool        user = t->mark ? t->mark[at] : t->user, ok;
        const char *letter;
        n = utf8_decode((struct str){t->p + at, t->n - at}, &cp);
        CHECK(n > 0);
        if (cp == (uint32_t)quote || cp == '\\')
            ok = out_bytes(r, "\\", 1, user) && out_part(r, t, at, n);
        else if (cp && cp < 0x20 && (letter = strchr("\nn\rr\tt", (char)cp)) != NULL)
            ok = out_bytes(r, "\\", 1, user) && out_bytes(r, letter + 1, 1, user);
        else if (cp >= 0x20 && cp < 0x7F)
            ok = out_part(r, t, at, n);
        else if (unicode_is(cp, U_HIDDEN))
            ok = hidden_char(r, cp, user);
        else
            ok = out_part(r, t, at, n);
        if (!ok)
            return false;
    }
    return out_bytes(r, &quote, 1, false);
}

static bool listed(struct run *r, const struct value *at, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if ((i && !out_str(r, STR(", "))) || !print_repr(r, &at[i]))
            return false;
    return true;
}

static bool dict_repr(struct run *r, const struct dict *d)
{
    if (!out_str(r, STR("{")))
        return false;
    for (size_t i = 0; i < d->n; i++)
        if ((i && !out_str(r, STR(", "))) || !print_repr(r, &d->at[i].key) || !out_str(r, STR(": ")) ||
            !print_repr(r, &d->at[i].value))
            return false;
    return out_str(r, STR("}"));
}

static bool view_repr(struct run *r, const struct value *v)
{
    struct seq items;
    return value_items(r, v, &items) && out_printf(r, "%s([", value_type_name(v)) && listed(r, items.at, items.n) &&
           out_str(r, STR("])"));
}

static bool range_repr(struct run *r, const struct range *g)
{
    return out_printf(r, "range(%lld, %lld", (long long)g->start, (long long)g->stop) &&
           (g->step == 1 || out_printf(r, ", %lld", (long long)g->step)) && out_str(r, STR(")"));
}

static bool macro_repr(struct run *r, const struct macro *m)
{
    if (m->node->kind == N_CALL_BLOCK)
        return out_str(r, STR("<Macro anonymous>"));
    return out_str(r, STR("<Macro '")) && out_str(r, r->t->name[m->node->name]) && out_str(r, STR("'>"));
}

static bool repr(struct run *r, const struct value *v)
{
    switch (v->type) {
    case V_NONE: return out_str(r, STR("None"));
    case V_BOOL: return out_str(r, v->b ? STR("True") : STR("False"));
    case V_INT: return out_printf(r, "%lld", (long long)v->i);
    case V_FLOAT: return print_float(r, v->f);
    case V_STR:
        return (!v->text->markup || out_str(r, STR("Markup("))) && quoted(r, v->text) &&
               (!v->text->markup || out_str(r, STR(")")));
    case V_LIST: return out_str(r, STR("[")) && listed(r, v->seq->at, v->seq->n) && out_str(r, STR("]"));
    case V_TUPLE:
        return out_str(r, STR("(")) && listed(r, v->seq->at, v->seq->n) &&
               out_str(r, v->seq->n == 1 ? STR(",)") : STR(")"));
    case V_DICT: return dict_repr(r, v->dict);
    case V_KEYS:
    case V_VALUES:
    case V_ITEMS: return view_repr(r, v);
    case V_RANGE: return range_repr(r, v->range);
    case V_NAMESPACE: return out_str(r, STR("<Namespace ")) && dict_repr(r, v->dict) && out_str(r, STR(">"));
    case V_MACRO: return macro_repr(r, v->macro);
    case V_LOOP: return out_printf(r, "<LoopContext %zu/%zu>", v->loop->at + 1, v->loop->items.n);
    case V_FUNCTION: return out_printf(r, "<function %s>", v->native->name);
    case V_METHOD: return out_printf(r, "<built-in method %s of %s object>", v->method->native->name,
                                     value_type_name(&v->method->self));
    case V_MISSING:
    case V_UNDEFINED: return out_str(r, STR("Undefined"));
    default: return out_printf(r, "<%s object>", value_type_name(v));
    }
}

/* A list that holds the user's words is the user's as a whole, brackets and all. */
bool print_repr(struct run *r, const struct value *v)
{
    size_t from = run_top(r);
    if (!run_step(r) || !run_enter(r))
        return false;
    bool ok = repr(r, v);
    run_leave(r);
    if (ok)
        out_spread(r, from);
    return ok;
}

bool print_str(struct run *r, const struct value *v)
{
    if (v->type == V_STR)
        return out_text(r, v->text);
    return v->type == V_UNDEFINED || print_repr(r, v);
}

bool print_text(struct run *r, const struct value *v, struct value *out)
{
    size_t from = run_top(r);
    *out = *v;
    return v->type == V_STR || (print_str(r, v) && text_take(r, from, out));
}

bool print_escaped(struct run *r, const struct value *v)
{
    static const struct {
        char       c;
        struct str as;
    } entities[] = {
        {'&', {"&amp;", 5}}, {'<', {"&lt;", 4}}, {'>', {"&gt;", 4}}, {'"', {"&#34;", 5}}, {'\'', {"&#39;", 5}},
    };
    struct value s;
    if (!print_text(r, v, &s))
        return false;
    if (s.text->markup)
        return out_text(r, s.text);
    const struct text *t = s.text;
    size_t             done = 0;
    for (size_t i = 0; i < t->n; i++)
        for (size_t k = 0; k < sizeof entities / sizeof *entities; k++)
            if (t->p[i] == entities[k].c) {
                bool user = t->mark ? t->mark[i] : t->user;
                if (!out_part(r, t, done, i - done) || !out_bytes(r, entities[k].as.p, entities[k].as.n, user))
                    return false;
                done = i + 1;
            }
    return out_part(r, t, done, t->n - done);
}
