/* Packed and read back: every format, to the bit, with rows that do not fill a panel and parts that share one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "backend/cpu/pack.h"
#include "backend/ref/ref.h"
#include "base/mem.h"
#include "rig.h"

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
            ref_decode(part[i].format, (const char *)part[i].data + format_bytes(part[i].format, IN) * r, IN, want);
            if (!near_all(got, want, IN)) {
                printf("%s: part %u, row %u\n", format_info(part[i].format)->name, i, r);
                return false;
            }
        }
    return true;
}

static void every_format_comes_back(void **state)
{
    (void)state;
    struct team *team;
    assert_true(team_open(&team, 2, NULL));
    for (int f = 0; f < FORMAT_COUNT; f++) {
        struct weight w = {.part = {"a", "b", "c"}, .part_out = {64, 40, 7}, .out = 111, .in = IN};
        struct tensor part[PARTS];
        char         *data[PARTS];
        for (unsigned i = 0; i < PARTS; i++) {
            enum format own = i == 2 ? (enum format)((f + 1) % FORMAT_COUNT) : (enum format)f;
            size_t      n = (size_t)w.part_out[i] * IN, bytes = format_bytes(own, n);
            data[i] = mem_new(bytes + 1);
            rig_fill(own, n, (uint64_t)f * 8 + i, data[i] + 1);
            part[i] = (struct tensor){.data = data[i] + 1, .bytes = bytes, .shape = {w.part_out[i], IN}, .n_dim = 2,
                                      .format = own};
        }
        struct packed m;
        pack_plan(&w, part, PARTS, &m);
        uint8_t *p = mem_try((size_t)m.bytes);
        assert_non_null(p);
        pack_fill(&m, &w, part, p, team);
        assert_true(rows_come_back(&m, &w, part));
        mem_try_free(p, (size_t)m.bytes);
        for (unsigned i = 0; i < PARTS; i++)
            free(data[i]);
    }
    team_close(team);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_format_comes_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
