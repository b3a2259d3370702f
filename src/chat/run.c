/* run.c -- budgets, failures, and names. */
#include "chat/run.h"

#include "chat/ast.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* Expressions, statements and data inside each other: what the C stack has to hold. */
enum { NEST_MAX = 1000 };

/* Failures are one line, whatever a template puts into its words. */
static void one_line(char *s)
{
    for (; *s; s++)
        if ((unsigned char)*s < ' ')
            *s = ' ';
}

bool run_fail(struct run *r, const char *fmt, ...)
{
    char    text[sizeof r->err->text];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    one_line(text);
    return err_set(r->err, ERR_INVALID, "line %u: %s", r->line, text);
}

bool run_limit(struct run *r, const char *what)
{
    return err_set(r->err, ERR_TOO_LARGE, "line %u: the template %s", r->line, what);
}

bool run_work(struct run *r, size_t bytes)
{
    uint64_t steps = bytes / 256;
    if (r->steps < steps) {
        r->steps = 0;
        return run_limit(r, "takes too many steps");
    }
    r->steps -= steps;
    return true;
}

bool run_step(struct run *r)
{
    if (r->steps == 0)
        return run_limit(r, "takes too many steps");
    r->steps--;
    return true;
}

bool run_enter(struct run *r)
{
    if (r->nest >= NEST_MAX)
        return run_limit(r, "is nested too deep");
    r->nest++;
    return true;
}

void run_leave(struct run *r)
{
    r->nest--;
}

void *run_new(struct run *r, size_t n, size_t each)
{
    size_t bytes;
    void  *p = NULL;
    if (!__builtin_mul_overflow(n, each, &bytes) && bytes < r->bytes_max && r->out.n < r->bytes_max - bytes) {
        r->arena.bytes_max = r->bytes_max - r->out.n;
        p = arena_new(&r->arena, bytes);
    }
    if (!p)
        (void)run_limit(r, "makes too many bytes");
    return p;
}

void run_cut(struct run *r, size_t from)
{
    r->out.n = from;
    r->mark.n = from;
}

/* Turns of a loop use one scope again and again, unless a macro holds on to it. */
bool scope_push(struct run *r)
{
    struct scope *s = run_new(r, 1, sizeof *s);
    if (!s)
        return false;
    s->outer = r->scope;
    r->scope = s;
    return true;
}

void scope_pop(struct run *r)
{
    r->scope = r->scope->outer;
}

bool scope_set(struct run *r, uint32_t name, const struct value *v)
{
    struct scope *s = r->scope;
    if (!s) {
        r->global[name] = *v;
        return true;
    }
    for (size_t i = 0; i < s->n; i++)
        if (s->at[i].name == name) {
            s->at[i].value = *v;
            return true;
        }
    if (s->n == s->room) {
        size_t          room = s->room ? s->room * 2 : 4;
        struct binding *at = run_new(r, room, sizeof *at);
        if (!at)
            return false;
        if (s->n)
            memcpy(at, s->at, s->n * sizeof *at);
        s->at = at;
        s->room = room;
    }
    s->at[s->n++] = (struct binding){name, *v};
    return true;
}

bool scope_get(struct run *r, uint32_t name, struct value *out)
{
    for (const struct scope *s = r->scope; s; s = s->outer)
        for (size_t i = 0; i < s->n; i++)
            if (s->at[i].name == name) {
                *out = s->at[i].value;
                return true;
            }
    if (r->global[name].type != V_MISSING) {
        *out = r->global[name];
        return true;
    }
    struct str           s = r->t->name[name];
    const struct native *f = find_global(s);
    if (f) {
        *out = (struct value){.type = V_FUNCTION, .native = f};
        return true;
    }
    return value_undefined(r, out, "'%.*s' is undefined", (int)(s.n < 200 ? s.n : 200), s.p);
}
