/* Convolution over u8 pixels with interleaved channels, on any of the vector types: nb blocks of 16 output
 * channels by px pixels stay in registers. */
INLINE void ISA(tile)(const uint8_t *in, uint8_t *out, const uint8_t *res, const ISA(weight) *w, const int32_t *bias,
                      const Layer *l,
                      int channel, Geometry g) {
    ISA(vec) acc[32];
    UNROLL(8)
    for (int b = 0; b < g.nb; b++) {
        UNROLL(32)
        for (int p = 0; p < g.px; p++) acc[b * g.px + p] = ISA(load)(bias + channel + 16 * b);
    }
    for (int y = 0; y < g.rows; y++) {
        const uint8_t *row = in + y * g.in_pitch;
        for (int k = 0; k < g.steps; k++, w += 64) {
            ISA(taps) taps[8];
            const uint8_t *pixel = row + 4 * k;
            OPAQUE(pixel);
            UNROLL(8)
            for (int b = 0; b < g.nb; b++) taps[b] = ISA(load_taps)(w + (size_t)b * 64 * g.steps * g.rows);
            UNROLL(32)
            for (int p = 0; p < g.px; p++) {
                ISA(act) a = ISA(broadcast)(pixel + p * g.in_step);
                UNROLL(8)
                for (int b = 0; b < g.nb; b++) acc[b * g.px + p] = ISA(dot)(acc[b * g.px + p], a, taps[b]);
            }
        }
    }
    ISA(vec) spilled[32]; /* so that the long tail below is compiled once, not px * nb times */
    UNROLL(8)
    for (int b = 0; b < g.nb; b++) {
        UNROLL(32)
        for (int p = 0; p < g.px; p++) spilled[b * g.px + p] = acc[b * g.px + p];
    }
    UNROLL(1)
    for (int b = 0; b < g.nb; b++) ISA(finish_row)(spilled + b * g.px, g.px, out, res, l, channel + 16 * b, g);
}

/* All pixels of one group of channels; the last tile of a row overlaps the one before it. */
INLINE void ISA(channels)(const uint8_t *in, uint8_t *out, const uint8_t *res, const ISA(weight) *w,
                          const int32_t *bias, const Layer *l, int channel, Geometry g) {
    for (int y = 0; y < g.height; y++)
        for (int x = 0; x < g.width; x += g.px) {
            int at = x + g.px > g.width ? g.width - g.px : x;
            ISA(tile)(in + y * g.in_row + at * g.in_step, out + y * g.out_pitch + at * g.out_step,
                      res + y * g.res_pitch + at * g.res_step, w, bias, l, channel, g);
        }
}

INLINE void ISA(conv)(const uint8_t *in, uint8_t *out, const uint8_t *res, const ISA(weight) *w, const int32_t *bias,
                      const Layer *l,
                      Geometry g) {
    const size_t block = (size_t)64 * g.steps * g.rows;
    int b = 0;
    for (; b + g.nb <= g.blocks; b += g.nb) ISA(channels)(in, out, res, w + b * block, bias, l, 16 * b, g);
    g.nb = 1;
    for (; b < g.blocks; b++) ISA(channels)(in, out, res, w + b * block, bias, l, 16 * b, g);
}
