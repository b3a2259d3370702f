/* list.c -- a program as text, a line an instruction:
 *
 *    12  layer 0    v21 [token, 96] = linear v20; model.layers.0.self_attn.q_proj.weight | … */
#include "program/op.h"

static void list_value(const struct prog *p, val v, struct buf *out)
{
    const struct value *x = prog_value(p, v);
    if (x->base.id)
        buf_printf(out, "v%u[%u..%u]", x->base.id, x->col, x->col + x->width);
    else
        buf_printf(out, "v%u", v.id);
}

static void list_weight(const struct weight *w, struct buf *out)
{
    char name[256];
    if (w->data)
        buf_printf(out, "%u constants", w->out);
    for (unsigned i = 0; i < 4 && w->part[i]; i++) {
        weight_name(w, i, name, sizeof name);
        buf_printf(out, "%s%s", i ? " | " : "", name);
    }
    if (w->n_expert)
        buf_printf(out, " of %u experts", w->n_expert);
}

static void list_instr(const struct prog *p, size_t at, struct buf *out)
{
    const struct instr  *i = prog_at(p, at);
    const struct value  *v = prog_value(p, i->out);
    const struct bundle *b = prog_bundle(p);
    buf_printf(out, "%4zu  ", at);
    if (i->layer)
        buf_printf(out, "layer %-3d ", i->layer - 1);
    else
        buf_printf(out, "%-10s", "");
    buf_printf(out, "v%u [%s", i->out.id, v->rows == ROWS_TOKEN ? "token" : "pick");
    if (v->per > 1)
        buf_printf(out, " / %u", v->per);
    buf_printf(out, ", %u] = %s", v->width, op_name((enum op)i->op));
    for (unsigned k = 0; k < 3 && i->in[k].id; k++) {
        buf_char(out, ' ');
        list_value(p, i->in[k], out);
    }
    for (unsigned k = 0; k < WEIGHTS_MAX; k++)
        if (i->w[k].id) {
            buf_str(out, STR("; "));
            list_weight(bundle_weight_at(b, i->w[k]), out);
        }
    if (i->s.id)
        buf_printf(out, "; state %u of %u", i->s.id, bundle_state_at(b, i->s)->width);
    const struct op_type *t = op_type((enum op)i->op);
    if (t->params)
        t->params(i, out);
    if (v->partial)
        buf_str(out, STR(" (partial)"));
    if (v->name)
        buf_printf(out, " -> %s", v->name);
    buf_char(out, '\n');
}

void prog_list(const struct prog *p, struct buf *out)
{
    for (size_t i = 0; i < prog_len(p); i++)
        list_instr(p, i, out);
}
