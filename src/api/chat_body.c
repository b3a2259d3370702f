/* chat_body.c -- see chat_body.h.
 *
 * What a message holds beyond role and content goes to the template as it came: tool calls and their results of earlier
 * turns, names, reasoning. */
#include "api/chat_body.h"

#include <stdio.h>

enum { USER_KEYS_MAX = sizeof((struct template_input *)0)->user_keys / sizeof(struct str) };

/* Where in the request something is, for messages and error.param. */
struct place {
    char text[64];
};

/* A value that is not what it should be, short enough for a message. */
static const char *shown(json v, struct place *room)
{
    if (json_type(v) != JSON_STRING)
        return json_type_name(v);
    snprintf(room->text, sizeof room->text, "\"%.40s\"", json_str(v).p);
    return room->text;
}

static bool has_kind(json part, const char *const *kinds, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (json_is(part, kinds[i]))
            return true;
    return false;
}

/* What goes to the template as content: text alone as one string, or a list of parts. */
struct content {
    struct json_out *w;                 /* NULL: one string */
    struct buf       text;
};

static void put_text_part(struct json_out *w, struct str text)
{
    json_open(w, NULL, '{');
    json_put_text(w, "type", "text");
    json_put_str(w, "text", text);
    json_close(w);
}

static bool add_media(json part, const struct place *at, struct media_parts *parts, struct content *out, struct err *e)
{
    if (!media_parts_add(parts, part, at->text, e))
        return false;
    json_open(out->w, NULL, '{');
    json_put_text(out->w, "type", parts->part[parts->n - 1].is_video ? "video" : "image");
    json_close(out->w);
    return true;
}

static bool add_part(json part, const struct place *at, struct media_parts *parts, struct content *out, struct err *e)
{
    static const char *const texts[] = {"text", "input_text", "output_text", "refusal"};
    json         kind = json_get(part, "type");
    struct place room;
    if (json_type(part) != JSON_OBJECT)
        return err_param(e, at->text, "%s must be an object, not %s", at->text, json_type_name(part));
    if (media_parts_is_media(part))
        return add_media(part, at, parts, out, e);
    if (!has_kind(kind, texts, sizeof texts / sizeof texts[0]))
        return err_param(e, at->text, "%s.type must be \"text\", not %s", at->text, shown(kind, &room));
    json words = json_get(part, json_is(kind, "refusal") ? "refusal" : "text");
    if (!json_str(words).p)
        return err_param(e, at->text, "%s.text must be a string, not %s", at->text, json_type_name(words));
    if (out->w) {
        put_text_part(out->w, json_str(words));
        return true;
    }
    if (out->text.n)
        buf_char(&out->text, '\n');
    return buf_str(&out->text, json_str(words));
}

static bool put_parts(struct json_out *w, json content, const struct chat_words *words, const struct place *at, struct err *e)
{
    struct content out = {.w = words->parts || words->lists ? w : NULL};
    struct place   part = *at;
    size_t         i = 0;
    bool           ok = true;
    buf_init(&out.text, 0);
    if (out.w)
        json_open(w, "content", '[');
    for (struct json_iter it = json_iter(content); ok && json_next(&it); i++) {
        snprintf(part.text, sizeof part.text, "%.40s.content[%zu]", at->text, i);
        ok = add_part(it.value, &part, words->parts, &out, e);
    }
    if (out.w)
        json_close(w);
    else if (ok)
        json_put_str(w, "content", buf_view(&out.text));
    buf_drop(&out.text);
    return ok;
}

static void put_string(struct json_out *w, json content, const struct chat_words *words)
{
    if (!words->lists) {
        json_put(w, "content", content);
        return;
    }
    json_open(w, "content", '[');
    put_text_part(w, json_str(content));
    json_close(w);
}

static bool put_content(struct json_out *w, json message, bool may_be_empty, const struct chat_words *words, const struct place *at,
                        struct err *e)
{
    json content = json_get(message, "content");
    switch (json_type(content)) {
    case JSON_STRING: put_string(w, content, words); return true;
    case JSON_ABSENT:
    case JSON_NULL:
        if (!may_be_empty)
            return err_param(e, at->text, "%s.content is missing", at->text);
        json_put_null(w, "content");
        return true;
    case JSON_ARRAY: return put_parts(w, content, words, at, e);
    default:
        return err_param(e, at->text, "%s.content must be a string or an array of parts, not %s", at->text,
                         json_type_name(content));
    }
}

static bool put_role(struct json_out *w, json message, const struct place *at, struct err *e)
{
    static const char *const roles[] = {"system", "user", "assistant", "tool"};
    json         role = json_get(message, "role");
    struct place room;
    if (json_is(role, "developer")) {
        json_put_text(w, "role", "system");
        return true;
    }
    if (!has_kind(role, roles, sizeof roles / sizeof roles[0]))
        return err_param(e, at->text, "%s.role must be system, developer, user, assistant or tool, not %s", at->text,
                         shown(role, &room));
    json_put(w, "role", role);
    return true;
}

