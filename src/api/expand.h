/* expand.h -- a rendered conversation, with the one placeholder that the template writes for a picture made into as many tokens
 * as the picture has rows, exactly as the model's Hugging Face processor does it (which works on the text too, so that what
 * stands beside is cut into the same tokens).
 *
 *   Qwen-VL     <|image_pad|> n times; a video's pad likewise, or in Qwen3-VL for every pair of frames
 *               "<1.5 seconds>" <|vision_start|> <|video_pad|> n times <|vision_end|>, in place of the template's own frame
 *               around the pad, as transformers up to 5.23 has it (5.24 leaves that frame around the whole)
 *   LLaVA       <image> n times
 *   Gemma 3     "\n\n" <start_of_image> <image_soft_token> n times <end_of_image> "\n\n"
 *
 * Only what the template itself wrote is looked at: the same words of a user are words. */
#ifndef API_EXPAND_H
#define API_EXPAND_H

#include "api/views.h"
#include "chat/template.h"
#include "text/tokenizer.h"

/* Appends the ids, and places the views among them.  ERR_INVALID: the template shows more or fewer pictures than there are, or
 * none of its placeholders. */
MUST_USE bool expand_encode(const struct tokenizer *t, const struct rendered *r, struct views *v, struct ids *out, struct err *e);

#endif
