/* The whole certifier as a program: 8-bit images in, labels and certified squared radii out.
 * Before this file stand votes.h and the tables that robench/smoothing/export.py writes. There is
 * no floating point: the radius is the largest integer r2 with the guarantee that every change of
 * squared length at most r2, in 8-bit units, keeps the label. */
#include <stdio.h>
#include <string.h>
#include <time.h>

static int16_t rb_lut[65536];

/* 2 * noise for each leading 16 bits, plus 1 where a threshold lies among their numbers. */
static void rb_fill_lut(void) {
    int i = 0;
    for (uint64_t u = 0; u < 65536; u++) {
        uint64_t first = u << 48, last = first | (UINT64_MAX >> 16);
        while (i < 2 * RB_BOUND && rb_high[i] < first) i++;
        rb_lut[u] = (int16_t)(2 * (i - RB_BOUND) + (i < 2 * RB_BOUND && rb_high[i] <= last));
    }
}

static int rb_top(const int64_t *counts, int skip) {
    int top = skip == 0;
    for (int c = top; c < CLASSES; c++)
        if (c != skip && counts[c] > counts[top]) top = c;
    return top;
}

/* Algorithm 1: prints the label and its certified squared radius, or ABSTAIN. */
static void rb_certify(const rb_voter *voter, const uint8_t *image, uint64_t stream) {
    int64_t select[CLASSES] = {0}, counts[CLASSES] = {0};
    rb_count(voter, image, stream, 0, RB_N1, select);
    int label = rb_top(select, -1);
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
    int top = rb_top(counts, -1), second = rb_top(counts, top);
    if (counts[top] < rb_accept[counts[top] + counts[second]])
        puts("ABSTAIN");
    else
        printf("%d\n", top);
}

static int rb_bench(const rb_voter *voter, const char *draws) {
    static const uint8_t black[PIXELS];
    int64_t counts[CLASSES] = {0}, n = 0;
    for (; *draws >= '0' && *draws <= '9' && n < INT32_MAX; draws++) n = 10 * n + *draws - '0';
    clock_t start = clock();
    rb_count(voter, black, 0, 0, n, counts);
    long ticks = (long)(clock() - start);
    printf("%ld draws, %ld ms\n", (long)n, ticks / (CLOCKS_PER_SEC / 1000));
    return *draws != 0;
}

static int rb_each(const rb_voter *voter, const char *path, int predict) {
    static uint8_t image[PIXELS];
    FILE *file = strcmp(path, "-") ? fopen(path, "rb") : stdin;
    if (!file) return fprintf(stderr, "cannot read %s\n", path), 2;
    size_t got;
    for (uint64_t i = 0; (got = fread(image, 1, PIXELS, file)) == PIXELS; i++)
        (predict ? rb_predict : rb_certify)(voter, image, i);
    if (got) return fprintf(stderr, "expected %d bytes an image, got %d at the end\n", PIXELS, (int)got), 2;
    return 0;
}

int main(int argc, char **argv) {
    static int16_t noisy[GROUP * PIXELS + 15];
    rb_noise noise = {rb_lut, rb_high, rb_low, RB_BOUND, RB_KEY, RB_FURTHER_KEY};
    void *block = NULL;
    rb_voter voter = {&noise, rb_variant(), new_scratch(&block), noisy};
    if (argc != 3 || !voter.scratch || voter.variant < 0) {
        fprintf(stderr, "usage: %s certify|predict IMAGES, or --bench DRAWS\n"
                        "IMAGES: raw 8-bit, %d bytes each; - for standard input\n", argv[0], PIXELS);
        return 2;
    }
    rb_fill_lut();
    rb_prepare(voter.variant);
    if (!strcmp(argv[1], "--bench")) return rb_bench(&voter, argv[2]);
    return rb_each(&voter, argv[2], !strcmp(argv[1], "predict"));
}
