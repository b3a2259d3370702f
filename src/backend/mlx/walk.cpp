/* walk.cpp -- one run: the program's instructions become MLX's operations, the coarsest that there are.
 *
 * In exact precision everything is float32, and rope is said in single operations, because MLX's own takes the reciprocals
 * of the frequencies, which moves late positions.  What depends on the batch alone (positions, places in the states, masks)
 * is made once a run and shared by the layers. */
#include "backend/mlx/mlx.h"

#include "backend/batch.h"

#include <mlx/primitives.h>

#include <algorithm>
#include <limits>
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

/* Sequences of equally many rows, so that what runs along them can take them together. */
struct lot {
    int       seqs, n;
    mx::array row, slot;                /* of each row in the batch; of each sequence in the state */
    std::optional<mx::array> begins;    /* [seqs, 1]: which begin here; none of them if absent */
    bool      all_begin;
};

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
    std::optional<mx::array>              ids_, positions_, slots_, picks_, long_;
    std::vector<lot>                      lots_;        /* once they are wanted */
    std::optional<mx::array>              lot_slots_, lot_order_;      /* of all lots; where each row of the batch is in them */
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
        case OP_rope: return rope(s);
        case OP_attend: return attend(s);
        case OP_glu: return glu(s);
        case OP_act: return activate(s.i->act.act, in(s, 0), s.i->act.limit);
        case OP_add: return mx::add(in(s, 0), in(s, 1));
        case OP_sum: return in(s, 0);           /* there is one rank: compile refuses others */
        case OP_mul: return mul(s);
        case OP_pick: return pick(s);
        case OP_experts: return experts(b_, s, in(s, 0), in(s, 1));
        case OP_order: return mx::take(mx::concatenate({in(s, 0), in(s, 1)}, 1), s.ready.at(0), 1);
        case OP_conv: return along(s, [&](const lot &l, const mx::array &memory) { return conv_rows(s, rows_of_lot(s, 0, l), memory); });
        case OP_scan: return along(s, [&](const lot &l, const mx::array &memory) {
            return scan_rows(s, rows_of_lot(s, 0, l), rows_of_lot(s, 1, l), memory); });
        case OP_delta: return along(s, [&](const lot &l, const mx::array &memory) {
            return delta_rows(s, rows_of_lot(s, 0, l), rows_of_lot(s, 1, l), memory); });
        case OP_input: return input(s);
        case OP_gather: return gather(s);
        case OP_fold: return mx::reshape(in(s, 0), {in(s, 0).shape(0) / length(s.i->fold.n), -1});
        case OP_pool: return mx::mean(mx::reshape(in(s, 0), {-1, length(s.i->pool.n), in(s, 0).shape(1)}), 1);
        case OP_place: return place(s);
        case OP_attend_all: return attend_all(s);
        default: throw std::logic_error("an instruction without a form");
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
                at.push_back(length(batch_pos(in_, 0, s, r)));
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
        mx::array    x = p.w.ndim() == 1 ? mx::astype(mx::expand_dims(taken(p.w), 1), type_) : taken(p.w);
        if (p.bits)
            x = mx::dequantize(x, taken(*p.scales), p.biases ? std::optional(taken(*p.biases)) : std::nullopt, p.group, p.bits,
                               p.mode, std::nullopt, type_);
        return s.i->embed.scale == 1 ? x : mx::multiply(x, mx::array(s.i->embed.scale, type_));
    }

    mx::array linear(const step &s)
    {
        const held            &h = b_->weight[s.i->w[0].id - 1];
        mx::array              x = mx::astype(in(s, 0), type_);
        std::vector<mx::array> outs;
        for (const piece &p : h.pieces)
            outs.push_back(p.bits ? mx::quantized_matmul(x, p.w, *p.scales, p.biases, true, p.group, p.bits, p.mode)
                                  : mx::matmul(x, mx::transpose(p.w)));
        mx::array y = outs.size() == 1 ? outs[0] : mx::concatenate(outs, 1);
        return s.ready.empty() ? y : mx::add(y, s.ready.at(1));
    }

    /* ---- rows ---------------------------------------------------------------------------------------------------- */

    mx::array norm(const step &s)
    {
        mx::array x = in(s, 0);
        auto      shape = x.shape();
        int       all = s.ready.at(0).shape(0), group = s.i->norm.group ? length(s.i->norm.group) : all;
        auto      normed = [&](const std::optional<mx::array> &w) {
            mx::array rows = mx::reshape(x, {-1, group});
            return mx::reshape(s.i->norm.centred ? mx::fast::layer_norm(rows, w, std::nullopt, s.i->norm.eps)
                                                 : mx::fast::rms_norm(rows, w, s.i->norm.eps), shape);
        };
        bool      each = group == all;
        mx::array y = each ? normed(s.ready.at(0)) : mx::multiply(normed(std::nullopt), s.ready.at(0));
        if (!s.ready.count(1))
            return y;
        return each ? mx::reshape(mx::add(mx::reshape(y, {-1, group}), s.ready.at(1)), shape) : mx::add(y, s.ready.at(1));
    }

    /* Numbers of the run: they stay in single precision until a matrix takes them, as some are places in tables. */
    mx::array input(const step &s)
    {
        return mx::array(in_->input[s.i->input.at], {length(in_->n_token), length(s.i->input.width)}, mx::float32);
    }

    mx::array gather(const step &s)
    {
        mx::array rows = mx::take(s.ready.at(0), mx::astype(in(s, 0), mx::int32), 0);
        return mx::sum(mx::multiply(rows, mx::expand_dims(mx::astype(in(s, 1), type_), 2)), 1);
    }

    mx::array place(const step &s)
    {
        mx::array              x = in(s, 0);
        std::vector<mx::array> parts;
        uint32_t               at = 0, width = static_cast<uint32_t>(x.shape(1));
        auto rest = [&](uint32_t to) {
            if (at < to)
                parts.push_back(rows_of(x, length(at), length(to)));
        };
        for (uint32_t k = 0; k < in_->n_span; k++) {
            const struct span &p = in_->span[k];
            size_t             first = (p.from + size_t{s.i->place.level} * p.step) * width;
            CHECK((first + size_t{p.n} * width) * sizeof(float) <= p.features->bytes.size());
            if (p.n == 0)
                continue;
            rest(p.row);
            const float *rows = static_cast<const float *>(static_cast<const void *>(p.features->bytes.data())) + first;
            mx::array    f = mx::astype(mx::array(rows, {length(p.n), length(width)}, mx::float32), type_);
            parts.push_back(s.i->place.add ? mx::add(rows_of(x, length(p.row), length(p.row + p.n)), f) : f);
            at = p.row + p.n;
        }
        rest(in_->n_token);
        return parts.size() == 1 ? parts[0] : mx::concatenate(parts, 0);
    }

    /* Segments of equal length beside each other, from row `from` on, in one operation. */
    mx::array attend_segments(const step &s, const mx::array &q, const mx::array &k, const mx::array &v, uint32_t from, uint32_t n,
                              uint32_t segments)
    {
        int  dim = length(s.i->attend_all.head_dim);
        auto heads = [&](const mx::array &x) {
            mx::array rows = rows_of(x, length(from), length(from + n * segments));
            return mx::transpose(mx::reshape(rows, {length(segments), length(n), -1, dim}), {0, 2, 1, 3});
        };
        mx::array out = mx::fast::scaled_dot_product_attention(heads(q), heads(k), heads(v), s.i->attend_all.scale);
        return mx::reshape(mx::transpose(out, {0, 2, 1, 3}), {length(n * segments), q.shape(1)});
    }

    mx::array attend_all(const step &s)
    {
        const uint32_t        *bound = s.i->attend_all.windows ? in_->window : in_->start;
        uint32_t               all = s.i->attend_all.windows ? in_->n_window : in_->n_seq;
        mx::array              q = in(s, 0), k = in(s, 1), v = in(s, 2);
        std::vector<mx::array> outs;
        for (uint32_t i = 0, n; i < all; i += n) {
            uint32_t rows = bound[i + 1] - bound[i];
            for (n = 1; i + n < all && bound[i + n + 1] - bound[i + n] == rows; n++)
                ;
            if (rows)
                outs.push_back(attend_segments(s, q, k, v, bound[i], rows, n));
        }
        return outs.size() == 1 ? outs[0] : mx::concatenate(outs, 0);
    }

    mx::array glu(const step &s)
    {
        mx::array x = in(s, 0);
        int       half = x.shape(1) / 2;
        return mx::multiply(activate(s.i->glu.act, columns(x, 0, half), 0), columns(x, half, half));
    }

    mx::array mul(const step &s)
    {
        mx::array x = in(s, 0), by = in(s, 1);
        int       rows = x.shape(0), parts = by.shape(1);
        if (parts == x.shape(1))
            return mx::multiply(x, by);
        return mx::reshape(mx::multiply(mx::reshape(x, {rows, parts, -1}), mx::expand_dims(by, 2)), x.shape());
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

    bool is_long(const step &s, uint32_t seq) const
    {
        return s.i->rope.from && batch_reach(in_, seq) > s.i->rope.from;
    }

    /* [rows, 1]: which rows are of long sequences; a program knows one length that matters. */
    const mx::array &long_rows(const step &s)
    {
        std::vector<int32_t> rows;
        for (uint32_t seq = 0; seq < in_->n_seq && !long_; seq++)
            rows.insert(rows.end(), in_->start[seq + 1] - in_->start[seq], is_long(s, seq));
        if (!long_)
            long_ = mx::expand_dims(mx::astype(ints(rows), mx::bool_), 1);
        return *long_;
    }

    mx::array rope(const step &s)
    {
        uint32_t n_long = 0, n = 0;
        for (uint32_t seq = 0; seq < in_->n_seq; seq++)
            if (in_->start[seq] < in_->start[seq + 1]) {
                n_long += is_long(s, seq);
                n++;
            }
        if (n_long == 0 || n_long == n)
            return turned(s, n_long > 0);
        return mx::where(long_rows(s), turned(s, 1), turned(s, 0));
    }

    /* By the frequencies in weight k. */
    mx::array turned(const step &s, unsigned k)
    {
        mx::array x = in(s, 0);
        int       dim = length(s.i->rope.head_dim), turn = s.i->rope.n_rot ? length(s.i->rope.n_rot) : dim, n = x.shape(0);
        mx::array heads = mx::reshape(x, {n, -1, dim});
        if (turn == dim)
            return mx::reshape(turned_part(s, k, heads), x.shape());
        auto      part = [&](int from, int to) { return mx::slice(heads, {0, 0, from}, {n, heads.shape(1), to}); };
        mx::array y = turned_part(s, k, part(0, turn));
        return mx::reshape(mx::concatenate({y, part(turn, dim)}, 2), x.shape());
    }

    /* MLX's own operation knows one axis. */
    mx::array turned_part(const step &s, unsigned k, const mx::array &x)
    {
        return b_->exact || s.i->w[2].id ? mx::astype(turned_exact(s, k, x), type_) : turned_fast(s, k, x);
    }

    /* Where the rows are on each frequency's axis, [rows, 1, 1, frequencies]; or on the only one. */
    mx::array places(const step &s, int n)
    {
        if (!s.i->w[2].id || !in_->pos)
            return mx::reshape(mx::astype(positions(), mx::float32), {n, 1, 1, 1});
        mx::array all(in_->pos, {length(prog_axes(pl_->prog)), n}, mx::uint32);
        mx::array at = mx::transpose(mx::take(mx::astype(all, mx::float32), mx::astype(s.ready.at(2), mx::int32), 0));
        return mx::reshape(at, {n, 1, 1, -1});
    }

    /* Every row a sequence of its own for MLX: rows of any positions in one operation. */
    mx::array turned_fast(const step &s, unsigned k, const mx::array &x)
    {
        mx::array y = mx::fast::rope(mx::expand_dims(x, 2), x.shape(2), s.i->rope.interleaved, std::nullopt, 1, positions(),
                                     s.ready.at(k));
        if (s.i->rope.factor != 1)
            y = mx::multiply(y, mx::array(s.i->rope.factor, type_));
        return mx::squeeze(y, 2);
    }

    mx::array turned_exact(const step &s, unsigned k, const mx::array &x)
    {
        int  n = x.shape(0), half = x.shape(2) / 2;
        auto it = turns_.find(s.i->w[k].id);
        if (it == turns_.end()) {
            mx::array angle = mx::multiply(places(s, n), s.ready.at(k));
            it = turns_.emplace(s.i->w[k].id, std::make_pair(mx::cos(angle), mx::sin(angle))).first;
        }
        /* [row, head, 2, half] or, in pairs, [row, head, half, 2] turned to the same. */
        bool      pairs = s.i->rope.interleaved;
        mx::array y = mx::reshape(x, pairs ? mx::Shape{n, -1, half, 2} : mx::Shape{n, -1, 2, half});
        if (pairs)
            y = mx::swapaxes(y, 2, 3);
        auto      part = [&](int at) { return mx::slice(y, {0, 0, at, 0}, {n, y.shape(1), at + 1, half}); };
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

    /* [rows, records]: which records a row sees, when MLX is not simply told that it sees none after it. */
    const mx::array &mask(uint32_t s, uint32_t window, uint32_t first, uint32_t end)
    {
        auto it = masks_.find({s, window});
        if (it == masks_.end()) {
            int       past = length(in_->past[s]);
            mx::array q = mx::expand_dims(mx::arange(past, length(end), mx::int32), 1);
            mx::array k = mx::expand_dims(mx::arange(length(first), length(end), mx::int32), 0);
            mx::array apart = mx::subtract(q, k);
            std::vector<int32_t> see;
            for (uint32_t r = in_->start[s]; r < in_->start[s + 1]; r++)
                see.push_back(length(batch_see(in_, s, r)));
            mx::array seen = mx::less(k, mx::expand_dims(ints(see), 1));
            if (window)
                seen = mx::logical_and(seen, mx::less(apart, mx::array(length(window))));
            it = masks_.emplace(std::make_pair(s, window), seen).first;
        }
        return it->second;
    }

    /* With scores bent: MLX has no operation of its own for that. */
    mx::array capped(const step &s, const mx::array &q, const mx::array &keys, const mx::array &values,
                     const std::optional<mx::array> &seen)
    {
        int       n = q.shape(2), n_key = keys.shape(1), share = q.shape(1) / n_key;
        auto      heads = [&](const mx::array &x) { return mx::reshape(x, {n_key, share, -1, x.shape(3)}); };
        mx::array x = mx::matmul(heads(mx::multiply(q, mx::array(s.i->attend.scale, type_))),
                                 mx::swapaxes(mx::squeeze(mx::expand_dims(keys, 2), 0), -1, -2));
        x = activate(ACT_SOFTCAP, mx::astype(x, mx::float32), s.i->attend.softcap);
        if (seen)
            x = mx::where(*seen, x, mx::array(-std::numeric_limits<float>::infinity()));
        int n_record = x.shape(3), sinks = 0;
        if (s.ready.count(0)) {
            mx::array sink = mx::reshape(mx::astype(s.ready.at(0), mx::float32), {n_key, share, 1, 1});
            x = mx::concatenate({mx::broadcast_to(sink, {n_key, share, n, 1}), x}, 3);
            sinks = 1;
        }
        x = mx::slice(mx::softmax(x, 3), {0, 0, 0, sinks}, {n_key, share, n, n_record + sinks});
        return mx::reshape(mx::matmul(mx::astype(x, type_), mx::squeeze(mx::expand_dims(values, 2), 0)), q.shape());
    }

    mx::array attend_one(const step &s, uint32_t seq, const mx::array &q, const mx::array &keys, const mx::array &values)
    {
        int      dim = length(s.i->attend.head_dim);
        uint32_t from = in_->start[seq], n = in_->start[seq + 1] - from, window = s.i->attend.window;
        uint32_t past = in_->past[seq], end = past + n, first = window && past >= window ? past - window + 1 : 0;
        bool     cut = n > 1 && ((window && end > window) || in_->see);
        mx::array heads = mx::reshape(rows_of(q, length(from), length(from + n)), {1, length(n), -1, dim});
        bool     bent = s.i->attend.softcap > 0;
        std::optional<mx::array> seen, sinks;
        if (cut || (bent && n > 1))
            seen = mask(seq, window, first, end);
        if (s.ready.count(0))
            sinks = s.ready.at(0);
        mx::array queries = mx::transpose(heads, {0, 2, 1, 3}), key = records(keys, seq, window, first, end, dim);
        mx::array value = records(values, seq, window, first, end, dim);
        mx::array out = bent ? capped(s, queries, key, value, seen)
                             : mx::fast::scaled_dot_product_attention(queries, key, value, s.i->attend.scale,
                                                                      cut ? "array" : n > 1 ? "causal" : "", seen, sinks);
        return mx::reshape(mx::transpose(out, {0, 2, 1, 3}), {length(n), q.shape(1)});
    }

    mx::array attend(const step &s)
    {
        mx::array q = in(s, 0), &keys = b_->state[s.i->s.id - 1u][0], &values = b_->state[s.i->s.id - 1u][1];
        keys = write_rows(keys, in(s, 1), slots(), b_->in_place);
        values = write_rows(values, in(s, 2), slots(), b_->in_place);
        std::vector<mx::array> outs;
        for (uint32_t seq = 0; seq < in_->n_seq; seq++)
            if (in_->start[seq] < in_->start[seq + 1])
                outs.push_back(attend_one(s, seq, q, keys, values));
        return outs.size() == 1 ? outs[0] : mx::concatenate(outs, 0);
    }

    /* ---- what runs along sequences -------------------------------------------------------------------------------- */

    lot lot_of(const std::vector<uint32_t> &seqs, uint32_t n)
    {
        std::vector<int32_t> row, slot, begins;
        for (uint32_t seq : seqs) {
            for (uint32_t r = 0; r < n; r++)
                row.push_back(length(in_->start[seq] + r));
            slot.push_back(length(in_->slot[seq]));
            begins.push_back(in_->past[seq] == 0);
        }
        auto n_begin = std::count(begins.begin(), begins.end(), 1);
        lot  l = {length(seqs.size()), length(n), ints(row), ints(slot), std::nullopt, n_begin == length(seqs.size())};
        if (n_begin)
            l.begins = mx::expand_dims(mx::astype(ints(begins), mx::bool_), 1);
        return l;
    }

    const std::vector<lot> &lots()
    {
        std::map<uint32_t, std::vector<uint32_t>> by_length;
        for (uint32_t s = 0; s < in_->n_seq && lots_.empty(); s++)
            if (in_->start[s] < in_->start[s + 1])
                by_length[in_->start[s + 1] - in_->start[s]].push_back(s);
        std::vector<mx::array> rows, slots;
        for (auto &[n, seqs] : by_length) {
            lots_.push_back(lot_of(seqs, n));
            rows.push_back(lots_.back().row);
            slots.push_back(lots_.back().slot);
        }
        if (!rows.empty()) {
            lot_slots_ = rows.size() == 1 ? slots[0] : mx::concatenate(slots, 0);
            if (rows.size() > 1)        /* one lot has its rows in the batch's order */
                lot_order_ = mx::argsort(mx::concatenate(rows, 0));
        }
        return lots_;
    }

    /* Rows of input k, [sequences, rows, width], float32. */
    mx::array rows_of_lot(const step &s, unsigned k, const lot &l)
    {
        mx::array x = mx::astype(in(s, k), mx::float32);
        return mx::reshape(lot_order_ ? mx::take(x, l.row, 0) : x, {l.seqs, l.n, x.shape(1)});
    }

    /* f takes a lot and what its sequences remember, and says what comes out and what they remember then. */
    template <typename F> mx::array along(const step &s, F f)
    {
        mx::array             &state = b_->state[s.i->s.id - 1u][0];
        std::vector<mx::array> outs, memories;
        mx::array              zero(0.0f);
        for (const lot &l : lots()) {
            mx::array memory = l.all_begin ? mx::zeros({l.seqs, state.shape(1)}, mx::float32) : mx::take(state, l.slot, 0);
            if (l.begins && !l.all_begin)
                memory = mx::where(*l.begins, zero, memory);
            recurred r = f(l, memory);
            outs.push_back(mx::reshape(r.out, {l.seqs * l.n, r.out.shape(2)}));
            memories.push_back(mx::reshape(r.memory, {l.seqs, state.shape(1)}));
        }
        auto      all = [](const std::vector<mx::array> &x) { return x.size() == 1 ? x[0] : mx::concatenate(x, 0); };
        mx::array out = all(outs);
        state = write_rows(state, all(memories), *lot_slots_, b_->in_place);
        return mx::astype(lot_order_ ? mx::take(out, *lot_order_, 0) : out, type_);
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

/* As its operation wants it. */
mx::array made_ready(const struct backend *b, const struct prog *p, const struct instr *i, unsigned k)
{
    mx::array x = vector_of(b, p, i->w[k]);
    switch (i->op) {
    case OP_norm: return mx::astype(k == 0 ? mx::add(x, mx::array(static_cast<float>(i->norm.one))) : x, *b->type);
    case OP_rope: return b->exact || i->w[2].id ? x : mx::reciprocal(x);
    case OP_order: return mx::astype(x, mx::int32);
    case OP_conv:
    case OP_scan:
    case OP_delta: return x;
    default: return i->op == OP_experts && k == 4 ? x : mx::astype(x, *b->type);
    }
}

bool is_vector(const struct backend *b, const struct prog *p, const struct instr *i, unsigned k)
{
    if (!i->w[k].id || i->op == OP_embed || (k == 0 && (i->op == OP_linear || i->op == OP_gather || i->op == OP_experts)) || (k == 1 && i->op == OP_experts))
        return false;
    return bundle_weight_at(prog_bundle(p), i->w[k])->data || !b->weight[i->w[k].id - 1u].pieces.empty();
}

step step_of(struct backend *b, const struct prog *p, const struct instr *i)
{
    step s{i, {}, op_name(static_cast<enum op>(i->op))};
    for (unsigned k = 0; k < WEIGHTS_MAX; k++)
        if (is_vector(b, p, i, k)) {
            mx::array x = made_ready(b, p, i, k);
            mx::eval(x);
            s.ready.emplace(k, x);
        }
    if (i->op == OP_gather) {
        std::vector<mx::array> rows;
        for (const piece &x : b->weight[i->w[0].id - 1u].pieces)
            rows.push_back(x.bits ? mx::dequantize(x.w, *x.scales, x.biases, x.group, x.bits, x.mode, std::nullopt, *b->type) : x.w);
        mx::array table = rows.size() == 1 ? rows[0] : mx::concatenate(rows, 0);
        mx::eval(table);
        s.ready.emplace(0, table);
    }
    auto matrices = [&](unsigned k) { return matrix_name(b->weight[i->w[k].id - 1u]); };
    if (i->op == OP_norm)
        s.kernel = i->norm.centred ? "fast::layer_norm" : "fast::rms_norm";
    else if (i->op == OP_rope)
        s.kernel = b->exact ? "rope" : "fast::rope";
    else if (i->op == OP_linear)
        s.kernel = matrices(0) + (s.ready.empty() ? "" : " + bias");
    else if (i->op == OP_experts)
        s.kernel = "gathered " + matrices(0) + ", " + matrices(1);
    else if (i->op == OP_attend)
        s.kernel = std::string(b->in_place ? "write" : "scatter") + (i->attend.softcap > 0 ? " + matmul, softmax" : " + fast::sdpa");
    return s;
}

} // namespace

mx::array activate(uint8_t act, const mx::array &x, float limit)
{
    auto number = [&](float f) { return mx::array(f, x.dtype()); };
    auto logistic = [&](const mx::array &y, float slope) { return mx::sigmoid(slope == 1 ? y : mx::multiply(y, number(slope))); };
    switch (act) {
    case ACT_SILU: return mx::multiply(x, logistic(x, 1));
    case ACT_GELU_TANH: {
        mx::array cube = mx::multiply(mx::multiply(mx::multiply(x, x), x), number(0.044715f));
        mx::array bent = mx::tanh(mx::multiply(number(0.79788456f), mx::add(x, cube)));
        return mx::multiply(mx::multiply(x, number(0.5f)), mx::add(bent, number(1)));
    }
    case ACT_RELU2: return mx::square(mx::maximum(x, number(0)));
    case ACT_GELU: {
        mx::array bent = mx::erf(mx::multiply(x, number(0.70710678f)));
        return mx::multiply(mx::multiply(x, number(0.5f)), mx::add(bent, number(1)));
    }
    case ACT_GELU_QUICK: return mx::multiply(x, logistic(x, 1.702f));
    case ACT_SIGMOID: return logistic(x, 1);
    case ACT_SOFTCAP: return mx::multiply(mx::tanh(mx::divide(x, number(limit))), number(limit));
    case ACT_CLIPPED: {
        mx::array cut = mx::minimum(x, number(limit));
        return mx::multiply(cut, logistic(cut, 1.702f));
    }
    default: throw std::logic_error("an unknown activation");
    }
}

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
    uint32_t     start[2] = {0, 1}, past = 0, pick = 0, slot = 0;
    auto         state = pl->b->state;
    std::vector<uint32_t>    block(1, 0);
    struct batch             in = {};
    in.n_token = in.n_seq = in.n_pick = in.block_max = 1;
    in.token = &token;
    in.start = start;
    in.past = &past;
    in.block = block.data();
    in.pick = &pick;
    in.slot = &slot;
    std::vector<mx::array>   todo;
    std::set<std::uintptr_t> seen;
    uint32_t                 n = 0;
    walk_run(pl, &in);
    for (auto &v : pl->value)
        if (v)
            todo.push_back(*v);
    for (const auto &x : pl->b->state)
        todo.insert(todo.end(), x.begin(), x.end());
    while (!todo.empty()) {
        mx::array a = todo.back();
        todo.pop_back();
        if (a.status() != mx::array::Status::unscheduled || !a.has_primitive() || !seen.insert(a.id()).second)
            continue;
        n += views.count(a.primitive().name()) == 0;
        todo.insert(todo.end(), a.inputs().begin(), a.inputs().end());
    }
    pl->b->state = std::move(state);
    pl->value.clear();
    return n;
}

void walk_run(struct plan *pl, const struct batch *in)
{
    auto state = pl->b->state;
    try {
        walk(pl, in).run();
    } catch (...) {
        pl->b->state = std::move(state);
        throw;
    }
}
