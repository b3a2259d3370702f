"""in_openvino.py MODEL.gguf THREADS -- OpenVINO GenAI, its pipeline with continuous batching.  See in_process.py."""
import openvino, openvino_genai as genai

import in_process


class Engine:
    remembers = True

    def __init__(self, model, threads):
        plan = genai.SchedulerConfig()
        plan.cache_size = 2             # GB
        plan.max_num_batched_tokens = 512
        plan.max_num_seqs = 16
        plan.enable_prefix_caching = True
        plan.dynamic_split_fuse = True
        self.pipeline = genai.ContinuousBatchingPipeline(model, plan, "CPU", {"INFERENCE_NUM_THREADS": threads})
        self.n = 0

    def batch(self, prompts, tokens):
        wish = genai.GenerationConfig()
        wish.max_new_tokens = wish.min_new_tokens = tokens
        wish.ignore_eos, wish.do_sample, wish.apply_chat_template = True, False, False
        answers = []
        for ids in prompts:
            self.n += 1
            answers.append(self.pipeline.add_request(self.n, openvino.Tensor(ids[None]), wish))
        while self.pipeline.has_non_finished_requests():
            self.pipeline.step()
        return sum(len(out.generated_ids) for answer in answers for out in answer.read_all())


in_process.serve(Engine)
