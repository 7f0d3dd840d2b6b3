/* Noise on 8-bit images, with integers only: the same values as robench/smoothing/sampling.py.
 *
 * Leading 16 bits of a pixel: Philox4x64-10 at the counter (draw * blocks + 1 + pixel / 16, 0,
 * image, 0). Further bits, needed by few pixels: Philox4x32-10 at (place, image), place =
 * draw * 16 * blocks + pixel. The table `lut` maps leading bits to 2 * noise, plus 1 when open. */
#include <stdint.h>

typedef struct {
    const int16_t *lut;         /* 65536 entries */
    const uint64_t *high, *low; /* 2 * bound thresholds of 128 bits */
    int32_t bound;
    uint64_t key[2], further_key;
} rb_noise;

#if defined(__SIZEOF_INT128__) && !defined(RB_NO_INT128)
static inline uint64_t rb_mul(uint64_t a, uint64_t b, uint64_t *high) {
    unsigned __int128 product = (unsigned __int128)a * b;
    *high = (uint64_t)(product >> 64);
    return (uint64_t)product;
}
#else
static inline uint64_t rb_mul(uint64_t a, uint64_t b, uint64_t *high) {
    uint64_t a0 = (uint32_t)a, a1 = a >> 32, b0 = (uint32_t)b, b1 = b >> 32;
    uint64_t middle = a1 * b0 + (a0 * b0 >> 32), other = a0 * b1 + (uint32_t)middle;
    *high = a1 * b1 + (middle >> 32) + (other >> 32);
    return a * b;
}
#endif

static inline void rb_philox4x64(uint64_t block, uint64_t image, const uint64_t key[2],
                                 uint64_t out[4]) {
    uint64_t c0 = block, c1 = 0, c2 = image, c3 = 0, k0 = key[0], k1 = key[1];
    for (int round = 0; round < 10; round++) {
        uint64_t h0, h1;
        uint64_t l0 = rb_mul(0xD2E7470EE14C6C93u, c0, &h0);
        uint64_t l1 = rb_mul(0xCA5A826395121157u, c2, &h1);
        c0 = h1 ^ c1 ^ k0, c1 = l1, c2 = h0 ^ c3 ^ k1, c3 = l0;
        k0 += 0x9E3779B97F4A7C15u, k1 += 0xBB67AE8584CAA73Bu;
    }
    out[0] = c0, out[1] = c1, out[2] = c2, out[3] = c3;
}

static inline void rb_philox4x32(uint64_t place, uint64_t image, uint64_t key, uint32_t out[4]) {
    uint32_t c0 = (uint32_t)place, c1 = (uint32_t)(place >> 32);
    uint32_t c2 = (uint32_t)image, c3 = (uint32_t)(image >> 32);
    uint32_t k0 = (uint32_t)key, k1 = (uint32_t)(key >> 32);
    for (int round = 0; round < 10; round++) {
        uint64_t p0 = (uint64_t)0xD2511F53u * c0, p1 = (uint64_t)0xCD9E8D57u * c2;
        c0 = (uint32_t)(p1 >> 32) ^ c1 ^ k0, c1 = (uint32_t)p1;
        c2 = (uint32_t)(p0 >> 32) ^ c3 ^ k1, c3 = (uint32_t)p0;
        k0 += 0x9E3779B9u, k1 += 0xBB67AE85u;
    }
    out[0] = c0, out[1] = c1, out[2] = c2, out[3] = c3;
}

/* The noise of a pixel whose leading bits leave it open; `least` is the least it may be. */
static int rb_open(const rb_noise *noise, uint64_t leading, int least, uint64_t place,
                   uint64_t image) {
    uint32_t words[4];
    rb_philox4x32(place, image, noise->further_key, words);
    uint64_t number = leading << 48 | (uint64_t)(words[1] & 0xFFFF) << 32 | words[0];
    uint64_t more = (uint64_t)words[3] << 32 | words[2];
    int i = least + noise->bound;
    while (i < 2 * noise->bound &&
           (noise->high[i] < number || (noise->high[i] == number && noise->low[i] <= more)))
        i++;
    return i - noise->bound;
}

/* out = pixels + noise of one draw; not saturated, which is the network's affair. `out` has room
 * for pixels rounded up to a multiple of 16. */
static void rb_draw(const rb_noise *noise, const uint8_t *image, int32_t pixels, uint64_t stream,
                    uint64_t draw, int16_t *out) {
    const int16_t *lut = noise->lut;
    const uint64_t blocks = ((uint64_t)pixels + 15) / 16, first = draw * blocks;
    for (uint64_t b = 0; b < blocks; b++, out += 16) {
        uint64_t words[4];
        int open = 0;
        rb_philox4x64(first + b + 1, stream, noise->key, words);
        for (int i = 0; i < 16; i++) {
            int16_t entry = lut[(words[i >> 2] >> (16 * (i & 3))) & 0xFFFF];
            open |= entry;
            out[i] = entry;
        }
        if (open & 1)
            for (int i = 0; i < 16; i++)
                if (out[i] & 1)
                    out[i] = (int16_t)(2 * rb_open(noise,
                        (words[i >> 2] >> (16 * (i & 3))) & 0xFFFF, (out[i] - 1) / 2,
                        (first + b) * 16 + (uint64_t)i, stream));
        int here = pixels - (int32_t)b * 16 < 16 ? pixels - (int32_t)b * 16 : 16;
        for (int i = 0; i < here; i++) out[i] = (int16_t)(image[16 * b + i] + out[i] / 2);
    }
}
