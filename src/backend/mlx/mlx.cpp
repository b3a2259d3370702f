/* mlx.cpp -- the backend's face: what backend.h asks for, and nothing of MLX's exceptions let out. */
#include "backend/mlx/mlx.h"

#include "backend/batch.h"
#include "backend/mlx/direct.h"
#include "backend/mlx/kernels.h"
#include "backend/plugin.h"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <new>

namespace {

/* Of buffers that were given back; loading would else keep every one that it needs once. */
constexpr size_t CACHE_WHILE_LOADING = size_t{64} << 20;

/* Everything is rounded to 11 bits, and to 8 where the matrices are bfloat16 or float32; MLX's CPU backend, unlike its
 * GPUs, adds up quantised products in that type too (measured: 0.067), and a sharp softmax enlarges what its scores have
 * lost (0.088).  A wrong code or place would give 1. */
constexpr double FAST_ERROR = 0.1;

/* Runs f, on the backend's streams; an exception becomes *e. */
template <typename F> bool guarded(const struct backend *b, struct err *e, F f)
{
    try {
        if (b) {
            mx::set_default_device(b->stream.device);
            mx::set_default_stream(b->stream);
        }
        return f();
    } catch (const std::bad_alloc &) {
        return err_set(e, ERR_MEMORY, "mlx: no memory");
    } catch (const std::exception &x) {
        return err_set(e, ERR_INTERNAL, "mlx: %s", x.what());
    }
}

uint64_t item_bytes(const struct backend *b)
{
    return b->exact ? 4 : 2;
}

/* ---- opening and closing ----------------------------------------------------------------------------------------- */

bool mlx_open(struct backend **out, const struct backend_opts *o, struct err *e)
{
    return guarded(nullptr, e, [&] {
        if (o->kv_format != KV_FORMAT_F16)
            return err_set(e, ERR_UNSUPPORTED, "mlx keeps no keys and values in int8");
        bool exact = o->precision == PRECISION_EXACT, gpu = mx::is_available(mx::Device::gpu);
        mx::Device device = gpu ? mx::Device::gpu : mx::Device::cpu;
        mx::Stream stream = mx::new_thread_unsafe_stream(device);
        mx::Stream host = gpu ? mx::new_thread_unsafe_stream(mx::Device::cpu) : stream;
        bool       portable = o->isa && std::strcmp(o->isa, "portable") == 0;
        if (o->isa && !portable)
            return err_set(e, ERR_UNSUPPORTED, "mlx has no %s kernels", o->isa);
        auto b = std::make_unique<struct backend>(stream, host, gpu, exact);
        if (exact)
            b->type = mx::float32;
        mx::set_default_device(device);
        mx::set_default_stream(stream);
        if (gpu)
            mx::set_cache_limit(CACHE_WHILE_LOADING);
        b->in_place = !portable && write_works(b.get());
        *out = b.release();
        return true;
    });
}

void mlx_close(struct backend *b)
{
    guarded(b, nullptr, [&] {
        if (b)
            mx::synchronize(b->stream);
        return true;
    });
    delete b;
}

/* ---- weights and states ------------------------------------------------------------------------------------------ */

uint64_t mlx_weight_bytes(const struct backend *b, const struct weight *w, const struct tensor part[], size_t n)
{
    return weights_bytes(w, part, n, item_bytes(b));
}

/* In fast precision the first matrix decides: activations are bfloat16 where it or its scales are, as such models may exceed
 * float16, and float16 otherwise, which loses nothing of GGUF's scales. */
void decide(struct backend *b, const struct tensor *t)
{
    enum scale_kind apart = format_info(t->format)->scale;
    enum format     number = apart == SCALE_INSIDE ? t->format : apart == SCALE_AFFINE ? t->scales.as : FORMAT_BF16;
    if (!b->type)
        b->type = number == FORMAT_BF16 || number == FORMAT_F32 ? mx::bfloat16 : mx::float16;
}

bool mlx_adopt(struct backend *b, const struct bundle *m, wt w, const struct tensor part[], size_t n, struct err *e)
{
    return guarded(b, e, [&] {
        const struct weight *x = bundle_weight_at(m, w);
        b->weight.resize(bundle_n_weights(m));
        held &h = b->weight[w.id - 1u];
        CHECK(n <= 4 && !h.here);
        if (n && x->in > 1)
            decide(b, part);
        h.pieces = weights_take(x, part, n, b->type.value_or(mx::float16));
        h.here = true;
        if (x->n_expert && x->expert + 1 == x->n_expert)
            weights_gather(&h - x->expert, x->n_expert, b->type.value_or(mx::float16));
        b->weight_bytes += weights_bytes(x, part, n, item_bytes(b));
        return true;
    });
}

bool mlx_reserve(struct backend *b, const struct bundle *m, const struct plan_opts *o, uint32_t n, struct err *e)
{
    CHECK(b->state.empty() && o->block_tokens > 0);
    return guarded(b, e, [&] {
        uint64_t rows = uint64_t{n} * o->block_tokens;
        if (rows > INT32_MAX)
            return err_set(e, ERR_MEMORY, "no memory for %u blocks of %u tokens", n, o->block_tokens);
        std::vector<std::vector<mx::array>> all;
        for (size_t i = 1; i <= bundle_n_states(m); i++) {
            const struct state *s = bundle_state_at(m, {static_cast<uint16_t>(i)});
            int  width = static_cast<int>(s->width), n_row = static_cast<int>(rows), n_slot = static_cast<int>(o->seq_max + o->slot_extra);
            auto half = [&] { return mx::zeros({n_row, width / 2}, b->type.value_or(mx::float16)); };
            if (s->kind == STATE_TOKEN)
                all.push_back({half(), half()});
            else
                all.push_back({mx::zeros({n_slot, width}, mx::float32)});
            mx::eval(all.back());
        }
        b->state = std::move(all);
        b->n_block = n;
        b->block_tokens = o->block_tokens;
        return true;
    });
}

/* Rows from `from` on, n of them, over those from `to` on, in all states that are made of so many arrays. */
void copy_rows(struct backend *b, size_t n_array, uint64_t from, uint64_t to, uint32_t n)
{
    struct err e = {};
    bool       ok = guarded(b, &e, [&] {
        int       at = static_cast<int>(from), rows = static_cast<int>(n);
        mx::array slots = mx::arange(static_cast<int>(to), static_cast<int>(to) + rows, mx::int32);
        for (auto &state : b->state)
            for (size_t i = 0; state.size() == n_array && i < n_array; i++) {
                mx::array &s = state[i];
                CHECK(at + rows <= s.shape(0) && static_cast<int>(to) + rows <= s.shape(0));
                s = write_rows(s, mx::slice(s, {at, 0}, {at + rows, s.shape(1)}), slots, b->in_place);
            }
        return true;
    });
    if (!ok)
        b->broken = e.text;
}

void mlx_copy(struct backend *b, uint32_t from, uint32_t to)
{
    CHECK(from < b->n_block && to < b->n_block && from != to);
    copy_rows(b, 2, uint64_t{from} * b->block_tokens, uint64_t{to} * b->block_tokens, b->block_tokens);
}

void mlx_slot_copy(struct backend *b, uint32_t from, uint32_t to)
{
    CHECK(from != to);
    copy_rows(b, 1, from, to, 1);
}

/* ---- plans ------------------------------------------------------------------------------------------------------- */

/* Of a token in the widest OP_experts: what goes in, between and out, once for each that it chooses. */
uint64_t experts_floats(const struct prog *p)
{
    uint64_t most = 0;
    for (size_t k = 0; k < prog_len(p); k++) {
        const struct instr *i = prog_at(p, k);
        if (i->op == OP_experts) {
            const struct weight *up = bundle_weight_at(prog_bundle(p), i->w[0]), *down = bundle_weight_at(prog_bundle(p), i->w[1]);
            most = std::max(most, i->experts.k * (uint64_t{up->in} + up->out + down->in + down->out));
        }
    }
    return most;
}

/* MLX keeps what a step gave back for the next one.  Most values live at the same time as few others, but it is free to
 * compute in an order of its own: so counted as if nothing were shared but half of it at a time.  Attention reads a
 * layer's states through a copy when blocks lie apart. */
uint64_t scratch_bytes(const struct backend *b, const struct prog *p, const struct plan_opts *o)
{
    struct storage s;
    uint64_t       item = item_bytes(b), widest = 0;
    storage_plan(p, o->keep_all, &s);
    uint64_t bytes = 2 * item * (uint64_t{s.token_floats} * o->token_max + uint64_t{s.pick_floats} * o->pick_max);
    storage_drop(&s);
    for (size_t i = 1; i <= bundle_n_states(prog_bundle(p)); i++)
        if (bundle_state_at(prog_bundle(p), {static_cast<uint16_t>(i)})->kind == STATE_TOKEN)
            widest = std::max<uint64_t>(widest, bundle_state_at(prog_bundle(p), {static_cast<uint16_t>(i)})->width);
    bytes += widest * item * o->context_max + experts_floats(p) * item * o->token_max;
    val logits = prog_result(p, "logits");
    if (logits.id) {
        uint64_t n = prog_value(p, logits)->width;
        bytes += sizeof(float) * n * o->pick_max + (n <= INT32_MAX ? sample_bytes(static_cast<uint32_t>(n)) : 0);
    }
    return bytes;
}

bool mlx_size(struct backend *b, const struct prog *p, const struct plan_opts *o, struct cost *out, struct err *)
{
    *out = {};
    out->scratch_bytes = scratch_bytes(b, p, o);
    for (size_t i = 0; i < prog_len(p); i++) {
        if (!prog_at(p, i)->s.id)
            continue;
        const struct state *s = bundle_state_at(prog_bundle(p), prog_at(p, i)->s);
        if (s->kind == STATE_TOKEN)
            out->block_bytes += item_bytes(b) * o->block_tokens * s->width;
        else
            out->slot_bytes += sizeof(float) * s->width;
    }
    return true;
}

/* What Metal recommends that all programs' buffers together stay below; 0: nobody says. */
uint64_t working_set(const struct backend *b)
{
    const auto &info = mx::device_info(b->stream.device);
    auto        most = info.find("max_recommended_working_set_size");
    return most == info.end() ? 0 : std::get<size_t>(most->second);
}

/* On a GPU: weights and states stay where the GPU finds them at once, as far as the system allows; and what steps give
 * back is kept up to what the plan says a step needs. */
void limit_memory(const struct backend *b, const struct prog *p, const struct plan_opts *o)
{
    struct cost c;
    mlx_size(const_cast<struct backend *>(b), p, o, &c, nullptr);
    if (uint64_t most = working_set(b))
        mx::set_wired_limit(std::min<uint64_t>(most, b->weight_bytes + c.block_bytes * b->n_block + c.slot_bytes * (uint64_t{o->seq_max} + o->slot_extra) + c.scratch_bytes));
    mx::set_cache_limit(c.scratch_bytes);
}

bool mlx_compile(struct backend *b, const struct prog *p, const struct plan_opts *o, struct plan **out, struct err *e)
{
    const struct bundle *m = prog_bundle(p);
    if (bundle_world(m) != 1)
        return err_set(e, ERR_UNSUPPORTED, "mlx runs one rank, not %d", bundle_world(m));
    CHECK(b->state.size() == bundle_n_states(m) && b->weight.size() == bundle_n_weights(m));
    CHECK(!prog_has_state(p, STATE_TOKEN) || b->block_tokens == o->block_tokens);
    for (const held &h : b->weight)
        CHECK(h.here);
    return guarded(b, e, [&] {
        if (!b->type)
            b->type = mx::float16;
        auto pl = std::make_unique<struct plan>();
        pl->b = b;
        pl->prog = p;
        pl->opts = *o;
        pl->steps = walk_steps(b, p);
        val logits = prog_result(p, "logits");
        pl->n_vocab = logits.id ? prog_value(p, logits)->width : 0;
        bool may_count = logits.id && prog_n_inputs(p) == 0 && (b->n_block || !bundle_has_state(m, STATE_TOKEN));
        pl->overhead.n_op = may_count ? walk_count(pl.get()) : 0;
        if (b->gpu)
            limit_memory(b, p, o);
        pl->direct = direct_new(pl.get(), &pl->not_direct);
        if (pl->direct)
            direct_count(pl->direct, &pl->overhead);
        *out = pl.release();
        return true;
    });
}

void mlx_plan_free(struct plan *pl)
{
    if (!pl)
        return;
    guarded(pl->b, nullptr, [&] {
        mx::synchronize(pl->b->host);
        mx::synchronize(pl->b->stream);
        return true;
    });
    direct_free(pl->direct);
    sample_free(pl->sampler);
    delete pl;
}

using when = std::chrono::steady_clock::time_point;

uint64_t ns_since(when from)
{
    return static_cast<uint64_t>(std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::steady_clock::now() - from).count());
}

