/* seq.c -- see seq.h.  A sequence and all that it points to lie in one piece of memory. */
#include "engine/seq.h"

#include "base/mem.h"

#include <stdlib.h>

static bool penalised(const struct draw *d)
{
    return d->repeat != 1.0f || d->presence != 0.0f || d->frequency != 0.0f;
}

/* The place in `seen` of a token, which is made when it is met for the first time. */
static struct draw_seen *seen_of(struct seq *s, int32_t token)
{
    uint32_t at = (uint32_t)hash64(&token, sizeof token, 0) & s->seen_mask;
    while (s->seen_at[at] != 0 && s->seen[s->seen_at[at] - 1].token != token)
        at = (at + 1) & s->seen_mask;
    if (s->seen_at[at] == 0) {
        s->seen[s->draw.n_seen] = (struct draw_seen){.token = token};
        s->seen_at[at] = ++s->draw.n_seen;
    }
    return &s->seen[s->seen_at[at] - 1];
}

/* Adds a part to the sum of bytes and says where it begins, aligned for anything. */
static size_t part(size_t *bytes, size_t n, size_t each)
{
    size_t at = (*bytes + 15) & ~(size_t)15;
    CHECK(n <= (SIZE_MAX / 2 - at) / each);
    *bytes = at + n * each;
    return at;
}

/* The key of all that lies before block k. */
static const struct sha256 *key_before(const struct seq *s, uint32_t k)
{
    return k ? &s->key[k - 1] : &s->root;
}

/* n tokens from block k's first on. */
static struct kv_text text_of(const struct seq *s, uint32_t k, uint32_t n, uint32_t block_tokens)
{
    return (struct kv_text){s->token + (size_t)k * block_tokens, n, shown_in_block(s->shown, k)};
}

static void compute_keys(struct seq *s, struct sha256_run *h, uint32_t block_tokens)
{
    while (s->cached && s->n_key < s->n_token / block_tokens) {
        struct kv_text t = text_of(s, s->n_key, block_tokens, block_tokens);
        s->key[s->n_key] = kv_key(h, key_before(s, s->n_key), &t);
        s->n_key++;
    }
}

/* Its keys are no short one's from now on: equal tokens have other states. */
static void make_long(struct seq *s, struct sha256_run *h)
{
    s->is_long = true;
    if (s->cached)
        s->root = kv_root(h, (struct str){(const char *)s->root.byte, sizeof s->root.byte});
    s->n_key = 0;
}

/* The places of the prompt, known from the start. */
static void plan_saves(struct seq *s, const struct job *j, uint32_t block_tokens)
{
    uint32_t next = (j->n_token - 1) / block_tokens * block_tokens, at = SEQ_SAVES;
    for (uint32_t i = j->n_mark; next > 0 && at > 0;) {
        if (at == SEQ_SAVES || next < s->save[at])
            s->save[--at] = next;
        if (i-- == 0)
            break;
        next = (j->mark[i] < j->n_token ? j->mark[i] : j->n_token - 1) / block_tokens * block_tokens;
    }
    s->n_save = SEQ_SAVES - at;
    memmove(s->save, s->save + at, s->n_save * sizeof *s->save);
}

struct seq *seq_new(const struct job *j, const struct seq_room *room)
{
    CHECK(j->n_token > 0 && j->n_token <= room->context_max);
    uint32_t left = room->context_max - j->n_token;
    uint32_t limit = j->n_token + (j->tokens_max < left ? j->tokens_max : left);
    uint32_t n_block = blocks_for(limit, room->block_tokens), n_slot = 0;
    bool     counts = penalised(&j->draw) && j->tokens_max > 0, drafts = room->drafts && limit > j->n_token;
    if (counts)
        for (n_slot = 16; n_slot / 2 < limit; n_slot *= 2)
            CHECK(n_slot < UINT32_C(1) << 31);

    size_t bytes = sizeof(struct seq);
    size_t token = part(&bytes, limit, sizeof *j->token), stop = part(&bytes, j->n_stop, sizeof *j->stop);
    size_t bias = part(&bytes, j->draw.n_bias, sizeof *j->draw.bias);
    size_t block = part(&bytes, n_block, sizeof(uint32_t));
    size_t key = part(&bytes, room->cached ? n_block : 0, sizeof(struct sha256));
    size_t seen = part(&bytes, counts ? limit : 0, sizeof(struct draw_seen));
    size_t seen_at = part(&bytes, n_slot, sizeof(uint32_t));
    size_t draft = part(&bytes, drafts ? draft_words(limit) : 0, sizeof(uint32_t));

