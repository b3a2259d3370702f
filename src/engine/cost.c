/* cost.c -- see cost.h.
 *
 * Least squares of the relative error over the kinds' means.  None of the three numbers may be negative; with three it
 * is cheap to solve for every subset of them and to take the best that is not.  When the measurements cannot tell
 * subsets apart, the one that charges rows wins: it is the careful one. */
#include "engine/cost.h"

#include <math.h>
#include <stdbool.h>

enum { KIND_STEPS = 8 };

static int power_of_two(double x, int max)
{
    int p = x >= 1 ? ilogb(x) : 0;
    return p < max ? p : max - 1;
}

struct equations {
    double a[3][3], b[3], all;      /* normal equations; the sum of squares when nothing is explained */
};

static void add(struct equations *q, const struct cost_kind *k)
{
    double x[3] = {k->rows / k->ns, k->attended / k->ns, 1 / k->ns};
    for (int i = 0; i < 3; i++) {
        for (int j = 0; j < 3; j++)
            q->a[i][j] += k->n * x[i] * x[j];
        q->b[i] += k->n * x[i];
    }
    q->all += k->n;
}

/* Solves for the unknowns in `set` (bits), the others 0, by elimination on equations scaled to a diagonal of ones.
 * Returns what stays unexplained; INFINITY when the set cannot be told apart or one is negative. */
static double solve(const struct equations *q, unsigned set, double out[3])
{
    double m[3][4], scale[3];
    int    at[3], n = 0;
    for (int i = 0; i < 3; i++)
        if (set & 1u << i)
            at[n++] = i;
    for (int i = 0; i < n; i++)
        scale[i] = q->a[at[i]][at[i]] > 0 ? 1 / sqrt(q->a[at[i]][at[i]]) : 0;
    for (int i = 0; i < n; i++) {
        for (int j = 0; j < n; j++)
            m[i][j] = q->a[at[i]][at[j]] * scale[i] * scale[j];
        m[i][3] = q->b[at[i]] * scale[i];
    }
    for (int i = 0; i < n; i++) {
        if (m[i][i] < 1e-9)
            return INFINITY;
        for (int r = i + 1; r < n; r++) {
            double f = m[r][i] / m[i][i];
            for (int j = i; j < n; j++)
                m[r][j] -= f * m[i][j];
            m[r][3] -= f * m[i][3];
        }
    }
    double left = q->all;
    out[0] = out[1] = out[2] = 0;
    for (int i = n; i-- > 0;) {
        double v = m[i][3];
        for (int j = i + 1; j < n; j++)
            v -= m[i][j] * out[at[j]] / scale[j];
        out[at[i]] = v / m[i][i] * scale[i];
    }
    for (int i = 0; i < n; i++) {
        if (out[at[i]] < 0)
            return INFINITY;
        left -= out[at[i]] * q->b[at[i]];
    }
    return left;
}

void cost_learn(struct cost_model *c, double rows, double attended, double ns)
{
    /* Fewer unknowns first: more must explain clearly more. */
    static const unsigned sets[] = {1, 2, 4, 3, 5, 6, 7};       /* row, reach, step and their unions */
    if (!(rows >= 1 && ns > 0))
        return;
    /* A quarter of the way for each step, so that a single one that was held up does not count for much. */
    double fitted = c->step + c->row * rows + c->reach * attended;
    c->pace = fitted > 0 ? c->pace + (fmin(fmax(ns / fitted, 0.5), 3) - c->pace) / 4 : 1;
    struct cost_kind *k = &c->kind[power_of_two(rows, COST_ROWS)][power_of_two(attended / rows, COST_REACH)];
    if (k->n)
        ns = fmin(ns, 4 * k->ns);
    k->n += k->n < KIND_STEPS;
    k->rows += (rows - k->rows) / k->n;
    k->attended += (attended - k->attended) / k->n;
    k->ns += (ns - k->ns) / k->n;
    c->rows_max = fmax(c->rows_max, rows);
    c->attended_max = fmax(c->attended_max, attended);

    struct equations q = {0};
    for (int i = 0; i < COST_ROWS; i++)
        for (int j = 0; j < COST_REACH; j++)
            if (c->kind[i][j].n)
                add(&q, &c->kind[i][j]);
    double best = INFINITY, x[3];
    for (unsigned i = 0; i < sizeof sets / sizeof sets[0]; i++) {
        double left = solve(&q, sets[i], x);
        if (best == INFINITY ? left < INFINITY : left < best - 1e-9 * q.all) {
            best = left;
            c->row = x[0];
            c->reach = x[1];
            c->step = x[2];
        }
    }
}

double cost_ns(const struct cost_model *c, double rows, double attended)
{
    return (c->step + c->row * rows + c->reach * attended) * c->pace;
}

/* A step may be twice as large as the largest that was measured: what the fit says beyond that is a guess. */
static bool known(const struct cost_model *c, double rows, double attended)
{
    return rows <= fmax(8, 2 * c->rows_max) && attended <= fmax(16384, 2 * c->attended_max);
}

uint32_t cost_fit(const struct cost_model *c, double rows, double attended, uint32_t past, uint32_t n_max, double ns)
{
    uint32_t low = 0, high = n_max;
    while (low < high) {
        uint32_t n = low + (high - low + 1) / 2;
        double   r = rows + n, a = attended + cost_attended(past, n);
        if (known(c, r, a) && cost_ns(c, r, a) <= ns)
            low = n;
        else
            high = n - 1;
    }
    return low;
}