/* Adds the time of its own life to a run of one row a sequence; not where a kernel was compiled in it. */
struct host_time {
    struct plan *pl;
    unsigned     made = kernels_made();
    when         from = std::chrono::steady_clock::now();

    explicit host_time(struct plan *plan) : pl(plan) {}
    ~host_time()
    {
        pl->counts = pl->counts && made == kernels_made();
        if (pl->counts)
            pl->host_ns += ns_since(from);
    }
};

/* ---- runs -------------------------------------------------------------------------------------------------------- */

bool mlx_run(struct plan *pl, const struct batch *in, bool *done, struct err *e)
{
    struct backend *b = pl->b;
    batch_check(in, &pl->opts, pl->prog, b->n_block);
    CHECK(done || in->run_max == 0);
    if (done)
        *done = true;               /* MLX only takes the work here: it is not for this thread to wait for */
    if (!b->broken.empty())
        return err_set(e, ERR_INTERNAL, "%s", b->broken.c_str());
    return guarded(b, e, [&] {
        pl->counts = in->n_token == in->n_seq;
        pl->host_ns = 0;
        host_time t(pl);
        pl->host_rows.reset();
        pl->n_pick = in->n_pick;
        pl->was_direct = direct_run(pl, in);
        if (!pl->was_direct)
            walk_run(pl, in);
        return true;
    });
}

