/* Files of packed weights: the same numbers with and without; what is no good is never used; what fails, fails softly. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "backend/packfile.h"
#include "base/file.h"
#include "base/mem.h"
#include "proof/rig.h"
#include "toy.h"
#include "weave.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

extern const struct backend_type backend_cpu;

static char folder[] = "/tmp/hearth-packfile-XXXXXX";

static char *in_folder(const char *name)
{
    return path_join(folder, name);
}

static unsigned files_in_folder(void)
{
    unsigned n = 0;
    DIR     *dir = opendir(folder);
    for (struct dirent *d; dir && (d = readdir(dir)) != NULL;)
        n += d->d_name[0] != '.';
    if (dir)
        closedir(dir);
    return n;
}

static int make_folder(void **state)
{
    (void)state;
    return mkdtemp(folder) ? 0 : 1;
}

static int remove_folder(void **state)
{
    (void)state;
    DIR *dir = opendir(folder);
    for (struct dirent *d; dir && (d = readdir(dir)) != NULL;)
        if (d->d_name[0] != '.') {
            char *path = in_folder(d->d_name);
            unlink(path);
            free(path);
        }
    if (dir)
        closedir(dir);
    return rmdir(folder);
}

/* The toy's logits with weights kept at path (NULL: nowhere), and what became of the file. */
struct start {
    enum format format;
    uint8_t     key;
    bool        blank;          /* the source holds zeroes: only a file has the weights */
};

static float *logits(struct start how, const char *path, struct kept *kept)
{
    struct prog      *p = toy_prog();
    struct weave_seqs q = weave_seqs(TOY_VOCAB, 9, 2);
    struct rig        r;
    struct rig_opts   o = {.type = &backend_cpu, .precision = PRECISION_FAST, .n_thread = 2, .format = how.format, .seed = 7,
                           .plan = weave_plan(&q), .n_block = WEAVE_BLOCKS, .blank = how.blank,
                           .pack = {.path = path, .key = {{how.key}}, .label = "/models/toy.gguf"}};
    float            *out = NULL;
    if (rig_open(&r, p, &o)) {
        r.type->kept(r.backend, kept);
        out = weave(r.type, r.plan, &q, weave_ways[0]);
        rig_close(&r);
    }
    bundle_free(prog_bundle(p));
    return out;
}

/* One start, which must give these numbers and meet the file so. */
static void starts(struct start how, const char *path, const float *want, int kept_how)
{
    struct weave_seqs q = weave_seqs(TOY_VOCAB, 9, 2);
    struct kept       kept;
    float            *got = logits(how, path, &kept);
    assert_non_null(got);
    assert_int_equal(kept.how, kept_how);
    assert_int_equal(kept.why[0] != '\0', path && kept_how == KEPT_NOT);
    assert_memory_equal(got, want, weave_floats(&q) * sizeof *got);
    free(got);
}

static void the_second_start_reads_no_weight(void **state)
{
    (void)state;
    for (int f = 0; f < FORMAT_COUNT; f++) {
        char       *path = in_folder("second.pack");
        struct kept kept;
        float      *want = logits((struct start){(enum format)f, 1, false}, NULL, &kept);
        starts((struct start){(enum format)f, 1, false}, path, want, KEPT_NOW);
        starts((struct start){(enum format)f, 1, true}, path, want, KEPT_BEFORE);
        free(want);
        unlink(path);
        free(path);
    }
}

static void flip(const char *path, off_t at)
{
    uint8_t byte;
    int     fd = open(path, O_RDWR);
    assert_int_equal(pread(fd, &byte, 1, at), 1);
    byte ^= 0x10;
    assert_int_equal(pwrite(fd, &byte, 1, at), 1);
    close(fd);
}

static off_t size_of(const char *path)
{
    struct stat file;
    assert_int_equal(stat(path, &file), 0);
    return file.st_size;
}

/* Another layout, another version of the form: whole files, made by another build. */
static void forge(const char *path, bool version)
{
    struct packfile_head h;
    struct err           e;
    uint8_t              head[PACKFILE_HEAD];
    assert_true(packfile_look(&h, path, &e));
    h.layout++;
    packfile_print(&h, head);
    if (version) {
        head[8]++;
        uint64_t check = hash64(head, PACKFILE_HEAD - 8, 1);
        memcpy(head + PACKFILE_HEAD - 8, &check, 8);
    }
    int fd = open(path, O_WRONLY);
    assert_int_equal(pwrite(fd, head, sizeof head, 0), (ssize_t)sizeof head);
    close(fd);
}

static void what_is_no_good_is_packed_anew(void **state)
{
    (void)state;
    const struct start whole = {FORMAT_Q4_1, 1, false}, other = {FORMAT_Q4_1, 2, false}, blank = {FORMAT_Q4_1, 1, true};
    char       *path = in_folder("damaged.pack");
    struct kept kept;
    float      *want = logits(whole, NULL, &kept);
    starts(whole, path, want, KEPT_NOW);
    off_t n = size_of(path);
    for (off_t at = 0; at < n; at += at < PACKFILE_HEAD ? 371 : 40009) {
        flip(path, at);
        starts(whole, path, want, KEPT_NOW);
    }
    for (off_t cut = 0; cut < n; cut += n / 5) {
        assert_int_equal(truncate(path, cut), 0);
        starts(whole, path, want, KEPT_NOW);
    }
    assert_int_equal(truncate(path, n + 1), 0);
    starts(whole, path, want, KEPT_NOW);
    for (int version = 0; version < 2; version++) {
        forge(path, version);
        starts(whole, path, want, KEPT_NOW);
    }
    starts(other, path, want, KEPT_NOW);
    starts(whole, path, want, KEPT_NOW);
    starts(blank, path, want, KEPT_BEFORE);
    assert_int_equal(files_in_folder(), 1);
    unlink(path);
    free(want);
    free(path);
}

