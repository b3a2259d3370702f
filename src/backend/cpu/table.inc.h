/* table.inc.h -- the functions of one instruction set, ISA, gathered. */
#define NAME_(isa) kernels_##isa
#define NAME(isa)  NAME_(isa)
#define TEXT_(isa) #isa
#define TEXT(isa)  TEXT_(isa)

const struct kernels NAME(ISA) = {
    .isa = TEXT(ISA),
    .fast = {
#define PANEL(format, quants, scales, tops, offset, minimum, halves, as, codes) FAST_##codes(format)
#define FAST_WHOLE(format) [FORMAT_##format] = linear_fast_##format,
#define FAST_E2M1(format)  FAST_WHOLE(format)
#define FAST_E4M3(format)
#include "backend/cpu/panels.def"
#undef PANEL
    },
    .exact = {
        [FORMAT_F32] = linear_exact_F32,
        [FORMAT_F16] = linear_exact_F16,
        [FORMAT_BF16] = linear_exact_BF16,
#define PANEL(format, ...) [FORMAT_##format] = linear_exact_##format,
#include "backend/cpu/panels.def"
#undef PANEL
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
    .delta = delta_run,
#ifdef LINEAR_PAIRS
    .halves = {[FORMAT_BF16] = linear_pairs_BF16},
    .halve = row_halve,
#endif
#ifdef ATTEND_PAIRS
    .pairs = true,
#endif
};
