/* What both ARM instruction sets share: loading, requantising and storing four registers of s32. */
INLINE ISA(vec) ISA(load)(const int32_t *p) {
    ISA(vec) r = {{vld1q_s32(p), vld1q_s32(p + 4), vld1q_s32(p + 8), vld1q_s32(p + 12)}};
    return r;
}
INLINE ISA(vec) ISA(requant)(ISA(vec) v, const int32_t *multiplier, int shift, int32_t zero_point) {
    const int64x2_t right = vdupq_n_s64(-shift), half = vdupq_n_s64((int64_t)1 << (shift - 1));
    for (int i = 0; i < 4; i++) {
        int32x4_t m = vld1q_s32(multiplier + 4 * i);
        int64x2_t low = vmlal_s32(half, vget_low_s32(v.val[i]), vget_low_s32(m));
        int64x2_t high = vmlal_s32(half, vget_high_s32(v.val[i]), vget_high_s32(m));
        v.val[i] = vcombine_s32(vmovn_s64(vshlq_s64(low, right)), vmovn_s64(vshlq_s64(high, right)));
        v.val[i] = vaddq_s32(v.val[i], vdupq_n_s32(zero_point));
    }
    return v;
}
INLINE ISA(vec) ISA(add)(ISA(vec) v, const uint8_t *res, const Layer *l) {
    const uint8x16_t bytes = vld1q_u8(res);
    const uint16x8_t words[2] = {vmovl_u8(vget_low_u8(bytes)), vmovl_u8(vget_high_u8(bytes))};
    for (int i = 0; i < 4; i++) {
        uint16x4_t four = i & 1 ? vget_high_u16(words[i / 2]) : vget_low_u16(words[i / 2]);
        int32x4_t clamped = vmaxq_s32(vminq_s32(v.val[i], vdupq_n_s32(255)), vdupq_n_s32(0));
        int32x4_t sum = vmlaq_n_s32(vdupq_n_s32(l->add_bias), clamped, l->multiplier_a);
        sum = vmlaq_n_s32(sum, vreinterpretq_s32_u32(vmovl_u16(four)), l->multiplier_b);
        v.val[i] = vshlq_s32(sum, vdupq_n_s32(-l->add_shift));
    }
    return v;
}
INLINE void ISA(store)(uint8_t *p, ISA(vec) v) {
    int16x8_t low = vcombine_s16(vqmovn_s32(v.val[0]), vqmovn_s32(v.val[1]));
    int16x8_t high = vcombine_s16(vqmovn_s32(v.val[2]), vqmovn_s32(v.val[3]));
    vst1q_u8(p, vcombine_u8(vqmovun_s16(low), vqmovun_s16(high)));
}
INLINE void ISA(store_wide)(int32_t *p, ISA(vec) v) {
    for (int i = 0; i < 4; i++) vst1q_s32(p + 4 * i, v.val[i]);
}
