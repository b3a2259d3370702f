/* measure.c -- see measure.h. */
#include "app/measure.h"

#include "app/await.h"
#include "base/mem.h"

#include <stdlib.h>

/* What the jobs of one measurement report, on the engine's thread. */
struct tally {
    struct await await;
    unsigned     n, started;
    uint64_t     first_ns, all_first_ns, last_ns;       /* first token of the first and of the last stream; last token */
    uint64_t     tokens_after;                          /* drawn after every stream had its first */
};

struct stream {
    struct tally *tally;
    bool          begun;
};

static void on_event(void *ctx, const struct event *ev)
{
    struct stream *s = ctx;
    struct tally  *t = s->tally;
    uint64_t       now = clock_ns(clock_real());
    if (ev->kind == EVENT_TOKEN) {
        if (t->started == t->n)
            t->tokens_after++;
        if (!s->begun) {
            s->begun = true;
            t->first_ns = t->first_ns ? t->first_ns : now;
            t->started++;
            t->all_first_ns = now;
        }
        t->last_ns = now;
    }
    await_note(&t->await, ev);
}

bool measure_once(struct engine *g, uint32_t n_vocab, struct measure *m, uint64_t *seed, struct err *e)
{
    struct tally   t = {.n = m->streams};
    struct stream *s = mem_array(m->streams, sizeof *s);
    int32_t       *prompt = mem_array(m->prompt, sizeof *prompt);
    await_init(&t.await);
    uint64_t from = clock_ns(clock_real());
    bool     ok = true;
    unsigned sent = 0;
    for (; ok && sent < m->streams; sent++) {
        for (unsigned i = 0; i < m->prompt; i++) {
            *seed = *seed * 6364136223846793005u + 1442695040888963407u;
            prompt[i] = (int32_t)((*seed >> 33) % n_vocab);
        }
        s[sent].tally = &t;
        struct job j = {.token = prompt, .n_token = m->prompt, .tokens_max = m->decode, .client = sent,
                        .draw = {.top_p = 1, .repeat = 1}, .event = on_event, .ctx = &s[sent]};
        uint64_t id;
        ok = engine_submit(g, &j, &id, e);
    }
    await_jobs(&t.await, ok ? sent : sent - 1, UINT64_MAX);
    ok = ok && await_well(&t.await, e);
    m->first_ms = (double)(t.first_ns - from) / 1e6;
    m->prefill_tok_s = (double)m->prompt * m->streams / ((double)(t.all_first_ns - from) / 1e9);
    m->decode_tok_s = t.last_ns > t.all_first_ns ? (double)t.tokens_after / ((double)(t.last_ns - t.all_first_ns) / 1e9) : 0;
    await_drop(&t.await);
    free(prompt);
    free(s);
    return ok;
}
