/* parts.h -- what a tokenizer is made of; for this room's own files. */
#ifndef TEXT_PARTS_H
#define TEXT_PARTS_H

#include "text/added.h"
#include "text/coder.h"
#include "text/normalize.h"
#include "text/split.h"
#include "text/tokenizer.h"

#include "base/arena.h"

#ifdef __cplusplus
extern "C" {
#endif

enum decode_op {
    DECODE_SPACES,          /* no decoder at all: tokens with a space between them */
    DECODE_BYTE_LEVEL,      /* spelled bytes back to bytes, everything one text from here on */
    DECODE_METASPACE,
    DECODE_BYTE_FALLBACK,   /* "<0x0A>" back to bytes */
    DECODE_FUSE,            /* everything one token from here on */
    DECODE_REPLACE,
    DECODE_STRIP,
    DECODE_WORDPIECE,
};

struct decode_step {
    enum decode_op  op;
    struct pattern *pattern;
    struct str      content;        /* in the tokenizer's arena */
    int32_t         start, stop;
    bool            flag;           /* Metaspace: the first space goes; WordPiece: tidy up */
};

struct tokenizer {
    struct arena         arena;     /* every text below */
    struct str          *token;     /* [n] as the vocabulary spells them; added ones included */
    struct str          *shown;     /* [n] what decoding begins with: as token, added ones as they are looked for */
    struct str          *plain;     /* [n] without the special ones */
    bool                *special;   /* [n] */
    double              *score;     /* [n] or NULL */
    size_t               n;
    struct lexicon         names;
    struct coder         coder;
    struct vocab_added  *added;
    size_t               n_added;
    struct added         raw, normal;   /* looked for before normalizing, and after */
    struct normalizer   *normalizer;
    struct splitter     *splitter;
    struct decode_step  *decode;
    size_t               n_decode;
    int32_t             *before, *after;
    size_t               n_before, n_after;
    int32_t              bos, eos;
};

MUST_USE bool decode_init(struct tokenizer *t, const struct vocab *v, struct err *e);
void          decode_drop(struct tokenizer *t);

#ifdef __cplusplus
}
#endif
#endif
