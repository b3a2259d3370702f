/* GGUF in Hugging Face's words: names, configuration, and what is refused for it. */
#include "store/gguf_names.h"

#include "write.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static void names_are_translated(void **state)
{
    (void)state;
    static const struct { const char *gguf, *hf; } names[] = {
        {"token_embd.weight", "model.embed_tokens.weight"},
        {"output_norm.weight", "model.norm.weight"},
        {"output.weight", "lm_head.weight"},
        {"blk.0.attn_norm.weight", "model.layers.0.input_layernorm.weight"},
        {"blk.12.attn_q.weight", "model.layers.12.self_attn.q_proj.weight"},
        {"blk.12.attn_q.bias", "model.layers.12.self_attn.q_proj.bias"},
        {"blk.1.attn_k.weight", "model.layers.1.self_attn.k_proj.weight"},
        {"blk.1.attn_v.bias", "model.layers.1.self_attn.v_proj.bias"},
        {"blk.1.attn_output.weight", "model.layers.1.self_attn.o_proj.weight"},
        {"blk.1.attn_q_norm.weight", "model.layers.1.self_attn.q_norm.weight"},
        {"blk.1.attn_k_norm.weight", "model.layers.1.self_attn.k_norm.weight"},
        {"blk.1.ffn_norm.weight", "model.layers.1.post_attention_layernorm.weight"},
        {"blk.1.ffn_gate.weight", "model.layers.1.mlp.gate_proj.weight"},
        {"blk.1.ffn_up.weight", "model.layers.1.mlp.up_proj.weight"},
        {"blk.999.ffn_down.weight", "model.layers.999.mlp.down_proj.weight"},
        {"rope_freqs.weight", "rope_freqs.weight"},
        {"token_embd", "token_embd"},
        {"blk.1.attn_q", "blk.1.attn_q"},
        {"blk..attn_q.weight", "blk..attn_q.weight"},
        {"blk.1x.attn_q.weight", "blk.1x.attn_q.weight"},
        {"blk.1.weight", "blk.1.weight"},
        {"blk.1.something.weight", "blk.1.something.weight"},
        {".weight", ".weight"},
    };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        struct buf out;
        buf_init(&out, 0);
        gguf_name(NULL, str_of(names[i].gguf), &out);
        assert_string_equal(buf_view(&out).p, names[i].hf);
        buf_drop(&out);
    }
}

/* Writes and translates o, and drops it; NULL and *e when that failed. */
static struct json_doc *translate(struct gguf_out *o, struct err *e)
{
    struct buf       file;
    struct gguf     *g = NULL;
    struct json_doc *doc = NULL;
    *e = (struct err){0};
    buf_init(&file, 0);
    gguf_write(o, &file);
    gguf_out_drop(o);
    if (!gguf_parse(&g, (const uint8_t *)file.p, file.n, "x.gguf", e))
        fail_msg("%s", e->text);
    if (!gguf_config(g, &doc, e))
        assert_null(doc);
    gguf_free(g);
    buf_drop(&file);
    return doc;
}

static void refuse(struct gguf_out *o, enum err_kind kind, const char *text)
{
    struct err       e;
    struct json_doc *doc = translate(o, &e);
    if (doc || e.kind != kind || !strstr(e.text, text))
        fail_msg("kind %d: %s\nexpected: %s", e.kind, e.text, text);
}

static void put_tensors(struct gguf_out *o)
{
    gguf_put_tensor(o, "token_embd.weight", FORMAT_Q8_0, 8, 64);
    gguf_put_tensor(o, "output.weight", FORMAT_Q6_K, 8, 256);
    gguf_put_tensor(o, "blk.0.attn_q.bias", FORMAT_F32, 0, 64);
}