/* The members other than role and content that a template may look at, and their types. */
static bool put_rest(struct json_out *w, json message, const struct place *at, struct err *e)
{
    static const char *const strings[] = {"name", "tool_call_id", "reasoning_content", "reasoning"};
    for (size_t i = 0; i < sizeof strings / sizeof strings[0]; i++) {
        json v = fields_get(message, strings[i]);
        if (v && json_type(v) != JSON_STRING)
            return err_param(e, at->text, "%s.%s must be a string, not %s", at->text, strings[i], json_type_name(v));
        if (v)
            json_put(w, strings[i], v);
    }
    json calls = fields_get(message, "tool_calls");
    if (calls && json_type(calls) != JSON_ARRAY)
        return err_param(e, at->text, "%s.tool_calls must be an array, not %s", at->text, json_type_name(calls));
    if (json_len(calls))
        json_put(w, "tool_calls", calls);
    return true;
}

static bool put_message(struct json_out *w, json message, const struct chat_words *words, size_t i, struct err *e)
{
    struct place at;
    snprintf(at.text, sizeof at.text, "messages[%zu]", i);
    if (json_type(message) != JSON_OBJECT)
        return err_param(e, at.text, "%s must be an object, not %s", at.text, json_type_name(message));
    bool may_be_empty = json_is(json_get(message, "role"), "assistant") &&
                        (json_len(fields_get(message, "tool_calls")) > 0 || fields_get(message, "reasoning_content") ||
                         fields_get(message, "reasoning"));
    json_open(w, NULL, '{');
    bool ok = put_role(w, message, &at, e) && put_content(w, message, may_be_empty, words, &at, e) &&
              put_rest(w, message, &at, e);
    json_close(w);
    return ok;
}

static bool put_messages(struct json_out *w, json request, const struct chat_words *words, struct err *e)
{
    json   messages = fields_get(request, "messages");
    size_t i = 0;
    bool   ok = true;
    if (!messages)
        return err_param(e, "messages", "messages is missing");
    if (json_len(messages) == 0)
        return err_param(e, "messages", "messages must hold at least one message");
    json_open(w, "messages", '[');
    for (struct json_iter it = json_iter(messages); ok && json_next(&it); i++)
        ok = put_message(w, it.value, words, i, e);
    json_close(w);
    return ok;
}

/* chat_template_kwargs: the caller's own variables.  Their text is the caller's words, not the template's. */
static bool put_kwargs(struct json_out *w, json request, struct template_input *in, struct err *e)
{
    static const char *const ours[] = {"messages", "tools", "documents", "bos_token", "eos_token"};
    json kwargs = fields_get(request, "chat_template_kwargs");
    for (struct json_iter it = json_iter(kwargs); json_next(&it);) {
        for (size_t i = 0; i < sizeof ours / sizeof ours[0]; i++)
            if (str_is(it.key, ours[i]))
                return err_param(e, "chat_template_kwargs", "chat_template_kwargs may not set %s", ours[i]);
        if (memchr(it.key.p, '\0', it.key.n))
            return err_param(e, "chat_template_kwargs", "chat_template_kwargs: a name holds a NUL");
        enum json_type type = json_type(it.value);
        if (type == JSON_STRING || type == JSON_ARRAY || type == JSON_OBJECT) {
            if (in->n_user_keys == USER_KEYS_MAX)
                return err_param(e, "chat_template_kwargs", "chat_template_kwargs may hold at most %d texts",
                                 USER_KEYS_MAX - 2);
            in->user_keys[in->n_user_keys++] = it.key;
        }
        json_put(w, it.key.p, it.value);
    }
    return true;
}

/* Members of chat_template_kwargs that may be sent as fields. */
static const char *const short_forms[] = {"enable_thinking", "reasoning_effort"};

static void put_short_forms(struct json_out *w, json request, struct template_input *in)
{
    json kwargs = fields_get(request, "chat_template_kwargs");
    for (size_t i = 0; i < sizeof short_forms / sizeof short_forms[0]; i++) {
        json v = fields_get(request, short_forms[i]);
        if (v && !json_get(kwargs, short_forms[i]))
            json_put(w, short_forms[i], v);
    }
    in->user_keys[in->n_user_keys++] = STR("reasoning_effort");
    if (!json_get(kwargs, "add_generation_prompt"))
        json_put_bool(w, "add_generation_prompt", json_bool(fields_get(request, "add_generation_prompt"), true));
}

bool chat_body_values(json request, const struct chat_words *words, struct buf *out, struct template_input *in,
                      struct err *e)
{
    struct json_out *w = json_out_new();
    in->n_user_keys = 0;
    in->user_keys[in->n_user_keys++] = STR("messages");
    json_open(w, NULL, '{');
    put_short_forms(w, request, in);
    bool ok = put_kwargs(w, request, in, e) && put_messages(w, request, words, e);
    if (ok) {
        json_put_null(w, "tools");
        json_put_null(w, "documents");
        if (words->bos.p)
            json_put_str(w, "bos_token", words->bos);
        if (words->eos.p)
            json_put_str(w, "eos_token", words->eos);
    }
    json_close(w);
    if (ok && !json_out_write(w, out))
        ok = err_set(e, ERR_TOO_LARGE, "the messages are too long");
    json_out_free(w);
    return ok;
}

void chat_body_unread(json request, const struct template *t, struct buf *ignored)
{
    for (size_t i = 0; i < sizeof short_forms / sizeof short_forms[0]; i++)
        if (fields_get(request, short_forms[i]) && !template_uses(t, short_forms[i]))
            fields_ignore(ignored, "", str_of(short_forms[i]));
    struct json_iter it = json_iter(fields_get(request, "chat_template_kwargs"));
    while (!ignored->full && json_next(&it))
        if (!template_uses(t, it.key.p))
            fields_ignore(ignored, "chat_template_kwargs.", it.key);
}
