/* Sixteen s32 lanes in two AVX2 registers. Products are 16-bit (vpmaddwd), which cannot saturate: weights are
 * widened to s16 once, as (k0,k2) and (k1,k3) pairs, to meet the even and odd bytes of four activations. */
typedef int16_t ISA(weight);
typedef struct { __m256i lo, hi; } ISA(vec);
typedef struct { __m256i even, odd; } ISA(act);
typedef const __m256i *ISA(taps);

static void ISA(widen)(int16_t *out, const int8_t *w, size_t n) {
    for (size_t g = 0; g < n; g += 64)
        for (int o = 0; o < 16; o++)
            for (int k = 0; k < 4; k++) out[g + (k & 1) * 32 + o * 2 + (k >> 1)] = w[g + o * 4 + k];
}
INLINE ISA(vec) ISA(load)(const int32_t *p) {
    ISA(vec) r = {_mm256_loadu_si256((const void *)p), _mm256_loadu_si256((const void *)(p + 8))};
    return r;
}
INLINE ISA(act) ISA(broadcast)(const uint8_t *p) {
    int32_t four;
    memcpy(&four, p, 4);
    __m256i a = _mm256_set1_epi32(four);
    ISA(act) r = {_mm256_and_si256(a, _mm256_set1_epi16(255)), _mm256_srli_epi16(a, 8)};
    return r;
}
INLINE ISA(taps) ISA(load_taps)(const ISA(weight) *p) { return (const __m256i *)p; }
INLINE ISA(vec) ISA(dot)(ISA(vec) acc, ISA(act) a, ISA(taps) w) {
    acc.lo = _mm256_add_epi32(acc.lo, _mm256_madd_epi16(a.even, _mm256_load_si256(w)));
    acc.hi = _mm256_add_epi32(acc.hi, _mm256_madd_epi16(a.even, _mm256_load_si256(w + 1)));
    acc.lo = _mm256_add_epi32(acc.lo, _mm256_madd_epi16(a.odd, _mm256_load_si256(w + 2)));
    acc.hi = _mm256_add_epi32(acc.hi, _mm256_madd_epi16(a.odd, _mm256_load_si256(w + 3)));
    __asm__("" : "+x"(acc.lo), "+x"(acc.hi)); /* or gcc keeps the sums in memory */
    return acc;
}
/* The low half of a logical 64-bit shift by at most 32 equals that of the arithmetic one. */
INLINE __m256i ISA(requant8)(__m256i v, const int32_t *multiplier, int shift, __m256i offset) {
    __m256i m = _mm256_loadu_si256((const void *)multiplier);
    __m256i even = _mm256_add_epi64(_mm256_mul_epi32(v, m), offset);
    __m256i odd =
        _mm256_add_epi64(_mm256_mul_epi32(_mm256_srli_epi64(v, 32), _mm256_srli_epi64(m, 32)), offset);
    return _mm256_blend_epi32(_mm256_srli_epi64(even, shift), _mm256_slli_epi64(odd, 32 - shift), 0xAA);
}
INLINE ISA(vec) ISA(requant)(ISA(vec) v, const int32_t *multiplier, int shift, int32_t zero_point) {
    __m256i offset = _mm256_set1_epi64x(((int64_t)zero_point << shift) + ((int64_t)1 << (shift - 1)));
    v.lo = ISA(requant8)(v.lo, multiplier, shift, offset);
    v.hi = ISA(requant8)(v.hi, multiplier + 8, shift, offset);
    return v;
}
INLINE __m256i ISA(add8)(__m256i v, const uint8_t *res, const Layer *l) {
    __m256i r = _mm256_cvtepu8_epi32(_mm_loadl_epi64((const void *)res));
    v = _mm256_max_epi32(_mm256_min_epi32(v, _mm256_set1_epi32(255)), _mm256_setzero_si256());
    __m256i m = _mm256_set1_epi32((int32_t)((uint32_t)(uint16_t)l->multiplier_a | (uint32_t)l->multiplier_b << 16));
    v = _mm256_madd_epi16(_mm256_or_si256(v, _mm256_slli_epi32(r, 16)), m);
    return _mm256_sra_epi32(_mm256_add_epi32(v, _mm256_set1_epi32(l->add_bias)), _mm_cvtsi32_si128(l->add_shift));
}
INLINE ISA(vec) ISA(add)(ISA(vec) v, const uint8_t *res, const Layer *l) {
    v.lo = ISA(add8)(v.lo, res, l);
    v.hi = ISA(add8)(v.hi, res + 8, l);
    return v;
}
INLINE void ISA(store)(uint8_t *p, ISA(vec) v) {
    __m256i words = _mm256_permute4x64_epi64(_mm256_packs_epi32(v.lo, v.hi), 0xD8);
    __m128i bytes = _mm_packus_epi16(_mm256_castsi256_si128(words), _mm256_extracti128_si256(words, 1));
    _mm_storeu_si128((void *)p, bytes);
}
INLINE void ISA(store_wide)(int32_t *p, ISA(vec) v) {
    _mm256_storeu_si256((void *)p, v.lo);
    _mm256_storeu_si256((void *)(p + 8), v.hi);
}
