/* list.c -- hearth list: what hearth keeps on this disk. */
#include "app/commands.h"
#include "app/packs.h"
#include "app/show.h"
#include "base/file.h"
#include "base/json.h"

#include <stdio.h>
#include <time.h>

static void print_text(const struct packs *all)
{
    if (all->n == 0)
        puts("nothing: a model's weights are kept here, repacked, from its first start on");
    for (size_t i = 0; i < all->n; i++) {
        const struct pack *p = &all->at[i];
        char               size[24], used[32];
        time_t             at = (time_t)p->used_s;
        struct tm          tm;
        strftime(used, sizeof used, "%Y-%m-%d %H:%M", localtime_r(&at, &tm));
        printf("%-36s packed  %8s  used %s  %s%s\n", *p->of ? p->name : "(damaged)", show_bytes(p->bytes, size), used,
               *p->of ? p->of : p->path, *p->of && file_kind(p->of) == FILE_NONE ? " (is gone)" : "");
    }
}

static void print_json(const struct packs *all)
{
    struct json_out *w = json_out_new();
    struct buf       text;
    buf_init(&text, 0);
    json_open(w, NULL, '[');
    for (size_t i = 0; i < all->n; i++) {
        const struct pack *p = &all->at[i];
        json_open(w, NULL, '{');
        json_put_text(w, "kind", "packed");
        json_put_text(w, "name", *p->of ? p->name : NULL);
        json_put_text(w, "model", *p->of ? p->of : NULL);
        json_put_text(w, "path", p->path);
        json_put_int(w, "bytes", (int64_t)p->bytes);
        json_put_int(w, "used", p->used_s);
        json_close(w);
    }
    json_close(w);
    json_out_write(w, &text);
    puts(text.p);
    json_out_free(w);
    buf_drop(&text);
}

bool command_list(const struct options *o, struct err *e)
{
    (void)e;
    struct packs all;
    packs_read(&all);
    if (o->json.v)
        print_json(&all);
    else
        print_text(&all);
    packs_drop(&all);
    return true;
}
