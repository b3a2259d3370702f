/* A template's source, rendered over a fixed conversation with tight limits. */
#include "chat/template.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static const char conversation[] =
    "{\"messages\": [{\"role\": \"user\", \"content\": \" Hi <b>\\u00e9 \\u00df\"}, {\"role\": \"assistant\","
    " \"content\": null, \"tool_calls\": [{\"function\": {\"name\": \"f\", \"arguments\": {\"x\": [1, 2.5]}}}]}],"
    " \"tools\": [{\"type\": \"function\", \"name\": \"f\"}], \"bos_token\": \"<s>\", \"add_generation_prompt\": true,"
    " \"s\": \"Hello, World\", \"u\": \"Z\\u00fcrich\", \"i\": 7, \"f\": 2.5, \"b\": true, \"l\": [3, 1, 2, 1],"
    " \"e\": \"\", \"d\": {\"x\": 1, \"y\": \"two\"}, \"ld\": [{\"k\": \"B\", \"v\": 2}, {\"k\": \"a\", \"v\": 1}]}";

/* Every byte belongs to one run, and neighbours differ. */
static void check_runs(const struct rendered *r)
{
    size_t from = 0;
    for (size_t i = 0; i < r->n_run; from = r->run[i++].end)
        CHECK(r->run[i].end > from && (i == 0 || r->run[i].trusted != r->run[i - 1].trusted));
    CHECK(from == r->text.n);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static const struct template_limits limits = {.steps_max = 20000, .depth_max = 20, .bytes_max = 1 << 20};
    struct template *t;
    struct json_doc *doc;
    struct rendered  r;
    struct err       e;
    CHECK(json_parse(&doc, str_of(conversation), &e));
    if (template_new(&t, (struct str){(const char *)data, n}, &e)) {
        struct template_input in = {
            .values = json_root(doc),
            .user_keys = {STR("messages"), STR("tools"), STR("u")},
            .n_user_keys = 3,
            .now_s = 1751284800,
            .limits = &limits,
        };
        if (template_render(t, &in, &r, &e)) {
            check_runs(&r);
            rendered_drop(&r);
        } else
            CHECK(e.kind == ERR_INVALID || e.kind == ERR_TOO_LARGE);
        template_free(t);
    } else
        CHECK(e.kind == ERR_INVALID);
    json_free(doc);
    return 0;
}
