/* Both forms behind one header, and folders with something wrong in them. */
#include "store/checkpoint.h"

#include "write.h"

#include "base/file.h"
#include "store/gguf.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static void tiny_checkpoints_open(void **state)
{
    (void)state;
    static const struct { const char *folder, *arch; int32_t eos; size_t n; } tiny[] = {
        {"llama3", "LlamaForCausalLM", 502, 30},     {"qwen2", "Qwen2ForCausalLM", 502, 38},
        {"qwen3", "Qwen3ForCausalLM", 502, 35},      {"mistral", "MistralForCausalLM", 2, 30},
        {"mistral_swa", "MistralForCausalLM", 2, 30},
    };
    for (size_t i = 0; i < sizeof tiny / sizeof *tiny; i++) {
        struct checkpoint *c;
        struct err         e;
        struct tensor      t, again;
        int32_t            eos[4];
        size_t             n;
        char              *path = path_join(FIXTURES "/tiny", tiny[i].folder);
        if (!checkpoint_open(&c, path, &e))
            fail_msg("%s", e.text);
        assert_string_equal(checkpoint_path(c), path);
        assert_true(json_is(json_at(json_get(checkpoint_config(c), "architectures"), 0), tiny[i].arch));
        assert_int_equal(checkpoint_eos(c, eos, 4), 1);
        assert_int_equal(eos[0], tiny[i].eos);
        assert_int_equal(checkpoint_eos(c, eos, 0), 0);
        assert_true(checkpoint_find(c, "model.embed_tokens.weight", &t));
        assert_true(t.format == FORMAT_BF16 && t.n_dim == 2 && t.shape[0] == 512 && t.shape[1] == 64);
        assert_false(checkpoint_find(c, "model.embed_tokens", &t));
        assert_int_equal(checkpoint_len(c), tiny[i].n);
        uint64_t bytes = 0;
        for (size_t k = 0; k < checkpoint_len(c); k++) {
            assert_true(checkpoint_find(c, checkpoint_at(c, k, &t), &again));
            assert_true(t.data == again.data);
            bytes += t.bytes;
        }
        assert_int_equal(checkpoint_bytes(c), bytes);
        char *text = checkpoint_text(c, "tokenizer.json", &n);
        assert_true(text && text[0] == '{' && strlen(text) == n);
        free(text);
        assert_null(checkpoint_text(c, "none.json", &n));
        assert_null(checkpoint_gguf(c));
        checkpoint_close(c);
        free(path);
    }
}

static void put_gguf(const char *folder, void (*more)(struct gguf_out *))
{
    struct gguf_out o;
    struct buf      file;
    gguf_out_init(&o, 3);
    gguf_put_model(&o, "llama");
    gguf_put_tensor(&o, "token_embd.weight", FORMAT_Q4_1, 5, 64);
    gguf_put_tensor(&o, "blk.1.attn_q.weight", FORMAT_F16, 64, 64);
    gguf_put_tensor(&o, "rope_freqs.weight", FORMAT_F32, 0, 8);
    more(&o);
    buf_init(&file, 0);
    gguf_write(&o, &file);
    folder_put(folder, "m.gguf", buf_view(&file));
    buf_drop(&file);
    gguf_out_drop(&o);
}

static void add_tokens(struct gguf_out *o)
{
    gguf_put_u32(o, "tokenizer.ggml.eos_token_id", 2);
    gguf_put_u32(o, "tokenizer.ggml.eot_token_id", 4);
    gguf_put_u32(o, "tokenizer.ggml.eom_token_id", 2);
    gguf_put_str(o, "tokenizer.chat_template", "{{ x }}");
}

static void add_experts(struct gguf_out *o)
{
    gguf_put_u32(o, "llama.expert_count", 8);
}

static void add_twin(struct gguf_out *o)
{
    gguf_put_tensor(o, "model.embed_tokens.weight", FORMAT_F32, 0, 1);
}

