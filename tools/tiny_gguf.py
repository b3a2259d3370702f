"""tiny_gguf.py FOLDER OUT.gguf -- a tiny checkpoint of test/fixtures/tiny as its converters to GGUF leave it (development only;
wants the PyPI packages numpy and gguf).  Facts as in llama.cpp's conversion scripts: norms of Gemma with the 1 added, experts
stacked, A = -exp(A_log) with an axis more, LongRoPE's divisors as tensors, gpt-oss's pairs of gate and up taken apart (here
decoded to bfloat16, which holds them exactly).  With a third argument N the model is cut into N files."""
import json, math, pathlib, struct, sys

import gguf
import numpy as np

ARCHS = {"gemma2": "gemma2", "gemma3_text": "gemma3", "phi3": "phi3", "gpt_oss": "gpt-oss", "glm4_moe": "glm4moe",
         "nemotron_h": "nemotron_h", "llama": "llama"}
E2M1 = np.array([0, .5, 1, 1.5, 2, 3, 4, 6, -0., -.5, -1, -1.5, -2, -3, -4, -6], np.float32)


def read(path):
    """Tensors as float32."""
    raw = path.read_bytes()
    n = struct.unpack("<Q", raw[:8])[0]
    out = {}
    for name, t in json.loads(raw[8:8 + n]).items():
        if name == "__metadata__":
            continue
        data = raw[8 + n + t["data_offsets"][0]:8 + n + t["data_offsets"][1]]
        if t["dtype"] == "BF16":
            x = (np.frombuffer(data, np.uint16).astype(np.uint32) << 16).view(np.float32)
        else:
            x = np.frombuffer(data, {"F32": np.float32, "F16": np.float16, "U8": np.uint8}[t["dtype"]])
        out[name] = x.reshape(t["shape"])
    return out


def mxfp4(blocks, scales):
    codes = np.stack((blocks & 15, blocks >> 4), -1).reshape(*blocks.shape[:-1], 32)
    return (E2M1[codes] * np.exp2(scales.astype(np.float32) - 127)[..., None]).reshape(*blocks.shape[:-2], -1)


