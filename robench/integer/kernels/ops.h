/* The other operations, in plain C for the compiler to vectorise for each instruction set. Tensors are u8,
 * rows of `pitch` bytes, `step` bytes (channels, padded) a pixel; pointers skip the border. */
INLINE void ISA(input)(const uint8_t *bytes, const int16_t *words, uint8_t *out, int channels, int height,
                       int width, int pitch, int step, int low, int high, int multiplier, int shift) {
    uint8_t codes[width];
    for (int c = 0; c < channels; c++)
        for (int y = 0; y < height; y++) {
            const size_t at = ((size_t)c * height + y) * width;
            for (int x = 0; x < width; x++) {
                int32_t v = bytes ? bytes[at + x] : words[at + x];
                v = (v < low ? low : v > high ? high : v) - low;
                codes[x] = u8((v * multiplier + (1 << (shift - 1))) >> shift);
            }
            for (int x = 0; x < width; x++) out[y * pitch + x * step + c] = codes[x];
        }
}

INLINE void ISA(sum)(const uint8_t *a, const uint8_t *b, uint8_t *out, int height, int row, int a_pitch,
                     int b_pitch, int out_pitch, const Layer *l) {
    for (int y = 0; y < height; y++)
        for (int i = 0; i < row; i++)
            out[y * out_pitch + i] =
                u8((a[y * a_pitch + i] * l->multiplier_a + b[y * b_pitch + i] * l->multiplier_b + l->add_bias) >>
                   l->add_shift);
}

INLINE void ISA(affine)(const uint8_t *in, uint8_t *out, int height, int width, int step, int in_pitch,
                        int out_pitch, const int32_t *multiplier, const int32_t *bias, int shift) {
    for (int y = 0; y < height; y++)
        for (int x = 0; x < width; x++)
            for (int c = 0; c < step; c++)
                out[y * out_pitch + x * step + c] =
                    u8((in[y * in_pitch + x * step + c] * multiplier[c] + bias[c]) >> shift);
}

INLINE void ISA(max_pool)(const uint8_t *in, uint8_t *out, int in_height, int in_width, int height, int width,
                          int step, int in_pitch, int out_pitch, int kernel, int stride,
                          int padding) {
    for (int y = 0; y < height; y++)
        for (int x = 0; x < width; x++) {
            uint8_t *o = out + y * out_pitch + x * step;
            memset(o, 0, (size_t)step);
            for (int i = 0; i < kernel; i++)
                for (int j = 0; j < kernel; j++) {
                    const int row = y * stride + i - padding, column = x * stride + j - padding;
                    if (row < 0 || column < 0 || row >= in_height || column >= in_width) continue;
                    const uint8_t *p = in + row * in_pitch + column * step;
                    for (int c = 0; c < step; c++) o[c] = p[c] > o[c] ? p[c] : o[c];
                }
        }
}

INLINE void ISA(avg_pool)(const uint8_t *in, uint8_t *out, int height, int width, int step, int in_pitch,
                          int out_pitch, int kernel_h, int kernel_w, int stride, int multiplier,
                          int bias, int shift) {
    int32_t total[step];
    for (int y = 0; y < height; y++)
        for (int x = 0; x < width; x++) {
            memset(total, 0, sizeof total);
            for (int i = 0; i < kernel_h; i++)
                for (int j = 0; j < kernel_w; j++) {
                    const uint8_t *p = in + (y * stride + i) * in_pitch + (x * stride + j) * step;
                    for (int c = 0; c < step; c++) total[c] += p[c];
                }
            for (int c = 0; c < step; c++)
                out[y * out_pitch + x * step + c] = u8((total[c] * multiplier + bias) >> shift);
        }
}

INLINE void ISA(flatten)(const uint8_t *in, uint8_t *out, int channels, int height, int width, int step,
                         int pitch) {
    for (int y = 0; y < height; y++)
        for (int x = 0; x < width; x++)
            for (int c = 0; c < channels; c++) out[(c * height + y) * width + x] = in[y * pitch + x * step + c];
}
