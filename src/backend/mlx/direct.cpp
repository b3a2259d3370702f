/* direct.cpp -- see direct.h.
 *
 * A list is made from the program: a norm becomes part of the matrix that reads it, as does what a matrix's result alone goes
 * into (glu, add); norm and rope of heads, writing the state and attention are one.  What has no place in that makes the whole
 * program keep to MLX's operations.
 *
 * Values lie in one array, `all`; kernels run one after the other, so values that are not needed at the same time share.  The
 * list is made once for each number of rows that a matrix kernel takes together. */
#include "backend/mlx/direct.h"

#include "backend/mlx/kernels.h"

#include <mlx/primitives.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <deque>
#include <map>

namespace {

enum { ROWS_MAX = 32, MAILS = 4, PART_TOKENS = 256, PARTS_MAX = 16, SHARE_NUMBERS_MAX = 1024 };

const char *const attention = "hearth_attend", *const merge = "hearth_merge";

/* A list for up to `tile` rows at a time. */
struct made {
    std::vector<launch>     list;
    std::deque<kernel_args> args;               /* one for each launch */
    uint32_t                n_merge = 0, heads = 0;     /* launches of merge; the most heads of one attention */
    uint32_t                n_layer = 0;                /* launches of the layer that has most, without merge */
};

struct refused {
    std::string why;
};

struct room {
    size_t at, bytes;
};

} // namespace

struct direct {
    struct plan *pl;
    mx::array    all, ints, logits, drawn, none;
    int          table_max, n_vocab, parts_at = 0;
    std::map<int, made>      lists;             /* by tile */
    std::vector<launch>      says;
    std::deque<say_args>     said;
    launch                   largest;
    kernel_args              largest_args = {};
    std::unique_ptr<mailbox> mail;
    unsigned                 n_mail = 0;
    std::deque<mx::array>    vectors;           /* of norms, frequencies and biases */
    uint32_t                 n_op = 0, n_op_layer = 0;
    std::vector<std::vector<mx::array>> states; /* the backend's, which stay where they are */

    direct(struct plan *plan, const mx::array &nothing, int widest)
        : pl(plan), all(nothing), ints(nothing), logits(nothing), drawn(nothing), none(nothing), table_max(widest),
          n_vocab(static_cast<int>(plan->n_vocab)), states(plan->b->state)
    {
    }
};

namespace {

const char *type_line(const struct plan *pl)
{
    return *pl->b->type == mx::bfloat16 ? "#define BF16 1\n" : "#define BF16 0\n";
}

std::string line(const char *name, int value)
{
    return std::string("#define ") + name + " " + std::to_string(value) + "\n";
}

int length(uint32_t n)
{
    return static_cast<int>(n);
}

/* ---- the program as a list ------------------------------------------------------------------------------------------- */

class maker {
public:
    maker(direct *d, int tile, bool measure) : d_(d), pl_(d->pl), p_(pl_->prog), tile_(tile), measure_(measure), where_(prog_n_values(p_) + 1)
    {
        n_use_.resize(where_.size());
        by_.resize(where_.size());
        for (size_t k = 0; k < prog_len(p_); k++) {
            const struct instr *i = prog_at(p_, k);
            by_[i->out.id] = i;
            for (val v : i->in)
                if (v.id)
                    n_use_[owner(v).id]++;
        }
    }

    made make()
    {
        for (size_t k = 0; k < prog_len(p_); k++)
            if (!done_.count(prog_at(p_, k))) {
                now_ = prog_at(p_, k);
                add(now_);
            }
        val logits = prog_result(p_, "logits");
        if (!logits.id || !logits_done_)
            throw refused{"its last operation is not a matrix"};
        return std::move(out_);
    }

    size_t bytes() const
    {
        return end_;
    }

private:
    direct            *d_;
    struct plan       *pl_;
    const struct prog *p_;
    int                tile_;
    bool               measure_;        /* only the room is asked for */
    const struct instr *now_ = nullptr;
    std::map<uint16_t, uint32_t> of_layer_;     /* launches without merge */
    made               out_;
    size_t             end_ = 0;
    bool               logits_done_ = false;
    std::vector<std::optional<size_t>>    where_;
    std::vector<unsigned>                 n_use_;
    std::vector<const struct instr *>     by_;
    std::map<const struct instr *, bool>  done_;
    std::vector<room>                     free_;

