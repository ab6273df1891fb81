/*
 * A delegate and a completion handler that write down what they see, and do what a table says.
 *
 * Every callback becomes a line: "create", "redirect 302", "response 200", "data 5",
 * "complete nil", "complete -999", "invalid nil", "release". The recorder also fails the test when
 * a rule is broken that holds for every session: callbacks do not overlap, a task completes once
 * and sends nothing after that, nothing comes after did_become_invalid_with_error but the release,
 * which comes once.
 */
#ifndef RECORDER_H
#define RECORDER_H

#include "test.h"
#include <nsurlsession/nsurlsession.h>

/* ---- Owned results: read and released in one expression ------------------------------------ */

/* The text of a string object that a function returned; releases the object. NULL for NULL. */
const char *text_of(nsurlsession_string_t *owned);
/* The string or NULL under `key` of a dictionary that a function returned; releases the dictionary. */
const char *text_at(nsurlsession_dictionary_t *owned, const char *key);
/* The bytes of `data` as text, borrowed object. */
const char *text_of_data(nsurlsession_data_t *data);

/* Runs a queue of the caller's until nsurlsession_queue_stop; past the deadline the test fails. */
void run_queue(nsurlsession_queue_t *queue);

/* ---- The delegate's script ----------------------------------------------------------------- */

enum callback {
    CALLBACK_CREATE,
    CALLBACK_REDIRECT,
    CALLBACK_RESPONSE,
    CALLBACK_DATA,
    CALLBACK_COMPLETE,
    CALLBACK_INVALID,
    CALLBACK_RELEASE,
    /* Implemented only when recorder->with says so. */
    CALLBACK_SENT,          /* "sent TOTAL/EXPECTED"; those in a row become one line */
    CALLBACK_INFORMATIONAL, /* "informational 103" */
    CALLBACK_NEED_STREAM,   /* "need stream", or "need stream from OFFSET" */
    CALLBACK_METRICS,
    CALLBACK_BECAME_DOWNLOAD,
    CALLBACK_WRITTEN,       /* "written TOTAL/EXPECTED"; those in a row become one line */
    CALLBACK_RESUMED,       /* "resumed OFFSET/EXPECTED" */
    CALLBACK_DOWNLOADED,    /* "downloaded SIZE": the file's bytes count as received */
    CALLBACK_KINDS,
};

enum action {
    /* Answer as a delegate that wants everything: allow the response, follow the redirect. */
    ACTION_NONE,
    ACTION_CANCEL,
    ACTION_SUSPEND,
    ACTION_RESUME,
    /* Suspend here; a thread resumes once the callback has returned. */
    ACTION_SUSPEND_RESUME_LATER,
    ACTION_INVALIDATE_AND_CANCEL,
    ACTION_FINISH_TASKS_AND_INVALIDATE,
    /* Drop the reference in recorder->task or recorder->session, perhaps the last one. */
    ACTION_RELEASE_TASK,
    ACTION_RELEASE_SESSION,
    /* For CALLBACK_RESPONSE and CALLBACK_REDIRECT only, instead of the answer of ACTION_NONE. */
    ACTION_ANSWER_CANCEL,        /* NSURLSESSION_RESPONSE_CANCEL; NULL: do not follow */
    ACTION_ANSWER_TWICE,         /* allow or follow, then cancel or NULL: the first one holds */
    ACTION_ANSWER_LATER,         /* retain; a thread allows or follows after the callback */
    ACTION_ANSWER_HELD,          /* retain; the test calls recorder_answer */
    ACTION_NEVER_ANSWER,         /* return without an answer and without a retain */
    ACTION_ANSWER_BECOME_DOWNLOAD, /* CALLBACK_RESPONSE only */
    ACTION_RELEASE_ANSWER_LATER, /* retain; a thread releases it after the callback, unanswered */
};

/* What a hook gets; the handles are those of the callback, borrowed, NULL where it has none. */
struct call {
    enum callback kind;
    unsigned nth; /* of its kind, from 1, over all tasks */
    nsurlsession_t *session;
    nsurlsession_task_t *task;
    nsurlsession_response_t *response;
    nsurlsession_request_t *request;
    nsurlsession_data_t *data;
    nsurlsession_error_t *error;
    nsurlsession_task_metrics_t *metrics;
    nsurlsession_task_t *download_task;
    const char *location;
    int64_t expected; /* bytes in all, -1: unknown */
    int64_t more; /* CALLBACK_SENT and CALLBACK_WRITTEN: since the last time */
    void *completion;
};

struct recorder;

/* One row of a script: at the nth callback of a kind (0: at each), do `action`, then `hook`. */
struct step {
    enum callback at;
    unsigned nth;
    enum action action;
    /* On a thread of its own at the same time as the callback, not inside it. */
    bool elsewhere;
    void (*hook)(struct recorder *recorder, const struct call *call);
};

struct event {
    enum callback kind;
    uint64_t task; /* nsurlsession_task_identifier; 0 for a session's callback */
    pthread_t thread;
    double time; /* monotonic_seconds */
    int64_t value;    /* status, byte count or error code */
    int64_t expected; /* bytes */
    bool has_error;
};

