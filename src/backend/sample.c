/* sample.c -- see sample.h.
 *
 * A row is up to 150,000 logits, and most of its work would be sorting them.  Nothing here sorts: weights far below the
 * heaviest are left aside first, and a heap over the few that remain gives them up in order until the cuts are
 * satisfied. */
#include "backend/sample.h"

#include "base/mem.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum {
    PIECE = 256,                    /* logits summed together, so that a draw looks into one piece only */
    LANES = 8,                      /* independent accumulators; compilers turn each group into vector instructions */
};

struct candidate {
    float   x, weight;
    int32_t token;
};

struct sampler {
    uint32_t          n_vocab, n_piece;
    float            *x;            /* logits with bias and penalties */
    float            *weight;
    double           *piece;        /* sums of PIECE weights */
    struct candidate *heap;
};

static uint32_t pieces(uint32_t n)
{
    return n / PIECE + (n % PIECE != 0);
}

uint64_t sample_bytes(uint32_t n_vocab)
{
    return (uint64_t)n_vocab * (2 * sizeof(float) + sizeof(struct candidate)) + pieces(n_vocab) * sizeof(double);
}

struct sampler *sample_new(uint32_t n_vocab)
{
    CHECK(n_vocab > 0 && n_vocab <= INT32_MAX);
    struct sampler *s = mem_new(sizeof *s);
    *s = (struct sampler){
        .n_vocab = n_vocab,
        .n_piece = pieces(n_vocab),
        .x = mem_array(n_vocab, sizeof *s->x),
        .weight = mem_array(n_vocab, sizeof *s->weight),
        .piece = mem_array(pieces(n_vocab), sizeof *s->piece),
        .heap = mem_array(n_vocab, sizeof *s->heap),
    };
    return s;
}

void sample_free(struct sampler *s)
{
    if (!s)
        return;
    free(s->x);
    free(s->weight);
    free(s->piece);
    free(s->heap);
    free(s);
}

static bool finite_in(float x, float low, float high)
{
    return x >= low && x <= high;       /* false for NaN */
}

bool sample_check(const struct draw *how, uint32_t n_vocab, struct err *e)
{
    const float most = 1e6f;
    if (!finite_in(how->temperature, 0, most))
        return err_param(e, "temperature", "temperature must be a number from 0 on");
    if (!finite_in(how->top_p, 0, 1))
        return err_param(e, "top_p", "top_p must lie between 0 and 1");
    if (!finite_in(how->min_p, 0, 1))
        return err_param(e, "min_p", "min_p must lie between 0 and 1");
    if (!finite_in(how->repeat, 1e-6f, most))
        return err_param(e, "repetition_penalty", "repetition_penalty must be a number above 0; 1 is off");
    if (!finite_in(how->presence, -most, most))
        return err_param(e, "presence_penalty", "presence_penalty must be a number");
    if (!finite_in(how->frequency, -most, most))
        return err_param(e, "frequency_penalty", "frequency_penalty must be a number");
    if (how->n_logprob > DRAW_TOP_MAX + 1)
        return err_param(e, "top_logprobs", "top_logprobs can be %d at most", DRAW_TOP_MAX);
    for (uint32_t i = 0; i < how->n_bias; i++) {
        if (how->bias[i].token < 0 || (uint32_t)how->bias[i].token >= n_vocab)
            return err_param(e, "logit_bias", "logit_bias names token %" PRId32 ", but the vocabulary has %" PRIu32,
                             how->bias[i].token, n_vocab);
        if (!finite_in(how->bias[i].add, -most, most))
            return err_param(e, "logit_bias", "logit_bias for token %" PRId32 " must be a number",
                             how->bias[i].token);
    }
    return true;
}

/* ---- chance ------------------------------------------------------------------------------------------------------ */

