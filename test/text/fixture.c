/* fixture.c -- see fixture.h. */
#include "fixture.h"

#include "base/file.h"

#include <stdio.h>
#include <stdlib.h>

static struct buf read_file(const char *name)
{
    char      *path = path_join(FIXTURES "/text", name);
    struct buf b;
    struct err e;
    buf_init(&b, 0);
    if (!file_read(&b, path, 64 << 20, &e)) {
        fprintf(stderr, "%s\n", e.text);
        abort();
    }
    free(path);
    return b;
}

struct json_doc *fixture_json(const char *name)
{
    struct buf       b = read_file(name);
    struct json_doc *doc;
    struct err       e;
    if (!json_parse(&doc, buf_view(&b), &e)) {
        fprintf(stderr, "%s: %s\n", name, e.text);
        abort();
    }
    buf_drop(&b);
    return doc;
}

struct tokenizer *fixture_tokenizer(const char *name)
{
    struct buf        b = read_file(name);
    struct tokenizer *t;
    struct err        e;
    if (!tokenizer_from_json(&t, buf_view(&b), &e)) {
        fprintf(stderr, "%s: %s\n", name, e.text);
        abort();
    }
    buf_drop(&b);
    return t;
}

static void print_ids(const char *what, const int32_t *id, size_t n)
{
    printf("  %s:", what);
    for (size_t i = 0; i < n; i++)
        printf(" %d", (int)id[i]);
    printf("\n");
}

struct ids ids_of(json array)
{
    struct ids x = {0};
    for (struct json_iter it = json_iter(array); json_next(&it);)
        ids_push(&x, (int32_t)json_int_or(it.value, -1));
    return x;
}

bool same_ids(const struct ids *got, json want, struct str text)
{
    struct ids w = ids_of(want);
    bool       same = w.n == got->n && (w.n == 0 || memcmp(w.id, got->id, w.n * sizeof *w.id) == 0);
    if (!same) {
        printf("text \"%.*s\"\n", (int)text.n, text.p);
        print_ids("want", w.id, w.n);
        print_ids("got ", got->id, got->n);
    }
    ids_drop(&w);
    return same;
}

bool same_text(struct str got, json want, struct str text)
{
    bool same = str_eq(got, json_str(want));
    if (!same)
        printf("of \"%.*s\"\n  want \"%.*s\"\n  got  \"%.*s\"\n", (int)text.n, text.p, (int)json_str(want).n,
               json_str(want).p, (int)got.n, got.p);
    return same;
}
