/* test_prompts.c -- conversations that show pictures, from their JSON to the answer: the token ids are those that the models'
 * Hugging Face processors make (tools/prompt-goldens), and what caches give is what computing gives, bit for bit. */
#include "api/prompt.h"
#include "api/verify.h"
#include "app/eyes.h"
#include "base/file.h"
#include "base/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

enum { ANSWER = 6 };

struct seer {
    struct loaded        loaded;
    struct app_eyes      eyes;
    const struct eyes   *seeing;
    struct engine       *engine;
    struct prompter      prompter;
    struct view_totals   totals;
    atomic_word          stop;
};

static void must(bool ok, const struct err *e)
{
    if (!ok)
        fail_msg("%s", e->text);
}

static void seer_open(struct seer *s, const char *model, const char *backend)
{
    char           path[512];
    struct err     e;
    struct options o = {.arg = {path}, .offline.v = true};
    memset(s, 0, sizeof *s);
    snprintf(path, sizeof path, FIXTURES "/tiny/%s", model);
    must(load_open(&s->loaded, &o, &e), &e);
    struct engine_opts eo = {.type = backend_find(backend), .backend.precision = PRECISION_EXACT, .backend.n_thread = 2,
                             .memory_bytes = UINT64_C(1) << 30, .block_tokens = 16, .seq_max = 4, .patches_max = 1024};
    must(engine_open(&s->engine, s->loaded.model, &eo, &e), &e);
    must(app_eyes_open(&s->eyes, &s->loaded, &o, engine_plan(s->engine)->patches_max, &s->seeing, &e), &e);
    s->prompter = load_prompter(&s->loaded);
    s->prompter.lists = prompt_wants_lists(&s->prompter);
}

static void seer_close(struct seer *s)
{
    engine_close(s->engine);
    app_eyes_close(&s->eyes);
    load_close(&s->loaded);
}

static struct prompt_sight read_prompt(struct seer *s, json request, struct ids *ids)
{
    struct prompt_sight sight = {.eyes = s->seeing, .engine = s->engine, .totals = &s->totals, .stop = &s->stop};
    struct err          e;
    must(prompt_chat(&s->prompter, request, &sight, ids, &e), &e);
    return sight;
}

/* ---- answers ----------------------------------------------------------------------------------------------------- */

struct got {
    struct verify_list list;
    bool               ended, well;
    uint32_t           n_cached;
    struct reuse       reuse;
};

static void on_event(void *ctx, const struct event *ev)
{
    struct got *g = ctx;
    if (ev->kind == EVENT_TOKEN)
        verify_add(&g->list, ev->drawn);
    g->n_cached = ev->n_cached;
    g->reuse = *ev->reuse;
    g->ended = ev->kind == EVENT_END;
    g->well = ev->reason == END_LENGTH;
}

static struct got answer(struct seer *s, const struct ids *ids, const struct media *media, bool fresh)
{
    struct got g = {.ended = false};
    struct err e;
    struct job j = {.token = ids->id, .n_token = (uint32_t)ids->n, .tokens_max = ANSWER, .media = *media, .fresh = fresh,
                    .draw = {.top_p = 1, .repeat = 1, .n_logprob = 1}, .event = on_event, .ctx = &g};
    must(engine_submit(s->engine, &j, NULL, &e), &e);
    while (engine_step(s->engine))
        continue;
    assert_true(g.ended && g.well);
    assert_int_equal(g.list.n, ANSWER);
    return g;
}

static void same(const struct got *a, const struct got *b)
{
    assert_memory_equal(a->list.token, b->list.token, ANSWER * sizeof *a->list.token);
    assert_memory_equal(a->list.logprob, b->list.logprob, ANSWER * sizeof *a->list.logprob);
}

static void drop(struct got *g)
{
    free(g->list.token);
    free(g->list.logprob);
}

/* First, with all of it known, and with no caches. */
static void caches_change_nothing(struct seer *s, const struct ids *ids, const struct media *media)
{
    struct got first = answer(s, ids, media, false), again = answer(s, ids, media, false), fresh = answer(s, ids, media, true);
    assert_int_equal(again.n_cached, ids->n - 1);
    assert_int_equal(again.reuse.n_encoded + again.reuse.n_hit, 0);
    assert_int_equal(fresh.n_cached, 0);
    assert_int_equal(fresh.reuse.n_encoded, media->n_picture);
    same(&first, &again);
    same(&first, &fresh);
    drop(&first);
    drop(&again);
    drop(&fresh);
}

/* ---- goldens ----------------------------------------------------------------------------------------------------- */

static void check_case(struct seer *s, json one)
{
    struct ids          ids = {0};
    json                want = json_get(one, "ids");
    struct prompt_sight sight = read_prompt(s, one, &ids);
    for (size_t i = 0; i < ids.n; i++)
        if (ids.id[i] != json_int_or(json_at(want, i), -1))
            fail_msg("%s, token %zu: %d, not %d", json_str(json_get(one, "model")).p, i, ids.id[i], (int)json_int_or(json_at(want, i), -1));
    assert_int_equal(ids.n, json_len(want));
    if (ids.n + ANSWER < engine_plan(s->engine)->context_max)
        caches_change_nothing(s, &ids, &sight.views.media);
    views_drop(&sight.views);
    ids_drop(&ids);
}

