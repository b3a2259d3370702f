/* The team: every piece of every step once, no step before the last is done, whatever the number of threads. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "backend/cpu/team.h"

#include <sched.h>
#include <stdatomic.h>
#include <string.h>

enum { STEPS = 60, PIECES_MAX = 40 };

struct walk {
    _Atomic uint32_t done[STEPS][PIECES_MAX];
    _Atomic uint32_t asked[STEPS], wrong, n_worker;
    uint32_t         sum[STEPS][PIECES_MAX];    /* not atomic: what a step wrote must be seen by the next */
    unsigned         n_thread;
};

static uint32_t pieces_in(uint32_t step)
{
    return step % 7 == 3 ? 0 : step * 2654435761u >> 16 & (PIECES_MAX / 2 - 1) ? step % PIECES_MAX + 1 : 1;
}

static uint32_t pieces(void *ctx, uint32_t step)
{
    struct walk *w = ctx;
    atomic_fetch_add(&w->asked[step], 1);
    for (uint32_t s = 0; s < step; s++)         /* all before is done */
        for (uint32_t i = 0; i < pieces_in(s); i++)
            w->wrong += w->done[s][i] != 1;
    return pieces_in(step);
}

static void piece(void *ctx, uint32_t step, uint32_t i, unsigned worker)
{
    struct walk *w = ctx;
    uint32_t     before = 0;
    w->wrong += worker >= w->n_thread || i >= pieces_in(step);
    for (uint32_t s = step; s-- > 0 && before == 0;)
        for (uint32_t k = 0; k < pieces_in(s); k++)
            before += w->sum[s][k];
    w->sum[step][i] = before % 1000 + i + 1;
    if (i % 11 == 5)
        sched_yield();
    atomic_fetch_add(&w->done[step][i], 1);
}

static void every_piece_once_and_in_order(void **state)
{
    (void)state;
    static struct walk w, first;
    for (unsigned n = 1; n <= 7; n++) {
        struct team *t;
        struct err   e;
        assert_true(team_open(&t, n, &e));
        assert_int_equal(team_size(t), n);
        for (int round = 0; round < 200; round++) {
            memset(&w, 0, sizeof w);
            w.n_thread = n;
            team_run(t, &(struct work){STEPS, pieces, piece, &w});
            assert_int_equal(w.wrong, 0);
            for (uint32_t s = 0; s < STEPS; s++) {
                assert_int_equal(w.asked[s], 1);
                for (uint32_t i = 0; i < PIECES_MAX; i++)
                    assert_int_equal(w.done[s][i], i < pieces_in(s));
            }
            if (n == 1 && round == 0)
                memcpy(first.sum, w.sum, sizeof w.sum);
            assert_memory_equal(w.sum, first.sum, sizeof w.sum);
        }
        team_close(t);
    }
}

static void a_team_that_never_ran_ends(void **state)
{
    (void)state;
    struct team *t;
    struct err   e;
    assert_true(team_open(&t, 4, &e));
    team_run(t, &(struct work){0, pieces, piece, NULL});
    team_close(t);
    team_close(NULL);
    assert_false(team_open(&t, TEAM_MAX + 1, &e));
    assert_int_equal(e.kind, ERR_INVALID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_piece_once_and_in_order),
        cmocka_unit_test(a_team_that_never_ran_ends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
