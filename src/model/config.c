/* config.c -- see config.h. */
#include "model/config.h"

static bool wrong(struct err *e, const char *key, json v, const char *wanted)
{
    struct buf text;
    buf_init(&text, 80);
    bool plain = json_type(v) != JSON_ABSENT && json_type(v) != JSON_ARRAY && json_type(v) != JSON_OBJECT;
    if (!plain || !json_print(v, &text)) {
        buf_clear(&text);
        buf_printf(&text, "%s", json_type_name(v));
    }
    err_set(e, ERR_CORRUPT, "configuration: %s is %s; %s is wanted", key, text.p, wanted);
    buf_drop(&text);
    return false;
}

static bool absent(json v)
{
    return json_type(v) == JSON_ABSENT || json_type(v) == JSON_NULL;
}

bool config_count(json config, const char *key, uint32_t most, uint32_t fallback, uint32_t *out, struct err *e)
{
    json     v = json_get(config, key);
    uint64_t n = fallback;
    if (!(absent(v) && fallback) && (!json_u64(v, &n) || n == 0 || n > most)) {
        struct buf wanted;
        buf_init(&wanted, 0);
        buf_printf(&wanted, "a whole number from 1 to %u", most);
        wrong(e, key, v, wanted.p);
        buf_drop(&wanted);
        return false;
    }
    *out = (uint32_t)n;
    return true;
}

bool config_number(json config, const char *key, double least, double most, double *out, struct err *e)
{
    json   v = json_get(config, key);
    double x;
    if (absent(v))
        return true;
    if (!json_f64(v, &x) || !(x >= least && x <= most)) {
        struct buf wanted;
        buf_init(&wanted, 0);
        buf_printf(&wanted, "a number from %g to %g", least, most);
        wrong(e, key, v, wanted.p);
        buf_drop(&wanted);
        return false;
    }
    *out = x;
    return true;
}

bool config_flag(json config, const char *key, bool *out, struct err *e)
{
    json v = json_get(config, key);
    if (absent(v))
        return true;
    if (json_type(v) != JSON_BOOL)
        return wrong(e, key, v, "true or false");
    *out = json_bool(v, false);
    return true;
}

bool config_says(json config, const char *key)
{
    json   v = json_get(config, key);
    double x;
    switch (json_type(v)) {
    case JSON_ABSENT:
    case JSON_NULL: return false;
    case JSON_BOOL: return json_bool(v, false);
    case JSON_STRING: return json_str(v).n > 0;
    case JSON_ARRAY:
    case JSON_OBJECT: return json_len(v) > 0;
    default: return !json_f64(v, &x) || (x != 0 && x != 1);
    }
}

json config_rope(json config)
{
    json v = json_get(config, "rope_scaling");
    if (absent(v))
        v = json_get(config, "rope_parameters");
    return absent(v) ? NULL : v;
}
