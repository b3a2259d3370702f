/* gallery.c -- see gallery.h.  A sight is unused, held, or idle; a page is spare or in one sight's chain. */
#include "engine/gallery.h"

#include "base/mem.h"

#include <stdio.h>
#include <stdlib.h>

static uint32_t slots_for(uint32_t n)
{
    uint32_t slots = 16;
    while (slots < n && slots < UINT32_C(1) << 31)
        slots *= 2;
    return slots;
}

uint64_t gallery_page_bytes(uint32_t n_level, uint32_t width)
{
    return (uint64_t)GALLERY_ROWS * n_level * width * sizeof(float);
}

uint64_t gallery_host_bytes(uint32_t n_page)
{
    return n_page ? n_page * (sizeof(uint32_t) + sizeof(struct sight)) + slots_for(n_page) * sizeof(uint32_t) : 0;
}

bool gallery_open(struct gallery *x, const struct backend_type *t, struct backend *b, uint32_t n_page, uint32_t n_level, uint32_t width,
                  struct err *e)
{
    uint32_t n_slot = slots_for(n_page);
    CHECK(n_page > 0 && n_page < GALLERY_NONE / GALLERY_ROWS / n_level);
    *x = (struct gallery){.type = t, .n_level = n_level, .row_bytes = width * (uint32_t)sizeof(float), .newline = GALLERY_NONE};
    if (!t->features_new(b, n_page * gallery_page_bytes(n_level, width), &x->features, e))
        return false;
    x->next = mem_array(n_page, sizeof *x->next);
    x->sight = mem_array(n_page, sizeof *x->sight);
    x->slot = mem_array(n_slot, sizeof *x->slot);
    x->slot_mask = n_slot - 1;
    x->n_page = x->n_sight = x->n_spare = n_page;
    x->idle_first = x->idle_last = GALLERY_NONE;
    for (uint32_t i = 0; i < n_slot; i++)
        x->slot[i] = GALLERY_NONE;
    for (uint32_t i = 0; i < n_page; i++)
        x->next[i] = x->sight[i].next = i + 1 < n_page ? i + 1 : GALLERY_NONE;
    return true;
}

void gallery_close(struct gallery *x)
{
    if (x->type)
        x->type->features_free(x->features);
    free(x->next);
    free(x->sight);
    free(x->slot);
    *x = (struct gallery){0};
}

static uint32_t take_page(struct gallery *x)
{
    uint32_t page = x->spare;
    CHECK(x->n_spare > 0);
    x->spare = x->next[page];
    x->n_spare--;
    return page;
}

bool gallery_newline(struct gallery *x, const float *row, struct err *e)
{
    uint32_t page = take_page(x);
    x->newline = page;
    return x->type->features_write(x->features, (size_t)page * GALLERY_ROWS * x->n_level * x->row_bytes, row, x->row_bytes, e);
}

static uint32_t *slot_of(const struct gallery *x, const struct sha256 *key)
{
    uint32_t word;
    memcpy(&word, key->byte, sizeof word);
    return &x->slot[word & x->slot_mask];
}

static uint32_t number(const struct gallery *x, const struct sight *s)
{
    return (uint32_t)(s - x->sight);
}

struct sight *gallery_find(const struct gallery *x, const struct sha256 *key)
{
    uint32_t i = *slot_of(x, key);
    while (i != GALLERY_NONE && memcmp(&x->sight[i].key, key, sizeof *key) != 0)
        i = x->sight[i].chain;
    return i == GALLERY_NONE ? NULL : &x->sight[i];
}

static void hide(struct gallery *x, struct sight *s)
{
    uint32_t *at = slot_of(x, &s->key);
    if (!s->findable)
        return;
    while (*at != number(x, s))
        at = &x->sight[*at].chain;
    *at = s->chain;
    s->findable = false;
    x->n_known--;
}

static void leave_idle(struct gallery *x, struct sight *s)
{
    if (s->prev == GALLERY_NONE)
        x->idle_first = s->next;
    else
        x->sight[s->prev].next = s->next;
    if (s->next == GALLERY_NONE)
        x->idle_last = s->prev;
    else
        x->sight[s->next].prev = s->prev;
}

static void join_idle(struct gallery *x, struct sight *s)
{
    s->prev = x->idle_last;
    s->next = GALLERY_NONE;
    if (s->prev == GALLERY_NONE)
        x->idle_first = number(x, s);
    else
        x->sight[s->prev].next = number(x, s);
    x->idle_last = number(x, s);
}

