/* capture/source: files in order, numbers, what was seen, and every way in which a file may be
 * wrong. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <zlib.h>

#include "base/clock.h"
#include "base/util.h"
#include "capture/source.h"
#include "files.h"

#define US 0xa1b2c3d4
#define RAW 101

static struct err err;

static struct capture_source *open_paths(const char *const *paths, size_t n)
{
    return capture_source_open(&(struct capture_options){.paths = paths, .paths_len = n}, &err);
}

static struct capture_source *open_image(struct image *f)
{
    const char *path = image_path(f);
    struct capture_source *s = open_paths(&path, 1);

    if (!s)
        fail_msg("%s", err.text);
    return s;
}

static void put_segment(struct image *f, uint64_t at_us, uint32_t seq, size_t len)
{
    uint8_t bytes[2000];
    size_t n = segment_write(bytes, 40000, seq, len);

    image_pcap_packet(f, (uint32_t)(at_us / 1000000), (uint32_t)(at_us % 1000000),
                      (struct span){(char *)bytes, n}, (uint32_t)n);
}

static void every_packet_counts(void **state)
{
    static const uint8_t udp[20] = {0x45, 0, 0, 20, 0, 1, 0, 0, 64, 17};
    static const uint8_t bad[20] = {0x41, 0, 0, 20, 0, 1, 0, 0, 64, 6};
    const struct capture_seen *seen;
    struct capture_source *s;
    struct packet p;
    struct image f;

    image_init(&f, false);
    image_pcap(&f, US, RAW);
    put_segment(&f, 5000000, 1000, 10);
    image_pcap_packet(&f, 4, 999999, (struct span){(const char *)udp, 20}, 20);
    image_pcap_packet(&f, 6, 0, (struct span){(const char *)bad, 20}, 20);
    put_segment(&f, 7000000, 2000, 1000);
    f.len -= 1040 + 8; /* by the snaplen: of 1040 bytes 140 are there */
    image_u32(&f, 140);
    f.len += 4 + 140;
    s = open_image(&f);
    assert_int_equal(capture_source_next(s, &p), 1);
    assert_true(p.kind == PACKET_TCP && p.number == 1 && p.seq == 1000 && p.file == 0);
    assert_true(p.at_ns == 5 * NS_PER_S && p.wall_ns == 5 * NS_PER_S && !p.is_text);
    assert_int_equal(capture_source_next(s, &p), 1);
    assert_true(p.kind == PACKET_OTHER && p.number == 2);
    assert_true(p.at_ns == 5 * NS_PER_S && p.wall_ns == 4999999000);
    assert_int_equal(capture_source_next(s, &p), 1);
    assert_true(p.kind == PACKET_BAD && p.number == 3);
    assert_int_equal(capture_source_next(s, &p), 1);
    assert_true(p.kind == PACKET_TCP && p.number == 4);
    assert_true(p.payload_len == 1000 && p.payload.len == 100);
    assert_int_equal(capture_source_next(s, &p), 0);
    assert_int_equal(capture_source_next(s, &p), 0);
    seen = capture_source_get_seen(s);
    assert_true(seen->packets == 4 && seen->tcp == 2 && seen->other == 1 && seen->bad == 1);
    assert_true(seen->cut == 1 && seen->snaplen == 140);
    assert_true(seen->first_ns == 4999999000 && seen->last_ns == 7 * NS_PER_S);
    assert_true(!seen->truncated && !seen->is_text && seen->back_steps == 0);
    assert_string_equal(seen->trouble, "");
    assert_string_equal(capture_source_get_path(s, 0), f.path);
    capture_source_free(s);
    image_fini(&f);
}

