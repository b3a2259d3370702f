/* models.h -- what model.c asks of a model file. */
#ifndef MODEL_MODELS_H
#define MODEL_MODELS_H

#include "model/model.h"

/* Reads the configuration of m->checkpoint, fills in m->info (all but arch and n_param) and writes m->text. */
/* Whether the checkpoint has a tower, of which this is a tensor: conversions for text alone leave it out. */
bool model_sees(const struct model *m, const char *name);

/* Whether the tensor's second axis, of three, is `in`. */
bool model_is_turned(const struct model *m, const char *name, uint32_t in);

#define MODEL(file, arch) bool model_##file(struct model *m, struct err *e) MUST_USE;
#include "model/models.def"
#undef MODEL

#endif