    /* What has storage: of a view its base, and of what is only handed on what it came from. */
    val owner(val v) const
    {
        for (;;) {
            const struct instr *i = by_[v.id];
            if (prog_value(p_, v)->base.id)
                v = prog_value(p_, v)->base;
            else if (i && (i->op == OP_sum || i->op == OP_pick))
                v = i->in[0];
            else
                return v;
        }
    }

    [[noreturn]] void refuse(const struct instr *i, const char *why) const
    {
        throw refused{std::string(op_name(static_cast<enum op>(i->op))) + ": " + why};
    }

    int width(val v) const
    {
        return length(prog_value(p_, v)->width);
    }

    /* ---- room ---- */

    size_t take(size_t bytes)
    {
        bytes = (bytes + 255) / 256 * 256;
        for (auto r = free_.begin(); r != free_.end(); ++r)
            if (r->bytes == bytes) {
                size_t at = r->at;
                free_.erase(r);
                return at;
            }
        end_ += bytes;
        return end_ - bytes;
    }

    void give(val v)
    {
        where_[v.id] = take(size_t{2} * ROWS_MAX * prog_value(p_, v)->width);
    }

    /* One of its uses is over. */
    void used(val v)
    {
        val o = owner(v);
        if (where_[o.id] && --n_use_[o.id] == 0)
            free_.push_back({*where_[o.id], (size_t{2} * ROWS_MAX * prog_value(p_, o)->width + 255) / 256 * 256});
    }

    place at(const struct instr *i, val v) const
    {
        val o = owner(v);
        for (val x = v; x.id != o.id; x = by_[x.id]->in[0])
            if (prog_value(p_, x)->base.id)
                refuse(i, "it reads some columns alone");
        if (!where_[o.id])
            refuse(i, "what it reads is not there by itself");
        return {&d_->all, *where_[o.id]};
    }

    /* ---- weights ---- */

    place vector(const mx::array &x, mx::Dtype type)
    {
        if (measure_)
            return {&d_->none};
        d_->vectors.push_back(mx::astype(mx::add(mx::astype(x, mx::float32), mx::array(0.0f)), type));
        mx::eval(d_->vectors.back());
        return {&d_->vectors.back()};
    }

    place plain(wt w, float plus = 0, mx::Dtype type = mx::float32)
    {
        const struct weight *x = bundle_weight_at(prog_bundle(p_), w);
        if (x->data)
            return vector(mx::array(x->data, {length(x->out)}, mx::float32), type);
        return vector(mx::add(pl_->b->weight[w.id - 1u].pieces.at(0).w, mx::array(plus)), type);
    }

    const piece &matrix(const struct instr *i) const
    {
        const held  &h = pl_->b->weight[i->w[0].id - 1u];
        if (h.pieces.size() != 1)
            refuse(i, "its matrix is of several formats");
        const piece &p = h.pieces[0];
        if (p.bits != 4 || p.mode != "affine" || !p.biases || p.scales->dtype() != *pl_->b->type || p.w.ndim() != 2)
            refuse(i, "its matrix is not of 4 bits");
        if (!p.w.flags().row_contiguous || !p.scales->flags().row_contiguous || !p.biases->flags().row_contiguous)
            refuse(i, "its matrix lies apart");
        return p;
    }

    static int numbers_in(const piece &p)
    {
        return p.w.shape(1) * 8;
    }

    /* ---- launches ---- */

    launch &launched(const char *name, const std::string &options, unsigned simds, const kernel_args &a)
    {
        out_.args.push_back(a);
        if (now_->layer && name != merge)
            out_.n_layer = std::max(out_.n_layer, ++of_layer_[now_->layer]);
        out_.list.push_back({name, type_line(pl_) + line("SIMDS", length(simds)) + options, {}, &out_.args.back(), sizeof a, {1, 1, 1}, simds});
        return out_.list.back();
    }

    void add(const struct instr *i)
    {
        switch (i->op) {
        case OP_embed: return embed(i);
        case OP_linear: return linear(i);
        case OP_attend: return attend(i);
        case OP_norm:           /* part of what reads them, or there is no place for what reads them */
        case OP_rope:
        case OP_sum:
        case OP_pick: return;
        default: refuse(i, "it has no kernel");
        }
    }