static void fragments_become_one_packet(void **state)
{
    uint8_t bytes[2000];
    struct capture_source *s;
    struct packet p;
    struct image f;

    image_init(&f, false);
    image_pcap(&f, US, RAW);
    for (int i = 2; i-- > 0;) { /* the second one first; each has 20 bytes of IP header */
        size_t n = segment_write(bytes, 40000, 7000, 380);

        memmove(bytes + 20, bytes + 20 + 200 * i, 200);
        n = 220;
        bytes[2] = (uint8_t)(n >> 8);
        bytes[3] = (uint8_t)n;
        bytes[6] = i ? 0 : 0x20;
        bytes[7] = (uint8_t)(25 * i);
        image_pcap_packet(&f, 1, 0, (struct span){(char *)bytes, n}, (uint32_t)n);
    }
    s = open_image(&f);
    assert_int_equal(capture_source_next(s, &p), 1);
    assert_int_equal(p.kind, PACKET_FRAGMENT);
    assert_int_equal(capture_source_next(s, &p), 1);
    assert_true(p.kind == PACKET_TCP && p.was_fragmented && p.number == 2 && p.seq == 7000);
    assert_true(p.payload_len == 380 && p.payload.len == 380 && p.ip_len == 420);
    assert_int_equal(capture_source_next(s, &p), 0);
    assert_int_equal(capture_source_get_seen(s)->tcp, 1);
    assert_string_equal(capture_source_get_seen(s)->trouble, "");
    capture_source_free(s);
    f.len -= 16 + 220; /* without the first one */
    s = open_image(&f);
    assert_int_equal(capture_source_next(s, &p), 1);
    assert_int_equal(capture_source_next(s, &p), 0);
    assert_int_equal(capture_source_next(s, &p), 0);
    assert_string_equal(capture_source_get_seen(s)->trouble,
                        "IP packets of which fragments are missing: 1 (a filter by ports lets only "
                        "the first of each through)");
    capture_source_free(s);
    image_fini(&f);
}

/* Files of n packets each; packet k of file i is at k * files + i, so they interlock. */
static void check_merged(unsigned files, unsigned n, bool disjoint)
{
    struct image *images = calloc(files, sizeof *images);
    const char **paths = calloc(files, sizeof *paths);
    struct capture_source *s;
    struct packet p;

    assert_true(images && paths);
    for (unsigned i = 0; i < files; i++) {
        image_init(&images[i], i & 1);
        image_pcap(&images[i], US, RAW);
        for (unsigned k = 0; k < n; k++)
            put_segment(&images[i], 5000000 + (disjoint ? (files - i) * n + k : k * files + i),
                        i * 1000 + k, 0);
        paths[i] = image_path(&images[i]);
    }
    s = open_paths(paths, files);
    assert_non_null(s);
    for (unsigned at = 0; at < files * n; at++) {
        unsigned i = disjoint ? files - 1 - at / n : at % files, k = disjoint ? at % n : at / files;

        assert_int_equal(capture_source_next(s, &p), 1);
        assert_true(p.file == i && p.number == k + 1 && p.seq == i * 1000 + k);
    }
    assert_int_equal(capture_source_next(s, &p), 0);
    assert_int_equal(capture_source_get_seen(s)->packets, files * n);
    assert_string_equal(capture_source_get_seen(s)->trouble, "");
    assert_string_equal(capture_source_get_path(s, files - 1), paths[files - 1]);
    capture_source_free(s);
    for (unsigned i = 0; i < files; i++)
        image_fini(&images[i]);
    free(images);
    free(paths);
}

static void several_files_are_put_in_order(void **state)
{
    check_merged(2, 5, false);
    check_merged(3, 100, false);
    check_merged(5, 20, true);
    check_merged(40, 10, false); /* more than are kept open */
    check_merged(40, 10, true);
}

/* A file that is closed until its time comes, and is another one then. */
static void a_file_that_changes_is_put_in_order_again(void **state)
{
    static const uint32_t later = 2000000000;
    struct image images[20];
    const char *paths[20];
    struct capture_source *s;
    struct packet p;

    for (unsigned i = 0; i < 20; i++) {
        image_init(&images[i], false);
        image_pcap(&images[i], US, RAW);
        put_segment(&images[i], 5000000 + i, i, 0);
        paths[i] = image_path(&images[i]);
    }
    s = open_paths(paths, 20);
    assert_non_null(s);
    assert_int_equal(pwrite(images[7].fd, &later, 4, 24), 4);
    for (unsigned i = 0; i < 20; i++) {
        assert_int_equal(capture_source_next(s, &p), 1);
        assert_int_equal(p.seq, i < 7 ? i : i < 19 ? i + 1 : 7);
    }
    assert_int_equal(capture_source_next(s, &p), 0);
    capture_source_free(s);
    for (unsigned i = 0; i < 20; i++)
        image_fini(&images[i]);
}

