/* The whole certifier as a program: 8-bit images in, labels and certified squared radii out.
 * Before this file stand votes.h and the tables that robench/smoothing/export.py writes. There is
 * no floating point: the radius is the largest integer r2 with the guarantee that every change of
 * squared length at most r2, in 8-bit units, keeps the label. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static int16_t rb_lut[65536];

static int rb_wrong(const char *message) {
    fprintf(stderr, "%s (%d bytes an image)\n", message, PIXELS);
    return 2;
}

/* 2 * noise for each leading 16 bits, plus 1 where a threshold lies among their numbers. */
static void rb_fill_lut(void) {
    int i = 0;
    for (uint64_t u = 0; u < 65536; u++) {
        uint64_t first = u << 48, last = first | (UINT64_MAX >> 16);
        while (i < 2 * RB_BOUND && rb_high[i] < first) i++;
        rb_lut[u] = (int16_t)(2 * (i - RB_BOUND) + (i < 2 * RB_BOUND && rb_high[i] <= last));
    }
}

/* The class of most votes, the lowest on ties. */
static int rb_top(const int64_t *counts) {
    int top = 0;
    for (int c = 1; c < CLASSES; c++)
        if (counts[c] > counts[top]) top = c;
    return top;
}

/* The votes of the runner-up; none where there is one class. */
static int64_t rb_second(const int64_t *counts, int top) {
    int64_t most = 0;
    for (int c = 0; c < CLASSES; c++)
        if (c != top && counts[c] > most) most = counts[c];
    return most;
}

/* Algorithm 1: prints the label and its certified squared radius, or ABSTAIN. */
static void rb_certify(const rb_voter *voter, const uint8_t *image, uint64_t stream) {
    int64_t select[CLASSES] = {0}, counts[CLASSES] = {0};
    rb_count(voter, image, stream, 0, RB_N1, select);
    int label = rb_top(select);
    rb_count(voter, image, stream, RB_N1, RB_N2, counts);
    if (counts[label] < RB_LEAST)
        puts("ABSTAIN");
    else
        printf("%d %ld\n", label, (long)rb_radius2[counts[label] - RB_LEAST]);
}

/* Algorithm 2: prints the label, or ABSTAIN when the top two are too close. */
static void rb_predict(const rb_voter *voter, const uint8_t *image, uint64_t stream) {
    int64_t counts[CLASSES] = {0};
    rb_count(voter, image, stream, 0, RB_PREDICT, counts);
    int top = rb_top(counts);
    if (counts[top] < rb_accept[counts[top] + rb_second(counts, top)])
        puts("ABSTAIN");
    else
        printf("%d\n", top);
}

/* Times so many draws, 1 to INT32_MAX. */
static int rb_bench(const rb_voter *voter, const char *draws) {
    static const uint8_t black[PIXELS];
    int64_t counts[CLASSES] = {0}, n = 0;
    for (; *draws >= '0' && *draws <= '9' && n <= INT32_MAX; draws++) n = 10 * n + (*draws - '0');
    if (*draws || n < 1 || n > INT32_MAX) return rb_wrong("expected 1 to 2147483647 draws");
    clock_t start = clock();
    rb_count(voter, black, 0, 0, n, counts);
    long ticks = (long)(clock() - start);
    printf("%ld draws, %ld ms\n", (long)n, ticks / (CLOCKS_PER_SEC / 1000));
    return fflush(stdout) ? rb_wrong("cannot write") : 0;
}

/* All images of a file, to be freed, so that nothing is printed for a file that is wrong at its
 * end; NULL after a message. */
static uint8_t *rb_images(const char *path, size_t *count) {
    FILE *file = strcmp(path, "-") ? fopen(path, "rb") : stdin;
    if (!file) return rb_wrong("cannot open the images"), NULL;
    uint8_t *images = NULL, *more;
    size_t size = 0, room = (size_t)1 << 16;
    while ((more = realloc(images, room += room))) {
        images = more;
        size += fread(images + size, 1, room - size, file);
        if (size < room) break;
    }
    const int unread = ferror(file);
    fclose(file);
    if (more && !unread && size && size % PIXELS == 0) return *count = size / PIXELS, images;
    free(images);
    rb_wrong(!more ? "out of memory" : unread ? "cannot read the images" : "expected whole images");
    return NULL;
}

static int rb_each(const rb_voter *voter, const char *path, int predict) {
    size_t count = 0;
    uint8_t *images = rb_images(path, &count);
    if (!images) return 2;
    int status = 0;
    for (size_t i = 0; i < count && !status; i++) {
        (predict ? rb_predict : rb_certify)(voter, images + i * PIXELS, i);
        if (fflush(stdout)) status = rb_wrong("cannot write");
    }
    free(images);
    return status;
}

int main(int argc, char **argv) {
    static int16_t noisy[GROUP * PIXELS + 15];
    const char *mode = argc == 3 ? argv[1] : "";
    const int bench = !strcmp(mode, "--bench"), predict = !strcmp(mode, "predict");
    if (!bench && !predict && strcmp(mode, "certify")) {
        fprintf(stderr, "usage: %s certify|predict IMAGES, or --bench DRAWS\n"
                        "IMAGES: raw 8-bit, %d bytes each; - for standard input\n", argv[0], PIXELS);
        return 2;
    }
    rb_noise noise = {rb_lut, rb_high, rb_low, RB_BOUND, RB_KEY, RB_FURTHER_KEY};
    void *block = NULL;
    rb_voter voter = {&noise, rb_variant(), new_scratch(&block), noisy};
    if (!voter.scratch) return rb_wrong("out of memory");
    int status = 2;
    if (voter.variant < 0) {
        rb_wrong("no instruction set of this machine is compiled in");
    } else {
        rb_fill_lut();
        rb_prepare(voter.variant);
        status = bench ? rb_bench(&voter, argv[2]) : rb_each(&voter, argv[2], predict);
    }
    free(block);
    return status;
}
