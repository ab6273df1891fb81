/* The root verbs, data, strings, arrays, dictionaries, and handles that are not what they should be. */
#include "misuse.h"
#include "recorder.h"

#include <math.h>

/* ---- Helpers ------------------------------------------------------------------------------- */

/* A loopback port that nobody listens at; nothing here gets as far as that. */
#define URL "http://127.0.0.1:1/"

/* Counts what a deallocator is called with. */
struct memory {
    unsigned freed;
    void *bytes;
    size_t length;
    pthread_t thread;
};

static void count_freed(void *context, void *bytes, size_t length)
{
    struct memory *memory = context;
    memory->freed++;
    memory->bytes = bytes;
    memory->length = length;
    memory->thread = pthread_self();
}

static char some_bytes[] = "some bytes";

/* A data object whose end `memory` sees. */
static nsurlsession_data_t *watched(struct memory *memory)
{
    return nsurlsession_data_with_bytes_no_copy_length_deallocator(
        some_bytes, sizeof some_bytes, count_freed, memory);
}

static nsurlsession_string_t *string(const char *text)
{
    return nsurlsession_string_with_utf8_string(text);
}

/* Sets a string in a dictionary. */
static void set_text(nsurlsession_dictionary_t *dictionary, const char *key, const char *text)
{
    nsurlsession_string_t *value = string(text);
    nsurlsession_dictionary_set_object_for_key(dictionary, value, key);
    nsurlsession_release(value);
}

/* The string under a key, NULL if there is none; the dictionary stays the caller's. */
static const char *text_for(const nsurlsession_dictionary_t *dictionary, const char *key)
{
    return text_of(nsurlsession_dictionary_object_for_key(dictionary, key));
}

/* An array of one object; takes over the reference to it. */
static nsurlsession_array_t *array_of(void *owned)
{
    const void *objects[] = {owned};
    nsurlsession_array_t *array = nsurlsession_array_with_objects_count(objects, 1);
    nsurlsession_release(owned);
    return array;
}

/* ---- Data ---------------------------------------------------------------------------------- */

TEST(data_copies_its_bytes)
{
    char bytes[] = {'a', '\0', 'b', '\xff'};
    nsurlsession_data_t *data = nsurlsession_data_with_bytes_length(bytes, sizeof bytes);
    CHECK(nsurlsession_data_bytes(data) != bytes);
    memset(bytes, 'x', sizeof bytes);
    CHECK_EQ_BYTES(nsurlsession_data_bytes(data), nsurlsession_data_length(data), "a\0b\xff", 4);
    CHECK(nsurlsession_data_bytes(data) == nsurlsession_data_bytes(data));
    nsurlsession_release(data);
}

TEST(data_of_a_megabyte)
{
    size_t length = 1 << 20;
    uint8_t *bytes = test_allocate(length);
    for (size_t index = 0; index < length; index++)
        bytes[index] = pattern_byte(index);
    nsurlsession_data_t *data = nsurlsession_data_with_bytes_length(bytes, length);
    CHECK_EQ_BYTES(nsurlsession_data_bytes(data), nsurlsession_data_length(data), bytes, length);
    nsurlsession_release(data);
}

TEST(data_without_bytes)
{
    nsurlsession_data_t *none, *also_none;
    CHECK_NO_MISUSE(none = nsurlsession_data_with_bytes_length(NULL, 0));
    CHECK_NO_MISUSE(also_none = nsurlsession_data_with_bytes_length("x", 0));
    CHECK(none != NULL && also_none != NULL);
    CHECK_EQ_INT(nsurlsession_data_length(none), 0);
    CHECK_EQ_INT(nsurlsession_data_length(also_none), 0);
    CHECK(nsurlsession_data_bytes(none) == NULL);
    CHECK(nsurlsession_data_bytes(also_none) == NULL);
    CHECK(nsurlsession_is_equal(none, also_none));
    nsurlsession_release(none);
    nsurlsession_release(also_none);
}

TEST(data_refuses_impossible_lengths)
{
    const char *name = "nsurlsession_data_with_bytes_length";
    CHECK_MISUSE(name, CHECK(!nsurlsession_data_with_bytes_length("x", SIZE_MAX)));
    CHECK_MISUSE(name, CHECK(!nsurlsession_data_with_bytes_length("x", (size_t)PTRDIFF_MAX + 1)));
    CHECK_MISUSE(name, CHECK(!nsurlsession_data_with_bytes_length(NULL, 1)));
    CHECK_MISUSE(name, CHECK(!nsurlsession_data_with_bytes_length(NULL, SIZE_MAX)));
}

/* For the test below: malloc returns NULL, as it does without the sanitizer. */
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
    return "allocator_may_return_null=1";
}

TEST(data_refuses_what_there_is_no_memory_for)
{
    CHECK_MISUSE("nsurlsession_data_with_bytes_length",
                 CHECK(!nsurlsession_data_with_bytes_length("x", PTRDIFF_MAX)));
}

TEST(data_is_equal_by_its_bytes)
{
    nsurlsession_data_t *data = nsurlsession_data_with_bytes_length("abc", 3);
    nsurlsession_data_t *same = nsurlsession_data_with_bytes_length("abcd", 3);
    nsurlsession_data_t *longer = nsurlsession_data_with_bytes_length("abcd", 4);
    nsurlsession_data_t *other = nsurlsession_data_with_bytes_length("abd", 3);
    struct memory memory = {0};
    nsurlsession_data_t *adopted = nsurlsession_data_with_bytes_no_copy_length_deallocator(
        test_copy("abc"), 3, count_freed, &memory);
    CHECK(nsurlsession_is_equal(data, same));
    CHECK(nsurlsession_is_equal(data, adopted));
    CHECK(nsurlsession_is_equal(adopted, data));
    CHECK(!nsurlsession_is_equal(data, longer));
    CHECK(!nsurlsession_is_equal(data, other));
    CHECK(nsurlsession_hash(data) == nsurlsession_hash(same));
    CHECK(nsurlsession_hash(data) == nsurlsession_hash(adopted));
    CHECK(nsurlsession_hash(data) != nsurlsession_hash(other));
    nsurlsession_release(data);
    nsurlsession_release(same);
    nsurlsession_release(longer);
    nsurlsession_release(other);
    nsurlsession_release(adopted);
    CHECK_EQ_INT(memory.freed, 1);
}

TEST(adopted_bytes_are_used_in_place_and_freed_once)
{
    struct memory memory = {0};
    nsurlsession_data_t *data = watched(&memory);
    CHECK(nsurlsession_data_bytes(data) == some_bytes);
    CHECK_EQ_INT(nsurlsession_data_length(data), sizeof some_bytes);

    CHECK(nsurlsession_retain(data) == data);
    CHECK(nsurlsession_copy(data) == data);
    nsurlsession_release(data);
    nsurlsession_release(data);
    CHECK_EQ_INT(memory.freed, 0);
    CHECK(nsurlsession_data_bytes(data) == some_bytes);
    nsurlsession_release(data);
    CHECK_EQ_INT(memory.freed, 1);
    CHECK(memory.bytes == some_bytes);
    CHECK_EQ_INT(memory.length, sizeof some_bytes);
    CHECK(pthread_equal(memory.thread, pthread_self()));
}

TEST(adopted_memory_is_the_callers_to_free)
{
    /* As a program would do it: malloc, and a deallocator that calls free. */
    struct memory memory = {0};
    char *bytes = malloc(5);
    CHECK(bytes != NULL);
    memcpy(bytes, "bytes", 5);
    nsurlsession_data_t *data =
        nsurlsession_data_with_bytes_no_copy_length_deallocator(bytes, 5, count_freed, &memory);
    CHECK_EQ_BYTES(nsurlsession_data_bytes(data), nsurlsession_data_length(data), "bytes", 5);
    nsurlsession_release(data);
    CHECK_EQ_INT(memory.freed, 1);
    free(memory.bytes);
}

TEST(adopted_nothing_still_has_a_deallocator)
{
    struct memory memory = {0};
    nsurlsession_data_t *data;
    CHECK_NO_MISUSE(data = nsurlsession_data_with_bytes_no_copy_length_deallocator(
                        NULL, 0, count_freed, &memory));
    CHECK(data != NULL);
    CHECK(nsurlsession_data_bytes(data) == NULL);
    CHECK_EQ_INT(nsurlsession_data_length(data), 0);
    nsurlsession_release(data);
    CHECK_EQ_INT(memory.freed, 1);
    CHECK(memory.bytes == NULL);
    CHECK_EQ_INT(memory.length, 0);
}

TEST(adopted_without_a_deallocator)
{
    static const char forever[] = "static";
    nsurlsession_data_t *data = nsurlsession_data_with_bytes_no_copy_length_deallocator(
        (void *)(uintptr_t)forever, 6, NULL, NULL);
    CHECK(nsurlsession_data_bytes(data) == forever);
    nsurlsession_release(data);
    CHECK_EQ_STR(forever, "static");
}