static void llama_has_a_configuration(void **state)
{
    (void)state;
    struct gguf_out o;
    struct err      e;
    gguf_out_init(&o, 3);
    gguf_put_model(&o, "llama");
    gguf_put_f32(&o, "llama.rope.freq_base", 5e5f);
    gguf_put_u32(&o, "llama.rope.dimension_count", 16);
    gguf_put_u32(&o, "llama.expert_count", 0);
    gguf_put_str(&o, "general.type", "model");
    gguf_put_u32(&o, "tokenizer.ggml.bos_token_id", 1);
    gguf_put_u32(&o, "tokenizer.ggml.eos_token_id", 7);
    gguf_put_u32(&o, "tokenizer.ggml.padding_token_id", 8);
    put_tensors(&o);
    struct json_doc *doc = translate(&o, &e);
    json             c = json_root(doc);
    assert_non_null(doc);
    assert_true(json_is(json_at(json_get(c, "architectures"), 0), "LlamaForCausalLM"));
    assert_true(json_is(json_get(c, "model_type"), "llama"));
    assert_true(json_is(json_get(c, "hidden_act"), "silu"));
    assert_int_equal(json_int_or(json_get(c, "num_hidden_layers"), 0), 2);
    assert_int_equal(json_int_or(json_get(c, "max_position_embeddings"), 0), 512);
    assert_int_equal(json_int_or(json_get(c, "hidden_size"), 0), 64);
    assert_int_equal(json_int_or(json_get(c, "intermediate_size"), 0), 96);
    assert_int_equal(json_int_or(json_get(c, "num_attention_heads"), 0), 4);
    assert_int_equal(json_int_or(json_get(c, "num_key_value_heads"), 0), 2);
    assert_int_equal(json_int_or(json_get(c, "vocab_size"), 0), 8);
    assert_int_equal(json_int_or(json_get(c, "bos_token_id"), 0), 1);
    assert_int_equal(json_int_or(json_get(c, "eos_token_id"), 0), 7);
    assert_true((float)json_num_or(json_get(c, "rms_norm_eps"), 0) == 1e-5f);
    assert_true(json_num_or(json_get(c, "rope_theta"), 0) == 5e5);
    assert_int_equal(json_type(json_get(c, "rope_scaling")), JSON_NULL);
    assert_int_equal(json_type(json_get(c, "head_dim")), JSON_ABSENT);
    assert_int_equal(json_type(json_get(c, "pad_token_id")), JSON_ABSENT);      /* 8 is outside the vocabulary */
    assert_int_equal(json_type(json_get(c, "partial_rotary_factor")), JSON_ABSENT);
    assert_false(json_bool(json_get(c, "tie_word_embeddings"), true));
    assert_true(json_bool(json_get(c, "attention_bias"), false));
    assert_false(json_bool(json_get(c, "mlp_bias"), true));
    assert_true(json_bool(json_get(c, "hearth_rope_interleaved"), false));
    json_free(doc);
}

static void qwen_has_a_configuration(void **state)
{
    (void)state;
    static const struct { const char *gguf, *hf; bool bias; } archs[] = {
        {"qwen2", "Qwen2ForCausalLM", false},
        {"qwen3", "Qwen3ForCausalLM", true},
    };
    for (size_t i = 0; i < 2; i++) {
        struct gguf_out o;
        struct err      e;
        char            key[64];
        gguf_out_init(&o, 2);
        gguf_put_model(&o, archs[i].gguf);
        snprintf(key, sizeof key, "%s.attention.key_length", archs[i].gguf);
        gguf_put_u32(&o, key, 32);
        snprintf(key, sizeof key, "%s.attention.value_length", archs[i].gguf);
        gguf_put_u32(&o, key, 32);
        snprintf(key, sizeof key, "%s.rope.dimension_count", archs[i].gguf);
        gguf_put_u32(&o, key, 24);
        struct json_doc *doc = translate(&o, &e);
        json             c = json_root(doc);
        assert_non_null(doc);
        assert_true(json_is(json_at(json_get(c, "architectures"), 0), archs[i].hf));
        assert_true(json_is(json_get(c, "model_type"), archs[i].gguf));
        assert_int_equal(json_int_or(json_get(c, "head_dim"), 0), 32);
        assert_int_equal(json_int_or(json_get(c, "vocab_size"), 0), 5);
        assert_true(json_num_or(json_get(c, "partial_rotary_factor"), 0) == 0.75);
        assert_true(json_bool(json_get(c, "tie_word_embeddings"), false));
        assert_int_equal(json_type(json_get(c, "attention_bias")) == JSON_BOOL, archs[i].bias);
        assert_false(json_bool(json_get(c, "hearth_rope_interleaved"), true));
        json_free(doc);
    }
}

