/* digest.c -- see digest.h. */
#include "hub/digest.h"

#include <openssl/evp.h>
#include <stdio.h>

struct hub_digest *hub_digest_new(const struct hub_file *f)
{
    bool        is_lfs = f->id[HUB_COMMIT] != '\0';
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    char        head[32];
    CHECK(ctx && EVP_DigestInit_ex(ctx, is_lfs ? EVP_sha256() : EVP_sha1(), NULL) == 1);
    /* Git hashes a header with its NUL before the content. */
    if (!is_lfs)
        hub_digest_add((struct hub_digest *)ctx, head, (size_t)snprintf(head, sizeof head, "blob %llu", (unsigned long long)f->bytes) + 1);
    return (struct hub_digest *)ctx;
}

void hub_digest_add(struct hub_digest *d, const void *p, size_t n)
{
    CHECK(EVP_DigestUpdate((EVP_MD_CTX *)d, p, n) == 1);
}

void hub_digest_end(struct hub_digest *d, char out[HUB_ID_MAX + 1])
{
    unsigned char byte[EVP_MAX_MD_SIZE];
    unsigned      n;
    CHECK(EVP_DigestFinal_ex((EVP_MD_CTX *)d, byte, &n) == 1 && 2 * n <= HUB_ID_MAX);
    for (unsigned i = 0; i < n; i++)
        snprintf(out + 2 * i, 3, "%02x", byte[i]);
}

void hub_digest_free(struct hub_digest *d)
{
    EVP_MD_CTX_free((EVP_MD_CTX *)d);
}
