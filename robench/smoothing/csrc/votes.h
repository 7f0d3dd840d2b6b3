/* Counting the votes of a network under noise. Before this file stand noise.h and the network:
 *
 *   #define PIXELS, CLASSES, GROUP      images of PIXELS int16 values, at most GROUP at a time
 *   static uint8_t *new_scratch(void **block)     a thread's memory; free *block; NULL if none
 *   static int rb_variant(void)                   the one to use here (programs only); -1 if none
 *   static void rb_prepare(int variant)           called before the first labels of a call
 *   static void rb_labels(int variant, const int16_t *images, int n, uint8_t *scratch,
 *                         int32_t *labels)        a fixed function of each image alone */
#include <stdlib.h>

enum { RB_STEP = (PIXELS + 15) / 16 * 16 };

typedef struct {
    const rb_noise *noise;
    int variant;
    uint8_t *scratch;
    int16_t *noisy; /* GROUP * PIXELS, and 15 more */
} rb_voter;

/* Adds the labels of draws first ... first + count - 1 of one image to `counts`. */
static void rb_count(const rb_voter *v, const uint8_t *image, uint64_t stream, uint64_t first,
                     int64_t count, int64_t *counts) {
    int32_t labels[GROUP];
    for (int64_t done = 0; done < count; done += GROUP) {
        int n = count - done < GROUP ? (int)(count - done) : GROUP;
        for (int i = 0; i < n; i++)
            rb_draw(v->noise, image, PIXELS, stream, first + (uint64_t)(done + i),
                    v->noisy + (int64_t)i * PIXELS);
        rb_labels(v->variant, v->noisy, n, v->scratch, labels);
        for (int i = 0; i < n; i++) counts[labels[i]]++;
    }
}
