/* recur.cpp -- what runs along sequences: conv, scan, delta.
 *
 * Everything here is float32 and of shape [sequences, rows, …].  Recurrences take CHUNK rows at a time, within which they
 * are products of matrices: what row j left is seen by row i as e^(the decays between them).  Those sums are taken of the
 * decays between j and i alone, as the difference of two sums from the beginning would lose what it is made of. */
#include "backend/mlx/mlx.h"

#include <algorithm>
#include <cmath>

namespace {

constexpr int CHUNK = 64;

int length(uint32_t n)
{
    return static_cast<int>(n);
}

/* Rows from .. from + n of every sequence. */
mx::array rows_from(const mx::array &x, int from, int n)
{
    auto start = mx::Shape(x.ndim(), 0), end = x.shape();
    start[1] = from;
    end[1] = from + n;
    return mx::slice(x, start, end);
}

/* Columns as heads: [sequences, heads, rows, dim]. */
mx::array heads_of(const mx::array &x, int from, int heads, int dim)
{
    mx::array y = mx::slice(x, {0, 0, from}, {x.shape(0), x.shape(1), from + heads * dim});
    return mx::swapaxes(mx::reshape(y, {x.shape(0), x.shape(1), heads, dim}), 1, 2);
}

mx::array turned(const mx::array &x)
{
    return mx::swapaxes(x, -1, -2);
}

/* ln(1 + e^x) */
mx::array softplus(const mx::array &x)
{
    return mx::logaddexp(x, mx::array(0.0f));
}

/* Of the decays of rows, [sequences, heads, rows]. */
struct decays {
    mx::array between;      /* [.., i, j]: what is left at row i of what row j wrote; 0 before j */
    mx::array since;        /* [.., i, 1]: of what was there before the first row */
    mx::array after;        /* [.., j, 1]: at the last row, of what row j wrote */
    mx::array whole;        /* [.., 1, 1]: at the last row, of what was there before the first */
};

decays decays_of(const mx::array &a)
{
    int       n = a.shape(2);
    mx::array row = mx::arange(0, n, mx::int32), i = mx::expand_dims(row, 1), j = mx::expand_dims(row, 0), zero(0.0f);
    mx::array sums = mx::cumsum(mx::where(mx::greater(i, j), mx::expand_dims(a, 3), zero), 2);
    mx::array between = mx::where(mx::greater_equal(i, j), mx::exp(sums), zero);
    mx::array since = mx::expand_dims(mx::exp(mx::cumsum(a, 2)), 3);
    auto      last = [n](const mx::array &x) { return mx::slice(x, {0, 0, n - 1, 0}, {x.shape(0), x.shape(1), n, x.shape(3)}); };
    return {between, since, turned(last(between)), last(since)};
}

/* The inverse of 1 + x below its diagonal, by blocks of twice the size each time: with the inverses A' and D' of two
 * neighbours on the diagonal, that of [A 0; B D] has -D' B A' in its corner. */
mx::array inverse(const mx::array &x)
{
    int       n = x.shape(-1);
    mx::array row = mx::arange(0, n, mx::int32), i = mx::expand_dims(row, 1), j = mx::expand_dims(row, 0);
    mx::array y = mx::broadcast_to(mx::astype(mx::equal(i, j), mx::float32), x.shape());
    for (int size = 1; size < n; size *= 2) {
        auto      block = [](const mx::array &at, int of) { return mx::floor_divide(at, mx::array(of)); };
        mx::array corner = mx::logical_and(mx::equal(block(i, 2 * size), block(j, 2 * size)), mx::greater(block(i, size), block(j, size)));
        y = mx::subtract(y, mx::matmul(y, mx::matmul(mx::where(corner, x, mx::array(0.0f)), y)));
    }
    return y;
}

/* Runs f over chunks of n rows; it takes the first row and how many, and the memory, which it leaves for the next. */
template <typename F> recurred in_chunks(int n, mx::array memory, F f)
{
    std::vector<mx::array> outs;
    for (int from = 0; from < n; from += CHUNK)
        outs.push_back(f(from, std::min(CHUNK, n - from), memory));
    return {outs.size() == 1 ? outs[0] : mx::concatenate(outs, 2), memory};
}

/* [sequences, heads, rows, dim] as rows of columns. */
mx::array as_rows(const mx::array &x)
{
    return mx::reshape(mx::swapaxes(x, 1, 2), {x.shape(0), x.shape(2), -1});
}

/* Rows of all heads: x is what is written at B and read at C. */
struct scanned {
    mx::array x, b, c, decay;
};

mx::array scan_chunk(const scanned &s, mx::array &memory)
{
    if (s.x.shape(2) == 1) {
        memory = mx::add(mx::multiply(memory, mx::exp(mx::expand_dims(s.decay, 3))), mx::matmul(turned(s.x), s.b));
        return mx::matmul(s.c, turned(memory));
    }
    decays    d = decays_of(s.decay);
    mx::array seen = mx::multiply(mx::matmul(s.c, turned(s.b)), d.between);
    mx::array old = mx::multiply(mx::matmul(s.c, turned(memory)), d.since);
    memory = mx::add(mx::multiply(memory, d.whole), mx::matmul(turned(mx::multiply(s.x, d.after)), s.b));
    return mx::add(mx::matmul(seen, s.x), old);
}

/* x over its length. */
mx::array unit(const mx::array &x)
{
    return mx::multiply(x, mx::rsqrt(mx::add(mx::sum(mx::square(x), -1, true), mx::array(1e-6f))));
}

/* Rows of all heads; beta: [.., rows, 1]. */
struct ruled {
    mx::array q, k, v, decay, beta;
};

/* What row i writes at its key, u, is made from what it finds there: the memory before the chunk, and what the rows before
 * it wrote, (1 + a) u = beta (v - memory^T k). */
mx::array delta_chunk(const ruled &r, mx::array &memory)
{
    if (r.q.shape(2) == 1) {
        memory = mx::multiply(memory, mx::exp(mx::expand_dims(r.decay, 3)));
        mx::array u = mx::multiply(mx::subtract(r.v, mx::matmul(r.k, memory)), r.beta);
        memory = mx::add(memory, mx::matmul(turned(r.k), u));
        return mx::matmul(r.q, memory);
    }
    decays    d = decays_of(r.decay);
    mx::array a = mx::multiply(mx::multiply(mx::matmul(r.k, turned(r.k)), d.between), r.beta);
    mx::array found = mx::multiply(mx::matmul(r.k, memory), d.since);
    mx::array u = mx::matmul(inverse(a), mx::multiply(mx::subtract(r.v, found), r.beta));
    mx::array seen = mx::multiply(mx::matmul(r.q, turned(r.k)), d.between);
    mx::array old = mx::multiply(mx::matmul(r.q, memory), d.since);
    memory = mx::add(mx::multiply(memory, d.whole), mx::matmul(turned(mx::multiply(r.k, d.after)), u));
    return mx::add(mx::matmul(seen, u), old);
}

} // namespace

