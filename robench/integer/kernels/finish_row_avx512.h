/* A row of pixels, four at a time: their codes are packed together. `Four` holds the bytes of four pixels as
 * packing leaves them: lane by lane, in each the four channels of the first pixel, then of the second... */
typedef __m512i ISA(four);

INLINE ISA(four) ISA(pack)(const __m512i v[4]) {
    return _mm512_packus_epi16(_mm512_packs_epi32(v[0], v[1]), _mm512_packs_epi32(v[2], v[3]));
}
/* From `four` to pixel after pixel, and back: a 4x4 transposition of groups of four bytes. */
INLINE __m512i ISA(transpose)(__m512i v) {
    return _mm512_permutexvar_epi32(_mm512_set_epi32(15, 11, 7, 3, 14, 10, 6, 2, 13, 9, 5, 1, 12, 8, 4, 0), v);
}
INLINE void ISA(store4)(uint8_t *p, int step, __m512i v) {
    if (step == 16) {
        _mm512_storeu_si512(p, v);
        return;
    }
    _mm_storeu_si128((void *)p, _mm512_castsi512_si128(v));
    _mm_storeu_si128((void *)(p + step), _mm512_extracti32x4_epi32(v, 1));
    _mm_storeu_si128((void *)(p + 2 * step), _mm512_extracti32x4_epi32(v, 2));
    _mm_storeu_si128((void *)(p + 3 * step), _mm512_extracti32x4_epi32(v, 3));
}
INLINE __m512i ISA(load4)(const uint8_t *p, int step) {
    if (step == 16) return _mm512_loadu_si512(p);
    __m512i v = _mm512_castsi128_si512(_mm_loadu_si128((const void *)p));
    v = _mm512_inserti32x4(v, _mm_loadu_si128((const void *)(p + step)), 1);
    v = _mm512_inserti32x4(v, _mm_loadu_si128((const void *)(p + 2 * step)), 2);
    return _mm512_inserti32x4(v, _mm_loadu_si128((const void *)(p + 3 * step)), 3);
}
/* The residual sum of codes: (code, residual) pairs as s16, multiplied and added in pairs. */
INLINE ISA(four) ISA(add4)(ISA(four) codes, ISA(four) res, const Layer *l) {
    const __m512i zero = _mm512_setzero_si512(), bias = _mm512_set1_epi32(l->add_bias);
    const __m512i m = _mm512_set1_epi32(
        (int32_t)((uint32_t)(uint16_t)l->multiplier_a | (uint32_t)l->multiplier_b << 16));
    const __m512i low = _mm512_unpacklo_epi8(codes, res), high = _mm512_unpackhi_epi8(codes, res);
    __m512i v[4] = {_mm512_unpacklo_epi8(low, zero), _mm512_unpackhi_epi8(low, zero),
                    _mm512_unpacklo_epi8(high, zero), _mm512_unpackhi_epi8(high, zero)};
    UNROLL(4)
    for (int i = 0; i < 4; i++)
        v[i] = _mm512_sra_epi32(_mm512_add_epi32(_mm512_madd_epi16(v[i], m), bias), _mm_cvtsi32_si128(l->add_shift));
    return ISA(pack)(v);
}
INLINE void ISA(finish_row)(const ISA(vec) *sums, int px, uint8_t *out, const uint8_t *res, const Layer *l,
                            int channel, Geometry g) {
    const int fours = g.mode == LOGITS ? 0 : px / 4 * 4;
    UNROLL(1)
    for (int p = 0; p < fours; p += 4) {
        __m512i v[4];
        UNROLL(4)
        for (int i = 0; i < 4; i++) v[i] = ISA(requant)(sums[p + i], l->multiplier + channel, g.shift, l->zero_point);
        ISA(four) codes = ISA(pack)(v);
        if (g.mode == RESIDUAL) {
            const uint8_t *from = res + p * g.res_step + channel;
            codes = ISA(add4)(codes, ISA(transpose)(ISA(load4)(from, g.res_step)), l);
        }
        ISA(store4)(out + p * g.out_step + channel, g.out_step, ISA(transpose)(codes));
    }
    UNROLL(1)
    for (int p = fours; p < px; p++) ISA(finish)(sums[p], out + p * g.out_step, res + p * g.res_step, l, channel, g);
}
