/* render.c -- from a request's JSON to marked text. */
#include "chat/run.h"
#include "chat/template.h"

#include "base/mem.h"

#include <stdlib.h>

enum { STEPS_MAX = 10000000, CALLS_MAX = 100, BYTES_MAX = 64 << 20 };

static bool from_json(struct run *r, json v, bool user, struct value *out);

static bool list_from_json(struct run *r, json v, bool user, struct value *out)
{
    size_t n = 0;
    if (!value_seq(r, V_LIST, json_len(v), out))
        return false;
    for (struct json_iter it = json_iter(v); json_next(&it);)
        if (!from_json(r, it.value, user, &out->seq->at[n++]))
            return false;
    return true;
}

static bool dict_from_json(struct run *r, json v, bool user, struct value *out)
{
    if (!dict_new(r, json_len(v), out))
        return false;
    for (struct json_iter it = json_iter(v); json_next(&it);) {
        struct value key, value;
        if (!(user ? text_user(r, it.key, &key) : text_of(r, it.key, &key)) ||
            !from_json(r, it.value, user, &value) || !dict_put(r, out->dict, &key, &value))
            return false;
    }
    return true;
}

/* Strings are borrowed: the caller's document outlives the render.  A whole number over 63 bits becomes a real one. */
static bool from_json(struct run *r, json v, bool user, struct value *out)
{
    struct str s = json_str(v);
    int64_t    i;
    double     f;
    *out = VALUE_NONE;
    switch (json_type(v)) {
    case JSON_ARRAY: return list_from_json(r, v, user, out);
    case JSON_OBJECT: return dict_from_json(r, v, user, out);
    case JSON_STRING: return user ? text_user(r, s, out) : text_of(r, s, out);
    case JSON_BOOL: *out = value_bool(json_bool(v, false)); return true;
    case JSON_INT:
        if (json_i64(v, &i)) {
            *out = value_int(i);
            return true;
        }
        break;
    case JSON_REAL: break;
    default: return true;
    }
    CHECK(json_f64(v, &f));
    *out = value_float(f);
    return true;
}

/* Members that the template never names are not even looked at. */
static bool read_input(struct run *r, const struct template_input *in)
{
    for (size_t i = 0; i < r->t->n_names; i++) {
        bool user = false;
        json v = r->t->read[i] && !r->t->set_first[i] ? json_find(in->values, r->t->name[i]) : NULL;
        for (size_t k = 0; k < in->n_user_keys; k++)
            user |= str_eq(in->user_keys[k], r->t->name[i]);
        if (v && !from_json(r, v, user, &r->global[i]))
            return false;
    }
    return true;
}

static void cut_runs(const struct buf *mark, struct rendered *out)
{
    size_t room = 0;
    out->n_run = 0;
    out->run = NULL;
    for (size_t i = 0; i < mark->n; i++) {
        if (i + 1 < mark->n && mark->p[i] == mark->p[i + 1])
            continue;
        if (out->n_run == room)
            out->run = mem_grow(out->run, room = room ? room * 2 : 16, sizeof *out->run);
        out->run[out->n_run++] = (struct rendered_run){i + 1, mark->p[i] == 0};
    }
}

bool template_render(const struct template *t, const struct template_input *in, struct rendered *out, struct err *e)
{
    static const struct template_limits defaults = {0};
    const struct template_limits       *limits = in->limits ? in->limits : &defaults;
    struct err                          unwanted;
    CHECK(in->n_user_keys <= sizeof in->user_keys / sizeof *in->user_keys);
    struct run r = {
        .t = t,
        .bytes_max = limits->bytes_max ? limits->bytes_max : BYTES_MAX,
        .steps = limits->steps_max ? limits->steps_max : STEPS_MAX,
        .calls = limits->depth_max ? limits->depth_max : CALLS_MAX,
        .now_s = in->now_s,
        .line = 1,
        .err = e ? e : &unwanted,
    };
    arena_init(&r.arena, r.bytes_max);
    buf_init(&r.out, 0);
    buf_init(&r.mark, 0);
    r.global = run_new(&r, t->n_names, sizeof *r.global);
    bool ok = r.global && read_input(&r, in) && exec(&r, &t->body);
    if (ok) {
        cut_runs(&r.mark, out);
        out->text = r.out;
        /* Taking a captured text off leaves the bytes behind the end as they were. */
        if (out->text.p)
            out->text.p[out->text.n] = '\0';
        buf_init(&r.out, 0);
    }
    buf_drop(&r.out);
    buf_drop(&r.mark);
    arena_drop(&r.arena);
    return ok;
}

void rendered_drop(struct rendered *r)
{
    buf_drop(&r->text);
    free(r->run);
    *r = (struct rendered){0};
}
