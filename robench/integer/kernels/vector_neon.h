/* Sixteen s32 lanes in four NEON registers; products of s16, weights widened and kept lane by lane. */
typedef int16_t ISA(weight);
typedef int32x4x4_t ISA(vec);
typedef int16x4_t ISA(act);
typedef const int16_t *ISA(taps);

static void ISA(widen)(int16_t *out, const int8_t *w, size_t n) {
    for (size_t g = 0; g < n; g += 64)
        for (int o = 0; o < 16; o++)
            for (int k = 0; k < 4; k++) out[g + k * 16 + o] = w[g + o * 4 + k];
}
INLINE ISA(act) ISA(broadcast)(const uint8_t *p) {
    uint32_t four;
    memcpy(&four, p, 4);
    return vreinterpret_s16_u16(vget_low_u16(vmovl_u8(vcreate_u8(four))));
}
INLINE ISA(taps) ISA(load_taps)(const ISA(weight) *p) { return p; }
INLINE ISA(vec) ISA(dot)(ISA(vec) acc, ISA(act) a, ISA(taps) w) {
    for (int i = 0; i < 4; i++) {
        acc.val[i] = vmlal_lane_s16(acc.val[i], vld1_s16(w + 4 * i), a, 0);
        acc.val[i] = vmlal_lane_s16(acc.val[i], vld1_s16(w + 4 * i + 16), a, 1);
        acc.val[i] = vmlal_lane_s16(acc.val[i], vld1_s16(w + 4 * i + 32), a, 2);
        acc.val[i] = vmlal_lane_s16(acc.val[i], vld1_s16(w + 4 * i + 48), a, 3);
    }
    return acc;
}
