/* team.c -- see team.h.
 *
 * The ticket says which step is open (counted over the team's life), or that the run is over; a worker's word says which
 * pieces of his range are left, and of which step, so that whoever comes late takes nothing of another step.  Taking a
 * piece is a compare-and-swap on such a word: the owner takes from its front, others from its end.  Whoever finishes the
 * last piece of a step opens the next; a step of one piece he does on the spot, so that the many small steps of a short
 * run cost no hand-over.  The store that says "over" is his last: from then on the team may be in another run already. */
#include "backend/cpu/team.h"

#include "base/mem.h"
#include "base/threads.h"

#include <sched.h>
#include <stdlib.h>
#include <string.h>

enum {
    LINE = 64,
    SPIN = 1500,                /* looks at the ticket before yielding: some 20 us, more than a step lasts in decoding */
    SPIN_CROWDED = 30,          /* the same where threads outnumber cores: who spins there keeps others from working */
    YIELDS = 20,
    PIECE_BITS = 20,            /* of a piece's number in a word; the 24 above two of them are the step's */
};

#define OVER UINT64_C(1)
#define NEXT UINT64_C(2)
#define PIECES_MAX ((UINT32_C(1) << PIECE_BITS) - 1)

struct team {
    _Alignas(LINE) _Atomic uint64_t ticket;     /* step number * NEXT | OVER */
    _Alignas(LINE) _Atomic uint32_t done;       /* pieces of this step that are finished */
    _Alignas(LINE) _Atomic uint32_t sleepers;
    struct park   door;
    _Atomic bool  stop;                         /* the team is to end */
    const struct work *work;                    /* from here on: good while a piece of the step is held */
    uint32_t      step, n_piece;
    unsigned      n, n_started, spin;
    struct member {
        _Alignas(LINE) _Atomic uint64_t left;   /* step number, end, first: pieces first .. end - 1 are to be taken */
        struct team *team;
        unsigned     worker;
        pthread_t    thread;
    } member[];
};

