/* cpu.c -- the CPU backend: opens a team, takes weights in, holds the states. */
#include "backend/cpu/cpu.h"

#include "backend/cpu/touch.h"
#include "backend/host.h"

#include "base/mem.h"
#include "base/threads.h"

#include <stdlib.h>
#include <string.h>

static void cpu_close(struct backend *b)
{
    if (!b)
        return;
    touch_stop(b->touch);
    team_close(b->team);
    for (size_t i = 0; i < b->n_state; i++)
        mem_try_free(b->state[i].p, b->state[i].bytes);
    places_drop(&b->places);
    free(b->state);
    free(b->weight);
    free(b->here);
    free(b);
}

static bool cpu_open(struct backend **out, const struct backend_opts *o, struct err *e)
{
    const struct kernels *k = kernels_find(o->isa);
    if (!k)
        return err_set(e, ERR_UNSUPPORTED, "this machine does not run %s kernels", o->isa);
    struct backend *b = mem_new(sizeof *b);
    b->kernels = k;
    b->precision = o->precision;
    b->pack = o->pack;
    if (!team_open(&b->team, o->n_thread ? o->n_thread : cpu_count(), e)) {
        cpu_close(b);
        return false;
    }
    *out = b;
    return true;
}

static bool cpu_size(struct backend *b, const struct prog *p, const struct plan_opts *o, struct cost *out, struct err *e)
{
    (void)e;
    *out = (struct cost){.scratch_bytes = plan_scratch_bytes(b, p, o)};
    for (size_t i = 0; i < prog_len(p); i++) {
        if (!prog_at(p, i)->s.id)
            continue;
        const struct state *s = bundle_state_at(prog_bundle(p), prog_at(p, i)->s);
        *(s->kind == STATE_SEQUENCE ? &out->slot_bytes : &out->block_bytes) += state_bytes(s, o->block_tokens, b->precision);
    }
    return true;
}

static uint64_t cpu_weight_bytes(const struct backend *b, const struct weight *w, const struct tensor part[], size_t n)
{
    (void)b;
    struct packed plan;
    pack_plan(w, part, n, &plan);
    return plan.bytes;
}

static void cpu_expect(struct backend *b, const struct bundle *m, const struct parts parts[])
{
    places_expect(&b->places, &b->pack, m, parts, b->team);
}

static void cpu_kept(const struct backend *b, struct kept *out)
{
    *out = b->places.kept;
}

static bool cpu_adopt(struct backend *b, const struct bundle *m, wt w, const struct tensor part[], size_t n, struct err *e)
{
    CHECK(n <= 4 && w.id > 0 && w.id <= bundle_n_weights(m));
    if (!b->weight) {
        b->n_weight = bundle_n_weights(m);
        b->weight = mem_array(b->n_weight, sizeof *b->weight);
        b->here = mem_array(b->n_weight, sizeof *b->here);
    }
    const struct weight *x = bundle_weight_at(m, w);
    struct packed        plan;
    CHECK(!b->here[w.id - 1]);
    pack_plan(x, part, n, &plan);
    bool     filled = false;
    uint8_t *p = plan.bytes ? places_take(&b->places, w, plan.bytes, &filled) : NULL;
    if (plan.bytes && !p)
        return err_set(e, ERR_MEMORY, "no memory for a weight of %llu bytes", (unsigned long long)plan.bytes);
    if (filled)
        pack_at(&plan, p);
    else if (p)
        pack_fill(&plan, x, part, p, b->team);
    places_done(&b->places, b->team);
    b->weight[w.id - 1] = plan;
    b->here[w.id - 1] = true;
    return true;
}

static bool cpu_reserve(struct backend *b, const struct bundle *m, const struct plan_opts *o, uint32_t n, struct err *e)
{
    CHECK(!b->state && o->block_tokens > 0);
    size_t         n_state = bundle_n_states(m);
    struct states *state = mem_array(n_state, sizeof *state);
    for (size_t i = 0; i < n_state; i++) {
        struct states *s = &state[i];
        const struct state *kind = bundle_state_at(m, (st){(uint16_t)(i + 1)});
        s->block_bytes = state_bytes(kind, o->block_tokens, b->precision);
        s->slots = kind->kind == STATE_SEQUENCE;
        s->n = kind->kind == STATE_SEQUENCE ? o->seq_max + o->slot_extra : n;
        if (!__builtin_mul_overflow(s->block_bytes, (size_t)s->n, &s->bytes) && (s->p = mem_try(s->bytes)) != NULL)
            continue;
        while (i-- > 0)
            mem_try_free(state[i].p, state[i].bytes);
        free(state);
        return err_set(e, ERR_MEMORY, "no memory for %u blocks of %u tokens", n, o->block_tokens);
    }
    b->state = state;
    b->n_state = n_state;
    b->n_block = n;
    b->block_tokens = o->block_tokens;
    b->touch = touch_start(state, n_state, n);
    return true;
}

