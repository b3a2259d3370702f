/* bench_prompt.c -- see bench_prompt.h. */
#include "app/bench_prompt.h"

#include "app/dice.h"
#include "base/hash.h"

#include <math.h>

static const char *const words[] = {
    "time",  "year",   "people", "way",   "day",    "man",    "thing",    "woman",    "life",   "child",  "world",
    "school", "state", "family", "student", "group", "country", "problem", "hand",    "part",   "place",  "case",
    "week",  "company", "system", "program", "question", "work", "government", "number", "night", "point", "home",
    "water", "room",   "mother", "area",  "money",  "story",  "fact",     "month",    "lot",    "right",  "study",
    "book",  "eye",    "job",    "word",  "business", "issue", "side",    "kind",     "head",   "house",  "service",
    "friend", "father", "power", "hour",  "game",   "line",   "end",      "member",   "law",    "car",    "city",
    "name",  "team",   "minute", "idea",  "body",   "back",   "parent",   "face",     "level",  "office", "door",
    "health", "person", "art",   "war",   "history", "party", "result",   "change",   "morning", "reason", "research",
    "girl",  "guy",    "moment", "air",   "teacher", "force", "education", "foot",    "boy",    "age",    "policy",
    "music", "market", "sense",  "nation", "plan",  "college", "interest", "death",   "course", "someone", "experience",
};

enum { N_WORDS = sizeof words / sizeof words[0], SHARED = 1, OWN = 2 };

static void write_words(unsigned n, uint64_t dice, struct buf *out)
{
    for (unsigned i = 0; i < n; i++) {
        if (out->n > 0)
            buf_char(out, ' ');
        buf_str(out, str_of(words[dice_next(&dice) % N_WORDS]));
    }
}

static unsigned words_for(const struct bench_prompt *p, double tokens)
{
    return tokens > 0 ? (unsigned)lround(tokens / p->tokens_per_word) : 0;
}

unsigned bench_prompt_words(const struct bench_prompt *p)
{
    unsigned shared = words_for(p, p->shared_tokens), all = words_for(p, p->tokens - p->tokens_around);
    return all > shared ? all : shared + 1;
}

void bench_prompt_write(const struct bench_prompt *p, uint64_t i, struct buf *out)
{
    /* Hashed, so that neighbouring seeds and requests share nothing. */
    const uint64_t shared[] = {SHARED, p->seed}, own[] = {OWN, p->seed, i};
    unsigned       n = words_for(p, p->shared_tokens);
    CHECK(p->tokens_per_word > 0);
    write_words(n, hash64(shared, sizeof shared, 0), out);
    write_words(bench_prompt_words(p) - n, hash64(own, sizeof own, 0), out);
}