/* Philox 4x32-10: Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011. */
static void philox(uint32_t c[4], uint32_t k0, uint32_t k1)
{
    for (int round = 0; round < 10; round++) {
        uint64_t a = (uint64_t)0xD2511F53u * c[0], b = (uint64_t)0xCD9E8D57u * c[2];
        uint32_t x0 = (uint32_t)(b >> 32) ^ c[1] ^ k0, x2 = (uint32_t)(a >> 32) ^ c[3] ^ k1;
        c[0] = x0;
        c[1] = (uint32_t)b;
        c[2] = x2;
        c[3] = (uint32_t)a;
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
}

double sample_uniform(uint64_t seed, uint64_t counter)
{
    uint32_t c[4] = {(uint32_t)counter, (uint32_t)(counter >> 32), 0, 0};
    philox(c, (uint32_t)seed, (uint32_t)(seed >> 32));
    return (double)(((uint64_t)c[0] << 21) ^ (c[1] >> 11)) * 0x1p-53;
}

/* ---- sums -------------------------------------------------------------------------------------------------------- */

/* e^x for x <= 0, to about 2 units in the last place; 0 below -87 and for what is not a number.  2^k e^f with |f| <=
 * ln 2 / 2: k by adding and taking off a number so large that fractions are lost, ln 2 in two parts so that f stays
 * exact.  Choices are made on the bits (of negative numbers, larger bits lie further below): compilers make vector
 * instructions of those. */
static inline float exp_of(float x)
{
    const int32_t least = (int32_t)0xC2AE0000;      /* -87 */
    int32_t bits;
    memcpy(&bits, &x, sizeof bits);
    bits |= INT32_MIN;
    int32_t alive = bits > least ? 0 : -1;
    bits = bits > least ? least : bits;
    memcpy(&x, &bits, sizeof x);
    float k = (x * 1.44269504f + 12582912.0f) - 12582912.0f;
    float f = (x - k * 0.693359375f) + k * 2.12194440e-4f;
    float y = 1.0f + f * (1.0f + f * (0.5f + f * (0.166666657f + f * (0.0416666292f
              + f * (0.00833337288f + f * 0.00138949489f)))));
    memcpy(&bits, &y, sizeof bits);
    bits = (bits + (int32_t)k * (1 << 23)) & alive;
    memcpy(&y, &bits, sizeof y);
    return y;
}

/* The largest of n, -INFINITY when there is none; what is not a number is passed over. */
static float largest(const float *x, uint32_t n)
{
    float    m[LANES];
    uint32_t i = 0;
    for (int j = 0; j < LANES; j++)
        m[j] = -INFINITY;
    for (; i + LANES <= n; i += LANES)
        for (int j = 0; j < LANES; j++)
            m[j] = x[i + (uint32_t)j] > m[j] ? x[i + (uint32_t)j] : m[j];
    for (; i < n; i++)
        m[0] = x[i] > m[0] ? x[i] : m[0];
    for (int j = 1; j < LANES; j++)
        m[0] = m[j] > m[0] ? m[j] : m[0];
    return m[0];
}

static void weigh_piece(const float *restrict x, float max, float scale, float *restrict w)
{
    for (int i = 0; i < PIECE; i++)
        w[i] = exp_of((x[i] - max) * scale);
}

/* w[i] = e^((x[i] - max) * scale), for n up to PIECE, and their sum. */
static double weigh(const float *x, uint32_t n, float max, float scale, float *w)
{
    double sum[LANES] = {0};
    float  in[PIECE], out[PIECE];
    if (n == PIECE) {
        weigh_piece(x, max, scale, out);
    } else {
        for (uint32_t i = 0; i < PIECE; i++)
            in[i] = i < n ? x[i] : -INFINITY;
        weigh_piece(in, max, scale, out);
    }
    for (int i = 0; i < PIECE; i += LANES)
        for (int j = 0; j < LANES; j++)
            sum[j] += (double)out[i + j];
    memcpy(w, out, n * sizeof *w);
    return ((sum[0] + sum[4]) + (sum[1] + sum[5])) + ((sum[2] + sum[6]) + (sum[3] + sum[7]));
}

/* ---- logprobs ---------------------------------------------------------------------------------------------------- */

/* The log of the sum of e^x. */
static double log_sum(const float *x, uint32_t n, float max)
{
    double sum = 0;
    float  w[PIECE];
    for (uint32_t i = 0; i < n; i += PIECE)
        sum += weigh(x + i, n - i < PIECE ? n - i : PIECE, max, 1.0f, w);
    return (double)max + log(sum);
}

/* The k largest, best first, the lowest ids first among equals; their logprobs are x - lse. */
static void tops(const float *x, uint32_t n, unsigned k, double lse, struct drawn *out)
{
    unsigned got = 0;
    for (uint32_t i = 0; i < n; i++) {
        if (got == k && !(x[i] > out->top[k - 1].logprob))
            continue;
        unsigned at = got < k ? got++ : k - 1;
        for (; at > 0 && x[i] > out->top[at - 1].logprob; at--)
            out->top[at] = out->top[at - 1];
        out->top[at].token = (int32_t)i;
        out->top[at].logprob = x[i];
    }
    out->n_top = (uint8_t)got;
    for (unsigned i = 0; i < got; i++)
        out->top[i].logprob = (float)((double)out->top[i].logprob - lse);
}

/* ---- drawing ----------------------------------------------------------------------------------------------------- */

static bool changes_logits(const struct draw *d)
{
    return d->n_bias || (d->n_seen && (d->repeat != 1.0f || d->presence != 0.0f || d->frequency != 0.0f));
}

static const float *changed(struct sampler *s, const float *logits, const struct draw *d)
{
    memcpy(s->x, logits, s->n_vocab * sizeof *s->x);
    for (uint32_t i = 0; i < d->n_bias; i++)
        s->x[d->bias[i].token] += d->bias[i].add;
    for (uint32_t i = 0; i < d->n_seen; i++) {
        const struct draw_seen *seen = &d->seen[i];
        float *x = &s->x[seen->token];
        *x = *x < 0 ? *x * d->repeat : *x / d->repeat;
        if (seen->answer)
            *x -= d->frequency * (float)seen->answer + d->presence;
    }
    return s->x;
}

static bool before(const struct candidate *a, const struct candidate *b)
{
    return a->x > b->x || (a->x == b->x && a->token < b->token);
}

static void sink(struct candidate *h, uint32_t n, uint32_t at)
{
    struct candidate c = h[at];
    for (uint32_t kid; (kid = 2 * at + 1) < n; at = kid) {
        if (kid + 1 < n && before(&h[kid + 1], &h[kid]))
            kid++;
        if (!before(&h[kid], &c))
            break;
        h[at] = h[kid];
    }
    h[at] = c;
}

/* Moves the best of the n in the heap behind its end. */
static const struct candidate *pop(struct candidate *h, uint32_t n)
{
    struct candidate best = h[0];
    h[0] = h[n - 1];
    sink(h, n - 1, 0);
    h[n - 1] = best;
    return &h[n - 1];
}

/* A heap of the candidates that weigh at least `floor`; *mass is their sum. */
static uint32_t gather(struct sampler *s, const float *x, float floor, double *mass)
{
    uint32_t n = 0;
    *mass = 0;
    for (uint32_t i = 0; i < s->n_vocab; i++)
        if (s->weight[i] >= floor) {
            s->heap[n++] = (struct candidate){x[i], s->weight[i], (int32_t)i};
            *mass += (double)s->weight[i];
        }
    for (uint32_t i = n / 2; i-- > 0;)
        sink(s->heap, n, i);
    return n;
}

/* The candidates are the heaviest of all, so once there are enough of them, or they weigh enough, the rest does not
 * matter.  Weights that are 0 can never be drawn. */
static uint32_t gather_enough(struct sampler *s, const float *x, const struct draw *d, double all)
{
    static const float floors[] = {3e-4f, 1e-9f, 1e-45f};       /* e^-8, e^-20, anything */
    double   mass;
    uint32_t n = 0;
    if (d->top_k == 0 && d->top_p >= 1.0f)
        return gather(s, x, d->min_p, &mass);
    for (size_t i = 0; i < sizeof floors / sizeof floors[0]; i++) {
        n = gather(s, x, floors[i], &mass);
        if (d->top_k > 0 ? n >= (uint32_t)d->top_k : mass >= (double)d->top_p * all)
            break;
    }
    return n;
}

/* Steps 5 to 8 when something is cut.  What was popped lies behind the heap, the best last. */
static int32_t draw_cut(struct sampler *s, const float *x, const struct draw *d, double all, double u)
{
    uint32_t n = gather_enough(s, x, d, all), left = n, kept = 0;
    double   whole = all, mass = 0;
    if (d->top_k > 0) {
        uint32_t k = (uint32_t)d->top_k < n ? (uint32_t)d->top_k : n;
        for (whole = 0; left > n - k; left--)
            whole += (double)pop(s->heap, left)->weight;
    }
    uint32_t end = d->top_k > 0 ? left : 0;
    while (n - kept > end && !(kept && d->top_p < 1.0f && mass >= (double)d->top_p * whole)) {
        if (n - kept == left)
            pop(s->heap, left--);
        float w = s->heap[n - kept - 1].weight;
        if (w < d->min_p)
            break;
        mass += (double)w;
        kept++;
    }
    double   goal = u * mass, sum = 0;
    uint32_t i = 0;
    for (; i + 1 < kept; i++) {
        sum += (double)s->heap[n - i - 1].weight;
        if (sum > goal)
            break;
    }
    return s->heap[n - i - 1].token;
}

/* Step 8 when nothing is cut: by id. */
static int32_t draw_all(const struct sampler *s, double all, double u)
{
    double   goal = u * all, sum = 0;
    uint32_t p = 0;
    for (; p + 1 < s->n_piece && sum + s->piece[p] <= goal; p++)
        sum += s->piece[p];
    uint32_t end = s->n_vocab - p * PIECE < PIECE ? s->n_vocab : (p + 1) * PIECE, last = p * PIECE;
    for (uint32_t i = p * PIECE; i < end; i++) {
        sum += (double)s->weight[i];
        if (s->weight[i] > 0)
            last = i;
        if (sum > goal && s->weight[i] > 0)
            break;
    }
    return (int32_t)last;
}

bool sample(struct sampler *s, const float *logits, const struct draw *how, struct drawn *out)
{
    const float *x = changes_logits(how) ? changed(s, logits, how) : logits;
    uint32_t     n = s->n_vocab;
    float        max = largest(x, n);
    if (!(max > -INFINITY && max < INFINITY))
        return false;
    out->n_top = 0;
    out->logprob = 0;
    if (how->temperature < 1e-5f) {
        uint32_t i = 0;
        while (x[i] != max)
            i++;
        out->token = (int32_t)i;
    } else {
        float  scale = 1.0f / how->temperature;
        double all = 0, u = sample_uniform(how->seed, how->counter);
        for (uint32_t p = 0; p < s->n_piece; p++) {
            uint32_t from = p * PIECE;
            s->piece[p] = weigh(x + from, n - from < PIECE ? n - from : PIECE, max, scale, s->weight + from);
            all += s->piece[p];
        }
        struct draw d = *how;
        if (d.top_k < 0 || (uint32_t)d.top_k >= n)
            d.top_k = 0;
        bool cuts = d.top_k > 0 || d.top_p < 1.0f || d.min_p > 0.0f;
        out->token = cuts ? draw_cut(s, x, &d, all, u) : draw_all(s, all, u);
    }
    if (how->n_logprob) {
        float  top = x == logits ? max : largest(logits, n);
        double lse = log_sum(logits, n, top);
        out->logprob = (float)((double)logits[out->token] - lse);
        if (how->n_logprob > 1)
            tops(logits, n, how->n_logprob - 1u, lse, out);
    }
    return true;
}
