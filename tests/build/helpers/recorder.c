/* Writes down how it was started, into the file RECORD names: what it reads and writes, and its words. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#ifndef RECORD
#define RECORD getenv("RECORD")
#endif

int main(int argc, char *argv[])
{
    FILE *record = fopen(RECORD, "a");
    struct stat nowhere, ends[3];

    if (!record || stat("/dev/null", &nowhere))
        return 99;
    for (int i = 0; i < 3; i++)
        fstat(i, &ends[i]);
    fprintf(record, "%d%d%d", ends[0].st_rdev == nowhere.st_rdev, ends[1].st_rdev == nowhere.st_rdev,
            ends[1].st_dev == ends[2].st_dev && ends[1].st_ino == ends[2].st_ino);
    for (int i = 1; i < argc; i++)
        fprintf(record, "\x1f%s", argv[i]);
    fputc('\n', record);
    return fclose(record) ? 99 : 7;
}