    void embed(const struct instr *i)
    {
        const piece &p = matrix(i);
        kernel_args  a = {};
        give(i->out);
        a.k = numbers_in(p);
        a.out_stride = width(i->out);
        a.scale = i->embed.scale;
        launch &l = launched("hearth_embed", "#define EMBED 1\n" + line("GROUP", p.group), 4, a);
        l.buffer = {{&p.w}, {&*p.scales}, {&*p.biases}, {&d_->ints}, {&d_->drawn}, at(i, i->out)};
    }

    /* The one instruction that reads v, handed on as it is; NULL: there are several, or v has a name. */
    const struct instr *reader(val v) const
    {
        for (;;) {
            const struct instr *found = nullptr;
            if (prog_value(p_, v)->name)
                return nullptr;
            for (size_t k = 0; k < prog_len(p_); k++)
                for (val x : prog_at(p_, k)->in)
                    if (x.id && (x.id == v.id || prog_value(p_, x)->base.id == v.id)) {
                        if (found || x.id != v.id)
                            return nullptr;
                        found = prog_at(p_, k);
                    }
            if (!found || found->op != OP_sum)
                return found;
            v = found->out;
        }
    }

    void check_norm(const struct instr *norm) const
    {
        if (norm->norm.centred || norm->w[1].id)
            refuse(norm, "it takes the mean away, or adds a bias");
    }

    void linear(const struct instr *i)
    {
        const piece        &p = matrix(i);
        val                 x = i->in[0], out = i->out;
        const struct instr *norm = by_[owner(x).id], *next = reader(out);
        kernel_args         a = {};
        place               before = {&d_->none}, bias = {&d_->none}, added = {&d_->none};
        int                 glu = 0, n = p.w.shape(0);
        if (norm && norm->op == OP_norm) {
            if (norm->norm.group && length(norm->norm.group) != width(norm->out))
                refuse(norm, "it is of heads");
            check_norm(norm);
            before = plain(norm->w[0], norm->norm.one, *pl_->b->type);
            a.eps = norm->norm.eps;
            x = norm->in[0];
        } else {
            norm = nullptr;
        }
        if (i->w[1].id && !pl_->b->weight[i->w[1].id - 1u].pieces.empty())
            bias = plain(i->w[1]);
        if (next && next->op == OP_glu && (next->glu.act == ACT_SILU || next->glu.act == ACT_GELU_TANH)) {
            glu = next->glu.act == ACT_SILU ? 1 : 2;
            done_[next] = true;
            out = next->out;
        } else if (next && next->op == OP_add && (owner(next->in[0]).id != owner(next->in[1]).id)) {
            val other = owner(next->in[0]).id == owner(i->out).id ? next->in[1] : next->in[0];
            added = at(next, other);
            a.add_stride = width(owner(other));
            done_[next] = true;
            out = next->out;
        }
        bool last = prog_result(p_, "logits").id == i->out.id;
        if (numbers_in(p) % 8 || numbers_in(p) % p.group || width(i->in[0]) != numbers_in(p) || width(owner(x)) % 8 || prog_value(p_, i->in[0])->base.id)
            refuse(i, "its rows do not lie as the kernel reads them");
        if (!last)
            give(out);
        else
            logits_done_ = true;
        int r = tile_ > 2 || n >= 16384 || glu ? 4 : 2;
        unsigned simds = tile_ >= 8 ? 8 : 4;
        a.n = n;
        a.k = numbers_in(p);
        a.in_stride = width(owner(x));
        a.out_stride = last ? n : width(out);
        launch &l = launched("hearth_matvec", "#define MATVEC 1\n" + line("GROUP", p.group) + line("R", r) + line("TILE", tile_) +
                             line("NORM", norm != nullptr) + line("BIAS", bias.a != &d_->none) + line("GLU", glu) +
                             line("ADD", added.a != &d_->none) + (last ? "#define out_t float\n#define LOWER(x) (x)\n"
                                                                       : "#define out_t ushort\n#define LOWER(x) lower(x)\n"), simds, a);
        int per = length(simds) * (glu ? r / 2 : r), outs = glu ? n / 2 : n;
        l.grid = {static_cast<uint32_t>((outs + per - 1) / per), 1, 1};
        l.by_rows = 1;
        l.rows = tile_;
        l.buffer = {{&p.w}, {&*p.scales}, {&*p.biases}, at(i, x), before, bias, added, last ? place{&d_->logits, 0, place::WRITTEN} : at(i, out)};
        used(x);
        if (added.a != &d_->none) {
            used(next->in[0]);      /* that of the matrix's own result has no room */
            used(next->in[1]);
        }
    }