static void copy_states(struct backend *b, bool slots, uint32_t from, uint32_t to)
{
    for (size_t i = 0; i < b->n_state; i++) {
        const struct states *s = &b->state[i];
        if (s->slots != slots)
            continue;
        CHECK(from < s->n && to < s->n && from != to);
        memcpy(s->p + to * s->block_bytes, s->p + from * s->block_bytes, s->block_bytes);
    }
}

static void cpu_copy(struct backend *b, uint32_t from, uint32_t to)
{
    copy_states(b, false, from, to);
}

static void cpu_slot_copy(struct backend *b, uint32_t from, uint32_t to)
{
    copy_states(b, true, from, to);
}

static bool cpu_compile(struct backend *b, const struct prog *p, const struct plan_opts *o, struct plan **out,
                        struct err *e)
{
    const struct bundle *m = prog_bundle(p);
    if (bundle_world(m) != 1)
        return err_set(e, ERR_UNSUPPORTED, "cpu runs one rank, not %d", bundle_world(m));
    CHECK(b->n_state == bundle_n_states(m) && b->n_weight == bundle_n_weights(m));
    CHECK(!prog_has_state(p, STATE_TOKEN) || b->block_tokens == o->block_tokens);
    for (size_t i = 0; i < b->n_weight; i++)
        CHECK(b->here[i]);
    return plan_compile(b, p, o, out, e);
}

static bool cpu_run(struct plan *pl, const struct batch *in, bool *done, struct err *e)
{
    (void)e;
    CHECK(done || !in->run_max);
    bool over = plan_run(pl, in);
    if (done)
        *done = over;
    return true;
}

static void cpu_stop(struct plan *pl)
{
    pl->going = false;
}

static bool cpu_keep(struct plan *pl, const char *name, uint32_t from, uint32_t n, struct features *into, size_t at, struct err *e)
{
    val v = prog_result(pl->prog, name);
    CHECK(v.id);
    struct operand o = plan_operand(pl, v);
    return host_keep(plan_value(pl, &o), plan_rows(pl, &o), o.width, from, n, into, at, e);
}

static const float *cpu_result(struct plan *pl, const char *name)
{
    val v = prog_result(pl->prog, name);
    if (!v.id)
        return NULL;
    struct operand o = plan_operand(pl, v);
    return plan_value(pl, &o);
}

static bool cpu_tap(struct plan *pl, val v, float *out, struct err *e)
{
    if (!pl->opts.keep_all)
        return err_set(e, ERR_UNSUPPORTED, "values share their storage in this plan");
    if (prog_value(pl->prog, v)->integer)
        return err_set(e, ERR_UNSUPPORTED, "token ids are not kept");
    struct operand o = plan_operand(pl, v);
    const float   *x = plan_value(pl, &o);
    for (uint32_t r = 0; r < plan_rows(pl, &o); r++)
        memcpy(out + (size_t)r * o.width, x + (size_t)r * o.stride, o.width * sizeof *out);
    return true;
}

static const char *cpu_kernel(const struct plan *pl, size_t i)
{
    CHECK(i < prog_len(pl->prog));
    return pl->name[i];
}

const struct backend_type backend_cpu = {
    .name = "cpu",
    .about = "the processor: AVX-512 VNNI, AVX2, NEON or portable C, chosen at run time; weights repacked once",
    .open = cpu_open,
    .close = cpu_close,
    .size = cpu_size,
    .weight_bytes = cpu_weight_bytes,
    .expect = cpu_expect,
    .kept = cpu_kept,
    .adopt = cpu_adopt,
    .reserve = cpu_reserve,
    .copy = cpu_copy,
    .slot_copy = cpu_slot_copy,
    .compile = cpu_compile,
    .plan_free = plan_drop,
    .run = cpu_run,
    .stop = cpu_stop,
    .result = cpu_result,
    .features_new = host_features_new,
    .features_free = host_features_free,
    .features_write = host_features_write,
    .features_read = host_features_read,
    .keep = cpu_keep,
    .tap = cpu_tap,
    .kernel = cpu_kernel,
};