/* All states, and what else is wanted. */
std::vector<mx::array> heads_of(const struct backend *b)
{
    std::vector<mx::array> all;
    for (const auto &s : b->state)
        all.insert(all.end(), s.begin(), s.end());
    return all;
}

const float *mlx_result(struct plan *pl, const char *name)
{
    val        v = prog_result(pl->prog, name);
    struct err e = {};
    if (v.id >= pl->value.size() || !pl->value[v.id])
        return nullptr;
    bool ok = guarded(pl->b, &e, [&] {
        pl->host_rows = mx::contiguous(mx::astype(*pl->value[v.id], mx::float32));
        auto all = heads_of(pl->b);
        all.push_back(*pl->host_rows);
        mx::eval(std::move(all));
        return true;
    });
    return ok ? pl->host_rows->data<float>() : nullptr;
}

bool mlx_features_new(struct backend *, size_t bytes, struct features **out, struct err *)
{
    *out = new struct features;
    (*out)->bytes.resize(bytes);
    return true;
}

void mlx_features_free(struct features *x)
{
    delete x;
}

bool mlx_features_write(struct features *x, size_t at, const void *in, size_t bytes, struct err *)
{
    CHECK(at <= x->bytes.size() && bytes <= x->bytes.size() - at);
    std::memcpy(x->bytes.data() + at, in, bytes);
    return true;
}

