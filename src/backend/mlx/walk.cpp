/* walk.cpp -- one run: the program's instructions become MLX's operations, the coarsest that there are.
 *
 * In exact precision everything is float32, and rope is said in single operations, because MLX's own takes the reciprocals
 * of the frequencies, which moves late positions.  What depends on the batch alone (positions, places in the states, masks)
 * is made once a run and shared by the layers. */
#include "backend/mlx/mlx.h"

#include <mlx/primitives.h>

#include <map>
#include <set>

namespace {

int length(uint64_t n)
{
    return static_cast<int>(n);         /* shapes are ints; reserve() and the engine's limits keep them within */
}

mx::array ints(const std::vector<int32_t> &x)
{
    return mx::array(x.begin(), {length(x.size())}, mx::int32);
}

/* Columns from .. from + n of a matrix. */
mx::array columns(const mx::array &x, int from, int n)
{
    return mx::slice(x, {0, from}, {x.shape(0), from + n});
}

mx::array rows_of(const mx::array &x, int from, int to)
{
    return mx::slice(x, {from, 0}, {to, x.shape(1)});
}

class walk {
public:
    walk(struct plan *pl, const struct batch *in)
        : pl_(pl), b_(pl->b), in_(in), value_(prog_n_values(pl->prog) + 1), type_(*pl->b->type)
    {
    }

    void run()
    {
        for (const step &s : pl_->steps) {
            const struct value *out = prog_value(pl_->prog, s.i->out);
            if (rows(out->rows) > 0)
                value_[s.i->out.id] = result(s);
        }
        for (size_t v = 1; v < value_.size(); v++)
            if (!pl_->opts.keep_all && !prog_value(pl_->prog, {static_cast<uint16_t>(v)})->name)
                value_[v].reset();
        pl_->value = std::move(value_);
    }

private:
    struct plan        *pl_;
    struct backend     *b_;
    const struct batch *in_;
    std::vector<std::optional<mx::array>> value_;
    mx::Dtype                             type_;
    std::optional<mx::array>              ids_, positions_, slots_, picks_;
    std::map<uint16_t, std::pair<mx::array, mx::array>>    turns_;      /* rope: cosines and sines by weight */
    std::map<std::pair<uint32_t, uint32_t>, mx::array>     blocks_, masks_;    /* attend: by sequence and window */

    uint32_t rows(enum rows_of r) const
    {
        return r == ROWS_TOKEN ? in_->n_token : in_->n_pick;
    }

    mx::array result(const step &s)
    {
        switch (s.i->op) {
        case OP_embed: return embed(s);
        case OP_linear: return linear(s);
        case OP_norm: return norm(s);
        case OP_rope: return b_->exact ? rope_exact(s) : rope(s);
        case OP_attend: return attend(s);
        case OP_glu: return glu(s);
        case OP_add: return mx::add(in(s, 0), in(s, 1));
        case OP_sum: return in(s, 0);           /* there is one rank: compile refuses others */
        case OP_pick: return pick(s);
        default: throw std::logic_error("an instruction that compile should have refused");
        }
    }

    mx::array in(const step &s, unsigned k)
    {
        val                 v = s.i->in[k];
        const struct value *x = prog_value(pl_->prog, v);
        if (!value_[v.id] && x->base.id)
            value_[v.id] = columns(*value_[x->base.id], length(x->col), length(x->width));
        return *value_[v.id];
    }

    /* ---- what the batch says ------------------------------------------------------------------------------------- */

    /* Token ids; those that the last draw gave are still on their way.  -1 of a row that could not be drawn becomes any id:
     * its sequence ends when that is known. */
    const mx::array &ids()
    {
        if (ids_)
            return *ids_;
        std::vector<int32_t> known(in_->token, in_->token + in_->n_token), from;
        bool                 all_known = true;
        int                  n_drawn = pl_->tokens ? pl_->tokens->shape(0) : 0;
        for (uint32_t r = 0; r < in_->n_token; r++) {
            bool here = known[r] >= 0;
            CHECK(here || -1 - known[r] < n_drawn);
            from.push_back(here ? n_drawn + length(r) : -1 - known[r]);
            all_known = all_known && here;
        }
        if (all_known)
            ids_ = ints(known);
        else
            ids_ = mx::maximum(mx::take(mx::concatenate({*pl_->tokens, ints(known)}), ints(from)), mx::array(0));
        return *ids_;
    }

    const mx::array &positions()
    {
        std::vector<int32_t> at;
        for (uint32_t s = 0; s < in_->n_seq && !positions_; s++)
            for (uint32_t r = in_->start[s]; r < in_->start[s + 1]; r++)
                at.push_back(length(in_->past[s] + (r - in_->start[s])));
        if (!positions_)
            positions_ = ints(at);
        return *positions_;
    }