TEST(adopted_impossible_lengths_stay_the_callers)
{
    const char *name = "nsurlsession_data_with_bytes_no_copy_length_deallocator";
    struct memory memory = {0};
    CHECK_MISUSE(name, CHECK(!nsurlsession_data_with_bytes_no_copy_length_deallocator(
                           some_bytes, SIZE_MAX, count_freed, &memory)));
    CHECK_MISUSE(name, CHECK(!nsurlsession_data_with_bytes_no_copy_length_deallocator(
                           NULL, 1, count_freed, &memory)));
    CHECK_EQ_INT(memory.freed, 0);
}

static void *release_it(void *object)
{
    nsurlsession_release(object);
    return NULL;
}

TEST(the_last_release_frees_on_whichever_thread)
{
    struct memory memory = {0};
    nsurlsession_data_t *data = watched(&memory);
    pthread_t thread;
    CHECK_EQ_INT(pthread_create(&thread, NULL, release_it, data), 0);
    CHECK_EQ_INT(pthread_join(thread, NULL), 0);
    CHECK_EQ_INT(memory.freed, 1);
    CHECK(!pthread_equal(memory.thread, pthread_self()));
}

static void *retain_and_release(void *object)
{
    for (int round = 0; round < 2000; round++) {
        CHECK(nsurlsession_retain(object) == object);
        CHECK(nsurlsession_copy(object) == object);
        CHECK_EQ_INT(nsurlsession_data_length(object), sizeof some_bytes);
        nsurlsession_release(object);
        nsurlsession_release(object);
    }
    nsurlsession_release(object);
    return NULL;
}

TEST(references_from_many_threads)
{
    struct memory memory = {0};
    nsurlsession_data_t *data = watched(&memory);
    pthread_t threads[4];
    for (size_t index = 0; index < 4; index++)
        CHECK_EQ_INT(pthread_create(&threads[index], NULL, retain_and_release,
                                    nsurlsession_retain(data)), 0);
    CHECK_NO_MISUSE(for (size_t index = 0; index < 4; index++)
                        CHECK_EQ_INT(pthread_join(threads[index], NULL), 0));
    CHECK_EQ_INT(memory.freed, 0);
    nsurlsession_release(data);
    CHECK_EQ_INT(memory.freed, 1);
}

/* ---- Strings ------------------------------------------------------------------------------- */

TEST(string_copies_its_text)
{
    char text[] = "gr\xc3\xbc\xc3\x9f" "e \xf0\x9f\x8c\x8d";
    nsurlsession_string_t *object = string(text);
    memset(text, 'x', sizeof text - 1);
    CHECK_EQ_STR(nsurlsession_string_utf8_string(object),
                 "gr\xc3\xbc\xc3\x9f" "e \xf0\x9f\x8c\x8d");
    CHECK(nsurlsession_string_utf8_string(object) == nsurlsession_string_utf8_string(object));
    nsurlsession_release(object);
}

TEST(string_without_text)
{
    nsurlsession_string_t *empty = string("");
    CHECK(empty != NULL);
    CHECK_EQ_STR(nsurlsession_string_utf8_string(empty), "");
    nsurlsession_release(empty);
    CHECK(string(NULL) == NULL);
}

struct invalid_utf8 {
    const char *name, *text;
};

static const struct invalid_utf8 invalid_utf8[] = {
    {"never_a_byte", "a\xff"},
    {"lone_continuation", "\x80"},
    {"cut_off", "a\xc3"},
    {"overlong", "\xc0\xaf"},
    {"overlong_nul", "\xc0\x80"},
    {"surrogate", "\xed\xa0\x80"},
    {"beyond_unicode", "\xf4\x90\x80\x80"},
    {"latin_1", "gr\xfc\xdf" "e"},
};

TEST_EACH(string_refuses_invalid_utf8, struct invalid_utf8, invalid_utf8)
{
    CHECK_MISUSE("nsurlsession_string_with_utf8_string", CHECK(string(row->text) == NULL));
}

TEST(string_is_equal_by_its_text)
{
    nsurlsession_string_t *text = string("text"), *same = string("text"), *other = string("Text");
    nsurlsession_data_t *bytes = nsurlsession_data_with_bytes_length("text", 4);
    CHECK(nsurlsession_is_equal(text, same));
    CHECK(nsurlsession_hash(text) == nsurlsession_hash(same));
    CHECK(!nsurlsession_is_equal(text, other));
    CHECK(nsurlsession_hash(text) != nsurlsession_hash(other));
    CHECK(!nsurlsession_is_equal(text, bytes));
    CHECK(!nsurlsession_is_equal(bytes, text));
    nsurlsession_release(text);
    nsurlsession_release(same);
    nsurlsession_release(other);
    nsurlsession_release(bytes);
}

/* ---- Arrays -------------------------------------------------------------------------------- */

TEST(array_keeps_objects_in_order)
{
    nsurlsession_string_t *first = string("first");
    nsurlsession_data_t *second = nsurlsession_data_with_bytes_length("second", 6);
    nsurlsession_request_t *third = nsurlsession_request_with_url(URL);
    const void *objects[] = {first, second, third, first};
    nsurlsession_array_t *array = nsurlsession_array_with_objects_count(objects, 4);
    CHECK_EQ_INT(nsurlsession_array_count(array), 4);
    for (size_t index = 0; index < 4; index++) {
        void *object = nsurlsession_array_object_at_index(array, index);
        CHECK(object == objects[index]);
        nsurlsession_release(object);
    }
    CHECK(nsurlsession_array_object_at_index(array, 4) == NULL);
    CHECK(nsurlsession_array_object_at_index(array, SIZE_MAX) == NULL);
    nsurlsession_release(first);
    nsurlsession_release(second);
    nsurlsession_release(third);
    nsurlsession_release(array);
}

TEST(array_retains_its_objects)
{
    struct memory memory = {0};
    nsurlsession_array_t *array = array_of(watched(&memory));
    CHECK_EQ_INT(memory.freed, 0);
    nsurlsession_data_t *data = nsurlsession_array_object_at_index(array, 0);
    nsurlsession_release(array);
    CHECK_EQ_INT(memory.freed, 0);
    CHECK(nsurlsession_data_bytes(data) == some_bytes);
    nsurlsession_release(data);
    CHECK_EQ_INT(memory.freed, 1);
}

TEST(array_of_nothing)
{
    nsurlsession_array_t *array;
    CHECK_NO_MISUSE(array = nsurlsession_array_with_objects_count(NULL, 0));
    CHECK(array != NULL);
    CHECK_EQ_INT(nsurlsession_array_count(array), 0);
    CHECK(nsurlsession_array_object_at_index(array, 0) == NULL);
    nsurlsession_release(array);
}

TEST(array_refuses_what_is_no_object)
{
    const char *name = "nsurlsession_array_with_objects_count";
    static const uint64_t no_object[8];
    struct memory memory = {0};
    nsurlsession_data_t *data = watched(&memory);
    const void *with_null[] = {data, NULL, data};
    const void *with_other[] = {data, no_object};
    CHECK(nsurlsession_array_with_objects_count(with_null, 3) == NULL);
    CHECK_MISUSE(name, CHECK(!nsurlsession_array_with_objects_count(with_other, 2)));
    CHECK_MISUSE(name, CHECK(!nsurlsession_array_with_objects_count(NULL, 1)));
    CHECK_MISUSE(name, CHECK(!nsurlsession_array_with_objects_count(with_null, SIZE_MAX)));
    CHECK_MISUSE(name, CHECK(!nsurlsession_array_with_objects_count(with_null, SIZE_MAX / 8)));
    nsurlsession_release(data);
    CHECK_EQ_INT(memory.freed, 1); /* the arrays that failed kept nothing */
}

TEST(array_copies_dictionaries)
{
    nsurlsession_dictionary_t *dictionary = nsurlsession_dictionary_new();
    set_text(dictionary, "key", "before");
    nsurlsession_array_t *array = array_of(nsurlsession_retain(dictionary));
    set_text(dictionary, "key", "after");
    nsurlsession_dictionary_t *inside = nsurlsession_array_object_at_index(array, 0);
    CHECK(inside != dictionary);
    CHECK_EQ_STR(text_for(inside, "key"), "before");
    nsurlsession_release(inside);
    nsurlsession_release(array);
    nsurlsession_release(dictionary);
}

TEST(array_is_equal_by_its_objects)
{
    nsurlsession_array_t *one = array_of(string("a")), *same = array_of(string("a"));
    nsurlsession_array_t *other = array_of(string("b"));
    nsurlsession_array_t *none = nsurlsession_array_with_objects_count(NULL, 0);
    CHECK(nsurlsession_is_equal(one, same));
    CHECK(nsurlsession_hash(one) == nsurlsession_hash(same));
    CHECK(!nsurlsession_is_equal(one, other));
    CHECK(nsurlsession_hash(one) != nsurlsession_hash(other));
    CHECK(!nsurlsession_is_equal(one, none));
    CHECK(!nsurlsession_is_equal(none, one));
    nsurlsession_release(one);
    nsurlsession_release(same);
    nsurlsession_release(other);
    nsurlsession_release(none);
}

