/* bench_prompt.h -- prompts of a wished length in somebody else's tokens.
 *
 * Nobody here knows the server's tokenizer, so prompts are made of common words, which most tokenizers keep whole, and
 * calibration requests tell how many tokens the server counts for how many words. */
#ifndef APP_BENCH_PROMPT_H
#define APP_BENCH_PROMPT_H

#include "base/buf.h"

struct bench_prompt {
    uint64_t seed;
    double   tokens_per_word;       /* > 0 */
    double   tokens_around;         /* that any prompt has besides its words: a chat template's, a beginning of text */
    unsigned tokens, shared_tokens; /* shared_tokens < tokens */
};

/* Appends request i's prompt: the words that all prompts of this seed begin with, then words of its own, at least one of
 * them.  The same for the same seed and i. */
void bench_prompt_write(const struct bench_prompt *p, uint64_t i, struct buf *out);

/* Words that a prompt has, the shared ones included. */
unsigned bench_prompt_words(const struct bench_prompt *p);

#endif
