/* replay.c -- runs a fuzz driver over the files of its corpus, as an ordinary test. */
#include "base/buf.h"
#include "base/file.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int main(int argc, char **argv)
{
    DIR *dir = argc == 2 ? opendir(argv[1]) : NULL;
    if (!dir) {
        fprintf(stderr, "usage: %s FOLDER (its files are fed to the driver)\n", argv[0]);
        return 2;
    }
    unsigned n = 0;
    for (struct dirent *d; (d = readdir(dir)) != NULL;) {
        char      *path = path_join(argv[1], d->d_name);
        struct buf b;
        struct err e;
        buf_init(&b, 0);
        if (file_kind(path) == FILE_PLAIN && file_read(&b, path, (size_t)64 << 20, &e)) {
            /* A copy of exact size, so that a sanitizer sees a read past its end. */
            uint8_t *data = malloc(b.n ? b.n : 1);
            if (b.n)
                memcpy(data, b.p, b.n);
            LLVMFuzzerTestOneInput(data, b.n);
            free(data);
            n++;
        }
        buf_drop(&b);
        free(path);
    }
    closedir(dir);
    printf("%u inputs\n", n);
    return n > 0 ? 0 : 1;
}