    /* Where heads come from, and what is done to them on their way. */
    struct heads {
        val                 base = {0};
        int                 col = 0;
        const struct instr *norm = nullptr, *rope = nullptr;
    };

    heads heads_of(const struct instr *i, val v) const
    {
        heads h;
        for (;;) {
            const struct value *x = prog_value(p_, v);
            const struct instr *by = by_[v.id];
            if (x->base.id) {
                h.col += length(x->col);
                v = x->base;
            } else if (by && by->op == OP_rope && !h.rope && !h.norm) {
                h.rope = by;
                v = by->in[0];
            } else if (by && by->op == OP_norm && !h.norm) {
                if (by->norm.group != i->attend.head_dim || bundle_weight_at(prog_bundle(p_), by->w[0])->out != i->attend.head_dim)
                    refuse(by, "it is not of heads");
                check_norm(by);
                h.norm = by;
                v = by->in[0];
            } else {
                h.base = v;
                return h;
            }
        }
    }

    static bool same_turn(const struct instr *a, const struct instr *b)
    {
        return a == b || (a && b && a->w[0].id == b->w[0].id && a->rope.interleaved == b->rope.interleaved && a->rope.factor == b->rope.factor);
    }

    void attend(const struct instr *i)
    {
        heads q = heads_of(i, i->in[0]), k = heads_of(i, i->in[1]), v = heads_of(i, i->in[2]);
        int   dim = length(i->attend.head_dim), n = width(i->in[0]) / dim, n_kv = width(i->in[1]) / dim, share = n / n_kv;
        if (q.base.id != k.base.id || q.base.id != v.base.id || v.norm || v.rope || !q.norm != !k.norm || !same_turn(q.rope, k.rope))
            refuse(i, "queries, keys and values do not come from one matrix");
        if (q.rope && (q.rope->rope.from || q.rope->w[2].id || (q.rope->rope.n_rot && length(q.rope->rope.n_rot) != dim) ||
                       length(q.rope->rope.head_dim) != dim))
            refuse(q.rope, "it turns a part, by length or along axes");
        if (i->attend.softcap > 0 || (i->w[0].id && !pl_->b->weight[i->w[0].id - 1u].pieces.empty()))
            refuse(i, "softcap and sinks have no kernel");
        if ((dim != 64 && dim != 128) || (share + 2) * dim > SHARE_NUMBERS_MAX || share * dim / 32 > 16)
            refuse(i, "heads of this size or number have no kernel");
        kernel_args a = {};
        auto       &state = d_->states[i->s.id - 1u];
        unsigned    simds = kernels_attend_simds();
        give(i->out);
        a.n = n;
        a.k = n_kv * dim;
        a.in_stride = width(q.base);
        a.out_stride = width(i->out);
        a.q = q.col;
        a.key = k.col;
        a.value = v.col;
        a.window = length(i->attend.window);
        a.eps = q.norm ? q.norm->norm.eps : 0;
        a.scale = i->attend.scale;
        a.factor = q.rope ? q.rope->rope.factor : 1;
        std::string options = "#define ATTEND 1\n" + line("DIM", dim) + line("SHARE", share) + line("NORM", q.norm != nullptr) +
                              line("ROPE", q.rope != nullptr) + line("INTERLEAVED", q.rope && q.rope->rope.interleaved) +
                              line("BLOCK", length(pl_->b->block_tokens));
        place none = {&d_->none}, parts = {&d_->all, static_cast<size_t>(d_->parts_at)};
        launch &l = launched(attention, options, simds, a);
        l.grid = {1, static_cast<uint32_t>(n_kv), 1};
        l.buffer = {at(i, q.base), q.norm ? plain(q.norm->w[0], q.norm->norm.one) : none, k.norm ? plain(k.norm->w[0], k.norm->norm.one) : none,
                    q.rope ? plain(q.rope->w[0]) : none, {&d_->ints, ROWS_MAX * 4}, {&d_->ints, 2 * ROWS_MAX * 4},
                    {&state[0], 0, place::WRITTEN}, {&state[1], 0, place::WRITTEN}, at(i, i->out), parts};
        out_.n_merge++;
        out_.heads = std::max(out_.heads, static_cast<uint32_t>(n));
        launch &m = launched(merge, options, 4, a);
        m.grid = {1, static_cast<uint32_t>(n), 1};
        m.buffer = {parts, at(i, i->out)};
        used(q.base);
        used(q.base);
        used(q.base);
    }
};

/* ---- a run --------------------------------------------------------------------------------------------------------------- */

/* In the run's own memory, filled while it is evaluated. */
class Direct : public mx::Primitive {
public:
    Direct(mx::Stream s, direct *d, made *m, int rows, int width, int splits, std::vector<int32_t> said)
        : mx::Primitive(s), d_(d), m_(m), rows_(rows), width_(width), splits_(splits), said_(std::move(said))
    {
    }

