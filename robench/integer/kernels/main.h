/* Reads 8-bit images (channels, height, width each, nothing between them) and prints one label a line. */
int main(int argc, char **argv) {
    if (argc < 2 || argc > 3) {
        fprintf(stderr, "usage: %s IMAGES [THREADS]\nIMAGES: raw bytes, %d an image; - for standard input\n",
                argv[0], PIXELS);
        return 2;
    }
    FILE *file = strcmp(argv[1], "-") ? fopen(argv[1], "rb") : stdin;
    int isa = robench_isa(getenv("ROBENCH_ISA"));
    int threads = argc > 2 ? atoi(argv[2]) : 1;
    if (!file || isa < 0) {
        fprintf(stderr, !file ? "cannot read %s\n" : "expected ROBENCH_ISA of this machine, got another\n", argv[1]);
        return 2;
    }
    enum { CHUNK = 1024 };
    uint8_t *images = malloc((size_t)CHUNK * PIXELS);
    int32_t labels[CHUNK];
    size_t n = 0;
    while (images && (n = fread(images, PIXELS, CHUNK, file)) > 0) {
        if (robench_run(isa, images, NULL, (long)n, threads, labels, NULL)) break;
        for (size_t i = 0; i < n; i++) printf("%d\n", (int)labels[i]);
    }
    free(images);
    return n != 0;
}
