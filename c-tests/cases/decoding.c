/* Content codings: bodies arrive decoded, whole or piece by piece, and only if they are intact. */
#include "load.h"

/* ---- Intact bodies ------------------------------------------------------------------------- */

struct coding_row {
    const char *name;
    const char *coding;
    /* NULL: the server's usual spelling. */
    const char *as;
};

static const struct coding_row coding_rows[] = {
    {"gzip", "gzip", NULL},
    {"x_gzip", "x-gzip", NULL},
    {"deflate", "deflate", NULL},
    {"raw_deflate", "raw-deflate", NULL},
    {"br", "br", NULL},
    {"zstd", "zstd", NULL},
    {"identity", "identity", NULL},
    {"two", "gzip,br", NULL},
    {"two_of_a_kind", "gzip,gzip", NULL},
    {"four", "deflate,zstd,gzip,br", NULL},
    {"identity_between", "gzip,identity,br", NULL},
    {"upper_case", "gzip", "GZip"},
    {"white_space", "gzip,br", " gzip\t,  br , "},
};

static nsurlsession_t *session_with(struct recorder *recorder)
{
    recorder->merge_data = true;
    return recorder_session(recorder, NULL, NULL);
}

/* GETs a URL for a delegate and waits for the end. The caller releases the task. */
static nsurlsession_task_t *run(struct recorder *recorder, nsurlsession_t *session, const char *url)
{
    unsigned before = recorder_count(recorder, CALLBACK_COMPLETE);
    nsurlsession_task_t *task = nsurlsession_data_task_with_url(session, url);
    nsurlsession_task_resume(task);
    recorder_wait(recorder, CALLBACK_COMPLETE, before + 1);
    return task;
}

static void check_pattern(const char *url, size_t length, bool coded)
{
    struct recorder *recorder = recorder_new();
    nsurlsession_t *session = session_with(recorder);
    nsurlsession_task_t *task = run(recorder, session, url);
    const char *data = length > 0 ? test_format("data %zu, ", length) : "";
    CHECK_LOG(recorder, test_format("create, response 200, %scomplete nil", data));
    CHECK(recorder->pattern_holds);
    CHECK_EQ_INT(nsurlsession_task_count_of_bytes_received(task), length);

    struct load *handled = get(session, url);
    load_body(handled, 200);
    CHECK_EQ_BYTES(handled->completion->body, handled->completion->body_length,
                   pattern_bytes(length), length);
    CHECK_EQ_INT(nsurlsession_task_count_of_bytes_received(handled->task), length);

    /* The length on the wire is not that of the body. */
    nsurlsession_response_t *response = nsurlsession_task_response(task);
    if (coded) {
        CHECK_EQ_INT(nsurlsession_response_expected_content_length(response),
                     NSURLSESSION_RESPONSE_UNKNOWN_LENGTH);
        CHECK_EQ_INT(nsurlsession_task_count_of_bytes_expected_to_receive(task),
                     NSURLSESSION_TRANSFER_SIZE_UNKNOWN);
        CHECK_EQ_INT(nsurlsession_task_count_of_bytes_expected_to_receive(handled->task),
                     NSURLSESSION_TRANSFER_SIZE_UNKNOWN);
    }
    nsurlsession_release(response);
    nsurlsession_release(task);
    session_end(session);
}

TEST_EACH(coding, struct coding_row, coding_rows)
{
    static const size_t lengths[] = {0, 1, 10000, 300000};
    bool coded = strcmp(row->coding, "identity") != 0;
    const char *as = row->as ? test_format("&as=%s", escaped(row->as)) : "";
    for (size_t index = 0; index < sizeof lengths / sizeof lengths[0]; index++)
        for (int chunked = 0; chunked < 2; chunked++)
            check_pattern(fault_url(test_format("/encoded?coding=%s&size=%zu&chunked=%d%s",
                                                row->coding, lengths[index], chunked, as)),
                          lengths[index], coded);
}

TEST(identity_has_a_length)
{
    nsurlsession_t *session = session_for(NULL);
    struct load *answer = get(session, fault_url("/encoded?coding=identity&size=1000"));
    load_body(answer, 200);
    CHECK_EQ_INT(nsurlsession_response_expected_content_length(answer->response), 1000);
    CHECK_EQ_INT(nsurlsession_task_count_of_bytes_expected_to_receive(answer->task), 1000);
    session_end(session);
}

