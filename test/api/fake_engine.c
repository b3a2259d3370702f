/* fake_engine.c -- see fake_engine.h. */
#include "fake_engine.h"

#include "base/buf.h"
#include "base/mem.h"

#include <pthread.h>
#include <stdlib.h>

struct live {
    struct live              *next;
    uint64_t                  id;
    const struct fake_script *script;
    size_t                    at;
    bool                      started, cancelled, held;
    int32_t                  *stop;
    uint32_t                  n_stop, tokens_max, n_prompt, drawn, n_logprob;
    void                    (*event)(void *ctx, const struct event *ev);
    void                     *ctx;
};

struct engine {
    pthread_mutex_t    lock;
    struct clock       clock;
    struct fake_script script[FAKE_SCRIPTS_MAX];
    size_t             n_script;
    unsigned           n_submit, n_cancel, accept;
    enum err_kind      refuse;
    uint32_t           cached;
    struct live       *live;
    struct buf         jobs;
    struct engine_plan plan;
    struct engine_stats stats;
};

struct engine *fake_engine_new(struct clock clock)
{
    struct engine *g = mem_new(sizeof *g);
    pthread_mutex_init(&g->lock, NULL);
    g->clock = clock;
    g->plan = (struct engine_plan){.weight_bytes = 1000, .kv_bytes = 2000, .scratch_bytes = 500, .memory_bytes = 4000,
                                   .n_block = 256, .block_tokens = 16, .context_max = FAKE_CONTEXT,
                                   .seq_max = FAKE_SEQS, .token_max = 512};
    g->stats.blocks = 256;
    buf_init(&g->jobs, 0);
    return g;
}

void fake_engine_free(struct engine *g)
{
    CHECK(!g->live);
    pthread_mutex_destroy(&g->lock);
    buf_drop(&g->jobs);
    free(g);
}

void fake_add_script(struct engine *g, const struct fake_script *s)
{
    CHECK(g->n_script < FAKE_SCRIPTS_MAX);
    g->script[g->n_script++] = *s;
}

void fake_refuse(struct engine *g, enum err_kind kind)
{
    fake_refuse_after(g, 0, kind);
}

void fake_refuse_after(struct engine *g, unsigned n, enum err_kind kind)
{
    pthread_mutex_lock(&g->lock);
    g->refuse = kind;
    g->accept = n;
    pthread_mutex_unlock(&g->lock);
}

void fake_cached(struct engine *g, uint32_t n)
{
    g->cached = n;
}

static void describe(struct buf *b, const struct job *j)
{
    buf_printf(b, "tokens=%u max=%u temperature=%g top_p=%g min_p=%g top_k=%d repeat=%g presence=%g frequency=%g",
               j->n_token, j->tokens_max, (double)j->draw.temperature, (double)j->draw.top_p, (double)j->draw.min_p,
               j->draw.top_k, (double)j->draw.repeat, (double)j->draw.presence, (double)j->draw.frequency);
    buf_printf(b, " seed=%llu logprob=%u salt=%.*s deadline=%llu bias=", (unsigned long long)j->draw.seed,
               j->draw.n_logprob, (int)j->salt.n, j->salt.p ? j->salt.p : "", (unsigned long long)j->deadline_ns);
    for (uint32_t i = 0; i < j->draw.n_bias; i++)
        buf_printf(b, "%d:%g,", j->draw.bias[i].token, (double)j->draw.bias[i].add);
    buf_str(b, STR(" stop="));
    for (uint32_t i = 0; i < j->n_stop; i++)
        buf_printf(b, "%d,", j->stop[i]);
    buf_str(b, STR(" marks="));
    for (uint32_t i = 0; i < j->n_mark; i++)
        buf_printf(b, "%u,", j->mark[i]);
    buf_str(b, STR(" prompt="));
    for (uint32_t i = 0; i < j->n_token; i++)
        buf_printf(b, "%d,", j->token[i]);
    buf_char(b, '\n');
}

static struct live *live_new(struct engine *g, const struct job *j)
{
    struct live *l = mem_new(sizeof *l);
    size_t       which = g->n_submit < g->n_script ? g->n_submit : g->n_script - 1;
    CHECK(g->n_script > 0);
    *l = (struct live){.id = ++g->n_submit, .script = &g->script[which], .n_stop = j->n_stop, .event = j->event,
                       .tokens_max = j->tokens_max, .n_prompt = j->n_token, .n_logprob = j->draw.n_logprob,
                       .ctx = j->ctx, .held = true};
    l->stop = mem_array(j->n_stop + 1, sizeof *l->stop);
    if (j->n_stop)
        memcpy(l->stop, j->stop, j->n_stop * sizeof *l->stop);
    return l;
}

bool engine_submit(struct engine *g, const struct job *j, uint64_t *id, struct err *e)
{
    pthread_mutex_lock(&g->lock);
    enum err_kind refuse = g->refuse && g->accept == 0 ? g->refuse : ERR_NONE;
    if (g->refuse && g->accept)
        g->accept--;
    if (j->n_token >= FAKE_CONTEXT)
        refuse = ERR_CONTEXT;
    if (!refuse) {
        struct live **at = &g->live;
        while (*at)
            at = &(*at)->next;
        *at = live_new(g, j);
        *id = (*at)->id;
        describe(&g->jobs, j);
        g->stats.n_job++;
        g->stats.waiting++;
    }
    pthread_mutex_unlock(&g->lock);
    if (refuse == ERR_CONTEXT)
        return err_set(e, ERR_CONTEXT, "the prompt has %u tokens; the context has %d", j->n_token, FAKE_CONTEXT);
    return !refuse || err_set(e, refuse, "256 jobs wait already");
}

