/* wrong.c -- hearth-mlx.so as nobody wants it: ref, but for rope, whose first number is off by a bit.  hearth doctor must say so. */
#include "backend/plugin.h"

#include "program/op.h"

#include <string.h>

extern const struct backend_type backend_ref;

static bool turns;          /* the program compiled last has a rope */

static bool compile(struct backend *b, const struct prog *p, const struct plan_opts *o, struct plan **out, struct err *e)
{
    turns = false;
    for (size_t i = 0; i < prog_len(p); i++)
        turns = turns || prog_at(p, i)->op == OP_rope;
    return backend_ref.compile(b, p, o, out, e);
}

static const float *result(struct plan *pl, const char *name)
{
    const float *rows = backend_ref.result(pl, name);
    float       *mine;
    memcpy(&mine, &rows, sizeof mine);          /* they are the plan's, and may be written */
    if (turns && mine)
        mine[0] += 0.5f;
    return rows;
}

const struct backend_type *hearth_backend(const char *abi)
{
    static struct backend_type t;
    t = backend_ref;
    t.name = "mlx";
    t.about = "wrong about rope";
    t.compile = compile;
    t.result = result;
    return strcmp(abi, HEARTH_ABI) == 0 ? &t : NULL;
}
