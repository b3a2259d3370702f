/* experts.c -- networks chosen row by row. */
#include "backend/ref/ref.h"

#include "base/mem.h"

#include <math.h>
#include <stdlib.h>

struct choice {
    uint32_t *expert;               /* [k] */
    double   *weight;
    double   *all, *score;          /* [n] */
    bool     *out;                  /* [n] may not be chosen, or is already */
};

/* The best of those that are left, the first among equals. */
static uint32_t best_left(const double *score, const bool *out, uint32_t n)
{
    uint32_t best = n;
    for (uint32_t i = 0; i < n; i++)
        if (!out[i] && (best == n || score[i] > score[best]))
            best = i;
    return best;
}

static void drop_groups(const struct instr *in, struct choice *x)
{
    uint32_t n = in->experts.n, groups = in->experts.groups, each = n / groups;
    double  *sum = mem_array(groups, sizeof *sum);
    bool    *kept = mem_array(groups, sizeof *kept);
    for (uint32_t g = 0; g < groups; g++) {
        uint32_t first = best_left(x->score + g * each, x->out + g * each, each);
        sum[g] = x->score[g * each + first];
        x->out[g * each + first] = true;
        if (each > 1)
            sum[g] += x->score[g * each + best_left(x->score + g * each, x->out + g * each, each)];
        x->out[g * each + first] = false;
    }
    for (uint32_t i = 0; i < in->experts.groups_kept; i++)
        kept[best_left(sum, kept, groups)] = true;
    for (uint32_t i = 0; i < n; i++)
        x->out[i] = !kept[i / each];
    free(sum);
    free(kept);
}

static void choose(const struct instr *in, const float *logit, const float *bias, struct choice *x)
{
    bool   sigmoid = in->experts.router == ROUTER_SIGMOID;
    double most = -INFINITY, sum = 0, chosen = 0;
    for (uint32_t i = 0; i < in->experts.n; i++)
        most = fmax(most, (double)logit[i]);
    for (uint32_t i = 0; i < in->experts.n; i++)
        sum += exp((double)logit[i] - most);
    for (uint32_t i = 0; i < in->experts.n; i++) {
        x->all[i] = (double)(float)(sigmoid ? 1 / (1 + exp(-(double)logit[i])) : exp((double)logit[i] - most) / sum);
        x->score[i] = sigmoid ? (double)((float)x->all[i] + (bias ? bias[i] : 0)) : (double)logit[i];
        x->out[i] = false;
    }
    if (in->experts.groups > 1)
        drop_groups(in, x);
    for (uint32_t i = 0; i < in->experts.k; i++) {
        x->expert[i] = best_left(x->score, x->out, in->experts.n);
        x->out[x->expert[i]] = true;
        x->weight[i] = x->all[x->expert[i]];
        chosen += x->weight[i];
    }
    for (uint32_t i = 0; i < in->experts.k; i++)
        x->weight[i] *= (double)in->experts.scaling / (in->experts.normalise ? chosen + 1e-20 : 1);
}

/* y = w[k] x + w[bias] of one expert. */
static void product(const struct ref_call *c, uint32_t expert, unsigned k, unsigned bias, const float *x, uint32_t in, float *y)
{
    struct instr    i = *c->instr;
    struct ref_call one = *c;
    one.instr = &i;
    i.w[k].id = (uint16_t)(i.w[k].id + expert);
    i.w[bias].id = (uint16_t)(i.w[bias].id ? i.w[bias].id + expert : 0);
    const float *add = ref_has(&one, bias) ? ref_vector(&one, bias) : NULL;
    for (uint32_t r = 0; r < ref_weight_out(&one, k); r++)
        y[r] = (float)(ref_dot(x, ref_weight_row(&one, k, r), in) + (add ? (double)add[r] : 0));
}

/* Gate and up, or up alone, become ff numbers. */
static void between(const struct instr *in, float *x, uint32_t n, uint32_t ff)
{
    float *out = mem_array(ff, sizeof *out), limit = in->experts.limit;
    for (uint32_t i = 0; i < ff; i++) {
        float gate = in->experts.pairs ? x[2 * i] : x[i], up = 1;
        if (n == 2 * ff)
            up = in->experts.pairs ? x[2 * i + 1] : x[ff + i];
        if (in->experts.act == ACT_CLIPPED)
            up = fminf(fmaxf(up, -limit), limit) + 1;
        out[i] = ref_activate(in->experts.act, gate, limit) * up;
    }
    for (uint32_t i = 0; i < ff; i++)
        x[i] = out[i];
    free(out);
}

void ref_experts(const struct ref_call *c)
{
    const struct instr *in = c->instr;
    struct ref_rows     x = ref_in(c, 0), logits = ref_in(c, 1), out = ref_out(c);
    const float        *bias = ref_has(c, 4) ? ref_vector(c, 4) : NULL;
    uint32_t            n = in->experts.n, up = ref_weight_out(c, 0), ff = in->experts.act == ACT_RELU2 ? up : up / 2;
    struct choice       chosen = {mem_array(in->experts.k, sizeof(uint32_t)), mem_array(in->experts.k, sizeof(double)),
                                  mem_array(n, sizeof(double)), mem_array(n, sizeof(double)), mem_array(n, sizeof(bool))};
    float  *mid = mem_array(up, sizeof *mid), *part = mem_array(out.width, sizeof *part);
    double *sum = mem_array(out.width, sizeof *sum);
    for (uint32_t r = 0; r < out.rows; r++) {
        choose(in, ref_row(logits, r), bias, &chosen);
        for (uint32_t i = 0; i < out.width; i++)
            sum[i] = 0;
        for (uint32_t k = 0; k < in->experts.k; k++) {
            product(c, chosen.expert[k], 0, 2, ref_row(x, r), x.width, mid);
            between(in, mid, up, ff);
            product(c, chosen.expert[k], 1, 3, mid, ff, part);
            for (uint32_t i = 0; i < out.width; i++)
                sum[i] += chosen.weight[k] * (double)part[i];
        }
        for (uint32_t i = 0; i < out.width; i++)
            ref_row(out, r)[i] = (float)sum[i];
    }
    free(chosen.expert);
    free(chosen.weight);
    free(chosen.all);
    free(chosen.score);
    free(chosen.out);
    free(mid);
    free(part);
    free(sum);
}
