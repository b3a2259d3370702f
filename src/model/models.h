/* models.h -- what model.c asks of a model file. */
#ifndef MODEL_MODELS_H
#define MODEL_MODELS_H

#include "model/model.h"

/* Reads the configuration of m->checkpoint, fills in m->info (all but arch and n_param) and writes m->text. */
#define MODEL(file, arch) bool model_##file(struct model *m, struct err *e) MUST_USE;
#include "model/models.def"
#undef MODEL

#endif
