/* phi3.c -- Phi-3 and Phi-3.5 mini, Phi-4 (Abdin et al. 2024): a llama whose projections are fused in the checkpoint; of each
 * head a part may be turned, by frequencies that depend on the sequence's length (LongRoPE). */
#include "model/config.h"
#include "model/decoder.h"
#include "model/models.h"

bool model_phi3(struct model *m, struct err *e)
{
    static const char *const honours[] = {"partial_rotary_factor", NULL};
    struct decoder d = {.fused = true, .honours = honours, .rope_ask.partial = true};
    return decoder_read(&d, m, e) && decoder_window(&d, m, 0, e) && decoder_write(&d, m, e);
}
