/*
 * The first process of postgres-secured. There is no shell in the image; this program does what the official
 * image's shell script does, and nothing else.
 *
 * Rules (each has a test with the same words):
 *
 *  1. Nothing runs as uid 0.
 *  2. An empty data folder is initialised: page checksums, UTF-8, scram, never without a password.
 *  3. A password never reaches the disk, a command line or the environment of the server.
 *  4. While it initialises, nobody can connect: the server listens on one socket in a folder of its own.
 *  5. A first start that did not finish is never started as if it had; the data folder says so.
 *  6. What it cannot do it refuses: a variable or a script of the official image that it does not know.
 *  7. With a certificate and a key at the first start, connections without TLS are refused from then on.
 *
 * Everything after the first start is one exec of the server.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#ifndef PROGRAMS /* the tests build it with a folder of their own */
#define PROGRAMS "/usr/lib/postgresql/17/bin"
#define NO_SHELL "/usr/lib/postgres-secured/no-shell.so"
#define CONFIGURATION "/etc/postgresql/postgresql.conf"
#define SCRIPTS "/docker-entrypoint-initdb.d"
#define SOCKETS "/run/postgresql"
#endif

#define MAX_PATH 512
#define MIN_PASSWORD 8
#define MAX_PASSWORD 1000
#define MAX_NAME 63         /* NAMEDATALEN - 1 */
#define PAUSE_NANOSECONDS (20 * 1000 * 1000)
#define MAX_QUESTIONS 3000  /* a minute for the server to answer while it initialises */
#define MAX_HBA (64 * 1024) /* of pg_hba.conf, as far as it is looked into */

/* What initdb writes with --auth=reject, and what stands there until the first start has finished (rule 5). */
static const char UNFINISHED[] = "\nlocal   all             all                                     reject\n";

static const char HBA_LOCAL[] = "local all all scram-sha-256\n";
static const char HBA_PLAIN[] = "host all all all scram-sha-256\nhost replication all all scram-sha-256\n";
static const char HBA_TLS[] = "hostssl all all all scram-sha-256\nhostssl replication all all scram-sha-256\n";

/* The programs of the first start see this and nothing of the caller's environment. */
static char *const CLEAN[] = {"LANG=C.UTF-8", "TZ=UTC", "PATH=" PROGRAMS, NULL};

static sigset_t watched, unwatched; /* signals while the first start runs, and before it */
static bool stopped;               /* somebody asked us to end */

struct settings {
    const char *data, *user, *database, *certificate, *key;
};

__attribute__((noreturn, format(printf, 1, 2))) static void refuse(const char *format, ...)
{
    va_list arguments;

    fputs("entrypoint: ", stderr);
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fputc('\n', stderr);
    exit(1);
}

__attribute__((format(printf, 2, 3))) static void put(char *place, const char *format, ...)
{
    va_list arguments;
    int length;

    va_start(arguments, format);
    length = vsnprintf(place, MAX_PATH, format, arguments);
    va_end(arguments);
    if (length < 0 || length >= MAX_PATH)
        refuse("a path is longer than %d bytes", MAX_PATH - 1);
}

static const char *variable(const char *name, const char *otherwise)
{
    const char *value = getenv(name);

    return value && *value ? value : otherwise;
}

/* A name that needs no quoting anywhere: not in a connection string, not on a command line, not in a path. */
static const char *name_of(const char *variable_name, const char *otherwise)
{
    const char *name = variable(variable_name, otherwise);
    const char *rest = name + strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-");

    if (*rest || strlen(name) > MAX_NAME || strchr("0123456789.-", name[0]))
        refuse("%s may be up to %d letters, digits, _, - and ., and begins with a letter or _", variable_name,
               MAX_NAME);
    return name;
}

static void refuse_unknown(void)
{
    static const char *const refused[] = {
        "POSTGRES_HOST_AUTH_METHOD", "POSTGRES_INITDB_ARGS", "POSTGRES_INITDB_WALDIR",
        "POSTGRES_USER_FILE",        "POSTGRES_DB_FILE",
    };

    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++)
        if (variable(refused[i], NULL))
            refuse("%s is not known here; see the README of postgres-secured", refused[i]);
}

static struct settings read_settings(void)
{
    struct settings settings = {.data = variable("PGDATA", "/var/lib/postgresql/data"),
                                .certificate = variable("POSTGRES_TLS_CERT_FILE", NULL),
                                .key = variable("POSTGRES_TLS_KEY_FILE", NULL)};

