/* fixture.h -- reading recorded cases. */
#ifndef TEST_TEXT_FIXTURE_H
#define TEST_TEXT_FIXTURE_H

#include "text/tokenizer.h"

#include "base/json.h"

/* Both end the test when the file is not what it should be. */
struct json_doc  *fixture_json(const char *name);
struct tokenizer *fixture_tokenizer(const char *name);

/* Whether the ids are those of the JSON array; prints both when they are not. */
bool same_ids(const struct ids *got, json want, struct str text);
bool same_text(struct str got, json want, struct str text);

struct ids ids_of(json array);

#endif