bool mlx_features_read(const struct features *x, size_t at, void *out, size_t bytes, struct err *)
{
    CHECK(at <= x->bytes.size() && bytes <= x->bytes.size() - at);
    std::memcpy(out, x->bytes.data() + at, bytes);
    return true;
}

bool mlx_keep(struct plan *pl, const char *name, uint32_t from, uint32_t n, struct features *into, size_t at, struct err *e)
{
    const float *rows = mlx_result(pl, name);
    if (!rows)
        return err_set(e, ERR_INTERNAL, "MLX did not give %s", name);
    size_t width = static_cast<size_t>(pl->host_rows->shape(1));
    CHECK(uint64_t{from} + n <= static_cast<uint64_t>(pl->host_rows->shape(0)));
    return mlx_features_write(into, at, rows + from * width, n * width * sizeof *rows, e);
}

/* A number that is known when a run without picks is over: what it writes last. */
mx::array sign_of_end(const struct backend *b)
{
    return mx::negative(mx::slice(b->state.back().back(), {0, 0}, {1, 1}));
}

/* The host's part of the last run is over. */
void count_run(struct plan *pl)
{
    if (pl->counts) {
        pl->overhead.n_run++;
        pl->overhead.host_ns += pl->host_ns;
    }
    if (!pl->flights.empty())
        pl->flights.back()->counts = pl->counts;
}

