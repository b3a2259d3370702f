/* show.c -- see show.h. */
#include "app/show.h"

#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

const char *show_bytes(uint64_t n, char out[static 24])
{
    static const char *const units[] = {"B", "kB", "MB", "GB", "TB"};
    double                   v = (double)n;
    int                      u = 0;
    while (v >= 999.5 && u < 4) {
        v /= 1000;
        u++;
    }
    snprintf(out, 24, u == 0 || v >= 100 ? "%.0f %s" : v >= 10 ? "%.1f %s" : "%.2f %s", v, units[u]);
    return out;
}

void show_json(struct json_out *w)
{
    struct buf text;
    buf_init(&text, 0);
    json_out_write(w, &text);
    puts(text.p);
    json_out_free(w);
    buf_drop(&text);
}

void show_bar(const char *what, uint64_t done, uint64_t all, const char *tail)
{
    char a[24], b[24];
    int  filled = (int)((double)done / (double)all * 30);
    fprintf(stderr, "\r%s [%.*s%*s] %s of %s%s\033[K", what, filled, "##############################", 30 - filled, "",
            show_bytes(done, a), show_bytes(all, b), tail);
}

void show_bar_end(void)
{
    fputs("\r\033[K", stderr);
}

void show_progress(void *ctx, uint64_t done, uint64_t all)
{
    (void)ctx;
    if (!isatty(2) || all == 0)
        return;
    show_bar("loading", done, all, "");
    if (done >= all)
        show_bar_end();
}

void show_plan(const struct engine_plan *p, const char *weights, struct buf *out)
{
    char a[24];
    buf_printf(out, "  weights    %10s%s%s\n", show_bytes(p->weight_bytes, a), *weights ? "   " : "", weights);
    buf_printf(out, "  KV cache   %10s   %" PRIu32 " blocks of %" PRIu32 " tokens\n", show_bytes(p->kv_bytes, a), p->n_block,
               p->block_tokens);
    if (p->slot_bytes)
        buf_printf(out, "  memories   %10s   of %" PRIu32 " sequences as a whole\n", show_bytes(p->slot_bytes, a), p->seq_max);
    if (p->n_snapshot)
        buf_printf(out, "  snapshots  %10s   %" PRIu32 " such memories, for prompts that begin alike\n",
                   show_bytes(p->snapshot_bytes, a), p->n_snapshot);
    buf_printf(out, "  scratch    %10s   steps of up to %" PRIu32 " rows\n", show_bytes(p->scratch_bytes, a), p->token_max);
    if (p->tower_bytes) {
        buf_printf(out, "  tower      %10s   pictures of up to %" PRIu32 " patches\n", show_bytes(p->tower_bytes, a), p->patches_max);
        buf_printf(out, "  features   %10s   of pictures that were looked at\n", show_bytes(p->gallery_bytes, a));
    }
    buf_printf(out, "  together   %10s   %" PRIu32 " answers at once, %" PRIu32 " tokens each at most\n",
               show_bytes(p->weight_bytes + p->kv_bytes + p->slot_bytes + p->snapshot_bytes + p->scratch_bytes + p->tower_bytes + p->gallery_bytes, a), p->seq_max, p->context_max);
}
