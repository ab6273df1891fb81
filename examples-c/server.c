/*
 * server [PORT]: a small HTTP/1.1 server on the loopback interface, for trying the examples on.
 *
 * Prints its port, serves three pages, and ends when standard input closes:
 *   /         a greeting in text/html
 *   /json     an object in application/json
 *   /numbers  five pieces of text/plain in a chunked body, a fifth of a second apart
 *
 * It does not use the library. One thread serves one connection. Not for anything but examples.
 */
#define _POSIX_C_SOURCE 200809L
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define HEAD_LIMIT 8192 /* bytes of a request's head */
#define IDLE_LIMIT_SECONDS 30

struct request {
    char method[16];
    char path[1024];
    bool http_1_0;
    bool keep_alive;
    bool has_body;
};

/* ---- Sending: false when the client is gone ------------------------------------------------ */

static bool send_all(int fd, const char *bytes, size_t length)
{
    while (length > 0) {
        ssize_t sent = send(fd, bytes, length, MSG_NOSIGNAL);
        if (sent < 0) {
            if (errno == EINTR)
                continue;
            return false;
        }
        bytes += sent;
        length -= (size_t)sent;
    }
    return true;
}

/* `framing` is the header line that says where the body ends, or empty. */
static bool send_head(int fd, const struct request *request, const char *status, const char *type,
                      const char *framing)
{
    char date[64];
    char head[512];
    time_t seconds = time(NULL);
    struct tm utc;

    gmtime_r(&seconds, &utc);
    strftime(date, sizeof date, "%a, %d %b %Y %H:%M:%S GMT", &utc);
    int length = snprintf(head, sizeof head,
                          "HTTP/1.1 %s\r\nDate: %s\r\nServer: nsurlsession-example\r\n"
                          "Content-Type: %s\r\n%s%s\r\n",
                          status, date, type, framing,
                          request->keep_alive ? "" : "Connection: close\r\n");
    return send_all(fd, head, (size_t)length);
}

static bool send_page(int fd, const struct request *request, const char *status, const char *type,
                      const char *body)
{
    char framing[64];

    snprintf(framing, sizeof framing, "Content-Length: %zu\r\n", strlen(body));
    if (!send_head(fd, request, status, type, framing))
        return false;
    return strcmp(request->method, "HEAD") == 0 || send_all(fd, body, strlen(body));
}

/* HTTP/1.0 has no chunks: there the end of the connection ends the body. */
static bool send_numbers(int fd, const struct request *request)
{
    static const char *const pieces[] = { "one\n", "two\n", "three\n", "four\n", "five\n" };
    const struct timespec pause = { .tv_nsec = 200000000 };
    bool chunked = !request->http_1_0;

    if (!send_head(fd, request, "200 OK", "text/plain; charset=utf-8",
                   chunked ? "Transfer-Encoding: chunked\r\n" : ""))
        return false;
    if (strcmp(request->method, "HEAD") == 0)
        return true;
    for (size_t i = 0; i < sizeof pieces / sizeof *pieces; i++) {
        char chunk[64];
        const char *piece = pieces[i];
        int length = chunked
            ? snprintf(chunk, sizeof chunk, "%zx\r\n%s\r\n", strlen(piece), piece)
            : snprintf(chunk, sizeof chunk, "%s", piece);
        if (i > 0)
            nanosleep(&pause, NULL);
        if (!send_all(fd, chunk, (size_t)length))
            return false;
    }
    return !chunked || send_all(fd, "0\r\n\r\n", 5);
}

static bool answer(int fd, const struct request *request)
{
    size_t path = strcspn(request->path, "?");
    const char *html = "text/html; charset=utf-8";

#define PATH_IS(name) (path == sizeof name - 1 && memcmp(request->path, name, path) == 0)
    if (strcmp(request->method, "GET") != 0 && strcmp(request->method, "HEAD") != 0)
        return send_page(fd, request, "405 Method Not Allowed", "text/plain\r\nAllow: GET, HEAD",
                         "Only GET and HEAD.\n");
    if (PATH_IS("/"))
        return send_page(fd, request, "200 OK", html,
                         "<!DOCTYPE html>\n<title>Hello</title>\n<p>Hello from the example server.\n");
    if (PATH_IS("/json"))
        return send_page(fd, request, "200 OK", "application/json",
                         "{\"greeting\": \"hello\", \"numbers\": [1, 2, 3, 4, 5]}\n");
    if (PATH_IS("/numbers"))
        return send_numbers(fd, request);
    return send_page(fd, request, "404 Not Found", html,
                     "<!DOCTYPE html>\n<title>Not found</title>\n<p>There is no such page.\n");
#undef PATH_IS
}

