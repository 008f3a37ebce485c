/*
 * Asks PHP-FPM on loopback for its ping page: the health check of php-mysql-secured.
 *
 *     fcgi-ping PORT PATH ANSWER
 *
 * Rules (each has a test with the same words):
 *
 *  1. 0 when the page answers with status 200 and exactly ANSWER, 1 when not, 2 when it is called wrongly.
 *  2. Three seconds for everything; after that a signal ends it.
 *  3. Whatever the other side sends, nothing is read or written outside of what was asked for.
 *
 * Source: FastCGI specification 1.0, sections 3.3 (records), 3.4 (name-value pairs) and 5 (messages).
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#define SECONDS 3
#define MAX_VALUE 127 /* so that a length is one byte */
#define MAX_ANSWER 4096

enum { VERSION = 1, REQUEST = 1, HEADER = 8 };
enum { BEGIN = 1, END = 3, PARAMS = 4, INPUT = 5, OUTPUT = 6, ERRORS = 7 };

struct buffer {
    unsigned char bytes[MAX_ANSWER];
    size_t length;
};

__attribute__((noreturn)) static void end(int code, const char *reason)
{
    fprintf(stderr, "fcgi-ping: %s\n", reason);
    exit(code);
}

static void add(struct buffer *buffer, const void *bytes, size_t length)
{
    if (length > sizeof buffer->bytes - buffer->length)
        end(1, "the answer is too long");
    memcpy(buffer->bytes + buffer->length, bytes, length);
    buffer->length += length;
}

static void add_record(struct buffer *buffer, unsigned char type, const struct buffer *content)
{
    unsigned char header[HEADER] = {VERSION, type, 0, REQUEST, (unsigned char)(content->length >> 8),
                                    (unsigned char)content->length};

    add(buffer, header, sizeof header);
    add(buffer, content->bytes, content->length);
}

static void add_pair(struct buffer *buffer, const char *name, const char *value)
{
    unsigned char lengths[2] = {(unsigned char)strlen(name), (unsigned char)strlen(value)};

    add(buffer, lengths, sizeof lengths);
    add(buffer, name, lengths[0]);
    add(buffer, value, lengths[1]);
}

static void make_request(struct buffer *request, const char *path)
{
    static const struct buffer begin = {.bytes = {0, 1 /* responder */}, .length = 8}, none = {.length = 0};
    struct buffer pairs = {.length = 0};

    add_pair(&pairs, "REQUEST_METHOD", "GET");
    add_pair(&pairs, "SCRIPT_NAME", path);
    add_pair(&pairs, "SCRIPT_FILENAME", path);
    add_pair(&pairs, "REQUEST_URI", path);
    add_record(request, BEGIN, &begin);
    add_record(request, PARAMS, &pairs);
    add_record(request, PARAMS, &none);
    add_record(request, INPUT, &none);
}

static void send_all(int connection, const struct buffer *request)
{
    for (size_t done = 0; done < request->length;) {
        ssize_t count = send(connection, request->bytes + done, request->length - done, MSG_NOSIGNAL);

        if (count <= 0)
            end(1, "the request was not taken");
        done += (size_t)count;
    }
}

static void read_all(int connection, unsigned char *bytes, size_t length)
{
    for (size_t done = 0; done < length;) {
        ssize_t count = read(connection, bytes + done, length - done);

        if (count <= 0)
            end(1, "the answer broke off");
        done += (size_t)count;
    }
}

/* Read one record's content; what the page says goes to `answer`. Whether the request has ended. */
static bool read_record(int connection, struct buffer *answer)
{
    static unsigned char content[65535 + 255]; /* two bytes of length and one of padding name no more */
    unsigned char header[HEADER];
    size_t length;

    read_all(connection, header, sizeof header);
    length = (size_t)header[4] << 8 | header[5];
    if (header[0] != VERSION || header[2] != 0 || header[3] != REQUEST)
        end(1, "the answer is not FastCGI");
    read_all(connection, content, length + header[6]);
    if (header[1] == OUTPUT)
        add(answer, content, length);
    else if (header[1] != END && header[1] != ERRORS)
        end(1, "the answer is not FastCGI");
    if (header[1] == END && (length != 8 || content[4] != 0 /* complete */))
        end(1, "the request was rejected");
    return header[1] == END;
}

/* A line of the head: whether it is anything but a status other than 200. */
static bool is_fine(const char *line)
{
    static const char status[] = "Status:";
    const char *code = line + sizeof status - 1;

    if (strncasecmp(line, status, sizeof status - 1) != 0)
        return true;
    code += strspn(code, " \t");
    return strncmp(code, "200", 3) == 0 && (code[3] == ' ' || code[3] == '\r' || code[3] == '\0');
}

/* Whether the head is fine (no status means 200) and the body exactly `wanted`. */
static bool is_wanted(struct buffer *answer, const char *wanted)
{
    static const char blank[] = "\r\n\r\n";
    char *head = (char *)answer->bytes;
    char *gap = memmem(head, answer->length, blank, sizeof blank - 1);
    char *body = gap ? gap + sizeof blank - 1 : NULL;

    if (!body || memchr(head, '\0', (size_t)(gap - head)))
        return false;
    if ((size_t)(head + answer->length - body) != strlen(wanted) || memcmp(body, wanted, strlen(wanted)) != 0)
        return false;
    *gap = '\0';
    for (const char *line = head; line; line = strstr(line, "\r\n")) {
        line += line == head ? 0 : 2;
        if (!is_fine(line))
            return false;
    }
    return true;
}

static int connect_to(int port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((unsigned short)port),
                                  .sin_addr = {htonl(INADDR_LOOPBACK)}};
    int connection = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (connection < 0 || connect(connection, (struct sockaddr *)&address, sizeof address) < 0)
        end(1, "nothing listens on that port");
    return connection;
}

int main(int argc, char *argv[])
{
    struct buffer request = {.length = 0}, answer = {.length = 0};
    char *rest = NULL;
    long port = argc == 4 ? strtol(argv[1], &rest, 10) : 0;
    int connection;

    if (port < 1 || port > 65535 || *rest || argv[2][0] != '/' || strlen(argv[2]) > MAX_VALUE)
        end(2, "expected PORT PATH ANSWER, as 9000 /ping pong");
    alarm(SECONDS);
    connection = connect_to((int)port);
    make_request(&request, argv[2]);
    send_all(connection, &request);
    while (!read_record(connection, &answer))
        continue;
    if (!is_wanted(&answer, argv[3]))
        end(1, "the page says something else");
    return 0;
}