recurred conv_rows(const step &s, const mx::array &x, const mx::array &memory)
{
    int       seqs = x.shape(0), n = x.shape(1), width = x.shape(2), taps = length(s.i->conv.taps);
    mx::array all = mx::concatenate({mx::reshape(memory, {seqs, taps - 1, width}), x}, 1);
    mx::array y = mx::conv1d(all, mx::reshape(s.ready.at(0), {width, taps, 1}), 1, 0, 1, width);
    if (s.ready.count(1))
        y = mx::add(y, s.ready.at(1));
    if (s.i->conv.act == ACT_SILU)
        y = activate(ACT_SILU, y, 0);
    return {y, rows_from(all, n, taps - 1)};
}

recurred scan_rows(const step &s, const mx::array &x, const mx::array &in1, const mx::array &memory)
{
    int  seqs = x.shape(0), heads = length(s.i->scan.heads), groups = length(s.i->scan.groups), dim = length(s.i->scan.head_dim);
    int  of = length(s.i->scan.state_dim), share = heads / groups;
    auto shared = [&](const mx::array &y) { return share == 1 ? y : mx::repeat(y, share, 1); };
    mx::array step = mx::clip(softplus(mx::add(in1, s.ready.at(0))), mx::array(s.i->scan.step_min), mx::array(s.i->scan.step_max));
    mx::array decay = mx::negative(mx::multiply(mx::exp(s.ready.at(1)), step));
    recurred  r = in_chunks(x.shape(1), mx::reshape(memory, {seqs, heads, dim, of}), [&](int from, int n, mx::array &state) {
        mx::array rows = rows_from(x, from, n), y = heads_of(rows, 0, heads, dim);
        mx::array steps = mx::swapaxes(rows_from(step, from, n), 1, 2);
        scanned   c = {mx::multiply(y, mx::expand_dims(steps, 3)), shared(heads_of(rows, heads * dim, groups, of)),
                       shared(heads_of(rows, heads * dim + groups * of, groups, of)), mx::swapaxes(rows_from(decay, from, n), 1, 2)};
        mx::array skip = mx::reshape(s.ready.at(2), {1, heads, 1, 1});
        return mx::add(scan_chunk(c, state), mx::multiply(skip, y));
    });
    return {as_rows(r.out), r.memory};
}

recurred delta_rows(const step &s, const mx::array &x, const mx::array &in1, const mx::array &memory)
{
    int  seqs = x.shape(0), heads = length(s.i->delta.heads), keys = length(s.i->delta.key_heads), dk = length(s.i->delta.key_dim);
    int  dv = length(s.i->delta.value_dim), share = heads / keys;
    auto shared = [&](const mx::array &y) { return share == 1 ? y : mx::repeat(y, share, 1); };
    auto half = [&](int k) { return mx::slice(in1, {0, 0, k * heads}, {seqs, in1.shape(1), (k + 1) * heads}); };
    mx::array beta = mx::sigmoid(half(0));
    mx::array decay = mx::negative(mx::multiply(mx::exp(s.ready.at(1)), softplus(mx::add(half(1), s.ready.at(0)))));
    mx::array root(1 / std::sqrt(static_cast<float>(dk)));
    recurred  r = in_chunks(x.shape(1), mx::reshape(memory, {seqs, heads, dk, dv}), [&](int from, int n, mx::array &state) {
        mx::array rows = rows_from(x, from, n);
        ruled     c = {shared(mx::multiply(unit(heads_of(rows, 0, keys, dk)), root)), shared(unit(heads_of(rows, keys * dk, keys, dk))),
                       heads_of(rows, 2 * keys * dk, heads, dv), mx::swapaxes(rows_from(decay, from, n), 1, 2),
                       mx::expand_dims(mx::swapaxes(rows_from(beta, from, n), 1, 2), 3)};
        return delta_chunk(c, state);
    });
    return {as_rows(r.out), r.memory};
}
