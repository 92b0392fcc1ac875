/* capture/unpack: plain, gzip and zstd, in one piece or several, whole or not; lines; and what is
 * said of files that cannot be read. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <sys/stat.h>
#include <zlib.h>
#include <zstd.h>

#include "base/util.h"
#include "capture/unpack.h"
#include "files.h"

#define SIZE 700000u

static uint8_t bytes[SIZE];

static int make_bytes(void **state)
{
    uint32_t x = 1;

    for (size_t i = 0; i < SIZE; i++) { /* half of it does not compress */
        x = x * 1664525 + 1013904223;
        bytes[i] = i & 1 ? (uint8_t)(x >> 24) : 'x';
    }
    return 0;
}

static void put_gzip(struct image *f, const uint8_t *from, size_t len)
{
    z_stream z = {.next_in = (Bytef *)(uintptr_t)from,
                  .avail_in = (uInt)len,
                  .next_out = f->bytes + f->len,
                  .avail_out = (uInt)(IMAGE_MAX - f->len)};

    assert_int_equal(deflateInit2(&z, 1, Z_DEFLATED, MAX_WBITS + 16, 8, Z_DEFAULT_STRATEGY), Z_OK);
    assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
    f->len = IMAGE_MAX - z.avail_out;
    deflateEnd(&z);
}

static void put_zstd(struct image *f, const uint8_t *from, size_t len)
{
    ZSTD_CCtx *c = ZSTD_createCCtx();
    size_t n;

    ZSTD_CCtx_setParameter(c, ZSTD_c_checksumFlag, 1);
    n = ZSTD_compress2(c, f->bytes + f->len, IMAGE_MAX - f->len, from, len);
    assert_false(ZSTD_isError(n));
    f->len += n;
    ZSTD_freeCCtx(c);
}

static void put_plain(struct image *f, const uint8_t *from, size_t len)
{
    image_put(f, from, len);
}

typedef void (*put_fn)(struct image *f, const uint8_t *from, size_t len);

static const struct {
    const char *name;
    put_fn put;
    enum unpack_how how;
} forms[] = {{"plain", put_plain, UNPACK_PLAIN},
             {"gzip", put_gzip, UNPACK_GZIP},
             {"zstd", put_zstd, UNPACK_ZSTD}};

/* Reads in pieces of `step`, and compares; returns how many bytes came. */
static size_t read_all(struct unpack *u, size_t step)
{
    size_t at = 0;

    for (const char *p; (p = unpack_peek(u, step)); at += step) {
        assert_true(at + step <= SIZE);
        assert_memory_equal(p, bytes + at, step);
        assert_int_equal(u->taken, at);
        unpack_take(u, step);
    }
    assert_true(u->end - u->begin < step && u->is_over);
    assert_memory_equal(u->buf + u->begin, bytes + at, u->end - u->begin);
    return at + (u->end - u->begin);
}

static void all_forms_give_the_same_bytes(void **state)
{
    static const size_t steps[] = {1, 333, 65536, 600000};

    for (size_t i = 0; i < ARRAY_LEN(forms); i++) {
        struct image f;
        struct unpack u;
        struct err err;

        image_init(&f, false);
        forms[i].put(&f, bytes, SIZE / 3);
        forms[i].put(&f, bytes + SIZE / 3, 0); /* several pieces are one */
        forms[i].put(&f, bytes + SIZE / 3, SIZE - SIZE / 3);
        for (size_t k = 0; k < ARRAY_LEN(steps); k++) {
            assert_true(unpack_open(&u, image_path(&f), 5000, NULL, &err));
            assert_int_equal(u.how, forms[i].how);
            assert_int_equal(read_all(&u, steps[k]), SIZE);
            assert_null(u.trouble);
            assert_int_equal(u.error, 0);
            assert_null(unpack_peek(&u, SIZE));
            unpack_fini(&u);
        }
        image_fini(&f);
    }
}

static void what_came_before_the_damage_is_read(void **state)
{
    for (size_t i = 1; i < ARRAY_LEN(forms); i++) {
        struct image f;
        struct unpack u;
        struct err err;

        image_init(&f, false);
        forms[i].put(&f, bytes, SIZE);
        for (unsigned part = 1; part < 20; part++) {
            size_t len = f.len * part / 20, got;

            assert_true(unpack_open(&u, image_path_of(&f, len), 5000, NULL, &err));
            got = read_all(&u, 100);
            assert_true(got + 200000 > SIZE / 20 * part && got < SIZE);
            assert_string_equal(u.trouble, "its compressed data ends early");
            unpack_fini(&u);
        }
        for (size_t n = f.len / 2; n < f.len / 2 + 100; n++)
            f.bytes[n] = (uint8_t)~f.bytes[n];
        assert_true(unpack_open(&u, image_path(&f), 5000, NULL, &err));
        while (unpack_peek(&u, 1))
            unpack_take(&u, 1);
        assert_string_equal(u.trouble, "its compressed data is damaged");
        unpack_fini(&u);
        image_fini(&f);
    }
}