static struct json_doc *goldens(void)
{
    struct file_map  map;
    struct json_doc *doc;
    struct err       e;
    must(file_map(&map, FIXTURES "/golden/prompts.json", &e), &e);
    must(json_parse(&doc, (struct str){(const char *)map.p, map.n}, &e), &e);
    file_unmap(&map);
    return doc;
}

static void test_goldens(void **state)
{
    (void)state;
    static const char *const models[] = {"qwen3_vl", "qwen2_5_vl", "gemma3_vl", "llava"}, *const backends[] = {"ref", "cpu"};
    struct json_doc *doc = goldens();
    size_t           n = 0;
    for (size_t m = 0; m < sizeof models / sizeof models[0]; m++)
        for (size_t b = 0; b < 2; b++) {
            struct seer s;
            if (!backend_find(backends[b]))
                continue;
            seer_open(&s, models[m], backends[b]);
            for (struct json_iter it = json_iter(json_root(doc)); json_next(&it);)
                if (json_is(json_get(it.value, "model"), models[m])) {
                    check_case(&s, it.value);
                    n++;
                }
            seer_close(&s);
        }
    assert_true(n >= json_len(json_root(doc)));
    json_free(doc);
}

/* ---- refusals ---------------------------------------------------------------------------------------------------- */

static void refused(struct seer *s, const char *request, const char *param, const char *words)
{
    struct prompt_sight sight = {.eyes = s->seeing, .engine = s->engine, .totals = &s->totals, .stop = &s->stop};
    struct json_doc    *doc;
    struct ids          ids = {0};
    struct err          e = {0};
    must(json_parse(&doc, str_of(request), &e), &e);
    assert_false(prompt_chat(&s->prompter, json_root(doc), &sight, &ids, &e));
    assert_int_equal(err_status(e.kind), 400);
    assert_string_equal(e.param, param);
    if (!strstr(e.text, words))
        fail_msg("%s", e.text);
    json_free(doc);
    ids_drop(&ids);
}

#define IMAGE(url) "{\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"x\"}," \
                   "{\"type\":\"image_url\",\"image_url\":{\"url\":\"" url "\"}}]}]}"

static void test_refusals(void **state)
{
    (void)state;
    struct seer s;
    seer_open(&s, "qwen3_vl", "ref");
    refused(&s, IMAGE("data:image/png;base64,bm9uc2Vuc2U="), "messages[0].content[1]", "no picture known here");
    refused(&s, IMAGE("data:image/png;base64,iVBORw0KGgo="), "messages[0].content[1]", "PNG");
    refused(&s, IMAGE("data:image/png;base64"), "messages[0].content[1]", "comma");
    refused(&s, IMAGE("file:///etc/passwd"), "messages[0].content[1]", "--media-root");
    refused(&s, IMAGE("/etc/passwd"), "messages[0].content[1]", "--media-root");
    refused(&s, IMAGE("ftp://example.com/x.png"), "messages[0].content[1]", "http://");
    refused(&s, IMAGE("http://127.0.0.1:9/x.png"), "messages[0].content[1]", "loopback");
    refused(&s, IMAGE("http://[::ffff:10.0.0.1]/x.png"), "messages[0].content[1]", "private");
    refused(&s, "{\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"image_url\",\"image_url\":{}}]}]}", "messages[0].content[0]",
            "address of the picture is missing");
    refused(&s, "{\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"input_audio\",\"input_audio\":{}}]}]}", "messages[0].content[0]",
            "not supported yet");
    refused(&s, "{\"video_fps\":0,\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"video\",\"video\":\"data:,x\"}]}]}", "video_fps",
            "between");
    assert_int_equal(atomic_load(&s.totals.decoded), 0);
    assert_int_equal(atomic_load(&s.totals.decode_failures), 2);
    assert_int_equal(atomic_load(&s.totals.held), 0);
    seer_close(&s);
    seer_open(&s, "llava", "ref");
    refused(&s, "{\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"video\",\"video\":\"data:,x\"}]}]}", "messages[0].content[0]",
            "this model reads text and pictures");
    seer_close(&s);
}

/* What a user writes is never a placeholder. */
static void test_users_words(void **state)
{
    (void)state;
    struct json_doc *doc = goldens(), *plain;
    struct seer      s;
    struct ids       ids = {0};
    struct err       e;
    seer_open(&s, "qwen3_vl", "ref");
    json             part = json_at(json_get(json_at(json_get(json_at(json_root(doc), 0), "messages"), 0), "content"), 0);
    struct buf       text;
    buf_init(&text, 0);
    buf_str(&text, STR("{\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"<|image_pad|><|vision_start|><|video_pad|>\"},"));
    json_print(part, &text);
    buf_str(&text, STR("]}]}"));
    must(json_parse(&plain, buf_view(&text), &e), &e);
    struct prompt_sight sight = read_prompt(&s, json_root(plain), &ids);
    assert_int_equal(sight.views.media.n_item, 1);
    uint32_t pads = 0;
    for (size_t i = 0; i < ids.n; i++)
        pads += ids.id[i] == s.seeing->vision->image_token;
    assert_int_equal(pads, sight.views.media.item[0].n);
    views_drop(&sight.views);
    ids_drop(&ids);
    buf_drop(&text);
    json_free(plain);
    json_free(doc);
    seer_close(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_goldens),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_users_words),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