static void free_sight(struct gallery *x, struct sight *s)
{
    hide(x, s);
    for (uint32_t page = s->first_page, next; page != GALLERY_NONE; page = next) {
        next = x->next[page];
        x->next[page] = x->spare;
        x->spare = page;
        x->n_spare++;
    }
    s->next = x->unused;
    x->unused = number(x, s);
}

/* Idle sights are given up until n pages are spare.  False, and nothing is given up: even all of them are too few. */
static bool make_room(struct gallery *x, uint32_t n)
{
    uint32_t could = x->n_spare;
    for (uint32_t i = x->idle_first; could < n && i != GALLERY_NONE; i = x->sight[i].next)
        could += gallery_pages(x->sight[i].n_row);
    if (could < n)
        return false;
    while (x->n_spare < n) {
        struct sight *s = &x->sight[x->idle_first];
        leave_idle(x, s);
        free_sight(x, s);
        x->n_evicted++;
    }
    return true;
}

struct sight *gallery_make(struct gallery *x, const struct sha256 *key, uint32_t n_row, bool hidden)
{
    uint32_t n = gallery_pages(n_row);
    CHECK(n_row > 0 && (hidden || !gallery_find(x, key)));
    if (!make_room(x, n))
        return NULL;
    struct sight *s = &x->sight[x->unused];
    x->unused = s->next;
    *s = (struct sight){.key = *key, .n_row = n_row, .ref = 1, .first_page = GALLERY_NONE, .findable = !hidden};
    while (n-- > 0) {
        uint32_t page = take_page(x);
        x->next[page] = s->first_page;
        s->first_page = page;
    }
    if (!hidden) {
        uint32_t *slot = slot_of(x, key);
        s->chain = *slot;
        *slot = number(x, s);
        x->n_known++;
    }
    return s;
}

void gallery_ref(struct gallery *x, struct sight *s)
{
    if (s->ref++ == 0)
        leave_idle(x, s);
}

void gallery_unref(struct gallery *x, struct sight *s)
{
    CHECK(s->ref > 0);
    if (--s->ref > 0)
        return;
    if (s->state == SIGHT_READY && s->findable)
        join_idle(x, s);
    else
        free_sight(x, s);
}

void gallery_fail(struct gallery *x, struct sight *s)
{
    CHECK(s->ref > 0);
    s->state = SIGHT_FAILED;
    hide(x, s);
}

/* The features' row at which row `row` of the sight lies on level 0; level l lies l * GALLERY_ROWS behind. */
static uint32_t place(const struct gallery *x, const struct sight *s, uint32_t row)
{
    uint32_t page = s->first_page;
    CHECK(row < s->n_row);
    for (uint32_t i = row / GALLERY_ROWS; i > 0; i--)
        page = x->next[page];
    return page * GALLERY_ROWS * x->n_level + row % GALLERY_ROWS;
}

static uint32_t left_in_page(uint32_t row)
{
    return GALLERY_ROWS - row % GALLERY_ROWS;
}

bool gallery_keep(struct gallery *x, struct sight *s, struct plan *pl, uint32_t from, uint32_t to, uint32_t n, struct err *e)
{
    for (uint32_t part; n > 0; from += part, to += part, n -= part) {
        part = n < left_in_page(to) ? n : left_in_page(to);
        for (uint32_t level = 0; level < x->n_level; level++) {
            char   name[32] = "features";
            size_t at = ((size_t)place(x, s, to) + level * GALLERY_ROWS) * x->row_bytes;
            if (level > 0)
                snprintf(name, sizeof name, "features.%u", level);
            if (!x->type->keep(pl, name, from, part, x->features, at, e))
                return false;
        }
    }
    return true;
}

struct span gallery_span(const struct gallery *x, const struct sight *s, uint32_t from, uint32_t n)
{
    struct span span = {.n = 1, .step = GALLERY_ROWS, .features = x->features};
    if (!s) {
        CHECK(x->newline != GALLERY_NONE);
        span.from = x->newline * GALLERY_ROWS * x->n_level;
        return span;
    }
    span.from = place(x, s, from);
    span.n = n < left_in_page(from) ? n : left_in_page(from);
    return span;
}

uint64_t gallery_bytes_used(const struct gallery *x)
{
    return (uint64_t)(x->n_page - x->n_spare) * GALLERY_ROWS * x->n_level * x->row_bytes;
}
