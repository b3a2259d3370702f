/* inspect.c -- hearth inspect: what is in a model, and what it will cost. */
#include "app/commands.h"
#include "app/load.h"
#include "app/packs.h"
#include "app/show.h"
#include "base/file.h"
#include "base/mem.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Tensors of one kind. */
struct kind {
    struct tensor_kind name;
    uint64_t           n, bytes;
};

struct kinds {
    struct kind at[4 * FORMAT_COUNT];       /* a format has up to three sizes of groups */
    size_t      n;
};

static struct kinds count_kinds(const struct checkpoint *c)
{
    struct kinds k = {0};
    for (size_t i = 0; i < checkpoint_len(c); i++) {
        struct tensor t;
        checkpoint_at(c, i, &t);
        struct tensor_kind name = tensor_kind(&t);
        size_t             at = 0;
        while (at < k.n && strcmp(k.at[at].name.text, name.text) != 0)
            at++;
        CHECK(at < sizeof k.at / sizeof *k.at);
        k.n += at == k.n;
        k.at[at].name = name;
        k.at[at].n++;
        k.at[at].bytes += t.bytes;
    }
    return k;
}

/* Where an earlier start has left the weights packed, to be freed; NULL: nowhere. */
static char *packed_path(const struct loaded *l)
{
    char *path = packs_path(checkpoint_key(l->checkpoint));
    if (path && file_kind(path) == FILE_PLAIN)
        return path;
    free(path);
    return NULL;
}

static void print_text(const struct loaded *l, const struct engine_plan *p)
{
    const struct model_info *m = &l->model->info;
    const struct kinds       k = count_kinds(l->checkpoint);
    char                     a[24];
    struct buf               plan;
    printf("%s\n", checkpoint_path(l->checkpoint));
    printf("  model      %s, %.1f M parameters\n", m->arch, (double)m->n_param / 1e6);
    printf("  layers     %" PRIu32 " of width %" PRIu32 ", %" PRIu32 " heads of %" PRIu32 " (%" PRIu32
           " for keys and values), inner width %" PRIu32 "\n", m->n_layer, m->width, m->n_head, m->head_dim, m->n_kv_head, m->ff);
    printf("  context    %" PRIu32 " tokens\n", m->context);
    printf("  vocabulary %" PRIu32 " ids, %zu end an answer\n", m->n_vocab, l->n_eos);
    printf("  template   %s\n", l->template ? "yes" : "none: chat is refused, completions work");
    for (size_t i = 0; i < k.n; i++)
        printf("  tensors    %4" PRIu64 " x %-11s %s\n", k.at[i].n, k.at[i].name.text, show_bytes(k.at[i].bytes, a));
    buf_init(&plan, 0);
    show_plan(p, "", &plan);
    printf("served here:\n%s", plan.p);
    buf_drop(&plan);
    char *packed = packed_path(l);
    if (packed)
        printf("packed for quick starts: %s\n", packed);
    free(packed);
}

static void print_json(const struct loaded *l, const struct engine_plan *p)
{
    const struct model_info *m = &l->model->info;
    const struct kinds       k = count_kinds(l->checkpoint);
    struct json_out         *w = json_out_new();
    json_open(w, NULL, '{');
    json_put_text(w, "path", checkpoint_path(l->checkpoint));
    json_put_text(w, "architecture", m->arch);
    json_put_int(w, "parameters", (int64_t)m->n_param);
    json_put_int(w, "layers", m->n_layer);
    json_put_int(w, "width", m->width);
    json_put_int(w, "heads", m->n_head);
    json_put_int(w, "kv_heads", m->n_kv_head);
    json_put_int(w, "head_dim", m->head_dim);
    json_put_int(w, "vocabulary", m->n_vocab);
    json_put_int(w, "context", m->context);
    json_put_bool(w, "chat_template", l->template != NULL);
    json_open(w, "tensors", '{');
    for (size_t i = 0; i < k.n; i++)
        json_put_int(w, k.at[i].name.text, (int64_t)k.at[i].bytes);
    json_close(w);
    char *packed = packed_path(l);
    json_put_text(w, "packed", packed);
    free(packed);
    json_open(w, "plan", '{');
    json_put_int(w, "weight_bytes", (int64_t)p->weight_bytes);
    json_put_int(w, "kv_bytes", (int64_t)p->kv_bytes);
    json_put_int(w, "slot_bytes", (int64_t)p->slot_bytes);
    json_put_int(w, "snapshot_bytes", (int64_t)p->snapshot_bytes);
    json_put_int(w, "snapshots", p->n_snapshot);
    json_put_int(w, "scratch_bytes", (int64_t)p->scratch_bytes);
    json_put_int(w, "tower_bytes", (int64_t)p->tower_bytes);
    json_put_int(w, "features_bytes", (int64_t)p->gallery_bytes);
    json_put_int(w, "blocks", p->n_block);
    json_put_int(w, "block_tokens", p->block_tokens);
    json_put_int(w, "context", p->context_max);
    json_put_int(w, "parallel", p->seq_max);
    json_close(w);
    json_close(w);
    show_json(w);
}

static void print_list(const struct loaded *l)
{
    struct buf text;
    buf_init(&text, 0);
    prog_list(l->model->text, &text);
    printf("\nprogram:\n%s\ntensors:\n", text.p);
    buf_drop(&text);
    for (size_t i = 0; i < checkpoint_len(l->checkpoint); i++) {
        struct tensor t;
        const char   *name = checkpoint_at(l->checkpoint, i, &t);
        printf("  %-60s %-11s [", name, tensor_kind(&t).text);
        for (int d = 0; d < t.n_dim; d++)
            printf("%s%" PRIu32, d ? ", " : "", t.shape[d]);
        puts("]");
    }
}

bool command_inspect(const struct options *o, struct err *e)
{
    struct loaded      l = {0};
    struct engine_opts eo;
    struct engine_plan p;
    bool ok = load_engine_opts(o, &eo, e) && load_open(&l, o, e) && engine_size(l.model, &eo, &p, e);
    if (ok && o->json.v)
        print_json(&l, &p);
    else if (ok)
        print_text(&l, &p);
    if (ok && o->list.v)
        print_list(&l);
    load_close(&l);
    return ok;
}
