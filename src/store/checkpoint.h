/* checkpoint.h -- a model on disk, opened: its configuration, its tensors, its tokenizer's files.
 *
 * Two forms are read: a .gguf file (or several: store/pieces.h), and a folder in Hugging Face form (config.json, *.safetensors or an index over
 * several, tokenizer.json, …).  Above this header there is only one: tensors have Hugging Face names, and the
 * configuration has the keys of config.json.  A GGUF file's names and keys are translated by the tables of
 * gguf_names.def; what its converter changed besides is said by an extra key:
 *   "hearth_rope_interleaved": true    q and k rows are permuted so that rotary pairs lie side by side (llama)
 *   "hearth_norm_whole": true          norms' weights do not count from 1 any more (gemma)
 * and Llama 3's rope scaling comes as the tensor "rope_freqs.weight", one divisor for each frequency.
 *
 * Everything is memory-mapped and borrowed until checkpoint_close().  Reading is safe from several threads. */
#ifndef STORE_CHECKPOINT_H
#define STORE_CHECKPOINT_H

#include "base/err.h"
#include "base/hash.h"
#include "base/json.h"
#include "base/tensor.h"

#ifdef __cplusplus
extern "C" {
#endif

struct checkpoint;
struct gguf;        /* store/gguf.h */

/* Opens and checks everything but the numbers themselves: headers, offsets, overlaps, shapes, types, config.  A broken
 * file is ERR_CORRUPT and the text names the file, the tensor and the reason; a thing that is whole but not known here
 * is ERR_UNSUPPORTED; a missing file ERR_NOT_FOUND.  generation_config.json and tokenizer_config.json may be missing.
 *
 * A folder's weights are model.safetensors when it is there, else what model.safetensors.index.json names (the index
 * decides which tensors count), else every *.safetensors.  Which types are listed: store/safetensors.h; quantised weights
 * are joined from their parts: store/quant.h. */
MUST_USE bool checkpoint_open(struct checkpoint **out, const char *path, struct err *e);
void          checkpoint_close(struct checkpoint *c);           /* NULL is fine */

const char *checkpoint_path(const struct checkpoint *c);
uint64_t    checkpoint_bytes(const struct checkpoint *c);       /* of all tensors */

/* Names the bytes of all tensors as they were when the files were opened: equal keys, equal tensors.  Made from each
 * file's device, inode, size and time of last change, both its ends, and every tensor's name and place, without reading it
 * all: a copy has another key; so has a changed file, unless somebody hides a change in its middle by putting the time back. */
struct sha256 checkpoint_key(const struct checkpoint *c);

/* config.json, or its likeness made from GGUF keys ("architectures", "hidden_size", "rope_scaling", …). */
json checkpoint_config(const struct checkpoint *c);

/* generation_config.json and tokenizer_config.json; NULL: there is none (a GGUF file has neither). */
json checkpoint_generation(const struct checkpoint *c);
json checkpoint_tokenizer(const struct checkpoint *c);

/* The token ids that end an answer: generation_config.json's eos_token_id, else config.json's; of a GGUF file eos, eot
 * and eom.  Without repeats.  Returns how many (up to n); they are not compared with the vocabulary. */
size_t checkpoint_eos(const struct checkpoint *c, int32_t *out, size_t n);

/* Finds a tensor by its Hugging Face name.  False: there is none. */
bool checkpoint_find(const struct checkpoint *c, const char *name, struct tensor *out);

/* All tensors, in file order, under their Hugging Face names (GGUF tensors not in the tables keep their own). */
size_t      checkpoint_len(const struct checkpoint *c);
const char *checkpoint_at(const struct checkpoint *c, size_t i, struct tensor *out);

/* The text of a file beside the weights ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja"), to be
 * freed by the caller, with *n bytes and a NUL behind them.  A folder without chat_template.jinja has the one inside
 * tokenizer_config.json (of several the "default").  For a GGUF file only "chat_template.jinja" exists
 * (tokenizer.chat_template).  NULL: there is none, or it cannot be read. */
char *checkpoint_text(const struct checkpoint *c, const char *name, size_t *n);

/* The GGUF file behind it, for its tokenizer keys; NULL for a folder. */
const struct gguf *checkpoint_gguf(const struct checkpoint *c);

#ifdef __cplusplus
}
#endif
#endif
