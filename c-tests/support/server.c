#include "server.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static struct sockaddr_in address_of(int port)
{
    return (struct sockaddr_in){
        .sin_family = AF_INET,
        .sin_port = htons((uint16_t)port),
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
    };
}

static int free_port(void)
{
    struct sockaddr_in address = address_of(0);
    socklen_t length = sizeof address;
    int descriptor = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (bind(descriptor, (struct sockaddr *)&address, sizeof address) != 0 ||
        getsockname(descriptor, (struct sockaddr *)&address, &length) != 0)
        FAIL("free_port: %s", strerror(errno));
    close(descriptor);
    return ntohs(address.sin_port);
}

static bool listens(int port)
{
    struct sockaddr_in address = address_of(port);
    int descriptor = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool connected = connect(descriptor, (struct sockaddr *)&address, sizeof address) == 0;
    close(descriptor);
    return connected;
}

/* In the child: `program` with these descriptors as its standard input and output, if any. */
static _Noreturn void become(const char *const *arguments, int input, int output)
{
    if (input >= 0)
        dup2(input, STDIN_FILENO);
    if (output >= 0)
        dup2(output, STDOUT_FILENO);
    execv(arguments[0], (char *const *)(uintptr_t)arguments);
    _exit(127);
}

static void start_fault_server(struct server *server)
{
    const char *arguments[] = {env_text("FAULT_SERVER"), "--port",
                               test_format("%d", server->port), NULL};
    int input[2], output[2];
    if (pipe2(input, O_CLOEXEC) != 0 || pipe2(output, O_CLOEXEC) != 0)
        FAIL("pipe2: %s", strerror(errno));
    server->process = fork();
    if (server->process == 0)
        become(arguments, input[0], output[1]);
    close(input[0]);
    close(output[1]);
    server->input = input[1];

    char line[64] = "";
    FILE *lines = fdopen(output[0], "r");
    if (!lines || !fgets(line, sizeof line, lines) ||
        sscanf(line, "PORT %d", &server->port) != 1)
        FAIL("%s did not say its port but \"%s\"", arguments[0], line);
    fclose(lines);
}

static void start_nginx(struct server *server)
{
    if (server->port == 0)
        server->port = free_port();
    const char *directory = test_format("%s/nginx-%d", env_text("TMPDIR"), server->port);
    const char *configuration = test_format("%s/nginx.conf", directory);
    const char *log = test_format("%s/error.log", directory);
    if (mkdir(directory, 0777) != 0 && errno != EEXIST)
        FAIL("%s: %s", directory, strerror(errno));
    FILE *file = fopen(configuration, "we");
    if (!file)
        FAIL("%s: %s", configuration, strerror(errno));
    const char *www = env_text("WWW_DIR");
    fprintf(file,
            "daemon off;\nmaster_process off;\npid %s/nginx.pid;\nerror_log %s warn;\n"
            "events { worker_connections 1000; }\n"
            "http {\n"
            "    default_type application/octet-stream;\n"
            "    access_log off;\n"
            "    client_body_temp_path %s/client-body;\n    proxy_temp_path %s/proxy;\n"
            "    fastcgi_temp_path %s/fastcgi;\n    uwsgi_temp_path %s/uwsgi;\n"
            "    scgi_temp_path %s/scgi;\n"
            "    server {\n"
            "        listen 127.0.0.1:%d;\n"
            "        root %s;\n"
            "        location ~ ^/rate/(?<rate>[0-9]+[km]?)/(?<file>.*)$ {\n"
            "            alias %s/$file;\n"
            "            limit_rate $rate;\n"
            "        }\n"
            "    }\n"
            "}\n",
            directory, log, directory, directory, directory, directory, directory, server->port,
            www, www);
    if (fclose(file) != 0)
        FAIL("%s: %s", configuration, strerror(errno));

    const char *arguments[] = {env_text("NGINX"), "-e", log,           "-p",
                               directory,         "-c", configuration, NULL};
    server->process = fork();
    if (server->process == 0)
        become(arguments, -1, -1);
    double end = monotonic_seconds() + wait_limit();
    while (!listens(server->port)) {
        if (waitpid(server->process, NULL, WNOHANG) != 0 || monotonic_seconds() > end)
            FAIL("nginx does not listen on port %d; see %s", server->port, log);
        test_pause();
    }
}

void server_restart(struct server *server)
{
    if (server->process != 0)
        FAIL("server_restart: it runs");
    switch (server->kind) {
    case SERVER_FAULT:
        start_fault_server(server);
        break;
    case SERVER_NGINX:
        start_nginx(server);
        break;
    }
}

struct server server_start(enum server_kind kind)
{
    struct server server = {.kind = kind, .input = -1};
    server_restart(&server);
    return server;
}

void server_kill(struct server *server)
{
    if (server->process == 0)
        FAIL("server_kill: it does not run");
    kill(server->process, SIGKILL);
    if (waitpid(server->process, NULL, 0) != server->process)
        FAIL("waitpid: %s", strerror(errno));
    if (server->input >= 0)
        close(server->input);
    server->process = 0;
    server->input = -1;
}

const char *server_url(const struct server *server, const char *path_and_query)
{
    return test_format("http://127.0.0.1:%d%s", server->port, path_and_query);
}
