/* fields.h -- which fields of a request are known, and the one rule for them (fields.def). */
#ifndef API_FIELDS_H
#define API_FIELDS_H

#include "base/buf.h"
#include "base/json.h"

enum fields_where { FIELDS_CHAT = 1, FIELDS_TEXT = 2 };

/* Checks every member of the request: a known one has a right type, and one that is refused has a neutral value.  Names
 * that are not known, also of members where fields.def lists them ("stream_options.x"), are appended to `ignored`,
 * separated by ", " (those that may stand in a header).
 *
 * ERR_INVALID or ERR_UNSUPPORTED name the field. */
MUST_USE bool fields_check(json request, enum fields_where where, struct buf *ignored, struct err *e);

/* Appends under + name ("chat_template_kwargs." and a member's name) to `ignored`, if it may stand in a header. */
void fields_ignore(struct buf *ignored, const char *under, struct str name);

/* The field, or NULL when it is absent or null. */
json fields_get(json request, const char *name);

/* A request as its endpoint reads it: fields that the endpoint does not know are absent. */
struct fields {
    json             request;
    enum fields_where where;
};

json fields_at(const struct fields *q, const char *name);

#endif
