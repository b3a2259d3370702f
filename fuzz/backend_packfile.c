/* Any bytes as the head of a file of packed weights: what is accepted prints as it was read, and no terminal obeys it.
 *
 * A random head's own hash never fits, so each is tried once more with the hash put right. */
#include "backend/packfile.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void parse(const uint8_t *p, size_t n, uint64_t file_bytes)
{
    struct packfile_head h, again;
    struct err           e;
    uint8_t              head[PACKFILE_HEAD];
    if (!packfile_parse(&h, p, n, file_bytes, &e)) {
        CHECK(e.kind == ERR_CORRUPT || e.kind == ERR_UNSUPPORTED);
        return;
    }
    CHECK(h.bytes == file_bytes - PACKFILE_HEAD && strlen(h.label) < PACKFILE_LABEL);
    packfile_print(&h, head);
    CHECK(packfile_parse(&again, head, sizeof head, file_bytes, NULL));
    CHECK(strcmp(h.label, again.label) == 0 && h.sum == again.sum && h.shape == again.shape && h.layout == again.layout);
    CHECK(memcmp(&h.key, &again.key, sizeof h.key) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    parse(data, n, n);
    uint8_t  head[PACKFILE_HEAD] = {0};
    uint64_t bytes;
    if (n)
        memcpy(head, data, n < sizeof head ? n : sizeof head);
    uint64_t check = hash64(head, sizeof head - sizeof check, 1);
    memcpy(head + sizeof head - sizeof check, &check, sizeof check);
    memcpy(&bytes, head + 56, sizeof bytes);        /* what it says it holds */
    parse(head, sizeof head, bytes + PACKFILE_HEAD);
    parse(head, sizeof head, n);
    uint64_t sum = 0;
    for (uint32_t i = 0; i < packfile_pieces(n); i++)
        sum += packfile_piece_sum(data, n, i);
    volatile uint64_t read = sum;
    (void)read;
    return 0;
}