    char       *p = mem_new(bytes);
    struct seq *s = (struct seq *)(void *)p;
    *s = (struct seq){
        .client = j->client, .deadline_ns = j->deadline_ns, .event = j->event, .ctx = j->ctx,
        .token = (void *)(p + token), .n_token = j->n_token, .n_prompt = j->n_token, .limit = limit,
        .stop = (void *)(p + stop), .n_stop = j->n_stop, .draws = j->tokens_max > 0, .draw = j->draw,
        .seen = (void *)(p + seen), .seen_at = (void *)(p + seen_at), .seen_mask = counts ? n_slot - 1 : 0,
        .block = (void *)(p + block), .key = (void *)(p + key), .cached = room->cached, .whole = room->whole,
        .long_from = room->long_from, .is_long = room->long_from && j->n_token > room->long_from,
        .fresh = j->fresh,
    };
    memcpy(s->token, j->token, j->n_token * sizeof *j->token);
    if (j->n_stop)
        memcpy(p + stop, j->stop, j->n_stop * sizeof *j->stop);
    if (j->draw.n_bias)
        memcpy(p + bias, j->draw.bias, j->draw.n_bias * sizeof *j->draw.bias);
    s->draw.bias = (void *)(p + bias);
    s->draw.seen = s->seen;
    s->draw.n_seen = 0;
    for (uint32_t i = 0; counts && i < j->n_token; i++)
        seen_of(s, j->token[i])->prompt++;
    if (drafts) {
        draft_init(&s->draft, (void *)(p + draft), limit);
        draft_begin(&s->draft, s->token, s->n_token);
    }
    struct sha256_run *h = sha256_new();
    if (j->media.n_item)
        s->shown = shown_new(j, room->vision, room->block_tokens, h);
    if (room->cached) {
        s->root = kv_root(h, j->salt);
        if (s->is_long)
            make_long(s, h);
        compute_keys(s, h, room->block_tokens);
        plan_saves(s, j, room->block_tokens);
    }
    sha256_free(h);
    return s;
}

void seq_free(struct seq *s)
{
    shown_free(s->shown);
    free(s);
}

void seq_push(struct seq *s, int32_t token, struct sha256_run *h, uint32_t block_tokens)
{
    CHECK(s->n_token < s->limit);
    s->token[s->n_token++] = token;
    if (s->seen_mask)
        seen_of(s, token)->answer++;
    if (s->draft.mask)
        draft_next(&s->draft, s->token, s->n_token);
    compute_keys(s, h, block_tokens);
}

void seq_lengthen(struct seq *s, struct kv *kv, struct sha256_run *h)
{
    if (s->is_long || !s->long_from || s->n_token <= s->long_from)
        return;
    seq_release(s, kv);
    make_long(s, h);
    compute_keys(s, h, kv->block_tokens);
}

bool seq_stops_at(const struct seq *s, int32_t token)
{
    for (uint32_t i = 0; i < s->n_stop; i++)
        if (s->stop[i] == token)
            return true;
    return false;
}

void seq_grow(struct seq *s, struct kv *kv, uint32_t n)
{
    for (uint32_t want = blocks_for(n, kv->block_tokens); s->n_block < want; s->n_block++)
        s->block[s->n_block] = kv_take(kv, s->n_block ? s->block[s->n_block - 1] : KV_NONE);
}

void seq_trim(struct seq *s, struct kv *kv, uint32_t n)
{
    while (s->n_block > blocks_for(n, kv->block_tokens))
        kv_unref(kv, s->block[--s->n_block]);
}

uint32_t seq_matchable(const struct seq *s, uint32_t block_tokens)
{
    uint32_t n = (s->n_token - 1) / block_tokens;
    return n < s->n_key ? n : s->n_key;
}

/* At the edge of a block with nothing under way: what is found then follows what is there. */
static bool at_edge(const struct seq *s, const struct kv *kv)
{
    return s->n_done == s->n_run && s->n_run == s->n_block * kv->block_tokens;
}

void seq_back_off(struct seq *s, struct kv *kv, uint32_t from)
{
    uint32_t whole = shown_whole(s->shown, s->n_run) / kv->block_tokens * kv->block_tokens;
    if (whole >= s->n_run || s->n_run == from || s->whole)
        return;
    while (s->n_block * kv->block_tokens > whole && s->n_block * kv->block_tokens > from)
        kv_unref(kv, s->block[--s->n_block]);
    s->n_run = s->n_done = s->n_block * kv->block_tokens;
    s->n_public = s->n_block;
    seq_back_off(s, kv, from);
}

/* How many of its leading blocks may come from the cache, those it holds included, and how many lie there. */
static uint32_t known(const struct seq *s, const struct kv *kv, const struct kv *snapshots, uint32_t *snapshot, uint32_t *there)
{
    uint32_t n = seq_matchable(s, kv->block_tokens), k = s->n_block, best = k;
    *snapshot = KV_NONE;
    for (; k < n && kv_find(kv, &s->key[k]) != KV_NONE; k++) {
        uint32_t at = s->whole ? kv_find(snapshots, &s->key[k]) : KV_NONE;
        if (s->whole && at == KV_NONE)
            continue;
        *snapshot = at;
        best = k + 1;
    }
    *there = k;
    return best;
}