static void relax(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

static void publish(struct team *t, uint64_t ticket)
{
    atomic_store(&t->ticket, ticket);
    if (atomic_load(&t->sleepers) == 0)
        return;
    atomic_fetch_add(&t->door.word, 1);
    park_wake(&t->door);
}

/* A word of pieces first .. end - 1 of the step that a ticket names. */
static uint64_t word_of(uint64_t ticket, uint32_t first, uint32_t end)
{
    return ((ticket / NEXT << PIECE_BITS | end) << PIECE_BITS) | first;
}

static void hand_out(struct team *t, uint32_t n)
{
    uint64_t ticket = atomic_load_explicit(&t->ticket, memory_order_relaxed) / NEXT * NEXT + NEXT;
    CHECK(n <= PIECES_MAX);
    t->n_piece = n;
    atomic_store_explicit(&t->done, 0, memory_order_relaxed);
    for (unsigned w = 0; w < t->n; w++)
        atomic_store_explicit(&t->member[w].left, word_of(ticket, team_first(t->n, n, w), team_first(t->n, n, w + 1)),
                              memory_order_relaxed);
    publish(t, ticket);
}

/* Opens the next step that is worth handing out. */
static void advance(struct team *t, unsigned worker)
{
    const struct work *w = t->work;
    for (; t->step < w->n_step; t->step++) {
        uint32_t n = w->pieces(w->ctx, t->step);
        if (n == TEAM_END)
            break;
        if (n > 1 && t->n > 1) {
            hand_out(t, n);
            return;
        }
        for (uint32_t i = 0; i < n; i++)
            w->piece(w->ctx, t->step, i, worker);
    }
    publish(t, atomic_load_explicit(&t->ticket, memory_order_relaxed) / NEXT * NEXT + NEXT + OVER);
}

/* Takes a piece of the step that the ticket names out of a member's range. */
static bool take_from(struct member *m, uint64_t ticket, bool own, uint32_t *piece)
{
    uint64_t left = atomic_load(&m->left);
    for (;;) {
        uint32_t first = left & PIECES_MAX, end = left >> PIECE_BITS & PIECES_MAX;
        if (left != word_of(ticket, first, end) || first >= end)
            return false;
        *piece = own ? first : end - 1;
        if (atomic_compare_exchange_weak(&m->left, &left, own ? word_of(ticket, first + 1, end) : word_of(ticket, first, end - 1)))
            return true;
    }
}

/* Takes a piece and does it.  False: none was left under the ticket *seen. */
static bool take(struct team *t, unsigned worker, uint64_t *seen)
{
    *seen = atomic_load(&t->ticket);
    uint32_t piece;
    bool     have = false;
    for (unsigned k = 0; k < t->n && !have && !(*seen & OVER); k++)
        have = take_from(&t->member[(worker + k) % t->n], *seen, k == 0, &piece);
    if (!have)
        return false;
    uint32_t n = t->n_piece;        /* not to be looked at after the last piece is done: then it is the next step's */
    t->work->piece(t->work->ctx, t->step, piece, worker);
    if (atomic_fetch_add(&t->done, 1) + 1 == n) {
        t->step++;
        advance(t, worker);
    }
    return true;
}

/* Until the ticket is another one: looks, then lets others run, then sleeps. */
static void team_wait(struct team *t, uint64_t seen)
{
    for (unsigned i = 0; i < t->spin; i++) {
        if (atomic_load_explicit(&t->ticket, memory_order_relaxed) != seen)
            return;
        relax();
    }
    for (unsigned i = 0; i < YIELDS; i++) {
        if (atomic_load_explicit(&t->ticket, memory_order_relaxed) != seen)
            return;
        sched_yield();
    }
    atomic_fetch_add(&t->sleepers, 1);
    uint32_t word = atomic_load(&t->door.word);
    if (atomic_load(&t->ticket) == seen && !atomic_load(&t->stop))
        park_wait(&t->door, word);
    atomic_fetch_sub(&t->sleepers, 1);
}

static void *member_run(void *arg)
{
    struct member *m = arg;
    uint64_t       seen;
    while (!atomic_load(&m->team->stop))
        if (!take(m->team, m->worker, &seen))
            team_wait(m->team, seen);
    return NULL;
}

bool team_open(struct team **out, unsigned n, struct err *e)
{
    CHECK(n > 0);
    if (n > TEAM_MAX)
        return err_set(e, ERR_INVALID, "%u threads: at most %d", n, TEAM_MAX);
    size_t       bytes = sizeof(struct team) + n * sizeof(struct member);
    struct team *t = aligned_alloc(LINE, (bytes + LINE - 1) / LINE * LINE);
    if (!t)
        return err_set(e, ERR_MEMORY, "no memory for %u threads", n);
    memset(t, 0, bytes);
    park_init(&t->door, 0);
    t->n = n;
    t->spin = n > cpu_count() ? SPIN_CROWDED : SPIN;
    for (t->n_started = 1; t->n_started < n; t->n_started++) {
        struct member *m = &t->member[t->n_started];
        *m = (struct member){.team = t, .worker = t->n_started};
        if (!thread_start(&m->thread, "hearth-cpu", member_run, m, e)) {
            team_close(t);
            return false;
        }
    }
    *out = t;
    return true;
}

void team_close(struct team *t)
{
    if (!t)
        return;
    atomic_store(&t->stop, true);
    atomic_fetch_add(&t->door.word, 1);
    park_wake(&t->door);
    for (unsigned i = 1; i < t->n_started; i++)
        pthread_join(t->member[i].thread, NULL);
    park_drop(&t->door);
    free(t);
}

unsigned team_size(const struct team *t)
{
    return t->n;
}

void team_run(struct team *t, const struct work *w)
{
    t->work = w;
    t->step = 0;
    advance(t, 0);
    for (uint64_t seen; !(atomic_load(&t->ticket) & OVER);)
        if (!take(t, 0, &seen) && !(seen & OVER))
            team_wait(t, seen);
}
