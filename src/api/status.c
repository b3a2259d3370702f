/* status.c -- GET /v1/status: what runs now, for people and their scripts.  Where there are keys, each sees only its own
 * requests one by one; the sums are everybody's. */
#include "api/answer.h"

static double rate(uint64_t n, double s)
{
    return s > 0 ? (double)n / s : 0;
}

static void put_cache(struct json_out *w, const struct engine_stats *s, const struct engine_plan *p)
{
    json_open(w, "cache", '{');
    json_put_text(w, "type", "paged");
    json_put_int(w, "block_tokens", p->block_tokens);
    json_put_int(w, "blocks", s->blocks);
    json_put_int(w, "blocks_used", s->blocks_used);
    json_put_int(w, "blocks_cached", s->blocks_cached);
    json_put_int(w, "evicted_blocks", (int64_t)s->evicted_blocks);
    json_put_int(w, "snapshots", s->snapshots);
    json_put_int(w, "snapshots_cached", s->snapshots_cached);
    json_put_int(w, "snapshots_found", (int64_t)s->snapshots_found);
    json_put_int(w, "evicted_snapshots", (int64_t)s->evicted_snapshots);
    json_put_num(w, "hit_rate", rate(s->tokens_cached, (double)s->tokens_prompt));
    json_put_num(w, "memory_mb", (double)p->kv_bytes / 1e6);
    if (p->tower_bytes) {
        json_open(w, "pictures", '{');
        json_put_int(w, "entries", s->gallery_pictures);
        json_put_int(w, "hits", (int64_t)s->picture_hits);
        json_put_int(w, "misses", (int64_t)(s->pictures - s->picture_hits));
        json_put_int(w, "encodings", (int64_t)s->encodings);
        json_put_int(w, "evicted", (int64_t)s->evicted_pictures);
        json_put_num(w, "memory_mb", (double)s->gallery_bytes / 1e6);
        json_put_num(w, "memory_mb_max", (double)s->gallery_bytes_max / 1e6);
        json_close(w);
    }
    json_close(w);
}

static void put_memory(struct json_out *w, const struct engine_plan *p)
{
    json_open(w, "memory", '{');
    json_put_int(w, "weight_bytes", (int64_t)p->weight_bytes);
    json_put_int(w, "kv_bytes", (int64_t)p->kv_bytes);
    json_put_int(w, "slot_bytes", (int64_t)p->slot_bytes);
    json_put_int(w, "snapshot_bytes", (int64_t)p->snapshot_bytes);
    json_put_int(w, "scratch_bytes", (int64_t)p->scratch_bytes);
    json_put_int(w, "tower_bytes", (int64_t)p->tower_bytes);
    json_put_int(w, "features_bytes", (int64_t)p->gallery_bytes);
    json_put_int(w, "memory_bytes", (int64_t)p->memory_bytes);
    json_close(w);
}

static void put_totals(struct json_out *w, struct api *a, const struct engine_stats *s)
{
    double up = (double)(clock_ns(a->o.clock) - a->opened_ns) / 1e9, busy = (double)s->busy_ns / 1e9;
    json_put_num(w, "uptime_s", up);
    json_put_int(w, "steps_executed", (int64_t)s->n_step);
    json_put_int(w, "num_running", s->running);
    json_put_int(w, "num_waiting", s->waiting);
    json_put_int(w, "num_preempted", (int64_t)s->n_preempted);
    json_put_int(w, "total_requests_processed", (int64_t)s->n_end);
    json_put_int(w, "total_prompt_tokens", (int64_t)s->tokens_prompt);
    json_put_int(w, "total_cached_tokens", (int64_t)s->tokens_cached);
    json_put_int(w, "total_completion_tokens", (int64_t)s->tokens_drawn);
    json_put_int(w, "total_drafted_tokens", (int64_t)s->tokens_drafted);
    json_put_int(w, "total_accepted_tokens", (int64_t)s->tokens_accepted);
    json_put_num(w, "generation_tps", rate(s->tokens_drawn, busy));
    json_put_num(w, "prompt_tps", rate(s->tokens_prompt - s->tokens_cached, busy));
}

bool status_get(struct call *c)
{
    struct api               *a = c->api;
    const struct engine_plan *p = engine_plan(a->o.engine);
    struct engine_stats       s;
    struct err                e;
    struct json_out          *w = json_out_new();
    engine_stats(a->o.engine, &s);
    json_open(w, NULL, '{');
    json_put_text(w, "status", !api_is_open(a, &e) ? "draining" : s.running ? "running" : "idle");
    json_put_text(w, "model", a->o.model);
    json_put_text(w, "version", HEARTH_VERSION);
    json_put_int(w, "context_max", p->context_max);
    json_put_int(w, "sequences_max", p->seq_max);
    put_totals(w, a, &s);
    put_memory(w, p);
    put_cache(w, &s, p);
    pthread_mutex_lock(&a->lock);
    answer_list(a, a->o.n_key ? &c->client : NULL, w);
    pthread_mutex_unlock(&a->lock);
    json_close(w);
    return call_json(c, 200, w);
}