/* ---- Dictionaries -------------------------------------------------------------------------- */

TEST(dictionary_keeps_the_order_of_its_keys)
{
    nsurlsession_dictionary_t *dictionary = nsurlsession_dictionary_new();
    CHECK_EQ_INT(nsurlsession_dictionary_count(dictionary), 0);
    CHECK(nsurlsession_dictionary_key_at_index(dictionary, 0) == NULL);

    set_text(dictionary, "zebra", "1");
    set_text(dictionary, "apple", "2");
    set_text(dictionary, "mango", "3");
    CHECK_EQ_INT(nsurlsession_dictionary_count(dictionary), 3);
    CHECK_EQ_STR(nsurlsession_dictionary_key_at_index(dictionary, 0), "zebra");
    CHECK_EQ_STR(nsurlsession_dictionary_key_at_index(dictionary, 1), "apple");
    CHECK_EQ_STR(nsurlsession_dictionary_key_at_index(dictionary, 2), "mango");
    CHECK(nsurlsession_dictionary_key_at_index(dictionary, 3) == NULL);
    CHECK(nsurlsession_dictionary_key_at_index(dictionary, SIZE_MAX) == NULL);
    CHECK_EQ_STR(text_for(dictionary, "zebra"), "1");
    CHECK_EQ_STR(text_for(dictionary, "apple"), "2");
    CHECK_EQ_STR(text_for(dictionary, "mango"), "3");
    CHECK(nsurlsession_dictionary_object_for_key(dictionary, "kiwi") == NULL);

    /* A key that is there keeps its place. */
    set_text(dictionary, "zebra", "4");
    CHECK_EQ_INT(nsurlsession_dictionary_count(dictionary), 3);
    CHECK_EQ_STR(nsurlsession_dictionary_key_at_index(dictionary, 0), "zebra");
    CHECK_EQ_STR(text_for(dictionary, "zebra"), "4");
    nsurlsession_release(dictionary);
}

TEST(dictionary_keys_are_compared_byte_by_byte)
{
    nsurlsession_dictionary_t *dictionary = nsurlsession_dictionary_new();
    set_text(dictionary, "key", "lower");
    set_text(dictionary, "Key", "upper");
    CHECK_EQ_INT(nsurlsession_dictionary_count(dictionary), 2);
    CHECK_EQ_STR(text_for(dictionary, "key"), "lower");
    CHECK_EQ_STR(text_for(dictionary, "Key"), "upper");
    CHECK(nsurlsession_dictionary_object_for_key(dictionary, "KEY") == NULL);
    CHECK(nsurlsession_dictionary_object_for_key(dictionary, "ke") == NULL);
    nsurlsession_release(dictionary);
}

TEST(dictionary_copies_keys_and_retains_objects)
{
    struct memory memory = {0};
    nsurlsession_dictionary_t *dictionary = nsurlsession_dictionary_new();
    nsurlsession_data_t *data = watched(&memory);
    char key[] = "key";
    nsurlsession_dictionary_set_object_for_key(dictionary, data, key);
    memset(key, 'x', 3);
    CHECK_EQ_STR(nsurlsession_dictionary_key_at_index(dictionary, 0), "key");

    nsurlsession_release(data);
    CHECK_EQ_INT(memory.freed, 0);
    nsurlsession_data_t *inside = nsurlsession_dictionary_object_for_key(dictionary, "key");
    CHECK(inside == data);
    nsurlsession_release(inside);
    CHECK_EQ_INT(memory.freed, 0);
    set_text(dictionary, "key", "in its place");
    CHECK_EQ_INT(memory.freed, 1);
    nsurlsession_release(dictionary);
    CHECK_EQ_INT(memory.freed, 1);

    struct memory another = {0};
    dictionary = nsurlsession_dictionary_new();
    data = watched(&another);
    nsurlsession_dictionary_set_object_for_key(dictionary, data, "key");
    nsurlsession_release(data);
    nsurlsession_release(dictionary);
    CHECK_EQ_INT(another.freed, 1);
}

TEST(dictionary_refuses_what_is_missing)
{
    const char *name = "nsurlsession_dictionary_set_object_for_key";
    static const uint64_t no_object[8];
    nsurlsession_dictionary_t *dictionary = nsurlsession_dictionary_new();
    nsurlsession_string_t *value = string("value");
    nsurlsession_dictionary_set_object_for_key(dictionary, NULL, "key");
    nsurlsession_dictionary_set_object_for_key(dictionary, value, NULL);
    CHECK_MISUSE(name, nsurlsession_dictionary_set_object_for_key(dictionary, no_object, "key"));
    CHECK_MISUSE(name, nsurlsession_dictionary_set_object_for_key(dictionary, value, "k\xff"));
    CHECK_EQ_INT(nsurlsession_dictionary_count(dictionary), 0);

    set_text(dictionary, "key", "stays");
    nsurlsession_dictionary_set_object_for_key(dictionary, NULL, "key");
    CHECK_EQ_STR(text_for(dictionary, "key"), "stays");
    CHECK(nsurlsession_dictionary_object_for_key(dictionary, NULL) == NULL);
    CHECK_MISUSE("nsurlsession_dictionary_object_for_key",
                 CHECK(!nsurlsession_dictionary_object_for_key(dictionary, "k\xff")));
    nsurlsession_release(value);
    nsurlsession_release(dictionary);
}

TEST(dictionary_key_pointers_stay_where_they_are)
{
    nsurlsession_dictionary_t *dictionary = nsurlsession_dictionary_new();
    set_text(dictionary, "first", "1");
    set_text(dictionary, "second", "2");
    const char *first = nsurlsession_dictionary_key_at_index(dictionary, 0);
    const char *second = nsurlsession_dictionary_key_at_index(dictionary, 1);
    for (int index = 0; index < 300; index++)
        set_text(dictionary, test_format("key %d", index), "more");
    set_text(dictionary, "first", "replaced");
    CHECK_EQ_INT(nsurlsession_dictionary_count(dictionary), 302);
    CHECK(nsurlsession_dictionary_key_at_index(dictionary, 0) == first);
    CHECK(nsurlsession_dictionary_key_at_index(dictionary, 1) == second);
    CHECK_EQ_STR(first, "first");
    CHECK_EQ_STR(second, "second");
    CHECK_EQ_STR(nsurlsession_dictionary_key_at_index(dictionary, 301), "key 299");
    nsurlsession_release(dictionary);
}

TEST(dictionary_copies_are_independent)
{
    nsurlsession_dictionary_t *dictionary = nsurlsession_dictionary_new();
    set_text(dictionary, "key", "before");
    nsurlsession_dictionary_t *copy = nsurlsession_copy(dictionary);
    CHECK(copy != dictionary);
    CHECK(nsurlsession_is_equal(copy, dictionary));
    set_text(dictionary, "key", "after");
    set_text(dictionary, "another", "key");
    CHECK_EQ_INT(nsurlsession_dictionary_count(copy), 1);
    CHECK_EQ_STR(text_for(copy, "key"), "before");
    set_text(copy, "only", "here");
    CHECK(nsurlsession_dictionary_object_for_key(dictionary, "only") == NULL);
    nsurlsession_release(dictionary);
    CHECK_EQ_STR(text_for(copy, "only"), "here");
    nsurlsession_release(copy);
}

TEST(dictionaries_inside_one_are_copies)
{
    nsurlsession_dictionary_t *outer = nsurlsession_dictionary_new();
    nsurlsession_dictionary_t *inner = nsurlsession_dictionary_new();
    set_text(inner, "key", "before");
    nsurlsession_dictionary_set_object_for_key(outer, inner, "inner");
    set_text(inner, "key", "after");
    nsurlsession_dictionary_t *inside = nsurlsession_dictionary_object_for_key(outer, "inner");
    CHECK(inside != inner);
    CHECK_EQ_STR(text_for(inside, "key"), "before");
    nsurlsession_release(inside);
    nsurlsession_release(inner);
    nsurlsession_release(outer);
}

TEST(dictionary_in_itself_is_a_copy)
{
    nsurlsession_dictionary_t *dictionary = nsurlsession_dictionary_new();
    set_text(dictionary, "key", "value");
    nsurlsession_dictionary_set_object_for_key(dictionary, dictionary, "self");
    CHECK_EQ_INT(nsurlsession_dictionary_count(dictionary), 2);
    nsurlsession_dictionary_t *inside = nsurlsession_dictionary_object_for_key(dictionary, "self");
    CHECK(inside != dictionary);
    CHECK_EQ_INT(nsurlsession_dictionary_count(inside), 1);
    CHECK_EQ_STR(text_for(inside, "key"), "value");
    CHECK_CONTAINS(text_of(nsurlsession_description(dictionary)), "self");
    nsurlsession_release(inside);
    nsurlsession_release(dictionary);
}

