/* template.h -- chat templates: Jinja2 as Hugging Face runs it, in C.
 *
 * The language is that of transformers' sandboxed environment (trim_blocks, lstrip_blocks, loop controls, the generation
 * tag, tojson without HTML escapes, strftime_now, raise_exception).  Templates come with the weights and are not
 * trusted: steps, depth of calls and bytes made are limited, and there is nothing in the language that reaches out.
 *
 * What a user wrote keeps its mark through every filter and concatenation: rendering gives pieces, and only the
 * template's own text is `trusted`, so that "<|im_end|>" in a message never ends it. */
#ifndef CHAT_TEMPLATE_H
#define CHAT_TEMPLATE_H

#include "base/buf.h"
#include "base/err.h"
#include "base/json.h"

#ifdef __cplusplus
extern "C" {
#endif

struct template;

/* Parses.  ERR_INVALID says line and reason.  A template never changes: any number of threads may render it. */
MUST_USE bool template_new(struct template **out, struct str source, struct err *e);
void          template_free(struct template *t);                /* NULL is fine */

struct template_limits {
    uint64_t steps_max;         /* statements, expressions and loop turns; 0: 10 million */
    uint32_t depth_max;         /* calls in calls; 0: 100 */
    size_t   bytes_max;         /* made in all, output included; 0: 64 MiB */
};

struct template_input {
    json        values;         /* an object: every member is a variable of the template */
    struct str  user_keys[8];   /* the members whose strings are the user's words ("messages", "tools", …), at any depth */
    size_t      n_user_keys;
    int64_t     now_s;          /* for strftime_now: seconds since 1970, UTC */
    const struct template_limits *limits;       /* NULL: the defaults */
};

/* text[0..n) cut into runs; run i ends before byte end[i]. */
struct rendered {
    struct buf text;
    struct rendered_run { size_t end; bool trusted; } *run;
    size_t n_run;
};
void rendered_drop(struct rendered *r);

/* ERR_INVALID: the template refused with raise_exception (its words are the text), or a value has the wrong type, with
 * the line; ERR_TOO_LARGE: a limit was hit: the values are too many for this template, or it spins. */
MUST_USE bool template_render(const struct template *t, const struct template_input *in, struct rendered *out,
                              struct err *e);

/* Whether the template's source ever reads this variable: as "enable_thinking" or "tools". */
bool template_uses(const struct template *t, const char *name);

#ifdef __cplusplus
}
#endif
#endif