uint32_t seq_match(struct seq *s, struct kv *kv, const struct kv *snapshots, uint32_t *snapshot)
{
    uint32_t from = s->n_run;
    *snapshot = KV_NONE;
    if (!s->cached || !at_edge(s, kv))
        return 0;
    uint32_t n = known(s, kv, snapshots, snapshot, &s->there);
    while (s->n_block < n) {
        uint32_t b = kv_find(kv, &s->key[s->n_block]);
        kv_ref(kv, b);
        s->block[s->n_block++] = b;
        s->n_run = s->n_done = s->n_block * kv->block_tokens;
        s->n_public = s->n_block;
    }
    return s->n_run - from;
}

uint32_t seq_save_after(const struct seq *s, uint32_t n, uint32_t block_tokens)
{
    uint32_t best = UINT32_MAX;
    if (!s->whole || !s->cached)
        return best;
    for (uint32_t i = s->n_save; i-- > 0 && s->save[i] > n;)
        best = s->save[i];
    if (s->there * block_tokens > n && s->there * block_tokens < best)
        best = s->there * block_tokens;
    uint32_t next = n / block_tokens + 1, last = s->n_token / block_tokens;
    next = (next > last ? next : last) * block_tokens;
    return s->draws && next >= s->n_prompt && next < best ? next : best;
}

void seq_keep(struct seq *s, struct kv *snapshots, uint32_t snapshot, uint32_t block_tokens)
{
    uint32_t               k = s->n_done / block_tokens - 1;
    const struct kv_block *x = &snapshots->block[snapshot], *old = &snapshots->block[s->kept];
    CHECK(s->n_done % block_tokens == 0 && k < s->n_key);
    kv_publish(snapshots, snapshot, &s->key[k]);
    bool is_new = x->published;
    kv_unref(snapshots, snapshot);
    if (s->n_done <= s->n_prompt || !is_new)
        return;
    /* Who goes on behind this answer does so at its end: the one before is of no more use. */
    if (s->kept_at && old->ref == 0 && old->published
        && memcmp(&old->key, &s->key[s->kept_at / block_tokens - 1], sizeof old->key) == 0)
        kv_forget(snapshots, s->kept);
    s->kept = snapshot;
    s->kept_at = s->n_done;
}

struct kv_near seq_near(const struct seq *s, const struct kv *kv)
{
    uint32_t left = s->n_token - 1 - s->n_run, bt = kv->block_tokens;
    if (!s->cached || !at_edge(s, kv) || s->n_block > s->n_key || left == 0)
        return (struct kv_near){.block = KV_NONE};
    struct kv_text t = text_of(s, s->n_block, left < bt ? left : bt, bt);
    return kv_near(kv, key_before(s, s->n_block), &t);
}

void seq_adopt(struct seq *s, uint32_t b, uint32_t n)
{
    s->block[s->n_block++] = b;
    s->n_run = s->n_done = s->n_done + n;
}

uint32_t seq_shared(const struct seq *s, const struct kv *kv, const struct kv *snapshots)
{
    uint32_t snapshot, there, n = known(s, kv, snapshots, &snapshot, &there), held = 0;
    for (uint32_t i = 0; i < n; i++)
        held += kv->block[kv_find(kv, &s->key[i])].ref > 0;
    return held;
}

static void publish_block(const struct seq *s, struct kv *kv, uint32_t k)
{
    uint32_t b = s->block[k];
    struct kv_text t = text_of(s, k, kv->block_tokens, kv->block_tokens);
    kv_publish(kv, b, &s->key[k]);
    if (kv->block[b].published)
        kv_note(kv, b, key_before(s, k), &t);
}

void seq_publish(struct seq *s, struct kv *kv)
{
    for (uint32_t n = s->n_done / kv->block_tokens; s->n_public < n && s->n_public < s->n_key; s->n_public++)
        publish_block(s, kv, s->n_public);
}

void seq_release(struct seq *s, struct kv *kv)
{
    uint32_t full = s->n_done / kv->block_tokens, n = s->n_done % kv->block_tokens;
    struct kv_text t = text_of(s, full, n, kv->block_tokens);
    if (s->cached && !s->whole && n > 0 && full <= s->n_key)
        kv_note(kv, s->block[full], key_before(s, full), &t);
    while (s->n_block)
        kv_unref(kv, s->block[--s->n_block]);
    s->n_run = s->n_done = s->n_public = 0;
}