static struct sha256 key_of(const char *path)
{
    struct checkpoint *c = NULL;
    struct err         e;
    if (!checkpoint_open(&c, path, &e))
        fail_msg("%s", e.text);
    struct sha256 key = checkpoint_key(c);
    checkpoint_close(c);
    return key;
}

static void changes(const char *path, struct sha256 *was)
{
    struct sha256 now = key_of(path);
    assert_memory_not_equal(&now, was, sizeof now);
    *was = now;
}

static void a_key_names_the_bytes(void **state)
{
    (void)state;
    struct stat   file;
    char         *folder = folder_new(), *path = path_join(folder, "m.gguf"), *moved = path_join(folder, "n.gguf");
    put_gguf(folder, add_tokens);
    struct sha256 key = key_of(path), again = key_of(path);
    assert_memory_equal(&key, &again, sizeof key);
    assert_int_equal(rename(path, moved), 0);
    again = key_of(moved);
    assert_memory_equal(&key, &again, sizeof key);
    assert_int_equal(rename(moved, path), 0);
    assert_int_equal(stat(path, &file), 0);
    assert_int_equal(utimensat(AT_FDCWD, path, (struct timespec[2]){{.tv_nsec = UTIME_OMIT}, {.tv_sec = 5, .tv_nsec = 1}}, 0), 0);
    changes(path, &key);
    int fd = open(path, O_WRONLY);                  /* one byte of the last tensor, and the time put back */
    assert_int_equal(pwrite(fd, "\x55", 1, file.st_size - 1), 1);
    assert_int_equal(futimens(fd, (struct timespec[2]){{.tv_nsec = UTIME_OMIT}, {.tv_sec = 5, .tv_nsec = 1}}), 0);
    changes(path, &key);
    assert_int_equal(ftruncate(fd, file.st_size + 64), 0);
    assert_int_equal(futimens(fd, (struct timespec[2]){{.tv_nsec = UTIME_OMIT}, {.tv_sec = 5, .tv_nsec = 1}}), 0);
    changes(path, &key);
    close(fd);
    folder_free(folder);
    free(path);
    free(moved);
}

static void a_gguf_file_opens(void **state)
{
    (void)state;
    struct checkpoint *c = NULL;
    struct err         e;
    struct tensor      t;
    size_t             n;
    int32_t            eos[4];
    char              *folder = folder_new(), *path = path_join(folder, "m.gguf");
    put_gguf(folder, add_tokens);
    if (!checkpoint_open(&c, path, &e))
        fail_msg("%s", e.text);
    assert_true(json_is(json_at(json_get(checkpoint_config(c), "architectures"), 0), "LlamaForCausalLM"));
    assert_int_equal(checkpoint_len(c), 3);
    assert_string_equal(checkpoint_at(c, 1, &t), "model.layers.1.self_attn.q_proj.weight");
    assert_true(checkpoint_find(c, "model.embed_tokens.weight", &t) && t.format == FORMAT_Q4_1 && t.shape[0] == 5);
    assert_true(checkpoint_find(c, "rope_freqs.weight", &t) && t.n_dim == 1 && t.shape[0] == 8);
    assert_false(checkpoint_find(c, "token_embd.weight", &t));
    assert_int_equal(checkpoint_bytes(c), 5 * 64 / 32 * 20 + 64 * 64 * 2 + 32);
    assert_int_equal(checkpoint_eos(c, eos, 4), 2);
    assert_true(eos[0] == 2 && eos[1] == 4);
    char *text = checkpoint_text(c, "chat_template.jinja", &n);
    assert_string_equal(text, "{{ x }}");
    assert_int_equal(n, 7);
    free(text);
    assert_null(checkpoint_text(c, "tokenizer.json", &n));
    assert_true(str_is(gguf_str(checkpoint_gguf(c), "general.architecture"), "llama"));
    checkpoint_close(c);

    c = NULL;
    put_gguf(folder, add_experts);
    assert_false(checkpoint_open(&c, path, &e));
    assert_int_equal(e.kind, ERR_UNSUPPORTED);
    assert_non_null(strstr(e.text, "m.gguf: key llama.expert_count: a value of 8"));
    put_gguf(folder, add_twin);
    assert_false(checkpoint_open(&c, path, &e));
    assert_null(c);
    assert_int_equal(e.kind, ERR_CORRUPT);
    assert_non_null(strstr(e.text, "m.gguf: tensor names: model.embed_tokens.weight is there twice"));
    free(path);
    folder_free(folder);
}