/* Several fields of the name are one list, RFC 9110, 5.3. */
TEST(repeated_fields)
{
    /* "hi" by gzip without compression, and that once more */
    static const unsigned char inner[] = {
        0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3, 0x01, 2, 0, 0xfd, 0xff, 'h', 'i', 0xac, 0x2a, 0x93,
        0xd8, 2, 0, 0, 0,
    };
    const char *head = "HTTP/1.1 200 OK\r\nContent-Encoding: identity\r\ncontent-encoding: gzip\r\n"
                       "Content-Length: 25\r\n\r\n";
    const char *url = fault_url(test_format("/raw?bytes=%s%s", escaped(head),
                                            escaped_bytes(inner, sizeof inner)));
    nsurlsession_t *session = session_for(NULL);
    struct load *answer = get(session, url);
    CHECK_EQ_STR(load_body(answer, 200), "hi");
    CHECK_EQ_STR(load_field(answer, "Content-Encoding"), "identity, gzip");
    session_end(session);
}

TEST(nginx)
{
    check_pattern(http_url("/gzip/64k.bin"), 65536, true);
    check_pattern(tls_h1_url("/gzip/64k.bin"), 65536, true);
    check_pattern(tls_h2_url("/gzip/64k.bin"), 65536, true);
    nsurlsession_t *session = session_for(NULL);
    struct load *answer = get(session, tls_h2_url("/gzip/hello.txt"));
    CHECK_EQ_STR(load_body(answer, 200), "Hello, world!\n");
    CHECK_EQ_STR(load_field(answer, "Content-Encoding"), "gzip");

    /* A caller who says what to accept gets it decoded as well, or none when it refuses. */
    answer = load(session, request_for("GET", http_url("/gzip/64k.bin"), "Accept-Encoding", "gzip",
                                       NULL));
    load_body(answer, 200);
    CHECK_EQ_STR(load_field(answer, "Content-Encoding"), "gzip");
    CHECK_EQ_INT(answer->completion->body_length, 65536);
    answer = load(session, request_for("GET", http_url("/gzip/64k.bin"), "Accept-Encoding",
                                       "identity", NULL));
    load_body(answer, 200);
    CHECK_EQ_STR(load_field(answer, "Content-Encoding"), NULL);
    CHECK_EQ_INT(answer->completion->body_length, 65536);
    session_end(session);
}

TEST_HEAVY(large_body, "16 MiB through valgrind")
{
    check_pattern(http_url("/gzip/16m.bin"), 16 << 20, true);
    check_pattern(tls_h2_url("/gzip/16m.bin"), 16 << 20, true);
    check_pattern(fault_url("/encoded?coding=br&size=16m&chunked=1"), 16 << 20, true);
    check_pattern(fault_url("/encoded?coding=zstd&size=16m&chunked=1"), 16 << 20, true);
}

/* What does not compress: every byte of the coding matters. */
TEST(noise)
{
    static const char *const codings[] = {"gzip", "deflate", "raw-deflate", "br", "zstd"};
    struct recorder *recorder = recorder_new();
    nsurlsession_t *session = session_with(recorder);
    struct load *plain = get(session, fault_url("/body?noise=1&size=200000"));
    load_body(plain, 200);
    for (size_t index = 0; index < sizeof codings / sizeof codings[0]; index++) {
        struct load *coded = get(session, fault_url(test_format(
                                              "/encoded?noise=1&size=200000&coding=%s",
                                              codings[index])));
        load_body(coded, 200);
        CHECK(nsurlsession_is_equal(coded->data, plain->data));
    }
    session_end(session);
}

/* ---- No body ------------------------------------------------------------------------------- */

/* RFC 9110, 8.4: the field tells about a content that is not there; an empty one is fine too. */
TEST(nothing_to_decode)
{
    static const char *const codings[] = {"gzip", "deflate", "br", "zstd", "gzip, br"};
    struct recorder *recorder = recorder_new();
    recorder->without = 1u << CALLBACK_CREATE;
    nsurlsession_t *session = session_with(recorder);
    for (size_t index = 0; index < sizeof codings / sizeof codings[0]; index++) {
        const char *coding = escaped(codings[index]);
        static const int statuses[] = {204, 304, 200};
        for (int status = 0; status < 3; status++) {
            const char *url = fault_url(
                test_format("/status?code=%d&body=&header=Content-Encoding:%s", statuses[status],
                            coding));
            CHECK_EQ_STR(load_body(get(session, url), statuses[status]), "");
            nsurlsession_task_t *task = run(recorder, session, url);
            CHECK_EQ_STR(recorder_log(recorder, nsurlsession_task_identifier(task)),
                         test_format("response %d, complete nil", statuses[status]));
            nsurlsession_release(task);
        }
        const char *url = fault_url(test_format("/encoded?coding=%s&size=1000", coding));
        struct load *head = load(session, request_for("HEAD", url, NULL));
        CHECK_EQ_STR(load_body(head, 200), "");
        CHECK_EQ_STR(load_field(head, "Content-Encoding"), codings[index]);
    }
    session_end(session);
}