    const char *name() const override
    {
        return "HearthDirect";
    }

    void eval_cpu(const std::vector<mx::array> &, std::vector<mx::array> &) override
    {
        throw std::logic_error("kernels have no form for a CPU");
    }

    void eval_gpu(const std::vector<mx::array> &in, std::vector<mx::array> &out) override
    {
        mx::array::Flags flags = d_->logits.flags();
        say();
        for (size_t i = 0; i < m_->list.size(); i++) {
            launch      &l = m_->list[i];
            kernel_args &a = m_->args[i];
            if (l.name == merge && splits_ == 1)
                continue;
            a.rows = rows_;
            a.table = width_;
            a.splits = splits_;
            l.grid[l.by_rows] = static_cast<uint32_t>((rows_ + l.rows - 1) / l.rows);
            if (l.name == attention)
                l.grid[2] = static_cast<uint32_t>(splits_);
            if (i == 0)
                l.buffer[4] = in.empty() ? place{&d_->drawn} : place{&in[0], 0, place::READ};
            kernel_launch(stream(), l, d_->all);
        }
        out[0].copy_shared_buffer(d_->logits, out[0].strides(), flags, out[0].size());
    }

private:
    direct *d_;
    made   *m_;
    int     rows_, width_, splits_;
    std::vector<int32_t> said_;

    void say()
    {
        for (size_t at = 0, i = 0; at < said_.size(); at += SAY_MAX, i++) {
            say_args &s = d_->said.at(i);
            s.n = static_cast<int32_t>(std::min<size_t>(SAY_MAX, said_.size() - at));
            s.at = static_cast<int32_t>(at);
            std::copy_n(said_.begin() + static_cast<std::ptrdiff_t>(at), s.n, s.x);
            kernel_launch(stream(), d_->says.at(i), d_->all);
        }
    }
};

class Largest : public mx::Primitive {
public:
    Largest(mx::Stream s, direct *d, unsigned mail) : mx::Primitive(s), d_(d), mail_(mail) {}

    const char *name() const override
    {
        return "HearthLargest";
    }

    void eval_cpu(const std::vector<mx::array> &, std::vector<mx::array> &) override
    {
        throw std::logic_error("kernels have no form for a CPU");
    }