#define ONE_TENSOR(name) "{\"" name "\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}"
#define TWO_TENSORS(a, b) \
    "{\"" a "\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}," \
    "\"" b "\":{\"dtype\":\"F16\",\"shape\":[2],\"data_offsets\":[8,12]}}"

static void put_shard(const char *folder, const char *name, const char *header, size_t data)
{
    struct buf file;
    buf_init(&file, 0);
    safetensors_write(header, data, &file);
    folder_put(folder, name, buf_view(&file));
    buf_drop(&file);
}

static void put_text(const char *folder, const char *name, const char *text)
{
    folder_put(folder, name, str_of(text));
}

/* A folder with a configuration and two shards: a, b in the first, c in the second. */
static char *two_shards(void)
{
    char *folder = folder_new();
    put_text(folder, "config.json", "{\"architectures\":[\"X\"],\"eos_token_id\":[3,4]}");
    put_shard(folder, "s-1.safetensors", TWO_TENSORS("a", "b"), 12);
    put_shard(folder, "s-2.safetensors", ONE_TENSOR("c"), 8);
    return folder;
}

static struct checkpoint *open_good(const char *folder)
{
    struct checkpoint *c = NULL;
    struct err         e;
    if (!checkpoint_open(&c, folder, &e))
        fail_msg("%s", e.text);
    return c;
}

static void refuse(const char *folder, enum err_kind kind, const char *file, const char *text)
{
    struct checkpoint *c = NULL;
    struct err         e = {0};
    if (checkpoint_open(&c, folder, &e))
        fail_msg("accepted, but expected: %s", text);
    assert_null(c);
    if (e.kind != kind || !strstr(e.text, text) || !strstr(e.text, file) || !strstr(e.text, folder))
        fail_msg("kind %d: %s\nexpected: %s in %s", e.kind, e.text, text, file);
}

static void shards_open_with_and_without_index(void **state)
{
    (void)state;
    struct tensor t, first;
    char         *folder = two_shards();
    struct checkpoint *c = open_good(folder);
    assert_int_equal(checkpoint_len(c), 3);
    assert_string_equal(checkpoint_at(c, 0, &t), "a");
    assert_string_equal(checkpoint_at(c, 2, &first), "c");
    assert_true(t.source_id != first.source_id);        /* same place, other file */
    checkpoint_close(c);

    /* The index decides: b is not listed, and a second c in the first shard does not count. */
    put_shard(folder, "s-1.safetensors", TWO_TENSORS("a", "c"), 12);
    refuse(folder, ERR_CORRUPT, "", "tensor names: c is there twice");
    put_text(folder, "model.safetensors.index.json",
             "{\"metadata\":{},\"weight_map\":{\"a\":\"s-1.safetensors\",\"c\":\"s-2.safetensors\"}}");
    c = open_good(folder);
    assert_int_equal(checkpoint_len(c), 2);
    assert_true(checkpoint_find(c, "c", &t) && t.format == FORMAT_F32);
    checkpoint_close(c);

    /* One whole file goes before both. */
    put_shard(folder, "model.safetensors", ONE_TENSOR("d"), 8);
    c = open_good(folder);
    assert_int_equal(checkpoint_len(c), 1);
    assert_true(checkpoint_find(c, "d", &t));
    checkpoint_close(c);
    folder_free(folder);
}