class Model:
    def __init__(self, folder):
        self.config = json.loads((folder / "config.json").read_text())
        self.t = read(folder / "model.safetensors")
        self.arch = ARCHS[self.config["model_type"]]
        if self.arch == "nemotron_h" and "E" in self.config["hybrid_override_pattern"]:
            self.arch = "nemotron_h_moe"
        kind = next(k for k, v in gguf.MODEL_ARCH_NAMES.items() if v == self.arch)
        self.names = gguf.get_tensor_name_map(kind, self.config["num_hidden_layers"])
        self.out = {}

    def name(self, hf):
        return self.names.get_name(hf, try_suffixes=(".weight", ".bias"))

    def experts(self):
        """Stacks what lies one by one, takes pairs apart."""
        stacks = {}
        for name in [n for n in self.t if ".experts." in n]:
            before, after = name.split(".experts.")
            if after[0].isdigit():
                number, rest = after.split(".", 1)
                stacks.setdefault(f"{before}.experts.{rest}", {})[int(number)] = self.t.pop(name)
        for name, parts in stacks.items():
            self.t[name.replace("backbone.layers", "model.layers").replace("mixer", "mlp") if self.arch == "nemotron_h_moe" else name] = \
                np.stack([parts[i] for i in range(len(parts))])
        for name in [n for n in self.t if n.endswith("_blocks")]:
            self.t[name[:-7]] = mxfp4(self.t.pop(name), self.t.pop(name[:-7] + "_scales"))
        for name in [n for n in self.t if "experts.gate_up_proj" in n]:
            x, end = self.t.pop(name), ".bias" if name.endswith("_bias") else ".weight"
            base = name.split("gate_up_proj")[0]
            self.t[base + "gate_proj" + end], self.t[base + "up_proj" + end] = x[:, ::2], x[:, 1::2]
        for name in [n for n in self.t if n.endswith("experts.down_proj") or n.endswith("experts.down_proj_bias")]:
            self.t[name.replace("down_proj_bias", "down_proj.bias") if name.endswith("_bias") else name + ".weight"] = self.t.pop(name)

    def tensors(self):
        self.experts()
        for name, x in self.t.items():
            if "rotary_emb" in name:
                continue
            if self.arch.startswith("gemma") and name.endswith("norm.weight"):
                x = x + 1
            elif name.endswith("e_score_correction_bias"):
                name = name.replace("e_score_correction_bias", "e_score_correction.bias")
            elif name.endswith(".sinks"):
                name += ".weight"
            elif name.endswith("mixer.A_log"):
                x = -np.exp(x).reshape(-1, 1)
            elif name.endswith("mixer.D"):
                x = x.reshape(-1, 1)
            elif name.endswith("mixer.dt_bias"):
                name = name.replace("dt_bias", "dt.bias")
            elif name.endswith("conv1d.weight"):
                x = x.reshape(x.shape[0], -1)
            elif name.endswith("mixer.norm.weight"):
                x = x.reshape(self.config["n_groups"], -1)
            to = self.name(name)
            assert to, name
            self.out[to] = x
        for kind in ("long", "short"):
            if self.arch == "phi3":
                self.out[f"rope_factors_{kind}.weight"] = np.array(self.config["rope_scaling"][f"{kind}_factor"], np.float32)
        return self.out

    def keys(self, w):
        c, n = self.config, self.config["num_hidden_layers"]
        w.add_type("model")
        w.add_context_length(c["max_position_embeddings"])
        w.add_embedding_length(c["hidden_size"])
        w.add_block_count(n)
        w.add_head_count(c["num_attention_heads"])
        w.add_layer_norm_rms_eps(c.get("rms_norm_eps") or c["layer_norm_epsilon"])
        if "head_dim" in c:
            w.add_key_length(c["head_dim"])
            w.add_value_length(c["head_dim"])
        if "rope_theta" in c:
            w.add_rope_freq_base(c["rope_theta"])
        if not self.arch.startswith("nemotron"):
            w.add_head_count_kv(c["num_key_value_heads"])
            w.add_feed_forward_length(c["intermediate_size"])
        if c.get("sliding_window") or self.arch == "phi3":
            w.add_sliding_window(c["sliding_window"] or 0)
        getattr(self, "keys_" + self.arch.replace("-", "_"))(w, c)

    def keys_llama(self, w, c):
        assert not c.get("rope_scaling")

    def keys_gemma2(self, w, c):
        w.add_attn_logit_softcapping(c["attn_logit_softcapping"])
        w.add_final_logit_softcapping(c["final_logit_softcapping"])

    def keys_gemma3(self, w, c):
        w.add_uint32("gemma3.attention.sliding_window_pattern", c["sliding_window_pattern"])
        w.add_rope_scaling_type(gguf.RopeScalingType.LINEAR)
        w.add_rope_scaling_factor(c["rope_scaling"]["factor"])

    def keys_phi3(self, w, c):
        head, old = c["hidden_size"] // c["num_attention_heads"], c["original_max_position_embeddings"]
        w.add_rope_scaling_orig_ctx_len(old)
        w.add_rope_dimension_count(int(head * c["partial_rotary_factor"]))
        w.add_rope_scaling_attn_factors(math.sqrt(1 + math.log(c["max_position_embeddings"] / old) / math.log(old)))

    def keys_gpt_oss(self, w, c):
        w.add_expert_count(c["num_local_experts"])
        w.add_expert_used_count(c["num_experts_per_tok"])
        w.add_expert_feed_forward_length(c["intermediate_size"])
        w.add_rope_scaling_type(gguf.RopeScalingType.YARN)
        w.add_rope_scaling_factor(c["rope_scaling"]["factor"])
        w.add_rope_scaling_orig_ctx_len(c["rope_scaling"]["original_max_position_embeddings"])

    def keys_glm4moe(self, w, c):
        w.add_rope_dimension_count(int(c["head_dim"] * c["partial_rotary_factor"]))
        w.add_expert_count(c["n_routed_experts"])
        w.add_expert_used_count(c["num_experts_per_tok"])
        w.add_expert_feed_forward_length(c["moe_intermediate_size"])
        w.add_expert_shared_count(c["n_shared_experts"])
        w.add_leading_dense_block_count(c["first_k_dense_replace"])
        w.add_expert_gating_func(gguf.ExpertGatingFuncType.SIGMOID)
        w.add_expert_weights_scale(c["routed_scaling_factor"])
        w.add_expert_weights_norm(c["norm_topk_prob"])

    def keys_nemotron_h(self, w, c):
        kinds, moe = c["hybrid_override_pattern"], self.arch.endswith("moe")
        ff = c["moe_intermediate_size"] if moe else c["intermediate_size"]
        w.add_head_count_kv([c["num_key_value_heads"] if k == "*" else 0 for k in kinds])
        w.add_feed_forward_length([ff if k in "-E" else 0 for k in kinds])
        w.add_ssm_conv_kernel(c["conv_kernel"])
        w.add_ssm_state_size(c["ssm_state_size"])
        w.add_ssm_group_count(c["n_groups"])
        w.add_ssm_inner_size(c["mamba_num_heads"] * c["mamba_head_dim"])
        w.add_ssm_time_step_rank(c["mamba_num_heads"])
        if moe:
            w.add_expert_count(c["n_routed_experts"])
            w.add_expert_used_count(c["num_experts_per_tok"])
            w.add_expert_feed_forward_length(c["moe_intermediate_size"])
            w.add_expert_shared_feed_forward_length(c["moe_shared_expert_intermediate_size"])
            w.add_expert_shared_count(c["n_shared_experts"])
            w.add_expert_weights_norm(c["norm_topk_prob"])
            w.add_expert_weights_scale(c["routed_scaling_factor"])
            w.add_expert_group_count(c["n_group"])

    keys_nemotron_h_moe = keys_nemotron_h


def main():
    model = Model(pathlib.Path(sys.argv[1]))
    n = int(sys.argv[3]) if len(sys.argv) > 3 else 0
    tensors = model.tensors()
    w = gguf.GGUFWriter(sys.argv[2], model.arch, split_max_tensors=-(-len(tensors) // n) if n else 0)
    model.keys(w)
    for name, x in tensors.items():
        matrix = x.ndim > 1 and not any(s in name for s in ("ssm_a", "ssm_d", "ssm_norm", "ssm_conv1d"))
        x = np.ascontiguousarray(x, np.float32)
        bits = x.view(np.uint32)
        if matrix and not (bits & 0xFFFF).any():
            w.add_tensor(name, (bits >> 16).astype(np.uint16).view(np.uint8), raw_dtype=gguf.GGMLQuantizationType.BF16)
        else:
            w.add_tensor(name, x)
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_tensors_to_file()
    w.close()


main()
