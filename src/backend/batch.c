/* batch.c -- see batch.h. */
#include "backend/batch.h"

uint32_t batch_reach(const struct batch *in, uint32_t s)
{
    return in->reach ? in->reach[s] : in->past[s] + (in->start[s + 1] - in->start[s]);
}

/* No two sequences in one slot. */
static void slots_check(const struct batch *in, const struct plan_opts *o)
{
    CHECK(in->slot || in->n_seq == 0);
    for (uint32_t s = 0; s < in->n_seq; s++) {
        CHECK(in->slot[s] < o->seq_max + o->slot_extra);
        for (uint32_t k = 0; k < s; k++)
            CHECK(in->slot[k] != in->slot[s]);
    }
}

void batch_check(const struct batch *in, const struct plan_opts *o, const struct bundle *m, uint32_t n_block)
{
    bool has_state = bundle_has_state(m, STATE_TOKEN);
    if (bundle_has_state(m, STATE_SEQUENCE))
        slots_check(in, o);
    CHECK(in->n_token <= o->token_max && in->n_seq <= o->seq_max && in->n_pick <= o->pick_max);
    CHECK(in->n_seq == 0 ? in->n_token == 0 : in->start[0] == 0 && in->start[in->n_seq] == in->n_token);
    for (uint32_t s = 0; s < in->n_seq; s++) {
        CHECK(in->start[s] <= in->start[s + 1]);
        uint64_t n = (uint64_t)in->past[s] + (in->start[s + 1] - in->start[s]);
        uint64_t blocks = (n + o->block_tokens - 1) / o->block_tokens;
        CHECK(n <= o->context_max && n <= batch_reach(in, s));
        CHECK(!has_state || blocks <= in->block_max);
        for (uint64_t i = 0; has_state && i < blocks; i++)
            CHECK(in->block[(uint64_t)s * in->block_max + i] < n_block);
    }
    for (uint32_t i = 0; i < in->n_pick; i++)
        CHECK(in->pick[i] < in->n_token && (i == 0 || in->pick[i - 1] < in->pick[i]));
}
