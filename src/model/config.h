/* config.h -- numbers out of a configuration, each checked, each error naming its key. */
#ifndef MODEL_CONFIG_H
#define MODEL_CONFIG_H

#include "base/json.h"

/* A whole number from 1 to `most`.  Absent or null: `fallback`, or an error when that is 0. */
MUST_USE bool config_count(json config, const char *key, uint32_t most, uint32_t fallback, uint32_t *out,
                           struct err *e);

/* A number from `least` to `most`.  Absent or null: what *out holds. */
MUST_USE bool config_number(json config, const char *key, double least, double most, double *out, struct err *e);

/* True or false.  Absent or null: what *out holds. */
MUST_USE bool config_flag(json config, const char *key, bool *out, struct err *e);

/* Whether the key says something: it is there and neither null, false, 0, empty, nor, for a factor, 1. */
bool config_says(json config, const char *key);

/* rope_scaling, or rope_parameters as newer configurations call it; NULL: neither. */
json config_rope(json config);

#endif
