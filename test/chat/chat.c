#include "chat.h"

#include "base/mem.h"

struct rendering chat_render(const char *source, const char *values, const struct template_limits *limits)
{
    struct rendering r = {0};
    struct json_doc *doc = NULL;
    struct template *t = NULL;
    CHECK(json_parse(&doc, str_of(values), &r.err));
    if (template_new(&t, str_of(source), &r.err)) {
        struct template_input in = {
            .values = json_root(doc),
            .user_keys = {STR("user"), STR("messages")},
            .n_user_keys = 2,
            .now_s = 1751284800,
            .limits = limits,
        };
        r.ok = template_render(t, &in, &r.out, &r.err);
    }
    template_free(t);
    json_free(doc);
    return r;
}

void chat_drop(struct rendering *r)
{
    if (r->ok)
        rendered_drop(&r->out);
}

char *chat_marks(const struct rendered *r)
{
    char  *marks = mem_new(r->text.n + 1);
    size_t at = 0;
    for (size_t i = 0; i < r->n_run; i++) {
        CHECK(r->run[i].end > at && r->run[i].end <= r->text.n);
        CHECK(i == 0 || r->run[i].trusted != r->run[i - 1].trusted);
        for (; at < r->run[i].end; at++)
            marks[at] = r->run[i].trusted ? '.' : 'u';
    }
    CHECK(at == r->text.n);
    return marks;
}