/* By way of the dictionary that it hands out again, a dictionary could come to hold itself. */
TEST(dictionaries_cannot_hold_one_another)
{
    nsurlsession_dictionary_t *outer = nsurlsession_dictionary_new();
    nsurlsession_dictionary_t *empty = nsurlsession_dictionary_new();
    nsurlsession_dictionary_set_object_for_key(outer, empty, "inner");
    nsurlsession_dictionary_t *inner = nsurlsession_dictionary_object_for_key(outer, "inner");
    nsurlsession_dictionary_set_object_for_key(inner, outer, "outer");

    CHECK_CONTAINS(text_of(nsurlsession_description(inner)), "{");
    CHECK(nsurlsession_hash(inner) == nsurlsession_hash(inner));
    nsurlsession_dictionary_t *copy = nsurlsession_copy(inner);
    CHECK(nsurlsession_is_equal(copy, inner));
    nsurlsession_release(copy);
    nsurlsession_release(inner);
    nsurlsession_release(empty);
    nsurlsession_release(outer);
}

TEST(dictionary_and_array_cannot_hold_one_another)
{
    nsurlsession_array_t *array = array_of(nsurlsession_dictionary_new());
    nsurlsession_dictionary_t *inner = nsurlsession_array_object_at_index(array, 0);
    nsurlsession_dictionary_set_object_for_key(inner, array, "array");
    CHECK_CONTAINS(text_of(nsurlsession_description(array)), "(");
    nsurlsession_release(inner);
    nsurlsession_release(array);
}

TEST(dictionary_is_equal_by_its_entries)
{
    nsurlsession_dictionary_t *one = nsurlsession_dictionary_new();
    nsurlsession_dictionary_t *other = nsurlsession_dictionary_new();
    set_text(one, "a", "1");
    CHECK(!nsurlsession_is_equal(one, other));
    CHECK(!nsurlsession_is_equal(other, one));
    set_text(one, "b", "2");
    set_text(other, "b", "2");
    set_text(other, "a", "1");
    CHECK(nsurlsession_is_equal(one, other)); /* the order does not matter */
    CHECK(nsurlsession_hash(one) == nsurlsession_hash(other));
    set_text(other, "a", "3");
    CHECK(!nsurlsession_is_equal(one, other));
    CHECK(nsurlsession_hash(one) != nsurlsession_hash(other));
    set_text(other, "a", "1");
    set_text(other, "c", "1");
    CHECK(!nsurlsession_is_equal(one, other));
    nsurlsession_release(one);
    nsurlsession_release(other);
}

/* The header fields of a request; "Content-Type" and "X-One" are set. */
static nsurlsession_dictionary_t *header_fields(void)
{
    nsurlsession_request_t *request = nsurlsession_request_with_url(URL);
    nsurlsession_request_set_value_for_http_header_field(request, "text/plain", "Content-Type");
    nsurlsession_request_set_value_for_http_header_field(request, "1", "X-One");
    nsurlsession_dictionary_t *fields = nsurlsession_request_all_http_header_fields(request);
    nsurlsession_release(request);
    return fields;
}

TEST(header_dictionaries_ignore_case)
{
    nsurlsession_dictionary_t *fields = header_fields();
    CHECK_EQ_INT(nsurlsession_dictionary_count(fields), 2);
    CHECK_EQ_STR(text_for(fields, "Content-Type"), "text/plain");
    CHECK_EQ_STR(text_for(fields, "content-type"), "text/plain");
    CHECK_EQ_STR(text_for(fields, "CONTENT-TYPE"), "text/plain");
    CHECK(nsurlsession_dictionary_object_for_key(fields, "Content_Type") == NULL);

    /* Also when they are written, and when they were copied. */
    set_text(fields, "CONTENT-type", "text/html");
    CHECK_EQ_INT(nsurlsession_dictionary_count(fields), 2);
    CHECK_EQ_STR(text_for(fields, "content-type"), "text/html");
    nsurlsession_dictionary_t *copy = nsurlsession_copy(fields);
    CHECK_EQ_STR(text_for(copy, "x-ONE"), "1");
    nsurlsession_release(copy);

    nsurlsession_array_t *array = array_of(fields);
    nsurlsession_dictionary_t *inside = nsurlsession_array_object_at_index(array, 0);
    CHECK_EQ_STR(text_for(inside, "x-ONE"), "1");
    nsurlsession_release(inside);
    nsurlsession_release(array);
}

/* Equality is symmetric, and equal objects have equal hashes, also where keys are compared differently. */
TEST(header_dictionaries_and_others_agree_on_equality)
{
    nsurlsession_dictionary_t *fields = header_fields();
    nsurlsession_dictionary_t *same = nsurlsession_dictionary_new();
    set_text(same, "Content-Type", "text/plain");
    set_text(same, "X-One", "1");
    CHECK(nsurlsession_is_equal(fields, same));
    CHECK(nsurlsession_is_equal(same, fields));
    CHECK(nsurlsession_hash(same) == nsurlsession_hash(fields));

    nsurlsession_dictionary_t *spelled = nsurlsession_dictionary_new();
    set_text(spelled, "content-type", "text/plain");
    set_text(spelled, "x-one", "1");
    CHECK_EQ_INT(nsurlsession_is_equal(spelled, fields), nsurlsession_is_equal(fields, spelled));
    nsurlsession_release(spelled);

    nsurlsession_dictionary_t *twice = nsurlsession_dictionary_new();
    set_text(twice, "x-one", "1");
    set_text(twice, "X-One", "1");
    CHECK(!nsurlsession_is_equal(fields, twice));
    CHECK(!nsurlsession_is_equal(twice, fields));
    nsurlsession_release(twice);
    nsurlsession_release(same);
    nsurlsession_release(fields);
}

/* ---- Depth --------------------------------------------------------------------------------- */

enum { DEEPEST = 64 };

/* `levels` arrays inside one another, around a string; NULL once that was refused. */
static void *nested_arrays(int levels)
{
    void *object = string("core");
    while (object && levels-- > 0)
        object = array_of(object);
    return object;
}

static void *nested_dictionaries(int levels)
{
    void *object = string("core");
    while (levels-- > 0) {
        nsurlsession_dictionary_t *around = nsurlsession_dictionary_new();
        nsurlsession_dictionary_set_object_for_key(around, object, "key");
        nsurlsession_release(object);
        object = around;
    }
    return object;
}

TEST(arrays_nest_64_deep)
{
    nsurlsession_array_t *deepest;
    CHECK_NO_MISUSE(deepest = nested_arrays(DEEPEST));
    CHECK_EQ_INT(nsurlsession_array_count(deepest), 1);
    CHECK_CONTAINS(text_of(nsurlsession_description(deepest)), "((((core))))");
    const void *objects[] = {deepest};
    CHECK_MISUSE("nsurlsession_array_with_objects_count",
                 CHECK(!nsurlsession_array_with_objects_count(objects, 1)));
    nsurlsession_dictionary_t *dictionary = nsurlsession_dictionary_new();
    CHECK_MISUSE("nsurlsession_dictionary_set_object_for_key",
                 nsurlsession_dictionary_set_object_for_key(dictionary, deepest, "key"));
    CHECK_EQ_INT(nsurlsession_dictionary_count(dictionary), 0);
    nsurlsession_release(dictionary);
    nsurlsession_release(deepest);
}

TEST(dictionaries_nest_64_deep)
{
    nsurlsession_dictionary_t *deepest, *around = nsurlsession_dictionary_new();
    CHECK_NO_MISUSE(deepest = nested_dictionaries(DEEPEST));
    CHECK_EQ_INT(nsurlsession_dictionary_count(deepest), 1);
    CHECK_MISUSE("nsurlsession_dictionary_set_object_for_key",
                 nsurlsession_dictionary_set_object_for_key(around, deepest, "key"));
    CHECK_EQ_INT(nsurlsession_dictionary_count(around), 0);
    nsurlsession_release(around);
    nsurlsession_release(deepest);
}

/* What is put into a dictionary that lies inside others counts as much as what is put around it. */
TEST(dictionaries_do_not_grow_deeper_from_inside)
{
    nsurlsession_dictionary_t *root = nsurlsession_dictionary_new();
    nsurlsession_dictionary_t *empty = nsurlsession_dictionary_new();
    nsurlsession_dictionary_t *innermost = nsurlsession_retain(root);
    for (int level = 0; level < 3 * DEEPEST && innermost; level++) {
        nsurlsession_dictionary_set_object_for_key(innermost, empty, "key");
        nsurlsession_dictionary_t *next = nsurlsession_dictionary_object_for_key(innermost, "key");
        nsurlsession_release(innermost);
        innermost = next;
    }
    nsurlsession_release(innermost);

    int depth = 0;
    for (nsurlsession_dictionary_t *each = nsurlsession_retain(root); each; depth++) {
        nsurlsession_dictionary_t *next = nsurlsession_dictionary_object_for_key(each, "key");
        nsurlsession_release(each);
        each = next;
    }
    CHECK_BETWEEN(depth, 2, DEEPEST);
    nsurlsession_release(empty);
    nsurlsession_release(root);
}