static void take_secrets(void *owner, struct span lines)
{
    struct span *got = owner;

    assert_true(got->len + lines.len < 100);
    memcpy((char *)(uintptr_t)got->ptr + got->len, lines.ptr, lines.len);
    got->len += lines.len;
}

static void secrets_come_once_and_before_the_packets(void **state)
{
    for (unsigned files = 1; files <= 30; files += 29) {
        struct image images[30];
        const char *paths[30];
        char bytes[100];
        struct span got = {bytes, 0};
        struct capture_source *s;
        struct packet p;

        for (unsigned i = 0; i < files; i++) {
            size_t at;
            char line = (char)('A' + i);

            image_init(&images[i], false);
            image_section(&images[i]);
            image_interface(&images[i], RAW, 0, 0, 0);
            at = image_begin(&images[i], 10);
            image_u32(&images[i], 0x544c534b);
            image_u32(&images[i], 2);
            image_put(&images[i], &line, 1);
            image_put(&images[i], "\n", 1);
            image_end(&images[i], at);
            image_packet(&images[i], 0, (10 + i) * 1000000, SPAN_LIT("?"), 1, 0);
            paths[i] = image_path(&images[i]);
        }
        s = capture_source_open(
            &(struct capture_options){
                .paths = paths, .paths_len = files, .secrets = take_secrets, .owner = &got},
            &err);
        assert_non_null(s);
        for (unsigned i = 0; i < files; i++) {
            assert_int_equal(capture_source_next(s, &p), 1);
            assert_true(got.len > 2 * i && bytes[2 * i] == (char)('A' + i));
        }
        assert_int_equal(capture_source_next(s, &p), 0);
        assert_int_equal(got.len, 2 * files);
        capture_source_free(s);
        for (unsigned i = 0; i < files; i++)
            image_fini(&images[i]);
    }
}

static void clocks_that_run_back_are_counted(void **state)
{
    struct capture_source *s;
    struct packet p;
    struct image f;
    uint64_t last_ns = 0;

    image_init(&f, false);
    image_pcap(&f, US, RAW);
    for (unsigned i = 0; i < 10; i++)
        put_segment(&f, (i < 5 ? 7200000000 : 3600000000) + i * 1000, i, 0);
    s = open_image(&f);
    while (capture_source_next(s, &p) == 1) {
        assert_true(p.at_ns >= last_ns);
        last_ns = p.at_ns;
    }
    assert_int_equal(last_ns, 7200008000000);
    assert_int_equal(capture_source_get_seen(s)->back_steps, 1);
    capture_source_free(s);
    image_fini(&f);
}

/* Two texts: the names of one are not the other's, whatever numbers they have. */
static void texts_are_read_and_their_names_found(void **state)
{
    static const char *const texts[] = {
        "\xef\xbb\xbf"
        "12:00:01.000000 IP client.40001 > proxy-a.3128: Flags [S], seq 1, win 64240, length 0\n"
        "a remark\n"
        "12:00:03.000000 IP proxy-a.3128 > client.40001: Flags [S.], seq 1, ack 2, win 64240, "
        "length 0\n",
        "12:00:02.000000 IP desk.40002 > proxy-b.3128: Flags [S], seq 1, win 64240, length 0\n"};
    static const struct {
        unsigned file, number;
        const char *from, *to;
    } want[] = {
        {0, 1, "client", "proxy-a"}, {1, 1, "desk", "proxy-b"}, {0, 3, "proxy-a", "client"}};
    struct image images[2];
    const char *paths[2];
    struct capture_source *s;
    struct packet p;

    for (int i = 0; i < 2; i++) {
        image_init(&images[i], false);
        image_put(&images[i], texts[i], strlen(texts[i]));
        paths[i] = image_path(&images[i]);
    }
    s = open_paths(paths, 2);
    assert_non_null(s);
    for (size_t i = 0; i < ARRAY_LEN(want); i++) {
        assert_int_equal(capture_source_next(s, &p), 1);
        assert_true(p.kind == PACKET_TCP && p.is_text && p.from.addr.family == ADDR_NAMED);
        assert_int_equal(p.file, want[i].file);
        assert_int_equal(p.number, want[i].number);
        assert_string_equal(capture_source_find_name(s, &p.from.addr), want[i].from);
        assert_string_equal(capture_source_find_name(s, &p.to.addr), want[i].to);
    }
    assert_int_equal(capture_source_next(s, &p), 0);
    assert_string_equal(capture_source_find_name(s, &p.to.addr), "client"); /* still */
    assert_null(capture_source_find_name(s, &(struct addr){.family = ADDR_NAMED, .bytes = {9}}));
    assert_null(capture_source_find_name(s, &(struct addr){.family = AF_INET}));
    assert_true(capture_source_get_seen(s)->is_text);
    assert_string_equal(capture_source_get_seen(s)->trouble, "");
    capture_source_free(s);
    image_fini(&images[0]);
    image_fini(&images[1]);
}

