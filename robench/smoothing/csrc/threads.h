/* Votes of many images with threads: each takes a chunk of draws of some image from one counter,
 * so that all are busy whatever the number of images, and counts do not depend on who drew. */
#include <pthread.h>
#include <string.h>

typedef struct {
    const rb_noise *noise;
    const uint8_t *images;
    const int64_t *streams;
    int64_t *counts;
    int64_t first, count, chunk, chunks, total, next, done;
    int variant;
    pthread_mutex_t lock;
} rb_job;

static void rb_chunk(rb_job *job, const rb_voter *voter, int64_t at) {
    int64_t image = at / job->chunks, start = at % job->chunks * job->chunk;
    int64_t left = job->count - start, counts[CLASSES] = {0};
    rb_count(voter, job->images + image * PIXELS, (uint64_t)job->streams[image],
             (uint64_t)(job->first + start), left < job->chunk ? left : job->chunk, counts);
    pthread_mutex_lock(&job->lock);
    for (int c = 0; c < CLASSES; c++) job->counts[image * CLASSES + c] += counts[c];
    job->done++;
    pthread_mutex_unlock(&job->lock);
}

static void *rb_work(void *argument) {
    rb_job *job = argument;
    void *block = NULL, *images = malloc(((size_t)GROUP * PIXELS + 15) * sizeof(int16_t) + 63);
    int16_t *noisy = (int16_t *)(((uintptr_t)images + 63) & ~(uintptr_t)63);
    rb_voter voter = {job->noise, job->variant, new_scratch(&block), noisy};
    while (voter.scratch && images) {
        pthread_mutex_lock(&job->lock);
        int64_t at = job->next++;
        pthread_mutex_unlock(&job->lock);
        if (at >= job->total) break;
        rb_chunk(job, &voter, at);
    }
    free(images);
    free(block);
    return NULL;
}

/* counts (n x CLASSES, zeroed here) of `count` draws of each of n 8-bit images (n x PIXELS), whose
 * noise streams are `streams`. Returns 0, or 1 when memory ran out. */
int rb_votes(const rb_noise *noise, int variant, const uint8_t *images, const int64_t *streams,
             int64_t n, int64_t first, int64_t count, int threads, int64_t *counts) {
    int64_t chunk = (count < 4 * GROUP ? count : 4 * GROUP) + !count;
    int64_t chunks = (count + chunk - 1) / chunk;
    rb_job job = {noise, images, streams, counts, first, count, chunk, chunks, n * chunks, 0, 0,
                  variant, PTHREAD_MUTEX_INITIALIZER};
    pthread_t pool[64];
    int started = 0;
    rb_prepare(variant);
    memset(counts, 0, (size_t)n * CLASSES * sizeof *counts);
    for (; started < threads - 1 && started < 64 && started + 1 < job.total; started++)
        if (pthread_create(&pool[started], NULL, rb_work, &job)) break;
    rb_work(&job);
    for (int i = 0; i < started; i++) pthread_join(pool[i], NULL);
    return job.done != job.total;
}

/* The noise alone (count x PIXELS), for tests and timing. */
void rb_noise_of(const rb_noise *noise, int64_t stream, int64_t first, int64_t count,
                 int16_t *out) {
    static const uint8_t black[PIXELS];
    int16_t one[RB_STEP];
    for (int64_t j = 0; j < count; j++) {
        rb_draw(noise, black, PIXELS, (uint64_t)stream, (uint64_t)(first + j), one);
        memcpy(out + j * PIXELS, one, sizeof(int16_t) * PIXELS);
    }
}