/* 40 levels that each hold the one below twice are 40 objects, not 2 to the power of 40. */
TEST(shared_objects_are_not_walked_again_and_again)
{
    nsurlsession_array_t *array = array_of(string("core"));
    for (int level = 1; level < 40; level++) {
        const void *objects[] = {array, array};
        nsurlsession_array_t *around = nsurlsession_array_with_objects_count(objects, 2);
        nsurlsession_release(array);
        array = around;
    }
    CHECK_EQ_INT(nsurlsession_array_count(array), 2);
    nsurlsession_release(array);
}

/* ---- Deallocators that call the library ---------------------------------------------------- */

static nsurlsession_dictionary_t *the_dictionary;

static void look_into_the_dictionary(void *context, void *bytes, size_t length)
{
    count_freed(context, bytes, length);
    CHECK_EQ_INT(nsurlsession_dictionary_count(the_dictionary), 1);
    CHECK_EQ_STR(text_for(the_dictionary, "key"), "in its place");
    set_text(the_dictionary, "more", "from a deallocator");
}

TEST(a_deallocator_may_use_the_dictionary_that_let_go)
{
    struct memory memory = {0};
    the_dictionary = nsurlsession_dictionary_new();
    nsurlsession_data_t *data = nsurlsession_data_with_bytes_no_copy_length_deallocator(
        some_bytes, sizeof some_bytes, look_into_the_dictionary, &memory);
    nsurlsession_dictionary_set_object_for_key(the_dictionary, data, "key");
    nsurlsession_release(data);
    set_text(the_dictionary, "key", "in its place");
    CHECK_EQ_INT(memory.freed, 1);
    CHECK_EQ_STR(text_for(the_dictionary, "more"), "from a deallocator");
    nsurlsession_release(the_dictionary);
}

static nsurlsession_request_t *the_request;

static void look_into_the_request(void *context, void *bytes, size_t length)
{
    count_freed(context, bytes, length);
    CHECK(nsurlsession_request_http_body(the_request) == NULL);
    nsurlsession_request_set_http_method(the_request, "PUT");
}

TEST(a_deallocator_may_use_the_request_that_let_go)
{
    struct memory memory = {0};
    the_request = nsurlsession_request_with_url(URL);
    nsurlsession_data_t *data = nsurlsession_data_with_bytes_no_copy_length_deallocator(
        some_bytes, sizeof some_bytes, look_into_the_request, &memory);
    nsurlsession_request_set_http_body(the_request, data);
    nsurlsession_release(data);
    nsurlsession_request_set_http_body(the_request, NULL);
    CHECK_EQ_INT(memory.freed, 1);
    CHECK_EQ_STR(text_of(nsurlsession_request_http_method(the_request)), "PUT");
    nsurlsession_release(the_request);
}

/* ---- The root verbs on every class --------------------------------------------------------- */

static void *make_data(void)
{
    return nsurlsession_data_with_bytes_length("abc", 3);
}

static void *make_string(void)
{
    return string("abc");
}

static void *make_array(void)
{
    return array_of(string("abc"));
}

static void *make_dictionary(void)
{
    nsurlsession_dictionary_t *dictionary = nsurlsession_dictionary_new();
    set_text(dictionary, "key", "abc");
    return dictionary;
}

static void *make_error(void)
{
    return nsurlsession_error_with_domain_code_user_info("domain", 7, NULL);
}

static void *make_request(void)
{
    return nsurlsession_request_with_url(URL);
}

static void *make_response(void)
{
    return nsurlsession_response_with_url_status_code_http_version_header_fields(URL, 204, NULL,
                                                                                 NULL);
}

static void *make_configuration(void)
{
    return nsurlsession_configuration_ephemeral();
}

static void *make_session(void)
{
    return nsurlsession_session_with_configuration(NULL);
}

static void *make_task(void)
{
    nsurlsession_t *session = make_session();
    nsurlsession_task_t *task = nsurlsession_data_task_with_url(session, URL);
    nsurlsession_release(session);
    return task;
}

static void *make_queue(void)
{
    return nsurlsession_queue_new();
}

static void *make_input_stream(void)
{
    nsurlsession_data_t *data = make_data();
    nsurlsession_input_stream_t *stream = nsurlsession_input_stream_with_data(data);
    nsurlsession_release(data);
    return stream;
}

static void *make_output_stream(void)
{
    nsurlsession_input_stream_t *input;
    nsurlsession_output_stream_t *output;
    nsurlsession_io_stream_get_bound_streams_with_buffer_size_input_stream_output_stream(
        16, &input, &output);
    nsurlsession_release(input);
    return output;
}

static void *make_progress(void)
{
    return nsurlsession_progress_discrete_with_total_unit_count(17);
}

struct class {
    const char *name;
    void *(*make)(void);
    const char *description; /* a part of it */
    bool by_value;           /* what two calls of `make` return is equal */
    bool is_mutable;         /* a copy is another object */
};

static const struct class classes[] = {
    {"data", make_data, "616263", true, false},
    {"string", make_string, "abc", true, false},
    {"array", make_array, "abc", true, false},
    {"dictionary", make_dictionary, "abc", true, true},
    {"error", make_error, "domain", true, false},
    {"request", make_request, URL, true, true},
    {"response", make_response, URL, true, false},
    {"configuration", make_configuration, "ephemeral", true, true},
    {"session", make_session, "session", false, false},
    {"task", make_task, URL, false, false},
    {"queue", make_queue, "queue", false, false},
    {"input_stream", make_input_stream, "input stream", false, false},
    {"output_stream", make_output_stream, "output stream", false, false},
    {"progress", make_progress, "0 of 17", false, false},
};
enum { CLASSES = sizeof classes / sizeof classes[0] };

/* What every object can do; `object` is borrowed. */
static void check_root_verbs(void *object, const char *description)
{
    CHECK(nsurlsession_retain(object) == object);
    CHECK(nsurlsession_is_equal(object, object));
    CHECK(!nsurlsession_is_equal(object, NULL));
    CHECK(!nsurlsession_is_equal(NULL, object));
    CHECK(nsurlsession_hash(object) != 0);
    CHECK(nsurlsession_hash(object) == nsurlsession_hash(object));
    CHECK_CONTAINS(text_of(nsurlsession_description(object)), description);
    nsurlsession_release(object);
}

TEST_EACH(root_verbs, struct class, classes)
{
    misuse_catch();
    void *object = row->make(), *another = row->make();
    CHECK(object != NULL && another != NULL && object != another);
    check_root_verbs(object, row->description);
    CHECK_EQ_INT(nsurlsession_is_equal(object, another), row->by_value);
    CHECK_EQ_INT(nsurlsession_is_equal(another, object), row->by_value);
    CHECK_EQ_INT(nsurlsession_hash(object) == nsurlsession_hash(another), row->by_value);

    void *copy = nsurlsession_copy(object);
    CHECK_EQ_INT(copy != object, row->is_mutable);
    CHECK(nsurlsession_is_equal(copy, object));
    CHECK(nsurlsession_hash(copy) == nsurlsession_hash(object));
    CHECK_EQ_STR(text_of(nsurlsession_description(copy)), text_of(nsurlsession_description(object)));

    nsurlsession_release(another);
    nsurlsession_release(object);
    CHECK_CONTAINS(text_of(nsurlsession_description(copy)), row->description);
    nsurlsession_release(copy);
    CHECK_EQ_INT(misuse_count(), 0);
}

TEST(objects_of_two_classes_are_not_equal)
{
    void *objects[CLASSES];
    for (size_t index = 0; index < CLASSES; index++)
        objects[index] = classes[index].make();
    for (size_t one = 0; one < CLASSES; one++)
        for (size_t other = 0; other < CLASSES; other++)
            if (nsurlsession_is_equal(objects[one], objects[other]) != (one == other))
                FAIL("%s and %s", classes[one].name, classes[other].name);
    for (size_t index = 0; index < CLASSES; index++)
        nsurlsession_release(objects[index]);
}

/* As many releases as references; the array keeps the object alive, so one more is found out. */
TEST_EACH(a_release_too_many_is_ignored, struct class, classes)
{
    nsurlsession_array_t *array = array_of(row->make());
    void *object = nsurlsession_array_object_at_index(array, 0);
    CHECK_NO_MISUSE(CHECK(nsurlsession_retain(object) == object); nsurlsession_release(object);
                    nsurlsession_release(object));
    CHECK_MISUSE("nsurlsession_release", nsurlsession_release(object));
    CHECK_MISUSE("nsurlsession_release", nsurlsession_release(object));

    void *again = nsurlsession_array_object_at_index(array, 0);
    CHECK(again == object);
    CHECK_CONTAINS(text_of(nsurlsession_description(again)), row->description);
    nsurlsession_release(array);
    CHECK_CONTAINS(text_of(nsurlsession_description(again)), row->description);
    CHECK_NO_MISUSE(nsurlsession_release(again));
}

/* A handler that releases what it was only lent. */
static void release_what_was_lent(void *context, nsurlsession_data_t *data,
                                  nsurlsession_response_t *response, nsurlsession_error_t *error)
{
    CHECK(data == NULL);
    CHECK(response == NULL);
    CHECK_MISUSE("nsurlsession_release", nsurlsession_release(error));
    CHECK_EQ_INT(nsurlsession_error_code(error), NSURLSESSION_ERROR_BAD_URL);
    CHECK(nsurlsession_retain(error) == error);
    CHECK_NO_MISUSE(nsurlsession_release(error));
    CHECK_MISUSE("nsurlsession_release", nsurlsession_release(error));
    CHECK_EQ_INT(nsurlsession_error_code(error), NSURLSESSION_ERROR_BAD_URL);
    latch_count_down(context);
}

