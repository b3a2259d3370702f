/* warm.c -- see warm.h. */
#include "app/warm.h"

#include "app/await.h"

enum { PROMPT = 64 };

static void on_event(void *ctx, const struct event *ev)
{
    await_note(ctx, ev);
}

bool warm_up(struct engine *g, struct err *e)
{
    static const int32_t prompt[PROMPT] = {0};
    uint32_t             most = engine_plan(g)->context_max - 1;
    struct await         end;
    struct job j = {.token = prompt, .n_token = most < PROMPT ? most : PROMPT, .tokens_max = 1,
                    .draw = {.top_p = 1, .repeat = 1}, .salt = STR("warm-up"), .event = on_event, .ctx = &end};
    if (j.n_token == 0)
        return true;
    await_init(&end);
    bool ok = engine_submit(g, &j, NULL, e);
    if (ok) {
        await_jobs(&end, 1, UINT64_MAX);
        ok = await_well(&end, e) || err_in(e, "the first step");
    }
    await_drop(&end);
    return ok;
}
