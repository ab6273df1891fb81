/*
 * Streams: from bytes, files and sources of the caller's, and bound pairs; read and written by hand
 * and sent as bodies.
 */
#include "load.h"
#include "misuse.h"

#include <errno.h>
#include <stdatomic.h>
#include <sys/stat.h>

/* ---- Helpers ------------------------------------------------------------------------------- */

#define CHECK_STATUS(stream, status)                                                               \
    CHECK_EQ_INT(nsurlsession_io_stream_stream_status(stream), NSURLSESSION_STREAM_STATUS_##status)

static int64_t read_into(nsurlsession_input_stream_t *stream, void *buffer, size_t length)
{
    return nsurlsession_input_stream_read_max_length(stream, buffer, length);
}

/* Reads a byte and expects none: 0 or -1. */
static int64_t read_nothing(nsurlsession_input_stream_t *stream)
{
    uint8_t byte = 0;
    return read_into(stream, &byte, 1);
}

static int64_t write_text(nsurlsession_output_stream_t *stream, const char *text)
{
    return nsurlsession_output_stream_write_max_length(stream, (const void *)text, strlen(text));
}

/* Reads to the end, in pieces of `piece` bytes, and expects the pattern. */
static void expect_pattern(nsurlsession_input_stream_t *stream, size_t length, size_t piece)
{
    uint8_t *buffer = test_allocate(piece);
    size_t all = 0;
    int64_t count;
    while ((count = read_into(stream, buffer, piece)) > 0) {
        CHECK(all + (size_t)count <= length);
        CHECK_EQ_BYTES(buffer, (size_t)count, pattern_bytes(length) + all, (size_t)count);
        all += (size_t)count;
    }
    CHECK_EQ_INT(count, 0);
    CHECK_EQ_INT(all, length);
}

/* The stream failed with this number of the system's; the error's text contains `part`. */
static void expect_error(const void *stream, int number, const char *part)
{
    CHECK_STATUS(stream, ERROR);
    nsurlsession_error_t *error = nsurlsession_io_stream_stream_error(stream);
    CHECK(error != NULL);
    CHECK_EQ_STR(nsurlsession_error_domain(error), NSURLSESSION_POSIX_ERROR_DOMAIN);
    CHECK_EQ_INT(nsurlsession_error_code(error), number);
    CHECK_CONTAINS(nsurlsession_error_localized_description(error), part);
    nsurlsession_release(error);
}

static const char *pattern_file(size_t length)
{
    const char *path = test_format("%s/a file of %zu bytes", env_text("TMPDIR"), length);
    FILE *file = fopen(path, "wb");
    CHECK(file && fwrite(pattern_bytes(length), 1, length, file) == length);
    fclose(file);
    return path;
}

/* ---- Bytes --------------------------------------------------------------------------------- */

static void count_freed(void *context, void *bytes, size_t length)
{
    (void)bytes, (void)length;
    (*(unsigned *)context)++;
}

TEST(a_stream_of_bytes_opens_once_ends_and_closes)
{
    unsigned freed = 0;
    char bytes[] = "abcde";
    nsurlsession_data_t *data =
        nsurlsession_data_with_bytes_no_copy_length_deallocator(bytes, 5, count_freed, &freed);
    nsurlsession_input_stream_t *stream = nsurlsession_input_stream_with_data(data);
    nsurlsession_release(data);
    CHECK_STATUS(stream, NOT_OPEN);
    CHECK(!nsurlsession_input_stream_has_bytes_available(stream));
    CHECK_EQ_INT(read_nothing(stream), -1);
    CHECK(nsurlsession_io_stream_stream_error(stream) == NULL);

    CHECK_NO_MISUSE(nsurlsession_io_stream_open(stream));
    CHECK_STATUS(stream, OPEN);
    CHECK_MISUSE("nsurlsession_io_stream_open", nsurlsession_io_stream_open(stream));
    CHECK(nsurlsession_input_stream_has_bytes_available(stream));
    char buffer[4];
    CHECK_EQ_INT(read_into(stream, buffer, 3), 3);
    CHECK_EQ_BYTES(buffer, 3, "abc", 3);
    CHECK_EQ_INT(read_into(stream, NULL, 0), 0);
    CHECK_STATUS(stream, OPEN);
    CHECK_EQ_INT(read_into(stream, buffer, 4), 2);
    CHECK_EQ_BYTES(buffer, 2, "de", 2);
    CHECK_EQ_INT(read_into(stream, buffer, 4), 0);
    CHECK_STATUS(stream, AT_END);
    CHECK(!nsurlsession_input_stream_has_bytes_available(stream));
    CHECK_EQ_INT(read_into(stream, buffer, 4), 0);

    CHECK_EQ_INT(freed, 0);
    nsurlsession_io_stream_close(stream);
    CHECK_EQ_INT(freed, 1);
    CHECK_STATUS(stream, CLOSED);
    CHECK_EQ_INT(read_into(stream, buffer, 4), -1);
    CHECK(nsurlsession_io_stream_stream_error(stream) == NULL);
    CHECK_MISUSE("nsurlsession_io_stream_open", nsurlsession_io_stream_open(stream));
    CHECK_NO_MISUSE(nsurlsession_io_stream_close(stream));
    nsurlsession_release(stream);
    CHECK_EQ_INT(freed, 1);
}

TEST(impossible_buffers_are_refused)
{
    nsurlsession_data_t *data = nsurlsession_data_with_bytes_length("abc", 3);
    nsurlsession_input_stream_t *stream = nsurlsession_input_stream_with_data(data);
    nsurlsession_release(data);
    nsurlsession_io_stream_open(stream);
    const char *name = "nsurlsession_input_stream_read_max_length";
    char byte;
    CHECK_MISUSE(name, CHECK_EQ_INT(read_into(stream, NULL, 1), -1));
    CHECK_MISUSE(name, CHECK_EQ_INT(read_into(stream, &byte, SIZE_MAX), -1));
    CHECK_STATUS(stream, OPEN);
    CHECK_EQ_INT(read_into(stream, &byte, 1), 1);
    nsurlsession_release(stream);

    nsurlsession_output_stream_t *output;
    nsurlsession_io_stream_get_bound_streams_with_buffer_size_input_stream_output_stream(
        8, &stream, &output);
    nsurlsession_io_stream_open(output);
    name = "nsurlsession_output_stream_write_max_length";
    CHECK_MISUSE(name, CHECK_EQ_INT(
                           nsurlsession_output_stream_write_max_length(output, NULL, 1), -1));
    CHECK_MISUSE(name, CHECK_EQ_INT(nsurlsession_output_stream_write_max_length(
                                        output, (const void *)"a", SIZE_MAX), -1));
    CHECK_EQ_INT(nsurlsession_output_stream_write_max_length(output, NULL, 0), 0);
    CHECK_EQ_INT(write_text(output, "a"), 1);
    nsurlsession_release(stream);
    nsurlsession_release(output);
}

/* ---- Files --------------------------------------------------------------------------------- */

TEST(a_file_is_read_by_its_path_and_by_its_url)
{
    const char *path = pattern_file(100000);
    nsurlsession_input_stream_t *stream = nsurlsession_input_stream_with_file_at_path(path);
    nsurlsession_io_stream_open(stream);
    expect_pattern(stream, 100000, 999);
    CHECK_STATUS(stream, AT_END);
    nsurlsession_release(stream);

    const char *url = test_format("file://%s/a%%20file%%20of%%20100000%%20bytes",
                                  env_text("TMPDIR"));
    stream = nsurlsession_input_stream_with_url(url);
    CHECK_STATUS(stream, NOT_OPEN);
    nsurlsession_io_stream_open(stream);
    expect_pattern(stream, 100000, 1 << 20);
    nsurlsession_release(stream);
}

TEST(a_file_is_let_go_when_its_stream_is_closed)
{
    int before = open_descriptor_count();
    nsurlsession_input_stream_t *stream =
        nsurlsession_input_stream_with_file_at_path(pattern_file(10));
    CHECK_EQ_INT(open_descriptor_count(), before);
    nsurlsession_io_stream_open(stream);
    CHECK_EQ_INT(open_descriptor_count(), before + 1);
    nsurlsession_io_stream_close(stream);
    CHECK_EQ_INT(open_descriptor_count(), before);
    nsurlsession_release(stream);
}

struct bad_file {
    const char *name, *path;
    int number;
};

static const struct bad_file bad_files[] = {
    {"missing", "missing", ENOENT},
    {"below_a_file", "file/below", ENOTDIR},
    {"directory", "directory", EISDIR},
    {"pipe", "pipe", EINVAL},
};

TEST_EACH(what_cannot_be_read_fails_when_it_is_opened, struct bad_file, bad_files)
{
    const char *directory = test_format("%s/%s", env_text("TMPDIR"), row->name);
    CHECK_EQ_INT(mkdir(directory, 0700), 0);
    CHECK_EQ_INT(mkdir(test_format("%s/directory", directory), 0700), 0);
    CHECK_EQ_INT(mkfifo(test_format("%s/pipe", directory), 0600), 0);
    fclose(fopen(test_format("%s/file", directory), "w"));
    const char *path = test_format("%s/%s", directory, row->path);
    nsurlsession_input_stream_t *stream = nsurlsession_input_stream_with_file_at_path(path);
    CHECK_STATUS(stream, NOT_OPEN);
    CHECK_NO_MISUSE(nsurlsession_io_stream_open(stream));
    expect_error(stream, row->number, path);
    CHECK_EQ_INT(read_nothing(stream), -1);
    CHECK(!nsurlsession_input_stream_has_bytes_available(stream));
    CHECK_MISUSE("nsurlsession_io_stream_open", nsurlsession_io_stream_open(stream));
    nsurlsession_io_stream_close(stream);
    CHECK_STATUS(stream, CLOSED);
    nsurlsession_release(stream);
}

struct bad_url {
    const char *name, *url;
};

static const struct bad_url bad_urls[] = {
    {"http", "http://127.0.0.1/a"},
    {"another_host", "file://example.com/etc/hostname"},
    {"path", "/etc/hostname"},
    {"empty", ""},
    {"not_utf8", "file:///\xff"},
};

TEST_EACH(a_url_that_is_no_files_gives_no_stream, struct bad_url, bad_urls)
{
    CHECK_MISUSE("nsurlsession_input_stream_with_url",
                 CHECK(nsurlsession_input_stream_with_url(row->url) == NULL));
}

/* ---- Bound pairs --------------------------------------------------------------------------- */

struct pair {
    nsurlsession_input_stream_t *input;
    nsurlsession_output_stream_t *output;
};

/* Both ends, open. */
static struct pair pair_new(size_t buffer_size)
{
    struct pair pair = {NULL, NULL};
    nsurlsession_io_stream_get_bound_streams_with_buffer_size_input_stream_output_stream(
        buffer_size, &pair.input, &pair.output);
    CHECK(pair.input != NULL && pair.output != NULL);
    CHECK_STATUS(pair.input, NOT_OPEN);
    CHECK_STATUS(pair.output, NOT_OPEN);
    CHECK_EQ_INT(write_text(pair.output, "a"), -1);
    CHECK(!nsurlsession_output_stream_has_space_available(pair.output));
    CHECK_NO_MISUSE(nsurlsession_io_stream_open(pair.input);
                    nsurlsession_io_stream_open(pair.output));
    CHECK_STATUS(pair.input, OPEN);
    CHECK_STATUS(pair.output, OPEN);
    return pair;
}

static void pair_end(struct pair pair)
{
    nsurlsession_release(pair.input);
    nsurlsession_release(pair.output);
}

/* Writes the pattern to the output stream and closes it, or stops when nobody reads any more. */
struct writer {
    nsurlsession_output_stream_t *output;
    size_t length, at_most;
    int64_t last; /* what the last write returned */
    struct latch done;
};

static struct writer *writer_new(nsurlsession_output_stream_t *output, size_t length,
                                 size_t at_most)
{
    struct writer *writer = test_allocate(sizeof *writer);
    *writer = (struct writer){.output = output, .length = length, .at_most = at_most};
    latch_init(&writer->done, 1);
    return writer;
}

static void *write_pattern(void *context)
{
    struct writer *writer = context;
    const uint8_t *bytes = pattern_bytes(writer->length);
    size_t written = 0;
    while (written < writer->length) {
        writer->last = nsurlsession_output_stream_write_max_length(
            writer->output, bytes + written, writer->length - written);
        if (writer->last < 0)
            break;
        CHECK(writer->last > 0 && (size_t)writer->last <= writer->at_most);
        written += (size_t)writer->last;
    }
    if (written == writer->length)
        nsurlsession_io_stream_close(writer->output);
    latch_count_down(&writer->done);
    return NULL;
}

struct buffer_size {
    const char *name;
    size_t size, at_most, length, piece;
};

static const struct buffer_size buffer_sizes[] = {
    {"none_is_one", 0, 1, 500, 7},
    {"one", 1, 1, 500, 1},
    {"seven", 7, 7, 5000, 10},
    {"larger_than_the_reads", 4096, 4096, 100000, 1000},
    {"as_large_as_can_be", SIZE_MAX, SIZE_MAX, 100000, 100000},
};

TEST_EACH(what_one_thread_writes_another_reads, struct buffer_size, buffer_sizes)
{
    struct pair pair = pair_new(row->size);
    struct writer *writer = writer_new(pair.output, row->length, row->at_most);
    test_thread(write_pattern, writer);
    expect_pattern(pair.input, row->length, row->piece);
    CHECK_STATUS(pair.input, AT_END);
    latch_wait(&writer->done);
    CHECK_STATUS(pair.output, CLOSED);
    pair_end(pair);
}

TEST(no_more_than_a_buffers_worth_waits)
{
    struct pair pair = pair_new(4);
    CHECK(!nsurlsession_input_stream_has_bytes_available(pair.input));
    CHECK(nsurlsession_output_stream_has_space_available(pair.output));
    CHECK_EQ_INT(write_text(pair.output, "abc"), 3);
    CHECK(nsurlsession_input_stream_has_bytes_available(pair.input));
    CHECK(nsurlsession_output_stream_has_space_available(pair.output));
    CHECK_EQ_INT(write_text(pair.output, "def"), 1);
    CHECK(!nsurlsession_output_stream_has_space_available(pair.output));
    char buffer[8];
    CHECK_EQ_INT(read_into(pair.input, buffer, 2), 2);
    CHECK_EQ_BYTES(buffer, 2, "ab", 2);
    CHECK(nsurlsession_output_stream_has_space_available(pair.output));
    CHECK_EQ_INT(write_text(pair.output, "efg"), 2);
    CHECK_EQ_INT(read_into(pair.input, buffer, 8), 4);
    CHECK_EQ_BYTES(buffer, 4, "cdef", 4);
    CHECK(!nsurlsession_input_stream_has_bytes_available(pair.input));

    /* What was written before the end closed is still read. */
    CHECK_EQ_INT(write_text(pair.output, "g"), 1);
    nsurlsession_io_stream_close(pair.output);
    CHECK_EQ_INT(write_text(pair.output, "h"), -1);
    CHECK(!nsurlsession_output_stream_has_space_available(pair.output));
    CHECK(nsurlsession_io_stream_stream_error(pair.output) == NULL);
    CHECK_EQ_INT(read_into(pair.input, buffer, 8), 1);
    CHECK(nsurlsession_input_stream_has_bytes_available(pair.input)); /* the end */
    CHECK_EQ_INT(read_into(pair.input, buffer, 8), 0);
    CHECK(!nsurlsession_input_stream_has_bytes_available(pair.input));
    pair_end(pair);
}

TEST(the_release_of_the_writing_end_is_the_end)
{
    struct pair pair = pair_new(4);
    CHECK_EQ_INT(write_text(pair.output, "ab"), 2);
    nsurlsession_release(pair.output);
    char buffer[4];
    CHECK_EQ_INT(read_into(pair.input, buffer, 4), 2);
    CHECK_EQ_INT(read_into(pair.input, buffer, 4), 0);
    nsurlsession_release(pair.input);
}

static void close_it(void *stream)
{
    nsurlsession_io_stream_close(stream);
}

static void release_it(void *stream)
{
    nsurlsession_release(stream);
}

struct end {
    const char *name;
    void (*end)(void *stream);
};

static const struct end ends[] = {{"close", close_it}, {"release", release_it}};

TEST_EACH(writing_fails_when_the_reading_end_is_gone, struct end, ends)
{
    struct pair pair = pair_new(16);
    struct writer *writer = writer_new(pair.output, 1000, 16);
    test_thread(write_pattern, writer);
    uint8_t buffer[20];
    CHECK(read_into(pair.input, buffer, sizeof buffer) > 0);
    nsurlsession_retain(pair.input);
    nsurlsession_release(pair.input);
    row->end(pair.input);
    latch_wait(&writer->done);
    CHECK_EQ_INT(writer->last, -1);
    expect_error(pair.output, EPIPE, "");
    CHECK(nsurlsession_output_stream_has_space_available(pair.output)); /* a write does not wait */
    CHECK_EQ_INT(write_text(pair.output, "a"), -1);
    if (row->end == close_it)
        nsurlsession_release(pair.input);
    nsurlsession_release(pair.output);
}

static void *read_until_it_fails(void *context)
{
    struct writer *reader = context;
    uint8_t byte;
    while ((reader->last = read_into((nsurlsession_input_stream_t *)(void *)reader->output, &byte,
                                     1)) > 0)
        continue;
    latch_count_down(&reader->done);
    return NULL;
}

TEST(closing_lets_go_of_a_thread_that_reads_or_writes)
{
    struct pair pair = pair_new(1);
    CHECK_EQ_INT(write_text(pair.output, "a"), 1);
    struct writer *reader = writer_new((void *)pair.input, 0, 0);
    test_thread(read_until_it_fails, reader);
    EVENTUALLY(nsurlsession_output_stream_has_space_available(pair.output));
    nsurlsession_io_stream_close(pair.input);
    latch_wait(&reader->done);
    CHECK_EQ_INT(reader->last, -1);
    pair_end(pair);

    pair = pair_new(1);
    struct writer *writer = writer_new(pair.output, 100, 1);
    test_thread(write_pattern, writer);
    EVENTUALLY(nsurlsession_input_stream_has_bytes_available(pair.input));
    nsurlsession_io_stream_close(pair.output);
    latch_wait(&writer->done);
    CHECK_EQ_INT(writer->last, -1);
    CHECK_STATUS(pair.output, CLOSED);
    pair_end(pair);
}

TEST(a_pair_needs_places_for_both_ends)
{
    const char *name =
        "nsurlsession_io_stream_get_bound_streams_with_buffer_size_input_stream_output_stream";
    nsurlsession_input_stream_t *input = NULL;
    nsurlsession_output_stream_t *output = NULL;
    CHECK_MISUSE(
        name,
        nsurlsession_io_stream_get_bound_streams_with_buffer_size_input_stream_output_stream(
            8, &input, NULL));
    CHECK_MISUSE(
        name,
        nsurlsession_io_stream_get_bound_streams_with_buffer_size_input_stream_output_stream(
            8, NULL, &output));
    CHECK(input == NULL && output == NULL);
}

/* ---- Sources of the caller's --------------------------------------------------------------- */

/* Does what `steps` says, one letter for each read, and then ends. */
struct script {
    const char *steps;
    char log[64]; /* a letter for each call */
    size_t logged;
    nsurlsession_input_stream_t *stream; /* since it was opened */
    bool fails_to_open;
    int number; /* for errno */
    pthread_mutex_t mutex;
    struct latch dry, hold, released;
};

static void note(struct script *script, char letter)
{
    pthread_mutex_lock(&script->mutex);
    CHECK(script->logged + 1 < sizeof script->log);
    script->log[script->logged++] = letter;
    pthread_mutex_unlock(&script->mutex);
}

static const char *log_of(struct script *script)
{
    pthread_mutex_lock(&script->mutex);
    const char *log = test_copy(script->log);
    pthread_mutex_unlock(&script->mutex);
    return log;
}

static bool script_open(void *context, nsurlsession_input_stream_t *stream)
{
    struct script *script = context;
    note(script, 'o');
    CHECK_STATUS(stream, OPENING);
    script->stream = stream;
    errno = script->number;
    return !script->fails_to_open;
}

static int64_t script_read(void *context, uint8_t *buffer, size_t max_length)
{
    struct script *script = context;
    note(script, 'r');
    CHECK(max_length > 0);
    switch (*script->steps ? *script->steps++ : '0') {
    case '0': return 0;
    case 'x': /* a byte */
        *buffer = 'x';
        return 1;
    case 'f': /* all that fits */
        memset(buffer, 'f', max_length);
        return (int64_t)max_length;
    case 'e': errno = script->number; return NSURLSESSION_STREAM_READ_ERROR;
    case 'm': return (int64_t)max_length + 1;
    case 'n': return -1000;
    case 'w': /* not now */
        latch_count_down(&script->dry);
        return NSURLSESSION_STREAM_READ_NOT_NOW;
    case 's': /* not now, and at once there is something */
        nsurlsession_input_stream_signal(script->stream);
        return NSURLSESSION_STREAM_READ_NOT_NOW;
    case 'h': /* holds up the thread */
        latch_count_down(&script->dry);
        latch_wait(&script->hold);
        *buffer = 'h';
        return 1;
    case 'c': /* closes the stream that is being read */
        CHECK_STATUS(script->stream, READING);
        CHECK(!nsurlsession_input_stream_has_bytes_available(script->stream));
        CHECK_EQ_INT(read_nothing(script->stream), -1);
        nsurlsession_io_stream_close(script->stream);
        CHECK_STATUS(script->stream, CLOSED);
        *buffer = 'c';
        return 1;
    }
    FAIL("no such step");
}

static void script_close(void *context)
{
    note(context, 'c');
}

static void script_release(void *context)
{
    struct script *script = context;
    note(script, '.');
    latch_count_down(&script->released);
}

static struct script *script_new(const char *steps)
{
    struct script *script = test_allocate(sizeof *script);
    *script = (struct script){.steps = steps};
    pthread_mutex_init(&script->mutex, NULL);
    latch_init(&script->dry, 1);
    latch_init(&script->hold, 1);
    latch_init(&script->released, 1);
    return script;
}

static nsurlsession_input_stream_t *stream_of(struct script *script)
{
    nsurlsession_input_stream_source_t source = {.struct_size = sizeof source,
                                                 .context = script,
                                                 .release = script_release,
                                                 .read = script_read,
                                                 .open = script_open,
                                                 .close = script_close};
    nsurlsession_input_stream_t *stream;
    CHECK_NO_MISUSE(stream = nsurlsession_input_stream_with_source(&source));
    CHECK(stream != NULL);
    memset(&source, 0xff, sizeof source); /* it was copied */
    return stream;
}

static nsurlsession_input_stream_t *opened(struct script *script)
{
    nsurlsession_input_stream_t *stream = stream_of(script);
    CHECK_EQ_STR(log_of(script), "");
    nsurlsession_io_stream_open(stream);
    return stream;
}

TEST(a_source_is_opened_read_closed_and_released)
{
    struct script *script = script_new("fx");
    nsurlsession_input_stream_t *stream = opened(script);
    CHECK_EQ_STR(log_of(script), "o");
    CHECK_STATUS(stream, OPEN);
    CHECK(nsurlsession_input_stream_has_bytes_available(stream));
    char buffer[3];
    CHECK_EQ_INT(read_into(stream, buffer, 3), 3);
    CHECK_EQ_BYTES(buffer, 3, "fff", 3);
    CHECK_EQ_INT(read_into(stream, buffer, 3), 1);
    CHECK_EQ_INT(read_into(stream, buffer, 3), 0);
    CHECK_EQ_INT(read_into(stream, buffer, 3), 0); /* it is not asked again */
    CHECK_EQ_STR(log_of(script), "orrr");
    nsurlsession_io_stream_close(stream);
    CHECK_EQ_STR(log_of(script), "orrrc.");
    nsurlsession_io_stream_close(stream);
    nsurlsession_release(stream);
    CHECK_EQ_STR(log_of(script), "orrrc.");
}

TEST(a_source_is_released_once_however_its_stream_ends)
{
    struct script *script = script_new("x");
    nsurlsession_release(stream_of(script));
    CHECK_EQ_STR(log_of(script), ".");

    script = script_new("x");
    nsurlsession_input_stream_t *stream = stream_of(script);
    nsurlsession_io_stream_close(stream);
    CHECK_EQ_STR(log_of(script), ".");
    nsurlsession_io_stream_open(stream);
    nsurlsession_release(stream);
    CHECK_EQ_STR(log_of(script), ".");

    script = script_new("x");
    nsurlsession_release(opened(script));
    CHECK_EQ_STR(log_of(script), "oc.");

    script = script_new("x");
    script->fails_to_open = true;
    nsurlsession_release(opened(script));
    CHECK_EQ_STR(log_of(script), "o.");
}

TEST(a_source_may_have_a_function_for_reading_only)
{
    struct script *script = script_new("x");
    nsurlsession_input_stream_source_t source = {
        .struct_size = sizeof source, .context = script, .read = script_read};
    nsurlsession_input_stream_t *stream = nsurlsession_input_stream_with_source(&source);
    nsurlsession_io_stream_open(stream);
    uint8_t byte;
    CHECK_EQ_INT(read_into(stream, &byte, 1), 1);
    CHECK_EQ_INT(read_into(stream, &byte, 1), 0);
    nsurlsession_release(stream);
    CHECK_EQ_STR(log_of(script), "rr");
}

TEST(a_source_that_cannot_be_one_is_refused)
{
    const char *name = "nsurlsession_input_stream_with_source";
    CHECK_NO_MISUSE(CHECK(nsurlsession_input_stream_with_source(NULL) == NULL));

    struct script *script = script_new("");
    nsurlsession_input_stream_source_t source = {
        .struct_size = sizeof source, .context = script, .release = script_release};
    CHECK_MISUSE(name, CHECK(nsurlsession_input_stream_with_source(&source) == NULL));
    CHECK_EQ_STR(log_of(script), ".");

    source.read = script_read;
    source.struct_size = sizeof(size_t);
    CHECK_MISUSE(name, CHECK(nsurlsession_input_stream_with_source(&source) == NULL));
    CHECK_EQ_STR(log_of(script), ".");
}

struct failure {
    const char *name, *steps;
    bool fails_to_open;
    int number;   /* what the source leaves in errno */
    int expected; /* the error's code */
};

static const struct failure source_failures[] = {
    {"open", "", true, EACCES, EACCES},
    {"open_without_a_number", "", true, 0, EIO},
    {"read", "e", false, ECONNRESET, ECONNRESET},
    {"read_without_a_number", "e", false, 0, EIO},
    {"more_than_there_is_room_for", "m", false, 0, EOVERFLOW},
    {"no_number_of_bytes", "n", false, 0, EIO},
};

TEST_EACH(a_source_that_fails_says_why, struct failure, source_failures)
{
    struct script *script = script_new(row->steps);
    script->fails_to_open = row->fails_to_open;
    script->number = row->number;
    nsurlsession_input_stream_t *stream = opened(script);
    CHECK_EQ_INT(read_nothing(stream), -1);
    expect_error(stream, row->expected, "source");
    CHECK(!nsurlsession_input_stream_has_bytes_available(stream));
    CHECK_EQ_INT(read_nothing(stream), -1);
    nsurlsession_release(stream);
    CHECK_EQ_STR(log_of(script), row->fails_to_open ? "o." : "orc.");
}

static void *signal_once_dry(void *context)
{
    struct script *script = context;
    latch_wait(&script->dry);
    nsurlsession_input_stream_signal(script->stream);
    return NULL;
}

TEST(a_read_waits_until_the_source_signals)
{
    struct script *script = script_new("wxsx");
    nsurlsession_input_stream_t *stream = opened(script);
    test_thread(signal_once_dry, script);
    uint8_t byte = 0;
    CHECK_EQ_INT(read_into(stream, &byte, 1), 1);
    CHECK_EQ_INT(byte, 'x');
    CHECK_EQ_STR(log_of(script), "orr");
    CHECK_EQ_INT(read_into(stream, &byte, 1), 1);
    CHECK_EQ_STR(log_of(script), "orrrr");
    nsurlsession_release(stream);
}

static void *read_a_byte(void *context)
{
    struct script *script = context;
    uint8_t byte;
    note(script, (char)('1' + read_into(script->stream, &byte, 1)));
    latch_count_down(&script->hold);
    return NULL;
}

TEST(whether_there_are_bytes_follows_what_the_source_says)
{
    struct script *script = script_new("w");
    nsurlsession_input_stream_t *stream = opened(script);
    test_thread(read_a_byte, script);
    latch_wait(&script->dry);
    EVENTUALLY(nsurlsession_io_stream_stream_status(stream) == NSURLSESSION_STREAM_STATUS_OPEN);
    CHECK(!nsurlsession_input_stream_has_bytes_available(stream));
    nsurlsession_input_stream_signal(stream);
    latch_wait(&script->hold);
    CHECK_EQ_STR(log_of(script), "orr1"); /* it read the end */
    nsurlsession_release(stream);
}

TEST(a_stream_is_closed_while_its_source_is_held_up)
{
    struct script *script = script_new("h");
    nsurlsession_input_stream_t *stream = opened(script);
    struct writer *reader = writer_new((void *)stream, 0, 0);
    test_thread(read_until_it_fails, reader);
    latch_wait(&script->dry);
    CHECK_STATUS(stream, READING);
    CHECK(!nsurlsession_input_stream_has_bytes_available(stream));
    nsurlsession_io_stream_close(stream); /* does not wait for it */
    CHECK_STATUS(stream, CLOSED);
    CHECK_EQ_STR(log_of(script), "or");
    latch_count_down(&script->hold);
    latch_wait(&reader->done);
    CHECK_EQ_INT(reader->last, -1);
    CHECK_EQ_STR(log_of(script), "orc.");
    nsurlsession_release(stream);
}

TEST(a_source_may_close_its_own_stream)
{
    struct script *script = script_new("xc");
    nsurlsession_input_stream_t *stream = opened(script);
    uint8_t byte;
    CHECK_EQ_INT(read_into(stream, &byte, 1), 1);
    CHECK_EQ_INT(read_into(stream, &byte, 1), -1);
    CHECK_EQ_STR(log_of(script), "orrc.");
    nsurlsession_release(stream);
}

/* ---- As bodies ----------------------------------------------------------------------------- */

/* A POST of the stream, which is released, to the fault server's /sink. */
static nsurlsession_request_t *sink_request(nsurlsession_input_stream_t *stream)
{
    nsurlsession_request_t *request = request_for("POST", fault_url("/sink"), NULL);
    nsurlsession_request_set_http_body_stream(request, stream);
    nsurlsession_release(stream);
    return request;
}

struct upload {
    const char *name;
    size_t buffer_size, length;
};

static const struct upload uploads[] = {
    {"nothing", 16, 0},
    {"a_byte", 16, 1},
    {"small_buffer", 16, 20000},
    {"large_buffer", 65536, 3000000},
};

TEST_EACH(what_is_written_to_a_pair_is_sent, struct upload, uploads)
{
    struct pair pair = {NULL, NULL};
    nsurlsession_io_stream_get_bound_streams_with_buffer_size_input_stream_output_stream(
        row->buffer_size, &pair.input, &pair.output);
    nsurlsession_io_stream_open(pair.output);
    struct writer *writer = writer_new(pair.output, row->length, row->buffer_size);
    test_thread(write_pattern, writer);
    nsurlsession_t *session = session_for(NULL);
    CHECK_EQ_STR(load_text(session, sink_request(pair.input)), pattern_sink(row->length));
    latch_wait(&writer->done);
    nsurlsession_release(pair.output);
    session_end(session);
}

TEST(a_source_that_has_nothing_holds_up_nothing)
{
    struct script *script = script_new("xwx");
    nsurlsession_t *session = session_for(NULL);
    struct load *slow = load_start(session, sink_request(stream_of(script)));
    latch_wait(&script->dry);
    for (int turn = 0; turn < 3; turn++)
        CHECK_EQ_STR(load_text(session, sink_request(stream_of(script_new("xx")))),
                     "2 bytes sum 240\n");
    CHECK_EQ_STR(log_of(script), "orr");
    nsurlsession_input_stream_signal(script->stream);
    load_wait(slow);
    CHECK_EQ_STR(load_body(slow, 200), "2 bytes sum 240\n");
    session_end(session);
}

TEST(sources_that_are_held_up_hold_up_no_files)
{
    enum { SOURCES = 8 };
    struct script *scripts[SOURCES];
    struct load *slow[SOURCES];
    nsurlsession_t *sessions[SOURCES];
    for (int index = 0; index < SOURCES; index++) {
        scripts[index] = script_new("h");
        sessions[index] = session_for(NULL);
        slow[index] = load_start(sessions[index], sink_request(stream_of(scripts[index])));
    }
    for (int index = 0; index < SOURCES; index++)
        latch_wait(&scripts[index]->dry);
    const char *url = test_format("file://%s/a%%20file%%20of%%205000%%20bytes", env_text("TMPDIR"));
    pattern_file(5000);
    struct completion *completion = completion_new();
    nsurlsession_request_t *request = request_for("POST", fault_url("/sink"), NULL);
    nsurlsession_task_t *task = nsurlsession_upload_task_with_request_from_file_completion_handler(
        sessions[0], request, url, record_completion, completion);
    nsurlsession_task_resume(task);
    completion_wait(completion);
    CHECK_EQ_STR(completion->body, pattern_sink(5000));
    nsurlsession_release(task);
    nsurlsession_release(request);
    for (int index = 0; index < SOURCES; index++) {
        latch_count_down(&scripts[index]->hold);
        load_wait(slow[index]);
        CHECK_EQ_STR(load_body(slow[index], 200), "1 bytes sum 104\n");
        session_end(sessions[index]);
    }
}

TEST(a_source_is_closed_and_released_when_its_task_is_over)
{
    nsurlsession_t *session = session_for(NULL);
    struct script *script = script_new("x");
    load_body(load(session, sink_request(stream_of(script))), 200);
    latch_wait(&script->released);
    CHECK_EQ_STR(log_of(script), "orrc.");

    script = script_new("xw");
    struct load *slow = load_start(session, sink_request(stream_of(script)));
    latch_wait(&script->dry);
    nsurlsession_task_cancel(slow->task);
    load_wait(slow);
    CHECK_EQ_INT(nsurlsession_error_code(slow->error), NSURLSESSION_ERROR_CANCELLED);
    latch_wait(&script->released);
    CHECK_EQ_STR(log_of(script), "orrc.");
    session_end(session);
}

TEST(whoever_writes_learns_that_the_task_is_over)
{
    struct pair pair = {NULL, NULL};
    nsurlsession_io_stream_get_bound_streams_with_buffer_size_input_stream_output_stream(
        16, &pair.input, &pair.output);
    nsurlsession_io_stream_open(pair.output);
    nsurlsession_t *session = session_for(NULL);
    struct load *given_up = load_start(session, sink_request(pair.input));
    CHECK_EQ_INT(write_text(pair.output, "a"), 1);
    nsurlsession_task_cancel(given_up->task);
    load_wait(given_up);
    while (write_text(pair.output, "more") > 0)
        continue;
    expect_error(pair.output, EPIPE, "");
    nsurlsession_release(pair.output);
    session_end(session);
}

TEST(a_body_whose_source_fails_fails_the_task)
{
    struct script *script = script_new("fe");
    script->number = ECONNRESET;
    nsurlsession_t *session = session_for(NULL);
    nsurlsession_error_t *error = load(session, sink_request(stream_of(script)))->error;
    CHECK_EQ_INT(nsurlsession_error_code(error), NSURLSESSION_ERROR_REQUEST_BODY_STREAM_EXHAUSTED);
    CHECK_CONTAINS(nsurlsession_error_localized_failure_reason(error), "source");
    nsurlsession_array_t *errors = nsurlsession_error_underlying_errors(error);
    nsurlsession_error_t *posix = nsurlsession_array_object_at_index(errors, 0);
    CHECK_EQ_STR(nsurlsession_error_domain(posix), NSURLSESSION_POSIX_ERROR_DOMAIN);
    CHECK_EQ_INT(nsurlsession_error_code(posix), ECONNRESET);
    nsurlsession_release(posix);
    nsurlsession_release(errors);
    session_end(session);
}

TEST(two_tasks_cannot_send_one_stream)
{
    struct script *script = script_new("xwx");
    nsurlsession_t *session = session_for(NULL);
    nsurlsession_request_t *request = sink_request(stream_of(script));
    struct load *first = load_start(session, nsurlsession_retain(request));
    latch_wait(&script->dry);
    struct load *second = load(session, request);
    CHECK_EQ_INT(nsurlsession_error_code(second->error),
                 NSURLSESSION_ERROR_REQUEST_BODY_STREAM_EXHAUSTED);
    nsurlsession_input_stream_signal(script->stream);
    load_wait(first);
    CHECK_EQ_STR(load_body(first, 200), "2 bytes sum 240\n");
    session_end(session);
}
