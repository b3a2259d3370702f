/* memory.c -- see memory.h. */
#include "engine/memory.h"

#include "backend/sample.h"
#include "base/mem.h"
#include "engine/draft.h"
#include "engine/gallery.h"
#include "engine/kv.h"
#include "engine/look.h"
#include "engine/seq.h"
#include "engine/step.h"

#include <inttypes.h>
#include <stdio.h>

enum {
    CONTEXT_MIN = 1024, ROWS_MIN = 64,              /* what shrinking stops at */
    PATCHES = 8192,                                 /* 1920 x 1080 in patches of 16 x 16, and a little more */
    SEQ_LIMIT = 4096, ROWS_LIMIT = 65536, QUEUE_LIMIT = 1 << 20, BLOCK_LIMIT = 1024,
    SNAPSHOTS = 4, SNAPSHOT_LIMIT = 1 << 20,        /* that are of use to a sequence; at all */
};

static bool within(uint32_t x, uint32_t most, const char *what, struct err *e)
{
    return x <= most || err_set(e, ERR_INVALID, "%s is %" PRIu32 ", but can be %" PRIu32 " at most", what, x, most);
}

/* Rows of a picture that must be read in one step. */
static uint32_t rows_together(const struct vision *v)
{
    return v->prog && v->sees && v->side ? vision_features(v, v->side, v->side) : 0;
}

static uint32_t patches_max(const struct vision *v, uint32_t asked)
{
    if (!v->prog)
        return 0;
    return v->side ? v->side * v->side : asked ? asked : PATCHES;
}

bool memory_opts(const struct model *m, const struct engine_opts *o, struct engine_opts *out, struct err *e)
{
    *out = *o;
    if (!o->type)
        return err_set(e, ERR_INVALID, "no backend was chosen");
    out->seq_max = o->seq_max ? o->seq_max : 16;
    out->queue_max = o->queue_max ? o->queue_max : 256;
    uint32_t together = rows_together(&m->vision), rows = out->seq_max + together;
    out->token_max = o->token_max ? o->token_max : rows > 512 ? rows : 512;
    out->patches_max = patches_max(&m->vision, o->patches_max);
    out->block_tokens = o->block_tokens ? o->block_tokens : 64;
    out->step_ns = o->step_ns ? o->step_ns : 50000000;
    out->context_max = o->context_max ? o->context_max : m->info.context;
    if (!o->clock.ns)
        out->clock = clock_real();
    if (!within(out->seq_max, SEQ_LIMIT, "the number of sequences in a step", e)
        || !within(out->token_max, ROWS_LIMIT, "the number of rows in a step", e)
        || !within(out->queue_max, QUEUE_LIMIT, "the length of the queue", e)
        || !within(out->block_tokens, BLOCK_LIMIT, "the size of a block in tokens", e))
        return false;
    if (out->token_max < out->seq_max)
        return err_set(e, ERR_INVALID, "a step of %" PRIu32 " rows cannot serve %" PRIu32 " sequences",
                       out->token_max, out->seq_max);
    if (out->token_max < rows)
        return err_set(e, ERR_INVALID, "a step of %" PRIu32 " rows cannot serve %" PRIu32 " sequences and a picture of %" PRIu32 " rows, which "
                       "must be read at once", out->token_max, out->seq_max, together);
    if (!within(out->patches_max, 1 << 20, "the number of patches of a picture", e))
        return false;
    if (out->context_max == 0 || out->context_max > INT32_MAX)
        return err_set(e, ERR_INVALID, "a context of %" PRIu32 " tokens makes no sense", out->context_max);
    if (m->info.context && out->context_max > m->info.context)
        return err_set(e, ERR_INVALID, "a context of %" PRIu32 " tokens was asked for, but the model was made for %"
                       PRIu32, out->context_max, m->info.context);
    return true;
}

/* Only where the host draws can it stop drawing at the first guess that was wrong; what a sequence remembers as a whole cannot
 * go back behind it. */
static uint32_t picks(const struct model *m, const struct engine_opts *o, const struct engine_plan *p)
{
    return o->type->draw || o->no_draft || bundle_has_state(m->bundle, STATE_SEQUENCE) ? p->seq_max : p->seq_max + DRAFT_ROWS;
}

struct plan_opts memory_plan_opts(const struct engine_plan *p)
{
    return (struct plan_opts){.token_max = p->token_max, .seq_max = p->seq_max, .pick_max = p->pick_max,
                              .slot_extra = p->n_snapshot, .block_tokens = p->block_tokens, .context_max = p->context_max};
}

struct plan_opts memory_tower_opts(const struct model *m, const struct engine_plan *p)
{
    uint32_t rows = look_rows(&m->vision, p->patches_max);
    return (struct plan_opts){.token_max = rows, .seq_max = 1, .pick_max = 1, .block_tokens = p->block_tokens, .context_max = rows};
}

struct plan_opts memory_aside_opts(const struct model *m, const struct engine_plan *p)
{
    struct plan_opts o = memory_plan_opts(p);
    o.token_max = rows_together(&m->vision);
    o.seq_max = o.pick_max = 1;
    o.slot_extra = 0;
    return o;
}

