/* turns.c -- see turns.h.  A client has an entry for as long as it has a live job. */
#include "engine/turns.h"

#include "base/mem.h"
#include "engine/seq.h"

#include <stdlib.h>

void turns_init(struct turns *t, uint32_t jobs_max)
{
    uint32_t n_slot = 16;
    while (n_slot < jobs_max && n_slot < UINT32_C(1) << 31)
        n_slot *= 2;
    *t = (struct turns){
        .all = mem_array(jobs_max, sizeof *t->all),
        .slot = mem_array(n_slot, sizeof(struct turn *)),
        .slot_mask = n_slot - 1,
    };
    for (uint32_t i = jobs_max; i-- > 0;) {
        t->all[i].chain = t->unused;
        t->unused = &t->all[i];
    }
}

void turns_drop(struct turns *t)
{
    free(t->all);
    free(t->slot);
    *t = (struct turns){0};
}

static struct turn **slot_of(const struct turns *t, uint64_t client)
{
    return &t->slot[hash64(&client, sizeof client, 0) & t->slot_mask];
}

static struct turn *find_or_make(struct turns *t, uint64_t client)
{
    struct turn **slot = slot_of(t, client);
    for (struct turn *c = *slot; c; c = c->chain)
        if (c->client == client)
            return c;
    struct turn *c = t->unused;
    CHECK(c);
    t->unused = c->chain;
    *c = (struct turn){.client = client, .chain = *slot};
    *slot = c;
    return c;
}

static void forget_if_done(struct turns *t, struct turn *c)
{
    if (c->n_running || c->n_waiting)
        return;
    struct turn **at = slot_of(t, c->client);
    while (*at != c)
        at = &(*at)->chain;
    *at = c->chain;
    c->chain = t->unused;
    t->unused = c;
}

static void line_join(struct turns *t, struct turn *c)
{
    c->prev = t->last;
    c->next = NULL;
    if (t->last)
        t->last->next = c;
    else
        t->first = c;
    t->last = c;
}

static void line_leave(struct turns *t, struct turn *c)
{
    if (c->prev)
        c->prev->next = c->next;
    else
        t->first = c->next;
    if (c->next)
        c->next->prev = c->prev;
    else
        t->last = c->prev;
}

static void wait_in(struct turns *t, struct seq *s, bool at_head)
{
    struct turn *c = s->turn;
    s->prev = at_head ? NULL : c->last;
    s->next = at_head ? c->first : NULL;
    if (s->prev)
        s->prev->next = s;
    else
        c->first = s;
    if (s->next)
        s->next->prev = s;
    else
        c->last = s;
    if (c->n_waiting++ == 0)
        line_join(t, c);
    t->n_waiting++;
}

static void wait_no_more(struct turns *t, struct seq *s)
{
    struct turn *c = s->turn;
    if (s->prev)
        s->prev->next = s->next;
    else
        c->first = s->next;
    if (s->next)
        s->next->prev = s->prev;
    else
        c->last = s->prev;
    s->next = s->prev = NULL;
    if (--c->n_waiting == 0)
        line_leave(t, c);
    t->n_waiting--;
}

void turns_add(struct turns *t, struct seq *s)
{
    s->turn = find_or_make(t, s->client);
    wait_in(t, s, false);
}

void turns_take(struct turns *t, struct seq *s)
{
    struct turn *c = s->turn;
    wait_no_more(t, s);
    c->n_running++;
    if (c->n_waiting) {
        line_leave(t, c);
        line_join(t, c);
    }
}

void turns_put_back(struct turns *t, struct seq *s)
{
    s->turn->n_running--;
    wait_in(t, s, true);
}

void turns_remove(struct turns *t, struct seq *s)
{
    wait_no_more(t, s);
    forget_if_done(t, s->turn);
}

void turns_end(struct turns *t, struct seq *s)
{
    s->turn->n_running--;
    forget_if_done(t, s->turn);
}

struct seq *turns_next(const struct turns *t)
{
    const struct turn *best = t->first;
    for (const struct turn *c = best; c; c = c->next)
        if (c->n_running < best->n_running)
            best = c;
    return best ? best->first : NULL;
}

struct seq *turns_victim(struct seq *const run[], uint32_t n)
{
    struct seq *worst = NULL;
    for (uint32_t i = 0; i < n; i++) {
        uint32_t mine = run[i]->turn->n_running, most = worst ? worst->turn->n_running : 0;
        if (mine > most || (mine == most && run[i]->id > worst->id))
            worst = run[i];
    }
    return worst;
}
