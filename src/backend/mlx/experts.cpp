/* experts.cpp -- networks chosen row by row, as MLX's products with gathered matrices. */
#include "backend/mlx/mlx.h"

#include <limits>

namespace {

/* From so many rows on, all experts together, they are put in the order of their experts, so that MLX reads each matrix
 * once. */
constexpr int SORTED_FROM = 64;

mx::array first_columns(const mx::array &x, int n)
{
    auto end = x.shape();
    end.back() = n;
    return mx::slice(x, mx::Shape(end.size(), 0), end);
}

/* The columns with the k largest numbers of each row, the first among equals: the sort keeps their order. */
mx::array largest(const mx::array &x, int k)
{
    return first_columns(mx::argsort(mx::negative(x), -1), k);
}

/* Only those of the groups whose two best are most together keep their score. */
mx::array drop_groups(const struct instr *i, const mx::array &score)
{
    int       rows = score.shape(0), groups = static_cast<int>(i->experts.groups), each = score.shape(1) / groups;
    mx::array x = mx::reshape(score, {rows, groups, each});
    mx::array best = mx::negative(first_columns(mx::sort(mx::negative(x), -1), each > 1 ? 2 : 1));
    mx::array kept = largest(mx::sum(best, -1), static_cast<int>(i->experts.groups_kept));
    mx::array chosen = mx::any(mx::equal(mx::expand_dims(kept, 1), mx::reshape(mx::arange(0, groups, mx::uint32), {1, groups, 1})), 2);
    mx::array none(-std::numeric_limits<float>::infinity());
    return mx::reshape(mx::where(mx::expand_dims(chosen, 2), x, none), score.shape());
}

struct choice {
    mx::array expert, weight;       /* [rows, k] */
};

choice choose(const step &s, const mx::array &logits)
{
    const struct instr *i = s.i;
    bool      sigmoid = i->experts.router == ROUTER_SIGMOID;
    mx::array x = mx::astype(logits, mx::float32), all = sigmoid ? mx::sigmoid(x) : mx::softmax(x, -1, true);
    mx::array score = sigmoid ? all : x;
    if (s.ready.count(4))
        score = mx::add(score, s.ready.at(4));
    if (i->experts.groups > 1)
        score = drop_groups(i, score);
    mx::array expert = largest(score, static_cast<int>(i->experts.k));
    mx::array weight = mx::take_along_axis(all, expert, 1);
    mx::array scaling(i->experts.scaling);
    if (i->experts.normalise)
        weight = mx::divide(weight, mx::add(mx::sum(weight, 1, true), mx::array(1e-20f)));
    return {expert, mx::multiply(weight, scaling)};
}

/* MLX 0.32.2 does not have the scale of whole arrays yet, which later ones take before the last. */
mx::array gathered(const piece &p, const mx::array &x, const mx::array &expert, bool sorted)
{
    auto product = [&](auto no_scale, auto in_order) {
        if constexpr (requires { mx::gather_qmm(x, p.w, *p.scales, p.biases, {}, expert, true, p.group, p.bits, p.mode, no_scale, in_order); })
            return mx::gather_qmm(x, p.w, *p.scales, p.biases, {}, expert, true, p.group, p.bits, p.mode, no_scale, in_order);
        else
            return mx::gather_qmm(x, p.w, *p.scales, p.biases, {}, expert, true, p.group, p.bits, p.mode, in_order);
    };
    return product(std::nullopt, sorted);
}

/* Row r of x, [rows, 1, in], times the matrix of its expert. */
mx::array product(const struct backend *b, const piece &p, const mx::array &x, const mx::array &expert, bool sorted)
{
    if (p.bits)
        return gathered(p, x, expert, sorted);
    mx::array w = mx::swapaxes(p.w, 1, 2);
    if (b->gpu)
        return mx::gather_mm(x, w, std::nullopt, expert, sorted);
    /* MLX's CPU backend gathers float32 alone. */
    return mx::astype(mx::gather_mm(mx::astype(x, mx::float32), mx::astype(w, mx::float32), std::nullopt, expert, sorted), x.dtype());
}

/* The same with weight k of the instruction, and the expert's bias. */
mx::array linear(const struct backend *b, const step &s, unsigned k, const mx::array &x, const mx::array &expert, bool sorted)
{
    std::vector<mx::array> outs;
    for (const piece &p : b->weight[s.i->w[k].id - 1u].pieces)
        outs.push_back(product(b, p, x, expert, sorted));
    mx::array y = outs.size() == 1 ? outs[0] : mx::concatenate(outs, -1);
    auto      bias = s.ready.find(2 + k);
    return bias == s.ready.end() ? y : mx::add(y, mx::expand_dims(mx::take(bias->second, expert, 0), 1));
}

/* Gate and up, or up alone. */
mx::array between(const struct instr *i, const mx::array &x)
{
    float limit = i->experts.limit;
    if (i->experts.act == ACT_RELU2)
        return activate(ACT_RELU2, x, limit);
    int       rows = x.shape(0), half = x.shape(2) / 2;
    bool      pairs = i->experts.pairs;
    mx::array y = mx::reshape(x, pairs ? mx::Shape{rows, half, 2} : mx::Shape{rows, 2, half});
    auto      part = [&](int k) { return mx::expand_dims(mx::take(y, k, pairs ? 2 : 1), 1); };
    mx::array up = part(1);
    if (i->experts.act == ACT_CLIPPED) {
        auto number = [&](float f) { return mx::array(f, x.dtype()); };
        up = mx::add(mx::clip(up, number(-limit), number(limit)), number(1));
    }
    return mx::multiply(activate(i->experts.act, part(0), limit), up);
}

} // namespace

mx::array experts(const struct backend *b, const step &s, const mx::array &x, const mx::array &logits)
{
    choice    c = choose(s, logits);
    int       rows = x.shape(0), k = static_cast<int>(s.i->experts.k), n = rows * k;
    bool      sorted = n >= SORTED_FROM;
    mx::array expert = mx::flatten(c.expert), from = mx::floor_divide(mx::arange(0, n, mx::int32), mx::array(k));
    std::optional<mx::array> order;
    if (sorted) {
        order = mx::argsort(expert);
        expert = mx::take(expert, *order, 0);
        from = mx::take(from, *order, 0);
    }
    mx::array y = mx::expand_dims(mx::take(x, from, 0), 1);
    y = linear(b, s, 1, between(s.i, linear(b, s, 0, y, expert, sorted)), expert, sorted);
    if (sorted)
        y = mx::take(y, mx::argsort(*order), 0);
    y = mx::multiply(mx::astype(mx::reshape(y, {rows, k, -1}), mx::float32), mx::expand_dims(c.weight, 2));
    return mx::astype(mx::sum(y, 1), x.dtype());
}