static void other_weights_of_the_same_size_do_not_fit(void **state)
{
    (void)state;
    char       *path = in_folder("shape.pack");
    struct kept kept;
    float      *a = logits((struct start){FORMAT_F16, 1, false}, NULL, &kept);
    float      *b = logits((struct start){FORMAT_BF16, 1, false}, NULL, &kept);
    starts((struct start){FORMAT_F16, 1, false}, path, a, KEPT_NOW);
    starts((struct start){FORMAT_BF16, 1, false}, path, b, KEPT_NOW);
    unlink(path);
    free(a);
    free(b);
    free(path);
}

static void without_a_place_it_starts_all_the_same(void **state)
{
    (void)state;
    const struct start whole = {FORMAT_Q8_0, 1, false};
    char         *path = in_folder("limit.pack"), *below = in_folder("limit.pack/x.pack");
    struct kept   kept;
    float        *want = logits(whole, NULL, &kept);
    struct rlimit was, small;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &was), 0);
    small = was;
    small.rlim_cur = 10000;
    setrlimit(RLIMIT_FSIZE, &small);
    starts(whole, path, want, KEPT_NOT);
    setrlimit(RLIMIT_FSIZE, &was);
    assert_int_equal(files_in_folder(), 0);
    starts(whole, path, want, KEPT_NOW);
    starts(whole, below, want, KEPT_NOT);           /* its folder is a file */
    starts(whole, "/proc/hearth/x.pack", want, KEPT_NOT);
    struct packfile f;
    struct err      e;
    assert_false(packfile_new(&f, path, UINT64_C(1) << 60, &e));
    assert_int_equal(e.kind, ERR_TOO_LARGE);
    assert_non_null(strstr(e.text, "left"));
    assert_int_equal(files_in_folder(), 1);
    unlink(path);
    free(want);
    free(path);
    free(below);
}

static void only_what_nobody_writes_any_more_is_removed(void **state)
{
    (void)state;
    char       *path = in_folder("a.pack"), *dead = in_folder("b.pack.1.unfinished"), *busy = in_folder("c.pack.2.unfinished");
    struct kept kept;
    float      *want = logits((struct start){FORMAT_Q4_0, 1, false}, NULL, &kept);
    close(open(dead, O_CREAT | O_WRONLY, 0600));
    int fd = open(busy, O_CREAT | O_WRONLY, 0600);
    assert_int_equal(flock(fd, LOCK_EX), 0);
    starts((struct start){FORMAT_Q4_0, 1, false}, path, want, KEPT_NOW);
    assert_int_equal(file_kind(dead), FILE_NONE);
    assert_int_equal(file_kind(busy), FILE_PLAIN);
    close(fd);
    unlink(busy);
    unlink(path);
    free(want);
    free(path);
    free(dead);
    free(busy);
}

static void several_may_start_at_once(void **state)
{
    (void)state;
    enum { N = 4 };
    const struct start whole = {FORMAT_Q4_1, 1, false};
    char       *path = in_folder("race.pack");
    struct kept kept;
    float      *want = logits(whole, NULL, &kept);
    pid_t       child[N];
    for (int i = 0; i < N; i++)
        if ((child[i] = fork()) == 0) {
            struct weave_seqs q = weave_seqs(TOY_VOCAB, 9, 2);
            for (int k = 0; k < 5; k++) {
                float *got = logits(whole, path, &kept);
                if (!got || kept.how == KEPT_NOT || memcmp(got, want, weave_floats(&q) * sizeof *got) != 0)
                    _exit(1);
                if (i == 0)
                    unlink(path);
                free(got);
            }
            _exit(0);
        }
    for (int i = 0, status; i < N; i++) {
        assert_int_equal(waitpid(child[i], &status, 0), child[i]);
        assert_int_equal(status, 0);
    }
    starts(whole, path, want, file_kind(path) == FILE_PLAIN ? KEPT_BEFORE : KEPT_NOW);
    assert_int_equal(files_in_folder(), 1);
    unlink(path);
    free(want);
    free(path);
}

static void a_label_that_a_terminal_would_obey_is_refused(void **state)
{
    (void)state;
    struct packfile_head h = {.label = "/models/\033[2J.gguf"}, got;
    struct err           e;
    uint8_t              head[PACKFILE_HEAD];
    packfile_print(&h, head);
    assert_false(packfile_parse(&got, head, sizeof head, sizeof head, &e));
    h.label[8] = '_';
    packfile_print(&h, head);
    assert_true(packfile_parse(&got, head, sizeof head, sizeof head, &e));
    assert_string_equal(got.label, h.label);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_second_start_reads_no_weight),
        cmocka_unit_test(what_is_no_good_is_packed_anew),
        cmocka_unit_test(other_weights_of_the_same_size_do_not_fit),
        cmocka_unit_test(without_a_place_it_starts_all_the_same),
        cmocka_unit_test(only_what_nobody_writes_any_more_is_removed),
        cmocka_unit_test(several_may_start_at_once),
        cmocka_unit_test(a_label_that_a_terminal_would_obey_is_refused),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
