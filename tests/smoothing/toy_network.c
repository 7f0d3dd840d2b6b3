/* A toy network with the interface of votes.h: the argmax of CLASSES integer sums of pixels. */
#include <stdint.h>
#include <stdlib.h>

#define PIXELS 37
#define CLASSES 5
#define GROUP 4

static uint8_t *new_scratch(void **block) { return *block = calloc(1, 64); }
static int rb_variant(void) { return 0; }
static void rb_prepare(int variant) { (void)variant; }

static void rb_labels(int variant, const int16_t *images, int n, uint8_t *scratch,
                      int32_t *labels) {
    (void)scratch;
    for (int i = 0; i < n; i++, images += PIXELS) {
        int32_t best = 0, top = INT32_MIN;
        for (int c = 0; c < CLASSES; c++) {
            int32_t sum = 0;
            for (int p = 0; p < PIXELS; p++) sum += images[p] * ((p * 7 + c * 3 + variant) % 11 - 5);
            if (sum > top) top = sum, best = c;
        }
        labels[i] = best;
    }
}
