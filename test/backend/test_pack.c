/* Packed and read back: every format, to the bit, with rows that do not fill a panel and parts that share one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "backend/cpu/pack.h"
#include "backend/ref/ref.h"
#include "base/mem.h"
#include "proof/rig.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { IN = 512, PARTS = 3 };

/* ref and the panels may round d * code + m differently, but only there. */
static bool near_all(const float *a, const float *b, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        if (!(fabsf(a[i] - b[i]) <= 1e-6f + 1e-5f * fabsf(b[i])))
            return false;
    return true;
}

static bool rows_come_back(const struct packed *m, const struct weight *w, const struct tensor part[])
{
    float    got[IN], want[IN];
    uint32_t row = 0;
    for (unsigned i = 0; i < PARTS; i++)
        for (uint32_t r = 0; r < w->part_out[i]; r++, row++) {
            pack_row(m, row, got);
            ref_decode_row(&part[i], r, IN, want);
            if (!near_all(got, want, IN)) {
                printf("%s: part %u, row %u\n", format_info(part[i].format)->name, i, r);
                return false;
            }
        }
    return true;
}

static void comes_back(const struct weight *w, const struct tensor part[], struct team *team)
{
    struct packed m;
    pack_plan(w, part, PARTS, &m);
    uint8_t *p = mem_try((size_t)m.bytes);
    assert_non_null(p);
    pack_fill(&m, w, part, p, team);
    assert_true(rows_come_back(&m, w, part));
    mem_try_free(p, (size_t)m.bytes);
}

static void every_format_comes_back(void **state)
{
    (void)state;
    struct team *team;
    assert_true(team_open(&team, 2, NULL));
    for (int f = 0; f < FORMAT_COUNT; f++)
        for (uint64_t seed = 0; seed < 8; seed++) {
            const struct weight w = {.part = {"a", "b", "c"}, .part_out = {64, 40, 7}, .out = 111, .in = IN};
            struct tensor       part[PARTS];
            char               *data[PARTS];
            for (unsigned i = 0; i < PARTS; i++)
                data[i] = rig_tensor((enum format)(i == 2 ? (f + 1) % FORMAT_COUNT : f), w.part_out[i], IN, seed * 8 + i, false,
                                     &part[i]);
            comes_back(&w, part, team);
            for (unsigned i = 0; i < PARTS; i++)
                free(data[i]);
        }
    team_close(team);
}

/* Every scale of eight bits, with the number whose code is `code` everywhere: to the bit, as they are exact in panels. */
static void small_scales_come_back(void **state)
{
    (void)state;
    static const struct { enum format format; uint32_t group; int code; } kinds[] = {
        {FORMAT_MXFP4, 32, 0x2f}, {FORMAT_MXFP8, 32, 0x93}, {FORMAT_NVFP4, 16, 0x5d}};
    struct team *team;
    assert_true(team_open(&team, 1, NULL));
    for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++) {
        static uint8_t scale[256], codes[256 * 32];
        static float   got[256 * 32], want[256 * 32];
        uint32_t       in = 256 * kinds[k].group;
        struct tensor  t = {.data = codes, .shape = {1, in}, .n_dim = 2, .format = kinds[k].format,
                            .scales = {.scale = scale, .group = kinds[k].group}};
        struct weight  w = {.part = {"a"}, .part_out = {1}, .out = 1, .in = in};
        struct packed  m;
        for (int i = 0; i < 256; i++)
            scale[i] = (uint8_t)i;
        memset(codes, kinds[k].code, sizeof codes);
        pack_plan(&w, &t, 1, &m);
        uint8_t *p = mem_try((size_t)m.bytes);
        assert_non_null(p);
        pack_fill(&m, &w, &t, p, team);
        pack_row(&m, 0, got);
        ref_decode_row(&t, 0, in, want);
        for (uint32_t i = 0; i < in; i++)
            if (got[i] != want[i])
                fail_msg("%s, scale %u: %g, not %g", tensor_kind(&t).text, i / kinds[k].group, (double)got[i], (double)want[i]);
        mem_try_free(p, (size_t)m.bytes);
    }
    team_close(team);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_format_comes_back),
        cmocka_unit_test(small_scales_come_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
