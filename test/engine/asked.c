/* asked.c -- jobs that remember what they got (fake.h). */
#include "fake.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

void asked_event(void *ctx, const struct event *ev)
{
    struct asked *a = ctx;
    assert_int_equal(a->n_end, 0);
    a->n_cached = ev->n_cached;
    a->reuse = *ev->reuse;
    if (ev->kind == EVENT_STARTED) {
        assert_int_equal(a->n_start++, 0);
        a->started_step = fake.n_run;
    } else if (ev->kind == EVENT_TOKEN) {
        assert_int_equal(a->n_start, 1);
        if (a->got && a->n_got < a->room)
            a->got[a->n_got] = ev->drawn->token;
        a->n_got++;
        assert_int_equal(ev->n_drawn, a->n_got);
    } else {
        a->n_end++;
        a->reason = ev->reason;
        a->queued_ns = ev->queued_ns;
        a->prefill_ns = ev->prefill_ns;
        a->decode_ns = ev->decode_ns;
        if (ev->reason == END_FAILED)
            a->err = *ev->err;
        assert_int_equal(ev->n_prompt, a->job.n_token);
        assert_int_equal(ev->n_drawn, a->n_got);
    }
}

void asked_submit(struct engine *g, struct asked *a)
{
    struct err e;
    a->job.event = asked_event;
    a->job.ctx = a;
    a->asked_step = fake.n_run;
    if (!engine_submit(g, &a->job, &a->id, &e))
        fail_msg("%s", e.text);
}