    void eval_gpu(const std::vector<mx::array> &in, std::vector<mx::array> &out) override
    {
        place box = d_->mail->device();
        box.at += mail_ * ROWS_MAX * sizeof(int32_t);
        d_->largest_args.n = d_->largest_args.in_stride = in[0].shape(1);
        d_->largest.grid = {static_cast<uint32_t>(in[0].shape(0)), 1, 1};
        d_->largest.buffer = {{&in[0], 0, place::READ}, {&d_->drawn, 0, place::WRITTEN}, box};
        kernel_launch(stream(), d_->largest, d_->all);
        out[0].copy_shared_buffer(d_->drawn, out[0].strides(), d_->drawn.flags(), out[0].size());
    }

private:
    direct  *d_;
    unsigned mail_;
};

int tile_of(uint32_t rows)
{
    int t = 1;
    while (t < 16 && t < length(rows))
        t *= 2;
    return t;
}

bool is_direct(const struct batch *in)
{
    bool one = !in->pos && !in->see && in->n_span == 0 && in->n_seq > 0 && in->n_seq <= ROWS_MAX && in->n_token == in->n_seq &&
               in->n_pick == in->n_seq;
    for (uint32_t s = 0; one && s < in->n_seq; s++)
        one = in->start[s] == s && in->pick[s] == s;
    return one;
}

made &list_for(direct *d, int tile)
{
    auto it = d->lists.find(tile);
    if (it == d->lists.end())
        it = d->lists.emplace(tile, maker(d, tile, false).make()).first;
    return it->second;
}

/* splits 0: as many parts as long sequences are best cut into. */
mx::array written(direct *d, const struct batch *in, int splits = 0)
{
    std::vector<int32_t> said(2 * ROWS_MAX + size_t{in->n_seq} * in->block_max);
    uint32_t             longest = 0;
    bool                 drawn = false;
    for (uint32_t s = 0; s < in->n_seq; s++) {
        said[s] = in->token[s];
        drawn = drawn || in->token[s] < 0;
        said[ROWS_MAX + s] = length(in->past[s]);
        longest = std::max(longest, in->past[s]);
    }
    std::copy_n(in->block, size_t{in->n_seq} * in->block_max, said.begin() + 2 * ROWS_MAX);
    std::vector<mx::array> inputs;
    if (drawn)
        inputs.push_back(d->pl->tokens.value());
    int  rows = length(in->n_seq);
    if (!splits)
        splits = std::clamp((length(longest) + PART_TOKENS - 1) / PART_TOKENS, 1, int{PARTS_MAX});
    auto run = std::make_shared<Direct>(d->pl->b->stream, d, &list_for(d, tile_of(in->n_seq)), rows, length(in->block_max), splits, std::move(said));
    return mx::array({rows, d->n_vocab}, mx::float32, run, inputs);
}

/* States that were written but are not on their way yet; MLX does not know that kernels read them. */
void settle(struct backend *b)
{
    std::vector<mx::array> late;
    for (auto &s : b->state)
        for (auto &x : s)
            if (x.status() == mx::array::Status::unscheduled)
                late.push_back(x);
    if (!late.empty())
        mx::async_eval(late);
}

/* Evaluated, with all that it has written. */
mx::array evaluated(struct plan *pl, mx::array x)
{
    x = mx::add(x, mx::array(0.0f));        /* a copy: a list's logits are written over */
    std::vector<mx::array> all = {x};
    for (auto &s : pl->b->state)
        all.insert(all.end(), s.begin(), s.end());
    mx::eval(all);
    return x;
}

mx::array by_walk(struct plan *pl, const struct batch *in)
{
    walk_run(pl, in);
    mx::array logits = mx::astype(pl->value.at(prog_result(pl->prog, "logits").id).value(), mx::float32);
    pl->value.clear();
    return evaluated(pl, logits);
}

/* Sequences of tables of three blocks, as many of whose rows are picked. */
struct batch batch_of(uint32_t n_token, uint32_t n_seq, const int32_t *ids, const uint32_t *start, const uint32_t *past, const uint32_t *blocks,
                      const uint32_t *picks, const uint32_t *slots)
{
    struct batch in {};
    in.n_token = n_token;
    in.n_seq = in.n_pick = n_seq;
    in.token = ids;
    in.start = start;
    in.past = past;
    in.block = blocks;
    in.block_max = 3;
    in.pick = picks;
    in.slot = slots;
    return in;
}

/* The largest difference of the logits over the largest of them: of a sequence that reaches into its third block, which lies
 * before its second, and one that begins; each in one part and in several. */
double apart(direct *d)
{
    struct plan *pl = d->pl;
    uint32_t     n = std::min(pl->opts.token_max, 2 * pl->b->block_tokens + 3), last = n - 1, zero = 0, slots[2] = {0, 1};
    uint32_t     ends[3] = {0, n, 0}, rows[3] = {0, 1, 2}, past[2] = {n, 0}, blocks[6] = {0, 2, 1, 3, 3, 3}, picks[2] = {0, 1};
    std::vector<int32_t> ids(n);
    for (uint32_t i = 0; i < n; i++)
        ids[i] = static_cast<int32_t>((i * 2654435761u >> 8) % pl->n_vocab);
    struct batch fill = batch_of(n, 1, ids.data(), ends, &zero, blocks, &last, slots);
    struct batch in = batch_of(2, 2, ids.data(), rows, past, blocks, picks, slots);
    double       worst = 0;
    by_walk(pl, &fill);
    mx::array theirs = by_walk(pl, &in), most = mx::max(mx::abs(theirs));
    for (int splits = 1; splits <= 3; splits += 2) {
        mx::array mine = evaluated(pl, written(d, &in, splits));
        mx::array far = mx::max(mx::abs(mx::subtract(mine, theirs)));
        bool      good = mx::all(mx::isfinite(mine)).item<bool>();
        worst = std::max(worst, good ? static_cast<double>(far.item<float>()) / (static_cast<double>(most.item<float>()) + 1e-9) : INFINITY);
    }
    return worst;
}

std::unique_ptr<direct> built(struct plan *pl)
{
    const struct backend *b = pl->b;
    uint32_t  context = pl->opts.context_max, tokens = b->block_tokens, heads = 0;
    int       table = length((context + tokens - 1) / tokens), n = 2 * ROWS_MAX + ROWS_MAX * table;
    mx::array none = mx::zeros({4}, mx::int32);
    mx::eval(none);
    auto d = std::unique_ptr<direct>(new direct(pl, none, table));
    size_t bytes = 0;
    {
        maker m(d.get(), 1, true);
        made  list = m.make();
        heads = list.heads;
        bytes = (m.bytes() + 255) / 256 * 256;
        d->n_op = static_cast<uint32_t>(list.list.size()) - list.n_merge + 2;
        d->n_op_layer = list.n_layer;
    }
    d->parts_at = static_cast<int>(bytes);
    bytes += size_t{4} * ROWS_MAX * heads * PARTS_MAX * (128 + 2);
    d->all = mx::zeros({static_cast<int>(bytes / 4)}, mx::float32);
    d->ints = mx::zeros({n}, mx::int32);
    d->logits = mx::zeros({ROWS_MAX, d->n_vocab}, mx::float32);
    d->drawn = mx::zeros({ROWS_MAX}, mx::int32);
    mx::eval(d->all, d->ints, d->logits, d->drawn);
    d->mail = mailbox_new(MAILS * ROWS_MAX);
    for (int i = 0; i <= n / SAY_MAX; i++) {
        d->said.push_back({});
        d->says.push_back({"hearth_say", std::string(type_line(pl)) + "#define SIMDS 8\n#define SAY 1\n", {{&d->ints, 0, place::WRITTEN}}, &d->said.back(),
                           sizeof(say_args), {1, 1, 1}, 8});
    }
    d->largest = {"hearth_largest", std::string(type_line(pl)) + "#define SIMDS 16\n#define LARGEST 1\n", {}, &d->largest_args,
                  sizeof(kernel_args), {1, 1, 1}, 16};
    return d;
}

} // namespace

