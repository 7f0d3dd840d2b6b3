/* A row of pixels, one after another. */
INLINE void ISA(finish_row)(const ISA(vec) *sums, int px, uint8_t *out, const uint8_t *res, const Layer *l,
                            int channel, Geometry g) {
    UNROLL(1)
    for (int p = 0; p < px; p++) ISA(finish)(sums[p], out + p * g.out_step, res + p * g.res_step, l, channel, g);
}