/* The architectures' own lines stand in place of everybody's. */
static void gemma_has_a_configuration(void **state)
{
    (void)state;
    static const struct { uint32_t layers; double scale_as; } sizes[] = {{26, 32}, {46, 16}};   /* 64 / 4 in the largest */
    for (size_t i = 0; i < 2; i++) {
        struct gguf_out o;
        struct err      e;
        gguf_out_init(&o, 3);
        gguf_put_model_of(&o, "gemma2", sizes[i].layers);
        gguf_put_u32(&o, "gemma2.attention.key_length", 32);
        gguf_put_f32(&o, "gemma2.attn_logit_softcapping", 50);
        gguf_put_f32(&o, "gemma2.final_logit_softcapping", 30);
        struct json_doc *doc = translate(&o, &e);
        json             c = json_root(doc);
        assert_non_null(doc);
        assert_true(json_is(json_get(c, "hidden_act"), "gelu_pytorch_tanh"));
        assert_true(json_num_or(json_get(c, "attn_logit_softcapping"), 0) == 50);
        assert_true(json_num_or(json_get(c, "final_logit_softcapping"), 0) == 30);
        assert_true(json_num_or(json_get(c, "query_pre_attn_scalar"), 0) == sizes[i].scale_as);
        assert_true(json_bool(json_get(c, "hearth_norm_whole"), false));
        json_free(doc);
    }
}

/* A file of three layers and one that guesses ahead. */
static void put_nemotron(struct gguf_out *o, size_t n_heads, const uint32_t *ff)
{
    static const uint32_t heads[] = {0, 2, 0, 2};
    gguf_out_init(o, 3);
    gguf_put_str(o, "general.architecture", "nemotron_h");
    gguf_put_u32(o, "nemotron_h.block_count", 4);
    gguf_put_u32(o, "nemotron_h.nextn_predict_layers", 1);
    gguf_put_u32(o, "nemotron_h.context_length", 512);
    gguf_put_u32(o, "nemotron_h.embedding_length", 64);
    gguf_put_u32(o, "nemotron_h.attention.head_count", 4);
    gguf_put_array(o, "nemotron_h.attention.head_count_kv", GGUF_U32, n_heads, heads, n_heads * sizeof *heads);
    gguf_put_array(o, "nemotron_h.feed_forward_length", GGUF_U32, 4, ff, 4 * sizeof *ff);
    gguf_put_f32(o, "nemotron_h.attention.layer_norm_rms_epsilon", 1e-5f);
    gguf_put_u32(o, "nemotron_h.ssm.conv_kernel", 4);
    gguf_put_u32(o, "nemotron_h.ssm.state_size", 16);
    gguf_put_u32(o, "nemotron_h.ssm.group_count", 2);
    gguf_put_u32(o, "nemotron_h.ssm.inner_size", 128);
    gguf_put_u32(o, "nemotron_h.ssm.time_step_rank", 8);
    gguf_put_tensor(o, "blk.0.ssm_conv1d.bias", FORMAT_F32, 0, 8);
}

