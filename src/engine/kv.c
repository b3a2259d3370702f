/* kv.c -- see kv.h.  A block is in exactly one place: held (ref > 0), spare, or idle. */
#include "engine/kv.h"

#include "base/mem.h"

#include <stdlib.h>

enum { NEAR_MAX = 64 };            /* children that are looked at */

static uint32_t slots_for(uint32_t n_block)
{
    uint32_t n = 16;
    while (n < n_block && n < UINT32_C(1) << 31)
        n *= 2;
    return n;
}

uint64_t kv_bytes(uint32_t n_block, uint32_t block_tokens)
{
    return n_block * (sizeof(struct kv_block) + (uint64_t)block_tokens * sizeof(int32_t))
           + 2 * (uint64_t)slots_for(n_block) * sizeof(uint32_t);
}

static void list_add(struct kv *kv, struct kv_list *l, uint32_t b)
{
    kv->block[b].prev = l->last;
    kv->block[b].next = KV_NONE;
    if (l->last == KV_NONE)
        l->first = b;
    else
        kv->block[l->last].next = b;
    l->last = b;
    l->n++;
}

static void list_remove(struct kv *kv, struct kv_list *l, uint32_t b)
{
    struct kv_block *x = &kv->block[b];
    if (x->prev == KV_NONE)
        l->first = x->next;
    else
        kv->block[x->prev].next = x->next;
    if (x->next == KV_NONE)
        l->last = x->prev;
    else
        kv->block[x->next].prev = x->prev;
    l->n--;
}

void kv_init(struct kv *kv, uint32_t n_block, uint32_t block_tokens)
{
    CHECK(n_block > 0 && n_block < KV_NONE && block_tokens > 0);
    uint32_t n_slot = slots_for(n_block);
    *kv = (struct kv){
        .block = mem_array(n_block, sizeof *kv->block),
        .n_block = n_block,
        .block_tokens = block_tokens,
        .spare = {KV_NONE, KV_NONE, 0},
        .idle = {KV_NONE, KV_NONE, 0},
        .slot = mem_array(n_slot, sizeof *kv->slot),
        .child = mem_array(n_slot, sizeof *kv->child),
        .slot_mask = n_slot - 1,
        .token = mem_array((size_t)n_block * block_tokens, sizeof *kv->token),
    };
    for (uint32_t i = 0; i < n_slot; i++)
        kv->slot[i] = kv->child[i] = KV_NONE;
    for (uint32_t b = 0; b < n_block; b++)
        list_add(kv, &kv->spare, b);
}

void kv_drop(struct kv *kv)
{
    free(kv->block);
    free(kv->slot);
    free(kv->child);
    free(kv->token);
    *kv = (struct kv){0};
}

uint32_t kv_available(const struct kv *kv)
{
    return kv->spare.n + kv->idle.n;
}

/* A key is a SHA-256: any of its bytes will do for a table. */
static uint32_t *slot_of(const struct kv *kv, uint32_t *table, const struct sha256 *key)
{
    uint32_t word;
    memcpy(&word, key->byte, sizeof word);
    return &table[word & kv->slot_mask];
}

static bool findable(const struct kv_block *x)
{
    return x->published || x->n_token > 0;
}

/* Takes it out of both tables. */
static void forget(struct kv *kv, uint32_t b)
{
    struct kv_block *x = &kv->block[b];
    uint32_t        *at;
    if (x->published) {
        for (at = slot_of(kv, kv->slot, &x->key); *at != b;)
            at = &kv->block[*at].chain;
        *at = x->chain;
    }
    if (x->n_token) {
        for (at = slot_of(kv, kv->child, &x->parent); *at != b;)
            at = &kv->block[*at].sibling;
        *at = x->sibling;
    }
    x->published = false;
    x->n_token = 0;
}

uint32_t kv_take(struct kv *kv, uint32_t after)
{
    uint32_t b;
    if (kv->spare.n) {
        bool follows = after < kv->n_block - 1 && kv->block[after + 1].ref == 0 && !findable(&kv->block[after + 1]);
        b = follows ? after + 1 : kv->spare.first;
        list_remove(kv, &kv->spare, b);
    } else {
        b = kv->idle.first;
        CHECK(b != KV_NONE);
        list_remove(kv, &kv->idle, b);
        forget(kv, b);
        kv->n_evicted++;
    }
    kv->block[b].ref = 1;
    return b;
}

void kv_ref(struct kv *kv, uint32_t b)
{
    struct kv_block *x = &kv->block[b];
    CHECK(x->ref > 0 || findable(x));
    if (x->ref++ == 0)
        list_remove(kv, &kv->idle, b);
}

