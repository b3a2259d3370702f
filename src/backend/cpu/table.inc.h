/* table.inc.h -- the functions of one instruction set, ISA, gathered. */
#define NAME_(isa) kernels_##isa
#define NAME(isa)  NAME_(isa)
#define TEXT_(isa) #isa
#define TEXT(isa)  TEXT_(isa)

const struct kernels NAME(ISA) = {
    .isa = TEXT(ISA),
    .fast = {
#define PANEL(format, ...) [FORMAT_##format] = linear_fast_##format,
#include "backend/cpu/panels.def"
#undef PANEL
    },
    .exact = {
#define FORMAT(format, ...) [FORMAT_##format] = linear_exact_##format,
#include "base/formats.def"
#undef FORMAT
    },
    .quantise = row_quantise,
    .norm = row_norm,
    .glu = row_glu,
    .act = row_act,
    .add = row_add,
    .mul = row_mul,
    .add_scaled = row_add_scaled,
    .scale = row_scale,
    .rope = row_rope,
    .append = kv_append,
    .attend = attend_run,
    .conv = conv_run,
    .scan = scan_run,
};
