/* Gives each command of standard input, which end with a null byte, to our system(), and prints its answer. */
#include "no-shell.c"

int main(void)
{
    static char command[3 * MAX_COMMAND];
    size_t length = 0;
    int c;

    while ((c = getchar()) != EOF)
        if (length == sizeof command)
            return 1;
        else if ((command[length++] = (char)c) == '\0') {
            int status = system(command);

            printf("%d\n", WIFEXITED(status) ? WEXITSTATUS(status) : -1);
            length = 0;
        }
    return 0;
}