void kv_unref(struct kv *kv, uint32_t b)
{
    struct kv_block *x = &kv->block[b];
    CHECK(x->ref > 0);
    if (--x->ref == 0)
        list_add(kv, findable(x) ? &kv->idle : &kv->spare, b);
}

void kv_forget(struct kv *kv, uint32_t b)
{
    CHECK(kv->block[b].ref == 0 && findable(&kv->block[b]));
    list_remove(kv, &kv->idle, b);
    forget(kv, b);
    list_add(kv, &kv->spare, b);
}

void kv_publish(struct kv *kv, uint32_t b, const struct sha256 *key)
{
    struct kv_block *x = &kv->block[b];
    CHECK(x->ref > 0 && !x->published);
    if (kv_find(kv, key) != KV_NONE)
        return;
    uint32_t *slot = slot_of(kv, kv->slot, key);
    x->key = *key;
    x->chain = *slot;
    x->published = true;
    *slot = b;
}

uint32_t kv_find(const struct kv *kv, const struct sha256 *key)
{
    uint32_t b = *slot_of(kv, kv->slot, key);
    while (b != KV_NONE && memcmp(&kv->block[b].key, key, sizeof *key) != 0)
        b = kv->block[b].chain;
    return b;
}

void kv_note(struct kv *kv, uint32_t b, const struct sha256 *parent, const struct kv_text *t)
{
    struct kv_block *x = &kv->block[b];
    uint32_t        *slot = slot_of(kv, kv->child, parent);
    CHECK(x->ref > 0 && x->n_token == 0 && t->n > 0 && t->n <= kv->block_tokens);
    if (kv_near(kv, parent, t).same == t->n)
        return;
    memcpy(kv->token + (size_t)b * kv->block_tokens, t->token, t->n * sizeof *t->token);
    x->parent = *parent;
    x->seen = t->seen ? *t->seen : (struct kv_seen){.n = 0};
    x->n_token = t->n;
    x->sibling = *slot;
    *slot = b;
}

/* How many tokens may be the same as far as pictures go: those before the first that only one of the two shows. */
static uint32_t until_seen(const struct kv_block *x, const struct kv_seen *seen)
{
    uint32_t i = 0, n = seen ? seen->n : 0, a, b;
    while (i < n && i < x->seen.n && memcmp(&seen->item[i], &x->seen.item[i], sizeof seen->item[i]) == 0)
        i++;
    a = i < n ? seen->item[i].from : KV_NONE;
    b = i < x->seen.n ? x->seen.item[i].from : KV_NONE;
    return a < b ? a : b;
}

static void hold_against(const struct kv *kv, uint32_t b, const struct kv_text *t, struct kv_near *best)
{
    const struct kv_block *x = &kv->block[b];
    const int32_t         *has = kv->token + (size_t)b * kv->block_tokens;
    uint32_t               k = 0, shown = until_seen(x, t->seen), most = t->n < x->n_token ? t->n : x->n_token;
    while (k < most && k < shown && has[k] == t->token[k])
        k++;
    if (k > best->same || best->parting == PARTING_UNKNOWN)
        *best = (struct kv_near){
            .block = k ? b : KV_NONE, .same = k,
            .parting = k == most ? PARTING_END : k == shown ? PARTING_SEEN : PARTING_TOKEN,
        };
}

struct kv_near kv_near(const struct kv *kv, const struct sha256 *parent, const struct kv_text *t)
{
    struct kv_near best = {.block = KV_NONE};
    uint32_t       b = *slot_of(kv, kv->child, parent);
    for (uint32_t i = 0; i < NEAR_MAX && b != KV_NONE; i++, b = kv->block[b].sibling)
        if (memcmp(&kv->block[b].parent, parent, sizeof *parent) == 0)
            hold_against(kv, b, t, &best);
    return best;
}

struct sha256 kv_root(struct sha256_run *h, struct str salt)
{
    sha256_start(h);
    sha256_add(h, salt.p, salt.n);
    return sha256_end(h);
}

struct sha256 kv_key(struct sha256_run *h, const struct sha256 *parent, const struct kv_text *t)
{
    sha256_start(h);
    sha256_add(h, parent->byte, sizeof parent->byte);
    sha256_add(h, t->token, t->n * sizeof *t->token);
    for (uint32_t i = 0; t->seen && i < t->seen->n; i++)
        sha256_add(h, t->seen->item[i].name.byte, sizeof t->seen->item[i].name.byte);
    return sha256_end(h);
}