static void lists_say_what_layers_are(void **state)
{
    (void)state;
    static const uint32_t ff[] = {0, 0, 96, 96}, two[] = {0, 0, 96, 48};
    struct gguf_out       o;
    struct err            e;
    put_nemotron(&o, 4, ff);
    struct json_doc *doc = translate(&o, &e);
    json             c = json_root(doc);
    assert_non_null(doc);
    assert_int_equal(json_int_or(json_get(c, "num_hidden_layers"), 0), 3);
    assert_true(json_is(json_get(c, "hybrid_override_pattern"), "M*-"));
    assert_int_equal(json_int_or(json_get(c, "intermediate_size"), 0), 96);
    assert_int_equal(json_int_or(json_get(c, "num_key_value_heads"), 0), 2);
    assert_int_equal(json_int_or(json_get(c, "mamba_head_dim"), 0), 16);
    assert_true(json_bool(json_get(c, "use_conv_bias"), false));
    assert_false(json_bool(json_get(c, "mamba_proj_bias"), true));
    json_free(doc);
    put_nemotron(&o, 2, ff);
    refuse(&o, ERR_CORRUPT, "does not describe 3 layers");
    put_nemotron(&o, 4, two);
    refuse(&o, ERR_UNSUPPORTED, "key nemotron_h.feed_forward_length: one value per layer cannot be read");
}

/* LongRoPE's divisors are tensors. */
static void long_rope_is_translated(void **state)
{
    (void)state;
    struct gguf_out o;
    gguf_out_init(&o, 3);
    gguf_put_model(&o, "phi3");
    gguf_put_u32(&o, "phi3.rope.scaling.original_context_length", 128);
    gguf_put_f32(&o, "phi3.rope.scaling.attn_factor", 1.25f);
    gguf_put_tensor(&o, "rope_factors_long.weight", FORMAT_F32, 0, 8);
    refuse(&o, ERR_CORRUPT, "tensor rope_factors_short.weight is not one row of F32 numbers");
}

static void rope_scaling_is_translated(void **state)
{
    (void)state;
    struct gguf_out o;
    struct err      e;
    gguf_out_init(&o, 3);
    gguf_put_model(&o, "qwen3");
    gguf_put_str(&o, "qwen3.rope.scaling.type", "yarn");
    gguf_put_f32(&o, "qwen3.rope.scaling.factor", 4);
    gguf_put_u32(&o, "qwen3.rope.scaling.original_context_length", 128);
    gguf_put_f32(&o, "qwen3.rope.scaling.yarn_beta_fast", 24);
    gguf_put_f32(&o, "qwen3.rope.scaling.yarn_beta_slow", 2);
    gguf_put_f32(&o, "qwen3.rope.scaling.yarn_ext_factor", 1);
    gguf_put_f32(&o, "qwen3.rope.scaling.attn_factor", 0.5f);
    struct json_doc *doc = translate(&o, &e);
    json             s = json_get(json_root(doc), "rope_scaling");
    assert_true(json_is(json_get(s, "rope_type"), "yarn"));
    assert_true(json_num_or(json_get(s, "factor"), 0) == 4);
    assert_int_equal(json_int_or(json_get(s, "original_max_position_embeddings"), 0), 128);
    assert_true(json_num_or(json_get(s, "beta_fast"), 0) == 24);
    assert_true(json_num_or(json_get(s, "beta_slow"), 0) == 2);
    assert_true(fabs(json_num_or(json_get(s, "attention_factor"), 0) - 0.5 * (0.1 * log(4) + 1)) < 1e-12);
    json_free(doc);

    for (int old = 0; old < 2; old++) {
        gguf_out_init(&o, 3);
        gguf_put_model(&o, "llama");
        gguf_put_f32(&o, old ? "llama.rope.scale_linear" : "llama.rope.scaling.factor", 2);
        if (!old)
            gguf_put_str(&o, "llama.rope.scaling.type", "linear");
        doc = translate(&o, &e);
        s = json_get(json_root(doc), "rope_scaling");
        assert_true(json_is(json_get(s, "rope_type"), "linear"));
        assert_true(json_num_or(json_get(s, "factor"), 0) == 2);
        assert_int_equal(json_len(s), 2);
        json_free(doc);
    }

    gguf_out_init(&o, 3);
    gguf_put_model(&o, "llama");
    gguf_put_str(&o, "llama.rope.scaling.type", "none");
    doc = translate(&o, &e);
    assert_int_equal(json_type(json_get(json_root(doc), "rope_scaling")), JSON_NULL);
    json_free(doc);
}