struct held_answer;

struct recorder {
    /* Set before recorder_session or recorder_delegate. */
    const struct step *steps;
    size_t step_count;
    unsigned without; /* bit (1u << CALLBACK_x): a method that the delegate does not implement */
    unsigned with; /* such bits: methods from CALLBACK_SENT on that it implements */
    /* CALLBACK_NEED_STREAM is answered with the stream that this returns, which is released. */
    nsurlsession_input_stream_t *(*stream_for)(struct recorder *recorder, const struct call *call);
    const char *keep_as; /* CALLBACK_DOWNLOADED: the file is moved there */
    bool discard_body; /* count and hash only: for bodies too large to keep */
    bool merge_data;   /* "data N" lines in a row of one task become one line with the sum */
    nsurlsession_queue_t *stop_queue; /* stopped at CALLBACK_COMPLETE and CALLBACK_INVALID */
    void *user;

    /* For ACTION_RELEASE_*: references of the test's that the recorder may drop. */
    nsurlsession_task_t *task;
    nsurlsession_t *session;

    /* Read through the functions below, or after recorder_wait. */
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    struct event *events;
    size_t event_count, event_capacity;
    unsigned counts[CALLBACK_KINDS];   /* callbacks that began */
    unsigned returned[CALLBACK_KINDS]; /* and those that did what the script says and returned */
    uint8_t *body; /* of all tasks, in the order of arrival */
    size_t body_length, body_capacity;
    uint64_t received; /* bytes of did_receive_data, also with discard_body */
    uint64_t digest;   /* FNV-1a of them */
    bool pattern_holds; /* byte n of all received bytes was pattern_byte(n) */
    int inside;
    struct held_answer *held;
};

/* Lives until the process ends: a late callback finds it. */
struct recorder *recorder_new(void);
/* A delegate with all the methods but `without`. What it points at lives as long as the recorder. */
const nsurlsession_delegate_t *recorder_delegate(struct recorder *recorder);
/* A session with this delegate. NULL configuration: ephemeral. The caller releases the session. */
nsurlsession_t *recorder_session(struct recorder *recorder,
                                 const nsurlsession_configuration_t *configuration,
                                 nsurlsession_queue_t *queue);
/* Sets the script: recorder_script(r, {CALLBACK_DATA, 1, ACTION_CANCEL, false, NULL}, ...). */
#define recorder_script(recorder, ...)                                                             \
    recorder_set_steps(recorder, (const struct step[]){__VA_ARGS__},                               \
                       sizeof((const struct step[]){__VA_ARGS__}) / sizeof(struct step))
void recorder_set_steps(struct recorder *recorder, const struct step *steps, size_t count);

/*
 * Waits until n callbacks of a kind have returned; past the deadline the test fails. For a
 * callback that a hook holds up, wait for a latch of the hook's.
 */
#define recorder_wait(recorder, kind, nth)                                                         \
    recorder_wait_at(__FILE__, __LINE__, recorder, kind, nth)
void recorder_wait_at(const char *file, int line, struct recorder *recorder, enum callback kind,
                      unsigned nth);
/* How many callbacks of a kind have begun. */
unsigned recorder_count(struct recorder *recorder, enum callback kind);
/* Gives every answer that ACTION_ANSWER_HELD kept: allow or follow, or else cancel or NULL. */
void recorder_answer(struct recorder *recorder, bool allow);
/* Releases them unanswered. */
void recorder_drop_answers(struct recorder *recorder);

/* The lines so far, joined by ", ": for CHECK_EQ_STR. Of one task, or of all with task 0. */
const char *recorder_log(struct recorder *recorder, uint64_t task);
#define CHECK_LOG(recorder, expected) CHECK_EQ_STR(recorder_log(recorder, 0), expected)
/* The nth line of `kind`, from 1; the test fails if there is none. */
struct event recorder_event(struct recorder *recorder, enum callback kind, unsigned nth);
/* Whether every callback but "create" came on one thread. */
bool recorder_on_one_thread(struct recorder *recorder);
/* The body as NUL-terminated text. */
const char *recorder_text(struct recorder *recorder);

/* ---- A completion handler ------------------------------------------------------------------ */

/* The context of record_completion, which also checks the handler's contract. */
struct completion {
    nsurlsession_queue_t *stop_queue; /* stopped when the handler was called */
    struct latch done;
    unsigned calls;
    pthread_t thread;
    int64_t status;       /* 0: no response */
    const char *url;      /* the response's; NULL: no response */
    const char *body;     /* NULL: no data; else NUL-terminated besides its length */
    size_t body_length;
    int64_t error_code;   /* 0: no error */
    const char *error_domain;
    const char *error_description;
};

struct completion *completion_new(void);
/* The handler; its context is a struct completion. */
void record_completion(void *context, nsurlsession_data_t *data, nsurlsession_response_t *response,
                       nsurlsession_error_t *error);
#define completion_wait(completion) latch_wait(&(completion)->done)

/* GETs `url` in `session` with a completion handler and waits for it. Not for a caller's queue. */
struct completion *fetch(nsurlsession_t *session, const char *url);

#endif
