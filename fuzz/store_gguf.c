/* Any bytes as a GGUF file: what is accepted can be read to the end and put into Hugging Face's words. */
#include "store/gguf.h"
#include "store/gguf_names.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static uint64_t sum(const void *p, size_t n, uint64_t so_far)
{
    for (size_t i = 0; i < n; i++)
        so_far = so_far * 31 + ((const uint8_t *)p)[i];
    return so_far;
}

static uint64_t value_sum(const struct gguf_value *v)
{
    uint64_t       s = 0;
    const uint8_t *at = v->p;
    for (uint64_t i = 0; i < v->n; i++)
        if (v->type == GGUF_STRING) {
            struct str x = gguf_array_str(&at);
            s = sum(x.p, x.n, s);
        } else {
            double d = gguf_array_num(v, i);
            s = sum(&d, sizeof d, s);
        }
    return s;
}

static uint64_t all_sum(const struct gguf *g)
{
    uint64_t s = 0;
    for (size_t i = 0; i < gguf_n_keys(g); i++) {
        struct gguf_value v, again;
        struct str        name = gguf_key_at(g, i, &v);
        char              key[256];
        s += value_sum(&v);
        if (name.n >= sizeof key)
            continue;
        memcpy(key, name.p, name.n);
        key[name.n] = '\0';
        CHECK(gguf_find(g, key, &again) && again.p == v.p);
        s += gguf_str(g, key).n + (uint64_t)gguf_int(g, key, 1) + gguf_bool(g, key, false);
        s += gguf_num(g, key, 0) > 0;
    }
    struct buf name;
    buf_init(&name, 0);
    for (size_t i = 0; i < gguf_n_tensors(g); i++) {
        struct tensor t;
        buf_clear(&name);
        gguf_name(g, gguf_tensor_at(g, i, &t), &name);
        s = sum(t.data, t.bytes, s + name.n);
    }
    buf_drop(&name);
    return s;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct gguf     *g;
    struct json_doc *config;
    struct err       e;
    if (!gguf_parse(&g, data, n, "x.gguf", &e)) {
        CHECK(e.kind == ERR_CORRUPT || e.kind == ERR_UNSUPPORTED);
        return 0;
    }
    volatile uint64_t read = all_sum(g);
    (void)read;
    if (gguf_config(g, &config, &e)) {
        CHECK(json_type(json_root(config)) == JSON_OBJECT);
        json_free(config);
    } else {
        CHECK(e.kind == ERR_CORRUPT || e.kind == ERR_UNSUPPORTED);
    }
    gguf_free(g);
    return 0;
}
