/* The program of a small image. Its first argument says how it behaves. */
#include <arpa/inet.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static void on_stop(int number) { (void)number; _exit(0); }

static size_t content(const char *path, char *to, size_t room) {
    int file = open(path, O_RDONLY);
    ssize_t got = file < 0 ? -1 : read(file, to, room - 1);
    if (file >= 0) close(file);
    to[got < 0 ? 0 : got] = 0;
    return got < 0 ? 0 : (size_t)got;
}

static int starts(void) { /* one byte for each start, in the volume */
    char kept[64];
    int file = open("/data/starts", O_WRONLY | O_CREAT | O_APPEND, 0600);
    if (file < 0 || write(file, "x", 1) != 1) return 0;
    close(file);
    return (int)content("/data/starts", kept, sizeof kept);
}

int main(int argc, char **argv) {
    const char *how = argc > 1 ? argv[1] : "serve";
    static char body[32768], status[8192], devices[4096], secret[256];
    if (!strcmp(how, "exit")) { fputs("cannot \x1b[31mread\x1b[0m its configuration\n", stderr); return 7; }
    if (!strcmp(how, "crash")) abort();
    if (!strcmp(how, "deaf")) signal(SIGTERM, SIG_IGN); else signal(SIGTERM, on_stop);
    if (!strcmp(how, "silent")) for (;;) pause();
    if (!strcmp(how, "flood")) for (long n = 0; n < 2000000; n++) printf("line %ld of a long log\n", n);
    fflush(stdout);
    int here = socket(AF_INET, SOCK_STREAM, 0), yes = 1, runs = starts();
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(8080)};
    setsockopt(here, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    if (bind(here, (struct sockaddr *)&address, sizeof address) || listen(here, 16)) return 3;
    for (;;) {
        int client = accept(here, 0, 0);
        if (client < 0) continue;
        char request[2048];
        ssize_t got = read(client, request, sizeof request - 1);
        request[got < 0 ? 0 : got] = 0;
        if (strstr(request, "GET /die ")) return 9;
        if (strstr(request, "GET /hang ")) { pause(); }
        content("/proc/self/status", status, sizeof status);
        content("/proc/net/dev", devices, sizeof devices);
        content("/run/secrets/word", secret, sizeof secret);
        int root = open("/written", O_WRONLY | O_CREAT, 0600), tmp = open("/tmp/written", O_WRONLY | O_CREAT, 0600);
        snprintf(body, sizeof body, "HTTP/1.0 200 OK\r\n\r\nuid %d gid %d\nstarts %d\nroot %s\ntmp %s\nsecret %zu\nfile %s\nenv %s\n%s%s",
                 getuid(), getgid(), runs, root < 0 ? "read-only" : "writable", tmp < 0 ? "read-only" : "writable",
                 strlen(secret), access("/srv/page.txt", R_OK) ? "unreadable" : "readable",
                 getenv("SMOKE") ? getenv("SMOKE") : "none", status, devices);
        if (root >= 0) close(root);
        if (tmp >= 0) close(tmp);
        if (write(client, body, strlen(body)) < 0) { }
        close(client);
    }
}
