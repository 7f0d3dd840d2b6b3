/* Reads 8-bit images (channels, height, width each, nothing between them) and prints one label a line, once all
 * are known. Exit status 0; or 2 after a message, with no label printed unless the output itself failed. */
enum { CHUNK = 1024, MOST_THREADS = 64 };

static int usage(const char *command) {
    fprintf(stderr,
            "usage: %s IMAGES [THREADS]\nIMAGES: raw bytes, %d an image; - for standard input\nTHREADS: 1 to %d\n",
            command, PIXELS, MOST_THREADS);
    return 2;
}

/* The number, or 0 for anything but 1 to MOST_THREADS. */
static int thread_count(const char *text) {
    int n = 0;
    for (; *text >= '0' && *text <= '9' && n <= MOST_THREADS; text++) n = 10 * n + (*text - '0');
    return *text || n > MOST_THREADS ? 0 : n;
}

/* Puts the labels of all images of a file into `labels`; returns what went wrong, or NULL. `images`
 * holds a chunk. */
static const char *label_file(FILE *file, int isa, int threads, uint8_t *images, int32_t **labels, size_t *count) {
    const size_t chunk = (size_t)CHUNK * PIXELS;
    size_t got = chunk;
    while (got == chunk) {
        got = fread(images, 1, chunk, file);
        if (ferror(file)) return "cannot read the images";
        const size_t n = got / PIXELS;
        int32_t *more = realloc(*labels, (*count + n + 1) * sizeof **labels);
        if (!more) return "out of memory";
        *labels = more;
        if (n && robench_run(isa, images, NULL, (long)n, threads, more + *count, NULL)) return "out of memory";
        *count += n;
    }
    if (got % PIXELS) return "expected whole images, got a part of one at the end";
    return *count ? NULL : "expected images, got none";
}

static int print_labels(const int32_t *labels, size_t count) {
    for (size_t i = 0; i < count; i++) printf("%d\n", (int)labels[i]);
    if (!fflush(stdout) && !ferror(stdout)) return 0;
    perror("cannot write the labels");
    return 2;
}

int main(int argc, char **argv) {
    const int threads = argc == 3 ? thread_count(argv[2]) : 1;
    if (argc < 2 || argc > 3 || !threads || (argv[1][0] == '-' && argv[1][1])) return usage(argv[0]);
    const int isa = robench_isa(getenv("ROBENCH_ISA"));
    FILE *file = strcmp(argv[1], "-") ? fopen(argv[1], "rb") : stdin;
    uint8_t *images = malloc((size_t)CHUNK * PIXELS);
    int32_t *labels = NULL;
    size_t count = 0;
    const char *wrong = isa < 0   ? "expected ROBENCH_ISA of this machine, got another"
                        : !file   ? "cannot open the images"
                        : !images ? "out of memory"
                                  : label_file(file, isa, threads, images, &labels, &count);
    if (wrong) fprintf(stderr, "%s: %s (%d bytes an image)\n", argv[1], wrong, PIXELS);
    const int status = wrong ? 2 : print_labels(labels, count);
    if (file) fclose(file);
    free(images);
    free(labels);
    return status;
}
