/* rig.c -- see rig.h. */
#include "rig.h"

#include "base/mem.h"
#include "base/utf8.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static const char *const words[] = {"Hello", " world", "!",  " and", " so",  " on",  "ST",  "OP",   "STOP", "EN",
                                    "D",     "abc",    "ab", "c",    " the", " end", "\n\n", "User:", "xST",  "OPy"};

static const char chatml[] =
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
    "{% if enable_thinking is defined %}<think>{{ enable_thinking }}{% endif %}"
    "{% if reasoning_effort is defined %}{{ reasoning_effort }}{% endif %}"
    "{% if note is defined %}{{ note }}{% endif %}";

/* One that reads no variable but the messages. */
static const char bare[] = "{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}";

/* GPT-2's alphabet: printable bytes stand for themselves, the others for characters from U+0100 on, in order. */
static uint32_t byte_char(unsigned byte)
{
    unsigned next = 256;
    for (unsigned b = 0; b < 256; b++) {
        bool plain = (b >= 33 && b <= 126) || (b >= 161 && b <= 172) || b >= 174;
        if (b == byte)
            return plain ? b : next;
        next += !plain;
    }
    return 0;
}

static char *spell(struct str text)
{
    struct buf b;
    buf_init(&b, 0);
    for (size_t i = 0; i < text.n; i++) {
        char     c[4];
        unsigned n = utf8_encode(byte_char((unsigned char)text.p[i]), c);
        buf_append(&b, c, n);
    }
    return buf_take(&b);
}

static struct tokenizer *small_tokenizer(void)
{
    static const char *const special[] = {"<eos>", "<|im_start|>", "<|im_end|>"};
    struct str         token[RIG_VOCAB] = {{NULL, 0}};
    struct vocab_added added[3];
    struct vocab_step  pre = {.type = "ByteLevel", .use_regex = false}, dec = {.type = "ByteLevel"};
    struct tokenizer  *t = NULL;
    struct err         e;
    for (size_t i = 0; i < 256; i++) {
        char c = (char)i;
        token[i] = str_of(spell((struct str){&c, 1}));
    }
    for (size_t i = 0; i < 3; i++) {
        token[RIG_EOS + i] = str_of(mem_copy(special[i], strlen(special[i])));
        added[i] = (struct vocab_added){.id = (int32_t)(RIG_EOS + i), .text = str_of(special[i]), .special = true};
    }
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        token[RIG_WORDS + i] = str_of(spell(str_of(words[i])));
    struct vocab v = {.kind = VOCAB_BPE, .token = token, .n_token = RIG_VOCAB, .unk = -1, .bos = -1,
                      .eos = RIG_EOS, .added = added, .n_added = 3, .pretokenizer = &pre, .n_pretokenizer = 1,
                      .decoder = &dec, .n_decoder = 1};
    if (!tokenizer_new(&t, &v, &e))
        fprintf(stderr, "rig: %s\n", e.text);
    CHECK(t);
    for (size_t i = 0; i < RIG_VOCAB; i++)
        free((char *)(uintptr_t)token[i].p);
    return t;
}

static uint64_t still(void *ctx)
{
    struct rig *r = ctx;
    return atomic_load(&r->now);
}

void rig_init(struct rig *r, const struct rig_opts *o)
{
    static const int32_t eos[] = {RIG_EOS, RIG_STOP};
    struct err e;
    memset(r, 0, sizeof *r);
    atomic_init(&r->now, 1000000000u);
    struct clock clock = {still, r};
    r->engine = fake_engine_new(clock);
    r->tokenizer = small_tokenizer();
    r->info = (struct model_info){.arch = "FakeForCausalLM", .n_vocab = RIG_VOCAB, .n_layer = 2, .width = 8,
                                  .context = 8192, .n_param = 12345};
    CHECK(o->no_template || template_new(&r->template, o->plain_template ? STR(bare) : STR(chatml), &e));
    struct api_opts a = {.engine = r->engine, .tokenizer = r->tokenizer, .template = r->template, .info = &r->info,
                         .model = "tiny", .eos = eos, .n_eos = 2, .key = o->key, .n_key = o->n_key,
                         .calls_max = o->calls_max, .tokens_max = o->tokens_max, .timeout_s = o->timeout_s,
                         .clock = clock, .log = o->log};
    a.defaults.temperature = 0.75f;
    CHECK(api_open(&r->api, &a, &e));
}

