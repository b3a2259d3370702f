/* books.c -- whether the counts, lists and tables of the pool of blocks and of the gallery agree with what the running hold (fake.h). */
#include "fake.h"

#include "base/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

static uint32_t held_by_running(const struct engine *g, uint32_t b)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < g->n_run; i++)
        for (uint32_t k = 0; k < g->run[i]->n_block; k++)
            n += g->run[i]->block[k] == b;
    return n;
}

static void check_list(const struct kv *kv, const struct kv_list *l, bool findable)
{
    uint32_t n = 0, prev = KV_NONE;
    for (uint32_t b = l->first; b != KV_NONE; prev = b, b = kv->block[b].next, n++) {
        assert_int_equal(kv->block[b].prev, prev);
        assert_int_equal(kv->block[b].ref, 0);
        assert_int_equal(kv->block[b].published || kv->block[b].n_token > 0, findable);
    }
    assert_int_equal(l->last, prev);
    assert_int_equal(l->n, n);
}

void fake_check_blocks(const struct engine *g)
{
    const struct kv *kv = &g->kv;
    uint32_t         used = 0, held = 0, sum = 0;
    check_list(kv, &kv->spare, false);
    check_list(kv, &kv->idle, true);
    for (uint32_t b = 0; b < kv->n_block; b++) {
        used += kv->block[b].ref > 0;
        sum += kv->block[b].ref;
        if (kv->block[b].ref > 1)
            assert_int_equal(kv->block[b].ref, held_by_running(g, b));
        if (kv->block[b].published)
            assert_int_equal(kv_find(kv, &kv->block[b].key), b);
    }
    assert_int_equal(used + kv->spare.n + kv->idle.n, kv->n_block);
    for (uint32_t i = 0; i < g->n_run; i++) {
        const struct seq *s = g->run[i];
        held += s->n_block;
        assert_int_equal(s->n_block, blocks_for(s->n_run, kv->block_tokens));
        for (uint32_t k = 0; k < s->n_block; k++) {
            assert_true(kv->block[s->block[k]].ref > 0);
            /* Only the blocks that hold surely computed tokens may be seen by others. */
            if (kv->block[s->block[k]].published || kv->block[s->block[k]].n_token)
                assert_true((k + 1) * kv->block_tokens <= s->n_done);
        }
    }
    assert_int_equal(sum, held);
}

static uint32_t holders(const struct engine *g, const struct sight *sight)
{
    uint32_t n = g->look.now == sight;
    for (uint32_t i = 0; i < g->n_run; i++)
        for (uint32_t p = 0; g->run[i]->shown && p < g->run[i]->shown->media.n_picture; p++)
            n += g->run[i]->shown->sight[p] == sight;
    return n;
}

void fake_check_gallery(const struct engine *g)
{
    const struct gallery *x = &g->look.gallery;
    uint32_t              unused = 0, idle = 0, spare = 0, pages = x->newline != GALLERY_NONE && x->n_page, known = 0;
    uint8_t              *seen = mem_array(x->n_page + 1, 1);
    if (x->n_page == 0) {
        free(seen);
        return;
    }
    for (uint32_t i = x->unused; i != GALLERY_NONE; i = x->sight[i].next, unused++)
        seen[i] = 1;
    for (uint32_t i = x->idle_first; i != GALLERY_NONE; i = x->sight[i].next, idle++) {
        assert_int_equal(x->sight[i].ref, 0);
        assert_int_equal(x->sight[i].state, SIGHT_READY);
        assert_true(x->sight[i].findable);
    }
    for (uint32_t page = x->spare; page != GALLERY_NONE && spare < x->n_spare; page = x->next[page])
        spare++;
    assert_int_equal(spare, x->n_spare);
    for (uint32_t i = 0; i < x->n_sight; i++) {
        const struct sight *s = &x->sight[i];
        uint32_t            n = 0;
        if (seen[i])
            continue;
        assert_int_equal(s->ref, holders(g, s));
        idle -= s->ref == 0;
        for (uint32_t page = s->first_page; page != GALLERY_NONE; page = x->next[page])
            n++;
        assert_int_equal(n, gallery_pages(s->n_row));
        pages += n;
        known += s->findable;
        assert_true(!s->findable || gallery_find(x, &s->key) == s);
    }
    assert_int_equal(idle, 0);
    assert_int_equal(pages + spare, x->n_page);
    assert_int_equal(known, x->n_known);
    free(seen);
}

void fake_check_snapshots(const struct engine *g)
{
    const struct kv *x = &g->snapshots;
    uint32_t         held = 0, under_way = 0;
    if (!x->n_block)
        return;
    check_list(x, &x->spare, false);
    check_list(x, &x->idle, true);
    for (uint32_t b = 0; b < x->n_block; b++) {
        held += x->block[b].ref;
        if (x->block[b].ref)
            assert_false(x->block[b].published);        /* not before its run is over */
    }
    assert_int_equal(held + x->spare.n + x->idle.n, x->n_block);
    for (uint32_t i = 0; g->flight && i < g->flight->n_row; i++)
        under_way += g->flight->row[i].snapshot != KV_NONE;
    assert_int_equal(held, under_way);
    for (uint32_t i = 0; !g->flight && i < g->n_run; i++)
        fake_check_own(g, g->run[i]);
}
