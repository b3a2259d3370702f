/* kv.h -- the blocks that hold what sequences remember.
 *
 * A sequence owns a list of blocks, each a reference to one of a fixed pool.  A full block may be published: then it
 * can be found by its key and shared by any number of sequences, because nothing ever writes to a full block again.
 * That one rule is the prefix cache.  A published block nobody refers to is idle: it stays findable until the pool
 * needs it, the one idle for longest first.
 *
 * Beyond the last block that two texts share they may share some tokens more.  So what a block holds is also noted under
 * its parent's key, for the last, partly filled block of a sequence too: whoever comes by there later copies the block
 * that begins like its own.
 *
 * Snapshots (sched.c) are kept in a pool of the same kind, in which a block is one of them and a token is nothing.
 *
 * Nothing is allocated after kv_init().  Engine thread only, but for kv_root() and kv_key(). */
#ifndef ENGINE_KV_H
#define ENGINE_KV_H

#include "base/hash.h"

#include <stdint.h>

#define KV_NONE UINT32_MAX

/* What a block's rows show beside their tokens: placeholder tokens are equal, pictures are not. */
enum { KV_SEEN_MAX = 4 };
struct kv_seen {
    struct {
        struct sha256 name;         /* over what is shown and how it lies in the block; the last one's over all that follow, too */
        uint32_t      from;         /* the first row of the block that shows it */
    } item[KV_SEEN_MAX];            /* in their order */
    uint32_t n;                     /* 0: nothing is shown */
};

struct kv_block {
    struct sha256 key;              /* of a published block */
    uint32_t      ref;              /* sequences that hold it */
    uint32_t      next, prev;       /* in the list it is in, when nobody holds it */
    uint32_t      chain;            /* the next published block in the same slot of the table */
    bool          published;
    struct sha256 parent;           /* of a noted block: the key before it */
    uint32_t      n_token, sibling; /* noted tokens, 0: none; the next noted block in the same slot */
    struct kv_seen seen;            /* of a noted block */
};

struct kv_list {
    uint32_t first, last, n;
};

struct kv {
    struct kv_block *block;
    uint32_t         n_block, block_tokens;
    struct kv_list   spare, idle;   /* nobody's and empty; nobody's but findable, oldest first */
    uint32_t        *slot, *child, slot_mask;   /* published blocks by key, noted ones by their parent's */
    int32_t         *token;                     /* [n_block][block_tokens] of noted blocks */
    uint64_t         n_evicted;
};

uint64_t kv_bytes(uint32_t n_block, uint32_t block_tokens);         /* host memory that kv_init() takes */
void     kv_init(struct kv *kv, uint32_t n_block, uint32_t block_tokens);
void     kv_drop(struct kv *kv);

/* Blocks that kv_take() can still give: spare and idle ones. */
uint32_t kv_available(const struct kv *kv);

/* A block for the caller to write to, the one behind `after` when it is spare (backends like runs), evicting an idle
 * one when no other is left.  There must be one available. */
uint32_t kv_take(struct kv *kv, uint32_t after);

void kv_ref(struct kv *kv, uint32_t b);
void kv_unref(struct kv *kv, uint32_t b);

/* Block b, which is idle, is spare from now on. */
void kv_forget(struct kv *kv, uint32_t b);

/* Makes full block b findable.  When another block has the key already, that one stays and b remains private. */
void     kv_publish(struct kv *kv, uint32_t b, const struct sha256 *key);
uint32_t kv_find(const struct kv *kv, const struct sha256 *key);        /* KV_NONE: not there; not referenced by this */

/* Tokens behind a parent, a whole block of them or its beginning, with what they show (of the whole block; NULL: nothing). */
struct kv_text {
    const int32_t        *token;
    uint32_t              n;
    const struct kv_seen *seen;
};

/* Notes what held block b has behind `parent`.  Does nothing when another block is known to begin like that. */
void kv_note(struct kv *kv, uint32_t b, const struct sha256 *parent, const struct kv_text *t);

/* How the text that a noted block has goes on where ours parts from it. */
enum kv_parting {
    PARTING_UNKNOWN,                /* nothing is known behind the parent */
    PARTING_TOKEN,                  /* with another token */
    PARTING_SEEN,                   /* with another picture */
    PARTING_END,                    /* it does not: ours is longer */
};

/* The noted block behind `parent` that has most of these tokens at its beginning, how many (same), and how it parts; KV_NONE:
 * none has the first.  Where something is shown, tokens are the same only if all that the two blocks show is.  Among very many
 * children of one parent it looks at the youngest. */
struct kv_near {
    uint32_t        block, same;
    enum kv_parting parting;
};
struct kv_near kv_near(const struct kv *kv, const struct sha256 *parent, const struct kv_text *t);

/* Keys: a block's key covers its own tokens, what they show and, through its parent's key, all before them; the first one's
 * parent is the root that a salt gives, so that only equal salts share. */
struct sha256 kv_root(struct sha256_run *h, struct str salt);
struct sha256 kv_key(struct sha256_run *h, const struct sha256 *parent, const struct kv_text *t);

#endif