/* ---- Bodies that cannot be decoded --------------------------------------------------------- */

struct broken_row {
    const char *name;
    const char *query;
    int code;
};

static const struct broken_row broken_rows[] = {
    {"truncated_gzip", "coding=gzip&size=10000&truncate=1", -1015},
    {"truncated_gzip_trailer", "coding=gzip&size=10000&truncate=8", -1015},
    {"truncated_gzip_in_the_middle", "coding=gzip&size=10000&noise=1&truncate=5000", -1015},
    {"truncated_deflate", "coding=deflate&size=10000&truncate=1", -1015},
    {"truncated_raw_deflate", "coding=raw-deflate&size=10000&truncate=1", -1015},
    {"truncated_br", "coding=br&size=10000&noise=1&truncate=1", -1015},
    {"truncated_zstd", "coding=zstd&size=10000&truncate=1", -1015},
    {"truncated_zstd_in_the_middle", "coding=zstd&size=10000&noise=1&truncate=5000", -1015},
    {"truncated_two", "coding=gzip,br&size=10000&truncate=1", -1015},
    {"truncated_chunked", "coding=gzip&size=10000&truncate=1&chunked=1", -1015},
    {"corrupt_gzip", "coding=gzip&size=10000&corrupt=1", -1015},
    {"corrupt_gzip_magic", "coding=gzip&size=10000&corrupt=1&corrupt_at=0", -1015},
    {"corrupt_deflate", "coding=deflate&size=10000&corrupt=1", -1015},
    {"corrupt_raw_deflate", "coding=raw-deflate&size=10000&corrupt=1&corrupt_at=0", -1015},
    {"corrupt_br", "coding=br&size=10000&corrupt=1&corrupt_at=0", -1015},
    {"corrupt_zstd", "coding=zstd&size=10000&corrupt=1", -1015},
    {"corrupt_zstd_magic", "coding=zstd&size=10000&corrupt=1&corrupt_at=0", -1015},
    {"corrupt_two", "coding=gzip,zstd&size=10000&corrupt=1", -1015},
    {"corrupt_late", "coding=gzip&size=1000000&noise=1&corrupt=1&corrupt_at=900000", -1015},
    {"not_coded", "coding=identity&size=10000&as=gzip", -1015},
    {"not_coded_br", "coding=identity&size=10000&noise=1&as=br", -1015},
    {"not_coded_zstd", "coding=identity&size=10000&as=zstd", -1015},
    {"unknown", "coding=x-unknown&size=10000", -1016},
    {"compress", "coding=compress&size=10000", -1016},
    {"unknown_of_two", "coding=gzip,x-unknown&size=10000", -1016},
    {"unknown_empty", "coding=x-unknown&size=0", -1016},
    {"unknown_chunked", "coding=x-unknown&size=10000&chunked=1", -1016},
    {"unknown_large", "coding=x-unknown&size=10m", -1016},
};

TEST_EACH(broken, struct broken_row, broken_rows)
{
    const char *url = fault_url(test_format("/encoded?%s", row->query));
    struct recorder *recorder = recorder_new();
    nsurlsession_t *session = session_with(recorder);
    struct load *handled = get(session, url);
    CHECK_EQ_INT(handled->completion->error_code, row->code);
    CHECK_EQ_STR(handled->completion->error_domain, NSURLSESSION_ERROR_DOMAIN);
    CHECK(handled->data == NULL);
    CHECK_EQ_INT(handled->completion->status, 200);
    CHECK(task_error_is(handled->task, handled->error));

    /* Pieces that were good may have come before. */
    nsurlsession_task_t *task = run(recorder, session, url);
    CHECK_EQ_INT(recorder_count(recorder, CALLBACK_RESPONSE), 1);
    CHECK_EQ_INT(recorder_event(recorder, CALLBACK_COMPLETE, 1).value, row->code);
    CHECK(task_error_is(task, handled->error));
    if (!strstr(row->query, "noise"))
        CHECK(recorder->pattern_holds);
    nsurlsession_release(task);

    CHECK_EQ_STR(get_text(session, fault_url("/status?code=200&body=next")), "next");
    session_end(session);
}

