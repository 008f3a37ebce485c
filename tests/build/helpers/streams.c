/* popen() and pclose() as initdb uses them: reads one answer, writes one text, and the refusals. */
#include "no-shell.c"

int main(int argc, char *argv[])
{
    char line[256];
    FILE *answer, *text;

    if (argc != 3 || !(answer = popen(argv[1], "r")) || popen(argv[1], "r"))
        return 1;
    while (fgets(line, sizeof line, answer))
        fputs(line, stdout);
    printf("%d\n", WEXITSTATUS(pclose(answer)));
    if (pclose(answer) != -1 || errno != ECHILD || popen(argv[1], "x"))
        return 2;
    if (!(text = popen(argv[2], "w")) || fputs("a statement\n", text) < 0)
        return 3;
    printf("%d\n", WEXITSTATUS(pclose(text)));
    return system(NULL);
}