/* ---- Receiving ----------------------------------------------------------------------------- */

/* Reads the head of a request, NUL-terminated at its empty line. False when it is not one. */
static bool parse_head(char *head, struct request *request)
{
    char version[16];
    char *rest = NULL;
    char *line = strtok_r(head, "\r\n", &rest);

    memset(request, 0, sizeof *request);
    if (!line || sscanf(line, "%15s %1023s %15s", request->method, request->path, version) != 3 ||
        strncmp(version, "HTTP/1.", 7) != 0)
        return false;
    request->http_1_0 = strcmp(version, "HTTP/1.0") == 0;
    request->keep_alive = !request->http_1_0;
    while ((line = strtok_r(NULL, "\r\n", &rest))) {
        if (strncasecmp(line, "Connection:", 11) == 0 && strstr(line + 11, "close"))
            request->keep_alive = false;
        if (strncasecmp(line, "Content-Length:", 15) == 0 ||
            strncasecmp(line, "Transfer-Encoding:", 18) == 0)
            request->has_body = true;
    }
    if (request->has_body)
        request->keep_alive = false; /* bodies are not read, so nothing can follow */
    return true;
}

/* Serves requests one after another until either side closes. */
static void *serve(void *argument)
{
    int fd = (int)(intptr_t)argument;
    char buffer[HEAD_LIMIT + 1];
    size_t filled = 0;
    struct request request = { .keep_alive = true };

    while (request.keep_alive) {
        char *end;
        buffer[filled] = '\0';
        while (!(end = strstr(buffer, "\r\n\r\n"))) {
            ssize_t received = -1;
            if (filled < HEAD_LIMIT)
                received = recv(fd, buffer + filled, HEAD_LIMIT - filled, 0);
            if (received < 0 && errno == EINTR)
                continue;
            if (received <= 0)
                goto out;
            filled += (size_t)received;
            buffer[filled] = '\0';
        }
        *end = '\0';
        if (!parse_head(buffer, &request)) {
            send_page(fd, &request, "400 Bad Request", "text/plain", "That was not HTTP/1.1.\n");
            break;
        }
        if (!answer(fd, &request))
            break;
        size_t used = (size_t)(end + 4 - buffer);
        filled -= used;
        memmove(buffer, buffer + used, filled);
    }
out:
    shutdown(fd, SHUT_WR);
    while (recv(fd, buffer, HEAD_LIMIT, 0) > 0) /* else unread bytes would reset the connection */
        ;
    close(fd);
    return NULL;
}

/* ---- Listening ----------------------------------------------------------------------------- */

static int listen_on_loopback(unsigned short port)
{
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons(port) };
    int one = 1;
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) < 0 ||
        bind(fd, (struct sockaddr *)&address, sizeof address) < 0 || listen(fd, 64) < 0) {
        perror("server");
        exit(1);
    }
    return fd;
}

static void accept_connection(int listener)
{
    const struct timeval idle = { .tv_sec = IDLE_LIMIT_SECONDS };
    int one = 1;
    pthread_t thread;
    int fd = accept(listener, NULL, NULL);

    if (fd < 0)
        return;
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &idle, sizeof idle);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (pthread_create(&thread, NULL, serve, (void *)(intptr_t)fd) != 0)
        close(fd);
    else
        pthread_detach(thread);
}

int main(int argc, char **argv)
{
    char *end = "";
    unsigned long port = argc == 2 ? strtoul(argv[1], &end, 10) : 0;
    if (argc > 2 || *end != '\0' || port > 65535) {
        fprintf(stderr, "usage: server [PORT]\n");
        return 2;
    }

    struct sockaddr_in address;
    socklen_t length = sizeof address;
    int listener = listen_on_loopback((unsigned short)port);
    getsockname(listener, (struct sockaddr *)&address, &length);
    printf("%d\n", ntohs(address.sin_port));
    fflush(stdout);

    struct pollfd fds[] = { { .fd = listener, .events = POLLIN },
                            { .fd = STDIN_FILENO, .events = POLLIN } };
    for (;;) {
        char ignored[256];
        if (poll(fds, 2, -1) < 0 && errno != EINTR) {
            perror("server");
            return 1;
        }
        if (fds[0].revents)
            accept_connection(listener);
        if (fds[1].revents && read(STDIN_FILENO, ignored, sizeof ignored) <= 0)
            return 0;
    }
}