/* --- what is wrong --- */

static void check_trouble(struct image *f, unsigned packets, bool truncated, const char *want)
{
    struct capture_source *s = open_image(f);
    const struct capture_seen *seen = capture_source_get_seen(s);
    struct packet p;
    char text[256];

    for (unsigned i = 0; i < packets; i++)
        assert_int_equal(capture_source_next(s, &p), 1);
    assert_int_equal(capture_source_next(s, &p), 0);
    assert_int_equal(seen->truncated, truncated);
    snprintf(text, sizeof text, "%s: %s", f->path, want);
    assert_string_equal(seen->trouble, text);
    capture_source_free(s);
}

static void damage_is_told_with_its_place(void **state)
{
    struct image f, zipped;
    z_stream z = {0};

    image_init(&f, false);
    image_pcap(&f, US, RAW);
    put_segment(&f, 1000000, 1, 0);
    put_segment(&f, 1000000, 2, 0);
    f.len -= 7;
    check_trouble(&f, 1, true, "ends in the middle of what comes behind packet 1");
    f.len += 7;
    image_put(&f, "0123456789abcdef", 16);
    check_trouble(&f, 2, true, "damaged at packet 3, at byte 136: it claims 1650538808 bytes");
    image_init(&zipped, false);
    z.next_in = f.bytes;
    z.avail_in = (uInt)f.len;
    z.next_out = zipped.bytes;
    z.avail_out = IMAGE_MAX;
    deflateInit2(&z, 1, Z_DEFLATED, MAX_WBITS + 16, 8, Z_HUFFMAN_ONLY);
    deflate(&z, Z_FULL_FLUSH);
    deflateEnd(&z);
    zipped.len = IMAGE_MAX - z.avail_out - 12;
    check_trouble(&zipped, 2, true, "its compressed data ends early, behind packet 2");
    image_fini(&zipped);
    f.len = 0;
    image_pcap(&f, US, 127);
    put_segment(&f, 1000000, 1, 0);
    check_trouble(&f, 1, false, "link type 127 (802.11) is not understood, packets left out: 1");
    f.len = 0;
    image_put(&f, "Dear support,\nit does not work.\n", 32);
    check_trouble(&f, 0, false, "has no line as tcpdump prints it");
    image_fini(&f);
}

static void check_refused(const void *bytes, size_t len, const char *want)
{
    struct image f;
    const char *path;

    image_init(&f, false);
    image_put(&f, bytes, len);
    path = image_path(&f);
    assert_null(open_paths(&path, 1));
    if (strncmp(err.text, path, strlen(path)) != 0 || !strstr(err.text, want))
        fail_msg("\"%s\", not \"%s\"", err.text, want);
    image_fini(&f);
}

