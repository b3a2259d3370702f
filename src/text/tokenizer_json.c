/* tokenizer_json.c -- see tokenizer_json.h.
 *
 * The file is a description of Hugging Face's objects: each has a "type" and fields of its own; a Sequence holds
 * others.  Sequences are unfolded, so that a normalizer, pre-tokenizer or decoder is a plain list of steps. */
#include "text/tokenizer_json.h"

enum { FRAME_MAX = 64 };        /* tokens put around a text */

static const char *text_of(json v, struct arena *a)
{
    struct str s = json_str(v);
    return s.p ? arena_copy(a, s.p, s.n) : NULL;
}

/* ---- steps ------------------------------------------------------------------------------------------------------- */

static int base64_value(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

static bool base64(struct str s, struct arena *a, struct str *out, struct err *e)
{
    uint8_t *to = arena_new(a, s.n / 4 * 3 + 4);
    size_t   n = 0;
    uint32_t bits = 0;
    unsigned have = 0;
    while (s.n && s.p[s.n - 1] == '=')
        s.n--;
    for (size_t i = 0; i < s.n; i++) {
        int v = base64_value(s.p[i]);
        if (v < 0)
            return err_set(e, ERR_CORRUPT, "precompiled_charsmap is not base64");
        bits = bits << 6 | (uint32_t)v;
        have += 6;
        if (have >= 8) {
            have -= 8;
            to[n++] = (uint8_t)(bits >> have);
        }
    }
    *out = (struct str){(const char *)to, n};
    return true;
}

/* {"String": …} or {"Regex": …} */
static bool read_pattern(struct vocab_step *s, json v, struct err *e)
{
    json literal = json_get(v, "String"), regex = json_get(v, "Regex");
    s->regex = json_type(regex) == JSON_STRING;
    s->pattern = json_str(s->regex ? regex : literal);
    return s->pattern.p || err_set(e, ERR_CORRUPT, "%s without a pattern", s->type);
}

static void read_metaspace(struct vocab_step *s, json v, struct arena *a)
{
    s->content = json_str(json_get(v, "replacement"));
    s->prepend_scheme = text_of(json_get(v, "prepend_scheme"), a);
    if (!s->prepend_scheme)
        s->prepend_scheme = json_bool(json_get(v, "add_prefix_space"), true) ? "always" : "never";
    s->no_split = !json_bool(json_get(v, "split"), true);
}

static bool read_step(struct vocab_step *s, json v, struct arena *a, struct err *e)
{
    struct str type = json_str(json_get(v, "type"));
    if (!type.p)
        return err_set(e, ERR_CORRUPT, "an object without a type");
    *s = (struct vocab_step){
        .type = text_of(json_get(v, "type"), a),
        .behavior = text_of(json_get(v, "behavior"), a),
        .content = json_str(json_get(v, "content")),
        .invert = json_bool(json_get(v, "invert"), false),
        .add_prefix_space = json_bool(json_get(v, "add_prefix_space"), true),
        .use_regex = json_bool(json_get(v, "use_regex"), true),
        .individual_digits = json_bool(json_get(v, "individual_digits"), false),
        .cleanup = json_bool(json_get(v, "cleanup"), true),
        .lowercase = json_bool(json_get(v, "lowercase"), true),
        .handle_chinese = json_bool(json_get(v, "handle_chinese_chars"), true),
        .clean_text = json_bool(json_get(v, "clean_text"), true),
        .strip_left = json_bool(json_get(v, "strip_left"), true),
        .strip_right = json_bool(json_get(v, "strip_right"), true),
    };
    s->strip_accents = json_bool(json_get(v, "strip_accents"), s->lowercase);
    int64_t start = json_int_or(json_get(v, "start"), 0), stop = json_int_or(json_get(v, "stop"), 0);
    if (start < 0 || start > INT32_MAX || stop < 0 || stop > INT32_MAX)
        return err_set(e, ERR_CORRUPT, "%s: start or stop is out of range", s->type);
    s->start = (int32_t)start;
    s->stop = (int32_t)stop;
    if (str_is(type, "Metaspace"))
        read_metaspace(s, v, a);
    else if (str_is(type, "Prepend"))
        s->content = json_str(json_get(v, "prepend"));
    else if (str_is(type, "WordPiece"))
        s->content = json_str(json_get(v, "prefix"));
    else if (str_is(type, "Precompiled"))
        return base64(json_str(json_get(v, "precompiled_charsmap")), a, &s->content, e);
    else if (str_is(type, "Split") || str_is(type, "Replace"))
        return read_pattern(s, json_get(v, "pattern"), e);
    return true;
}

/* Appends v's steps to the VOCAB_STEPS_MAX that *step has room for.  JSON's depth is limited, hence this one's too. */
static bool read_steps(struct vocab_step *step, size_t *n, json v, struct arena *a, struct err *e)
{
    static const char *const list[] = {"normalizers", "pretokenizers", "decoders"};
    if (json_type(v) == JSON_NULL || json_type(v) == JSON_ABSENT)
        return true;
    if (!json_is(json_get(v, "type"), "Sequence")) {
        if (*n == VOCAB_STEPS_MAX)
            return err_set(e, ERR_UNSUPPORTED, "more than %d steps", VOCAB_STEPS_MAX);
        return read_step(&step[(*n)++], v, a, e);
    }
    for (unsigned i = 0; i < sizeof list / sizeof *list; i++)
        for (struct json_iter it = json_iter(json_get(v, list[i])); json_next(&it);)
            if (!read_steps(step, n, it.value, a, e))
                return false;
    return true;
}

static bool read_chain(const struct vocab_step **out, size_t *n, json v, struct arena *a, struct err *e)
{
    struct vocab_step *step = arena_new(a, VOCAB_STEPS_MAX * sizeof *step);
    *out = step;
    return read_steps(step, n, v, a, e);
}

/* ---- model ------------------------------------------------------------------------------------------------------- */

static bool read_id(json v, size_t id_max, int32_t *out, struct err *e)
{
    int64_t id;
    if (!json_i64(v, &id) || id < 0 || (size_t)id >= id_max)
        return err_set(e, ERR_CORRUPT, "an id that is %s out of range", json_type_name(v));
    *out = (int32_t)id;
    return true;
}

/* {"spelling": id, …}; ids may have holes, but not many times more holes than tokens. */
static bool read_vocab_object(struct vocab *out, json v, struct arena *a, struct err *e)
{
    size_t n = json_len(v), id_max = n * 4 + 65536;
    if (n > INT32_MAX / 8)
        return err_set(e, ERR_UNSUPPORTED, "%zu tokens", n);
    for (struct json_iter it = json_iter(v); json_next(&it);) {
        int32_t id;
        if (!read_id(it.value, id_max, &id, e))
            return err_in(e, "token %.*s", (int)(it.key.n < 99 ? it.key.n : 99), it.key.p);
        if ((size_t)id >= out->n_token)
            out->n_token = (size_t)id + 1;
    }
    out->token = arena_new(a, (out->n_token + 1) * sizeof *out->token);
    for (struct json_iter it = json_iter(v); json_next(&it);) {
        int64_t id = json_int_or(it.value, 0);
        if (out->token[id].p)
            return err_set(e, ERR_CORRUPT, "two tokens have the id %d", (int)id);
        out->token[id] = it.key;
    }
    return true;
}

/* [["spelling", score], …] */
static bool read_vocab_array(struct vocab *out, json v, struct arena *a, struct err *e)
{
    size_t n = json_len(v);
    out->token = arena_new(a, (n + 1) * sizeof *out->token);
    out->score = arena_new(a, (n + 1) * sizeof *out->score);
    for (struct json_iter it = json_iter(v); json_next(&it); out->n_token++) {
        out->token[out->n_token] = json_str(json_at(it.value, 0));
        if (!out->token[out->n_token].p || !json_f64(json_at(it.value, 1), &out->score[out->n_token]))
            return err_set(e, ERR_CORRUPT, "token %zu is no pair of text and score", out->n_token);
    }
    return true;
}

/* ["a b", …] or [["a", "b"], …] */
static bool read_merges(struct vocab *out, json v, struct arena *a, struct err *e)
{
    if (json_type(v) != JSON_ARRAY)
        return err_set(e, ERR_CORRUPT, "merges is %s", json_type_name(v));
    out->merge = arena_new(a, (json_len(v) + 1) * sizeof *out->merge);
    for (struct json_iter it = json_iter(v); json_next(&it); out->n_merge++) {
        struct str *pair = out->merge[out->n_merge], line = json_str(it.value);
        if (line.p) {
            size_t at = str_find(line, STR(" "));
            at = at == STR_NONE ? line.n : at;
            pair[0] = (struct str){line.p, at};
            pair[1] = at < line.n ? (struct str){line.p + at + 1, line.n - at - 1} : (struct str){NULL, 0};
        } else {
            pair[0] = json_str(json_at(it.value, 0));
            pair[1] = json_str(json_at(it.value, 1));
        }
        if (pair[0].n == 0 || pair[1].n == 0 || (line.p && memchr(pair[1].p, ' ', pair[1].n)))
            return err_set(e, ERR_CORRUPT, "merge %zu is no pair of tokens", out->n_merge);
    }
    return true;
}

/* The model's own type, or what its fields tell where an old file leaves the type out. */
static struct str model_type(json m)
{
    struct str type = json_str(json_get(m, "type"));
    if (type.p)
        return type;
    if (json_type(json_get(m, "merges")) == JSON_ARRAY)
        return STR("BPE");
    return json_type(json_get(m, "vocab")) == JSON_ARRAY ? STR("Unigram") : STR("WordPiece");
}

static bool read_bpe(struct vocab *out, json m, struct arena *a, struct err *e)
{
    static const char *const refused[] = {"continuing_subword_prefix", "end_of_word_suffix"};
    for (unsigned i = 0; i < sizeof refused / sizeof *refused; i++)
        if (json_str(json_get(m, refused[i])).n)
            return err_set(e, ERR_UNSUPPORTED, "BPE with %s", refused[i]);
    if (json_num_or(json_get(m, "dropout"), 0) != 0)
        return err_set(e, ERR_UNSUPPORTED, "BPE with dropout");
    out->kind = VOCAB_BPE;
    out->byte_fallback = json_bool(json_get(m, "byte_fallback"), false);
    out->ignore_merges = json_bool(json_get(m, "ignore_merges"), false);
    out->fuse_unk = json_bool(json_get(m, "fuse_unk"), false);
    return read_vocab_object(out, json_get(m, "vocab"), a, e) && read_merges(out, json_get(m, "merges"), a, e);
}

static bool read_model(struct vocab *out, json m, struct arena *a, struct err *e)
{
    struct str type = model_type(m);
    if (json_type(m) != JSON_OBJECT)
        return err_set(e, ERR_CORRUPT, "the model is %s", json_type_name(m));
    if (str_is(type, "BPE")) {
        if (!read_bpe(out, m, a, e))
            return false;
    } else if (str_is(type, "WordPiece")) {
        out->kind = VOCAB_WORDPIECE;
        json prefix = json_get(m, "continuing_subword_prefix");
        out->word_prefix = json_type(prefix) == JSON_STRING ? json_str(prefix) : STR("##");
        int64_t chars = json_int_or(json_get(m, "max_input_chars_per_word"), 100);
        out->word_chars_max = chars < 0 ? 0 : chars > 100000 ? 100000 : (uint32_t)chars;
        if (!read_vocab_object(out, json_get(m, "vocab"), a, e))
            return false;
    } else if (str_is(type, "Unigram")) {
        out->kind = VOCAB_UNIGRAM;
        out->byte_fallback = json_bool(json_get(m, "byte_fallback"), false);
        json unk = json_get(m, "unk_id");
        return read_vocab_array(out, json_get(m, "vocab"), a, e) &&
               (json_type(unk) != JSON_INT || read_id(unk, out->n_token, &out->unk, e) || err_in(e, "unk_id"));
    } else {
        return err_set(e, ERR_UNSUPPORTED, "a model of type %.*s", (int)(type.n < 99 ? type.n : 99), type.p);
    }
    json unk = json_get(m, "unk_token");
    json id = json_find(json_get(m, "vocab"), json_str(unk));
    if (json_str(unk).n && json_type(id) == JSON_INT)
        out->unk = (int32_t)json_int_or(id, -1);
    return true;
}

/* ---- added tokens, and what is put around a text ----------------------------------------------------------------- */

static bool read_added(struct vocab *out, json v, struct arena *a, struct err *e)
{
    out->added = arena_new(a, (json_len(v) + 1) * sizeof *out->added);
    for (struct json_iter it = json_iter(v); json_next(&it);) {
        struct vocab_added *t = &out->added[out->n_added];
        int32_t             id;
        struct str          text = json_str(json_get(it.value, "content"));
        if (!text.p || !read_id(json_get(it.value, "id"), INT32_MAX, &id, e))
            return err_set(e, ERR_CORRUPT, "added token %zu lacks its content or id", out->n_added);
        if (text.n == 0)
            continue;
        bool special = json_bool(json_get(it.value, "special"), false);
        *t = (struct vocab_added){
            .id = id,
            .text = text,
            .special = special,
            .single_word = json_bool(json_get(it.value, "single_word"), false),
            .lstrip = json_bool(json_get(it.value, "lstrip"), false),
            .rstrip = json_bool(json_get(it.value, "rstrip"), false),
            .normalized = json_bool(json_get(it.value, "normalized"), !special),
        };
        out->n_added++;
    }
    return true;
}

static bool frame_add(int32_t *list, size_t *n, json id, struct err *e)
{
    if (*n == FRAME_MAX)
        return err_set(e, ERR_UNSUPPORTED, "more than %d tokens around a text", FRAME_MAX);
    return read_id(id, INT32_MAX, &list[(*n)++], e);
}

/* Special tokens before and behind the text itself, which the template calls A. */
static bool read_template(struct vocab *out, json v, struct err *e)
{
    bool behind = false;
    for (struct json_iter it = json_iter(json_get(v, "single")); json_next(&it);) {
        json token = json_get(it.value, "SpecialToken");
        if (json_type(token) != JSON_OBJECT) {
            behind = true;
            continue;
        }
        json ids = json_get(json_find(json_get(v, "special_tokens"), json_str(json_get(token, "id"))), "ids");
        if (json_len(ids) == 0)
            return err_set(e, ERR_CORRUPT, "a token that special_tokens does not have");
        for (struct json_iter each = json_iter(ids); json_next(&each);)
            if (!frame_add(behind ? out->after : out->before, behind ? &out->n_after : &out->n_before, each.value, e))
                return false;
    }
    return true;
}

static bool read_post(struct vocab *out, json v, struct err *e)
{
    json type = json_get(v, "type");
    if (json_type(v) == JSON_NULL || json_type(v) == JSON_ABSENT || json_is(type, "ByteLevel"))
        return true;
    if (json_is(type, "TemplateProcessing"))
        return read_template(out, v, e);
    if (json_is(type, "BertProcessing") || json_is(type, "RobertaProcessing"))
        return frame_add(out->before, &out->n_before, json_at(json_get(v, "cls"), 1), e) &&
               frame_add(out->after, &out->n_after, json_at(json_get(v, "sep"), 1), e);
    if (!json_is(type, "Sequence"))
        return err_set(e, ERR_UNSUPPORTED, "a type that is not known here");
    for (struct json_iter it = json_iter(json_get(v, "processors")); json_next(&it);)
        if (!read_post(out, it.value, e))
            return false;
    return true;
}

bool vocab_from_json(struct vocab *out, json root, struct arena *a, struct err *e)
{
    *out = (struct vocab){.unk = -1, .bos = -1, .eos = -1};
    out->before = arena_new(a, FRAME_MAX * sizeof *out->before);
    out->after = arena_new(a, FRAME_MAX * sizeof *out->after);
    json normalizer = json_get(root, "normalizer"), splitter = json_get(root, "pre_tokenizer");
    json decoder = json_get(root, "decoder");
    bool ok = (read_model(out, json_get(root, "model"), a, e) || err_in(e, "model")) &&
              (read_added(out, json_get(root, "added_tokens"), a, e) || err_in(e, "added_tokens")) &&
              (read_chain(&out->normalizer, &out->n_normalizer, normalizer, a, e) || err_in(e, "normalizer")) &&
              (read_chain(&out->pretokenizer, &out->n_pretokenizer, splitter, a, e) || err_in(e, "pre_tokenizer")) &&
              (read_chain(&out->decoder, &out->n_decoder, decoder, a, e) || err_in(e, "decoder")) &&
              (read_post(out, json_get(root, "post_processor"), e) || err_in(e, "post_processor"));
    if (!ok)
        return false;
    out->bos = out->n_before == 1 ? out->before[0] : -1;
    out->eos = out->n_after == 1 ? out->after[0] : -1;
    return true;
}