void engine_cancel(struct engine *g, uint64_t id)
{
    pthread_mutex_lock(&g->lock);
    for (struct live *l = g->live; l; l = l->next)
        if (l->id == id) {
            l->cancelled = true;
            g->n_cancel++;
        }
    pthread_mutex_unlock(&g->lock);
}

static bool stops(const struct live *l, int32_t token)
{
    for (uint32_t i = 0; i < l->n_stop; i++)
        if (l->stop[i] == token)
            return true;
    return false;
}

static bool say_end(struct live *l, enum end_reason reason, const struct err *e)
{
    struct event ev = {.kind = EVENT_END, .reason = reason, .err = e, .n_prompt = l->n_prompt, .n_drawn = l->drawn};
    l->event(l->ctx, &ev);
    return true;
}

static void say_token(const struct engine *g, struct live *l, int32_t token)
{
    struct drawn d = {.token = token, .logprob = -0.5f};
    for (uint8_t k = 0; k + 1u < l->n_logprob; k++) {
        d.top[k].token = token + k;
        d.top[k].logprob = -0.5f - (float)k;
        d.n_top++;
    }
    struct event ev = {.kind = EVENT_TOKEN, .drawn = &d, .n_cached = g->cached};
    l->drawn++;
    l->event(l->ctx, &ev);
}

/* True: the job has ended. */
static bool advance(struct engine *g, struct live *l, bool *said)
{
    const struct fake_line *line = &l->script->line[l->at];
    struct err              e;
    *said = true;
    if (l->cancelled)
        return say_end(l, END_CANCELLED, NULL);
    if (!l->started) {
        struct event ev = {.kind = EVENT_STARTED, .n_prompt = l->n_prompt, .n_cached = g->cached};
        l->started = true;
        l->event(l->ctx, &ev);
        return false;
    }
    if (l->at > 0 && stops(l, line[-1].token) && line[-1].kind == FAKE_TOKEN)
        return say_end(l, END_STOP, NULL);
    if (l->drawn >= l->tokens_max || l->at == l->script->n)
        return say_end(l, END_LENGTH, NULL);
    switch (line->kind) {
    case FAKE_TOKEN: say_token(g, l, line->token); break;
    case FAKE_TIMEOUT: return say_end(l, END_TIMEOUT, NULL);
    case FAKE_FAIL: err_set(&e, ERR_INTERNAL, "the backend gave up"); return say_end(l, END_FAILED, &e);
    case FAKE_AGAIN: l->at = 0; return false;
    case FAKE_HOLD:
        if (l->held) {
            *said = false;
            return false;
        }
        l->held = true;
    }
    l->at++;
    return false;
}

bool fake_step(struct engine *g)
{
    bool any = false;
    pthread_mutex_lock(&g->lock);
    for (struct live **at = &g->live; *at;) {
        struct live *l = *at;
        bool         said, over = advance(g, l, &said);
        any |= said;
        if (!over) {
            at = &l->next;
            continue;
        }
        g->stats.waiting--;
        g->stats.n_end++;
        *at = l->next;
        free(l->stop);
        free(l);
    }
    pthread_mutex_unlock(&g->lock);
    return any;
}

void fake_release(struct engine *g)
{
    pthread_mutex_lock(&g->lock);
    for (struct live *l = g->live; l; l = l->next)
        l->held = false;
    pthread_mutex_unlock(&g->lock);
}

unsigned fake_live(struct engine *g)
{
    unsigned n = 0;
    pthread_mutex_lock(&g->lock);
    for (struct live *l = g->live; l; l = l->next)
        n++;
    pthread_mutex_unlock(&g->lock);
    return n;
}

unsigned fake_cancels(struct engine *g)
{
    pthread_mutex_lock(&g->lock);
    unsigned n = g->n_cancel;
    pthread_mutex_unlock(&g->lock);
    return n;
}

char *fake_jobs(struct engine *g)
{
    pthread_mutex_lock(&g->lock);
    char *text = mem_copy(g->jobs.p ? g->jobs.p : "", g->jobs.n);
    pthread_mutex_unlock(&g->lock);
    return text;
}

const struct engine_plan *engine_plan(const struct engine *g)
{
    return &g->plan;
}

void engine_stats(struct engine *g, struct engine_stats *out)
{
    pthread_mutex_lock(&g->lock);
    *out = g->stats;
    pthread_mutex_unlock(&g->lock);
}

uint32_t engine_jobs_ahead(struct engine *g)
{
    return (uint32_t)fake_live(g);
}

bool engine_sees(const struct engine *g, uint32_t rows, uint32_t columns, struct err *e)
{
    (void)g;
    return rows * columns <= 4096 || err_set(e, ERR_INVALID, "it makes %u patches; a picture may have 4096", rows * columns);
}