static void false_indexes_are_refused(void **state)
{
    (void)state;
    static const char *const index = "model.safetensors.index.json";
    static const struct { const char *json; enum err_kind kind; const char *file, *text; } wrong[] = {
        {"{", ERR_CORRUPT, index, "not valid JSON"},
        {"[]", ERR_CORRUPT, index, "is an array, not an object"},
        {"{}", ERR_CORRUPT, index, "its weight_map is absent, not an object"},
        {"{\"weight_map\":{\"a\":\"s-3.safetensors\"}}", ERR_NOT_FOUND, "s-3.safetensors", "No such file"},
        {"{\"weight_map\":{\"c\":\"s-1.safetensors\"}}", ERR_CORRUPT, "s-1.safetensors",
         "tensor c: the index says that it is here, but it is not"},
        {"{\"weight_map\":{\"a\":\"../s-1.safetensors\"}}", ERR_CORRUPT, index, "tensor a: its file is not the plain"},
        {"{\"weight_map\":{\"a\":\"/s-1.safetensors\"}}", ERR_CORRUPT, index, "tensor a: its file is not the plain"},
        {"{\"weight_map\":{\"a\":\"..\\\\s.safetensors\"}}", ERR_CORRUPT, index, "tensor a: its file is not the plain"},
        {"{\"weight_map\":{\"a\":\"s-1.safetensors\\u0000.safetensors\"}}", ERR_CORRUPT, index, "not the plain name"},
        {"{\"weight_map\":{\"a\":\".safetensors\"}}", ERR_CORRUPT, index, "tensor a: its file is not the plain name"},
        {"{\"weight_map\":{\"a\":\"config.json\"}}", ERR_CORRUPT, index, "tensor a: its file is not the plain name"},
        {"{\"weight_map\":{\"a\":1}}", ERR_CORRUPT, index, "tensor a: its file is not the plain name"},
        {"{\"weight_map\":{\"\":\"s-1.safetensors\"}}", ERR_CORRUPT, index, "weight_map: an empty name"},
        {"{\"weight_map\":{\"a\":\"s-1.safetensors\",\"a\":\"s-1.safetensors\"}}", ERR_CORRUPT, index,
         "a is there twice"},
    };
    char      *folder = two_shards();
    struct buf name;
    buf_init(&name, 0);
    buf_printf(&name, "{\"weight_map\":{\"a\":\"%0244d.safetensors\"}}", 1);
    put_text(folder, index, name.p);
    refuse(folder, ERR_CORRUPT, index, "tensor a: its file is not the plain name");
    buf_drop(&name);
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        put_text(folder, index, wrong[i].json);
        refuse(folder, wrong[i].kind, wrong[i].file, wrong[i].text);
    }
    folder_free(folder);
}

static void false_folders_are_refused(void **state)
{
    (void)state;
    char *folder = two_shards();
    put_shard(folder, "s-2.safetensors", ONE_TENSOR("c"), 7);
    refuse(folder, ERR_CORRUPT, "s-2.safetensors", "tensor c: 8 bytes at offset 0 pass the end of the data (7 bytes)");
    put_text(folder, "s-2.safetensors", "");
    refuse(folder, ERR_CORRUPT, "s-2.safetensors", "0 bytes are too few");
    put_text(folder, "config.json", "{\"a\":");
    refuse(folder, ERR_CORRUPT, "config.json", "not valid JSON");
    put_text(folder, "config.json", "{\"a\":\"\xFF\"}");
    refuse(folder, ERR_CORRUPT, "config.json", "not valid JSON");
    put_text(folder, "config.json", "7");
    refuse(folder, ERR_CORRUPT, "config.json", "is a whole number, not an object");
    folder_cut(folder, "config.json");
    refuse(folder, ERR_NOT_FOUND, "config.json", "No such file");
    put_text(folder, "config.json", "{}");
    put_text(folder, "generation_config.json", "null");
    refuse(folder, ERR_CORRUPT, "generation_config.json", "is null, not an object");
    folder_cut(folder, "generation_config.json");
    static const struct { const char *json, *text; } broken[] = {
        {"", "not valid JSON"}, {"{\"chat_template\":\"o", "not valid JSON"}, {"[]", "is an array, not an object"},
    };
    static const char *const files[] = {"generation_config.json", "tokenizer_config.json"};
    for (size_t i = 0; i < 2; i++) {
        for (size_t k = 0; k < sizeof broken / sizeof *broken; k++) {
            put_text(folder, files[i], broken[k].json);
            refuse(folder, ERR_CORRUPT, files[i], broken[k].text);
        }
        folder_cut(folder, files[i]);
    }
    folder_cut(folder, "s-1.safetensors");
    folder_cut(folder, "s-2.safetensors");
    refuse(folder, ERR_NOT_FOUND, "", "holds no .safetensors file");
    folder_free(folder);

    struct checkpoint *c = NULL;
    struct err         e;
    assert_false(checkpoint_open(&c, "/tmp/hearth-is-not-here", &e));
    assert_int_equal(e.kind, ERR_NOT_FOUND);
    assert_false(checkpoint_open(&c, FIXTURES "/tiny/llama3/config.json", &e));
    assert_int_equal(e.kind, ERR_CORRUPT);
    assert_non_null(strstr(e.text, "config.json: not a GGUF file"));
    assert_false(checkpoint_open(&c, FIXTURES "/tiny/llama3/model.safetensors", &e));
    assert_int_equal(e.kind, ERR_UNSUPPORTED);
    assert_non_null(strstr(e.text, "give the folder that holds it"));
}