bool draw(struct plan *pl, const struct draw how[], struct drawn out[], struct err *e)
{
    return guarded(pl->b, e, [&] {
        host_time t(pl);
        auto f = draw_begin(pl, how, out);
        if (f->done.empty() && !pl->b->state.empty())
            f->done = {sign_of_end(pl->b)};
        auto all = pl->was_direct ? std::vector<mx::array>() : heads_of(pl->b);
        all.insert(all.end(), f->done.begin(), f->done.end());
        mx::async_eval(std::move(all));
        pl->flights.push_back(std::move(f));
        /* Without writing in place, MLX may write into a state only when no earlier run holds it any more. */
        if (!pl->b->in_place)
            mx::synchronize(pl->b->stream);
        return true;
    });
}

bool mlx_draw(struct plan *pl, const struct draw how[], struct drawn out[], struct err *e)
{
    bool ok = draw(pl, how, out, e);
    count_run(pl);
    return ok;
}

/* A run has ended. */
void count_end(struct plan *pl, bool counts)
{
    if (counts && pl->followed) {
        pl->overhead.n_next++;
        pl->overhead.next_ns += ns_since(pl->ended);
    }
    pl->ended = std::chrono::steady_clock::now();
    pl->followed = !pl->flights.empty();
}

bool mlx_wait(struct plan *pl, struct err *e)
{
    CHECK(!pl->flights.empty());
    auto f = std::move(pl->flights.front());
    pl->flights.pop_front();
    return guarded(pl->b, e, [&] {
        for (auto &a : f->done)
            a.wait();
        count_end(pl, f->counts);
        if (!f->drawn)
            for (size_t i = 0; i < f->how.size(); i++) {
                f->out[i] = {};
                f->out[i].token = f->at ? f->at[i] : f->done[0].data<int32_t>()[i];
            }
        return true;
    });
}

bool mlx_tap(struct plan *pl, val v, float *out, struct err *e)
{
    if (!pl->opts.keep_all)
        return err_set(e, ERR_UNSUPPORTED, "values are not kept in this plan");
    if (prog_value(pl->prog, v)->integer || !pl->value[v.id])
        return err_set(e, ERR_UNSUPPORTED, "the value is not kept");
    return guarded(pl->b, e, [&] {
        mx::array x = mx::contiguous(mx::astype(*pl->value[v.id], mx::float32));
        mx::eval(x);
        std::memcpy(out, x.data<float>(), x.nbytes());
        return true;
    });
}

const char *mlx_kernel(const struct plan *pl, size_t i)
{
    return pl->steps.at(i).kernel.c_str();
}

void mlx_overhead(const struct plan *pl, struct overhead *out)
{
    *out = pl->overhead;
}

void mlx_device(const struct backend *b, struct device *out)
{
    *out = {};
    const auto &info = mx::device_info(b->stream.device);
    auto        name = info.find("device_name");
    const auto *text = name == info.end() ? nullptr : std::get_if<std::string>(&name->second);
    std::snprintf(out->name, sizeof out->name, "%s%s", text ? text->c_str() : b->gpu ? "a GPU" : "no GPU: the processor, for tests",
                  text && !b->gpu ? " (no GPU: for tests)" : "");
    std::snprintf(out->library, sizeof out->library, "MLX %s%s", mx::version(), b->in_place ? "" : ", without operations of our own");
    out->slow = !b->gpu;
    if (b->gpu)
        out->memory_max = working_set(b);
}

const struct backend_type face = {
    .name = "mlx",
    .about = "MLX: the GPU of Apple silicon",
    .fast_error = FAST_ERROR,
    .open = mlx_open,
    .close = mlx_close,
    .size = mlx_size,
    .weight_bytes = mlx_weight_bytes,
    .expect = nullptr,
    .kept = nullptr,
    .adopt = mlx_adopt,
    .reserve = mlx_reserve,
    .copy = mlx_copy,
    .slot_copy = mlx_slot_copy,
    .compile = mlx_compile,
    .plan_free = mlx_plan_free,
    .run = mlx_run,
    .stop = nullptr,
    .result = mlx_result,
    .features_new = mlx_features_new,
    .features_free = mlx_features_free,
    .features_write = mlx_features_write,
    .features_read = mlx_features_read,
    .keep = mlx_keep,
    .draw = mlx_draw,
    .wait = mlx_wait,
    .tap = mlx_tap,
    .kernel = mlx_kernel,
    .overhead = mlx_overhead,
    .device = mlx_device,
};

} // namespace

const struct backend_type *hearth_backend(const char *abi)
{
    return std::strcmp(abi, HEARTH_ABI) == 0 ? &face : nullptr;
}
