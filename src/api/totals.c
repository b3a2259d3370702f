/* totals.c -- see totals.h. */
#include "api/totals.h"

static const double bounds[TOTALS_BOUNDS] = {0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25,
                                             0.5,   1,      2.5,   5,    10,    30,   60,  300};

void totals_init(struct totals *t)
{
    *t = (struct totals){.lock = PTHREAD_MUTEX_INITIALIZER};
}

void totals_drop(struct totals *t)
{
    pthread_mutex_destroy(&t->lock);
}

void totals_http(struct totals *t, size_t route, int status)
{
    CHECK(route < TOTALS_ROUTES && status >= 100 && status < 600);
    pthread_mutex_lock(&t->lock);
    t->http[route][status / 100 - 1]++;
    pthread_mutex_unlock(&t->lock);
}

static void observe(struct histogram *h, double s)
{
    size_t i = 0;
    if (s < 0)
        return;
    while (i < TOTALS_BOUNDS && s > bounds[i])
        i++;
    h->n[i]++;
    h->count++;
    h->sum += s;
}

void totals_add(struct totals *t, const struct total *one)
{
    pthread_mutex_lock(&t->lock);
    t->ended[one->ending]++;
    t->tokens_in += one->tokens_in;
    t->tokens_cached += one->tokens_cached;
    t->tokens_out += one->tokens_out;
    observe(&t->first_token, one->first_token_s);
    observe(&t->between_tokens, one->token_s);
    observe(&t->whole, one->whole_s);
    pthread_mutex_unlock(&t->lock);
}

const char *totals_ending(enum ending e)
{
    static const char *const names[] = {"stop", "length", "cancelled", "gone", "timeout", "failed"};
    CHECK(e < ENDING_COUNT);
    return names[e];
}

void totals_print(struct totals *t, const struct histogram *h, const char *name, const char *help, struct buf *out)
{
    pthread_mutex_lock(&t->lock);
    struct histogram seen = *h;
    pthread_mutex_unlock(&t->lock);
    uint64_t up_to = 0;
    buf_printf(out, "# HELP %s %s\n# TYPE %s histogram\n", name, help, name);
    for (size_t i = 0; i < TOTALS_BOUNDS; i++) {
        up_to += seen.n[i];
        buf_printf(out, "%s_bucket{le=\"%g\"} %llu\n", name, bounds[i], (unsigned long long)up_to);
    }
    buf_printf(out, "%s_bucket{le=\"+Inf\"} %llu\n%s_sum %.9g\n%s_count %llu\n", name, (unsigned long long)seen.count,
               name, seen.sum, name, (unsigned long long)seen.count);
}
