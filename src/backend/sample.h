/* sample.h -- from logits to a token: what the engine draws with, and every backend that draws by itself.
 *
 * The order, which is vLLM's for what changes logits, with min_p last as its older sampler and llama.cpp have it:
 *
 *   1. logit_bias is added.
 *   2. repeat, as Hugging Face does it, for ids of the prompt and of the answer: a logit below 0 is multiplied, another
 *      one divided.
 *   3. frequency times how often the id stands in the answer, and presence once if it does, are taken off, as OpenAI
 *      documents it.
 *   4. temperature below 1e-5: the largest logit wins, the lowest id among equals; nothing below applies.  Otherwise
 *      logits are divided by it and become weights e^(x - max).
 *   5. top_k keeps the k heaviest (the lowest ids among equals).
 *   6. top_p keeps the heaviest of those until their part of the whole left by top_k reaches p; never fewer than one.
 *   7. min_p keeps those that weigh at least p times the heaviest.
 *   8. Philox 4x32-10, with the seed as key and the counter as block, gives the place in what is left.
 *
 * Nothing depends on the platform's mathematics but logprobs in their last digits: e^x is computed by plain
 * multiplications and additions.  Nothing is allocated by sample(). */
#ifndef BACKEND_SAMPLE_H
#define BACKEND_SAMPLE_H

#include "backend/backend.h"

#ifdef __cplusplus
extern "C" {
#endif

struct sampler;

uint64_t        sample_bytes(uint32_t n_vocab);         /* what sample_new() takes */
struct sampler *sample_new(uint32_t n_vocab);
void            sample_free(struct sampler *s);         /* NULL is fine */

/* Draws from logits[n_vocab], which stay as they are.  A logit that is not a number is never drawn.  False: none is
 * one, or one is infinite: the model or a kernel is broken. */
MUST_USE bool sample(struct sampler *s, const float *logits, const struct draw *how, struct drawn *out);

/* ERR_INVALID, naming the request's field, for settings that no sample() can honour. */
MUST_USE bool sample_check(const struct draw *how, uint32_t n_vocab, struct err *e);

/* A number in [0, 1) with 53 random bits. */
double sample_uniform(uint64_t seed, uint64_t counter);

#ifdef __cplusplus
}
#endif

#endif