    /* The row of the states that each token has. */
    const mx::array &slots()
    {
        std::vector<int32_t> at;
        for (uint32_t s = 0; s < in_->n_seq && !slots_; s++)
            for (uint32_t r = in_->start[s]; r < in_->start[s + 1]; r++) {
                uint32_t pos = in_->past[s] + (r - in_->start[s]);
                at.push_back(length(uint64_t{block(s, pos / b_->block_tokens)} * b_->block_tokens + pos % b_->block_tokens));
            }
        if (!slots_)
            slots_ = ints(at);
        return *slots_;
    }

    uint32_t block(uint32_t s, uint32_t i) const
    {
        return in_->block[size_t{s} * in_->block_max + i];
    }

    /* ---- matrices ------------------------------------------------------------------------------------------------ */

    mx::array embed(const step &s)
    {
        const held &h = b_->weight[s.i->w[0].id - 1];
        auto        taken = [&](const mx::array &x) { return mx::take(x, ids(), 0); };
        CHECK(h.pieces.size() == 1);
        const piece &p = h.pieces[0];
        mx::array    x = taken(p.w);
        if (p.bits)
            x = mx::dequantize(x, taken(*p.scales), taken(*p.biases), p.group, p.bits);
        return s.i->embed.scale == 1 ? x : mx::multiply(x, mx::array(s.i->embed.scale, type_));
    }

    mx::array linear(const step &s)
    {
        const held            &h = b_->weight[s.i->w[0].id - 1];
        mx::array              x = in(s, 0);
        std::vector<mx::array> outs;
        for (const piece &p : h.pieces)
            outs.push_back(p.bits ? mx::quantized_matmul(x, p.w, *p.scales, p.biases, true, p.group, p.bits)
                                  : mx::matmul(x, mx::transpose(p.w)));
        mx::array y = outs.size() == 1 ? outs[0] : mx::concatenate(outs, 1);
        return s.ready.empty() ? y : mx::add(y, s.ready[0]);
    }

    /* ---- rows ---------------------------------------------------------------------------------------------------- */

    mx::array norm(const step &s)
    {
        mx::array x = in(s, 0);
        auto      shape = x.shape();
        int       all = s.ready[0].shape(0), group = s.i->norm.group ? length(s.i->norm.group) : all;
        auto      normed = [&](const std::optional<mx::array> &w) {
            return mx::reshape(mx::fast::rms_norm(mx::reshape(x, {-1, group}), w, s.i->norm.eps), shape);
        };
        return group == all ? normed(s.ready[0]) : mx::multiply(normed(std::nullopt), s.ready[0]);
    }

    mx::array glu(const step &s)
    {
        mx::array x = in(s, 0);
        int       half = x.shape(1) / 2;
        mx::array a = columns(x, 0, half), c = columns(x, half, half);
        if (s.i->glu.act == ACT_SILU)
            return mx::multiply(mx::multiply(a, mx::sigmoid(a)), c);
        auto      number = [&](float f) { return mx::array(f, type_); };
        mx::array cube = mx::multiply(mx::multiply(mx::multiply(a, a), a), number(0.044715f));
        mx::array bent = mx::tanh(mx::multiply(number(0.79788456f), mx::add(a, cube)));
        return mx::multiply(mx::multiply(mx::multiply(a, number(0.5f)), mx::add(bent, number(1))), c);
    }

    mx::array pick(const step &s)
    {
        mx::array x = in(s, 0);
        if (in_->n_pick == in_->n_token)
            return x;
        if (!picks_)
            picks_ = ints(std::vector<int32_t>(in_->pick, in_->pick + in_->n_pick));
        return mx::take(x, *picks_, 0);
    }

    /* Every row a sequence of its own for MLX: rows of any positions in one operation. */
    mx::array rope(const step &s)
    {
        mx::array x = in(s, 0);
        int       dim = length(s.i->rope.head_dim);
        mx::array heads = mx::reshape(x, {x.shape(0), x.shape(1) / dim, 1, dim});
        mx::array y = mx::fast::rope(heads, dim, s.i->rope.interleaved, std::nullopt, 1, positions(), s.ready[0]);
        if (s.i->rope.factor != 1)
            y = mx::multiply(y, mx::array(s.i->rope.factor, type_));
        return mx::reshape(y, x.shape());
    }

