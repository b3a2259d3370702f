/* json.h -- JSON, read and written (yyjson wrapped).
 *
 * READING.  A document owns its values; a `json` is good until json_free().  Every reader takes NULL and values of other
 * types and then answers with the fallback, so a path of json_get() needs one check at its end.  Documents deeper than
 * JSON_DEPTH_MAX are refused at parsing, so that code which walks a tree may recurse.
 *
 * WRITING.  A json_out builds one value: open, put…, close.  Inside an array the key is NULL.  Strings are copied; bytes
 * that are not UTF-8 become U+FFFD; infinities and NaN become null. */
#ifndef BASE_JSON_H
#define BASE_JSON_H

#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { JSON_DEPTH_MAX = 128 };

typedef struct yyjson_val *json;
struct json_doc;

enum json_type { JSON_ABSENT, JSON_NULL, JSON_BOOL, JSON_INT, JSON_REAL, JSON_STRING, JSON_ARRAY, JSON_OBJECT };

/* Parses strict JSON (UTF-8, no comments, nothing behind).  The text is not kept.  ERR_INVALID says where it broke. */
MUST_USE bool json_parse(struct json_doc **out, struct str text, struct err *e);
MUST_USE bool json_parse_python(struct json_doc **out, struct str text, struct err *e);     /* knows NaN and Infinity, too */
void          json_free(struct json_doc *d);            /* NULL is fine */
json          json_root(const struct json_doc *d);

enum json_type json_type(json v);
const char    *json_type_name(json v);                  /* "a string", "an array", … for messages */
json           json_get(json object, const char *key);  /* the last one when a key is doubled, as Python has it */
json           json_find(json object, struct str key);
json           json_at(json array, size_t i);
size_t         json_len(json v);                        /* members or elements; 0 for anything else */

struct str json_str(json v);                            /* {NULL, 0} when it is no string */
bool       json_is(json v, const char *text);           /* is that very string */
bool       json_i64(json v, int64_t *out);              /* a whole number (2.0 counts) that fits */
bool       json_u64(json v, uint64_t *out);
bool       json_f64(json v, double *out);               /* any number */
bool       json_bool(json v, bool fallback);
int64_t    json_int_or(json v, int64_t fallback);
double     json_num_or(json v, double fallback);

/* for (struct json_iter it = json_iter(v); json_next(&it);) … it.key, it.value.  Arrays have empty keys. */
struct json_iter {
    struct str key;
    json       value;
    json       next_;
    size_t     left_;
    bool       object_;
};
struct json_iter json_iter(json v);
bool             json_next(struct json_iter *it);

/* Appends v as text, compact. */
bool json_print(json v, struct buf *out);

struct json_out;
struct json_out *json_out_new(void);
void             json_out_free(struct json_out *w);     /* NULL is fine */
void             json_open(struct json_out *w, const char *key, char bracket);   /* '{' or '[' */
void             json_close(struct json_out *w);
void             json_put_str(struct json_out *w, const char *key, struct str s);
void             json_put_text(struct json_out *w, const char *key, const char *z);   /* NULL: null */
void             json_put_int(struct json_out *w, const char *key, int64_t v);
void             json_put_num(struct json_out *w, const char *key, double v);
void             json_put_bool(struct json_out *w, const char *key, bool v);
void             json_put_null(struct json_out *w, const char *key);
void             json_put(struct json_out *w, const char *key, json v);          /* a deep copy; NULL: null */

/* Appends the finished value (every open closed) and makes w empty for the next.  False: out is full. */
bool json_out_write(struct json_out *w, struct buf *out);

#ifdef __cplusplus
}
#endif
#endif
