/* draw.cpp -- from logits to tokens, as part of the graph, so that the next run can be written before they are known.
 *
 * Rows that all take their largest logit are drawn by MLX where the logits are.  All others go through sample(), which is
 * the engine's: an operation on MLX's own CPU stream, to which a GPU that shares its memory hands the logits without a copy.
 * So the same seed gives the same token as everywhere. */
#include "backend/mlx/direct.h"

#include <mlx/backend/cpu/encoder.h>
#include <mlx/primitives.h>

#include <limits>

namespace {

class Draw : public mx::Primitive {
public:
    Draw(mx::Stream s, struct sampler *sampler, struct flight *f) : mx::Primitive(s), sampler_(sampler), flight_(f) {}

    const char *name() const override
    {
        return "HearthDraw";
    }

    void eval_cpu(const std::vector<mx::array> &in, std::vector<mx::array> &out) override
    {
        out[0].set_data(mx::allocator::malloc(out[0].nbytes()));
        const float *logits = in[0].data<float>();
        int32_t     *token = out[0].data<int32_t>();
        int64_t      n_vocab = in[0].shape(1);
        mx::cpu::get_command_encoder(stream()).dispatch([=, sampler = sampler_, f = flight_] {
            for (size_t i = 0; i < f->how.size(); i++) {
                if (!sample(sampler, logits + static_cast<int64_t>(i) * n_vocab, &f->how[i], &f->out[i]))
                    f->out[i].token = -1;
                token[i] = f->out[i].token;
            }
        });
    }

    void eval_gpu(const std::vector<mx::array> &, std::vector<mx::array> &) override
    {
        throw std::logic_error("tokens are drawn on the host's stream");
    }

private:
    struct sampler *sampler_;
    struct flight  *flight_;
};

bool takes_largest(const struct draw &d)
{
    bool penalties = d.repeat != 1.0f || d.presence != 0.0f || d.frequency != 0.0f;
    return d.temperature < 1e-5f && d.n_logprob == 0 && d.n_bias == 0 && (d.n_seen == 0 || !penalties);
}

/* As sample(): what is not a number is passed over, and -1 where the largest is infinite or there is none. */
mx::array largest(const mx::array &logits)
{
    mx::array none(-std::numeric_limits<float>::infinity());
    mx::array x = mx::where(mx::isnan(logits), none, logits);
    mx::array good = mx::isfinite(mx::max(x, 1));
    return mx::where(good, mx::astype(mx::argmax(x, 1), mx::int32), mx::array(-1));
}

/* Copies what was lent for the call, lists and all. */
void keep(struct flight &f, const struct draw how[], size_t n)
{
    size_t bias = 0, seen = 0;
    f.how.assign(how, how + n);
    for (auto &d : f.how) {
        bias += d.n_bias;
        seen += d.n_seen;
    }
    f.bias.reserve(bias);
    f.seen.reserve(seen);
    for (auto &d : f.how) {
        auto *b = f.bias.data() + f.bias.size();
        auto *s = f.seen.data() + f.seen.size();
        f.bias.insert(f.bias.end(), d.bias, d.bias + d.n_bias);
        f.seen.insert(f.seen.end(), d.seen, d.seen + d.n_seen);
        d.bias = b;
        d.seen = s;
    }
}

} // namespace

std::unique_ptr<flight> draw_begin(struct plan *pl, const struct draw how[], struct drawn out[])
{
    auto f = std::make_unique<flight>();
    f->out = out;
    f->drawn = false;
    keep(*f, how, pl->n_pick);
    if (pl->n_pick == 0)
        return f;
    mx::array logits = mx::astype(pl->value.at(prog_result(pl->prog, "logits").id).value(), mx::float32);
    bool      all = true;
    for (auto &d : f->how)
        all = all && takes_largest(d);
    if (all) {
        mx::array tokens = logits;
        pl->tokens = direct_largest(pl, logits, &tokens, &f->at) ? tokens : largest(logits);
    } else {
        if (!pl->sampler)
            pl->sampler = sample_new(pl->n_vocab);
        f->drawn = true;
        auto draw = std::make_shared<Draw>(pl->b->host, pl->sampler, f.get());
        pl->tokens = mx::array({static_cast<int>(pl->n_pick)}, mx::int32, draw,
                               {pl->was_direct ? mx::add(logits, mx::array(0.0f)) : mx::contiguous(logits)});    /* a list's are written over */
    }
    f->done = {*pl->tokens};
    return f;
}
