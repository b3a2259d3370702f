/* Every chat template of the set, over 21 conversations, against what transformers' Jinja2 environment made of it.
 *
 * test/fixtures/chat/goldens.json holds the conversations and the results: a text, or the kind and words of the error
 * (cut at 200 characters).  The templates are the *.jinja of HEARTH_TEST_SDIST/templates; SmolLM2's lies beside the
 * goldens.  None may be missing. */
#include "base/file.h"
#include "base/json.h"
#include "chat/template.h"

#include <stdio.h>
#include <stdlib.h>

struct count {
    unsigned texts, errors, wrong;
};

static bool read_template(const char *folder, struct str name, struct buf *out)
{
    struct buf path;
    struct err e;
    buf_init(&path, 0);
    buf_printf(&path, "%s/%.*s.jinja", folder, (int)name.n, name.p);
    bool ok = file_read(out, path.p, 1 << 20, &e);
    buf_drop(&path);
    return ok;
}

/* The case's values over those that every case has. */
static struct json_doc *values_of(json values)
{
    struct buf       text;
    struct json_doc *doc;
    struct err       e;
    buf_init(&text, 0);
    buf_printf(&text, "{\"add_generation_prompt\": true, \"bos_token\": \"<s>\", \"eos_token\": \"</s>\", "
                      "\"unk_token\": \"<unk>\", \"pad_token\": \"<pad>\", \"tools\": null, \"documents\": null, ");
    /* Its opening brace goes; a name given twice counts the last time. */
    size_t brace = text.n;
    json_print(values, &text);
    text.p[brace] = ' ';
    CHECK(json_parse(&doc, buf_view(&text), &e));
    buf_drop(&text);
    return doc;
}

/* raise_exception()'s words are the whole message; other messages say the line first. */
static bool error_matches(const struct err *e, json want)
{
    struct str words = json_str(json_get(want, "message")), text = str_of(e->text);
    if (e->kind != ERR_INVALID)
        return false;
    return json_is(json_get(want, "error"), "TemplateError") ? str_starts(text, words) : str_find(text, words) != STR_NONE;
}

static void show(struct str name, struct str which, const char *what, struct str text)
{
    printf("%.*s, %.*s: %s%.*s\n", (int)name.n, name.p, (int)which.n, which.p, what, (int)text.n, text.p);
}

static void check_case(const struct template *t, struct str name, struct json_iter *at, json cases, struct count *count)
{
    static const struct str user[] = {{"messages", 8}, {"tools", 5}};
    struct json_doc        *values = values_of(json_find(cases, at->key));
    struct template_input   in = {.values = json_root(values), .n_user_keys = 2, .now_s = 1751284800};
    struct rendered         r;
    struct err              e;
    json                    text = json_get(at->value, "text");
    in.user_keys[0] = user[0];
    in.user_keys[1] = user[1];
    if (template_render(t, &in, &r, &e)) {
        bool same = text && str_eq(buf_view(&r.text), json_str(text));
        if (!same)
            show(name, at->key, "another text: ", buf_view(&r.text));
        count->texts += same;
        count->wrong += !same;
        rendered_drop(&r);
    } else {
        bool same = !text && error_matches(&e, at->value);
        if (!same)
            show(name, at->key, "", str_of(e.text));
        count->errors += same;
        count->wrong += !same;
    }
    json_free(values);
}

static void check_template(const char *folder, struct json_iter *at, json cases, struct count *count)
{
    struct buf       source;
    struct template *t;
    struct err       e;
    buf_init(&source, 0);
    if (!read_template(folder, at->key, &source) && !read_template(FIXTURES "/chat", at->key, &source)) {
        show(at->key, STR("all cases"), "the template is missing", STR(""));
        count->wrong++;
    } else if (!template_new(&t, buf_view(&source), &e)) {
        show(at->key, STR("all cases"), "", str_of(e.text));
        count->wrong++;
    } else {
        for (struct json_iter it = json_iter(at->value); json_next(&it);)
            check_case(t, at->key, &it, cases, count);
        template_free(t);
    }
    buf_drop(&source);
}

int main(void)
{
    const char      *sdist = getenv("HEARTH_TEST_SDIST");
    struct buf       text, folder;
    struct json_doc *doc;
    struct err       e;
    struct count     count = {0};
    if (!sdist) {
        printf("HEARTH_TEST_SDIST is not set: HEARTH_TEST_SDIST=$(scripts/fetch-test-data) gives it the templates\n");
        return 1;
    }
    buf_init(&text, 0);
    buf_init(&folder, 0);
    buf_printf(&folder, "%s/templates", sdist);
    if (!file_read(&text, FIXTURES "/chat/goldens.json", 16 << 20, &e) || !json_parse(&doc, buf_view(&text), &e)) {
        printf("%s\n", e.text);
        return 1;
    }
    for (struct json_iter it = json_iter(json_get(json_root(doc), "renders")); json_next(&it);)
        check_template(folder.p, &it, json_get(json_root(doc), "cases"), &count);
    printf("%u texts, %u errors, %u wrong\n", count.texts, count.errors, count.wrong);
    json_free(doc);
    buf_drop(&text);
    buf_drop(&folder);
    return count.texts == 1275 && count.errors == 216 && count.wrong == 0 ? 0 : 1;
}