static void what_is_no_capture_is_refused(void **state)
{
    static const struct {
        struct span bytes;
        const char *want;
    } cases[] = {
        {SPAN_INIT(""), ": is empty"},
        {SPAN_INIT("\xd4\xc3\xb2\xa1\2\0\4\0"), ": ends within its header"},
        {SPAN_INIT("\1\2\3"), ": is neither a capture"},
        {SPAN_INIT("\x7f"
                   "ELF\2\1\1\0\0\0\0\0"),
         ": is neither a capture"},
        {SPAN_INIT("BZh91AY&SY"), "is compressed by bzip2, which is not read here (bzip2 -dc /"},
        {SPAN_INIT("\xfd"
                   "7zXZ\0\0"),
         " | viaduct explain -)"},
        {SPAN_INIT("PK\3\4...."), "is a zip archive"},
        {SPAN_INIT("\xff\xfe"
                   "1\0002\0"),
         "is text in UTF-16"},
        {SPAN_INIT("snoop\0\0\0\0\0\0\2"), "(editcap -F pcapng /"},
        {SPAN_INIT("\x1f\x8b\x08\0\0\0\0\0\0\3\3\0\0\0\0\0\0\0\0\0"), ": is empty"},
        {SPAN_INIT("\x1f\x8b\x08\0"), "its compressed data ends early"},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        check_refused(cases[i].bytes.ptr, cases[i].bytes.len, cases[i].want);
    assert_null(open_paths((const char *[]){"/nonexistent-folder/x"}, 1));
    assert_string_equal(err.text, "/nonexistent-folder/x: No such file or directory");
    assert_null(open_paths((const char *[]){"/"}, 1));
    assert_non_null(strstr(err.text, "/: is a directory"));
    assert_null(open_paths((const char *[]){"-", "-"}, 2));
    assert_string_equal(err.text, "standard input (-): is given twice");
}

static void a_file_is_given_once(void **state)
{
    struct image f;
    const char *paths[3];

    image_init(&f, false);
    image_pcap(&f, US, RAW);
    paths[0] = "/proc/self/exe";
    paths[1] = paths[2] = image_path(&f);
    assert_null(open_paths(paths, 3));
    assert_non_null(strstr(err.text, ": is given twice"));
    image_fini(&f);
}

/* A pipe on standard input that is still written to. */
static void standard_input_is_read(void **state)
{
    int fds[2], old = dup(STDIN_FILENO);
    const char *path = "-";
    struct capture_source *s;
    struct packet p;
    struct image f;

    image_init(&f, true);
    image_pcap(&f, US, RAW);
    put_segment(&f, 1000000, 1, 0);
    assert_true(pipe(fds) == 0 && dup2(fds[0], STDIN_FILENO) == STDIN_FILENO);
    assert_int_equal(write(fds[1], f.bytes, f.len), f.len);
    s = open_paths(&path, 1);
    assert_non_null(s);
    assert_int_equal(capture_source_next(s, &p), 1);
    assert_int_equal(p.seq, 1);
    close(fds[1]);
    assert_int_equal(capture_source_next(s, &p), 0);
    assert_string_equal(capture_source_get_path(s, 0), "-");
    assert_string_equal(capture_source_get_seen(s)->trouble, "");
    capture_source_free(s);
    dup2(old, STDIN_FILENO);
    close(old);
    close(fds[0]);
    image_fini(&f);
}

static void what_is_stopped_ends(void **state)
{
    struct capture_source *s;
    struct packet p;
    struct image f;

    image_init(&f, false);
    image_pcap(&f, US, RAW);
    put_segment(&f, 1000000, 1, 0);
    put_segment(&f, 1000000, 2, 0);
    s = open_image(&f);
    assert_int_equal(capture_source_next(s, &p), 1);
    capture_source_stop(s);
    assert_int_equal(capture_source_next(s, &p), 0);
    capture_source_free(s);
    image_fini(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_packet_counts),
        cmocka_unit_test(fragments_become_one_packet),
        cmocka_unit_test(several_files_are_put_in_order),
        cmocka_unit_test(a_file_that_changes_is_put_in_order_again),
        cmocka_unit_test(secrets_come_once_and_before_the_packets),
        cmocka_unit_test(clocks_that_run_back_are_counted),
        cmocka_unit_test(texts_are_read_and_their_names_found),
        cmocka_unit_test(damage_is_told_with_its_place),
        cmocka_unit_test(what_is_no_capture_is_refused),
        cmocka_unit_test(a_file_is_given_once),
        cmocka_unit_test(standard_input_is_read),
        cmocka_unit_test(what_is_stopped_ends),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
