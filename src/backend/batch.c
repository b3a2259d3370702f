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

static void blocks_check(const struct batch *in, const struct plan_opts *o, uint32_t s, uint64_t n, uint32_t n_block)
{
    uint64_t blocks = (n + o->block_tokens - 1) / o->block_tokens;
    CHECK(blocks <= in->block_max);
    for (uint64_t i = 0; i < blocks; i++)
        CHECK(in->block[(uint64_t)s * in->block_max + i] < n_block);
}

static void seqs_check(const struct batch *in, const struct plan_opts *o, const struct prog *p, uint32_t n_block)
{
    uint32_t per = prog_per(p);
    bool     has_state = prog_has_state(p, STATE_TOKEN);
    CHECK(in->n_seq == 0 ? in->n_token == 0 : in->start[0] == 0 && in->start[in->n_seq] == in->n_token);
    for (uint32_t s = 0; s < in->n_seq; s++) {
        CHECK(in->start[s] <= in->start[s + 1] && in->start[s] % per == 0 && in->start[s + 1] % per == 0);
        uint64_t n = (uint64_t)in->past[s] + (in->start[s + 1] - in->start[s]);
        CHECK(n <= o->context_max && n <= batch_reach(in, s));
        if (has_state)
            blocks_check(in, o, s, n, n_block);
        for (uint32_t r = in->start[s]; in->see && r < in->start[s + 1]; r++)
            CHECK(in->see[r] > in->past[s] + (r - in->start[s]) && in->see[r] <= n && (r == in->start[s] || in->see[r] >= in->see[r - 1]));
    }
}

static void windows_check(const struct batch *in)
{
    CHECK(in->window && in->window[0] == 0 && in->window[in->n_window] == in->n_token);
    for (uint32_t w = 0, s = 0; w < in->n_window; w++) {
        CHECK(in->window[w] < in->window[w + 1]);
        while (in->start[s + 1] <= in->window[w])
            s++;
        CHECK(in->window[w + 1] <= in->start[s + 1]);
    }
}

static bool has_windows(const struct prog *p)
{
    for (size_t i = 0; i < prog_len(p); i++)
        if (prog_at(p, i)->op == OP_attend_all && prog_at(p, i)->attend_all.windows)
            return true;
    return false;
}

void batch_check(const struct batch *in, const struct plan_opts *o, const struct prog *p, uint32_t n_block)
{
    CHECK(in->n_token <= o->token_max && in->n_seq <= o->seq_max && in->n_pick <= o->pick_max);
    if (prog_has_state(p, STATE_SEQUENCE))
        slots_check(in, o);
    seqs_check(in, o, p, n_block);
    for (uint32_t i = 0; i < in->n_pick; i++)
        CHECK(in->pick[i] < in->n_token && (i == 0 || in->pick[i - 1] < in->pick[i]));
    for (uint32_t i = 0; i < prog_n_inputs(p); i++)
        CHECK(in->n_token == 0 || (in->input && in->input[i]));
    if (has_windows(p) && in->n_token)
        windows_check(in);
    for (uint32_t i = 0; i < in->n_span; i++) {
        const struct span *a = &in->span[i];
        CHECK(a->n <= in->n_token && a->row <= in->n_token - a->n && a->features);
        CHECK(i == 0 || a[-1].row + a[-1].n <= a->row);
    }
}
