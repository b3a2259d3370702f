/* embed -- rows of a table, chosen by token id. */
#include "program/op.h"

static bool shape(struct prog *p, const struct instr *i, struct value *out)
{
    const struct weight *table = bundle_weight_at(prog_bundle(p), i->w[0]);
    if (table->split != SPLIT_NONE)
        return prog_fail(p, "a table is not cut over ranks");
    out->width = table->in;
    return true;
}

static void params(const struct instr *i, struct buf *out)
{
    if (i->embed.scale != 1)
        buf_printf(out, " scale %g", (double)i->embed.scale);
}

static const struct op_case cases[] = {
    {.name = "one row", .instr.embed.scale = 1, .w[0] = {.part_out = {97}, .in = 256}, .seq = {1}},
    {.name = "odd width", .instr.embed.scale = 1, .w[0] = {.part_out = {97}, .in = 37}, .seq = {5, 3}},
    {.name = "scaled, many rows", .instr.embed.scale = 22.627417f, .w[0] = {.part_out = {300}, .in = 512},
     .seq = {200}},
    {.name = "small blocks", .instr.embed.scale = 0.5f, .w[0] = {.part_out = {11}, .in = 96}, .seq = {33}},
    {0},
};

const struct op_type op_embed = {
    .n_in = 1, .n_w = 1, .n_w_max = 1, .integer = true, .shape = shape, .params = params, .cases = cases};
