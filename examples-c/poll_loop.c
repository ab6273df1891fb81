/*
 * poll_loop URL...: loads URLs at the same time inside a program that has its own poll(2) loop.
 *
 * The loop watches three descriptors: the delegate queue's, a timerfd that ticks twice a second,
 * and standard input (Enter: how many transfers are left; q and Enter: cancel them). When the
 * queue's descriptor is readable, nsurlsession_queue_poll runs the callbacks that are due and
 * returns, so every callback runs on the main thread, between two turns of the loop.
 */
#define _POSIX_C_SOURCE 200809L
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <nsurlsession/nsurlsession.h>

/* Only the main thread touches these: no lock. */
static size_t remaining;
static int exit_code;

static void done(void *context, nsurlsession_data_t *data, nsurlsession_response_t *response,
                 nsurlsession_error_t *error)
{
    const char *url = context;

    if (error) {
        fprintf(stderr, "%s: %s\n", url, nsurlsession_error_localized_description(error));
        exit_code = 1;
    } else {
        printf("%s: %" PRId64 ", %zu bytes\n", url, nsurlsession_response_status_code(response),
               nsurlsession_data_length(data));
    }
    remaining--;
}

/* A timer that expires every half second, or -1. */
static int open_ticker(void)
{
    struct itimerspec interval = {
        .it_interval = { .tv_nsec = 500000000 },
        .it_value = { .tv_nsec = 500000000 },
    };
    int fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);

    if (fd >= 0 && timerfd_settime(fd, 0, &interval, NULL) < 0) {
        close(fd);
        fd = -1;
    }
    return fd;
}

static void read_ticker(int fd)
{
    uint64_t expirations;

    if (read(fd, &expirations, sizeof expirations) == (ssize_t)sizeof expirations)
        printf("tick: %zu transfers left\n", remaining);
}

/* Reads what was typed. False when standard input has ended. */
static bool read_input(nsurlsession_t *session)
{
    char text[256];
    ssize_t length = read(STDIN_FILENO, text, sizeof text);

    if (length < 0)
        return errno == EINTR || errno == EAGAIN;
    if (length == 0)
        return false;
    if (text[0] == 'q')
        nsurlsession_invalidate_and_cancel(session); /* each `done` still comes, with an error */
    else
        printf("%zu transfers left\n", remaining);
    return true;
}

int main(int argc, char **argv)
{
    if (argc < 2) {
        fprintf(stderr, "usage: poll_loop URL...\n");
        return 2;
    }
    int ticker = open_ticker();
    if (ticker < 0) {
        perror("poll_loop: timerfd");
        return 1;
    }

    nsurlsession_queue_t *queue = nsurlsession_queue_new();
    nsurlsession_configuration_t *configuration = nsurlsession_configuration_default();
    nsurlsession_t *session =
        nsurlsession_session_with_configuration_delegate_delegate_queue(configuration, NULL, queue);

    for (int i = 1; i < argc; i++) {
        nsurlsession_task_t *task =
            nsurlsession_data_task_with_url_completion_handler(session, argv[i], done, argv[i]);
        remaining++;
        nsurlsession_task_resume(task);
        nsurlsession_release(task); /* the session keeps a running task alive */
    }

    enum { QUEUE, TICKER, INPUT, COUNT };
    struct pollfd fds[COUNT] = {
        [QUEUE] = { .fd = nsurlsession_queue_fd(queue), .events = POLLIN }, /* the queue closes it */
        [TICKER] = { .fd = ticker, .events = POLLIN },
        [INPUT] = { .fd = STDIN_FILENO, .events = POLLIN },
    };
    while (remaining > 0) {
        if (poll(fds, COUNT, -1) < 0) {
            if (errno == EINTR)
                continue;
            perror("poll_loop: poll");
            exit_code = 1;
            break;
        }
        if (fds[QUEUE].revents)
            nsurlsession_queue_poll(queue); /* `done` runs in here */
        if (fds[TICKER].revents)
            read_ticker(ticker);
        if (fds[INPUT].revents && !read_input(session))
            fds[INPUT].fd = -1; /* poll ignores a negative descriptor */
    }

    nsurlsession_finish_tasks_and_invalidate(session);
    nsurlsession_release(session);
    nsurlsession_release(configuration);
    nsurlsession_release(queue);
    close(ticker);
    return exit_code;
}