    refuse_unknown();
    if (settings.data[0] != '/')
        refuse("PGDATA must be a path from the root");
    settings.user = name_of("POSTGRES_USER", "postgres");
    settings.database = name_of("POSTGRES_DB", settings.user);
    if (!settings.certificate != !settings.key)
        refuse("POSTGRES_TLS_CERT_FILE and POSTGRES_TLS_KEY_FILE belong together; one of them is missing");
    return settings;
}

/*
 * Signals: as process 1 nothing ends us by default. They are blocked and taken up one by one where we wait, so
 * that none is lost between a look and a wait.
 */

static void watch_signals(void)
{
    static const int numbers[] = {SIGCHLD, SIGINT, SIGTERM, SIGQUIT, SIGHUP};

    sigemptyset(&watched);
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        sigaddset(&watched, numbers[i]);
    signal(SIGCHLD, SIG_DFL); /* ignored, no child could be waited for */
    sigprocmask(SIG_BLOCK, &watched, &unwatched);
}

static void refuse_stopped(void)
{
    if (stopped)
        refuse("stopped before the first start had finished");
}

static void stop_watching(void)
{
    const struct timespec at_once = {0};
    int number;

    while ((number = sigtimedwait(&watched, NULL, &at_once)) > 0)
        stopped |= number != SIGCHLD;
    refuse_stopped();
    sigprocmask(SIG_SETMASK, &unwatched, NULL);
}

/* Programs */

/* It reads nothing and says everything on standard error. */
static pid_t start(char *const arguments[], char *const environment[])
{
    pid_t child = fork();

    if (child < 0)
        refuse("cannot start %s: %s", arguments[0], strerror(errno));
    if (child == 0) {
        int nothing = open("/dev/null", O_RDONLY | O_CLOEXEC);

        if (nothing < 0 || dup2(nothing, STDIN_FILENO) < 0 || dup2(STDERR_FILENO, STDOUT_FILENO) < 0)
            _exit(126);
        sigprocmask(SIG_SETMASK, &unwatched, NULL);
        execve(arguments[0], arguments, environment);
        dprintf(STDERR_FILENO, "entrypoint: cannot run %s: %s\n", arguments[0], strerror(errno));
        _exit(127);
    }
    return child;
}