    mx::array rope_exact(const step &s)
    {
        mx::array x = in(s, 0);
        int       n = x.shape(0), half = length(s.i->rope.head_dim) / 2;
        auto      it = turns_.find(s.i->w[0].id);
        if (it == turns_.end()) {
            mx::array at = mx::reshape(mx::astype(positions(), mx::float32), {n, 1, 1, 1});
            mx::array angle = mx::multiply(at, s.ready[0]);
            it = turns_.emplace(s.i->w[0].id, std::make_pair(mx::cos(angle), mx::sin(angle))).first;
        }
        /* [row, head, 2, half] or, in pairs, [row, head, half, 2] turned to the same. */
        bool      pairs = s.i->rope.interleaved;
        mx::array y = mx::reshape(x, pairs ? mx::Shape{n, -1, half, 2} : mx::Shape{n, -1, 2, half});
        if (pairs)
            y = mx::swapaxes(y, 2, 3);
        auto      part = [&](int k) { return mx::slice(y, {0, 0, k, 0}, {n, y.shape(1), k + 1, half}); };
        mx::array a = part(0), c = part(1), factor(s.i->rope.factor);
        mx::array cosine = mx::multiply(it->second.first, factor), sine = mx::multiply(it->second.second, factor);
        y = mx::concatenate({mx::subtract(mx::multiply(a, cosine), mx::multiply(c, sine)),
                             mx::add(mx::multiply(c, cosine), mx::multiply(a, sine))}, 2);
        return mx::reshape(pairs ? mx::swapaxes(y, 2, 3) : y, x.shape());
    }

    /* ---- attention ----------------------------------------------------------------------------------------------- */

    /* Records first .. end of a sequence, [1, heads, records, dim].  Blocks that follow each other are read where they
     * lie, others are gathered. */
    mx::array records(const mx::array &state, uint32_t s, uint32_t window, uint32_t first, uint32_t end, int dim)
    {
        uint32_t from = first / b_->block_tokens, to = (end - 1) / b_->block_tokens + 1;
        bool     apart = false;
        for (uint32_t i = from + 1; i < to; i++)
            apart = apart || block(s, i) != block(s, i - 1) + 1;
        int       width = state.shape(1), tokens = length(b_->block_tokens), at = length(first % b_->block_tokens);
        mx::array all = state;
        if (apart) {
            auto it = blocks_.find({s, window});
            if (it == blocks_.end()) {
                std::vector<int32_t> ids;
                for (uint32_t i = from; i < to; i++)
                    ids.push_back(length(block(s, i)));
                it = blocks_.emplace(std::make_pair(s, window), ints(ids)).first;
            }
            all = mx::reshape(mx::take(mx::reshape(state, {-1, tokens, width}), it->second, 0), {-1, width});
        } else {
            at += length(uint64_t{block(s, from)} * b_->block_tokens);
        }
        all = rows_of(all, at, at + length(end - first));
        return mx::transpose(mx::reshape(all, {1, -1, width / dim, dim}), {0, 2, 1, 3});
    }

    /* [rows, records]: which records a row sees, when some are out of the window of some rows. */
    const mx::array &mask(uint32_t s, uint32_t window, uint32_t first, uint32_t end)
    {
        auto it = masks_.find({s, window});
        if (it == masks_.end()) {
            int       past = length(in_->past[s]);
            mx::array q = mx::expand_dims(mx::arange(past, length(end), mx::int32), 1);
            mx::array k = mx::expand_dims(mx::arange(length(first), length(end), mx::int32), 0);
            mx::array apart = mx::subtract(q, k);
            mx::array seen = mx::logical_and(mx::greater_equal(apart, mx::array(0)), mx::less(apart, mx::array(length(window))));
            it = masks_.emplace(std::make_pair(s, window), seen).first;
        }
        return it->second;
    }

    mx::array attend_one(const step &s, uint32_t seq, const mx::array &q, const mx::array &keys, const mx::array &values)
    {
        int      dim = length(s.i->attend.head_dim);
        uint32_t from = in_->start[seq], n = in_->start[seq + 1] - from, window = s.i->attend.window;
        uint32_t past = in_->past[seq], end = past + n, first = window && past >= window ? past - window + 1 : 0;
        bool     cut = window && n > 1 && end > window;
        mx::array heads = mx::reshape(rows_of(q, length(from), length(from + n)), {1, length(n), -1, dim});
        std::optional<mx::array> seen;
        if (cut)
            seen = mask(seq, window, first, end);
        mx::array out = mx::fast::scaled_dot_product_attention(
            mx::transpose(heads, {0, 2, 1, 3}), records(keys, seq, window, first, end, dim),
            records(values, seq, window, first, end, dim), s.i->attend.scale, cut ? "array" : n > 1 ? "causal" : "", seen);
        return mx::reshape(mx::transpose(out, {0, 2, 1, 3}), {length(n), q.shape(1)});
    }