TEST(a_lent_handle_is_not_released)
{
    struct latch done = LATCH(1);
    nsurlsession_t *session = nsurlsession_session_with_configuration(NULL);
    nsurlsession_task_t *task = nsurlsession_data_task_with_url_completion_handler(
        session, "http://[::1", release_what_was_lent, &done);
    nsurlsession_task_resume(task);
    latch_wait(&done);
    nsurlsession_release(task);
    nsurlsession_release(session);
}

/* The completion objects that a delegate gets are objects, too. */
static void look_at_completion(struct recorder *recorder, const struct call *call)
{
    void *seen = recorder->user;
    CHECK(call->completion != NULL);
    check_root_verbs(call->completion, "completion");
    CHECK_CONTAINS(text_of(nsurlsession_description(call->completion)), "waiting");
    CHECK(nsurlsession_copy(call->completion) == call->completion);
    nsurlsession_release(call->completion);
    CHECK(!nsurlsession_is_equal(call->completion, call->task));
    CHECK(!nsurlsession_is_equal(call->completion, seen));
    CHECK(call->completion != seen);
    CHECK_MISUSE("nsurlsession_release", nsurlsession_release(call->completion));

    /* Each kind is refused where the other is expected. */
    if (call->kind == CALLBACK_REDIRECT)
        CHECK_MISUSE("nsurlsession_response_completion_call",
                     nsurlsession_response_completion_call(call->completion,
                                                           NSURLSESSION_RESPONSE_CANCEL));
    else
        CHECK_MISUSE("nsurlsession_redirection_completion_call",
                     nsurlsession_redirection_completion_call(call->completion, NULL));
    recorder->user = nsurlsession_retain(call->completion);
    nsurlsession_release(seen);
}

TEST(root_verbs_of_completions)
{
    struct recorder *recorder = recorder_new();
    recorder->merge_data = true;
    recorder_script(recorder, {CALLBACK_REDIRECT, 1, ACTION_NONE, false, look_at_completion},
                    {CALLBACK_RESPONSE, 1, ACTION_NONE, false, look_at_completion});
    nsurlsession_t *session = recorder_session(recorder, NULL, NULL);
    nsurlsession_task_t *task =
        nsurlsession_data_task_with_url(session, fault_url("/redirect?to=/body?size=100"));
    nsurlsession_task_resume(task);
    recorder_wait(recorder, CALLBACK_COMPLETE, 1);
    CHECK_LOG(recorder, "create, redirect 302, response 200, data 100, complete nil");
    CHECK_CONTAINS(text_of(nsurlsession_description(recorder->user)), "answered");
    nsurlsession_release(recorder->user);
    nsurlsession_invalidate_and_cancel(session);
    nsurlsession_release(task);
    nsurlsession_release(session);
    recorder_wait(recorder, CALLBACK_RELEASE, 1);
}

/* Work items, on a queue that an executor runs. */
struct executor {
    struct latch arrived;
    nsurlsession_work_t *work;
    unsigned blocks, releases;
};

static void take_work(void *context, nsurlsession_work_t *work)
{
    struct executor *executor = context;
    CHECK_MISUSE("nsurlsession_release", nsurlsession_release(work));
    executor->work = nsurlsession_retain(work);
    latch_count_down(&executor->arrived);
}

static void count_block(void *context)
{
    ((struct executor *)context)->blocks++;
}

static void count_release(void *context)
{
    ((struct executor *)context)->releases++;
}

TEST(root_verbs_of_work)
{
    struct executor executor = {.arrived = LATCH(1)};
    nsurlsession_executor_t callbacks = {.struct_size = sizeof callbacks,
                                         .context = &executor,
                                         .execute = take_work};
    nsurlsession_queue_t *queue = nsurlsession_queue_with_executor(&callbacks);
    nsurlsession_queue_add_operation_with_block(queue, count_block, &executor, count_release);
    latch_wait(&executor.arrived);
    check_root_verbs(executor.work, "work");
    CHECK(nsurlsession_copy(executor.work) == executor.work);
    nsurlsession_release(executor.work);
    CHECK(!nsurlsession_is_equal(executor.work, queue));
    CHECK_EQ_INT(executor.blocks, 0);
    nsurlsession_work_run(executor.work);
    CHECK_EQ_INT(executor.blocks, 1);
    CHECK_EQ_INT(executor.releases, 1);
    CHECK_MISUSE("nsurlsession_work_run", nsurlsession_work_run(executor.work));
    CHECK_EQ_INT(executor.blocks, 1);
    nsurlsession_release(executor.work);
    nsurlsession_release(queue);
}

TEST(root_verbs_of_null)
{
    CHECK_NO_MISUSE(CHECK(nsurlsession_retain(NULL) == NULL); nsurlsession_release(NULL);
                    CHECK(nsurlsession_copy(NULL) == NULL);
                    CHECK(!nsurlsession_is_equal(NULL, NULL));
                    CHECK_EQ_INT(nsurlsession_hash(NULL), 0);
                    CHECK(nsurlsession_description(NULL) == NULL));
}

static void check_root_verbs_refuse(const void *pointer)
{
    nsurlsession_string_t *real = string("real");
    CHECK_MISUSE("nsurlsession_retain", CHECK(nsurlsession_retain(pointer) == NULL));
    CHECK_MISUSE("nsurlsession_release", nsurlsession_release(pointer));
    CHECK_MISUSE("nsurlsession_copy", CHECK(nsurlsession_copy(pointer) == NULL));
    CHECK_MISUSE("nsurlsession_is_equal", CHECK(!nsurlsession_is_equal(pointer, real)));
    CHECK_MISUSE("nsurlsession_is_equal", CHECK(!nsurlsession_is_equal(real, pointer)));
    CHECK_MISUSE("nsurlsession_hash", CHECK_EQ_INT(nsurlsession_hash(pointer), 0));
    CHECK_MISUSE("nsurlsession_description", CHECK(nsurlsession_description(pointer) == NULL));
    nsurlsession_release(real);
}

TEST(root_verbs_of_what_is_no_object)
{
    static const uint64_t zeros[8];
    static _Alignas(8) const char text[64] = "a string, which is no object";
    check_root_verbs_refuse(zeros);
    check_root_verbs_refuse(text);
    check_root_verbs_refuse(text + 1);
}

/* ---- Handles that are not what they should be, everywhere ----------------------------------- */

static void never_data(void *context, nsurlsession_data_t *data, nsurlsession_response_t *response,
                       nsurlsession_error_t *error)
{
    (void)context, (void)data, (void)response, (void)error;
    FAIL("a handler was called for a task that does not exist");
}

static void never_tasks(void *context, nsurlsession_array_t *data_tasks,
                        nsurlsession_array_t *upload_tasks, nsurlsession_array_t *download_tasks)
{
    (void)context, (void)data_tasks, (void)upload_tasks, (void)download_tasks;
    FAIL("a handler was called for a session that does not exist");
}

static void never_all_tasks(void *context, nsurlsession_array_t *tasks)
{
    (void)context, (void)tasks;
    FAIL("a handler was called for a session that does not exist");
}

/* NULL is quiet; anything else that is refused is logged. */
static bool must_log;