/* The exit code of `child`, which is asked to end when we are. */
static int end_of(pid_t child)
{
    int status, number;
    pid_t ended;

    while ((ended = waitpid(child, &status, WNOHANG)) != child) {
        if (ended < 0)
            refuse("cannot wait for a program: %s", strerror(errno));
        number = sigwaitinfo(&watched, NULL);
        if (number > 0 && number != SIGCHLD) {
            stopped = true;
            kill(child, SIGTERM); /* psql may miss SIGINT between two statements */
        }
    }
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static bool succeeds(char *const arguments[], char *const environment[])
{
    return end_of(start(arguments, environment)) == 0 && !stopped;
}

/* What is in memory and has a path, for programs that want a file. Its bytes never reach a disk. */
static int in_memory(const char *name, const char *bytes, size_t length)
{
    int file = memfd_create(name, 0);

    if (file < 0 || fchmod(file, 0600) < 0 || write(file, bytes, length) != (ssize_t)length ||
        lseek(file, 0, SEEK_SET) < 0)
        refuse("cannot keep %s in memory: %s", name, strerror(errno));
    return file;
}

/* The password: one line, without its end. `room` has MAX_PASSWORD + 3 bytes. */

static size_t read_password_file(const char *path, char *room)
{
    int file = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    size_t length = 0;
    ssize_t count;

    if (file < 0)
        refuse("cannot read POSTGRES_PASSWORD_FILE %s: %s", path, strerror(errno));
    while (length < MAX_PASSWORD + 2 && (count = read(file, room + length, MAX_PASSWORD + 2 - length)) != 0) {
        if (count < 0)
            refuse("cannot read POSTGRES_PASSWORD_FILE %s: %s", path, strerror(errno));
        length += (size_t)count;
    }
    close(file);
    if (length && room[length - 1] == '\n')
        length--;
    if (length && room[length - 1] == '\r')
        length--;
    return length;
}

static size_t read_password(char *room)
{
    const char *path = variable("POSTGRES_PASSWORD_FILE", NULL);
    const char *given = variable("POSTGRES_PASSWORD", NULL);
    size_t length = 0;

    if (path && given)
        refuse("POSTGRES_PASSWORD and POSTGRES_PASSWORD_FILE are both set; choose the file");
    if (path)
        length = read_password_file(path, room);
    else if (given)
        memcpy(room, given, length = strnlen(given, MAX_PASSWORD + 1));
    if (length < MIN_PASSWORD)
        refuse("the first start needs POSTGRES_PASSWORD_FILE (or POSTGRES_PASSWORD) of at least %d bytes; "
               "there is no way in without a password",
               MIN_PASSWORD);
    if (length > MAX_PASSWORD)
        refuse("the password is longer than %d bytes", MAX_PASSWORD);
    for (size_t i = 0; i < length; i++)
        if ((unsigned char)room[i] < ' ' || room[i] == 0x7f)
            refuse("the password has a control character or a second line");
    return length;
}

/* A password file as libpq reads it (PostgreSQL manual, "The Password File"): any server, any user. */
static int pass_file(const char *password, size_t length)
{
    static const char any[] = "*:*:*:*:";
    char line[sizeof any + 2 * MAX_PASSWORD + 1];
    size_t at = sizeof any - 1;
    int file;

    memcpy(line, any, at);
    for (size_t i = 0; i < length; i++) {
        if (password[i] == ':' || password[i] == '\\')
            line[at++] = '\\';
        line[at++] = password[i];
    }
    line[at++] = '\n';
    file = in_memory("pass file", line, at);
    explicit_bzero(line, sizeof line);
    return file;
}

/* The data folder */

static bool exists(const char *folder, const char *name)
{
    char path[MAX_PATH];

    put(path, "%s/%s", folder, name);
    return access(path, F_OK) == 0;
}

/* Rule 5: the last thing a first start does is to replace pg_hba.conf. */
static void refuse_unfinished(const char *data)
{
    char path[MAX_PATH];
    char *text = calloc(1, MAX_HBA + 1);
    size_t length = 0;
    ssize_t count;
    int file;

    put(path, "%s/pg_hba.conf", data);
    file = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    while (text && file >= 0 && length < MAX_HBA && (count = read(file, text + length, MAX_HBA - length)) > 0)
        length += (size_t)count;
    if (!text || file < 0 || !length || strstr(text, UNFINISHED))
        refuse("the first start of %s did not finish; empty it and start again", data);
    close(file);
    free(text);
}

static void make_folders(const char *data)
{
    char path[MAX_PATH];

    put(path, "%s", data);
    for (char *slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        mkdir(path, 0700); /* one that is there is fine, and what cannot be made initdb explains */
        *slash = '/';
    }
    mkdir(path, 0700);
}

static void initialise(const struct settings *settings, const char *password, size_t length)
{
    char folder[MAX_PATH], user[MAX_PATH], file[MAX_PATH];
    int memory = in_memory("password", password, length);
    char *const arguments[] = {PROGRAMS "/initdb", folder, user, file, "--auth=reject", "--encoding=UTF8",
                               "--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8",
                               "--data-checksums", "--no-instructions", NULL};
    char *const environment[] = {"LANG=C.UTF-8", "TZ=UTC", "PATH=" PROGRAMS, "LD_PRELOAD=" NO_SHELL, NULL};

    put(folder, "--pgdata=%s", settings->data);
    put(user, "--username=%s", settings->user);
    put(file, "--pwfile=/proc/self/fd/%d", memory);
    make_folders(settings->data);
    if (!succeeds(arguments, environment)) {
        refuse_stopped();
        refuse("initdb failed");
    }
    close(memory);
}

/* The scripts of the first start, by name */

static int is_visible(const struct dirent *entry)
{
    return entry->d_name[0] != '.';
}

static int by_name(const struct dirent **one, const struct dirent **other)
{
    return strcmp((*one)->d_name, (*other)->d_name);
}

struct scripts {
    struct dirent **entries;
    int count;
};

static struct scripts find_scripts(void)
{
    struct scripts scripts = {0};

    scripts.count = scandir(SCRIPTS, &scripts.entries, is_visible, by_name);
    if (scripts.count < 0 && errno != ENOENT)
        refuse("cannot read %s: %s", SCRIPTS, strerror(errno));
    for (int i = 0; i < scripts.count; i++) {
        const char *name = scripts.entries[i]->d_name;
        size_t length = strlen(name);

        if (length < 5 || strcmp(name + length - 4, ".sql") != 0)
            refuse("cannot run %s/%s: only .sql files, and no shell, are known here", SCRIPTS, name);
    }
    return scripts;
}

/* The server of the first start: on one socket in a folder that only we can enter (rule 4). */

struct server {
    pid_t process;
    int access_file, password_file;
    char sockets[MAX_PATH];
};

static void end_server(const struct server *server)
{
    kill(server->process, SIGINT); /* fast shutdown */
    if (end_of(server->process) != 0)
        refuse("the server of the first start did not end well");
}

static void wait_until_ready(struct server *server)
{
    char *const ask[] = {PROGRAMS "/pg_isready", "--quiet", "--host", server->sockets, "--port", "5432", NULL};
    const struct timespec pause = {.tv_nsec = PAUSE_NANOSECONDS};

    for (int i = 0; !succeeds(ask, CLEAN); i++) {
        if (waitpid(server->process, NULL, WNOHANG) == server->process)
            refuse("the server of the first start ended at once");
        if (stopped || i == MAX_QUESTIONS) {
            end_server(server);
            refuse_stopped();
            refuse("the server of the first start does not answer");
        }
        nanosleep(&pause, NULL);
    }
}

static void start_server(struct server *server, const char *data)
{
    char sockets[MAX_PATH], access_rules[MAX_PATH];
    char *const arguments[] = {PROGRAMS "/postgres", "-D", (char *)data, "-p", "5432",
                               "-c", "config_file=" CONFIGURATION, "-c", "listen_addresses=",
                               "-c", sockets, "-c", access_rules, NULL};

    put(server->sockets, "%s/first-start-XXXXXX", SOCKETS);
    if (!mkdtemp(server->sockets))
        refuse("cannot make a folder in %s: %s", SOCKETS, strerror(errno));
    server->access_file = in_memory("pg_hba.conf", HBA_LOCAL, sizeof HBA_LOCAL - 1);
    put(sockets, "unix_socket_directories=%s", server->sockets);
    put(access_rules, "hba_file=/proc/self/fd/%d", server->access_file);
    server->process = start(arguments, CLEAN);
    wait_until_ready(server);
}

static bool run_sql(const struct server *server, const struct settings *settings, const char *database,
                    const char *file)
{
    char passwords[MAX_PATH], assignment[MAX_PATH];
    char *const arguments[] = {PROGRAMS "/psql", "--no-psqlrc", "--no-password", "--quiet",
                               "--set=ON_ERROR_STOP=1", assignment,
                               "--host", (char *)server->sockets, "--port", "5432",
                               "--username", (char *)settings->user, "--dbname", (char *)database,
                               "--file", (char *)file, NULL};
    char *const environment[] = {"LANG=C.UTF-8", "TZ=UTC", "PATH=" PROGRAMS, passwords, NULL};

    put(passwords, "PGPASSFILE=/proc/self/fd/%d", server->password_file);
    put(assignment, "--set=database=%s", settings->database);
    return succeeds(arguments, environment);
}

static bool create_database(const struct server *server, const struct settings *settings)
{
    static const char statement[] = "CREATE DATABASE :\"database\";\n";
    int file = in_memory("statement", statement, sizeof statement - 1);
    char path[MAX_PATH];
    bool done;

    put(path, "/proc/self/fd/%d", file);
    done = run_sql(server, settings, "postgres", path);
    close(file);
    return done;
}

/* What failed, NULL when nothing did. */
static const char *run_scripts(const struct server *server, const struct settings *settings,
                               const struct scripts *scripts)
{
    char path[MAX_PATH];

    if (strcmp(settings->database, "postgres") != 0 && !create_database(server, settings))
        return "creating the database";
    for (int i = 0; i < scripts->count; i++) {
        put(path, "%s/%s", SCRIPTS, scripts->entries[i]->d_name);
        fprintf(stderr, "entrypoint: running %s\n", path);
        if (!run_sql(server, settings, settings->database, path))
            return scripts->entries[i]->d_name;
    }
    return NULL;
}

static void fill(const struct settings *settings, const struct scripts *scripts, const char *password,
                 size_t length)
{
    struct server server;
    const char *failed;

    if (scripts->count == 0 && strcmp(settings->database, "postgres") == 0)
        return;
    start_server(&server, settings->data);
    server.password_file = pass_file(password, length); /* after the start: the server does not inherit it */
    failed = run_scripts(&server, settings, scripts);
    end_server(&server);
    close(server.password_file);
    close(server.access_file);
    rmdir(server.sockets);
    refuse_stopped();
    if (failed)
        refuse("the first start failed at %s; empty %s and start again", failed, settings->data);
}

/* Rule 5: whole or not at all, and last. */
static void finish(const struct settings *settings)
{
    char path[MAX_PATH], temporary[MAX_PATH];
    const char *network = settings->certificate ? HBA_TLS : HBA_PLAIN;
    int file;

    put(path, "%s/pg_hba.conf", settings->data);
    put(temporary, "%s/pg_hba.conf.new", settings->data);
    file = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (file < 0 || dprintf(file, "%s%s", HBA_LOCAL, network) < 0 || fsync(file) < 0 || close(file) < 0 ||
        rename(temporary, path) < 0)
        refuse("cannot write %s: %s", path, strerror(errno));
}

static void first_start(const struct settings *settings)
{
    char password[MAX_PASSWORD + 3];
    size_t length = read_password(password);
    struct scripts scripts = find_scripts(); /* what cannot run is refused before anything is made */

    watch_signals();
    initialise(settings, password, length);
    fill(settings, &scripts, password, length);
    explicit_bzero(password, sizeof password);
    stop_watching();
    finish(settings);
}

/* The server for good */

__attribute__((noreturn)) static void become(char *const arguments[])
{
    unsetenv("POSTGRES_PASSWORD");
    unsetenv("POSTGRES_PASSWORD_FILE");
    unsetenv("LD_PRELOAD");
    execv(arguments[0], arguments);
    refuse("cannot run %s: %s", arguments[0], strerror(errno));
}

__attribute__((noreturn)) static void serve(const struct settings *settings, int count, char *const given[])
{
    char certificate[MAX_PATH], key[MAX_PATH];
    char **arguments = calloc((size_t)count + 12, sizeof *arguments);
    size_t at = 0;

    if (!arguments)
        refuse("out of memory");
    arguments[at++] = PROGRAMS "/postgres";
    arguments[at++] = "-D";
    arguments[at++] = (char *)settings->data;
    arguments[at++] = "-c";
    arguments[at++] = "config_file=" CONFIGURATION;
    if (settings->certificate) {
        put(certificate, "ssl_cert_file=%s", settings->certificate);
        put(key, "ssl_key_file=%s", settings->key);
        arguments[at++] = "-c";
        arguments[at++] = "ssl=on";
        arguments[at++] = "-c";
        arguments[at++] = certificate;
        arguments[at++] = "-c";
        arguments[at++] = key;
    }
    for (int i = 0; i < count; i++)
        arguments[at++] = given[i];
    become(arguments);
}

/* Whether the server is only asked about itself, for which it needs no data folder. */
static bool only_tells(int count, char *const given[])
{
    static const char *const questions[] = {"--help", "-?", "--version", "-V", "--describe-config"};

    for (int i = 0; i < count; i++)
        for (size_t k = 0; k < sizeof questions / sizeof *questions; k++)
            if (strcmp(given[i], questions[k]) == 0)
                return true;
    return false;
}

/* A program of the image other than the server: by path, or by name in PostgreSQL's folder. */
__attribute__((noreturn)) static void run_other(char *const given[])
{
    char path[MAX_PATH];

    put(path, "%s%s", strchr(given[0], '/') ? "" : PROGRAMS "/", given[0]);
    ((char **)given)[0] = path;
    become(given);
}

int main(int argc, char *argv[])
{
    struct settings settings;
    bool named = argc > 1 && strcmp(argv[1], "postgres") == 0;
    int count = argc - 1 - named;
    char **given = argv + 1 + named;

    if (argc < 1 || getuid() == 0 || geteuid() == 0)
        refuse("refuses to run as root; leave the image's user as it is");
    umask(077);
    if (count > 0 && !named && given[0][0] != '-')
        run_other(given);
    if (only_tells(count, given)) {
        char **arguments = argv + named;

        arguments[0] = PROGRAMS "/postgres";
        become(arguments);
    }
    settings = read_settings();
    if (exists(settings.data, "PG_VERSION"))
        refuse_unfinished(settings.data);
    else
        first_start(&settings);
    serve(&settings, count, given);
}
