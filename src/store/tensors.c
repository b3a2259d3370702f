/* tensors.c -- see tensors.h. */
#include "store/tensors.h"

#include "base/hash.h"
#include "base/mem.h"

#include <inttypes.h>
#include <stdlib.h>

struct span {
    uint64_t   begin, end;
    struct str name;
};

void tensors_init(struct tensors *t, const uint8_t *data, uint64_t data_bytes, uint64_t source)
{
    *t = (struct tensors){.data = data, .data_bytes = data_bytes, .source = source};
}

void tensors_drop(struct tensors *t)
{
    free(t->entry);
    free(t->span);
    names_drop(&t->names);
    tensors_init(t, NULL, 0, 0);
}

/* What the shape needs.  Rows are whole blocks, so rows are counted first. */
static bool shape_bytes(const struct tensor_claim *c, uint64_t *bytes, struct err *e)
{
    uint64_t row = c->n_dim ? c->shape[c->n_dim - 1] : 1;
    if (row % c->block_values != 0)
        return err_set(e, ERR_CORRUPT, "rows of %" PRIu64 " values are not whole blocks of %" PRIu32 " (%s)", row,
                       c->block_values, c->type);
    uint64_t n = row / c->block_values;
    bool     over = __builtin_mul_overflow(n, c->block_bytes, &n);
    for (unsigned i = 0; i + 1 < c->n_dim; i++)
        over |= __builtin_mul_overflow(n, c->shape[i], &n);
    if (over || n == TENSOR_BYTES_UNSAID)
        return err_set(e, ERR_CORRUPT, "the product of its axes overflows");
    for (unsigned i = 0; i < c->n_dim; i++) {
        if (c->shape[i] == 0)
            return err_set(e, ERR_UNSUPPORTED, "axis %u is empty", i);
        if (c->shape[i] > UINT32_MAX)
            return err_set(e, ERR_UNSUPPORTED, "axis %u is %" PRIu64 " long, over 32 bits", i, c->shape[i]);
    }
    *bytes = n;
    return true;
}

static bool claim_check(const struct tensors *t, const struct tensor_claim *c, uint64_t *bytes, struct err *e)
{
    if (!shape_bytes(c, bytes, e))
        return false;
    if (c->bytes != TENSOR_BYTES_UNSAID && c->bytes != *bytes)
        return err_set(e, ERR_CORRUPT, "its shape needs %" PRIu64 " bytes (%s), its offsets hold %" PRIu64, *bytes,
                       c->type, c->bytes);
    if (c->begin > t->data_bytes || *bytes > t->data_bytes - c->begin)
        return err_set(e, ERR_CORRUPT,
                       "%" PRIu64 " bytes at offset %" PRIu64 " pass the end of the data (%" PRIu64
                       " bytes); is the file cut short?",
                       *bytes, c->begin, t->data_bytes);
    return true;
}

static void list(struct tensors *t, const struct tensor_claim *c, uint64_t bytes)
{
    if (t->n == t->room) {
        t->room = t->room ? t->room * 2 : 64;
        t->entry = mem_grow(t->entry, t->room, sizeof *t->entry);
    }
    uint64_t      place[] = {c->begin, bytes};
    struct tensor x = {
        .data = t->data + c->begin,
        .bytes = (size_t)bytes,
        .n_dim = c->n_dim,
        .format = (enum format)c->format,
        .source_id = hash64(place, sizeof place, t->source),
    };
    for (unsigned i = 0; i < c->n_dim; i++)
        x.shape[i] = (uint32_t)c->shape[i];
    t->entry[t->n++] = (struct tensor_entry){c->name, x};
}

bool tensors_add(struct tensors *t, const struct tensor_claim *c, struct err *e)
{
    CHECK(c->n_dim <= TENSOR_AXES_MAX);
    uint64_t bytes = 0;
    if (!claim_check(t, c, &bytes, e))
        return false;
    if (t->n_span == t->span_room) {
        t->span_room = t->span_room ? t->span_room * 2 : 64;
        t->span = mem_grow(t->span, t->span_room, sizeof *t->span);
    }
    t->span[t->n_span++] = (struct span){c->begin, c->begin + bytes, c->name};
    names_push(&t->names, c->name, c->format < 0 ? NAMES_NONE : t->n);
    if (c->format >= 0)
        list(t, c, bytes);
    return true;
}

static int by_begin(const void *a, const void *b)
{
    const struct span *x = a, *y = b;
    return (x->begin > y->begin) - (x->begin < y->begin);
}

static bool spans_check(const struct tensors *t, bool dense, struct err *e)
{
    uint64_t   at = 0;
    struct str before = {0};
    for (size_t i = 0; i < t->n_span; i++) {
        const struct span *s = &t->span[i];
        if (s->begin < at)
            return err_set(e, ERR_CORRUPT, "tensor %.*s: it overlaps %.*s", NAME_ARGS(s->name), NAME_ARGS(before));
        if (dense && s->begin > at)
            return err_set(e, ERR_CORRUPT, "tensor %.*s: %" PRIu64 " bytes before it belong to none",
                           NAME_ARGS(s->name), s->begin - at);
        at = s->end;
        before = s->name;
    }
    if (dense && at < t->data_bytes)
        return err_set(e, ERR_CORRUPT, "the last %" PRIu64 " bytes belong to no tensor", t->data_bytes - at);
    return true;
}

bool tensors_end(struct tensors *t, bool dense, struct err *e)
{
    if (t->n_span)
        qsort(t->span, t->n_span, sizeof *t->span, by_begin);
    if (!names_sort(&t->names, e))
        return err_in(e, "tensor names");
    if (!spans_check(t, dense, e))
        return false;
    free(t->span);
    t->span = NULL;
    t->n_span = t->span_room = 0;
    return true;
}

bool tensors_join(struct tensors *t, const struct tensors *more, struct err *e)
{
    for (size_t i = 0; i < more->names.n; i++) {
        const struct name *x = &more->names.at[i];
        names_push(&t->names, x->name, x->i == NAMES_NONE ? NAMES_NONE : x->i + t->n);
    }
    t->room = t->n + more->n;
    t->entry = mem_grow(t->entry, t->room, sizeof *t->entry);
    for (size_t i = 0; i < more->n; i++)
        t->entry[t->n++] = more->entry[i];
    return names_sort(&t->names, e) || err_in(e, "tensor names");
}

bool tensors_find(const struct tensors *t, struct str name, struct tensor *out)
{
    size_t i = names_find(&t->names, name);
    if (i == NAMES_NONE)
        return false;
    *out = t->entry[i].tensor;
    return true;
}