/* All that is free but an eighth of the machine, a gigabyte at least; half of it where that leaves little.  A GPU that
 * computes in the same memory has a limit of its own (macOS: some two thirds of the machine), past which all of it slows down. */
static uint64_t usable(const struct backend_type *t, const struct backend *b)
{
    struct device d = {.memory_max = 0};
    if (t->device)
        t->device(b, &d);
    uint64_t least = UINT64_C(1) << 30, all = mem_physical(), now = mem_available();
    uint64_t keep = all / 8 > least ? all / 8 : least;
    if (now == 0)
        now = all / 2;
    uint64_t room = now / 2 > keep ? now - keep : now / 2;
    return d.memory_max && d.memory_max < room ? d.memory_max : room;
}

/* One sizing: what `p` would take. */
struct bill {
    uint64_t fixed, block, snapshot;        /* bytes in any case; of a block, of a snapshot; snapshot 0: there are none */
    uint32_t least;                 /* blocks of one sequence at full length */
};

/* What the backend will hold of all weights. */
static bool weigh(const struct model *m, const struct backend_type *t, const struct backend *b, uint64_t *out, struct err *e)
{
    *out = 0;
    for (size_t i = 1; t->weight_bytes && i <= bundle_n_weights(m->bundle); i++) {
        wt            w = {(uint16_t)i};
        struct tensor part[4];
        size_t        n;
        if (!model_weight(m, w, part, &n, e))
            return false;
        *out += t->weight_bytes(b, bundle_weight_at(m->bundle, w), part, n);
    }
    return true;
}

/* The tower with one picture, and the features of many: two of the largest and the model's own row at least. */
static bool add_tower(const struct model *m, const struct engine_opts *o, struct backend *b, struct engine_plan *p, uint64_t room,
                      struct err *e)
{
    const struct vision *v = &m->vision;
    struct cost          c = {0};
    if (!v->prog)
        return true;
    if (!o->type->features_new || !o->type->keep)
        return err_set(e, ERR_UNSUPPORTED, "the backend %s cannot show pictures to models yet", o->type->name);
    struct plan_opts po = memory_tower_opts(m, p);
    if (!o->type->size(b, v->prog, &po, &c, e))
        return false;
    uint64_t page = gallery_page_bytes(v->n_level, m->info.width), wanted = o->gallery_bytes ? o->gallery_bytes : UINT64_C(256) << 20;
    if (!o->gallery_bytes && wanted > room / 8)
        wanted = room / 8;
    uint64_t n = wanted / page, least = 1 + 2 * (uint64_t)gallery_pages(p->patches_max / (v->merge * v->merge));
    n = n > least ? n : least;
    p->n_page = n < 1 << 20 ? (uint32_t)n : 1 << 20;
    p->tower_bytes = c.scratch_bytes + look_bytes(v, p->patches_max);
    p->gallery_bytes = p->n_page * page;
    return true;
}

static void set_snapshots(struct engine_plan *p, const struct bill *bill, uint64_t n)
{
    p->n_snapshot = n < SNAPSHOT_LIMIT ? (uint32_t)n : SNAPSHOT_LIMIT;
    p->snapshot_bytes = p->n_snapshot * bill->snapshot;
}

static bool add_up(const struct model *m, const struct engine_opts *o, struct backend *b, struct engine_plan *p,
                   struct bill *out, struct err *e)
{
    struct cost      c = {0};
    p->pick_max = picks(m, o, p);
    struct plan_opts po = memory_plan_opts(p);
    if (!o->type->size(b, m->text, &po, &c, e))
        return false;
    const uint64_t most = UINT64_MAX / 8;
    if (p->weight_bytes > most || c.scratch_bytes > most || c.block_bytes > most >> 32 || c.slot_bytes > most >> 16)
        return err_set(e, ERR_MEMORY, "the backend asks for more bytes than a machine can have");
    struct plan_opts aside = memory_aside_opts(m, p);
    struct cost      more = {0};
    if (aside.token_max && !o->type->wait && !o->type->size(b, m->text, &aside, &more, e))
        return false;
    p->scratch_bytes = c.scratch_bytes + more.scratch_bytes + 2 * step_bytes(p) + (o->type->draw ? 0 : sample_bytes(m->info.n_vocab));
    p->slot_bytes = c.slot_bytes * p->seq_max;
    out->snapshot = c.slot_bytes && o->type->slot_copy && !o->no_cache ? c.slot_bytes + kv_bytes(1024, 1) / 1024 : 0;
    set_snapshots(p, out, out->snapshot ? o->snapshot_bytes / out->snapshot : 0);
    out->fixed = p->weight_bytes + p->scratch_bytes + p->slot_bytes + p->snapshot_bytes + p->tower_bytes + p->gallery_bytes +
                 gallery_host_bytes(p->n_page);
    out->block = c.block_bytes + kv_bytes(1024, p->block_tokens) / 1024;
    out->least = blocks_for(p->context_max, p->block_tokens);
    return true;
}