/* A llama file with that key besides; key NULL: nothing. */
static void refuse_u32(const char *key, uint32_t v, enum err_kind kind, const char *text)
{
    struct gguf_out o;
    gguf_out_init(&o, 3);
    gguf_put_model(&o, "llama");
    gguf_put_u32(&o, key, v);
    refuse(&o, kind, text);
}

static void what_is_not_known_is_refused(void **state)
{
    (void)state;
    struct gguf_out o;
    gguf_out_init(&o, 3);
    gguf_put_str(&o, "general.name", "x");
    refuse(&o, ERR_CORRUPT, "key general.architecture is missing");
    gguf_out_init(&o, 3);
    gguf_put_model(&o, "mamba");
    refuse(&o, ERR_UNSUPPORTED, "architecture \"mamba\" is not known here");
    gguf_out_init(&o, 3);
    gguf_put_model(&o, "llama");
    gguf_put_str(&o, "general.type", "adapter");
    refuse(&o, ERR_UNSUPPORTED, "general.type is \"adapter\"");
    refuse_u32("llama.expert_count", 8, ERR_UNSUPPORTED, "key llama.expert_count: a value of 8 is not known here");
    refuse_u32("llama.attention.value_length", 32, ERR_UNSUPPORTED, "value_length is 32, but keys are 16 long");
    refuse_u32("llama.rope.dimension_count", 32, ERR_CORRUPT, "dimension_count is 32, but heads are 16 long");
    refuse_u32("llama.attention.key_length", 1u << 31, ERR_CORRUPT, "key llama.attention.key_length is not a positive");
    gguf_out_init(&o, 3);
    gguf_put_model(&o, "llama");
    gguf_put_f32(&o, "llama.rope.freq_base", INFINITY);
    refuse(&o, ERR_CORRUPT, "key llama.rope.freq_base is not a positive finite number");
    gguf_out_init(&o, 3);
    gguf_put_model(&o, "llama");
    gguf_put_tensor(&o, "token_embd.weight", FORMAT_F32, 4, 64);
    refuse(&o, ERR_CORRUPT, "tensor token_embd.weight has 4 rows for 5 tokens");
}

static void keys_must_make_sense(void **state)
{
    (void)state;
    struct gguf_out o;
    const uint32_t  two[] = {4, 4};
    gguf_out_init(&o, 3);
    gguf_put_str(&o, "general.architecture", "llama");
    refuse(&o, ERR_CORRUPT, "key llama.block_count is missing");
    gguf_out_init(&o, 3);
    gguf_put_str(&o, "general.architecture", "llama");
    gguf_put_u32(&o, "llama.block_count", 0);
    refuse(&o, ERR_CORRUPT, "key llama.block_count is not a positive whole 31-bit number");
    gguf_out_init(&o, 3);
    gguf_put_str(&o, "general.architecture", "llama");
    gguf_put_str(&o, "llama.block_count", "two");
    refuse(&o, ERR_CORRUPT, "key llama.block_count is not a positive whole 31-bit number");
    gguf_out_init(&o, 3);
    gguf_put_str(&o, "general.architecture", "llama");
    gguf_put_array(&o, "llama.block_count", GGUF_U32, 2, two, sizeof two);
    refuse(&o, ERR_UNSUPPORTED, "key llama.block_count: one value per layer cannot be read");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_are_translated),       cmocka_unit_test(llama_has_a_configuration),
        cmocka_unit_test(qwen_has_a_configuration),   cmocka_unit_test(gemma_has_a_configuration),
        cmocka_unit_test(lists_say_what_layers_are),  cmocka_unit_test(long_rope_is_translated),
        cmocka_unit_test(rope_scaling_is_translated),
        cmocka_unit_test(what_is_not_known_is_refused), cmocka_unit_test(keys_must_make_sense),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