static void eos_ids_are_found(void **state)
{
    (void)state;
    static const struct { const char *generation; size_t n; int32_t first; } cases[] = {
        {"{}", 2, 3},
        {"{\"eos_token_id\":null}", 2, 3},
        {"{\"eos_token_id\":9}", 1, 9},
        {"{\"eos_token_id\":[9,8,9,-1,4294967296,\"7\",7]}", 3, 9},
    };
    char *folder = two_shards();
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int32_t eos[8] = {0};
        put_text(folder, "generation_config.json", cases[i].generation);
        struct checkpoint *c = open_good(folder);
        assert_int_equal(checkpoint_eos(c, eos, 8), cases[i].n);
        assert_int_equal(eos[0], cases[i].first);
        assert_int_equal(checkpoint_eos(c, eos, 1), 1);
        checkpoint_close(c);
    }
    folder_free(folder);
}

static void templates_are_found(void **state)
{
    (void)state;
    static const struct { const char *config, *text; } cases[] = {
        {"{}", NULL},
        {"{\"chat_template\":7}", NULL},
        {"{\"chat_template\":\"one\"}", "one"},
        {"{\"chat_template\":[{\"name\":\"tool_use\",\"template\":\"two\"},"
         "{\"name\":\"default\",\"template\":\"three\"}]}", "three"},
        {"{\"chat_template\":[{\"name\":\"tool_use\",\"template\":\"two\"}]}", NULL},
    };
    char              *folder = two_shards();
    struct checkpoint *c = open_good(folder);
    size_t             n;
    assert_null(checkpoint_text(c, "chat_template.jinja", &n));
    checkpoint_close(c);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        put_text(folder, "tokenizer_config.json", cases[i].config);
        c = open_good(folder);
        char *text = checkpoint_text(c, "chat_template.jinja", &n);
        assert_true(cases[i].text ? text && strcmp(text, cases[i].text) == 0 && n == strlen(text) : !text);
        free(text);
        checkpoint_close(c);
    }
    c = open_good(folder);
    put_text(folder, "chat_template.jinja", "a file goes first");
    char *text = checkpoint_text(c, "chat_template.jinja", &n);
    assert_string_equal(text, "a file goes first");
    free(text);
    checkpoint_close(c);
    checkpoint_close(NULL);
    folder_free(folder);
}

/* One of n files that are one model; the first has the keys. */
static void put_piece(const char *folder, const char *name, uint32_t no, uint32_t n, const char *tensor)
{
    struct gguf_out o;
    struct buf      file;
    gguf_out_init(&o, 3);
    if (no == 0)
        gguf_put_model(&o, "llama");
    gguf_put_u32(&o, "split.no", no);
    gguf_put_u32(&o, "split.count", n);
    gguf_put_u32(&o, "split.tensors.count", 3);
    gguf_put_tensor(&o, tensor, FORMAT_F32, 5, 64);
    buf_init(&file, 0);
    gguf_write(&o, &file);
    folder_put(folder, name, buf_view(&file));
    buf_drop(&file);
    gguf_out_drop(&o);
}