struct closing {
    struct api  *api;
    atomic_word *closed;
};

static void *close_api(void *ctx)
{
    struct closing *c = ctx;
    api_close(c->api);
    atomic_store(c->closed, 1);
    return NULL;
}

/* The api waits for the ends of its jobs, which only a step tells. */
void rig_drop(struct rig *r)
{
    atomic_word    closed = 0;
    struct closing c = {r->api, &closed};
    pthread_t      thread;
    struct err     e;
    CHECK(thread_start(&thread, "closing", close_api, &c, &e));
    RIG_UNTIL(r, atomic_load(&closed));
    pthread_join(thread, NULL);
    fake_engine_free(r->engine);
    tokenizer_free(r->tokenizer);
    template_free(r->template);
}

static void add_piece(struct rig *r, struct fake_script *s, struct str piece)
{
    static const struct { const char *name; struct fake_line line; } marks[] = {
        {"<eos>", {FAKE_TOKEN, RIG_EOS}}, {"<|im_end|>", {FAKE_TOKEN, RIG_STOP}}, {"!hold", {.kind = FAKE_HOLD}},
        {"!fail", {.kind = FAKE_FAIL}},   {"!timeout", {.kind = FAKE_TIMEOUT}},
        {"!again", {.kind = FAKE_AGAIN}},
    };
    for (size_t i = 0; i < sizeof marks / sizeof marks[0]; i++)
        if (str_is(piece, marks[i].name)) {
            s->line[s->n++] = marks[i].line;
            return;
        }
    char   *spelled = spell(piece);
    int32_t id = tokenizer_id(r->tokenizer, str_of(spelled));
    free(spelled);
    if (id >= 0) {
        s->line[s->n++] = (struct fake_line){FAKE_TOKEN, id};
        return;
    }
    for (size_t i = 0; i < piece.n; i++) {
        CHECK(s->n < FAKE_SCRIPT_MAX);
        s->line[s->n++] = (struct fake_line){FAKE_TOKEN, (unsigned char)piece.p[i]};
    }
}

void rig_script(struct rig *r, const char *text)
{
    struct fake_script s = {.n = 0};
    struct buf         piece;
    buf_init(&piece, 0);
    for (const char *p = text;; p++) {
        if (*p == '|' && strncmp(p, "|im_end|>", 9) == 0 && buf_view(&piece).n == 1) {
            buf_str(&piece, STR("|im_end|>"));
            p += 8;
        } else if (*p == '|' || *p == '\0') {
            if (piece.n)
                add_piece(r, &s, buf_view(&piece));
            buf_clear(&piece);
            if (*p == '\0')
                break;
        } else if (p[0] == '\\' && p[1] == 'x') {
            char hex[3] = {p[2], p[3], '\0'};
            buf_char(&piece, (char)strtoul(hex, NULL, 16));
            p += 3;
        } else if (p[0] == '\\' && p[1] == 'n') {
            buf_char(&piece, '\n');
            p++;
        } else {
            buf_char(&piece, *p);
        }
    }
    buf_drop(&piece);
    fake_add_script(r->engine, &s);
}

void rig_step(struct rig *r, unsigned tries, const char *what)
{
    if (tries > 100000) {
        fprintf(stderr, "waited in vain for: %s\n", what);
        abort();
    }
    if (!r || !fake_step(r->engine))
        nanosleep(&(struct timespec){.tv_nsec = 200000}, NULL);
}

void rig_serve(struct rig *r, struct memory_reply *m)
{
    api_handle(r->api, &m->request, &m->reply);
    RIG_UNTIL(r, memory_ended(m));
}