/* False: it is as small as it may be. */
static bool shrink(const struct model *m, const struct engine_opts *asked, struct engine_plan *p)
{
    uint32_t rows = p->seq_max + rows_together(&m->vision) > ROWS_MIN ? p->seq_max + rows_together(&m->vision) : ROWS_MIN;
    if (!asked->context_max && p->context_max > CONTEXT_MIN) {
        p->context_max = p->context_max / 2 > CONTEXT_MIN ? p->context_max / 2 : CONTEXT_MIN;
        return true;
    }
    if (!asked->token_max && p->token_max > rows) {
        p->token_max = p->token_max / 2 > rows ? p->token_max / 2 : rows;
        return true;
    }
    if (!asked->seq_max && p->seq_max > 1) {
        p->seq_max /= 2;
        return true;
    }
    return false;
}

static bool too_little(const struct engine_plan *p, const struct bill *bill, uint64_t room, bool given, struct err *e)
{
    const double MiB = 1 << 20;
    uint64_t     kv = bill->block * bill->least, all = bill->fixed + kv, slots = p->slot_bytes + p->snapshot_bytes;
    char         more[160] = "";
    if (slots)
        snprintf(more, sizeof more, "  memories %10.1f MiB  (%" PRIu32 " sequences, %" PRIu32 " snapshots)\n", (double)slots / MiB,
                 p->seq_max, p->n_snapshot);
    if (p->tower_bytes) {
        size_t n = strlen(more);
        snprintf(more + n, sizeof more - n, "  pictures %10.1f MiB\n", (double)(p->tower_bytes + p->gallery_bytes) / MiB);
    }
    return err_set(e, ERR_MEMORY,
                   "too little memory for this model\n"
                   "  weights  %10.1f MiB\n"
                   "  scratch  %10.1f MiB  (%" PRIu32 " rows in a step, %" PRIu32 " sequences)\n"
                   "%s"
                   "  cache    %10.1f MiB  (one sequence of %" PRIu32 " tokens)\n"
                   "  needed   %10.1f MiB\n"
                   "  %s  %10.1f MiB\n"
                   "%s",
                   (double)p->weight_bytes / MiB, (double)p->scratch_bytes / MiB, p->token_max, p->seq_max, more,
                   (double)kv / MiB, p->context_max, (double)all / MiB, given ? "allowed" : "free   ",
                   (double)room / MiB,
                   bill->fixed < room                       ? "allow more memory, or ask for a shorter context or fewer sequences"
                   : bill->fixed - p->snapshot_bytes < room ? "allow more memory, or less of it for snapshots"
                                                            : "allow more memory, or take a smaller model");
}

bool memory_plan(const struct model *m, const struct engine_opts *o, struct backend *b, struct engine_plan *out,
                 struct err *e)
{
    struct engine_opts full;
    if (!memory_opts(m, o, &full, e))
        return false;
    struct engine_plan p = {.block_tokens = full.block_tokens, .context_max = full.context_max,
                            .seq_max = full.seq_max, .token_max = full.token_max, .patches_max = full.patches_max};
    struct bill bill = {0};
    uint64_t    room = o->memory_bytes ? o->memory_bytes : usable(o->type, b);
    if (!weigh(m, o->type, b, &p.weight_bytes, e) || !add_tower(m, o, b, &p, room, e))
        return false;
    for (;;) {
        if (!add_up(m, o, b, &p, &bill, e))
            return false;
        if (bill.fixed <= room && (room - bill.fixed) / bill.block >= bill.least)
            break;
        if (!shrink(m, o, &p))
            return too_little(&p, &bill, room, o->memory_bytes != 0, e);
    }
    if (!o->snapshot_bytes && bill.snapshot) {
        uint64_t most = (room - bill.fixed - bill.block * bill.least) / 4 / bill.snapshot, wish = (uint64_t)SNAPSHOTS * p.seq_max;
        set_snapshots(&p, &bill, wish < most ? wish : most);
        bill.fixed += p.snapshot_bytes;
    }
    uint64_t want = (uint64_t)bill.least * p.seq_max, fit = (room - bill.fixed) / bill.block;
    if (!o->memory_bytes)
        fit = fit / 2 > bill.least ? fit / 2 : bill.least;
    want = want < fit ? want : fit;
    p.n_block = want < KV_NONE ? (uint32_t)want : KV_NONE - 1;
    p.kv_bytes = p.n_block * bill.block;
    p.memory_bytes = bill.fixed + p.kv_bytes;
    *out = p;
    return true;
}

bool engine_size(const struct model *m, const struct engine_opts *o, struct engine_plan *out, struct err *e)
{
    struct backend *b;
    if (!o->type)
        return err_set(e, ERR_INVALID, "no backend was chosen");
    if (!o->type->open(&b, &o->backend, e))
        return false;
    bool ok = memory_plan(m, o, b, out, e);
    o->type->close(b);
    return ok;
}