#define REFUSED(function, ...)                                                                     \
    do {                                                                                           \
        misuse_catch();                                                                            \
        __VA_ARGS__;                                                                               \
        if (must_log)                                                                              \
            misuse_check_at(__FILE__, __LINE__, #__VA_ARGS__, #function);                          \
        else                                                                                       \
            misuse_check_none_at(__FILE__, __LINE__, #__VA_ARGS__);                                \
    } while (0)
/* It returns zero, or nothing. */
#define ZERO(function, ...) REFUSED(function, CHECK(!function(__VA_ARGS__)))
#define VOID(function, ...) REFUSED(function, function(__VA_ARGS__))

static void check_values_refuse(void *handle)
{
    ZERO(nsurlsession_data_bytes, handle);
    ZERO(nsurlsession_data_length, handle);
    ZERO(nsurlsession_string_utf8_string, handle);
    ZERO(nsurlsession_dictionary_count, handle);
    ZERO(nsurlsession_dictionary_object_for_key, handle, "key");
    ZERO(nsurlsession_dictionary_key_at_index, handle, 0);
    nsurlsession_string_t *value = string("value");
    VOID(nsurlsession_dictionary_set_object_for_key, handle, value, "key");
    nsurlsession_release(value);
}

static void check_arrays_refuse(void *handle)
{
    ZERO(nsurlsession_array_count, handle);
    ZERO(nsurlsession_array_object_at_index, handle, 0);
}

static void check_errors_refuse(void *handle)
{
    ZERO(nsurlsession_error_domain, handle);
    ZERO(nsurlsession_error_code, handle);
    ZERO(nsurlsession_error_user_info, handle);
    ZERO(nsurlsession_error_localized_description, handle);
    ZERO(nsurlsession_error_localized_failure_reason, handle);
    ZERO(nsurlsession_error_localized_recovery_suggestion, handle);
    ZERO(nsurlsession_error_underlying_errors, handle);
}

static void check_requests_refuse(void *handle)
{
    ZERO(nsurlsession_request_url, handle);
    VOID(nsurlsession_request_set_url, handle, URL);
    ZERO(nsurlsession_request_timeout_interval, handle);
    VOID(nsurlsession_request_set_timeout_interval, handle, 5);
    ZERO(nsurlsession_request_http_method, handle);
    VOID(nsurlsession_request_set_http_method, handle, "PUT");
    ZERO(nsurlsession_request_all_http_header_fields, handle);
    VOID(nsurlsession_request_set_all_http_header_fields, handle, NULL);
    ZERO(nsurlsession_request_value_for_http_header_field, handle, "X-One");
    VOID(nsurlsession_request_set_value_for_http_header_field, handle, "1", "X-One");
    VOID(nsurlsession_request_set_value_for_http_header_field, handle, NULL, "X-One");
    VOID(nsurlsession_request_add_value_for_http_header_field, handle, "1", "X-One");
    ZERO(nsurlsession_request_http_body, handle);
    VOID(nsurlsession_request_set_http_body, handle, NULL);
    ZERO(nsurlsession_request_http_body_stream, handle);
    VOID(nsurlsession_request_set_http_body_stream, handle, NULL);
}

static void check_responses_refuse(void *handle)
{
    ZERO(nsurlsession_response_url, handle);
    ZERO(nsurlsession_response_mime_type, handle);
    ZERO(nsurlsession_response_expected_content_length, handle);
    ZERO(nsurlsession_response_text_encoding_name, handle);
    ZERO(nsurlsession_response_suggested_filename, handle);
    ZERO(nsurlsession_response_status_code, handle);
    ZERO(nsurlsession_response_all_header_fields, handle);
    ZERO(nsurlsession_response_value_for_http_header_field, handle, "X-One");
    ZERO(nsurlsession_response_trailers, handle);
}

static void check_configurations_refuse(void *handle)
{
    ZERO(nsurlsession_configuration_timeout_interval_for_request, handle);
    VOID(nsurlsession_configuration_set_timeout_interval_for_request, handle, 5);
    ZERO(nsurlsession_configuration_timeout_interval_for_resource, handle);
    VOID(nsurlsession_configuration_set_timeout_interval_for_resource, handle, 5);
    ZERO(nsurlsession_configuration_http_additional_headers, handle);
    VOID(nsurlsession_configuration_set_http_additional_headers, handle, NULL);
    ZERO(nsurlsession_configuration_http_maximum_connections_per_host, handle);
    VOID(nsurlsession_configuration_set_http_maximum_connections_per_host, handle, 1);
}

static void check_sessions_refuse(void *handle)
{
    ZERO(nsurlsession_delegate_queue, handle);
    ZERO(nsurlsession_delegate, handle);
    ZERO(nsurlsession_configuration, handle);
    ZERO(nsurlsession_session_description, handle);
    VOID(nsurlsession_set_session_description, handle, "label");
    VOID(nsurlsession_finish_tasks_and_invalidate, handle);
    VOID(nsurlsession_invalidate_and_cancel, handle);
    VOID(nsurlsession_get_tasks_with_completion_handler, handle, never_tasks, NULL);
    VOID(nsurlsession_get_all_tasks_with_completion_handler, handle, never_all_tasks, NULL);
    nsurlsession_request_t *request = nsurlsession_request_with_url(URL);
    ZERO(nsurlsession_data_task_with_request, handle, request);
    ZERO(nsurlsession_data_task_with_url, handle, URL);
    ZERO(nsurlsession_data_task_with_request_completion_handler, handle, request, never_data, NULL);
    ZERO(nsurlsession_data_task_with_url_completion_handler, handle, URL, never_data, NULL);
    nsurlsession_release(request);
}

static void check_tasks_refuse(void *handle)
{
    ZERO(nsurlsession_task_kind, handle);
    ZERO(nsurlsession_task_identifier, handle);
    ZERO(nsurlsession_task_original_request, handle);
    ZERO(nsurlsession_task_current_request, handle);
    ZERO(nsurlsession_task_response, handle);
    ZERO(nsurlsession_task_delegate, handle);
    struct executor counter = {.releases = 0};
    nsurlsession_delegate_t delegate = {
        .struct_size = sizeof delegate, .context = &counter, .release = count_release};
    VOID(nsurlsession_task_set_delegate, handle, &delegate);
    CHECK_EQ_INT(counter.releases, 1);
    ZERO(nsurlsession_task_count_of_bytes_sent, handle);
    ZERO(nsurlsession_task_count_of_bytes_received, handle);
    ZERO(nsurlsession_task_count_of_bytes_expected_to_send, handle);
    ZERO(nsurlsession_task_count_of_bytes_expected_to_receive, handle);
    ZERO(nsurlsession_task_description, handle);
    VOID(nsurlsession_task_set_description, handle, "label");
    VOID(nsurlsession_task_cancel, handle);
    VOID(nsurlsession_task_suspend, handle);
    VOID(nsurlsession_task_resume, handle);
    ZERO(nsurlsession_task_state, handle);
    ZERO(nsurlsession_task_error, handle);
    VOID(nsurlsession_response_completion_call, handle, NSURLSESSION_RESPONSE_ALLOW);
    VOID(nsurlsession_redirection_completion_call, handle, NULL);
}

static void check_queues_refuse(void *handle)
{
    ZERO(nsurlsession_queue_run, handle);
    ZERO(nsurlsession_queue_run_until_date, handle, date_now() + 1000);
    ZERO(nsurlsession_queue_poll, handle);
    REFUSED(nsurlsession_queue_fd, CHECK_EQ_INT(nsurlsession_queue_fd(handle), -1));
    VOID(nsurlsession_queue_stop, handle);
    ZERO(nsurlsession_queue_suspended, handle);
    VOID(nsurlsession_queue_set_suspended, handle, true);
    ZERO(nsurlsession_queue_name, handle);
    VOID(nsurlsession_queue_set_name, handle, "label");
    struct executor counter = {.blocks = 0};
    VOID(nsurlsession_queue_add_operation_with_block, handle, count_block, &counter, count_release);
    CHECK_EQ_INT(counter.blocks, 0);
    CHECK_EQ_INT(counter.releases, 1);
    VOID(nsurlsession_queue_cancel_all_operations, handle);
    VOID(nsurlsession_queue_wait_until_all_operations_are_finished, handle);
    VOID(nsurlsession_work_run, handle);
    VOID(nsurlsession_work_discard, handle);
}

static void check_input_streams_refuse(void *handle)
{
    uint8_t byte;
    VOID(nsurlsession_input_stream_signal, handle);
    REFUSED(nsurlsession_input_stream_read_max_length,
            CHECK_EQ_INT(nsurlsession_input_stream_read_max_length(handle, &byte, 1), -1));
    ZERO(nsurlsession_input_stream_has_bytes_available, handle);
    nsurlsession_request_t *request = nsurlsession_request_with_url(URL);
    VOID(nsurlsession_request_set_http_body_stream, request, handle);
    CHECK(nsurlsession_request_http_body_stream(request) == NULL);
    nsurlsession_release(request);
}

static void check_output_streams_refuse(void *handle)
{
    const uint8_t byte = 0;
    REFUSED(nsurlsession_output_stream_write_max_length,
            CHECK_EQ_INT(nsurlsession_output_stream_write_max_length(handle, &byte, 1), -1));
    ZERO(nsurlsession_output_stream_has_space_available, handle);
}

/* What both kinds of streams have. */
static void check_io_streams_refuse(void *handle)
{
    VOID(nsurlsession_io_stream_open, handle);
    VOID(nsurlsession_io_stream_close, handle);
    ZERO(nsurlsession_io_stream_stream_status, handle);
    ZERO(nsurlsession_io_stream_stream_error, handle);
}

/* What makes a stream of bytes takes data only. */
static void check_makers_of_streams_refuse(void *handle)
{
    ZERO(nsurlsession_input_stream_with_data, handle);
}

/* It returns not a number. */
#define NO_DATE(function, ...) REFUSED(function, CHECK(isnan(function(__VA_ARGS__))))

static void check_metrics_refuse(void *handle)
{
    ZERO(nsurlsession_task_metrics_transaction_metrics, handle);
    ZERO(nsurlsession_task_metrics_task_interval, handle);
    ZERO(nsurlsession_task_metrics_redirect_count, handle);
    NO_DATE(nsurlsession_transaction_metrics_fetch_start_date, handle);
    NO_DATE(nsurlsession_transaction_metrics_domain_lookup_start_date, handle);
    NO_DATE(nsurlsession_transaction_metrics_domain_lookup_end_date, handle);
    NO_DATE(nsurlsession_transaction_metrics_connect_start_date, handle);
    NO_DATE(nsurlsession_transaction_metrics_secure_connection_start_date, handle);
    NO_DATE(nsurlsession_transaction_metrics_secure_connection_end_date, handle);
    NO_DATE(nsurlsession_transaction_metrics_connect_end_date, handle);
    NO_DATE(nsurlsession_transaction_metrics_request_start_date, handle);
    NO_DATE(nsurlsession_transaction_metrics_request_end_date, handle);
    NO_DATE(nsurlsession_transaction_metrics_response_start_date, handle);
    NO_DATE(nsurlsession_transaction_metrics_response_end_date, handle);
    ZERO(nsurlsession_transaction_metrics_request, handle);
    ZERO(nsurlsession_transaction_metrics_response, handle);
    ZERO(nsurlsession_transaction_metrics_network_protocol_name, handle);
    ZERO(nsurlsession_transaction_metrics_proxy_connection, handle);
    ZERO(nsurlsession_transaction_metrics_reused_connection, handle);
    ZERO(nsurlsession_transaction_metrics_resource_fetch_type, handle);
    ZERO(nsurlsession_transaction_metrics_count_of_request_header_bytes_sent, handle);
    ZERO(nsurlsession_transaction_metrics_count_of_request_body_bytes_sent, handle);
    ZERO(nsurlsession_transaction_metrics_count_of_request_body_bytes_before_encoding, handle);
    ZERO(nsurlsession_transaction_metrics_count_of_response_header_bytes_received, handle);
    ZERO(nsurlsession_transaction_metrics_count_of_response_body_bytes_received, handle);
    ZERO(nsurlsession_transaction_metrics_count_of_response_body_bytes_after_decoding, handle);
    ZERO(nsurlsession_transaction_metrics_local_address, handle);
    ZERO(nsurlsession_transaction_metrics_local_port, handle);
    ZERO(nsurlsession_transaction_metrics_remote_address, handle);
    ZERO(nsurlsession_transaction_metrics_remote_port, handle);
    ZERO(nsurlsession_transaction_metrics_negotiated_tls_protocol_version, handle);
    ZERO(nsurlsession_transaction_metrics_negotiated_tls_cipher_suite, handle);
    ZERO(nsurlsession_transaction_metrics_cellular, handle);
    ZERO(nsurlsession_transaction_metrics_expensive, handle);
    ZERO(nsurlsession_transaction_metrics_constrained, handle);
    ZERO(nsurlsession_transaction_metrics_multipath, handle);
    ZERO(nsurlsession_transaction_metrics_domain_resolution_protocol, handle);
    NO_DATE(nsurlsession_date_interval_start_date, handle);
    NO_DATE(nsurlsession_date_interval_end_date, handle);
    ZERO(nsurlsession_date_interval_duration, handle);
}

static void never_changed(void *context, nsurlsession_progress_t *progress)
{
    (void)context, (void)progress;
    FAIL("a handler was called for a progress that does not exist");
}

static void check_progress_refuses(void *handle)
{
    ZERO(nsurlsession_progress_total_unit_count, handle);
    VOID(nsurlsession_progress_set_total_unit_count, handle, 1);
    ZERO(nsurlsession_progress_completed_unit_count, handle);
    VOID(nsurlsession_progress_set_completed_unit_count, handle, 1);
    ZERO(nsurlsession_progress_fraction_completed, handle);
    ZERO(nsurlsession_progress_indeterminate, handle);
    ZERO(nsurlsession_progress_finished, handle);
    ZERO(nsurlsession_progress_cancellable, handle);
    VOID(nsurlsession_progress_set_cancellable, handle, true);
    ZERO(nsurlsession_progress_pausable, handle);
    VOID(nsurlsession_progress_set_pausable, handle, true);
    ZERO(nsurlsession_progress_cancelled, handle);
    ZERO(nsurlsession_progress_paused, handle);
    VOID(nsurlsession_progress_cancel, handle);
    VOID(nsurlsession_progress_pause, handle);
    VOID(nsurlsession_progress_resume, handle);
    struct executor counter = {.releases = 0};
    ZERO(nsurlsession_progress_cancellation_handler, handle);
    VOID(nsurlsession_progress_set_cancellation_handler, handle, count_block, &counter,
         count_release);
    ZERO(nsurlsession_progress_pausing_handler, handle);
    VOID(nsurlsession_progress_set_pausing_handler, handle, count_block, &counter, count_release);
    ZERO(nsurlsession_progress_resuming_handler, handle);
    VOID(nsurlsession_progress_set_resuming_handler, handle, count_block, &counter, count_release);
    VOID(nsurlsession_progress_set_change_handler, handle, NULL, never_changed, &counter,
         count_release);
    CHECK_EQ_INT(counter.blocks, 0);
    CHECK_EQ_INT(counter.releases, 4);
    ZERO(nsurlsession_progress_kind, handle);
    VOID(nsurlsession_progress_set_kind, handle, "kind");
    ZERO(nsurlsession_progress_file_operation_kind, handle);
    VOID(nsurlsession_progress_set_file_operation_kind, handle, "kind");
    ZERO(nsurlsession_progress_localized_description, handle);
    VOID(nsurlsession_progress_set_localized_description, handle, "text");
    ZERO(nsurlsession_progress_localized_additional_description, handle);
    VOID(nsurlsession_progress_set_localized_additional_description, handle, "text");
    REFUSED(nsurlsession_progress_estimated_time_remaining,
            CHECK(isnan(nsurlsession_progress_estimated_time_remaining(handle))));
    VOID(nsurlsession_progress_set_estimated_time_remaining, handle, 1);
    REFUSED(nsurlsession_progress_throughput,
            CHECK_EQ_INT(nsurlsession_progress_throughput(handle), -1));
    VOID(nsurlsession_progress_set_throughput, handle, 1);
    nsurlsession_progress_t *progress = make_progress();
    VOID(nsurlsession_progress_add_child_with_pending_unit_count, handle, progress, 1);
    VOID(nsurlsession_progress_add_child_with_pending_unit_count, progress, handle, 1);
    nsurlsession_release(progress);
}

static void check_everything_refuses(void *handle)
{
    check_input_streams_refuse(handle);
    check_output_streams_refuse(handle);
    check_io_streams_refuse(handle);
    check_makers_of_streams_refuse(handle);
    check_values_refuse(handle);
    check_arrays_refuse(handle);
    check_errors_refuse(handle);
    check_requests_refuse(handle);
    check_responses_refuse(handle);
    check_configurations_refuse(handle);
    check_sessions_refuse(handle);
    check_tasks_refuse(handle);
    check_queues_refuse(handle);
    check_metrics_refuse(handle);
    check_progress_refuses(handle);
}

TEST(null_handles)
{
    must_log = false;
    check_everything_refuses(NULL);
}

TEST(handles_of_what_is_no_object)
{
    static uint64_t zeros[8];
    static _Alignas(8) char text[64] = "a string, which is no object";
    must_log = true;
    check_everything_refuses(zeros);
    check_everything_refuses(text);
    check_everything_refuses(text + 1);
}

/* Every function with a handle of every class but its own. */
TEST_EACH(handles_of_another_class, struct class, classes)
{
    static const struct {
        const char *classes;
        void (*check)(void *handle);
    } families[] = {
        {"data string dictionary", check_values_refuse},
        {"array", check_arrays_refuse},
        {"error", check_errors_refuse},
        {"request", check_requests_refuse},
        {"response", check_responses_refuse},
        {"configuration", check_configurations_refuse},
        {"session", check_sessions_refuse},
        {"task", check_tasks_refuse},
        {"queue", check_queues_refuse},
        {"input_stream", check_input_streams_refuse},
        {"output_stream", check_output_streams_refuse},
        {"input_stream output_stream", check_io_streams_refuse},
        {"data", check_makers_of_streams_refuse},
        {"metrics", check_metrics_refuse},
        {"progress", check_progress_refuses},
    };
    must_log = true;
    void *object = row->make();
    for (size_t index = 0; index < sizeof families / sizeof families[0]; index++)
        if (!strstr(families[index].classes, row->name))
            families[index].check(object);
    CHECK_CONTAINS(text_of(nsurlsession_description(object)), row->description);
    nsurlsession_release(object);
}

/* The three classes of that family among one another. */
TEST(values_of_another_class)
{
    must_log = true;
    void *data = make_data(), *text = make_string(), *dictionary = make_dictionary();
    ZERO(nsurlsession_data_bytes, text);
    ZERO(nsurlsession_data_length, dictionary);
    ZERO(nsurlsession_string_utf8_string, data);
    ZERO(nsurlsession_string_utf8_string, dictionary);
    ZERO(nsurlsession_dictionary_count, text);
    ZERO(nsurlsession_dictionary_object_for_key, data, "key");
    ZERO(nsurlsession_dictionary_key_at_index, text, 0);
    VOID(nsurlsession_dictionary_set_object_for_key, data, text, "key");
    nsurlsession_release(data);
    nsurlsession_release(text);
    nsurlsession_release(dictionary);
}