/* The connection breaks first: that is what went wrong. */
TEST(cut)
{
    const char *raw = "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 100\r\n\r\n";
    /* The beginning of nine bytes. */
    static const unsigned char gzip[] = {
        0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3, 0x01, 9, 0, 0xf6, 0xff, 'a',
    };
    const char *url = fault_url(test_format("/raw?bytes=%s%s", escaped(raw),
                                            escaped_bytes(gzip, sizeof gzip)));
    struct recorder *recorder = recorder_new();
    nsurlsession_t *session = session_with(recorder);
    CHECK_EQ_INT(get(session, url)->completion->error_code,
                 NSURLSESSION_ERROR_NETWORK_CONNECTION_LOST);
    nsurlsession_release(run(recorder, session, url));
    CHECK_EQ_INT(recorder_event(recorder, CALLBACK_COMPLETE, 1).value,
                 NSURLSESSION_ERROR_NETWORK_CONNECTION_LOST);
    CHECK_EQ_STR(recorder_text(recorder), "a");
    session_end(session);
}

/* More codings than anybody uses are an attack. */
TEST(too_many)
{
    const char *url =
        fault_url("/encoded?coding=gzip,gzip,gzip,gzip,gzip,gzip,gzip,gzip,gzip,gzip");
    nsurlsession_t *session = session_for(NULL);
    CHECK_EQ_INT(get(session, url)->completion->error_code,
                 NSURLSESSION_ERROR_CANNOT_DECODE_RAW_DATA);
    session_end(session);
}

/* ---- Bombs --------------------------------------------------------------------------------- */

struct bomb_row {
    const char *name;
    const char *coding;
};

static void check_piece(struct recorder *recorder, const struct call *call)
{
    (void)recorder;
    CHECK_BETWEEN(nsurlsession_data_length(call->data), 1, 1 << 20);
}

/* 1 GiB of zeros: the delegate sees them in pieces, and nobody ever holds more than a few. */
static void detonate(const char *coding)
{
    struct recorder *recorder = recorder_new();
    recorder->discard_body = true;
    recorder_script(recorder, {CALLBACK_DATA, 0, ACTION_NONE, false, check_piece});
    nsurlsession_t *session = session_with(recorder);
    /* What is needed once is there: the thread, the buffers. */
    nsurlsession_release(run(recorder, session, fault_url(test_format(
                             "/encoded?zeros=1&size=4m&chunked=1&coding=%s", coding))));
    long before = peak_rss_kib();

    nsurlsession_task_t *task = nsurlsession_data_task_with_url(
        session, fault_url(test_format("/encoded?zeros=1&size=1g&chunked=1&coding=%s", coding)));
    nsurlsession_task_resume(task);
    /* Piece after piece, for as long as that takes on this machine. */
    for (unsigned pieces = 0; recorder_count(recorder, CALLBACK_COMPLETE) < 2;) {
        EVENTUALLY(recorder_count(recorder, CALLBACK_DATA) > pieces ||
                   recorder_count(recorder, CALLBACK_COMPLETE) == 2);
        pieces = recorder_count(recorder, CALLBACK_DATA);
    }
    recorder_wait(recorder, CALLBACK_COMPLETE, 2);
    CHECK_EQ_STR(recorder_log(recorder, nsurlsession_task_identifier(task)),
                 "create, response 200, data 1073741824, complete nil");
    CHECK_EQ_INT(nsurlsession_task_count_of_bytes_received(task), INT64_C(1) << 30);
    CHECK_BETWEEN(peak_rss_kib() - before, 0, 16 * 1024);
    nsurlsession_release(task);
    session_end(session);
}

TEST_MEASURE(bomb_gzip, "memory")
{
    detonate("gzip");
}

TEST_MEASURE(bomb_zstd, "memory")
{
    detonate("zstd");
}

TEST_MEASURE(bomb_br, "memory")
{
    detonate("br");
}

TEST_MEASURE(bomb_in_a_bomb, "memory")
{
    detonate("gzip,gzip");
}

/* A delegate that has seen enough gets no more of it. */
TEST(bomb_cancelled)
{
    static const char *const codings[] = {"gzip", "zstd", "br", "gzip,gzip"};
    for (size_t index = 0; index < sizeof codings / sizeof codings[0]; index++) {
        struct recorder *recorder = recorder_new();
        recorder->discard_body = true;
        recorder_script(recorder, {CALLBACK_DATA, 2, ACTION_CANCEL, false, check_piece});
        nsurlsession_t *session = session_with(recorder);
        nsurlsession_task_t *task = run(
            recorder, session, fault_url(test_format(
                                   "/encoded?zeros=1&size=10m&coding=%s", codings[index])));
        CHECK_EQ_INT(recorder_event(recorder, CALLBACK_COMPLETE, 1).value,
                     NSURLSESSION_ERROR_CANCELLED);
        CHECK_EQ_INT(recorder_count(recorder, CALLBACK_DATA), 2);
        CHECK_BETWEEN(recorder->received, 1, 2 << 20);
        nsurlsession_release(task);
        session_end(session);
    }
}