static void refuse_piece(const char *folder, const char *name, enum err_kind kind, const char *text)
{
    struct checkpoint *c;
    struct err         e;
    char              *path = path_join(folder, name);
    assert_false(checkpoint_open(&c, path, &e));
    if (e.kind != kind || !strstr(e.text, text))
        fail_msg("kind %d: %s\nexpected: %s", e.kind, e.text, text);
    free(path);
}

#define PIECE(no, n) "m-0000" #no "-of-0000" #n ".gguf"

static void a_gguf_model_in_pieces_opens(void **state)
{
    (void)state;
    struct checkpoint *c, *again;
    struct err         e;
    struct tensor      t;
    char              *folder = folder_new(), *first = path_join(folder, PIECE(1, 3)), *last = path_join(folder, PIECE(3, 3));
    put_piece(folder, PIECE(1, 3), 0, 3, "output_norm.weight");
    put_piece(folder, PIECE(2, 3), 1, 3, "token_embd.weight");
    put_piece(folder, PIECE(3, 3), 2, 3, "blk.0.attn_q.weight");
    assert_true(checkpoint_open(&c, first, &e));
    assert_true(checkpoint_open(&again, last, &e));
    assert_int_equal(checkpoint_len(c), 3);
    assert_true(checkpoint_find(c, "model.embed_tokens.weight", &t) && t.shape[0] == 5);
    assert_true(checkpoint_find(c, "model.layers.0.self_attn.q_proj.weight", &t));
    assert_int_equal(json_int_or(json_get(checkpoint_config(c), "vocab_size"), 0), 5);
    assert_true(json_bool(json_get(checkpoint_config(c), "tie_word_embeddings"), false));
    struct sha256 key = checkpoint_key(c), same = checkpoint_key(again);
    assert_memory_equal(&key, &same, sizeof key);
    checkpoint_close(c);
    checkpoint_close(again);
    put_piece(folder, "whole.gguf", 0, 3, "token_embd.weight");
    refuse_piece(folder, "whole.gguf", ERR_UNSUPPORTED, "it is one part of 3; they are found by names that end in -00001-of-00003.gguf");
    put_piece(folder, PIECE(2, 3), 2, 3, "token_embd.weight");
    refuse_piece(folder, PIECE(1, 3), ERR_CORRUPT, PIECE(2, 3) ": it says that it is part 3 of 3");
    put_piece(folder, PIECE(2, 3), 1, 3, "blk.0.attn_q.weight");
    refuse_piece(folder, PIECE(1, 3), ERR_CORRUPT, "blk.0.attn_q.weight is there twice");
    folder_cut(folder, PIECE(2, 3));
    refuse_piece(folder, PIECE(3, 3), ERR_NOT_FOUND, PIECE(2, 3) ": No such file");
    put_piece(folder, PIECE(1, 2), 0, 2, "output_norm.weight");
    put_piece(folder, PIECE(2, 2), 1, 2, "token_embd.weight");
    refuse_piece(folder, PIECE(1, 2), ERR_CORRUPT, "its parts hold 2 tensors, but should hold 3");
    put_gguf(folder, add_tokens);
    char *whole = path_join(folder, "m.gguf");
    assert_int_equal(rename(whole, first), 0);
    refuse_piece(folder, PIECE(1, 3), ERR_CORRUPT, "its name says that it is one part of 3, it does not");
    free(whole);
    free(first);
    free(last);
    folder_free(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tiny_checkpoints_open),
        cmocka_unit_test(a_gguf_file_opens),
        cmocka_unit_test(a_gguf_model_in_pieces_opens),
        cmocka_unit_test(shards_open_with_and_without_index),
        cmocka_unit_test(false_indexes_are_refused),
        cmocka_unit_test(false_folders_are_refused),
        cmocka_unit_test(eos_ids_are_found),
        cmocka_unit_test(a_key_names_the_bytes),
        cmocka_unit_test(templates_are_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
