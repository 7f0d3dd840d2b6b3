/* Running batches: threads take groups of images from a common counter. */
typedef struct {
    const Isa *isa;
    const uint8_t *bytes;
    const int16_t *words;
    long n, next;
    int32_t *labels, *logits;
    int failed;
} Batch;

static pthread_mutex_t prepare_lock = PTHREAD_MUTEX_INITIALIZER;

static int isa_count(void) {
    int n = 0;
    while (isas[n].name) n++;
    return n;
}

/* The named instruction set, or the best of this machine when name is NULL or empty; -1 if there is none. */
int robench_isa(const char *name) {
    for (int i = 0; isas[i].name; i++)
        if ((!name || !*name || !strcmp(name, isas[i].name)) && isas[i].supported()) return i;
    return -1;
}

const char *robench_isa_name(int i) { return i >= 0 && i < isa_count() ? isas[i].name : NULL; }

/* Scratch memory of one thread, its borders filled; `*block` is what to free. */
static uint8_t *new_scratch(void **block) {
    *block = calloc(1, SCRATCH_BYTES + 64);
    if (!*block) return NULL;
    uint8_t *scratch = aligned(*block);
    fill_borders(scratch);
    return scratch;
}

/* Labels of up to GROUP images; exactly one of bytes and words is given. The vote loop calls this. */
static void label_group(const Isa *isa, const uint8_t *bytes, const int16_t *words, int n, uint8_t *scratch,
                        int32_t *labels, int32_t *logits) {
    isa->infer(bytes, words, n, scratch, logits);
    for (int i = 0; i < n; i++) labels[i] = argmax(logits + i * CLASSES, CLASSES);
}

static void *work(void *argument) {
    Batch *batch = argument;
    void *block;
    uint8_t *scratch = new_scratch(&block);
    if (!scratch) {
        batch->failed = 1;
        return NULL;
    }
    int32_t logits[GROUP * CLASSES];
    for (;;) {
        long at = __atomic_fetch_add(&batch->next, GROUP, __ATOMIC_RELAXED);
        if (at >= batch->n) break;
        int n = batch->n - at < GROUP ? (int)(batch->n - at) : GROUP;
        label_group(batch->isa, batch->bytes ? batch->bytes + at * PIXELS : NULL,
                    batch->words ? batch->words + at * PIXELS : NULL, n, scratch, batch->labels + at, logits);
        if (batch->logits) memcpy(batch->logits + at * CLASSES, logits, sizeof(int32_t) * n * CLASSES);
    }
    free(block);
    return NULL;
}

/* Labels (n) and, unless NULL, logits (n x CLASSES) of n images (channels, height, width), either as bytes or
 * as words, in 8-bit units. Returns 0, or 1 when memory or threads ran out. */
int robench_run(int isa, const uint8_t *bytes, const int16_t *words, long n, int threads, int32_t *labels,
                int32_t *logits) {
    Batch batch = {&isas[isa], bytes, words, n, 0, labels, logits, 0};
    pthread_t pool[64];
    int started = 0;
    pthread_mutex_lock(&prepare_lock);
    isas[isa].prepare();
    pthread_mutex_unlock(&prepare_lock);
    if (threads > 65) threads = 65;
    for (; started < threads - 1 && (started + 1) * (long)GROUP < n; started++)
        if (pthread_create(&pool[started], NULL, work, &batch)) break;
    work(&batch);
    for (int i = 0; i < started; i++) pthread_join(pool[i], NULL);
    return batch.next < n || batch.failed;
}
