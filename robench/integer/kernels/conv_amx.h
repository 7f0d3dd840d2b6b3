/* Convolution on AMX tiles: two groups of px pixels by one or two blocks of 16 output channels. A tile row is
 * one pixel, read straight from the image; weights are in the order of the other kernels. */
typedef struct { uint8_t palette, start, unused[14]; uint16_t columns[16]; uint8_t rows[16]; } ISA(config);

/* Tiles 0-3 accumulate, 4-5 hold pixels, 6-7 weights. */
INLINE void ISA(configure)(Geometry g) {
    ISA(config) c = {.palette = 1};
    for (int t = 0; t < 8; t++) {
        c.rows[t] = (uint8_t)(t < 6 ? g.px : g.depth);
        c.columns[t] = (uint16_t)(t == 4 || t == 5 ? 4 * g.depth : 64);
    }
    _tile_loadconfig(&c);
}

INLINE void ISA(products)(const uint8_t *const in[2], const int8_t *w, Geometry g) {
    const size_t block = (size_t)64 * g.steps * g.rows;
    for (int y = 0; y < g.rows; y++)
        for (int k = 0; k < g.steps; k += g.depth, w += 64 * g.depth) {
            _tile_loadd(4, in[0] + y * g.in_pitch + 4 * k, g.in_step);
            _tile_loadd(5, in[1] + y * g.in_pitch + 4 * k, g.in_step);
            _tile_loadd(6, w, 64);
            _tile_dpbusd(0, 4, 6);
            _tile_dpbusd(1, 5, 6);
            if (g.nb == 2) {
                _tile_loadd(7, w + block, 64);
                _tile_dpbusd(2, 4, 7);
                _tile_dpbusd(3, 5, 7);
            }
        }
}

INLINE void ISA(pair)(const uint8_t *const in[2], uint8_t *const out[2], const uint8_t *const res[2],
                      const int8_t *w, const int32_t *bias, const Layer *l, int channel, Geometry g) {
    int32_t sums[4][256] __attribute__((aligned(64)));
    const int32_t *second = bias + channel + (g.nb == 2 ? 16 : 0);
    _tile_loadd(0, bias + channel, 0); /* the bias in every row */
    _tile_loadd(1, bias + channel, 0);
    _tile_loadd(2, second, 0);
    _tile_loadd(3, second, 0);
    ISA(products)(in, w, g);
    _tile_stored(0, sums[0], 64);
    _tile_stored(1, sums[1], 64);
    if (g.nb == 2) {
        _tile_stored(2, sums[2], 64);
        _tile_stored(3, sums[3], 64);
    }
    UNROLL(1)
    for (int t = 0; t < 2 * g.nb; t++)
        ISA(finish_row)((const ISA(vec) *)sums[t], g.px, out[t % 2], res[t % 2], l, channel + 16 * (t / 2), g);
}

/* All pixels of one or two blocks; an odd group of pixels at the end is computed twice. */
INLINE void ISA(channels)(const uint8_t *in, uint8_t *out, const uint8_t *res, const int8_t *w,
                          const int32_t *bias, const Layer *l, int channel, Geometry g) {
    const int across = (g.width + g.px - 1) / g.px, groups = across * g.height;
    for (int i = 0; i < groups; i += 2) {
        const uint8_t *from[2], *more[2];
        uint8_t *to[2];
        for (int j = 0; j < 2; j++) {
            const int group = i + j < groups ? i + j : i, y = group / across;
            const int wanted = group % across * g.px, last = g.width - g.px, x = wanted < last ? wanted : last;
            from[j] = in + y * g.in_row + x * g.in_step;
            to[j] = out + y * g.out_pitch + x * g.out_step;
            more[j] = res + y * g.res_pitch + x * g.res_step;
        }
        ISA(pair)(from, to, more, w, bias, l, channel, g);
    }
}

INLINE void ISA(conv)(const uint8_t *in, uint8_t *out, const uint8_t *res, const int8_t *w, const int32_t *bias,
                      const Layer *l, Geometry g) {
    const size_t block = (size_t)64 * g.steps * g.rows;
    int b = 0;
    ISA(configure)(g);
    for (; b + g.nb <= g.blocks; b += g.nb) ISA(channels)(in, out, res, w + b * block, bias, l, 16 * b, g);
    g.nb = 1;
    for (; b < g.blocks; b++) ISA(channels)(in, out, res, w + b * block, bias, l, 16 * b, g);
    _tile_release();
}