/* gzip says no more than a warning of it, either: a tape's last block is filled up. */
static void zeros_behind_gzip_are_left(void **state)
{
    static const uint8_t zeros[1000];
    struct image f;
    struct unpack u;
    struct err err;

    image_init(&f, false);
    put_gzip(&f, bytes, SIZE);
    image_put(&f, zeros, sizeof zeros);
    assert_true(unpack_open(&u, image_path(&f), 5000, NULL, &err));
    assert_int_equal(read_all(&u, 100), SIZE);
    assert_null(u.trouble);
    unpack_fini(&u);
    image_fini(&f);
}

static void pipes_are_read_as_they_come(void **state)
{
    struct unpack u;
    struct err err;
    char path[64];
    int fds[2];

    assert_int_equal(pipe(fds), 0);
    snprintf(path, sizeof path, "/proc/self/fd/%d", fds[0]);
    assert_int_equal(write(fds[1], "abcdef", 6), 6);
    assert_true(unpack_open(&u, path, 5000, NULL, &err)); /* the pipe is not at its end */
    assert_false(u.is_regular);
    assert_memory_equal(unpack_peek(&u, 6), "abcdef", 6);
    unpack_take(&u, 5);
    assert_int_equal(write(fds[1], "ghi", 3), 3);
    close(fds[1]);
    assert_memory_equal(unpack_peek(&u, 4), "fghi", 4);
    assert_null(unpack_peek(&u, 5));
    assert_int_equal(u.end - u.begin, 4);
    unpack_fini(&u);
    close(fds[0]);
}

static void lines_are_cut_at_their_ends(void **state)
{
    static const char *const want[] = {"one", "", "two\rtwo", "three"};
    struct image f;
    struct unpack u;
    struct span line;
    struct err err;

    image_init(&f, false);
    image_put(&f, "one\r\n\ntwo\rtwo\r\nthree", 20);
    assert_true(unpack_open(&u, image_path(&f), 10, NULL, &err));
    for (size_t i = 0; i < ARRAY_LEN(want); i++) {
        assert_true(unpack_line(&u, &line));
        assert_true(span_equal(line, span_of(want[i])));
    }
    assert_false(unpack_line(&u, &line));
    unpack_fini(&u);
    f.len = 0;
    memset(f.bytes, 'y', 200000);
    f.bytes[150000] = '\n';
    f.len = 200000;
    assert_true(unpack_open(&u, image_path(&f), 10, NULL, &err));
    for (size_t left = 200000 - 1, n = 0; left > 0; left -= line.len, n++) {
        assert_true(unpack_line(&u, &line));
        assert_true(line.len <= 65536 && (line.len == 65536 || n >= 2));
    }
    assert_false(unpack_line(&u, &line));
    unpack_fini(&u);
    image_fini(&f);
}

static void what_cannot_be_read_is_said(void **state)
{
    char folder[] = "/tmp/viaduct-unpack-XXXXXX", path[128], want[256];
    struct unpack u;
    struct err err;

    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/capture.pcap", folder);
    close(open(path, O_CREAT | O_WRONLY, 0600));
    snprintf(path, sizeof path, "%s/capure.pcap", folder);
    assert_false(unpack_open(&u, path, 10, NULL, &err));
    snprintf(want, sizeof want, "%s: No such file or directory (did you mean capture.pcap?)", path);
    assert_string_equal(err.text, want);
    unpack_fini(&u);
    assert_false(unpack_open(&u, folder, 10, NULL, &err));
    assert_non_null(strstr(err.text, ": is a directory"));
    unpack_fini(&u);
    snprintf(path, sizeof path, "%s/none/capture.pcap", folder);
    assert_false(unpack_open(&u, path, 10, NULL, &err));
    assert_non_null(strstr(err.text, "none/capture.pcap: No such file or directory"));
    unpack_fini(&u);
    assert_true(unpack_open(&u, "/proc/self/mem", 10, NULL, &err) == false);
    assert_string_equal(err.text, "/proc/self/mem: Input/output error");
    unpack_fini(&u);
    snprintf(path, sizeof path, "%s/capture.pcap", folder);
    unlink(path);
    rmdir(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_forms_give_the_same_bytes),
        cmocka_unit_test(what_came_before_the_damage_is_read),
        cmocka_unit_test(zeros_behind_gzip_are_left),
        cmocka_unit_test(pipes_are_read_as_they_come),
        cmocka_unit_test(lines_are_cut_at_their_ends),
        cmocka_unit_test(what_cannot_be_read_is_said),
    };

    return cmocka_run_group_tests(tests, make_bytes, NULL);
}