    mx::array attend(const step &s)
    {
        mx::array q = in(s, 0), &keys = b_->keys[s.i->s.id - 1], &values = b_->values[s.i->s.id - 1];
        keys = write_rows(keys, in(s, 1), slots(), b_->in_place);
        values = write_rows(values, in(s, 2), slots(), b_->in_place);
        std::vector<mx::array> outs;
        for (uint32_t seq = 0; seq < in_->n_seq; seq++)
            if (in_->start[seq] < in_->start[seq + 1])
                outs.push_back(attend_one(s, seq, q, keys, values));
        return outs.size() == 1 ? outs[0] : mx::concatenate(outs, 0);
    }
};

/* ---- what is made ready once --------------------------------------------------------------------------------------- */

mx::array vector_of(const struct backend *b, const struct prog *p, wt w)
{
    const struct weight *x = bundle_weight_at(prog_bundle(p), w);
    if (x->data)
        return mx::array(x->data, {length(x->out)}, mx::float32);
    return b->weight[w.id - 1].pieces.at(0).w;
}

std::string matrix_name(const held &h)
{
    std::string name;
    for (const piece &p : h.pieces)
        name += (name.empty() ? "" : " ") + (p.bits ? "quantized_matmul " + std::to_string(p.bits) : std::string("matmul"));
    return name;
}

step step_of(struct backend *b, const struct prog *p, const struct instr *i)
{
    step s{i, {}, op_name(static_cast<enum op>(i->op))};
    if (i->op == OP_norm) {
        mx::array w = mx::add(vector_of(b, p, i->w[0]), mx::array(static_cast<float>(i->norm.one)));
        s.ready = {mx::astype(w, *b->type)};
        s.kernel = "fast::rms_norm";
    } else if (i->op == OP_rope) {
        mx::array f = vector_of(b, p, i->w[0]);
        s.ready = {b->exact ? f : mx::reciprocal(f)};
        s.kernel = b->exact ? "rope" : "fast::rope";
    } else if (i->op == OP_linear) {
        if (i->w[1].id && !b->weight[i->w[1].id - 1].pieces.empty())
            s.ready = {mx::astype(vector_of(b, p, i->w[1]), *b->type)};
        s.kernel = matrix_name(b->weight[i->w[0].id - 1]) + (s.ready.empty() ? "" : " + bias");
    } else if (i->op == OP_attend) {
        s.kernel = b->in_place ? "write + fast::sdpa" : "scatter + fast::sdpa";
    }
    mx::eval(s.ready);
    return s;
}

} // namespace

std::vector<step> walk_steps(struct backend *b, const struct prog *p)
{
    std::vector<step> steps;
    for (size_t i = 0; i < prog_len(p); i++)
        steps.push_back(step_of(b, p, prog_at(p, i)));
    return steps;
}

/* Writes the graph and throws it away: nothing is computed. */
uint32_t walk_count(struct plan *pl)
{
    static const std::set<std::string> views = {"AsStrided", "Broadcast", "ExpandDims", "Flatten", "Reshape", "Slice", "Squeeze",
                                                "Transpose", "Unflatten"};
    int32_t      token = 0;
    uint32_t     start[2] = {0, 1}, past = 0, pick = 0;
    auto         keys = pl->b->keys, values = pl->b->values;
    std::vector<uint32_t>    block(1, 0);
    struct batch             in = {1, 1, 1, &token, start, &past, block.data(), 1, &pick, nullptr, nullptr};
    std::vector<mx::array>   todo;
    std::set<std::uintptr_t> seen;
    uint32_t                 n = 0;
    walk_run(pl, &in);
    for (auto &v : pl->value)
        if (v)
            todo.push_back(*v);
    todo.insert(todo.end(), pl->b->keys.begin(), pl->b->keys.end());
    todo.insert(todo.end(), pl->b->values.begin(), pl->b->values.end());
    while (!todo.empty()) {
        mx::array a = todo.back();
        todo.pop_back();
        if (a.status() != mx::array::Status::unscheduled || !a.has_primitive() || !seen.insert(a.id()).second)
            continue;
        n += views.count(a.primitive().name()) == 0;
        todo.insert(todo.end(), a.inputs().begin(), a.inputs().end());
    }
    pl->b->keys = std::move(keys);
    pl->b->values = std::move(values);
    pl->value.clear();
    return n;
}

void walk_run(struct plan *pl, const struct batch *in)
{
    auto keys = pl->b->keys, values = pl->b->values;
    try {
        walk(pl, in).run();
    } catch (...) {
        pl->b->keys = std::move(keys);
        pl->b->values = std::move(values);
        throw;
    }
}
