/*
 * Stands before the C library in initdb and in what initdb starts, and only there: initdb starts the server
 * through system() and popen(), which need /bin/sh, and the image has none.
 *
 * Rules (each has a test with the same words):
 *
 *  1. One program can be run, the server that is beside initdb.
 *  2. A command is words, at most one < "/dev/null", one > "/dev/null" and one 2>&1. Whatever else a shell would
 *     read something into is refused and nothing runs.
 *  3. What runs gets the words that a shell would have given it.
 *  4. Asked for the system's locales, which needs a program that is not here, it names none.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef PROGRAM /* the tests build it with a program of their own */
#define PROGRAM "/usr/lib/postgresql/17/bin/postgres"
#endif

#define MAX_COMMAND 8192
#define MAX_WORDS 128
#define REFUSED 127 /* what a shell answers when it cannot run a command */
#define LOCALES "locale -a"

struct command {
    char text[MAX_COMMAND]; /* the words, each with its end */
    char *words[MAX_WORDS + 1];
    int count;
    bool no_input, no_output, one_output;
};

/* A character that stands for itself outside quotes, in every shell. */
static bool is_plain(char c)
{
    return c && strchr("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_./:,@%+-", c);
}

/* Between double quotes, where a shell looks for these four only. Control characters have no business here. */
static bool is_quotable(char c)
{
    return (unsigned char)c >= ' ' && c != 0x7f && !strchr("\"$`\\", c);
}

/* Copy the word at `*from` to `*to` and step over it. = is a letter, but not in the first word, where a shell
 * reads an assignment. */
static bool take_word(const char **from, char **to, bool is_first)
{
    const char *start = *from;

    while (**from && **from != ' ') {
        if (**from == '"') {
            for ((*from)++; is_quotable(**from); (*from)++)
                *(*to)++ = **from;
            if (**from != '"')
                return false;
            (*from)++;
        } else if (is_plain(**from) || (**from == '=' && !is_first)) {
            *(*to)++ = *(*from)++;
        } else {
            return false;
        }
    }
    *(*to)++ = '\0';
    return *from > start;
}

/* A redirection at `*from`, once each, to nowhere. */
static bool take_redirection(const char **from, char **to, bool *seen)
{
    char *target = *to;

    for ((*from)++; **from == ' '; (*from)++)
        continue;
    if (*seen || !take_word(from, to, true) || strcmp(target, "/dev/null") != 0)
        return false;
    *seen = true;
    return true;
}

static bool take_error(const char **from, bool *seen)
{
    static const char both[] = "2>&1";
    char after = (*from)[sizeof both - 1];

    if (*seen || (after && after != ' '))
        return false;
    *from += sizeof both - 1;
    *seen = true;
    return true;
}

static bool parse(struct command *command, const char *from)
{
    char *to = command->text;
    bool taken = true;

    if (strlen(from) + 2 > sizeof command->text) /* no word grows */
        return false;
    while (taken) {
        for (; *from == ' '; from++)
            continue;
        if (!*from)
            break;
        if (*from == '<')
            taken = take_redirection(&from, &to, &command->no_input);
        else if (*from == '>')
            taken = !command->one_output && take_redirection(&from, &to, &command->no_output);
        else if (strncmp(from, "2>&1", 4) == 0)
            taken = take_error(&from, &command->one_output);
        else {
            if (command->count == MAX_WORDS)
                return false;
            command->words[command->count] = to;
            taken = take_word(&from, &to, command->count == 0);
            command->count++;
        }
    }
    return taken && command->count > 0 && strcmp(command->words[0], PROGRAM) == 0;
}

__attribute__((noreturn)) static void become(const struct command *command)
{
    int nowhere = open("/dev/null", O_RDWR | O_CLOEXEC);

    if (nowhere < 0 || (command->no_input && dup2(nowhere, STDIN_FILENO) < 0) ||
        (command->no_output && dup2(nowhere, STDOUT_FILENO) < 0) ||
        (command->one_output && dup2(STDOUT_FILENO, STDERR_FILENO) < 0))
        _exit(REFUSED);
    close_range(STDERR_FILENO + 1, ~0U, 0);
    execv(PROGRAM, command->words);
    _exit(REFUSED);
}

/* Start `text`, with `end` as its descriptor `number` if that is not negative. */
static pid_t start(const char *text, int end, int number)
{
    struct command command = {.count = 0};
    bool allowed = parse(&command, text);
    pid_t child;

    if (!allowed && strcmp(text, LOCALES) != 0)
        fprintf(stderr, "no-shell: refused: %s\n", text);
    fflush(NULL);
    child = fork();
    if (child != 0)
        return child;
    if (!allowed || (number >= 0 && dup2(end, number) < 0))
        _exit(REFUSED);
    become(&command);
}

static int end_of(pid_t child)
{
    int status;

    while (waitpid(child, &status, 0) < 0)
        if (errno != EINTR)
            return -1;
    return status;
}

int system(const char *text)
{
    pid_t child;

    if (!text)
        return 0; /* "Is there a shell?" */
    child = start(text, -1, -1);
    return child < 0 ? -1 : end_of(child);
}

/* The one stream that can be open at a time; initdb has never two. */
static FILE *stream;
static pid_t process;

FILE *popen(const char *text, const char *mode)
{
    bool reads = mode[0] == 'r';
    int ends[2];

    if (stream || (mode[0] != 'r' && mode[0] != 'w') || pipe2(ends, O_CLOEXEC) < 0) {
        errno = stream ? EMFILE : EINVAL;
        return NULL;
    }
    process = start(text, ends[reads], reads ? STDOUT_FILENO : STDIN_FILENO);
    close(ends[reads]);
    stream = process < 0 ? NULL : fdopen(ends[!reads], reads ? "r" : "w");
    if (!stream)
        close(ends[!reads]);
    return stream;
}

int pclose(FILE *closed)
{
    if (closed != stream) {
        errno = ECHILD;
        return -1;
    }
    stream = NULL;
    fclose(closed);
    return end_of(process);
}
