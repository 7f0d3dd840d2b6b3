/* Sixteen s32 lanes in one AVX-512 register; u8 x s8 products by VNNI. */
typedef int8_t ISA(weight);
typedef __m512i ISA(vec);
typedef __m512i ISA(act);
typedef __m512i ISA(taps);

INLINE ISA(vec) ISA(load)(const int32_t *p) { return _mm512_loadu_si512(p); }
INLINE ISA(act) ISA(broadcast)(const uint8_t *p) {
    int32_t four;
    memcpy(&four, p, 4);
    return _mm512_set1_epi32(four);
}
INLINE ISA(taps) ISA(load_taps)(const ISA(weight) *p) { return _mm512_load_si512(p); }
/* In assembly, as compilers copy all accumulators around the intrinsic (13 % slower with gcc 12). */
INLINE ISA(vec) ISA(dot)(ISA(vec) acc, ISA(act) a, ISA(taps) w) {
    __asm__("vpdpbusd %2, %1, %0" : "+v"(acc) : "v"(a), "v"(w));
    return acc;
}
/* The low half of a logical 64-bit shift by at most 32 equals that of the arithmetic one. */
INLINE ISA(vec) ISA(requant)(ISA(vec) v, const int32_t *multiplier, int shift, int32_t zero_point) {
    __m512i offset = _mm512_set1_epi64(((int64_t)zero_point << shift) + ((int64_t)1 << (shift - 1)));
    __m512i m = _mm512_loadu_si512(multiplier);
    __m512i even = _mm512_add_epi64(_mm512_mul_epi32(v, m), offset);
    __m512i odd =
        _mm512_add_epi64(_mm512_mul_epi32(_mm512_srli_epi64(v, 32), _mm512_srli_epi64(m, 32)), offset);
    if (shift == 32) return _mm512_mask_shuffle_epi32(odd, 0x5555, even, _MM_PERM_DDBB);
    return _mm512_mask_blend_epi32(0xAAAA, _mm512_srli_epi64(even, shift), _mm512_slli_epi64(odd, 32 - shift));
}
INLINE ISA(vec) ISA(add)(ISA(vec) v, const uint8_t *res, const Layer *l) {
    __m512i r = _mm512_cvtepu8_epi32(_mm_loadu_si128((const void *)res));
    v = _mm512_max_epi32(_mm512_min_epi32(v, _mm512_set1_epi32(255)), _mm512_setzero_si512());
    __m512i m = _mm512_set1_epi32((int32_t)((uint32_t)(uint16_t)l->multiplier_a | (uint32_t)l->multiplier_b << 16));
    v = _mm512_madd_epi16(_mm512_or_si512(v, _mm512_slli_epi32(r, 16)), m);
    return _mm512_sra_epi32(_mm512_add_epi32(v, _mm512_set1_epi32(l->add_bias)), _mm_cvtsi32_si128(l->add_shift));
}
INLINE void ISA(store)(uint8_t *p, ISA(vec) v) {
    v = _mm512_max_epi32(v, _mm512_setzero_si512());
    _mm_storeu_si128((void *)p, _mm512_cvtusepi32_epi8(v));
}
INLINE void ISA(store_wide)(int32_t *p, ISA(vec) v) { _mm512_storeu_si512(p, v); }