void direct_free(struct direct *d)
{
    delete d;
}

struct direct *direct_new(struct plan *pl, std::string *why)
{
    struct backend *b = pl->b;
    /* More than rounding to 8 bits in every layer, on either side, comes to. */
    constexpr double APART_MAX = 0.1;
    if (!kernels_here(b) || b->exact || pl->opts.keep_all || !b->in_place || b->n_block < 4 || pl->n_vocab == 0) {
        *why = "not on this machine, or not in this precision";
        return nullptr;
    }
    try {
        auto   d = built(pl);
        double far = apart(d.get());
        if (far < APART_MAX)
            return d.release();
        *why = "their logits are " + std::to_string(far) + " from MLX's";
        std::fprintf(stderr, "hearth: mlx: kernels of our own: %s; MLX's operations are used\n", why->c_str());
    } catch (const refused &x) {
        *why = x.why;
    } catch (const std::exception &x) {
        *why = x.what();
        std::fprintf(stderr, "hearth: mlx: kernels of our own: %s; MLX's operations are used\n", x.what());
    }
    return nullptr;
}

bool direct_run(struct plan *pl, const struct batch *in)
{
    direct *d = pl->direct;
    if (!d || !is_direct(in) || in->block_max > static_cast<uint32_t>(d->table_max))
        return false;
    settle(pl->b);
    std::vector<std::optional<mx::array>> value(prog_n_values(pl->prog) + 1);
    value[prog_result(pl->prog, "logits").id] = written(d, in);
    pl->value = std::move(value);
    return true;
}

bool direct_largest(struct plan *pl, const mx::array &logits, mx::array *tokens, const int32_t **host)
{
    direct *d = pl->direct;
    if (!d || logits.shape(0) > ROWS_MAX)
        return false;
    unsigned mail = d->n_mail++ % MAILS;
    *tokens = mx::array({logits.shape(0)}, mx::int32, std::make_shared<Largest>(pl->b->stream, d, mail), {logits});
    *host = d->mail->host() + mail * ROWS_MAX;
    return true;
}

void direct_count(const struct direct *d, struct overhead *out)
{
    out->n_op = d->n_op;
    out->n_op_layer = d->n_op_layer;
}
